//! IP on a session's link: pools, Router Advertisements, DHCPv6, MTU and MSS, ICMP errors.
