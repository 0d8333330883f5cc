//! Numbers of the PPP protocols that are told apart here (RFC 1661 section 2, IANA).

/// IPv4 packets.
pub const IPV4: u16 = 0x0021;
/// IPv6 packets.
pub const IPV6: u16 = 0x0057;
/// IP control protocol (RFC 1332).
pub const IPCP: u16 = 0x8021;
/// IPv6 control protocol (RFC 5072).
pub const IPV6CP: u16 = 0x8057;
/// Encryption control protocol (RFC 1968); not served, since ESP encrypts.
pub const ECP: u16 = 0x8053;
/// Compression control protocol (RFC 1962); not served.
pub const CCP: u16 = 0x80fd;
/// Apple client server control protocol; served where it is configured.
pub const ACSCP: u16 = 0x8235;
/// The data of ACSCP.
pub const ACSP: u16 = 0x0235;
/// Link control protocol (RFC 1661).
pub const LCP: u16 = 0xc021;
/// Password authentication protocol (RFC 1334).
pub const PAP: u16 = 0xc023;
/// Challenge handshake authentication protocol (RFC 1994).
pub const CHAP: u16 = 0xc223;
/// Extensible authentication protocol (RFC 3748).
pub const EAP: u16 = 0xc227;
