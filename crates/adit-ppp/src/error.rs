//! What can be wrong with what a peer sends, and why no agreement is reached.

use crate::frame::FrameError;
use crate::method::{AuthMethod, AuthOption};
use crate::option::OptionError;
use crate::packet::PacketError;

/// Why [`Link::handle_frame`](crate::Link::handle_frame) did not take a frame. Unless it is
/// `Failed`, the frame was dropped and the link goes on as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No readable PPP header.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The packet is not described by its length.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The options cannot be read.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// The body of a packet is shorter than its code asks for, or a length in it lies.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// An answer to nothing that is outstanding.
    #[error("code {code} with identifier {id} answers nothing that was asked")]
    Unmatched {
        /// Code of the packet.
        code: u8,
        /// Its identifier.
        id: u8,
    },
    /// Our own packet came back.
    #[error("our own packet came back (magic number)")]
    Looped,
    /// Data were passed to the control plane.
    #[error("a data packet (protocol {0:#06x}) where a control packet was expected")]
    Data(u16),
    /// The frame ends a negotiation: the link goes down if it was LCP's, else that family stays
    /// down.
    #[error("negotiation of {protocol} failed: {failure}")]
    Failed {
        /// "LCP", "IPCP" or "IPv6CP".
        protocol: &'static str,
        /// Why.
        failure: Failure,
    },
}

/// Why a negotiation ends without agreement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Max-configure requests got no answer.
    #[error("the peer does not answer")]
    NoAnswer,
    /// The peer acknowledges our requests and never makes one of its own.
    #[error("the peer never sends a Configure-Request")]
    NoRequest,
    /// More Naks than max-failure.
    #[error("no agreement after {0} rounds")]
    NoConvergence(u32),
    /// No method of authentication is left that both ends have.
    #[error("{}", auth_text(wanted, allowed))]
    AuthMethod {
        /// What the peer names instead: authentication-protocol option data. Empty: it names none.
        wanted: Vec<u8>,
        /// What is allowed here.
        allowed: Vec<AuthMethod>,
    },
    /// The server rejects or cannot do without the authentication protocol that it asked for.
    #[error("the peer rejects the authentication protocol that was agreed on")]
    AuthProtocolRejected,
    /// The peer rejects the IP-Address option.
    #[error("the peer rejects the address option")]
    AddressRejected,
    /// The peer acknowledged that we have no address.
    #[error("the peer assigns no address")]
    NoAddress,
    /// The peer rejects the Interface-Identifier option.
    #[error("the peer rejects the interface identifier option")]
    InterfaceIdRejected,
    /// Nothing is compressed here.
    #[error("no compression is wanted")]
    NoCompression,
    /// The peer does not know the codes of the automaton.
    #[error("the peer rejects code {0}")]
    CodeRejected(u8),
    /// The peer does not know LCP.
    #[error("the peer rejects LCP")]
    ProtocolRejected,
    /// The link is connected to itself.
    #[error("the link is looped back")]
    LoopedBack,
}

fn auth_text(wanted: &[u8], allowed: &[AuthMethod]) -> String {
    let wanted = AuthOption::new(wanted);
    let allowed: Vec<_> = allowed.iter().map(AuthMethod::to_string).collect();
    format!(
        "client wants {wanted}; allowed: {}; see ppp.auth",
        allowed.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_method_is_named() {
        let text = |wanted: &[u8]| {
            let allowed = vec![AuthMethod::MsChapV2, AuthMethod::ChapMd5];
            let wanted = wanted.to_vec();
            Failure::AuthMethod { wanted, allowed }.to_string()
        };
        assert_eq!(
            text(&[0xc0, 0x23]),
            "client wants PAP; allowed: MS-CHAPv2, CHAP-MD5; see ppp.auth"
        );
        assert!(text(&[0xc2, 0x27]).starts_with("client wants EAP;"));
        assert!(text(&[0xc2, 0x23, 0x80]).starts_with("client wants MS-CHAP version 1;"));
        assert!(text(&[]).starts_with("client wants no authentication;"));
        assert!(text(&[0xc0, 0x25]).contains("0xc025"));
    }
}
