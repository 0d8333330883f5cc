//! The options of LCP (RFC 1661 section 6), for both roles.

use adit_wire::Writer;

use crate::automaton::{Context, Judgement, Protocol};
use crate::error::Failure;
use crate::frame::Framing;
use crate::manner::LcpOption;
use crate::method::{AuthMethod, AuthOption, AuthProtocol};
use crate::option::{self, Opt};

mod kind {
    pub(super) const MRU: u8 = 1;
    /// RFC 1662 7.1
    pub(super) const ACCM: u8 = 2;
    pub(super) const AUTH: u8 = 3;
    pub(super) const MAGIC: u8 = 5;
    pub(super) const PFC: u8 = 7;
    pub(super) const ACFC: u8 = 8;
    /// RFC 1570 2.3
    pub(super) const CALLBACK: u8 = 13;
}

/// The MRU without an option (RFC 1661 6.1), and the most that is made use of.
pub(crate) const DEFAULT_MRU: u16 = 1500;

/// Smallest MRU that is taken: what every IPv4 host must be able to receive (RFC 791 3.2).
const SMALLEST_MRU: u16 = 576;

/// Configure-Requests with our own magic number after which the link must be a loop.
const MOST_LOOPS: u32 = 5;

/// Ways to authenticate that are remembered of a server.
const MOST_ASKED: usize = 8;

/// What the peer has announced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) mru: u16,
    pub(crate) framing: Framing,
    /// How we have to authenticate.
    pub(crate) auth: Option<AuthProtocol>,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            mru: DEFAULT_MRU,
            framing: Framing::default(),
            auth: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

#[derive(Debug)]
pub(crate) struct Lcp {
    role: Role,
    /// Server: what we may ask for; client: what we may be asked for.
    allowed: Vec<AuthMethod>,
    /// The protocols of these methods.
    protocols: Vec<AuthProtocol>,
    /// Server: what the peer has said no to.
    refused: Vec<AuthProtocol>,
    /// Server: what we ask for.
    auth: Option<AuthProtocol>,
    /// What we ask for, in order, without what the peer has rejected.
    wanted: Vec<LcpOption>,
    most_mru: u16,
    mru: u16,
    magic: u32,
    loops: u32,
    /// Client: what the server has asked for, each once.
    asked: Vec<AuthOption>,
    peer: Peer,
}

impl Lcp {
    /// `options` are what we ask for, beside a way to authenticate.
    pub(crate) fn new(
        role: Role,
        allowed: &[AuthMethod],
        options: &[LcpOption],
        mru: u16,
        magic: u32,
    ) -> Self {
        let protocols = AuthProtocol::of_methods(allowed);
        let mut wanted = options.to_vec();
        wanted.retain(|option| *option != LcpOption::Mru || mru != DEFAULT_MRU);
        Self {
            role,
            allowed: allowed.to_vec(),
            refused: Vec::new(),
            auth: protocols.first().copied().filter(|_| role == Role::Server),
            protocols,
            wanted,
            most_mru: mru,
            mru,
            magic,
            loops: 0,
            asked: Vec::new(),
            peer: Peer::default(),
        }
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// What the peer has to authenticate with.
    pub(crate) fn auth(&self) -> Option<AuthProtocol> {
        self.auth
    }

    /// What the peer has asked us to authenticate with so far.
    pub(crate) fn auth_asked(&self) -> &[AuthOption] {
        &self.asked
    }

    /// Our magic number for packets other than Configure-Request; 0 if it was rejected
    /// (RFC 1661 6.4).
    pub(crate) fn magic(&self) -> u32 {
        if self.asks_magic() { self.magic } else { 0 }
    }

    fn asks_magic(&self) -> bool {
        self.wanted.contains(&LcpOption::Magic)
    }

    /// Whether a magic number in a packet is our own.
    pub(crate) fn is_own(&self, magic: u32) -> bool {
        magic != 0 && self.magic() == magic
    }

    fn new_magic(&self, context: &mut Context<'_>) -> u32 {
        loop {
            let magic = context.rng.u32();
            if magic != 0 && self.magic != magic {
                return magic;
            }
        }
    }

    /// The protocol we ask for does not suit the peer: the one that it names, if that is allowed,
    /// else the next of ours that it has not refused.
    fn change_auth(&mut self, wanted: &[u8]) -> Result<(), Failure> {
        self.refused.extend(self.auth);
        let open =
            |other: &AuthProtocol| self.protocols.contains(other) && !self.refused.contains(other);
        let named = AuthProtocol::from_option(wanted).filter(|named| open(named));
        let next = named.or_else(|| self.protocols.iter().copied().find(open));
        match next {
            Some(protocol) => self.auth = Some(protocol),
            None => {
                return Err(Failure::AuthMethod {
                    wanted: wanted.to_vec(),
                    allowed: self.allowed.clone(),
                });
            }
        }
        Ok(())
    }

    fn judge_auth(&mut self, judgement: &mut Judgement<'_>, option: Opt<'_>) {
        // We do not authenticate ourselves to clients: the IPsec PSK and MS-CHAPv2 do that.
        let preferred = self.protocols.first().filter(|_| self.role == Role::Client);
        let Some(preferred) = preferred else {
            judgement.reject(option);
            return;
        };
        let asked = AuthOption::new(option.data);
        let named = asked.protocol();
        let preferred = preferred.option();
        if self.asked.len() < MOST_ASKED && !self.asked.contains(&asked) {
            self.asked.push(asked);
        }
        if !named.is_some_and(|named| self.protocols.contains(&named)) {
            judgement.nak(option, preferred);
        }
    }

    fn judge_magic(
        &mut self,
        judgement: &mut Judgement<'_>,
        option: Opt<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let Some(magic) = option.array().map(u32::from_be_bytes) else {
            judgement.reject(option);
            return Ok(());
        };
        if self.is_own(magic) {
            context.stats.looped += 1;
            self.loops += 1;
            if self.loops >= MOST_LOOPS {
                return Err(Failure::LoopedBack);
            }
        }
        // Zero is no magic number (RFC 1661 6.4).
        if magic == 0 || self.is_own(magic) {
            judgement.nak(option, &self.new_magic(context).to_be_bytes());
        } else {
            self.loops = 0;
        }
        Ok(())
    }
}

impl Protocol for Lcp {
    const NUMBER: u16 = crate::protocol::LCP;
    const NAME: &'static str = "LCP";
    const NEEDS_NAKED: bool = false;
    // A pppd listens only when it has been started, which is after the tunnel says so.
    const REPEATS: bool = true;

