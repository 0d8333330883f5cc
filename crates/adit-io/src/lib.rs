//! Sockets, TUN, netlink, nftables: everything that touches the host.
