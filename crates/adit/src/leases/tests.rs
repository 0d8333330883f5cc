use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

fn device(user: &str, name: &str) -> Arc<Device> {
    Arc::new(Device {
        user: user.into(),
        name: name.into(),
    })
}

fn lease(last: u8) -> Lease {
    Lease {
        ipv4: Some(Ipv4Addr::new(10, 77, 0, last)),
        ipv6: Some(format!("2001:db8:77:{last:x}::/64").parse().unwrap()),
        delegated: (last > 5).then(|| "2001:db8:78:100::/56".parse().unwrap()),
    }
}

#[test]
fn what_was_noted_is_there_again_in_the_order_of_use() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/leases.redb");
    let (found, store) = open(&path).unwrap();
    assert_eq!(found, []);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    store.note(device("alice", "laptop"), Some(lease(2)));
    store.note(device("alice", "phone"), Some(lease(3)));
    store.note(device("bob", "ä"), Some(lease(4)));
    store.note(device("carol", "pc"), Some(lease(5)));
    store.note(device("alice", "laptop"), Some(lease(6)));
    store.note(device("carol", "pc"), None);
    assert!(matches!(open(&path), Err(StoreError::InUse(_))));
    drop(store);

    let (found, store) = open(&path).unwrap();
    let names: Vec<_> = found
        .iter()
        .map(|(device, _)| device.name.as_str())
        .collect();
    assert_eq!(names, ["phone", "ä", "laptop"]);
    assert_eq!(found[2].1, lease(6));
    assert_eq!(found[0].1, lease(3));
    // Numbers go on where they were.
    store.note(device("alice", "phone"), Some(lease(3)));
    drop(store);
    let (found, _store) = open(&path).unwrap();
    assert_eq!(found[2].0.name, "phone");
}

#[test]
fn changes_reach_the_disk_without_a_clean_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("leases.redb");
    let (_, store) = open(&path).unwrap();
    for index in 0..1_000 {
        store.note(device("alice", &format!("pc{index}")), Some(lease(2)));
    }
    // A crash leaves the file as it is then.
    let copy = dir.path().join("copy.redb");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        std::thread::sleep(COLLECT);
        std::fs::copy(&path, &copy).unwrap();
        let count = open(&copy).map_or(0, |(found, _)| found.len());
        if count == 1_000 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{count}");
    }
    drop(store);
}

#[test]
fn a_broken_file_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("leases.redb");
    std::fs::write(
        &path,
        "this is no database, but some text that is long enough",
    )
    .unwrap();
    let error = open(&path).err().unwrap().to_string();
    assert!(
        error.contains("leases.redb") && error.contains("Move it away"),
        "{error}"
    );

    // Each page overwritten in turn: whatever it is, it is an error or a table.
    std::fs::remove_file(&path).unwrap();
    let (_, store) = open(&path).unwrap();
    store.note(device("alice", "laptop"), Some(lease(2)));
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    for page in 0..8 {
        let mut bytes = whole.clone();
        let from = page * 4096;
        bytes
            .iter_mut()
            .skip(from)
            .take(4096)
            .for_each(|byte| *byte ^= 0x5a);
        std::fs::write(&path, bytes).unwrap();
        if let Err(error) = open(&path) {
            assert!(error.to_string().contains("Move it away"), "{error}");
        }
    }
    std::fs::write(&path, whole.get(..whole.len() / 2).unwrap()).unwrap();
    let error = open(&path).err().unwrap().to_string();
    assert!(error.contains("Move it away"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let error = open(&file.join("leases.redb")).err().unwrap().to_string();
    assert!(error.contains("leases.file"), "{error}");
}
