use super::*;

#[test]
fn the_portable_kernel_is_everywhere_and_the_best_is_last() {
    let all: Vec<_> = Kernel::all().collect();
    assert_eq!(all.first(), Some(&Kernel::PORTABLE));
    assert_eq!(all.last(), Some(&Kernel::best()));
    assert!(all.is_sorted());
}

#[cfg(target_arch = "x86_64")]
mod vectors {
    use super::*;
    use crate::{BlockCipher, CbcKey, Hash, HmacKey, Rng};

    fn unhex(text: &str) -> Vec<u8> {
        hex::decode(text.replace(char::is_whitespace, "")).unwrap()
    }

    /// Keys whose MAC is not of interest, or whose cipher is not.
    fn keys(cipher_key: &[u8], hash: Hash, mac_key: &[u8]) -> LaneKeys {
        LaneKeys::new(cipher_key, hash, mac_key).expect("found, so it has AES-NI")
    }

    /// NIST SP 800-38A, F.2.1 to F.2.6.
    #[test]
    fn aes_cbc_of_nist_in_every_lane() {
        let clear = unhex(
            "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
             30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710",
        );
        let iv: Block = std::array::from_fn(|i| i as u8);
        for (key, expected) in [
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2
                 73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7",
            ),
            (
                "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
                "4f021db243bc633d7178183a9fa071e8 b4d9ada9ad7dedf4e5e738763f69145a
                 571b242012fb7ae07fa9baac3df102e0 08b0e27988598881d920a9e64f5615cd",
            ),
            (
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                "f58c4c04d6e5f1ba779eabfb5f7bfbd6 9cfc4e967edb808d679f777bc6702c7d
                 39f23369a9d9bacfa530e26304231461 b2eb05e2c39be9fcda6c19078c6a9d1b",
            ),
        ] {
            let keys = keys(&unhex(key), Hash::Sha1, &[0; 20]);
            for lanes in Lanes::found() {
                for count in 1..40 {
                    let mut texts = vec![clear.clone(); count];
                    let jobs = texts
                        .iter_mut()
                        .map(|text| keys.cbc_job(iv, text.as_chunks_mut().0));
                    lanes.cbc_encrypt(keys.rounds(), count, jobs);
                    for text in &mut texts {
                        assert_eq!(*text, unhex(expected), "{lanes:?} {count}");
                        lanes.cbc_decrypt(&keys, &iv, text.as_chunks_mut().0);
                        assert_eq!(*text, clear, "{lanes:?}");
                    }
                }
            }
        }
    }

    /// RFC 2202 section 3 and RFC 4231 section 4, those with keys of at most a block.
    #[test]
    fn hmacs_of_the_rfcs_in_every_lane() {
        let rising: Vec<u8> = (1..=25).collect();
        let cases: [(Hash, &[u8], &[u8], &str); 8] = [
            (
                Hash::Sha1,
                &[0x0b; 20],
                b"Hi There",
                "b617318655057264e28bc0b6fb378c8ef146be00",
            ),
            (
                Hash::Sha1,
                b"Jefe",
                b"what do ya want for nothing?",
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            ),
            (
                Hash::Sha1,
                &[0xaa; 20],
                &[0xdd; 50],
                "125d7342b9ac11cd91a39af48aa17b4f63f175d3",
            ),
            (
                Hash::Sha1,
                &rising,
                &[0xcd; 50],
                "4c9007f4026250c6bc8414f9bf50c86c2d7235da",
            ),
            (
                Hash::Sha2_256,
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                Hash::Sha2_256,
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                Hash::Sha2_256,
                &[0xaa; 20],
                &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                Hash::Sha2_256,
                &rising,
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
        ];
        for (hash, key, data, expected) in cases {
            let keys = keys(&[0; 16], hash, key);
            let expected = unhex(expected);
            for lanes in Lanes::found() {
                for count in 1..40 {
                    // The last four bytes as the number that follows a packet, and as data.
                    let (start, end) = data.split_last_chunk::<4>().unwrap();
                    let mut macs = vec![vec![0; expected.len()]; count];
                    let jobs = macs.iter_mut().enumerate().map(|(i, mac)| match i % 2 {
                        0 => keys.mac_job(data, None, mac).unwrap(),
                        _ => keys.mac_job(start, Some(*end), mac).unwrap(),
                    });
                    lanes.hmac(hash, count, jobs);
                    assert!(macs.iter().all(|mac| *mac == expected), "{lanes:?} {count}");
                }
            }
        }
    }

    /// Thousands of texts and messages of all lengths, refilling lanes at all points.
    #[test]
    fn random_lengths_are_as_one_by_one() {
        let mut rng = Rng::from_seed([51; 32]);
        for round in 0..600_u32 {
            let cipher = [
                BlockCipher::Aes128,
                BlockCipher::Aes192,
                BlockCipher::Aes256,
            ][rng.below(3) as usize];
            let hash = [Hash::Sha1, Hash::Sha2_256][rng.below(2) as usize];
            let all: Vec<_> = (0..3)
                .map(|_| {
                    let mut cipher_key = vec![0; cipher.key_len()];
                    rng.fill(&mut cipher_key);
                    let mac_key: [u8; 32] = rng.array();
                    (
                        CbcKey::new(cipher, &cipher_key).unwrap(),
                        HmacKey::new(hash, &mac_key),
                        keys(&cipher_key, hash, &mac_key),
                    )
                })
                .collect();
            let count = rng.below(50) as usize;
            let most = if round % 10 == 0 { 4096 } else { 20 };
            let clear: Vec<_> = (0..count)
                .map(|_| {
                    let mut text = vec![0; 16 * rng.below(most) as usize];
                    rng.fill(&mut text);
                    (text, rng.below(3) as usize, rng.array::<16>())
                })
                .collect();
            for lanes in Lanes::found() {
                let mut texts = clear.clone();
                let jobs = texts.iter_mut().map(|(text, who, iv)| {
                    let (_, _, keys) = &all[*who];
                    keys.cbc_job(*iv, text.as_chunks_mut().0)
                });
                lanes.cbc_encrypt(all[0].2.rounds(), count, jobs);
                for ((text, who, iv), (clear, ..)) in texts.iter_mut().zip(&clear) {
                    let (alone, _, keys) = &all[*who];
                    let mut expected = clear.clone();
                    alone.encrypt(iv, &mut expected).unwrap();
                    assert_eq!(*text, expected, "{lanes:?}");
                    lanes.cbc_decrypt(keys, iv, text.as_chunks_mut().0);
                    assert_eq!(text, clear, "{lanes:?}");
                }

                // Lengths that are no whole blocks, and MACs that are cut.
                let cut = |text: &[u8], iv: &Block| text.len().saturating_sub(iv[0].into());
                let mut macs: Vec<_> = clear
                    .iter()
                    .map(|(_, _, iv)| vec![0; [12, 16, 20][usize::from(iv[1] % 3)]])
                    .collect();
                let suffix = |iv: &Block| {
                    iv[2]
                        .is_multiple_of(2)
                        .then(|| iv[3..7].try_into().unwrap())
                };
                let jobs = clear.iter().zip(&mut macs).map(|((text, who, iv), mac)| {
                    let data = &text[..cut(text, iv)];
                    all[*who].2.mac_job(data, suffix(iv), mac).unwrap()
                });
                lanes.hmac(hash, count, jobs);
                for ((text, who, iv), mac) in clear.iter().zip(&macs) {
                    let suffix = suffix(iv);
                    let end = suffix.as_ref().map_or(&[][..], |suffix: &[u8; 4]| suffix);
                    let alone = all[*who].1.mac(&[&text[..cut(text, iv)], end]);
                    assert_eq!(mac[..], alone[..mac.len()], "{lanes:?} {hash}");
                }
            }
        }
    }

    #[test]
    fn keys_of_other_lengths_have_no_lanes() {
        assert!(LaneKeys::new(&[0; 15], Hash::Sha1, &[0; 20]).is_none());
        assert!(LaneKeys::new(&[0; 33], Hash::Sha1, &[0; 20]).is_none());
        let long = keys(&[0; 24], Hash::Sha1, &[0; 65]);
        let mut mac = [0; 12];
        assert!(long.mac_job(&[], None, &mut mac).is_none());
        let other = keys(&[0; 24], Hash::Sha2_512, &[0; 64]);
        assert!(other.mac_job(&[], None, &mut mac).is_none());
    }
}
