//! `[audit]`: where the log is, what is recorded, and what becomes of requests that it has no room for.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};
use sqlitrest_runtime::audit::Audits;
use sqlitrest_runtime::config::{Config, Secret, Size, Span, reference};

use super::chain::Key;
use crate::settings::refer;

/// The fewest bytes of a key.
const SHORTEST_KEY: usize = 16;

/// `[audit]`. Where it is absent, no log is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The log as a file of JSON on lines.
    pub file: Option<String>,
    /// The log as a SQLite database of its own.
    pub database: Option<String>,
    /// Whether requests that are refused (401 and 403) are recorded.
    pub denied: bool,
    /// Whether reads are recorded.
    pub reads: bool,
    /// Whether what was sent is recorded: query string and body.
    pub values: bool,
    /// How many records may wait to be written.
    pub queue: usize,
    /// What becomes of a request while there is no room for its record.
    pub on_full: OnFull,
    /// Whether an answer waits until its record is written.
    pub before_answer: bool,
    /// When records are on the disk.
    pub sync: Sync,
    /// The secret of the chain: plain text, `env:NAME` or `file:PATH`.
    pub key: Option<Secret>,
    /// From this size on another file is begun; 0: never.
    pub rotate_size: Size,
    /// After this time another file is begun.
    pub rotate_every: Option<Span>,
    /// How many files are kept beside the one that is written; 0: all.
    pub keep: usize,
    /// How long files are kept after their last record.
    pub keep_for: Option<Span>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            file: None,
            database: None,
            denied: true,
            reads: false,
            values: false,
            queue: 10_000,
            on_full: OnFull::Wait,
            before_answer: false,
            sync: Sync::Batch,
            key: None,
            rotate_size: Size(100 << 20),
            rotate_every: None,
            keep: 0,
            keep_for: None,
        }
    }
}

/// What becomes of a request while there is no room for its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFull {
    /// It waits for `pool.busy_timeout`, then it is refused with 503 and nothing is done.
    Wait,
    /// It goes on without. A record says how many there were.
    Drop,
}

/// When records are on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sync {
    /// After each batch.
    Batch,
    /// When the system sees fit.
    None,
}

impl Settings {
    /// What is wrong with it, as a sentence with the key.
    ///
    /// # Errors
    /// The sentence.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(what.to_owned());
        let paths: Vec<&str> = self.paths().collect();
        match paths.as_slice() {
            [] => return wrong("[audit] names neither a file nor a database to keep the log in"),
            [one, other] if one == other => return wrong("audit.file and audit.database are the same file"),
            _ => {}
        }
        if paths.iter().any(|path| Path::new(path).file_name().is_none()) {
            return wrong("audit.file and audit.database are paths of files: write \"./audit.ndjson\"");
        }
        if self.queue == 0 || self.queue > 1_000_000 {
            return wrong("audit.queue must be from 1 to 1000000");
        }
        let spans = [("rotate_every", self.rotate_every), ("keep_for", self.keep_for)];
        match spans.into_iter().find(|(_, span)| span.is_some_and(|span| span.0.is_zero())) {
            Some((name, _)) => Err(format!("audit.{name} must be longer than 0")),
            None => Ok(()),
        }
    }

    /// The files of the log.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.file.as_deref().into_iter().chain(self.database.as_deref())
    }

    /// Makes its paths those that `place` gives.
    pub fn relocate(&mut self, place: &dyn Fn(&str) -> String) {
        for path in self.file.iter_mut().chain(&mut self.database) {
            *path = place(path);
        }
        if let Some(Secret(text)) = &mut self.key
            && let Some(path) = text.strip_prefix("file:")
        {
            *text = format!("file:{}", place(path));
        }
    }

    /// The key, read from where it is.
    ///
    /// # Errors
    /// One sentence, without the key.
    pub fn key(&self) -> Result<Option<Key>> {
        self.key.as_ref().map(|Secret(text)| key("audit.key", text)).transpose()
    }
}

/// A key as it is written: plain text, `env:NAME` or `file:PATH`; `name` is what it is called in messages.
///
/// # Errors
/// One sentence, without the key.
pub fn key(name: &str, text: &str) -> Result<Key> {
    let text = match reference(text) {
        Some(reference) => refer(reference).map_err(|error| anyhow!("{name}: {error}"))?,
        None => text.to_owned(),
    };
    let secret = text.trim();
    ensure!(
        secret.len() >= SHORTEST_KEY,
        "{name} has fewer than {SHORTEST_KEY} bytes; make one with `openssl rand -base64 32`"
    );
    Ok(Key::new(secret.as_bytes()))
}

/// Of which requests an engine of this configuration tells what they did.
pub fn audits(config: &Config) -> Audits {
    let Some(section) = &config.audit else { return Audits::None };
    match section.get("reads").and_then(toml::Value::as_bool) {
        Some(true) => Audits::All,
        _ => Audits::Writes,
    }
}

/// Refuses a log that would be written into a database that is served.
///
/// # Errors
/// One sentence.
pub fn refuse_served(settings: &Settings, config: &Config) -> Result<()> {
    let place = |path: &str| -> Result<std::path::PathBuf> {
        let path = Path::new(path);
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = std::fs::canonicalize(directory).with_context(|| {
            format!("the directory {} of the audit log cannot be used", directory.display())
        })?;
        Ok(std::fs::canonicalize(path)
            .unwrap_or_else(|_| directory.join(path.file_name().unwrap_or_default())))
    };
    let served: Vec<_> =
        config.databases.values().filter_map(|database| std::fs::canonicalize(&database.path).ok()).collect();
    for path in settings.paths() {
        ensure!(
            !served.contains(&place(path)?),
            "[audit] names {path}, which is served; the log is kept in a file of its own"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).expect(text)
    }

    #[test]
    fn what_cannot_be_meant() {
        for (text, told) in [
            ("", "neither a file nor a database"),
            ("file = \"a\"\ndatabase = \"a\"", "the same file"),
            ("file = \"..\"", "paths of files"),
            ("file = \"a\"\nqueue = 0", "audit.queue"),
            ("file = \"a\"\nrotate_every = \"0s\"", "audit.rotate_every"),
            ("file = \"a\"\nkeep_for = \"0s\"", "audit.keep_for"),
        ] {
            let error = settings(text).check().expect_err(text);
            assert!(error.contains(told), "{error}");
        }
        assert_eq!(settings("file = \"a\"").check(), Ok(()));
    }

    #[test]
    fn a_key_is_not_told() {
        let short = settings("file = \"a\"\nkey = \"tell nobody\"");
        let Err(error) = short.key() else { panic!("too short") };
        let error = error.to_string();
        assert!(error.contains("audit.key has fewer than 16 bytes") && !error.contains("tell"), "{error}");
        assert!(!format!("{short:?}").contains("tell nobody"));
        let named = settings("file = \"a\"\nkey = \"env:NO_SUCH_VARIABLE\"");
        let Err(error) = named.key() else { panic!("none") };
        assert!(error.to_string().contains("NO_SUCH_VARIABLE"));
    }

    #[test]
    fn paths_are_beside_the_configuration() {
        let mut settings = settings("file = \"a\"\ndatabase = \"b\"\nkey = \"file:k\"");
        settings.relocate(&|path| format!("etc/{path}"));
        assert_eq!(settings.paths().collect::<Vec<_>>(), ["etc/a", "etc/b"]);
        assert_eq!(settings.key, Some(Secret("file:etc/k".to_owned())));
    }
}
