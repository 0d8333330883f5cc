//! Logins between the server and the users: judged at once, unless the users file has changed. Then
//! they wait until it is read, which happens on another thread; nothing else waits.

use std::net::SocketAddr;

use adit_ppp::Attempt;
use adit_server::{Decision, Lease, SessionId, Standing};

use crate::users::{Clock, Reload, Reloaded, Users};

/// Somebody who wants in.
pub(super) struct Login {
    /// The session that waits.
    pub(super) session: SessionId,
    /// Where it comes from.
    pub(super) peer: SocketAddr,
    /// Who, and the proof.
    pub(super) attempt: Attempt,
}

/// The users, and who waits for them.
pub(super) struct Logins {
    users: Users,
    /// While the file is being read.
    waiting: Option<Vec<Login>>,
}

impl Logins {
    pub(super) fn new(users: Users) -> Self {
        Self {
            users,
            waiting: None,
        }
    }

    /// If the file has changed and is not being read yet, what to run on another thread and to hand
    /// to [`finish`](Self::finish).
    pub(super) fn reload(&mut self) -> Option<Reload> {
        if self.waiting.is_some() {
            return None;
        }
        let reload = self.users.stale()?;
        self.waiting = Some(Vec::new());
        Some(reload)
    }

    /// Judges a login, or lets it wait if the file is being read.
    pub(super) fn judge(&mut self, login: Login, clock: Clock) -> Option<(SessionId, Decision)> {
        match &mut self.waiting {
            Some(waiting) => {
                waiting.push(login);
                None
            }
            None => Some(decide(&self.users, &login, clock)),
        }
    }

    /// Takes what was read, or `None` if the thread was lost, and judges who waited. Also says
    /// whether the users are others now.
    pub(super) fn finish(
        &mut self,
        reloaded: Option<Reloaded>,
        clock: Clock,
    ) -> (bool, Vec<(SessionId, Decision)>) {
        let is_new = reloaded.is_some_and(|reloaded| self.users.install(reloaded));
        let waiting = self.waiting.take().unwrap_or_default();
        let decided = waiting
            .iter()
            .map(|login| decide(&self.users, login, clock));
        (is_new, decided.collect())
    }

    /// What users have for good.
    pub(super) fn fixed(&self) -> Vec<Lease> {
        self.users.fixed()
    }

    /// Whether the sessions of a user may go on.
    pub(super) fn standing(&self, user: &str, clock: Clock) -> Standing {
        self.users.standing(user, clock)
    }
}

fn decide(users: &Users, login: &Login, clock: Clock) -> (SessionId, Decision) {
    let decision = users.judge(&login.attempt, login.peer, clock);
    (login.session, decision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::{Networks, write_private};
    use std::path::Path;

    fn write(path: &Path, text: &str) {
        write_private(path, path.parent().unwrap(), text.as_bytes()).unwrap();
    }

    fn login(number: u64, user: &str) -> Login {
        Login {
            session: SessionId(number),
            peer: "198.51.100.7:4500".parse().unwrap(),
            attempt: Attempt::Pap {
                user: user.into(),
                raw_user: user.into(),
                password: "pw".into(),
            },
        }
    }

    fn is_accepted(decision: &Decision) -> bool {
        matches!(decision, Decision::Accept { .. })
    }

    #[test]
    fn an_edit_while_clients_connect_loses_none_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        write(&path, "[users.alice]\npassword = \"pw\"\n");
        let mut logins = Logins::new(Users::open(&path, Networks::default()).unwrap());
        let clock = Clock::read();
        assert!(logins.reload().is_none());
        let (session, decision) = logins.judge(login(1, "alice"), clock).unwrap();
        assert_eq!(session, SessionId(1));
        assert!(is_accepted(&decision));
        let (_, decision) = logins.judge(login(2, "bob"), clock).unwrap();
        assert!(!is_accepted(&decision));

        write(
            &path,
            "[users.alice]\npassword = \"pw\"\ndisabled = true\n[users.bob]\npassword = \"pw\"\n",
        );
        let reload = logins.reload().unwrap();
        assert!(logins.reload().is_none(), "it is being read");
        for number in 3..100 {
            let user = if number % 2 == 0 { "alice" } else { "bob" };
            assert!(logins.judge(login(number, user), clock).is_none());
        }
        let (is_new, decided) = logins.finish(Some(reload.run()), clock);
        assert!(is_new);
        assert_eq!(decided.len(), 97);
        for (number, (session, decision)) in (3..).zip(&decided) {
            assert_eq!(*session, SessionId(number));
            assert_eq!(is_accepted(decision), number % 2 == 1, "{number}");
        }
        assert!(matches!(
            logins.standing("alice", clock),
            Standing::Ends { .. }
        ));

        // A broken edit, and a reader that died: everybody is judged by what is known.
        write(&path, "[users.bob");
        let reload = logins.reload().unwrap();
        assert!(logins.judge(login(100, "bob"), clock).is_none());
        let (is_new, decided) = logins.finish(Some(reload.run()), clock);
        assert!(!is_new);
        assert!(is_accepted(&decided[0].1));
        write(&path, "");
        assert!(logins.reload().is_some());
        assert!(logins.judge(login(101, "bob"), clock).is_none());
        let (is_new, decided) = logins.finish(None, clock);
        assert!(!is_new && decided.len() == 1);
        assert!(logins.judge(login(102, "bob"), clock).is_some());
    }
}
