//! Sequence numbers of data messages (RFC 2661 5.4): when a session has them, and what becomes of a
//! message that comes too late. PPP must not see frames out of order, so a late one is dropped;
//! none is ever held back, so that a lost one delays nobody.

/// How far behind a message may be and still be called late. One that is further behind comes from
/// a peer that has begun to count anew.
const LATE: u16 = 1024;

/// The sequence numbers of one session's data messages, both ways. The default is those of an LNS that nobody
/// asked for any.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Sequencing {
    /// They were demanded with a Sequencing Required AVP: they stay on.
    required: bool,
    /// We are the LAC, which numbers its messages as long as the LNS does.
    follows: bool,
    sending: bool,
    next_ns: u16,
    expected: u16,
}

/// The place of a data message in its session's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is the next one, or has no number.
    Next,
    /// So many before it are missing; they are late if they still come.
    Ahead(u16),
    /// Later ones, or it itself, have come before it: to be dropped.
    Late,
}

impl Sequencing {
    pub(crate) fn new(required: bool, lac: bool) -> Self {
        Self {
            required,
            follows: lac && !required,
            sending: required,
            next_ns: 0,
            expected: 0,
        }
    }

    /// Whether the next data message gets a number.
    pub fn is_sending(&self) -> bool {
        self.sending
    }

    /// The number of the next data message, if it is to have one.
    pub fn next_ns(&mut self) -> Option<u16> {
        let ns = self.next_ns;
        self.sending.then(|| {
            self.next_ns = ns.wrapping_add(1);
            ns
        })
    }

    /// Takes the number of a data message of the peer. A LAC follows the LNS in whether there are
    /// any.
    pub fn receive(&mut self, ns: Option<u16>) -> Order {
        if self.follows {
            self.sending = ns.is_some();
        }
        let Some(ns) = ns else {
            return Order::Next;
        };
        let ahead = ns.wrapping_sub(self.expected);
        if ahead > u16::MAX - LATE {
            return Order::Late;
        }
        self.expected = ns.wrapping_add(1);
        match ahead {
            0 => Order::Next,
            missing => Order::Ahead(missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_messages_are_told_from_missing_ones_and_from_a_new_beginning() {
        let mut lns = Sequencing::new(true, false);
        assert_eq!(lns.receive(Some(0)), Order::Next);
        assert_eq!(lns.receive(Some(3)), Order::Ahead(2));
        assert_eq!(lns.receive(Some(1)), Order::Late);
        assert_eq!(lns.receive(Some(3)), Order::Late);
        assert_eq!(lns.receive(Some(4)), Order::Next);
        assert_eq!(lns.receive(None), Order::Next);
        // The numbering wraps.
        assert_eq!(lns.receive(Some(40_000)), Order::Ahead(39_995));
        assert_eq!(lns.receive(Some(0xffff)), Order::Ahead(25_534));
        assert_eq!(lns.receive(Some(0)), Order::Next);
        assert_eq!(lns.receive(Some(0xffff)), Order::Late);
        // A late one by 1024 at most; what is further behind is a peer that counts anew.
        assert_eq!(lns.receive(Some(2000)), Order::Ahead(1999));
        assert_eq!(lns.receive(Some(2001 - 1024)), Order::Late);
        assert_eq!(lns.receive(Some(0)), Order::Ahead(0xffff - 2000));
        assert_eq!(lns.receive(Some(1)), Order::Next);
    }

    #[test]
    fn a_lac_follows_the_lns_and_an_lns_follows_nobody() {
        let mut lac = Sequencing::new(false, true);
        assert_eq!(lac.next_ns(), None);
        lac.receive(Some(0));
        assert_eq!((lac.next_ns(), lac.next_ns()), (Some(0), Some(1)));
        lac.receive(None);
        assert!(!lac.is_sending());
        lac.receive(Some(7));
        assert_eq!(lac.next_ns(), Some(2));

        let mut lns = Sequencing::new(false, false);
        lns.receive(Some(0));
        assert_eq!(lns.next_ns(), None);

        // What was demanded stays.
        for lac in [true, false] {
            let mut demanded = Sequencing::new(true, lac);
            demanded.receive(None);
            assert_eq!(demanded.next_ns(), Some(0));
        }
        let mut wraps = Sequencing::new(true, false);
        for ns in 0..=u16::MAX {
            assert_eq!(wraps.next_ns(), Some(ns));
        }
        assert_eq!(wraps.next_ns(), Some(0));
    }
}
