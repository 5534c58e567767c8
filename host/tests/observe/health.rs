//! Health, in each state that a server can be in.

use std::fs;

use rusqlite::Connection;

use crate::support::{Client, ENGINES, Scratch};
use crate::{Observed, start};

#[test]
fn while_all_is_well() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let observed = Observed::start(engine, &scratch, &database, "[pool]\nreaders_per_db = 3\n");
        for page in ["/health", "/health/live", "/health/ready"] {
            let answer = observed.api(page, None);
            assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"pass"}"#), "{page}");
        }
        let written = Connection::open(&database).expect("a database");
        let version: i64 =
            written.query_row("PRAGMA schema_version", [], |row| row.get(0)).expect("a version");
        let health = observed.admin("/health").json();
        assert_eq!(health["status"], "pass");
        assert_eq!(
            (&health["engine"], &health["version"]),
            (&engine.into(), &env!("CARGO_PKG_VERSION").into())
        );
        let main = &health["databases"]["main"];
        assert_eq!(main["status"], "pass");
        assert_eq!(main["path"], crate::path(&database));
        assert_eq!(main["pool"], serde_json::json!({"size": 3, "idle": 3, "used": 0, "waiting": 0}));
        assert_eq!(main["schema"]["version"], version);
        assert!(main["schema"]["age_seconds"].as_f64().is_some_and(|age| age >= 0.0), "{main}");
        assert_eq!(main["size_bytes"], fs::metadata(&database).expect("a file").len());
        assert!(main["wal"]["size_bytes"].is_u64() && main["wal"].get("pages").is_some(), "{main}");
        assert!(main["disk_free_bytes"].as_u64().is_some_and(|free| free > 0), "{main}");
        assert_eq!(health.get("component").is_some(), engine == "component");
        observed.server.stop();
    }
}

#[test]
fn when_the_file_is_gone_and_when_it_is_back() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let observed = Observed::start(engine, &scratch, &database, "");
        let away = scratch.path("away.db");
        fs::rename(&database, &away).expect("renamed");
        for answer in [observed.api("/health/ready", None), observed.api("/health", None)] {
            let expected = r#"{"status":"fail","output":"cannot be read: main"}"#;
            assert_eq!((answer.status, answer.body.as_str()), (503, expected));
        }
        assert_eq!(observed.api("/health/live", None).status, 200);
        let health = observed.admin("/health");
        assert_eq!(health.status, 503);
        let main = &health.json()["databases"]["main"];
        assert_eq!(
            (&main["status"], &main["output"]),
            (&"fail".into(), &"the file is not where it was".into())
        );
        assert!(observed.admin("/metrics").body.contains("sqlitrest_database_up{db_namespace=\"main\"} 0"));
        // Which is noticed once a second.
        fs::rename(&away, &database).expect("renamed");
        while observed.api("/health/ready", None).status != 200 {}
        assert_eq!(observed.api("/tracks?id=eq.1", None).status, 200);
        observed.server.stop();
    }
}

#[test]
fn while_it_is_stopping() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let observed = Observed::start(engine, &scratch, &database, "");
        let mut half = Client::connect(&observed.api);
        let head = "POST /albums HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 20\r\nexpect: 100-continue\r\n\r\n";
        assert!(half.send(head.as_bytes()));
        assert_eq!(half.reply(false).expect("continue").status, 100);
        let mut idle = Client::connect(&observed.api);
        assert!(idle.request("GET", "/tracks", ""));
        assert_eq!(idle.reply(false).expect("a reply").status, 200);
        observed.server.signal("TERM");
        // The shutdown has begun.
        assert!(idle.is_closed());
        let ready = observed.admin("/health/ready");
        let expected = r#"{"status":"fail","output":"the server is stopping"}"#;
        assert_eq!((ready.status, ready.body.as_str()), (503, expected));
        assert_eq!(observed.admin("/health/live").status, 200);
        assert!(half.send(br#"{"id":9,"title":"x"}"#));
        assert_eq!(half.reply(false).expect("a reply").status, 201);
        assert_eq!(observed.server.wait().code, Some(0));
    }
}

/// The largest size of a file that a server may write.
#[cfg(target_os = "linux")]
fn limit(observed: &Observed, bytes: &str) {
    let (process, limit) = (observed.server.id().to_string(), format!("--fsize={bytes}:"));
    let status = std::process::Command::new("prlimit").args(["--pid", &process, &limit]).status();
    assert!(status.expect("prlimit of util-linux").success());
}

