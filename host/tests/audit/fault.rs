//! A process that is killed, a disk that is full, files that are taken away.

use std::fs;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use rusqlite::Connection;
use serde_json::Value;

use super::support::{Client, ENGINES, LIMIT, Mount, Scratch, count, get, reply_to};
use super::{Site, insert, of_requests, records};

/// Writes by eight clients until the server is killed; returns the ids that were acknowledged.
fn killed(site: &Site, engine: &str, next: &AtomicU64, after: usize) -> Vec<u64> {
    let server = site.serve(engine);
    let address = server.address.clone();
    let (acknowledge, acknowledged) = channel();
    thread::scope(|scope| {
        for _ in 0..8 {
            let (address, acknowledge) = (&address, acknowledge.clone());
            scope.spawn(move || {
                let Ok(mut client) = Client::try_connect(address) else { return };
                loop {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    if !client.request("POST", "/albums", &format!(r#"{{"id":{id},"title":"x"}}"#)) {
                        return;
                    }
                    match client.reply_if_whole() {
                        Some(reply) => assert_eq!(reply.status, 201, "{reply:?}"),
                        None => return,
                    }
                    let _ = acknowledge.send(id);
                }
            });
        }
        drop(acknowledge);
        let mut ids = Vec::new();
        while ids.len() < after {
            ids.push(acknowledged.recv_timeout(LIMIT).expect("an answer"));
        }
        server.kill();
        ids.extend(acknowledged);
        ids
    })
}

/// The keys in the records of writes.
fn recorded(site: &Site) -> Vec<u64> {
    let acts = of_requests(&site.log()).into_iter().flat_map(|record| {
        record["acts"]
            .as_array()
            .expect("acts")
            .iter()
            .map(|act| act["keys"][0][0].as_u64().expect("a key"))
            .collect::<Vec<_>>()
    });
    acts.collect()
}

#[test]
fn every_acknowledged_write_has_its_record() {
    for engine in ENGINES {
        let site = Site::both("before_answer = true", "");
        let next = AtomicU64::new(1_000);
        let mut acknowledged = Vec::new();
        for round in 0..3 {
            acknowledged.extend(killed(&site, engine, &next, 50 + 70 * round));
        }
        site.serve(engine).stop();
        let recorded = recorded(&site);
        let without: Vec<_> = acknowledged.iter().filter(|id| !recorded.contains(id)).collect();
        assert!(without.is_empty(), "acknowledged and not recorded: {without:?} ({engine})");
        println!("{engine}: {} acknowledged, {} recorded", acknowledged.len(), recorded.len());
        // What is recorded was written, and the logs are unbroken.
        let sql = Connection::open(&site.database).expect("database");
        for id in &recorded {
            let there =
                sql.query_row("SELECT count(*) FROM albums WHERE id = ?", [id.cast_signed()], |row| {
                    row.get::<_, i64>(0)
                });
            assert_eq!(there, Ok(1), "{id} ({engine})");
        }
        for log in [site.log(), site.table()] {
            let told = site.is_well(&log);
            let advice = told["advice"].to_string();
            assert!(advice.contains("a server had not ended in order"), "{told}");
        }
    }
}

#[test]
fn a_killed_server_leaves_an_unbroken_log() {
    for engine in ENGINES {
        let site = Site::both("", "");
        let next = AtomicU64::new(1_000);
        for round in 0..3 {
            killed(&site, engine, &next, 100 + 50 * round);
            // Before the next start has mended anything.
            site.is_well(&site.table());
            let ended = site.check(&site.log(), &[]);
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
        site.serve(engine).stop();
        assert_eq!(site.is_well(&site.log())["hash"], site.is_well(&site.table())["hash"], "{engine}");
    }
}

/// What a killed server leaves of a record is told apart from what somebody has changed.
#[test]
fn a_torn_record() {
    let site = Site::new("file = \"audit.ndjson\"", "");
    site.serve("native").kill();
    let whole = fs::read(site.log()).expect("a log");
    let mut file = fs::File::options().append(true).open(site.log()).expect("a log");
    file.write_all(b"{\"seq\":2,\"time\":\"2026").expect("written");
    let ended = site.check(&site.log(), &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("21 bytes at the end are no whole record"), "{ended:?}");
    let server = site.serve("native");
    assert_eq!(insert(&server.address, "x"), 201);
    let ended = server.stop();
    assert!(ended.stderr.contains("audit log: a torn record of 21 bytes was moved to"), "{ended:?}");
    assert!(fs::read(site.log()).expect("a log").starts_with(&whole));
    let told = site.is_well(&site.log());
    assert_eq!(told["records"], 4);
    let start = &records(&site.log())[1];
    assert_eq!(start["clean"], false);
    assert!(start["found"][0].as_str().expect("a sentence").contains("21 bytes"), "{start}");
}

/// Records that only one form has got, because the process was killed between the two.
#[test]
fn one_form_catches_up_with_the_other() {
    let site = Site::both("", "");
    let server = site.serve("native");
    for _ in 0..5 {
        assert_eq!(insert(&server.address, "x"), 201);
    }
    server.stop();
    // As it was four records before.
    let sql = Connection::open(site.table()).expect("a database");
    sql.execute_batch("DELETE FROM _sqlitrest_audit WHERE seq > 3").expect("removed");
    let hash: String = sql
        .query_row("SELECT record ->> '$.hash' FROM _sqlitrest_audit WHERE seq = 3", [], |row| row.get(0))
        .expect("a hash");
    drop(sql);
    fs::write(site.scratch.path("audit.db.head"), format!("{:020} {hash}\n", 3)).expect("written");
    let ended = site.serve("native").stop();
    assert!(ended.stderr.contains("audit.db: 4 records came from"), "{ended:?}");
    assert_eq!(site.is_well(&site.log())["hash"], site.is_well(&site.table())["hash"]);
    // Two logs that are not of one another are not made one.
    let other = Site::both("", "");
    other.serve("native").stop();
    for end in ["", ".head"] {
        fs::copy(other.scratch.path(&format!("audit.db{end}")), site.scratch.path(&format!("audit.db{end}")))
            .expect("copied");
    }
    let arguments = [
        "serve",
        super::path(&site.database),
        "--engine",
        "native",
        "--listen",
        "127.0.0.1:0",
        "--config",
        super::path(&site.config),
    ];
    let ended = super::run(&arguments, &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("do not have the same records"), "{ended:?}");
}

/// Takes what room there is.
fn fill(filler: &std::path::Path) {
    let mut file = fs::File::create(filler).expect("a file");
    while file.write_all(&[0; 512]).is_ok() {}
}

/// The log is on a disk of its own, which is full: requests that write are refused, those that read are not.
#[test]
fn a_full_disk() {
    for engine in ENGINES {
        let disk = Scratch::new();
        let Some(_disk) = Mount::tmpfs(&disk.path(""), "1m") else {
            return eprintln!("not tested: this user may not mount a file system");
        };
        let log = disk.path("audit.ndjson");
        let audit = format!("file = {log:?}\nqueue = 5");
        let site = Site::new(&audit, "[pool]\nbusy_timeout = \"200ms\"");
        let server = site.serve(engine);
        let address = server.address.as_str();
        assert_eq!(insert(address, "x"), 201);
        let filler = disk.path("filler");
        fill(&filler);
        // Some find room in the queue.
        let mut written = 1;
        while insert(address, "y") == 201 {
            written += 1;
            assert!(written < 5_000, "the disk is not full");
        }
        let refused = reply_to(address, "POST", "/albums", r#"{"title":"z"}"#);
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
        assert!(refused.body.contains("\"53000\""), "{refused:?}");
        assert_eq!(get(address, "/albums?id=eq.1").status, 200);
        assert_eq!(count(&site.database, "albums"), 2 + written);
        fs::remove_file(&filler).expect("room");
        while insert(address, "w") != 201 {}
        let ended = server.stop();
        assert!(ended.stderr.contains("the audit log cannot be written"), "{ended:?}");
        assert!(ended.stderr.contains("the audit log is written again"), "{ended:?}");
        assert_eq!(ended.stderr.matches("cannot be written").count(), 1, "{ended:?}");
        // Nothing is lost, and nothing is there that was not done.
        assert_eq!(of_requests(&log).len() as i64, count(&site.database, "albums") - 2, "{engine}");
        site.is_well(&log);
    }
}

/// The same where requests go on without: the log says how many there were.
#[test]
fn a_full_disk_that_nobody_waits_for() {
    let disk = Scratch::new();
    let Some(_disk) = Mount::tmpfs(&disk.path(""), "1m") else {
        return eprintln!("not tested: this user may not mount a file system");
    };
    let log = disk.path("audit.ndjson");
    let site = Site::new(&format!("file = {log:?}\nqueue = 5\non_full = \"drop\""), "");
    let server = site.serve("native");
    let filler = disk.path("filler");
    fill(&filler);
    let written = 3_000;
    for _ in 0..written {
        assert_eq!(insert(&server.address, "x"), 201);
    }
    fs::remove_file(&filler).expect("room");
    server.stop();
    let dropped: u64 = records(&log)
        .iter()
        .filter(|record| record["event"] == "dropped")
        .map(|record| record["count"].as_u64().expect("a number"))
        .sum();
    assert!(dropped > 0);
    assert_eq!(of_requests(&log).len() as u64 + dropped, written);
    site.is_well(&log);
}

/// Where answers wait for their records, none is sent that has none.
#[test]
fn no_answer_before_its_record() {
    for engine in ENGINES {
        let disk = Scratch::new();
        let Some(_disk) = Mount::tmpfs(&disk.path(""), "1m") else {
            return eprintln!("not tested: this user may not mount a file system");
        };
        let log = disk.path("audit.ndjson");
        let audit = format!("file = {log:?}\nbefore_answer = true");
        let site = Site::new(&audit, "[pool]\nbusy_timeout = \"200ms\"");
        let server = site.serve(engine);
        let address = server.address.as_str();
        let filler = disk.path("filler");
        fill(&filler);
        let mut acknowledged = 0;
        let told = loop {
            let reply = reply_to(address, "POST", "/albums", r#"{"title":"z"}"#);
            if reply.status != 201 {
                break reply;
            }
            acknowledged += 1;
        };
        // It was carried out, and is not told to be well.
        assert!(told.status == 500 && told.body.contains("\"58030\""), "{told:?}");
        assert_eq!(count(&site.database, "albums"), 2 + acknowledged + 1);
        // From then on nothing is.
        let refused = reply_to(address, "POST", "/albums", r#"{"title":"z"}"#);
        assert!(refused.status == 503 && refused.body.contains("\"53000\""), "{refused:?}");
        assert_eq!(count(&site.database, "albums"), 2 + acknowledged + 1);
        fs::remove_file(&filler).expect("room");
        while insert(address, "w") != 201 {}
        server.stop();
        assert_eq!(of_requests(&log).len() as i64, count(&site.database, "albums") - 2, "{engine}");
        site.is_well(&log);
    }
}

/// A log that is taken away while it is written goes on in another file, and the gap is seen.
#[test]
fn a_log_that_is_taken_away() {
    for engine in ENGINES {
        let site = Site::both("before_answer = true", "");
        let server = site.serve(engine);
        assert_eq!(insert(&server.address, "x"), 201);
        fs::remove_file(site.log()).expect("removed");
        for end in ["", "-wal", "-shm"] {
            fs::remove_file(site.scratch.path(&format!("audit.db{end}"))).expect("removed");
        }
        assert_eq!(insert(&server.address, "y"), 201);
        let ended = server.stop();
        assert!(ended.stderr.contains("is not the file any more that it was"), "{ended:?}");
        assert!(ended.stderr.contains("is not the database any more that it was"), "{ended:?}");
        for log in [site.log(), site.table()] {
            let said = site.is_broken(&log);
            assert!(said.contains("the records before 3 are missing"), "{said}");
        }
        let told: Vec<Value> = of_requests(&site.log());
        assert_eq!(told.len(), 1);
    }
}
