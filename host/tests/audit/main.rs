//! The audit log of a running server: what it says, that nothing acknowledged is without its record, and that whatever is done to it
//! afterwards is found.

#[path = "../support/mod.rs"]
mod support;

mod fault;
mod recorded;
mod rotated;
mod tampered;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Ended, Scratch, Server, path, reply_to, run, serve};

/// A database and a configuration that keeps a log beside it.
struct Site {
    scratch: Scratch,
    database: PathBuf,
    config: PathBuf,
}

impl Site {
    /// With these keys of `[audit]`, and what stands in front of it.
    fn new(audit: &str, more: &str) -> Site {
        Site::within(Scratch::new(), audit, more)
    }

    fn within(scratch: Scratch, audit: &str, more: &str) -> Site {
        let database = scratch.database("a.db");
        let config = scratch.file("sqlitrest.toml", format!("{more}\n[audit]\n{audit}\n"));
        Site { scratch, database, config }
    }

    /// The log in both forms.
    fn both(audit: &str, more: &str) -> Site {
        Site::new(&format!("file = \"./audit.ndjson\"\ndatabase = \"./audit.db\"\n{audit}"), more)
    }

    fn serve(&self, engine: &str) -> Server {
        serve(engine, &self.database, &["--config", path(&self.config)])
    }

    fn log(&self) -> PathBuf {
        self.scratch.path("audit.ndjson")
    }

    fn table(&self) -> PathBuf {
        self.scratch.path("audit.db")
    }

    /// Looks at one log.
    fn check(&self, log: &Path, more: &[&str]) -> Ended {
        check(log, &[&["--config", path(&self.config)], more].concat())
    }

    /// What is said of a log that is as it was written.
    fn is_well(&self, log: &Path) -> Value {
        let ended = self.check(log, &["--json"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let told: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(told["ok"], true);
        told["logs"][0].clone()
    }

    /// The words in which a log is said not to be as it was written.
    fn is_broken(&self, log: &Path) -> String {
        let ended = self.check(log, &["--json"]);
        assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{ended:?}");
        let told: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(told["ok"], false);
        told["found"][0]["what"].as_str().expect("words").to_owned()
    }
}

fn check(log: &Path, more: &[&str]) -> Ended {
    run(&[&["db", "check", "--audit", path(log)], more].concat(), &[])
}

/// The records of a file.
fn records(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).expect("a log");
    text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

/// The records of requests in a file.
fn of_requests(log: &Path) -> Vec<Value> {
    let is_own =
        |record: &Value| matches!(record["event"].as_str(), Some("write" | "denied" | "read" | "admin"));
    records(log).into_iter().filter(is_own).collect()
}

/// Inserts an album.
fn insert(address: &str, title: &str) -> u16 {
    reply_to(address, "POST", "/albums", &format!(r#"{{"title":"{title}"}}"#)).status
}
