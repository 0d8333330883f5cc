//! Ways to authenticate: methods, the protocols that LCP agrees on for them, and what peers ask for.

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// The password itself (RFC 1334 2).
    Pap,
    /// CHAP with MD5 (RFC 1994).
    ChapMd5,
    /// MS-CHAP version 2 (RFC 2759).
    MsChapV2,
    /// EAP with MD5-Challenge (RFC 3748 5.4).
    EapMd5,
    /// EAP with MS-CHAP version 2 (draft-kamath-pppext-eap-mschapv2-02).
    EapMsChapV2,
    /// EAP with TLS 1.2 (RFC 5216) or 1.3 (RFC 9190): both ends have certificates.
    EapTls,
}

impl AuthMethod {
    pub(crate) fn protocol(self) -> AuthProtocol {
        match self {
            Self::Pap => AuthProtocol::Pap,
            Self::ChapMd5 => AuthProtocol::ChapMd5,
            Self::MsChapV2 => AuthProtocol::MsChapV2,
            Self::EapMd5 | Self::EapMsChapV2 | Self::EapTls => AuthProtocol::Eap,
        }
    }

    /// The EAP type (RFC 3748 5); `None` outside EAP.
    pub(crate) fn eap_type(self) -> Option<u8> {
        match self {
            Self::Pap | Self::ChapMd5 | Self::MsChapV2 => None,
            Self::EapMd5 => Some(4),
            Self::EapMsChapV2 => Some(26),
            Self::EapTls => Some(13),
        }
    }
}

/// What LCP agrees on; EAP settles its methods by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthProtocol {
    /// RFC 1334.
    Pap,
    /// CHAP with algorithm 5 (RFC 1994).
    ChapMd5,
    /// CHAP with algorithm 0x81 (RFC 2759).
    MsChapV2,
    /// RFC 3748.
    Eap,
}

impl AuthProtocol {
    /// Data of the LCP authentication-protocol option (RFC 1661 6.2).
    pub(crate) fn option(self) -> &'static [u8] {
        match self {
            Self::Pap => &[0xc0, 0x23],
            Self::ChapMd5 => &[0xc2, 0x23, 0x05],
            Self::MsChapV2 => &[0xc2, 0x23, 0x81],
            Self::Eap => &[0xc2, 0x27],
        }
    }

    pub(crate) fn from_option(data: &[u8]) -> Option<Self> {
        [Self::Pap, Self::ChapMd5, Self::MsChapV2, Self::Eap]
            .into_iter()
            .find(|protocol| protocol.option() == data)
    }

    /// The protocols of some methods, in the same order, each once.
    pub(crate) fn of_methods(methods: &[AuthMethod]) -> Vec<Self> {
        let mut protocols = Vec::new();
        for method in methods {
            if !protocols.contains(&method.protocol()) {
                protocols.push(method.protocol());
            }
        }
        protocols
    }
}

impl std::fmt::Display for AuthProtocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pap => "PAP",
            Self::ChapMd5 => "CHAP-MD5",
            Self::MsChapV2 => "MS-CHAPv2",
            Self::Eap => "EAP",
        })
    }
}

impl std::fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pap => "PAP",
            Self::ChapMd5 => "CHAP-MD5",
            Self::MsChapV2 => "MS-CHAPv2",
            Self::EapMd5 => "EAP-MD5",
            Self::EapMsChapV2 => "EAP-MSCHAPv2",
            Self::EapTls => "EAP-TLS",
        })
    }
}

/// What an end asks for with the authentication-protocol option of LCP (RFC 1661 6.2), known here
/// or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthOption(Vec<u8>);

impl AuthOption {
    pub(crate) fn new(data: &[u8]) -> Self {
        Self(data.to_vec())
    }

    /// The protocol, if it is one that is spoken here.
    pub fn protocol(&self) -> Option<AuthProtocol> {
        AuthProtocol::from_option(&self.0)
    }
}

impl std::fmt::Display for AuthOption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.protocol(), self.0.as_slice()) {
            (Some(protocol), _) => protocol.fmt(f),
            (None, []) => f.write_str("no authentication"),
            (None, [0xc2, 0x23, 0x80, ..]) => f.write_str("MS-CHAP version 1"),
            (None, [0xc2, 0x23, algorithm, ..]) => write!(f, "CHAP algorithm {algorithm:#04x}"),
            (None, [high, low, ..]) => write!(f, "authentication protocol {high:#04x}{low:02x}"),
            (None, [_]) => f.write_str("an unreadable authentication protocol"),
        }
    }
}
