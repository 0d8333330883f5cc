//! Why a socket could not be had, in the operator's words.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// A socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program holds the port.
    #[error(
        "UDP {address} is already in use, perhaps by another IKE daemon (strongSwan, libreswan) or a \
         second adit: `ss -ulpn 'sport = :{port}'` shows which; stop it or listen elsewhere",
        port = address.port()
    )]
    InUse {
        /// What was to be bound.
        address: SocketAddr,
    },
    /// The port needs a privilege.
    #[error(
        "no permission to bind UDP {address}: ports below 1024 need root or CAP_NET_BIND_SERVICE"
    )]
    Permission {
        /// What was to be bound.
        address: SocketAddr,
    },
    /// No interface has the address.
    #[error(
        "no interface of this host has the address {ip}, so UDP {address} cannot be bound: `ip address` \
         lists those there are; listen on one of them or on the wildcard address",
        ip = address.ip()
    )]
    NoSuchAddress {
        /// What was to be bound.
        address: SocketAddr,
    },
    /// The kernel does not have the family.
    #[error(
        "this kernel has no {family}, so UDP {address} cannot be bound: switch it on or leave that \
         address out of the listen addresses",
        family = if address.is_ipv6() { "IPv6" } else { "IPv4" }
    )]
    NoFamily {
        /// What was to be bound.
        address: SocketAddr,
    },
    /// Raw sockets need a privilege.
    #[error(
        "no permission to open a raw socket for ESP (IP protocol 50) on {ip}: it needs root or \
         CAP_NET_RAW; give it, or serve ESP in UDP only with esp = false in [listen]"
    )]
    RawPermission {
        /// What was to be bound.
        ip: IpAddr,
    },
    /// Anything else about a raw socket.
    #[error("the raw socket for ESP (IP protocol 50) on {ip} failed while {step}: {source}")]
    Raw {
        /// What was to be bound.
        ip: IpAddr,
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Anything else.
    #[error("UDP {address} failed while {step}: {source}")]
    Failed {
        /// What was to be bound.
        address: SocketAddr,
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl BindError {
    pub(super) fn of_esp(ip: IpAddr, step: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => Self::RawPermission { ip },
            _ => Self::Raw { ip, step, source },
        }
    }

    pub(super) fn new(address: SocketAddr, step: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EADDRINUSE) => Self::InUse { address },
            Some(libc::EACCES | libc::EPERM) => Self::Permission { address },
            Some(libc::EADDRNOTAVAIL) => Self::NoSuchAddress { address },
            Some(libc::EAFNOSUPPORT) => Self::NoFamily { address },
            _ => Self::Failed {
                address,
                step,
                source,
            },
        }
    }
}
