//! Which socket of a group a datagram is for: by the SPI, so that it stays the same when a NAT gives
//! the peer another address, or the peer floats from one port to another (RFC 3947 4).

use std::io;
use std::net::UdpSocket;

use nix::sys::socket::{setsockopt, sockopt};

/// The member that gets the datagrams of an SPI, in a group of so many. Member 0 gets those that
/// begin with the four zero bytes of IKE (RFC 3948 2.2), and keepalives; the others share the SPIs.
pub fn member_of(spi: u32, members: usize) -> usize {
    let others = u32::try_from(members.saturating_sub(1)).unwrap_or(u32::MAX);
    match spi.checked_rem(others) {
        // cast: below `members`
        Some(rest) if spi != 0 => 1 + rest as usize,
        _ => 0,
    }
}

/// Has the kernel choose as [`member_of`] does, in the group of at least two that `member` is of.
pub(super) fn steer(member: &UdpSocket, members: usize) -> io::Result<()> {
    let others = u32::try_from(members.saturating_sub(1)).unwrap_or(u32::MAX);
    let step = |code, jt, jf, k| libc::sock_filter {
        // cast: an opcode has 16 bits
        code: code as u16,
        jt,
        jf,
        k,
    };
    // The program sees the UDP payload. A load past its end ends the program with 0.
    let mut program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 2, 0, 0),
        step(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, 0, 0, others),
        step(libc::BPF_ALU | libc::BPF_ADD | libc::BPF_K, 0, 0, 1),
        step(libc::BPF_RET | libc::BPF_A, 0, 0, 0),
    ];
    let program = libc::sock_fprog {
        // cast: five steps
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    Ok(setsockopt(member, sockopt::AttachReusePortCbpf, &program)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ike_is_for_the_first_and_spis_are_shared_by_the_others() {
        for members in [0, 1, 2, 3, 5] {
            assert_eq!(member_of(0, members), 0);
        }
        for spi in [1, 255, 256, 0xc000_0001, u32::MAX] {
            assert_eq!(member_of(spi, 1), 0);
            assert_eq!(member_of(spi, 2), 1);
            assert_eq!(member_of(spi, 4), 1 + (spi % 3) as usize);
        }
    }
}
