//! The options of IPCP (RFC 1332, RFC 1877), for both roles.

use std::net::Ipv4Addr;

use adit_wire::Writer;

use crate::automaton::{Context, Judgement, Protocol};
use crate::config::Ipv4Network;
use crate::error::Failure;
use crate::option::{self, Opt};

mod kind {
    pub(super) const ADDRESS: u8 = 3;
    pub(super) const DNS_1: u8 = 129;
    pub(super) const DNS_2: u8 = 131;
}

#[derive(Debug)]
enum Role {
    Server {
        network: Ipv4Network,
        /// A peer that does not name the option has been told its address once.
        appended: bool,
    },
    Client {
        local: Ipv4Addr,
        peer: Ipv4Addr,
        /// Resolvers as far as they are known; `None` where we do not ask (any more).
        dns_1: Option<Ipv4Addr>,
        dns_2: Option<Ipv4Addr>,
    },
}

#[derive(Debug)]
pub(crate) struct Ipcp {
    role: Role,
}

impl Ipcp {
    pub(crate) fn server(network: Ipv4Network) -> Self {
        let appended = false;
        Self {
            role: Role::Server { network, appended },
        }
    }

    pub(crate) fn client(request_dns: bool) -> Self {
        let unknown = request_dns.then_some(Ipv4Addr::UNSPECIFIED);
        Self {
            role: Role::Client {
                local: Ipv4Addr::UNSPECIFIED,
                peer: Ipv4Addr::UNSPECIFIED,
                dns_1: unknown,
                dns_2: unknown,
            },
        }
    }

    /// Our address, the peer's, and the resolvers, once IPCP is open.
    pub(crate) fn agreed(&self) -> Result<(Ipv4Addr, Ipv4Addr, Vec<Ipv4Addr>), Failure> {
        match &self.role {
            Role::Server { network, .. } => {
                let dns = network.dns.iter().copied().take(2).collect();
                Ok((network.local, network.peer, dns))
            }
            Role::Client { local, .. } if local.is_unspecified() => Err(Failure::NoAddress),
            Role::Client {
                local,
                peer,
                dns_1,
                dns_2,
            } => {
                let mut dns: Vec<_> = [*dns_1, *dns_2].into_iter().flatten().collect();
                dns.retain(|address| !address.is_unspecified());
                dns.dedup();
                Ok((*local, *peer, dns))
            }
        }
    }
}

/// Takes an option whose data should be `right`, or should not be there at all.
fn compare(judgement: &mut Judgement<'_>, option: Opt<'_>, right: Option<&Ipv4Addr>) {
    match (right, option.array()) {
        (Some(right), Some(asked)) if Ipv4Addr::from(asked) == *right => {}
        (Some(right), Some(_)) => judgement.nak(option, &right.octets()),
        _ => judgement.reject(option),
    }
}

impl Protocol for Ipcp {
    const NUMBER: u16 = crate::protocol::IPCP;
    const NAME: &'static str = "IPCP";
    const NEEDS_NAKED: bool = true;

    fn request(&self, to: &mut Writer) {
        match &self.role {
            // Nothing but the address: clients reject a server's DNS options, and some then give up.
            Role::Server { network, .. } => {
                option::write(to, kind::ADDRESS, &network.local.octets());
            }
            Role::Client {
                local,
                dns_1,
                dns_2,
                ..
            } => {
                option::write(to, kind::ADDRESS, &local.octets());
                for (kind, dns) in [(kind::DNS_1, dns_1), (kind::DNS_2, dns_2)] {
                    if let Some(dns) = dns {
                        option::write(to, kind, &dns.octets());
                    }
                }
            }
        }
    }

    fn judge(&mut self, judgement: &mut Judgement<'_>, _: &mut Context<'_>) -> Result<(), Failure> {
        let mut named = false;
        for option in judgement.options() {
            match (&self.role, option.kind) {
                (Role::Server { network, .. }, kind::ADDRESS) => {
                    named = true;
                    compare(judgement, option, Some(&network.peer));
                }
                (Role::Server { network, .. }, kind::DNS_1) => {
                    compare(judgement, option, network.dns.first());
                }
                (Role::Server { network, .. }, kind::DNS_2) => {
                    compare(judgement, option, network.dns.get(1));
                }
                (Role::Client { .. }, kind::ADDRESS) => match option.array::<4>() {
                    Some(address) if address != [0; 4] => {}
                    // We have no address to give.
                    _ => judgement.reject(option),
                },
                // Old addresses (1), header compression (2), WINS (130, 132) and everything else.
                _ => judgement.reject(option),
            }
        }
        if let Role::Server { network, appended } = &mut self.role
            && !named
            && !*appended
        {
            // RFC 1332 3.3: a peer that forgot to ask is told once; after that it must know. The
            // source address of its packets is checked in any case.
            *appended = true;
            judgement.append(kind::ADDRESS, &network.peer.octets());
        }
        Ok(())
    }

    fn accept(&mut self, options: &[Opt<'_>]) {
        if let Role::Client { peer, .. } = &mut self.role {
            *peer = options
                .iter()
                .find(|option| option.kind == kind::ADDRESS)
                .and_then(Opt::array)
                .map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from);
        }
    }

    fn naked(&mut self, options: &[Opt<'_>], _: &mut Context<'_>) -> Result<(), Failure> {
        // A server keeps its address whatever the peer thinks of it; max-failure ends the dispute.
        if let Role::Client {
            local,
            dns_1,
            dns_2,
            ..
        } = &mut self.role
        {
            for option in option::first_of_each(options) {
                let Some(address) = option.array().map(Ipv4Addr::from) else {
                    continue;
                };
                match option.kind {
                    kind::ADDRESS => *local = address,
                    // Only what we asked for: a Nak may append options, we need not take them.
                    kind::DNS_1 => *dns_1 = dns_1.map(|_| address),
                    kind::DNS_2 => *dns_2 = dns_2.map(|_| address),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn rejected(&mut self, options: &[Opt<'_>]) -> Result<(), Failure> {
        for option in options {
            match (&mut self.role, option.kind) {
                (_, kind::ADDRESS) => return Err(Failure::AddressRejected),
                (Role::Client { dns_1, .. }, kind::DNS_1) => *dns_1 = None,
                (Role::Client { dns_2, .. }, kind::DNS_2) => *dns_2 = None,
                _ => {}
            }
        }
        Ok(())
    }
}
