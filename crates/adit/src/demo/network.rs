//! Three hosts in network namespaces: a client, the server, and a host behind it. They end with this
//! program, however it ends.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use adit_io::host;
use adit_io::namespace::Namespace;
use adit_io::netlink::{Netlink, NetlinkError};
use ipnet::IpNet;

use crate::Failure;

/// Where the server is, outside.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The host behind the server.
pub(super) const HOST4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub(super) const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 2);

/// The names of both ends of the cables.
const OUTSIDE: (&str, &str) = ("outside", "wifi");
const INSIDE: (&str, &str) = ("inside", "lan");

pub(super) struct Network {
    pub(super) client: Namespace,
    pub(super) server: Namespace,
    pub(super) host: Namespace,
}

impl Network {
    pub(super) fn new() -> Result<Self, Failure> {
        let namespace = || {
            Namespace::new().map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    Failure::failed("no permission to make network namespaces: run this as root")
                }
                _ => Failure::failed(format_args!("cannot make a network namespace: {error}")),
            })
        };
        let network = Self {
            client: namespace()?,
            server: namespace()?,
            host: namespace()?,
        };
        for namespace in [&network.client, &network.server, &network.host] {
            namespace.run(no_waiting).map_err(Failure::failed)??;
        }
        for ((name, peer), far) in [(OUTSIDE, &network.client), (INSIDE, &network.host)] {
            let far = far.as_fd().try_clone_to_owned().map_err(Failure::failed)?;
            in_namespace(&network.server, move |netlink| async move {
                netlink.add_cable(name, peer, far.as_fd()).await
            })?;
        }
        let nets = ["198.51.100.1/24", "2001:db8:1::1/64"];
        end(&network.server, OUTSIDE.0, &nets, &[])?;
        let nets = ["192.0.2.1/24", "2001:db8:b::1/64"];
        end(&network.server, INSIDE.0, &nets, &[])?;
        let nets = ["198.51.100.2/24", "2001:db8:1::2/64"];
        end(&network.client, OUTSIDE.1, &nets, &[])?;
        let nets = ["192.0.2.2/24", "2001:db8:b::2/64"];
        let routes = [("0.0.0.0/0", "192.0.2.1"), ("::/0", "2001:db8:b::1")];
        end(&network.host, INSIDE.1, &nets, &routes)?;
        Ok(network)
    }
}

/// Addresses are used without looking for duplicates: there are no others.
fn no_waiting() -> Result<(), Failure> {
    for of in ["all", "default"] {
        let key = format!("net.ipv6.conf.{of}.accept_dad");
        host::write(&key, "0").map_err(|error| {
            Failure::failed(format_args!(
                "{key}: {error}: the demo needs IPv6 in the kernel"
            ))
        })?;
    }
    Ok(())
}

/// Gives one end of a cable its addresses and routes.
fn end(
    namespace: &Namespace,
    name: &'static str,
    addresses: &[&str],
    routes: &[(&str, &str)],
) -> Result<(), Failure> {
    let addresses: Vec<IpNet> = addresses.iter().flat_map(|text| text.parse()).collect();
    let routes: Vec<(IpNet, IpAddr)> = routes
        .iter()
        .flat_map(|(net, gateway)| Some((net.parse().ok()?, gateway.parse().ok()?)))
        .collect();
    in_namespace(namespace, move |netlink| async move {
        let index = netlink.interface_index(name).await?;
        for address in addresses {
            netlink.add_address(index, address).await?;
        }
        netlink.up(index).await?;
        netlink.up(netlink.interface_index("lo").await?).await?;
        for (destination, gateway) in routes {
            netlink.add_route_via(destination, index, gateway).await?;
        }
        Ok(())
    })
}

fn in_namespace<F, W>(namespace: &Namespace, act: F) -> Result<(), Failure>
where
    F: FnOnce(Netlink) -> W + Send + 'static,
    W: Future<Output = Result<(), NetlinkError>>,
{
    let done = namespace.run(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::failed)?;
        runtime.block_on(async {
            let netlink = Netlink::new().await.map_err(Failure::failed)?;
            act(netlink).await.map_err(Failure::failed)
        })
    });
    done.map_err(Failure::failed)?
}
