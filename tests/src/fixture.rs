//! Databases built from SQL text, and put back after a write.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;
use sqlitrest::{Config, Engine};
use tempfile::TempDir;

/// A database in a directory of its own, which goes with it.
pub struct Fixture {
    directory: TempDir,
    /// The pristine content.
    template: Connection,
}

impl Fixture {
    /// Builds `tests/fixtures/NAME.sql`, or `examples/NAME.sql`.
    ///
    /// # Panics
    /// Where there is no such file or SQLite refuses it.
    pub fn new(name: &str) -> Self {
        Fixture::of_sql(&Fixture::text(name))
    }

    /// The text of `tests/fixtures/NAME.sql`, or `examples/NAME.sql`.
    ///
    /// # Panics
    /// Where there is no such file.
    pub fn text(name: &str) -> String {
        let places = [format!("tests/fixtures/{name}.sql"), format!("examples/{name}.sql")];
        let text = places.iter().find_map(|place| std::fs::read_to_string(crate::root().join(place)).ok());
        text.unwrap_or_else(|| panic!("no fixture {name}"))
    }

    /// Builds a database of this text.
    ///
    /// # Panics
    /// Where SQLite refuses it.
    pub fn of_sql(sql: &str) -> Self {
        let template = Connection::open_in_memory().unwrap();
        template.execute_batch(sql).unwrap();
        let fixture = Fixture { directory: TempDir::new().unwrap(), template };
        for engine in ["native", "component", "spin", "double"] {
            fixture.restore(&fixture.path(engine));
        }
        fixture
    }

    /// The file that an engine of this name serves.
    pub fn path(&self, engine: &str) -> PathBuf {
        self.directory.path().join(format!("{engine}.db"))
    }

    /// Puts the pristine content back, in one transaction from outside.
    ///
    /// # Panics
    /// Where the file is locked for long.
    pub fn restore(&self, path: &Path) {
        let mut target = Connection::open(path).unwrap();
        target.busy_timeout(Duration::from_secs(10)).unwrap();
        let backup = Backup::new(&self.template, &mut target).unwrap();
        backup.run_to_completion(1_000_000, Duration::from_millis(1), None).unwrap();
    }

    /// The configuration that serves an engine's copy.
    ///
    /// # Panics
    /// Where `extra` is not a configuration.
    pub fn config(&self, engine: &str, extra: &str) -> Config {
        // The name that the component has for it under Spin.
        Config::load("/sqlitrest.toml", &self.config_text(engine, extra), []).unwrap()
    }

    /// The same as text.
    pub fn config_text(&self, engine: &str, extra: &str) -> String {
        // `extra` may end in keys of this table.
        let table = if extra.contains("[databases.main]") { "" } else { "[databases.main]" };
        format!("{extra}\n{table}\npath = {:?}\n", self.path(engine))
    }

    /// Both engines, each over its own copy.
    ///
    /// # Panics
    /// Where one does not start.
    pub fn engines(&self, extra: &str) -> Vec<Engine> {
        vec![
            Engine::native(&self.config("native", extra)).unwrap(),
            Engine::component(&self.config("component", extra), &crate::guest()).unwrap(),
        ]
    }
}
