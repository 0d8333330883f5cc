//! The packet path as one thread of several sees it: one shard, locked for a batch at a time. What is
//! for the control side or for another shard is given out, and never waited for.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use adit_crypto::Kernel;
use adit_esp::{OpenBatch, Received, SealBatch, Sealed};
use adit_wire::offload::{OffloadError, Segments, VirtioHeader};
use adit_wire::{Channel, PacketBuf, Path, Transmit};
use parking_lot::{Mutex, MutexGuard};

use super::shard::Shard;
use super::{GroupKey, HEADROOM, Inbound, Learnt, NON_ESP_MARKER, Outbound, Plane, Seal, TAILROOM};
use crate::control::{Teller, TooBig};

/// Bytes of a buffer for what one read of TUN gives, cut up and sealed. Packets that are so small that it
/// is not enough take another.
const RUN_ROOM: usize = 96 << 10;

/// Such buffers that wait for use: what one batch has of them as a rule, and more.
const LONG: usize = 8;

/// Something that a worker leaves to [`Server::handle_note`](crate::Server::handle_note).
pub struct Note(pub(crate) Told);

/// What it is.
pub(crate) enum Told {
    /// A packet that was opened, and what it told besides.
    Packet {
        path: Path,
        inbound: Inbound,
        learnt: Learnt,
        /// The packet, as far as it is decrypted; the ranges are in it.
        packet: Vec<u8>,
    },
    /// An IKE message that came with ESP.
    Ike { path: Path, message: Vec<u8> },
    /// The newest SA of a group has carried enough bytes to be replaced.
    Worn(GroupKey),
    /// A packet was too big for its way: the parts of a [`TooBig`].
    TooBig {
        channel: Channel,
        remote: SocketAddr,
        mtu: u32,
        teller: Teller,
        quote: Vec<u8>,
    },
}

impl Note {
    /// What a worker's socket heard of a packet that was too big for its way, for
    /// [`Server::handle_too_big`](crate::Server::handle_too_big).
    pub fn too_big(error: &TooBig<'_>) -> Self {
        Self(Told::TooBig {
            channel: error.channel,
            remote: error.remote,
            mtu: error.mtu,
            teller: error.teller,
            quote: error.quote.to_vec(),
        })
    }

    /// Whether nobody repeats it: if it is lost, the control side does not learn it for long.
    pub fn is_said_once(&self) -> bool {
        match &self.0 {
            Told::Packet { learnt, .. } => learnt.is_any(),
            Told::Ike { .. } | Told::TooBig { .. } => false,
            Told::Worn(_) => true,
        }
    }
}

impl std::fmt::Debug for Note {
    // What is inside is a client's own.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Told::Packet { .. } => "Note::Packet",
            Told::Ike { .. } => "Note::Ike",
            Told::Worn(_) => "Note::Worn",
            Told::TooBig { .. } => "Note::TooBig",
        })
    }
}

/// A packet that another worker has to carry: give it to that one's [`Turn::take`].
#[derive(Debug)]
pub enum Handover {
    /// A datagram that came on this path.
    Datagram(Path, Vec<u8>),
    /// An IP packet from TUN.
    Packet(PacketBuf),
    /// One from TUN that stands for several.
    Train(VirtioHeader, Vec<u8>),
}

/// The packet path of one shard, for a thread of its own; made by
/// [`Server::workers`](crate::Server::workers).
///
/// Take a [`turn`](Self::turn) for each batch, then everything from [`poll_note`](Self::poll_note) and
/// [`poll_handover`](Self::poll_handover).
pub struct Worker {
    shard: Arc<Mutex<Shard>>,
    kept: SealBatch<Path>,
    /// Buffers with room for trains.
    long: Vec<PacketBuf>,
    out: Out,
}

/// What a worker gives out.
#[derive(Default)]
struct Out {
    notes: VecDeque<Note>,
    handovers: VecDeque<(usize, Handover)>,
    transmits: VecDeque<Transmit>,
    oversize: VecDeque<Transmit>,
    to_tun: VecDeque<Vec<u8>>,
}

