use super::*;
use crate::users::read;
use std::os::unix::fs::MetadataExt;

fn apply(path: &Path, name: &str, change: &Change<'_>, clear: bool) -> Result<(), EditError> {
    let edit = Edit {
        clear,
        ..Edit::only(change)
    };
    super::apply(path, name, &edit)
}

fn secret(text: &str) -> Secret {
    Secret::new(text)
}

#[test]
fn a_user_is_added_changed_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.toml");
    apply(&path, "alice", &Change::Add(&secret("clientPass")), false).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    // RFC 2759 section 9.2.
    assert_eq!(
        text,
        "[users.alice]\nnt-hash = \"44ebba8d5312b8d611474411f56989ae\"\n"
    );

    apply(&path, "alice", &Change::Password(&secret("other")), true).unwrap();
    let users = read(&path, None).unwrap().users;
    assert_eq!(users["alice"].password.as_ref().unwrap().expose(), "other");
    apply(&path, "alice", &Change::Password(&secret("third")), false).unwrap();
    assert!(read(&path, None).unwrap().users["alice"].password.is_none());

    apply(&path, "bob@example.com", &Change::Add(&secret("x")), false).unwrap();
    apply(&path, "alice", &Change::Remove(Of::User), false).unwrap();
    let users = read(&path, None).unwrap().users;
    assert_eq!(users.keys().collect::<Vec<_>>(), ["bob@example.com"]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn comments_and_flags_survive() {
    let text = "# the staff\n[users.alice]\n# on leave\ndisabled = true\npassword = \"a\"\n";
    let after = edited(
        Path::new("u"),
        text,
        "alice",
        &Edit::only(&Change::Password(&secret("b"))),
    )
    .unwrap();
    assert!(after.starts_with("# the staff\n[users.alice]\n# on leave\ndisabled = true\n"));
    assert!(!after.contains("password"), "{}", *after);
}

#[test]
fn wrong_names_and_wide_modes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.toml");
    let error = apply(&path, "alice", &Change::Remove(Of::User), false).unwrap_err();
    assert!(matches!(error, EditError::File(FileError::Io { .. })));
    apply(&path, "alice", &Change::Add(&secret("a")), false).unwrap();
    let again = apply(&path, "alice", &Change::Add(&secret("b")), false).unwrap_err();
    assert!(matches!(again, EditError::Exists { .. }));
    let nobody = apply(&path, "bob", &Change::Remove(Of::User), false).unwrap_err();
    assert!(matches!(nobody, EditError::Missing { .. }));

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let open = apply(&path, "bob", &Change::Add(&secret("b")), false).unwrap_err();
    assert!(open.to_string().contains("chmod 600"), "{open}");
}

#[test]
fn entries_change_in_place_and_wrong_ones_change_nothing() {
    let text = "[groups.staff] # both floors\n[users.alice]\npassword = \"a\"\nipv4 = \
                \"10.77.0.9\" # the printer knows it\nsessions = 2\n\n# the boss\n\
                [users.bob]\npassword = \"b\"\nipv4 = \"10.77.0.8\"\n";
    let set = |entries: &[Entry]| {
        let edit = Edit {
            entries,
            ..Edit::only(&Change::Set(Of::User))
        };
        edited(Path::new("u"), text, "alice", &edit)
    };
    let after = set(&[
        ("ipv4", Some("10.77.0.10".into())),
        ("sessions", None),
        ("group", Some("staff".into())),
        ("disabled", Some(true.into())),
    ]);
    assert_eq!(
        *after.unwrap(),
        "[groups.staff] # both floors\n[users.alice]\npassword = \"a\"\nipv4 = \
         \"10.77.0.10\" # the printer knows it\ngroup = \"staff\"\ndisabled = true\n\n\
         # the boss\n[users.bob]\npassword = \"b\"\nipv4 = \"10.77.0.8\"\n"
    );
    for (entry, says) in [
        (
            ("ipv4", Some("10.77.0.8".into())),
            "\"alice\" and \"bob\" both",
        ),
        (("ipv4", Some("10.77".into())), "must be an address"),
        (("group", Some("none of them".into())), "[groups.NAME]"),
        (("sessions", Some(0.into())), "from 1 to"),
    ] {
        let error = set(&[entry]).unwrap_err().to_string();
        assert!(error.contains("nothing was changed"), "{error}");
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn groups_are_added_changed_and_removed_when_empty() {
    let text = "# staff first\n[users.alice]\npassword = \"a\"\n";
    let apply = |text: &str, name: &str, change: Change<'_>, entries: &[Entry]| {
        let edit = Edit {
            entries,
            ..Edit::only(&change)
        };
        edited(Path::new("u"), text, name, &edit).map(|text| text.to_string())
    };
    let rate: &[Entry] = &[("rate", Some("5Mbit".into()))];
    let added = apply(text, "staff", Change::AddGroup, rate).unwrap();
    assert_eq!(added, format!("{text}\n[groups.staff]\nrate = \"5Mbit\"\n"));
    let into: &[Entry] = &[("group", Some("staff".into()))];
    let joined = apply(&added, "alice", Change::Set(Of::User), into).unwrap();
    let said = |result: Result<String, EditError>| result.unwrap_err().to_string();
    let again = said(apply(&added, "staff", Change::AddGroup, &[]));
    assert!(again.contains("adit user group set staff"), "{again}");
    let missing = said(apply(&added, "alice", Change::Set(Of::Group), rate));
    assert!(missing.contains("adit user group list"), "{missing}");
    let used = said(apply(&joined, "staff", Change::Remove(Of::Group), &[]));
    assert!(used.contains("\"alice\" is in the group"), "{used}");
    let wrong: &[Entry] = &[("rate", Some("fast".into()))];
    let wrong = said(apply(&joined, "staff", Change::Set(Of::Group), wrong));
    assert!(
        wrong.contains("nothing was changed") && wrong.contains("8kbit"),
        "{wrong}"
    );
    assert_eq!(
        apply(&added, "staff", Change::Remove(Of::Group), &[]).unwrap(),
        text
    );
}

#[test]
fn edits_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.toml");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for index in 0..25 {
                    let name = format!("user{writer}-{index}");
                    apply(path, &name, &Change::Add(&secret("x")), false).unwrap();
                }
            });
        }
        scope.spawn(|| {
            // Whoever reads meanwhile never sees half of it.
            while !path.exists() {
                std::thread::yield_now();
            }
            let mut seen = 0;
            while seen < 100 {
                let count = read(&path, None).unwrap().users.len();
                assert!(count >= seen);
                seen = count;
            }
        });
    });
    assert_eq!(read(&path, None).unwrap().users.len(), 100);
}
