//! Ciphers, MACs, PRFs, Diffie-Hellman groups and the MS-CHAPv2 sums behind small types.
