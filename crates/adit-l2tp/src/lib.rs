//! L2TP: AVPs, the reliable control channel, tunnels and sessions; LNS and LAC.
