//! Neighbours on a link (RFC 4861 7.2): whether somebody there has an address, and addresses that the
//! kernel answers solicitations for in the name of others (7.2.8, `ip -6 neigh add proxy`). For each of
//! those the kernel joins the solicited-node group by itself.

use std::net::Ipv6Addr;
use std::time::Duration;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::RouteProtocol;

use super::error::{added, errno};
use super::{Netlink, NetlinkError};

/// Marks the entries that are ours (NDA_PROTOCOL), so that others' stay.
const OURS: RouteProtocol = RouteProtocol::Other(173);

/// How long an owner has to answer: RETRANS_TIMER of RFC 4861 10, as for duplicate address detection.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How often it is looked whether there was an answer.
const LOOKS: u32 = 20;

impl Netlink {
    /// Answers solicitations for `address` on an interface, as a router does that stands before its
    /// owner. It needs `proxy_ndp` there (see [`Forwarding`](crate::host::Forwarding)). Having it
    /// already is no error. It outlives the process.
    pub async fn add_proxy(&self, index: u32, address: Ipv6Addr) -> Result<(), NetlinkError> {
        let mut request = self
            .handle
            .neighbours()
            .add(index, address.into())
            .flags(NeighbourFlags::Proxy | NeighbourFlags::Router);
        let message = request.message_mut();
        message.attributes.push(NeighbourAttribute::Protocol(OURS));
        added(request.execute().await, || {
            format!("answering for {address} on interface {index}")
        })
    }

    /// Takes back [`add_proxy`](Self::add_proxy). Its absence is no error.
    pub async fn remove_proxy(&self, index: u32, address: Ipv6Addr) -> Result<(), NetlinkError> {
        let message = message(index, address, NeighbourFlags::Proxy);
        self.remove_neighbor(message, || {
            format!("answering no longer for {address} on interface {index}")
        })
        .await
    }

    /// The addresses that [`add_proxy`](Self::add_proxy) was asked to answer for, by whomever: also
    /// those that a process left behind.
    pub async fn proxies(&self, index: u32) -> Result<Vec<Ipv6Addr>, NetlinkError> {
        let messages = self.neighbors(NeighbourFlags::Proxy).await?;
        let ours = messages.iter().filter(|message| {
            let marked = |attribute: &NeighbourAttribute| {
                matches!(attribute, NeighbourAttribute::Protocol(protocol) if *protocol == OURS)
            };
            message.header.ifindex == index && message.attributes.iter().any(marked)
        });
        Ok(ours.filter_map(destination).collect())
    }

    /// Whether a node on the link of an interface has `address`: asks it, and waits up to a second.
    /// What the kernel knew of that neighbour is forgotten. The host's own addresses do not answer.
    pub async fn is_on_link(&self, index: u32, address: Ipv6Addr) -> Result<bool, NetlinkError> {
        let action = || format!("asking for {address} on interface {index}");
        let forget =
            || self.remove_neighbor(message(index, address, NeighbourFlags::empty()), action);
        forget().await?;
        let request = self
            .handle
            .neighbours()
            .add(index, address.into())
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace();
        let asked = request.execute().await;
        asked.map_err(|error| NetlinkError::new(action(), error))?;
        let mut answered = false;
        for _ in 0..LOOKS {
            tokio::time::sleep(ANSWER_WITHIN / LOOKS).await;
            let neighbors = self.neighbors(NeighbourFlags::empty()).await?;
            answered = neighbors.iter().any(|message| {
                message.header.ifindex == index
                    && destination(message) == Some(address)
                    && is_known(message.header.state)
            });
            if answered {
                break;
            }
        }
        forget().await?;
        Ok(answered)
    }

    async fn neighbors(
        &self,
        flags: NeighbourFlags,
    ) -> Result<Vec<NeighbourMessage>, NetlinkError> {
        let request = self.handle.neighbours().get();
        request
            .set_address_family(AddressFamily::Inet6)
            .set_flags(flags)
            .execute()
            .try_collect()
            .await
            .map_err(|error| NetlinkError::new("listing neighbours".to_owned(), error))
    }

    async fn remove_neighbor(
        &self,
        message: NeighbourMessage,
        action: impl FnOnce() -> String,
    ) -> Result<(), NetlinkError> {
        match self.handle.neighbours().del(message).execute().await {
            Err(error) if matches!(errno(&error), Some(libc::ENOENT | libc::ENODEV)) => Ok(()),
            Err(error) => Err(NetlinkError::new(action(), error)),
            Ok(()) => Ok(()),
        }
    }
}

/// Whether the state is one of an address that answered.
fn is_known(state: NeighbourState) -> bool {
    !matches!(
        state,
        NeighbourState::None | NeighbourState::Incomplete | NeighbourState::Failed
    )
}

fn message(index: u32, address: Ipv6Addr, flags: NeighbourFlags) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet6;
    message.header.ifindex = index;
    message.header.flags = flags;
    let address = NeighbourAddress::Inet6(address);
    message
        .attributes
        .push(NeighbourAttribute::Destination(address));
    message
}

fn destination(message: &NeighbourMessage) -> Option<Ipv6Addr> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(*address),
            _ => None,
        })
}