impl Plane {
    /// One worker for each shard, in their order.
    pub(crate) fn workers(&self) -> Vec<Worker> {
        let shards = self.shards.iter();
        let workers = shards.map(|shard| Worker {
            shard: Arc::clone(shard),
            kept: SealBatch::new(),
            long: Vec::new(),
            out: Out::default(),
        });
        workers.collect()
    }
}

impl Worker {
    /// Takes the shard for one batch. What the batch makes is to be sent before the turn ends, so that
    /// nothing of the control side overtakes it with a later sequence number; but for the few that
    /// [`seal_rounds`](Turn::seal_rounds) leaves, fewer than any replay window holds.
    pub fn turn(&mut self) -> Turn<'_> {
        Turn {
            shard: self.shard.lock(),
            kept: &mut self.kept,
            long: &mut self.long,
            out: &mut self.out,
        }
    }

    /// Whether packets were left to a next turn, which has to come at once.
    pub fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// The next thing for [`Server::handle_note`](crate::Server::handle_note), in the order of these.
    pub fn poll_note(&mut self) -> Option<Note> {
        self.out.notes.pop_front()
    }

    /// The next packet for another worker, with the place of that among all.
    pub fn poll_handover(&mut self) -> Option<(usize, Handover)> {
        self.out.handovers.pop_front()
    }
}

/// A shard in the hands of its worker. While it lasts, the control side waits.
pub struct Turn<'a> {
    shard: MutexGuard<'a, Shard>,
    kept: &'a mut SealBatch<Path>,
    long: &'a mut Vec<PacketBuf>,
    out: &'a mut Out,
}

/// Packets that are made one behind the other.
struct Run {
    buf: PacketBuf,
    /// Whether one of them is in the batch, which then needs the buffer.
    is_kept: bool,
}

