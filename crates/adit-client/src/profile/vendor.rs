//! Vendor IDs that more than one client sends, byte for byte.

type Id = [u8; 16];

const fn id(number: u128) -> Id {
    number.to_be_bytes()
}

pub(crate) const RFC3947: Id = id(0x4a131c81_07035845_5c5728f2_0e95452f);
pub(crate) const NAT_T_03: Id = id(0x7d9419a6_5310ca6f_2c179d92_15529d56);
pub(crate) const NAT_T_02_LF: Id = id(0x90cb8091_3ebb696e_086381b5_ec427b1f);
pub(crate) const NAT_T_02: Id = id(0xcd604643_35df21f8_7cfdb2fc_68b6a448);
pub(crate) const NAT_T_00: Id = id(0x4485152d_18b6bbcd_0be8a846_9579ddcc);
pub(crate) const NAT_T_01: Id = id(0x16f6ca16_e4a4066d_83821a0f_0aeaa862);
pub(crate) const UNITY: Id = id(0x12f5f28c_457168a9_702d9fe2_74cc0100);
pub(crate) const DPD: Id = id(0xafcad713_68a1f1c9_6b8696fc_77570100);
/// Fragmentation as Windows says it, without capabilities.
pub(crate) const FRAGMENTATION: Id = id(0x4048b7d5_6ebce885_25e7de7f_00d6c2d3);
/// Fragmentation with the capability of main mode behind it.
pub(crate) const FRAGMENTATION_MAIN: [u8; 20] = [
    0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8, 0x85, 0x25, 0xe7, 0xde, 0x7f, 0x00, 0xd6, 0xc2, 0xd3,
    0x80, 0, 0, 0,
];
pub(crate) const XAUTH: [u8; 8] = 0x0900_2689_dfd6_b712_u64.to_be_bytes();
pub(crate) const NEGOTIATION_DISCOVERY: Id = id(0xfb1de3cd_f341b7ea_16b7e5be_0855f120);
pub(crate) const INITIAL_CONTACT: Id = id(0x26244d38_eddb61b3_172a36e3_d0cfb819);
pub(crate) const IKE_CGA_1: Id = id(0xe3a5966a_76379fe7_07228231_e5ce8652);
pub(crate) const APPLE_DRAFT: Id = id(0x4df37928_e9fc4fd1_b3262170_d515c662);
pub(crate) const NAT_T_08: Id = id(0x8f8d8382_6d246b6f_c7a8a6a4_28c11de8);
pub(crate) const NAT_T_07: Id = id(0x439b59f8_ba676c4c_7737ae22_eab8f582);
pub(crate) const NAT_T_06: Id = id(0x4d1e0e13_6deafa34_c4f3ea9f_02ec7285);
pub(crate) const NAT_T_05: Id = id(0x80d0bb3d_ef54565e_e84645d4_c85ce3ee);
pub(crate) const NAT_T_04: Id = id(0x9909b64e_ed937c65_73de52ac_e952fa6b);

/// MS NT5 ISAKMPOAKLEY with its version.
pub(crate) const fn ms_nt5(version: u8) -> [u8; 20] {
    [
        0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4,
        0x61, 0, 0, 0, version,
    ]
}
