//! The policy on the packet path: rules of the sessions at both ends of a packet, and apart from
//! them no way from one client to another.

use std::sync::Arc;
use std::time::Instant;

use adit_link::policy::{Action, Class, Direction, Flow, Hidden, Rule, Rules};
use adit_wire::ip::IpHeader;
use ipnet::IpNet;

use super::SessionKey;
use super::shard::Shard;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Pass,
    /// A rule refuses it, and its sender hears of it.
    Reject,
    /// A rule wants it gone, or it hides what rules have to see.
    Drop,
    /// It is of another client, and no rule says that it may pass.
    Apart,
    /// A rule lets no more of it pass at this time.
    Over,
}

impl Shard {
    /// Judges a packet from one session, or from behind the host, to another or there. Rules of both
    /// ends are asked, and the first of all decides. A packet between clients comes by twice, and
    /// counts for a rule (`counts`: at this time) only when it leaves its client.
    pub(super) fn judge(
        &self,
        packet: &[u8],
        header: &IpHeader,
        (from, to): (Option<SessionKey>, Option<SessionKey>),
        counts: Option<Instant>,
    ) -> Verdict {
        let from_client = from.is_some() || self.common.clients.contains(header.source);
        let to_client = to.is_some() || self.common.clients.contains(header.destination);
        let between = from_client && to_client && from != to;
        // Somebody made it up, or the session has ended.
        if between && from.is_none() {
            return Verdict::Apart;
        }
        let (rules_from, rules_to) = (self.rules(from), self.rules(to));
        if rules_from.is_none() && rules_to.is_none() {
            return if between {
                Verdict::Apart
            } else {
                Verdict::Pass
            };
        }
        if from_client && from == to {
            return Verdict::Pass;
        }
        let within = |net: &IpNet| self.common.clients.holds(net);
        let mut first: Option<(usize, &Rule, Direction)> = None;
        for (key, rules, direction) in [
            (from, rules_from, Direction::FromClient),
            (to, rules_to, Direction::ToClient),
        ] {
            let (Some(key), Some(rules)) = (key, rules) else {
                continue;
            };
            let Ok(flow) = self.flow(packet, header, (key, direction), from) else {
                return Verdict::Drop;
            };
            let hit = rules.judge(&flow, self.class(&flow), &within);
            if let Some(hit) = hit
                && first.is_none_or(|(index, ..)| hit.index < index)
            {
                first = Some((hit.index, hit.rule, direction));
            }
        }
        let Some((_, rule, direction)) = first else {
            return if between {
                Verdict::Apart
            } else {
                Verdict::Pass
            };
        };
        if let Some(now) = counts
            && !rule.hit(direction, header.end, now)
        {
            return Verdict::Over;
        }
        match rule.action {
            Action::Accept => Verdict::Pass,
            Action::Reject => Verdict::Reject,
            Action::Drop => Verdict::Drop,
        }
    }

    fn rules(&self, key: Option<SessionKey>) -> Option<&Rules> {
        self.rules.get(&key?).map(Arc::as_ref)
    }

    /// The packet as the rules of one end see it. Whose an address is tell the routes, which know
    /// those of a shared prefix as well. An error that a client sends speaks only of what it has got
    /// itself: otherwise it would pass to whoever may speak to somebody.
    fn flow(
        &self,
        packet: &[u8],
        header: &IpHeader,
        (key, direction): (SessionKey, Direction),
        from: Option<SessionKey>,
    ) -> Result<Flow, Hidden> {
        let owns = |address| self.route(address) == Some(key);
        let flow = Flow::read(packet, header, direction, owns)?;
        let is_another =
            direction == Direction::ToClient && from.is_some() && self.route(flow.remote) != from;
        if is_another {
            return Flow::plain(packet, header, direction);
        }
        Ok(flow)
    }

    fn class(&self, flow: &Flow) -> Class {
        let remote = flow.remote;
        if remote == self.common.own4 || remote == self.common.own6 {
            Class::Server
        } else if self.common.clients.contains(remote) || self.route(remote).is_some() {
            Class::Client
        } else {
            Class::Outside
        }
    }
}
