//! The wall clock jumps. Nothing goes by it but what is about the wall clock: when tokens and keys expire. All that waits, limits and measures
//! goes by a clock that only runs forwards, which is held here by who asks for the other.

use std::fs;
use std::path::{Path, PathBuf};

/// How the wall clock is asked for.
const ASKS: [&str; 3] = ["SystemTime::now", "Timestamp::now", "Zoned::now"];

/// Who may: signing in, here and under Spin, the commands that make credentials, and those that say when something was kept or applied.
const MAY: [&str; 20] = [
    "guest/src/sign_in.rs",
    "host/src/audit/entry.rs",
    "host/src/audit/file.rs",
    "host/src/audit/keeper.rs",
    "host/src/audit/log.rs",
    "host/src/audit/segments.rs",
    "host/src/audit/state.rs",
    "host/src/backup/mod.rs",
    "host/src/credentials.rs",
    "host/src/db/backup.rs",
    "host/src/db/migrate.rs",
    "host/src/observe/errors.rs",
    "host/src/observe/health.rs",
    "host/src/observe/line.rs",
    "host/src/observe/process.rs",
    "host/src/observe/request_id.rs",
    "host/src/observe/slow.rs",
    "host/src/observe/stats.rs",
    "host/src/observe/telemetry.rs",
    "host/src/sign_in.rs",
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn only_expiry_goes_by_the_wall_clock() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for member in ["guest/src", "host/src", "runtime/src"] {
        sources(&root.join(member), &mut files);
    }
    let asks = |file: &PathBuf| {
        let text = fs::read_to_string(file).expect("a source");
        ASKS.iter().any(|way| text.contains(way))
    };
    let name = |file: PathBuf| file.strip_prefix(&root).expect("below").to_str().expect("UTF-8").to_owned();
    let mut who: Vec<String> = files.into_iter().filter(asks).map(name).collect();
    who.sort();
    assert_eq!(who, MAY);
}