impl Turn<'_> {
    /// Takes datagrams of UDP 4500 that arrived together, each as
    /// [`Server::handle_datagram`](crate::Server::handle_datagram) would in its turn, and shows the IP
    /// packets for TUN to `to_tun`, all at once.
    pub fn handle_datagrams<'a>(
        &mut self,
        datagrams: impl IntoIterator<Item = (Path, &'a mut [u8])>,
        now: Instant,
        to_tun: impl FnOnce(&[&[u8]]),
    ) {
        let mut batch = OpenBatch::new(datagrams);
        self.shard.expect_inbound(batch.packets());
        batch.authenticate(Kernel::best(), |_, packet| self.shard.expect(packet));
        let take = |path, packet: &mut _| self.take_datagram(path, packet, now);
        batch.open(take, to_tun);
    }

    fn take_datagram(
        &mut self,
        path: Path,
        packet: &mut Received<'_>,
        now: Instant,
    ) -> Option<Range<usize>> {
        if packet.packet() == [0xff] {
            self.shard.stats.keepalives += 1;
            return None;
        }
        // The kernel may join datagrams of one sender, and looks at the first only.
        if let Some(message) = packet.packet().strip_prefix(&NON_ESP_MARKER) {
            let message = message.to_vec();
            self.out.notes.push_back(Note(Told::Ike { path, message }));
            return None;
        }
        let (inbound, learnt) = self.shard.inbound(path, packet, now);
        self.give(path, packet.packet(), inbound, learnt)
    }

    /// Takes what another worker gave out for this one, as
    /// [`handle_datagrams`](Self::handle_datagrams) and [`keep_tun`](Self::keep_tun) would. Gives back
    /// the buffer of a packet that is not kept.
    pub fn take(
        &mut self,
        handover: Handover,
        now: Instant,
        to_tun: impl FnOnce(&[&[u8]]),
    ) -> Option<PacketBuf> {
        match handover {
            Handover::Datagram(path, mut bytes) => {
                let mut packet = Received::new(&mut bytes);
                let (inbound, learnt) = self.shard.inbound_here(path, &mut packet, now);
                let range = self.give(path, packet.packet(), inbound, learnt);
                if let Some(packet) = range.and_then(|range| packet.packet().get(range)) {
                    to_tun(&[packet]);
                }
                None
            }
            Handover::Packet(mut packet) => {
                let seal = Seal::Later(self.kept);
                let outbound = self.shard.outbound_here(&mut packet, seal, now);
                self.keep(outbound, packet)
            }
            Handover::Train(header, packet) => {
                // The worker that gave it out has found no fault in it.
                let _ = self.take_train(&header, &packet, true, now);
                None
            }
        }
    }

    /// Gives what a packet held to whom it is for; what is for TUN to the caller.
    fn give(
        &mut self,
        path: Path,
        packet: &[u8],
        inbound: Inbound,
        learnt: Learnt,
    ) -> Option<Range<usize>> {
        let (ip, inbound) = match inbound {
            Inbound::Elsewhere(shard) => {
                let datagram = Handover::Datagram(path, packet.to_vec());
                self.out.handovers.push_back((shard.into(), datagram));
                return None;
            }
            Inbound::Ip(range) => (Some(range), Inbound::Dropped),
            Inbound::Answer(answer) => {
                self.out.transmits.push_back(answer);
                (None, Inbound::Dropped)
            }
            inbound => (None, inbound),
        };
        if learnt.is_any() || !matches!(inbound, Inbound::Dropped) {
            self.out.notes.push_back(Note(Told::Packet {
                path,
                inbound,
                learnt,
                packet: packet.to_vec(),
            }));
        }
        ip
    }

    /// Says what packets from TUN will be given to [`keep_tun`](Self::keep_tun) and
    /// [`keep_train`](Self::keep_train), so that what they need comes from memory for all of them at the
    /// same time. Changes nothing.
    pub fn expect_tun<'b>(&self, packets: impl IntoIterator<Item = &'b [u8]>) {
        self.shard.expect_outbound(packets.into_iter());
    }

    /// Takes an IP packet from TUN with [`HEADROOM`](crate::HEADROOM) before and
    /// [`TAILROOM`](crate::TAILROOM) after it. If it goes to a session, it is kept until
    /// [`seal_kept`](Self::seal_kept), or given out for another worker. Gives the buffer back if not.
    pub fn keep_tun(&mut self, mut packet: PacketBuf, now: Instant) -> Option<PacketBuf> {
        let outbound = self
            .shard
            .outbound(&mut packet, Seal::Later(self.kept), now);
        if let Outbound::Elsewhere(shard) = outbound {
            let packet = Handover::Packet(packet);
            self.out.handovers.push_back((shard.into(), packet));
            return None;
        }
        self.keep(outbound, packet)
    }

    /// Keeps the buffer of a packet that is in the batch, and gives any other back.
    fn keep(&mut self, outbound: Outbound, packet: PacketBuf) -> Option<PacketBuf> {
        if !self.give_out(outbound) {
            return Some(packet);
        }
        self.kept.keep(packet);
        None
    }

    /// The same for a packet from TUN that stands for several: each of them is made where it will be
    /// sealed, behind the one before, so that what goes one way is one piece of memory. An error says
    /// that the kernel's header does not fit the packet, of which nothing more is taken then.
    pub fn keep_train(
        &mut self,
        header: &VirtioHeader,
        packet: &[u8],
        now: Instant,
    ) -> Result<(), OffloadError> {
        self.take_train(header, packet, false, now)
    }

    /// One that was handed over is for here or for nobody.
    fn take_train(
        &mut self,
        header: &VirtioHeader,
        packet: &[u8],
        handed_over: bool,
        now: Instant,
    ) -> Result<(), OffloadError> {
        let mut segments = Segments::new(header, packet)?;
        let mut run = self.run();
        // What the headers of the packet before took, and those of the next will: an SA whose IV is
        // longer may take over in between, and then costs a packet.
        let mut front = HEADROOM;
        let mut track = None;
        let taken = loop {
            let length = segments.next_len(packet);
            if length == 0 {
                break Ok(());
            }
            if run.buf.tailroom() < front + length + TAILROOM {
                let full = std::mem::replace(&mut run, self.run());
                self.end(full);
                front = HEADROOM;
            }
            run.buf.go_behind(front);
            if let Err(error) = segments.next(packet, &mut run.buf) {
                break Err(error);
            }
            let start = run.buf.place().start;
            let shard = &mut *self.shard;
            let followed = track
                .as_ref()
                .and_then(|track| shard.follow(track, &mut run.buf, self.kept, now));
            let is_kept = if let Some(is_kept) = followed {
                is_kept
            } else {
                let seal = Seal::Later(self.kept);
                let made = match &segments.ip_header(length) {
                    Some(header) => {
                        let made = shard.outbound_of(header, &mut run.buf, seal, now);
                        let more = segments.next_len(packet) == length;
                        let like = more.then(|| shard.track(&made, header, packet, now));
                        track = like.flatten();
                        made
                    }
                    None => shard.outbound(&mut run.buf, seal, now),
                };
                if let Outbound::Elsewhere(shard) = made {
                    if handed_over {
                        self.shard.stats.no_route += 1;
                        front = HEADROOM;
                        continue;
                    }
                    // All go to one address, so this was the first.
                    let train = Handover::Train(*header, packet.to_vec());
                    self.out.handovers.push_back((shard.into(), train));
                    break Ok(());
                }
                self.give_out(made)
            };
            front = HEADROOM;
            if is_kept {
                front = start - run.buf.place().start;
                run.is_kept = true;
            }
        };
        self.end(run);
        taken
    }

    /// A run with nothing in it.
    fn run(&mut self) -> Run {
        let buf = self.long.pop();
        let mut buf = buf.unwrap_or_else(|| PacketBuf::with_capacity(0, RUN_ROOM));
        buf.reset(0);
        Run {
            buf,
            is_kept: false,
        }
    }

    fn end(&mut self, run: Run) {
        if run.is_kept {
            self.kept.keep(run.buf);
        } else {
            self.long.push(run.buf);
        }
    }

    /// Gives out what was made of a packet. True for one that is in the batch, which is to get its
    /// buffer.
    fn give_out(&mut self, outbound: Outbound) -> bool {
        match outbound {
            Outbound::Sealed(..) => return true,
            Outbound::Cut(parts) => self.out.transmits.extend(parts),
            Outbound::Oversize(transmit) => self.out.oversize.push_back(transmit),
            Outbound::Refused(error) => self.out.to_tun.extend(error),
            Outbound::Elsewhere(_) | Outbound::Dropped => {}
        }
        false
    }

    /// Seals what was kept and shows the datagrams to `send`, in their order. The buffers of
    /// [`keep_tun`](Self::keep_tun) go to `free`.
    pub fn seal_kept(&mut self, free: &mut Vec<PacketBuf>, send: impl FnOnce(&Sealed<'_, Path>)) {
        self.seal(SealBatch::seal, free, send);
    }

    /// The same for as many as are sealed fastest together. The others, fewer than 16, stay for the next
    /// turn that seals, which has to come [at once](Worker::has_kept); if that brings nothing more, with
    /// [`seal_kept`](Self::seal_kept).
    pub fn seal_rounds(&mut self, free: &mut Vec<PacketBuf>, send: impl FnOnce(&Sealed<'_, Path>)) {
        self.seal(SealBatch::seal_rounds, free, send);
    }

    fn seal(
        &mut self,
        seal: impl FnOnce(&mut SealBatch<Path>, Kernel) -> Sealed<'_, Path>,
        free: &mut Vec<PacketBuf>,
        send: impl FnOnce(&Sealed<'_, Path>),
    ) {
        if self.kept.is_empty() {
            return;
        }
        let sealed = seal(self.kept, Kernel::best());
        send(&sealed);
        sealed.give_back(|buf| {
            if buf.storage().len() < RUN_ROOM {
                free.push(buf);
            } else if self.long.len() < LONG {
                self.long.push(buf);
            }
        });
    }

    /// The next datagram besides: a part of a packet that had to be cut, or the answer to an echo.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.transmits.pop_front()
    }

    /// The next datagram that its path does not carry whole, as
    /// [`Server::poll_oversize`](crate::Server::poll_oversize) gives them.
    pub fn poll_oversize(&mut self) -> Option<Transmit> {
        self.out.oversize.pop_front()
    }

    /// The next IP packet for TUN that the server made itself: ICMP errors.
    pub fn poll_tun(&mut self) -> Option<Vec<u8>> {
        self.out.to_tun.pop_front()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let worn = self.shard.worn.drain(..);
        self.out.notes.extend(worn.map(|key| Note(Told::Worn(key))));
        // A busy worker is back at once, and without this the control side would never get in.
        MutexGuard::bump(&mut self.shard);
    }
}
