//! The client and what IPsec carries: the tunnel, the session, its PPP link.

use std::time::Instant;

use adit_link::Host;
use adit_link::mtu::Encapsulation;
use adit_ppp::Link;

use super::Client;
use crate::event::{DownReason, Event};

impl Client {
    pub(super) fn tunnel_event(&mut self, event: adit_l2tp::Event, now: Instant) {
        use adit_l2tp::Event as L2tp;
        match event {
            L2tp::TunnelUp { host_name, .. } => {
                self.events.push_back(Event::Tunnel { host_name });
                if let Some(tunnel) = &mut self.tunnel {
                    tunnel.open_session(now, &mut self.rng);
                }
            }
            L2tp::SessionUp { local, remote } => {
                self.session = Some((local, remote));
                let mut config = self.config.ppp.clone();
                config.mru = config.mru.min(self.link_mtu());
                self.ppp = Some(Link::client(config, now, &mut self.rng));
            }
            L2tp::SessionDown { cause, .. } => {
                self.session = None;
                if self.closing {
                    return;
                }
                self.go_down(DownReason::Tunnel(cause.to_string()));
            }
            L2tp::TunnelDown { cause } => {
                if !self.closing {
                    self.go_down(DownReason::Tunnel(cause.to_string()));
                }
            }
        }
    }

    /// The largest inner packet that the path carries in one outer packet, for any suite that may
    /// have been chosen.
    pub(super) fn link_mtu(&self) -> u16 {
        let outer = self.config.outer_family();
        let suites = self.config.ike.esp.iter();
        let mtus = suites.map(|suite| {
            let encapsulation = Encapsulation {
                outer,
                udp: self.encapsulate,
                suite: *suite,
                ppp_header: adit_ppp::HEADER_LEN,
                l2tp_header: adit_l2tp::DATA_HEADER_LEN,
            };
            encapsulation.link_mtu(self.config.path_mtu)
        });
        mtus.min().unwrap_or(1280)
    }

    pub(super) fn ppp_event(&mut self, event: adit_ppp::Event, now: Instant) {
        use adit_ppp::Event as Ppp;
        match event {
            Ppp::Authenticated { .. } => self.events.push_back(Event::Authenticated),
            Ppp::Ipv4Up { local, peer, dns } => self.events.push_back(Event::Ipv4 {
                address: local,
                server: peer,
                dns,
            }),
            Ppp::Ipv4Down | Ppp::Ipv4Refused => self.events.push_back(Event::NoIpv4),
            Ppp::Ipv6Up {
                local_interface_id,
                peer_interface_id,
            } => {
                self.host = Some(Host::new(
                    local_interface_id,
                    peer_interface_id,
                    now,
                    &mut self.rng,
                ));
                self.events.push_back(Event::Ipv6Link {
                    interface_id: local_interface_id,
                });
            }
            Ppp::Ipv6Down | Ppp::Ipv6Refused => {
                self.host = None;
                self.events.push_back(Event::NoIpv6);
            }
            Ppp::Down { reason } => {
                self.ppp = None;
                self.host = None;
                if self.closing {
                    if let Some(tunnel) = &mut self.tunnel {
                        tunnel.close(adit_l2tp::Stop::shutting_down(), now);
                    }
                } else {
                    self.go_down(DownReason::Ppp(reason.to_string()));
                }
            }
            Ppp::LcpUp { .. } | Ppp::AuthFailed { .. } | Ppp::Authenticate(_) => {}
        }
    }

    pub(super) fn nonzero_u16(&mut self) -> u16 {
        self.rng.u16().max(1)
    }
}
