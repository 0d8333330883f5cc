//! The clean stop: clients are told in the order of the layers, outermost last.

use std::time::{Duration, Instant};

use adit_l2tp::Stop;

use super::{Server, TimerKey};

/// How long tunnels have to acknowledge their StopCCN before the SAs are deleted.
const TUNNEL_GRACE: Duration = Duration::from_secs(2);

/// How far the stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopping {
    /// CDN and StopCCN are out.
    Tunnels,
    /// Deletes are out.
    Sas,
}

impl Server {
    /// Ends every session: CDN and StopCCN now, then Deletes for the SAs. Goes on until
    /// [`is_stopped`](Self::is_stopped) says so; new peers are turned away meanwhile.
    pub fn shutdown(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(Stopping::Tunnels);
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        for key in sessions {
            self.withdraw_router(key, now);
        }
        let mut tunnels: Vec<_> = self.tunnels.keys().copied().collect();
        tunnels.sort_unstable();
        for id in tunnels {
            if let Some(state) = self.tunnels.get_mut(&id) {
                state.tunnel.close(Stop::shutting_down(), now);
                self.drive_tunnel(id, now);
            }
        }
        self.timers
            .set(TimerKey::Stopping, Some(now + TUNNEL_GRACE));
        self.stop_sooner(now);
    }

    /// Whether a shutdown has said everything there is to say.
    pub fn is_stopped(&self) -> bool {
        self.stopping == Some(Stopping::Sas)
    }

    /// The last tunnel is gone: nothing to wait for.
    pub(super) fn stop_sooner(&mut self, now: Instant) {
        if self.stopping == Some(Stopping::Tunnels) && self.tunnels.is_empty() {
            self.timers.set(TimerKey::Stopping, Some(now));
        }
    }

    /// Sends Deletes for all ESP and ISAKMP SAs and forgets everything.
    pub(super) fn delete_all_sas(&mut self, now: Instant) {
        self.stopping = Some(Stopping::Sas);
        let mut groups: Vec<_> = self.groups.keys().copied().collect();
        groups.sort_unstable();
        for group in groups {
            self.delete_group_sas(group, now);
            self.remove_group(group, "the server stops", now);
        }
        self.drop_plain_peers("the server stops", now);
        let ikes: Vec<_> = self
            .ikes
            .iter()
            .map(|(key, _)| super::IkeKey(key))
            .collect();
        for key in ikes {
            if let Some(entry) = self.ikes.get_mut(key.0) {
                entry.sa.close(now, &mut self.rng);
                self.drive_ike(key, now);
            }
        }
    }
}
