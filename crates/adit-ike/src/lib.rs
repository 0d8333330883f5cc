//! ISAKMP and IKEv1: codec, main mode, Quick Mode, informational exchanges, DPD, NAT-T; both roles.