    fn request(&self, to: &mut Writer) {
        // Numbers up to 3 stand in order, as clients are used to see them.
        let mut auth = self.auth;
        for wanted in &self.wanted {
            if *wanted != LcpOption::Mru
                && let Some(auth) = auth.take()
            {
                option::write(to, kind::AUTH, auth.option());
            }
            match wanted {
                LcpOption::Mru => option::write(to, kind::MRU, &self.mru.to_be_bytes()),
                LcpOption::Accm(map) => option::write(to, kind::ACCM, &map.to_be_bytes()),
                LcpOption::Magic => option::write(to, kind::MAGIC, &self.magic.to_be_bytes()),
                LcpOption::Pfc => option::write(to, kind::PFC, &[]),
                LcpOption::Acfc => option::write(to, kind::ACFC, &[]),
                LcpOption::Callback(operation) => {
                    option::write(to, kind::CALLBACK, &[*operation]);
                }
            }
        }
        if let Some(auth) = auth {
            option::write(to, kind::AUTH, auth.option());
        }
    }

    fn judge(
        &mut self,
        judgement: &mut Judgement<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let options = judgement.options();
        let own = options.iter().find(|option| {
            let magic = option.array().map(u32::from_be_bytes);
            option.kind == kind::MAGIC && magic.is_some_and(|magic| self.is_own(magic))
        });
        if let Some(own) = own {
            // Nothing else is worth an answer before it is clear whether this is a loop.
            return self.judge_magic(judgement, *own, context);
        }
        for option in options {
            match (option.kind, option.data.len()) {
                (kind::MRU, 2) => {
                    let mru = option.array().map_or(0, u16::from_be_bytes);
                    if mru < SMALLEST_MRU {
                        judgement.nak(option, &self.most_mru.to_be_bytes());
                    }
                }
                // Nothing is escaped inside L2TP (RFC 2661 5.4), so any map will do.
                (kind::ACCM, 4) | (kind::PFC | kind::ACFC, 0) => {}
                (kind::AUTH, 2..) => self.judge_auth(judgement, option),
                (kind::MAGIC, 4) => self.judge_magic(judgement, option, context)?,
                // Callback (13), MRRU (17), endpoint discriminator (19) and whatever else there is.
                _ => judgement.reject(option),
            }
        }
        Ok(())
    }

    fn accept(&mut self, options: &[Opt<'_>]) {
        self.peer = Peer::default();
        for option in options {
            match option.kind {
                kind::MRU => {
                    // More than 1500 would be of no use: it cannot be more than the path carries.
                    let mru = option.array().map_or(DEFAULT_MRU, u16::from_be_bytes);
                    self.peer.mru = mru.min(DEFAULT_MRU);
                }
                kind::AUTH => self.peer.auth = AuthProtocol::from_option(option.data),
                kind::PFC => self.peer.framing.pfc = true,
                kind::ACFC => self.peer.framing.acfc = true,
                _ => {}
            }
        }
    }

    fn naked(&mut self, options: &[Opt<'_>], context: &mut Context<'_>) -> Result<(), Failure> {
        // Of an option that is listed more than once, the first is taken.
        for option in option::first_of_each(options) {
            match option.kind {
                kind::MRU if self.wanted.contains(&LcpOption::Mru) => {
                    // A larger one than ours is not taken: it would not fit the path.
                    let mru = option.array().map_or(self.most_mru, u16::from_be_bytes);
                    if (SMALLEST_MRU..=self.most_mru).contains(&mru) {
                        self.mru = mru;
                    }
                }
                kind::AUTH if self.auth.is_some() => self.change_auth(option.data)?,
                kind::MAGIC if self.asks_magic() => self.magic = self.new_magic(context),
                // Options that we did not ask for, and boolean ones, which cannot be naked.
                _ => {}
            }
        }
        Ok(())
    }

    fn rejected(&mut self, options: &[Opt<'_>]) -> Result<(), Failure> {
        for option in options {
            match option.kind {
                // No method suits a peer that does not know the option.
                kind::AUTH => {
                    return Err(Failure::AuthMethod {
                        wanted: Vec::new(),
                        allowed: self.allowed.clone(),
                    });
                }
                rejected => self.wanted.retain(|wanted| kind_of(*wanted) != rejected),
            }
        }
        Ok(())
    }
}

fn kind_of(option: LcpOption) -> u8 {
    match option {
        LcpOption::Mru => kind::MRU,
        LcpOption::Accm(_) => kind::ACCM,
        LcpOption::Magic => kind::MAGIC,
        LcpOption::Pfc => kind::PFC,
        LcpOption::Acfc => kind::ACFC,
        LcpOption::Callback(_) => kind::CALLBACK,
    }
}
