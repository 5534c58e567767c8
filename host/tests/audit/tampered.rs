//! Whatever is done to a log is found, with its place.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::support::{ENGINES, path};
use super::{Site, check, insert, records};

/// A log of eight records: a start, six writes, a stop.
fn site(engine: &str, audit: &str) -> Site {
    let site = Site::both(audit, "");
    let server = site.serve(engine);
    for n in 0..6 {
        assert_eq!(insert(&server.address, &format!("t{n}")), 201);
    }
    server.stop();
    site
}

fn lines(log: &Path) -> Vec<String> {
    fs::read_to_string(log).expect("a log").lines().map(str::to_owned).collect()
}

fn write(log: &Path, lines: &[String]) {
    fs::write(log, lines.join("\n") + "\n").expect("written");
}

/// A line of a log and what it is said to be.
fn after(change: impl FnOnce(&mut Vec<String>)) -> (String, Site) {
    let site = site("native", "");
    let mut all = lines(&site.log());
    assert_eq!(all.len(), 8);
    change(&mut all);
    write(&site.log(), &all);
    (site.is_broken(&site.log()), site)
}

/// Makes the hashes of all records behind the first anew, as who can write the file can where there is no key.
fn chain_anew(all: &mut [String]) {
    let mut previous = "0".repeat(64);
    for line in all {
        let body = line.rsplit_once(",\"prev\":\"").expect("a record").0;
        let body = format!("{body},\"prev\":\"{previous}\"");
        previous = Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        *line = format!("{body},\"hash\":\"{previous}\"}}");
    }
}

#[test]
fn a_changed_record() {
    let (told, site) = after(|all| all[3] = all[3].replace("\"status\":201", "\"status\":200"));
    assert!(
        told.ends_with(
            "audit.ndjson:4: record 4 was changed, or it is hashed with a key, which `--audit-key` names"
        ),
        "{told}"
    );
    // The other form is as it was, and `db check` of the database tells of both.
    site.is_well(&site.table());
    let ended =
        super::run(&["db", "check", "--config", path(&site.config), "--database", path(&site.database)], &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains("damage: ") && ended.stdout.contains("audit.ndjson:4: record 4"),
        "{ended:?}"
    );
}

#[test]
fn a_changed_record_with_a_hash_of_its_own() {
    let (told, _) = after(|all| {
        let mut one = [all[3].replace("\"status\":201", "\"status\":200")];
        let before: Value = serde_json::from_str(&all[2]).expect("a record");
        chain_anew(&mut one);
        let hash = before["hash"].as_str().expect("a hash");
        let body = one[0].rsplit_once(",\"prev\":\"").expect("a record").0;
        let body = format!("{body},\"prev\":\"{hash}\"");
        let own: String = Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        all[3] = format!("{body},\"hash\":\"{own}\"}}");
    });
    assert!(
        told.ends_with("audit.ndjson:5: record 5 does not follow the record 4 that stands before it"),
        "{told}"
    );
}

#[test]
fn removed_records() {
    let (told, _) = after(|all| drop(all.remove(3)));
    assert!(told.ends_with("audit.ndjson:4: record 4 is missing before record 5"), "{told}");
    let (told, _) = after(|all| drop(all.drain(2..5)));
    assert!(told.ends_with("audit.ndjson:3: records 3 to 5 are missing before record 6"), "{told}");
    let (told, _) = after(|all| drop(all.drain(..2)));
    assert!(
        told.ends_with(
            "audit.ndjson: the records before 3 are missing, and no record says that they were removed"
        ),
        "{told}"
    );
}

#[test]
fn records_in_another_order() {
    let (told, _) = after(|all| all.swap(3, 4));
    assert!(told.ends_with("audit.ndjson:4: record 4 is missing before record 5"), "{told}");
    let (told, _) = after(|all| all.insert(5, all[2].clone()));
    assert!(told.ends_with("audit.ndjson:6: record 3 stands behind record 5"), "{told}");
}

#[test]
fn records_that_were_put_in() {
    let (told, _) = after(|all| all.push(all[7].replace("\"seq\":8", "\"seq\":9")));
    assert!(told.contains("audit.ndjson:9: record 9 does not follow"), "{told}");
    let (told, _) = after(|all| all.insert(4, "{\"event\":\"write\"}".to_owned()));
    assert!(told.ends_with("audit.ndjson:5: this is no record"), "{told}");
}