/// Reads are recorded, too, and what tells of it all the same is not.
#[cfg(target_os = "linux")]
#[test]
fn while_the_audit_log_cannot_be_written() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let audit = "[pool]\nbusy_timeout = \"100ms\"\n[audit]\nfile = \"./audit.ndjson\"\nreads = true\nbefore_answer = true\n";
        let observed = Observed::start(engine, &scratch, &database, audit);
        assert_eq!(observed.api("/tracks?id=eq.1", None).status, 200);
        let health = observed.admin("/health").json();
        assert_eq!((&health["status"], &health["audit"]["status"]), (&"pass".into(), &"pass".into()));
        assert_eq!(
            (&health["audit"]["written"], &health["audit"]["queue"]["size"]),
            (&1.into(), &10_000.into())
        );
        limit(&observed, "1");
        assert_eq!(observed.api("/tracks?id=eq.1", None).status, 503);
        let told = r#"{"status":"warn","output":"the audit log cannot be written, and what needs a record is refused"}"#;
        while observed.api("/health/ready", None).body != told {}
        assert_eq!(observed.api("/health/ready", None).status, 200);
        assert_eq!(observed.api("/health", None).body, told);
        assert_eq!(observed.api("/tracks?id=eq.1", None).status, 503);
        let answer = observed.admin("/health");
        let (status, health) = (answer.status, answer.json());
        assert_eq!(
            (status, &health["status"], &health["audit"]["refuses"]),
            (200, &"warn".into(), &true.into())
        );
        let audit = &health["audit"];
        assert!(audit["output"].is_string() && audit["failing_since"].is_string(), "{audit}");
        assert!(audit["refused"].as_u64().is_some_and(|refused| refused > 0), "{audit}");
        let metrics = observed.admin("/metrics").body;
        for line in [
            "sqlitrest_audit_up 0.0",
            "sqlitrest_audit_refusing 1.0",
            "sqlitrest_audit_records_written_total 1",
        ] {
            assert!(metrics.lines().any(|other| other == line), "{line} is not in {metrics}");
        }
        limit(&observed, "unlimited");
        while observed.api("/health/ready", None).body != r#"{"status":"pass"}"# {}
        assert_eq!(observed.api("/tracks?id=eq.1", None).status, 200);
        observed.server.stop();
    }
}

#[test]
fn when_backups_fail() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let backup = "[backup]\ndirectory = \"./backups\"\nevery = \"1s\"\nkeep = 1\n";
        let observed = Observed::start(engine, &scratch, &database, backup);
        let main = || observed.admin("/health").json()["backups"]["main"].clone();
        while main()["newest"].is_null() {}
        let made = main();
        assert_eq!((&made["status"], &made["failures"]), (&"pass".into(), &0.into()));
        assert!(
            made["size_bytes"].is_u64() && made["newest_at"].is_string() && made["due_at"].is_string(),
            "{made}"
        );
        let (backups, aside) = (scratch.path("backups"), scratch.path("aside"));
        fs::rename(&backups, &aside).expect("moved");
        fs::write(&backups, "in the way").expect("written");
        while main()["status"] != "warn" {}
        let failed = main();
        assert!(failed["output"].is_string() && failed["failed_at"].is_string(), "{failed}");
        let answer = observed.admin("/health");
        assert_eq!((answer.status, &answer.json()["status"]), (200, &"warn".into()));
        // Requests are served.
        assert_eq!(observed.api("/health/ready", None).body, r#"{"status":"pass"}"#);
        let metrics = observed.admin("/metrics").body;
        assert!(metrics.contains("sqlitrest_backup_up{db_namespace=\"main\"} 0"), "{metrics}");
        assert!(
            metrics.contains("sqlitrest_backup_newest_timestamp_seconds{db_namespace=\"main\"} 1"),
            "{metrics}"
        );
        fs::remove_file(&backups).expect("removed");
        fs::rename(&aside, &backups).expect("moved back");
        while main()["status"] != "pass" {}
        observed.server.stop();
    }
}

#[test]
fn a_relation_keeps_its_path() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.path("a.db");
        let sql = Connection::open(&database).expect("a database");
        sql.execute_batch("CREATE TABLE health (id INTEGER PRIMARY KEY); INSERT INTO health VALUES (7)")
            .expect("a table");
        drop(sql);
        let server = start(engine, &scratch, &database, "");
        assert_eq!(crate::support::get(&server.address, "/health").body, r#"[{"id":7}]"#);
        assert_eq!(crate::support::get(&server.address, "/health/ready").body, r#"{"status":"pass"}"#);
        let ended = server.stop();
        assert!(ended.stderr.contains("warning: /health is that of a relation"), "{ended:?}");

        // A path of its own keeps them apart.
        let server = start(engine, &scratch, &database, "[api]\nbase_path = \"/rest/v1\"\n");
        assert_eq!(crate::support::get(&server.address, "/health").body, r#"{"status":"pass"}"#);
        assert_eq!(crate::support::get(&server.address, "/rest/v1/health").body, r#"[{"id":7}]"#);
        assert_eq!(server.stop().stderr, "");
    }
}
