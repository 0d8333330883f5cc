//! Who is in: the sessions of each user and of each of the user's devices, found without a look at any
//! other, since one user may have thousands.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::SessionId;
use crate::grant::Device;

/// The list, by user, then by device name, then in the order in which the sessions began.
#[derive(Debug, Default)]
pub(super) struct Roster {
    entries: BTreeSet<(Arc<Device>, SessionId)>,
}

impl Roster {
    pub(super) fn add(&mut self, device: &Arc<Device>, session: SessionId) {
        self.entries.insert((Arc::clone(device), session));
    }

    pub(super) fn remove(&mut self, device: &Arc<Device>, session: SessionId) {
        self.entries.remove(&(Arc::clone(device), session));
    }

    /// Everybody, the sessions of each user in a row.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<Device>, SessionId)> {
        self.entries
            .iter()
            .map(|(device, session)| (device, *session))
    }

    /// Whether a user has so many sessions or more.
    pub(super) fn has(&self, user: &str, count: usize) -> bool {
        self.of_user(user).take(count).count() == count
    }

    /// All sessions of a user.
    pub(super) fn of_user(&self, user: &str) -> impl Iterator<Item = SessionId> {
        let first = Device {
            user: user.to_owned(),
            name: String::new(),
        };
        self.from(first)
            .take_while(move |(device, _)| device.user == user)
            .map(|(_, session)| session)
    }

    /// The sessions of a device, as far as its name tells, the oldest first.
    pub(super) fn of(&self, device: &Device) -> impl Iterator<Item = SessionId> {
        self.from(device.clone())
            .take_while(move |(other, _)| other.as_ref() == device)
            .map(|(_, session)| session)
    }

    fn from(&self, device: Device) -> impl Iterator<Item = (&Arc<Device>, SessionId)> {
        self.entries
            .range((Arc::new(device), SessionId(0))..)
            .map(|(device, session)| (device, *session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(user: &str, name: &str) -> Arc<Device> {
        Arc::new(Device {
            user: user.into(),
            name: name.into(),
        })
    }

    #[test]
    fn each_user_and_each_device_has_its_own_sessions() {
        let mut roster = Roster::default();
        let entries = [
            ("ann", "", 1),
            ("ann", "phone", 2),
            ("ann", "phone", 7),
            ("ann", "phones", 3),
            ("anna", "phone", 4),
            ("an", "phone", 5),
            ("b", "", 6),
        ];
        for (user, name, number) in entries {
            roster.add(&device(user, name), SessionId(number));
        }
        let of = |roster: &Roster, user, name| {
            let device = device(user, name);
            let ids: Vec<_> = roster.of(&device).map(|id| id.0).collect();
            ids
        };
        assert_eq!(of(&roster, "ann", "phone"), [2, 7]);
        assert_eq!(of(&roster, "ann", ""), [1]);
        assert_eq!(of(&roster, "anna", "phone"), [4]);
        assert_eq!(of(&roster, "b", "phone"), [0; 0]);
        let most = |roster: &Roster, user| (0..).take_while(|n| roster.has(user, *n)).last();
        assert_eq!(most(&roster, "ann"), Some(4));
        assert_eq!(most(&roster, "an"), Some(1));
        assert_eq!(most(&roster, "c"), Some(0));
        roster.remove(&device("ann", "phone"), SessionId(2));
        assert_eq!(of(&roster, "ann", "phone"), [7]);
        assert_eq!(most(&roster, "ann"), Some(3));
        let users = roster.iter().map(|(device, _)| &*device.user);
        assert_eq!(
            users.collect::<Vec<_>>(),
            ["an", "ann", "ann", "ann", "anna", "b"]
        );
    }
}
