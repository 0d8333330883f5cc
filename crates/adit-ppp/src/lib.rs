//! PPP: the RFC 1661 automaton, LCP, PAP, CHAP, MS-CHAPv2, IPCP and IPv6CP.
