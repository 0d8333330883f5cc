use super::*;

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

struct EcdhVector {
    group: Group,
    initiator: &'static str,
    initiator_public: &'static str,
    responder: &'static str,
    responder_public: &'static str,
    shared: &'static str,
}

const RFC_5903: [EcdhVector; 3] = [
    // 8.1
    EcdhVector {
        group: Group::Ecp256,
        initiator: "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
        initiator_public: "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180\
            5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
        responder: "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
        responder_public: "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63\
            56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
        shared: "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
    },
    // 8.2
    EcdhVector {
        group: Group::Ecp384,
        initiator: "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655\
            e35b538041e649ee3faef896783ab194",
        initiator_public: "667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6\
            de3ac808acb4bdb4c88732aee95f41aa9482ed1fc0eeb9cafc4984625ccfc23f\
            65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c634573a81c",
        responder: "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942\
            e0308312916b8ed2960e4bd55a7448fc",
        responder_public: "e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d\
            0d1ac43a0336def96fda41d0774a3571dcfbec7aacf3196472169e838430367f\
            66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e6386c",
        shared: "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4\
            d603135569b9e9d09cf5d4a270f59746",
    },
    // 8.3
    EcdhVector {
        group: Group::Ecp521,
        initiator: "0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a0\
            95aa85a30fe1c2952c6771d937ba9777f5957b2639bab072462f68c27a57382d4a52",
        initiator_public: "0015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ecbe\
            e1e3bf42e00b8e380aeae57c2d107564941885942af5a7f4601723c4195d176ced3e\
            017cae20b6641d2eeb695786d8c946146239d099e18e1d5a514c739d7cb4a10a\
            d8a788015ac405d7799dc75e7b7d5b6cf2261a6a7f1507438bf01beb6ca3926f9582",
        responder: "0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e\
            9c677d600b343757a3bdbf2a3163e4c2f869cca7458aa4a4effc311f5cb151685eb9",
        responder_public: "00d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a21\
            9b97c356436adc6e95bb0352f6be64a6c2912d4ef2d0433ced2b6171640012d9460f\
            015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c724d9852077b87\
            220b6536c5c408a1d2aebb8e86d678ae49cb57091f4732296579ab44fcd17f0fc56a",
        shared: "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04\
            d1427e73ca4baa240a34786859810c06b3c715a3a8cc3151f2bee417996d19f3ddea",
    },
];

#[test]
fn rfc_5903_section_8() {
    for vector in RFC_5903 {
        let private = |text| {
            PrivateValue(Private::Ecp(ecp::Scalar::from_vector(
                vector.group,
                &unhex(text),
            )))
        };
        let [initiator, responder] = [vector.initiator, vector.responder].map(private);
        assert_eq!(hex::encode(initiator.public()), vector.initiator_public);
        assert_eq!(hex::encode(responder.public()), vector.responder_public);
        for (ours, theirs) in [
            (&initiator, vector.responder_public),
            (&responder, vector.initiator_public),
        ] {
            let shared = ours.agree(&unhex(theirs)).unwrap();
            assert_eq!(hex::encode(&*shared), vector.shared);
        }
    }
}

#[test]
fn both_sides_agree_in_every_group() {
    let mut rng = Rng::from_seed([5; 32]);
    for group in Group::ALL {
        let a = PrivateValue::generate(group, &mut rng);
        let b = PrivateValue::generate(group, &mut rng);
        let (public_a, public_b) = (a.public(), b.public());
        assert_eq!((a.group(), public_a.len()), (group, group.public_len()));
        assert_ne!(public_a, public_b);
        let shared = a.agree(&public_b).unwrap();
        assert_eq!(&*shared, &*b.agree(&public_a).unwrap());
        assert!(shared.iter().any(|byte| *byte != 0));
    }
}

#[test]
fn identifiers_are_those_of_ike() {
    for (id, group, name) in [
        (2, Group::Modp1024, "MODP-1024"),
        (5, Group::Modp1536, "MODP-1536"),
        (14, Group::Modp2048, "MODP-2048"),
        (15, Group::Modp3072, "MODP-3072"),
        (16, Group::Modp4096, "MODP-4096"),
        (19, Group::Ecp256, "ECP-256"),
        (20, Group::Ecp384, "ECP-384"),
        (21, Group::Ecp521, "ECP-521"),
    ] {
        assert_eq!(Group::from_ike(id), Some(group));
        assert_eq!((group.ike(), group.to_string().as_str()), (id, name));
    }
    for id in [0, 1, 3, 17, 22, 31, 32768] {
        assert_eq!(Group::from_ike(id), None);
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let mut rng = Rng::from_seed([6; 32]);
    for group in Group::ALL {
        let ours = PrivateValue::generate(group, &mut rng);
        let peer = PrivateValue::generate(group, &mut rng).public();
        let mut long = vec![0];
        long.extend(&peer);
        for value in [&[][..], &peer[1..], &long] {
            assert_eq!(
                ours.agree(value).unwrap_err(),
                BadPublicValue::Length {
                    group,
                    actual: value.len()
                }
            );
        }
    }
}

#[test]
fn points_off_the_curve_are_refused() {
    let mut rng = Rng::from_seed([7; 32]);
    for group in [Group::Ecp256, Group::Ecp384, Group::Ecp521] {
        let ours = PrivateValue::generate(group, &mut rng);
        let peer = PrivateValue::generate(group, &mut rng).public();
        let mut off = peer.clone();
        *off.last_mut().unwrap() ^= 1;
        let mut swapped = peer.clone();
        swapped.rotate_left(peer.len() / 2);
        for value in [off, swapped, vec![0; peer.len()], vec![0xff; peer.len()]] {
            assert_eq!(
                ours.agree(&value).unwrap_err(),
                BadPublicValue::NotOnCurve { group }
            );
        }
    }
}

#[test]
fn secrets_are_not_shown() {
    let mut rng = Rng::from_seed([8; 32]);
    let private = PrivateValue::generate(Group::Ecp256, &mut rng);
    assert_eq!(format!("{private:?}"), "PrivateValue { group: Ecp256, .. }");
    let shared = private.agree(&private.public()).unwrap();
    assert_eq!(format!("{shared:?}"), "SharedSecret(32 bytes)");
}
