//! The options of IPCP (RFC 1332, RFC 1877), for both roles.

use std::net::Ipv4Addr;

use adit_wire::Writer;

use crate::automaton::{Context, Judgement, Protocol};
use crate::config::Ipv4Network;
use crate::error::Failure;
use crate::manner::IpcpOption;
use crate::option::{self, Opt};

mod kind {
    pub(super) const ADDRESS: u8 = 3;
    pub(super) const DNS_1: u8 = 129;
    pub(super) const NBNS_1: u8 = 130;
    pub(super) const DNS_2: u8 = 131;
    pub(super) const NBNS_2: u8 = 132;
}

#[derive(Debug)]
enum Role {
    Server {
        network: Ipv4Network,
        /// A peer that does not name the option has been told its address once.
        appended: bool,
    },
    Client {
        peer: Ipv4Addr,
        /// What we ask for, in order, with what is known of it; the peer's rejects are left out.
        wanted: Vec<(IpcpOption, Ipv4Addr)>,
    },
}

#[derive(Debug)]
pub(crate) struct Ipcp {
    role: Role,
}

/// What IPCP has agreed on.
#[derive(Debug)]
pub(crate) struct Agreed {
    pub(crate) local: Ipv4Addr,
    pub(crate) peer: Ipv4Addr,
    pub(crate) dns: Vec<Ipv4Addr>,
    pub(crate) wins: Vec<Ipv4Addr>,
}

impl Ipcp {
    pub(crate) fn server(network: Ipv4Network) -> Self {
        let appended = false;
        Self {
            role: Role::Server { network, appended },
        }
    }

    pub(crate) fn client(options: &[IpcpOption], request_dns: bool) -> Self {
        let wanted = options
            .iter()
            .filter(|option| request_dns || !matches!(option, IpcpOption::Dns1 | IpcpOption::Dns2))
            .map(|option| (*option, Ipv4Addr::UNSPECIFIED))
            .collect();
        Self {
            role: Role::Client {
                peer: Ipv4Addr::UNSPECIFIED,
                wanted,
            },
        }
    }

    /// Addresses and resolvers, once IPCP is open.
    pub(crate) fn agreed(&self) -> Result<Agreed, Failure> {
        match &self.role {
            Role::Server { network, .. } => Ok(Agreed {
                local: network.local,
                peer: network.peer,
                dns: network.dns.iter().copied().take(2).collect(),
                wins: network.wins.iter().copied().take(2).collect(),
            }),
            Role::Client { peer, wanted } => {
                let known = |names: &[IpcpOption]| {
                    let mut known: Vec<_> = wanted
                        .iter()
                        .filter(|(option, address)| {
                            names.contains(option) && !address.is_unspecified()
                        })
                        .map(|(_, address)| *address)
                        .collect();
                    known.dedup();
                    known
                };
                Ok(Agreed {
                    local: known(&[IpcpOption::Address])
                        .first()
                        .copied()
                        .ok_or(Failure::NoAddress)?,
                    peer: *peer,
                    dns: known(&[IpcpOption::Dns1, IpcpOption::Dns2]),
                    wins: known(&[IpcpOption::Nbns1, IpcpOption::Nbns2]),
                })
            }
        }
    }
}

fn kind_of(option: IpcpOption) -> u8 {
    match option {
        IpcpOption::Address => kind::ADDRESS,
        IpcpOption::Dns1 => kind::DNS_1,
        IpcpOption::Dns2 => kind::DNS_2,
        IpcpOption::Nbns1 => kind::NBNS_1,
        IpcpOption::Nbns2 => kind::NBNS_2,
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
    const REPEATS: bool = false;

    fn request(&self, to: &mut Writer) {
        match &self.role {
            // Nothing but the address: clients reject a server's DNS options, and some then give up.
            Role::Server { network, .. } => {
                option::write(to, kind::ADDRESS, &network.local.octets());
            }
            Role::Client { wanted, .. } => {
                for (wanted, address) in wanted {
                    option::write(to, kind_of(*wanted), &address.octets());
                }
            }
        }
    }

    fn judge(&mut self, judgement: &mut Judgement<'_>, _: &mut Context<'_>) -> Result<(), Failure> {
        let mut named = false;
        for option in judgement.options() {
            let Role::Server { network, .. } = &self.role else {
                match (option.kind, option.array::<4>()) {
                    (kind::ADDRESS, Some(address)) if address != [0; 4] => {}
                    // We have nothing to give.
                    _ => judgement.reject(option),
                }
                continue;
            };
            match option.kind {
                // Never rejected, whatever it holds: clients then fall back to option 1 and loop, or
                // hang up.
                kind::ADDRESS => {
                    named = true;
                    if option.data != network.peer.octets() {
                        judgement.nak(option, &network.peer.octets());
                    }
                }
                kind::DNS_1 => compare(judgement, option, network.dns.first()),
                kind::DNS_2 => compare(judgement, option, network.dns.get(1)),
                kind::NBNS_1 => compare(judgement, option, network.wins.first()),
                kind::NBNS_2 => compare(judgement, option, network.wins.get(1)),
                // Old addresses (1), header compression (2) and everything else.
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
        if let Role::Client { wanted, .. } = &mut self.role {
            for option in option::first_of_each(options) {
                // Only what we asked for: a Nak may append options, we need not take them.
                let asked = wanted
                    .iter_mut()
                    .find(|(wanted, _)| kind_of(*wanted) == option.kind);
                if let (Some((_, known)), Some(address)) = (asked, option.array()) {
                    *known = Ipv4Addr::from(address);
                }
            }
        }
        Ok(())
    }

    fn rejected(&mut self, options: &[Opt<'_>]) -> Result<(), Failure> {
        for option in options {
            if option.kind == kind::ADDRESS {
                return Err(Failure::AddressRejected);
            }
            if let Role::Client { wanted, .. } = &mut self.role {
                wanted.retain(|(wanted, _)| kind_of(*wanted) != option.kind);
            }
        }
        Ok(())
    }
}
