use adit_wire::offload::VirtioHeader;

use crate::inward::Inward;
use crate::keys;
use crate::outward::Outward;

const MSS: usize = 1300;
const ACK: u8 = 0x10;

/// A TCP stream of so many bytes as TUN gives and takes it, with the checksum of the pseudo-header alone.
fn stream(v6: bool, payload: usize) -> Vec<u8> {
    let start: u16 = if v6 { 40 } else { 20 };
    let length = 20 + payload as u16;
    let mut ip = if v6 {
        let mut ip = vec![0x60, 0, 0, 0, 0, 0, 6, 64];
        ip[4..6].copy_from_slice(&length.to_be_bytes());
        ip
    } else {
        let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0];
        ip[2..4].copy_from_slice(&(start + length).to_be_bytes());
        ip
    };
    ip.resize(start.into(), 7);
    if !v6 {
        let sum = adit_wire::checksum::internet(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    let addresses = &ip[if v6 { 8 } else { 12 }..];
    let words = addresses
        .chunks(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let sum: u32 = words.map(u32::from).sum::<u32>() + 6 + u32::from(length);
    let sum = ((sum & 0xffff) + (sum >> 16)) as u16;
    let mut tcp = [0x12; 20];
    tcp[12..14].copy_from_slice(&[0x50, ACK]);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    let [headers, size, start] = [start + 20, MSS as u16, start].map(u16::to_ne_bytes);
    let [a, b, c] = [headers, size, start];
    let kind = if v6 { 4 } else { 1 };
    let virtio = [1, kind, a[0], a[1], b[0], b[1], c[0], c[1]];
    let mut read = [&virtio[..], &16_u16.to_ne_bytes(), &ip, &tcp].concat();
    read.extend((0..payload).map(|i| (i / 3) as u8));
    read
}

fn seal(outward: &mut Outward, read: &[u8]) -> Vec<(Vec<u8>, usize, usize)> {
    outward.room()[..read.len()].copy_from_slice(read);
    outward.add(read.len()).unwrap();
    let mut runs = Vec::new();
    outward.seal(|bytes, size, count| runs.push((bytes.to_vec(), size, count)));
    runs
}

/// Opens datagrams: what is written, and how many were refused.
fn open(datagrams: &[Vec<u8>]) -> (Vec<Vec<u8>>, usize) {
    let mut datagrams = datagrams.to_vec();
    let mut written = Vec::new();
    let refused = Inward::new(keys().unwrap()).open(
        datagrams.iter_mut().map(|datagram| &mut datagram[..]),
        |parts, _| written.push(parts.iter().flat_map(|part| part.to_vec()).collect()),
    );
    (written, refused)
}

#[test]
fn what_one_end_reads_the_other_writes() {
    let mut outward = Outward::new(keys().unwrap());
    for (v6, payload, counts) in [
        (false, 30 * MSS + 5, &[31][..]),
        (true, 48 * MSS, &[46, 2]),
        (true, 2 * MSS, &[2]),
    ] {
        let read = stream(v6, payload);
        let runs = seal(&mut outward, &read);
        let found: Vec<_> = runs.iter().map(|(_, _, count)| *count).collect();
        assert_eq!(found, counts);
        let datagrams = runs.iter().flat_map(|(bytes, size, _)| bytes.chunks(*size));
        let mut datagrams: Vec<_> = datagrams.map(<[u8]>::to_vec).collect();
        assert_eq!(open(&datagrams), (vec![read.clone()], 0));

        // Without the last, and with one that somebody altered.
        let last = datagrams.pop().unwrap();
        datagrams[0][40] ^= 1;
        let (written, refused) = open(&datagrams);
        assert_eq!(refused, 1);
        assert_eq!(written.len(), usize::from(datagrams.len() > 1));
        let end = read.last_chunk::<5>().unwrap();
        assert!(open(&[last]).0[0].ends_with(end));
    }
}

#[test]
fn what_tun_never_says_is_an_error() {
    let mut outward = Outward::new(keys().unwrap());
    let mut read = stream(false, MSS);
    read[1] = 99;
    outward.room()[..read.len()].copy_from_slice(&read);
    assert!(outward.add(read.len()).is_err());
    assert!(outward.add(VirtioHeader::LEN - 1).is_err());
    outward.seal(|_, _, _| panic!("nothing to send"));
}
