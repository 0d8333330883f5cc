//! Interfaces that are made and removed.

use std::net::Ipv4Addr;

use futures_util::TryStreamExt;
use rtnetlink::LinkSit;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};

use super::error::errno;
use super::{Netlink, NetlinkError};

impl Netlink {
    /// Makes an interface, which is down, that wraps IPv6 packets into IPv4 ones (protocol 41, RFC
    /// 4213) from `local`: to the address that is embedded in the destination (RFC 3056), since no
    /// other end is set. Gives its index.
    pub async fn add_sit(
        &self,
        name: &str,
        local: Ipv4Addr,
        ttl: u8,
        mtu: u16,
    ) -> Result<u32, NetlinkError> {
        let link = LinkSit::new(name)
            .local(local)
            .ttl(ttl)
            .mtu(u32::from(mtu))
            .build();
        let request = self.handle.link().add(link);
        request.execute().await.map_err(|error| {
            NetlinkError::new(format!("making the 6to4 interface {name}"), error)
        })?;
        self.interface_index(name).await
    }

    /// Removes an interface that [`add_sit`](Self::add_sit) made, and its routes with it. Its absence is
    /// no error, and one of another kind stays.
    pub async fn remove_sit(&self, name: &str) -> Result<(), NetlinkError> {
        let failed = |error| NetlinkError::new(format!("removing the interface {name}"), error);
        let links = self.handle.link().get().match_name(name.to_owned());
        let link = match std::pin::pin!(links.execute()).try_next().await {
            Err(error) if errno(&error) == Some(libc::ENODEV) => return Ok(()),
            found => found.map_err(failed)?,
        };
        let Some(link) = link.filter(is_sit) else {
            return Ok(());
        };
        match self.handle.link().del(link.header.index).execute().await {
            Err(error) if errno(&error) != Some(libc::ENODEV) => Err(failed(error)),
            _ => Ok(()),
        }
    }
}

fn is_sit(link: &LinkMessage) -> bool {
    let mut infos = link
        .attributes
        .iter()
        .filter_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(infos) => Some(infos),
            _ => None,
        })
        .flatten();
    infos.any(|info| matches!(info, LinkInfo::Kind(InfoKind::SitTun)))
}
