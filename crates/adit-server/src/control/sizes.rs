//! How large a session's packets may be: it follows the encapsulation of its SA group, which a
//! replaced SA may change, by another suite or by UDP where there was none, and the path to its peer.

use std::time::Instant;

use adit_link::mtu::{self, Encapsulation, PlainEncapsulation};
use adit_wire::ip::Family;

use super::Server;
use crate::plane::{GroupKey, SessionKey};

impl Server {
    /// The largest inner packet that every SA of a group carries; `None` while there is no SA. For a
    /// peer without IPsec, what its datagrams carry.
    /// `sequenced` sessions have a longer L2TP header.
    pub(super) fn group_link_mtu(&self, group: GroupKey, sequenced: bool) -> Option<u16> {
        let outer = Family::of(self.plane.path(group)?.remote.ip());
        let l2tp_header = if sequenced {
            adit_l2tp::SEQUENCED_DATA_HEADER_LEN
        } else {
            adit_l2tp::DATA_HEADER_LEN
        };
        if self.plane.is_plain(group) {
            let plain = PlainEncapsulation {
                outer,
                ppp_header: adit_ppp::HEADER_LEN,
                l2tp_header,
            };
            return Some(self.bounded_mtu(plain.link_mtu(self.path_mtu(group))));
        }
        let path_mtu = self.path_mtu(group);
        let outbound = self.plane.encapsulations(group).into_iter();
        let computed = outbound.map(|(native, suite)| {
            Encapsulation {
                outer,
                udp: !native,
                suite,
                ppp_header: adit_ppp::HEADER_LEN,
                l2tp_header,
            }
            .link_mtu(path_mtu)
        });
        Some(self.bounded_mtu(computed.min()?))
    }

    /// What the operator fixed counts where it is less than what was computed.
    fn bounded_mtu(&self, computed: u16) -> u16 {
        let fixed = self.config.link_mtu;
        fixed.map_or(computed, |fixed| fixed.min(computed))
    }

    /// The SAs of a group changed, or its path did: what its sessions may send follows at once, and so does what
    /// their clients are told.
    pub(super) fn group_resized(&mut self, group: GroupKey, now: Instant) {
        let secured = self.groups.get(&group).map(|state| &state.tunnels[..]);
        let tunnels = secured.or_else(|| self.plain.tunnels_of(group));
        let sessions: Vec<_> = tunnels
            .into_iter()
            .flatten()
            .filter_map(|tunnel| self.tunnels.get(tunnel))
            .flat_map(|tunnel| tunnel.sessions.iter().map(|(_, key)| *key))
            .collect();
        for key in sessions {
            self.session_resized(key, group, now);
        }
    }

    fn session_resized(&mut self, key: SessionKey, group: GroupKey, now: Instant) {
        let sequenced = self
            .plane
            .session(key)
            .is_some_and(|record| record.sequencing.is_sending());
        let Some(link_mtu) = self.group_link_mtu(group, sequenced) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        if session.link_mtu == link_mtu {
            return;
        }
        session.link_mtu = link_mtu;
        let (mtu, ipv6_mtu) = (session.mtu(), session.ipv6_mtu());
        if let Some(router) = &mut session.router {
            router.set_mtu(ipv6_mtu, now, &mut self.rng);
        }
        tracing::debug!(session = %session.id, mtu, "the session's MTU follows its SAs and its path");
        self.enforce_mtu(key);
        self.drive_session(key, now);
    }

    /// From here on the packet path keeps to the session's MTU.
    pub(super) fn enforce_mtu(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(&key) else {
            return;
        };
        let (mtu, ipv6_mtu) = (session.mtu(), session.ipv6_mtu());
        self.plane.update(key, |record| {
            record.mtu = mtu;
            record.ipv6_mtu = ipv6_mtu;
            record.mss_v4 = mtu::mss(Family::V4, mtu);
            record.mss_v6 = mtu::mss(Family::V6, mtu);
        });
    }
}
