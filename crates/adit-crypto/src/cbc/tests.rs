use super::*;
use proptest::prelude::*;

/// Encrypts and decrypts one vector; all arguments but the cipher in hexadecimal.
fn check(cipher: BlockCipher, key: &str, iv: &str, clear: &str, encrypted: &str) {
    let [key, iv, clear, encrypted] =
        [key, iv, clear, encrypted].map(|text| hex::decode(text).unwrap());
    let cbc = CbcKey::new(cipher, &key).unwrap();
    assert_eq!(cbc.cipher(), cipher);
    let mut data = clear.clone();
    cbc.encrypt(&iv, &mut data).unwrap();
    assert_eq!(hex::encode(&data), hex::encode(&encrypted));
    cbc.decrypt(&iv, &mut data).unwrap();
    assert_eq!(data, clear);
}

#[test]
fn rfc_3602_section_4() {
    check(
        BlockCipher::Aes128,
        "06a9214036b8a15b512e03d534120006",
        "3dafba429d9eb430b422da802c9fac41",
        &hex::encode("Single block msg"),
        "e353779c1079aeb82708942dbe77181a",
    );
    check(
        BlockCipher::Aes128,
        "c286696d887c9aa0611bbb3e2025a45a",
        "562e17996d093d28ddb3ba695a2e6f58",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
    );
    check(
        BlockCipher::Aes128,
        "6c3ea0477630ce21a2ce334aa746c2cd",
        "c782dc4c098c66cbd9cd27d825682c81",
        &hex::encode("This is a 48-byte message (exactly 3 AES blocks)"),
        "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5\
         021c19216bad525c8579695d83ba2684",
    );
}

#[test]
fn sp_800_38a_f_2() {
    let iv = "000102030405060708090a0b0c0d0e0f";
    let clear = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
    check(
        BlockCipher::Aes192,
        "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
        iv,
        clear,
        "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a",
    );
    check(
        BlockCipher::Aes256,
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        iv,
        clear,
        "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d",
    );
}

#[test]
fn triple_des() {
    // The key and text of SP 800-67 B.1, chained; made with OpenSSL.
    check(
        BlockCipher::TripleDes,
        "0123456789abcdef23456789abcdef01456789abcdef0123",
        "0011223344556677",
        &hex::encode("The qufck brown fox jump"),
        "256554b72a698322ff9b1a0d888c3a5e7f94342f68b4faaf",
    );
}

const CIPHERS: [BlockCipher; 4] = [
    BlockCipher::Aes128,
    BlockCipher::Aes192,
    BlockCipher::Aes256,
    BlockCipher::TripleDes,
];

#[test]
fn wrong_lengths_are_errors_and_change_nothing() {
    for cipher in CIPHERS {
        for len in [0, cipher.key_len() - 1, cipher.key_len() + 1] {
            assert_eq!(
                CbcKey::new(cipher, &vec![1; len]).unwrap_err(),
                KeyLength {
                    expected: cipher.key_len(),
                    actual: len
                }
            );
        }
        let key = CbcKey::new(cipher, &vec![1; cipher.key_len()]).unwrap();
        let block = cipher.block_len();
        for (iv, data) in [(block, block + 1), (block - 1, block), (0, 0), (block, 1)] {
            let error = BlockAlignment { block, iv, data };
            let mut bytes = vec![7; data];
            assert_eq!(key.encrypt(&vec![0; iv], &mut bytes), Err(error));
            assert_eq!(key.decrypt(&vec![0; iv], &mut bytes), Err(error));
            assert_eq!(bytes, vec![7; data]);
        }
        assert_eq!(key.encrypt(&vec![0; block], &mut []), Ok(()));
    }
}

proptest! {
    #[test]
    fn what_is_encrypted_decrypts(
        cipher in proptest::sample::select(&CIPHERS),
        seed: u8,
        blocks in 1_usize..40,
    ) {
        let key: Vec<u8> = (0..cipher.key_len()).map(|i| seed.wrapping_add(i as u8)).collect();
        let key = CbcKey::new(cipher, &key).unwrap();
        let iv = vec![seed; cipher.block_len()];
        let clear: Vec<u8> = (0..blocks * cipher.block_len()).map(|i| i as u8).collect();
        let mut data = clear.clone();
        key.encrypt(&iv, &mut data).unwrap();
        prop_assert_ne!(&data, &clear);
        key.decrypt(&iv, &mut data).unwrap();
        prop_assert_eq!(data, clear);
    }
}