/// What is cut off at the end leaves no trace in what is there: the file beside the log tells, and a hash that was kept.
#[test]
fn a_cut_end() {
    let (told, site) = after(|all| all.truncate(5));
    assert!(
        told.ends_with("the end is missing: the last record is 5, and a server has written record 8"),
        "{told}"
    );
    let last = site.is_well(&site.table())["hash"].as_str().expect("a hash").to_owned();
    let beside = site.scratch.path("audit.ndjson.head");
    fs::remove_file(&beside).expect("removed");
    let ended = site.check(&site.log(), &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("whether its end was cut off is not known"), "{ended:?}");
    for expect in [format!("8:{last}"), last.clone()] {
        let ended = site.check(&site.log(), &["--expect", &expect]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.contains(&format!("there is no record with the hash {last}")), "{ended:?}");
        assert_eq!(site.check(&site.table(), &["--expect", &expect]).code, Some(0));
    }
    assert_eq!(site.check(&site.log(), &["--expect", "8:abc"]).code, Some(2));
    // Where both forms are kept, the other one tells.
    let table = site.table();
    let both = check(&site.log(), &["--audit", path(&table)]);
    assert_eq!(both.code, Some(0), "a shorter log is the beginning of the longer one: {both:?}");
}

/// A server that finds its log cut off says so, and leaves the gap to be seen.
#[test]
fn a_start_behind_a_cut_end() {
    for engine in ENGINES {
        let site = Site::new("file = \"audit.ndjson\"", "");
        let server = site.serve(engine);
        assert_eq!(insert(&server.address, "a"), 201);
        server.stop();
        let all = lines(&site.log());
        write(&site.log(), &all[..2]);
        let ended = site.serve(engine).stop();
        assert!(
            ended.stderr.contains("the last record is 2, but a server has written record 3"),
            "{ended:?}"
        );
        let start = &records(&site.log())[2];
        assert_eq!((&start["seq"], &start["clean"]), (&Value::from(4), &Value::from(false)));
        let told = site.is_broken(&site.log());
        assert!(told.ends_with("audit.ndjson:3: record 3 is missing before record 4"), "{told}");
    }
}

/// Without a key who can write the files can make them anew; with one they cannot.
#[test]
fn a_log_that_was_made_anew() {
    for (audit, is_found) in [("", false), ("key = \"the key of this test, long enough\"", true)] {
        let site = site("native", audit);
        let mut all = lines(&site.log());
        all[3] = all[3].replace("\"keys\":[[5]]", "\"keys\":[[6]]");
        chain_anew(&mut all);
        write(&site.log(), &all);
        let last = all[7].rsplit_once("\"hash\":\"").expect("a record").1.trim_end_matches("\"}");
        fs::write(site.scratch.path("audit.ndjson.head"), format!("{:020} {last}\n", 8)).expect("written");
        let ended = site.check(&site.log(), &[]);
        assert_eq!(ended.code, Some(i32::from(is_found)), "{ended:?}");
        assert_eq!(ended.stdout.contains("no record is hashed with the key"), is_found, "{ended:?}");
        // What is compared with the other form is found in any case.
        let table = site.table();
        let both = check(&site.log(), &["--audit", path(&table), "--config", path(&site.config)]);
        assert_eq!(both.code, Some(1), "{both:?}");
    }
}

#[test]
fn a_database_that_was_changed() {
    for (sql, told) in [
        (
            "UPDATE _sqlitrest_audit SET record = replace(record, '201', '200') WHERE seq = 4",
            "audit.db:4: record 4 was changed",
        ),
        ("DELETE FROM _sqlitrest_audit WHERE seq = 4", "audit.db:5: record 4 is missing before record 5"),
        ("DELETE FROM _sqlitrest_audit WHERE seq > 6", "the end is missing: the last record is 6"),
        ("DELETE FROM _sqlitrest_audit WHERE seq < 3", "the records before 3 are missing"),
        ("UPDATE _sqlitrest_audit SET seq = seq + 1 WHERE seq = 8", "audit.db:9: the row 9 has the record 8"),
        (
            "INSERT INTO _sqlitrest_audit (seq, record) SELECT 9, replace(record, '\"seq\":8', '\"seq\":9') FROM _sqlitrest_audit WHERE seq = 8",
            "audit.db:9: record 9 does not follow",
        ),
    ] {
        let site = site("native", "");
        Connection::open(site.table()).expect("a database").execute_batch(sql).expect(sql);
        let said = site.is_broken(&site.table());
        assert!(said.contains(told), "{sql}: {said}");
        site.is_well(&site.log());
    }
}

#[test]
fn what_is_no_log() {
    let site = site("native", "");
    assert_eq!(check(&site.scratch.path("none.ndjson"), &[]).code, Some(2));
    let text = site.scratch.file("text.ndjson", "my thesis\n");
    let ended = check(&text, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("text.ndjson:1: this is no record"), "{ended:?}");
    assert_eq!(check(&site.database, &[]).code, Some(2), "a database without a log");
    // Bytes that are no text, and a file that is cut in the middle of a record.
    let mut bytes = fs::read(site.log()).expect("a log");
    let half = site.scratch.file("half.ndjson", &bytes[..bytes.len() - 30]);
    let ended = check(&half, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("bytes at the end are no whole record"), "{ended:?}");
    bytes[200] = 0xff;
    let ended = check(&site.scratch.file("odd.ndjson", &bytes), &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
}
