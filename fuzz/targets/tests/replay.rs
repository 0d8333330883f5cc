//! Every file of every corpus goes through its target, so that what was found once stays mended.

use std::path::Path;

use adit_fuzz_targets::TARGETS;

#[test]
fn corpora() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for (name, target) in TARGETS {
        let folder = corpora.join(name);
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("a readable folder").path())
            .collect();
        files.sort();
        assert!(files.len() >= 3, "{name} has no corpus worth the name");
        for file in &files {
            let data = std::fs::read(file).expect("a readable file");
            let shown = file.display().to_string();
            let result = std::panic::catch_unwind(move || target(&data));
            assert!(result.is_ok(), "{shown}");
        }
        println!("{name}: {} inputs", files.len());
    }
}
