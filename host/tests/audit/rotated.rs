//! Files that are begun anew and removed: one chain goes through all of them.

use std::fs;

use serde_json::Value;

use super::support::ENGINES;
use super::{Site, insert, records};

/// The names of the files of a log, in their order.
fn files(site: &Site, end: &str) -> Vec<String> {
    let entries = fs::read_dir(site.scratch.path("")).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> =
        names.filter(|name| name.starts_with("audit.") && name.ends_with(end)).collect();
    names.sort();
    names
}

/// Writes until a log has so many files.
fn fill(site: &Site, engine: &str, count: usize) {
    let server = site.serve(engine);
    while files(site, ".ndjson").len() < count || files(site, ".db").len() < count {
        assert_eq!(insert(&server.address, "x"), 201);
    }
    server.stop();
}

#[test]
fn by_size_and_all_of_them_are_kept() {
    for engine in ENGINES {
        let site = Site::both("rotate_size = \"2KiB\"", "");
        fill(&site, engine, 4);
        let names = files(&site, ".ndjson");
        assert_eq!(names[0], "audit.000000000001.ndjson", "{names:?}");
        for log in [site.log(), site.table()] {
            let told = site.is_well(&log);
            assert!(told["files"].as_u64() >= Some(4) && told["first"] == 1, "{told}");
        }
        // The first record of a file names the last of the one before.
        let first = records(&site.scratch.path(&names[0]));
        let second = records(&site.scratch.path(&names[1]));
        assert_eq!(first[first.len() - 1]["hash"], second[0]["prev"]);
        // One that is taken away is missed, and so is the oldest.
        for (at, told) in
            [(1, "are missing before record"), (0, "are missing, and no record says that they were removed")]
        {
            let (file, aside) = (site.scratch.path(&names[at]), site.scratch.path("aside"));
            fs::rename(&file, &aside).expect("moved");
            let said = site.is_broken(&site.log());
            assert!(said.contains(told), "{said}");
            fs::rename(&aside, &file).expect("moved back");
        }
        site.is_well(&site.log());
    }
}

#[test]
fn the_newest_are_kept() {
    for engine in ENGINES {
        let site = Site::both("rotate_size = \"1KiB\"\nkeep = 2", "");
        let server = site.serve(engine);
        let number = |name: &str| name.split('.').nth(1).and_then(|number| number.parse::<u64>().ok());
        while files(&site, ".ndjson").iter().filter_map(|name| number(name)).min() < Some(10)
            || files(&site, ".db").iter().filter_map(|name| number(name)).min() < Some(10)
        {
            assert_eq!(insert(&server.address, "x"), 201);
        }
        server.stop();
        for (log, end) in [(site.log(), ".ndjson"), (site.table(), ".db")] {
            // The one that is written, and two.
            assert!(files(&site, end).len() <= 3, "{:?}", files(&site, end));
            let told = site.is_well(&log);
            assert!(told["first"].as_u64() >= Some(10), "{told}");
        }
        // The log says what it has removed; more than that is missed.
        let oldest = files(&site, ".ndjson")[0].clone();
        fs::remove_file(site.scratch.path(&oldest)).expect("removed");
        let said = site.is_broken(&site.log());
        assert!(said.contains("no record says that they were removed"), "{said}");
    }
}

#[test]
fn by_time() {
    let site = Site::both("rotate_every = \"1ms\"\nkeep_for = \"1h\"", "");
    fill(&site, "native", 3);
    assert_eq!(site.is_well(&site.log())["first"], 1);
    // What is older than it may be goes at the next start.
    let names = files(&site, ".ndjson");
    let oldest = fs::File::options().write(true).open(site.scratch.path(&names[0])).expect("a file");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    oldest.set_modified(long_ago).expect("a time");
    site.serve("native").stop();
    assert!(!files(&site, ".ndjson").contains(&names[0]));
    let told = site.is_well(&site.log());
    assert!(told["first"].as_u64() > Some(1), "{told}");
    let is_removal =
        |name: &String| records(&site.scratch.path(name)).iter().any(|record| record["event"] == "removed");
    assert!(files(&site, ".ndjson").iter().any(is_removal));
}

/// A form of the log that is new begins where the other is.
#[test]
fn another_form_begins_later() {
    let site = Site::new("file = \"audit.ndjson\"", "");
    let server = site.serve("native");
    assert_eq!(insert(&server.address, "x"), 201);
    server.stop();
    fs::write(&site.config, "[audit]\nfile = \"audit.ndjson\"\ndatabase = \"audit.db\"\n").expect("written");
    let server = site.serve("native");
    assert_eq!(insert(&server.address, "y"), 201);
    server.stop();
    let (file, table) = (site.is_well(&site.log()), site.is_well(&site.table()));
    assert_eq!((&file["first"], &table["first"]), (&Value::from(1), &Value::from(4)));
    assert_eq!(file["hash"], table["hash"]);
}
