//! `sqlitrest db migrate DIR`: SQL files, each applied once, in the order of their numbers, as a whole or not at all. What was applied
//! stands in a table of the database itself, with the SHA-256 of the file's text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Batch, Connection, OptionalExtension as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::backup::{Stop, copy_to, hex};
use super::private::Directory;
use super::{Access, explain, number};
use crate::cli::Failure;
use crate::progress;
use crate::settings::Of;
use crate::terminal::{ERROR, To, WARNING, WELL};

/// Where it stands what was applied. Requests do not see it.
const HISTORY: &str = "_sqlitrest_migrations";

const CREATE_HISTORY: &str = "CREATE TABLE IF NOT EXISTS _sqlitrest_migrations (\
    version INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, applied_at TEXT NOT NULL, \
    milliseconds INTEGER NOT NULL) STRICT";

/// What `sqlitrest db migrate` can be told.
#[derive(Args, Debug)]
pub struct MigrateFlags {
    /// The directory of the files: V001__name.sql, V002__other.sql, …
    directory: PathBuf,
    #[command(flatten)]
    of: Of,
    /// Apply them to a copy, and print what would change
    #[arg(long, conflicts_with = "status")]
    dry_run: bool,
    /// Print what is applied and what is not
    #[arg(long)]
    status: bool,
    /// Make the database where there is none yet
    #[arg(long, conflicts_with_all = ["dry_run", "status"])]
    create: bool,
}

/// A file.
#[derive(Clone, Debug)]
struct Migration {
    version: i64,
    /// `V001__name.sql`
    file: String,
    name: String,
    sql: String,
    sha256: String,
}

/// The files and what the database knows of them.
pub struct Status {
    migrations: Vec<Migration>,
    /// Name, checksum and time, by version.
    applied: BTreeMap<i64, (String, String, String)>,
}

/// What is wrong with a file, or not yet done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Applied,
    Pending,
    /// The file is not the one that was applied.
    Edited,
    /// Newer ones were applied before.
    Late,
    /// It was applied, and its file is gone.
    Missing,
}

/// A line of `--status`.
#[derive(Serialize)]
struct Line {
    version: i64,
    name: String,
    state: State,
    applied_at: Option<String>,
}

/// What a migration did, or would do.
#[derive(Serialize)]
struct Applied {
    version: i64,
    file: String,
    /// Inserted, updated and deleted.
    rows: u64,
    /// Tables, indexes, views and triggers: `+ table t`, `~ view v`, `- index i`.
    schema: Vec<String>,
    milliseconds: u128,
}

/// Applies what is new.
///
/// # Errors
/// A directory or file that is wrong; SQL that SQLite refuses.
pub fn migrate(flags: &MigrateFlags) -> Result<(), Failure> {
    let of = &flags.of;
    let access = if flags.dry_run || flags.status { Access::Read } else { Access::Write };
    if flags.create {
        of.path().and_then(|path| create(&path)).map_err(Failure::Start)?;
    }
    let (path, mut sql) = of.open(access).map_err(Failure::Start)?;
    let status = status(&sql, &flags.directory).map_err(Failure::Start)?;
    if flags.status {
        let lines = status.lines();
        return of.tell(&lines, || status_text(&lines)).map_err(Failure::Run);
    }
    status.refuse().map_err(Failure::Start)?;
    let pending = status.pending();
    let done = match flags.dry_run {
        true => try_on_copy(&path, &sql, &pending),
        false => apply(&path, &mut sql, &pending),
    };
    let (applied, failed) = done.map_err(Failure::Run)?;
    let text = || applied_text(&applied, flags.dry_run, pending.is_empty());
    of.tell(&applied, text).map_err(Failure::Run)?;
    failed.map_or(Ok(()), |error| Err(Failure::Run(error)))
}

/// Makes an empty file, which SQLite takes for an empty database, where there is nothing.
fn create(path: &Path) -> Result<()> {
    match fs::File::create_new(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("{} cannot be made", path.display()))
        }
        _ => Ok(()),
    }
}

/// Reads the files and what the database knows of them.
///
/// # Errors
/// A directory that cannot be read; files whose names are no such names; two of one version.
pub fn status(sql: &Connection, directory: &Path) -> Result<Status> {
    let shown = directory.display();
    let mut migrations = Vec::new();
    let entries = fs::read_dir(directory).with_context(|| format!("{shown} cannot be read"))?;
    for entry in entries {
        let path = entry.with_context(|| format!("{shown} cannot be read"))?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_none_or(|end| !end.eq_ignore_ascii_case("sql")) {
            continue;
        }
        let (version, name) = named(&file)
            .with_context(|| format!("{shown}/{file}: a migration is called V001__what_it_does.sql"))?;
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let sha256 = hex(&Sha256::digest(text.as_bytes()));
        migrations.push(Migration { version, file, name, sql: text, sha256 });
    }
    migrations.sort_by_key(|migration| migration.version);
    if let Some([a, b]) = migrations.windows(2).find_map(|pair| match pair {
        [a, b] if a.version == b.version => Some([a, b]),
        _ => None,
    }) {
        bail!("{} and {} have the same number; give one of them another", a.file, b.file);
    }
    Ok(Status { migrations, applied: history(sql)? })
}

/// `V001__name.sql` as 1 and `name`.
fn named(file: &str) -> Option<(i64, String)> {
    let (number, name) = file.strip_prefix(['V', 'v'])?.split_once("__")?;
    let name = name.get(..name.len().checked_sub(".sql".len())?)?;
    let version = number.parse().ok().filter(|_| number.bytes().all(|b| b.is_ascii_digit()))?;
    (!name.is_empty()).then(|| (version, name.to_owned()))
}

fn history(sql: &Connection) -> Result<BTreeMap<i64, (String, String, String)>> {
    let exists = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?";
    let exists = sql.query_row(exists, [HISTORY], |_| Ok(())).optional()?;
    if exists.is_none() {
        return Ok(BTreeMap::new());
    }
    let mut statement = sql.prepare(&format!("SELECT version, name, sha256, applied_at FROM {HISTORY}"))?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

impl Status {
    fn state(&self, migration: &Migration) -> State {
        match self.applied.get(&migration.version) {
            Some((_, sha256, _)) if *sha256 == migration.sha256 => State::Applied,
            Some(_) => State::Edited,
            None if self.applied.keys().any(|version| *version > migration.version) => State::Late,
            None => State::Pending,
        }
    }

    fn pending(&self) -> Vec<Migration> {
        self.migrations.iter().filter(|m| self.state(m) == State::Pending).cloned().collect()
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines: BTreeMap<i64, Line> = BTreeMap::new();
        for (version, (name, _, at)) in &self.applied {
            let (name, applied_at) = (name.clone(), Some(at.clone()));
            lines.insert(*version, Line { version: *version, name, state: State::Missing, applied_at });
        }
        for migration in &self.migrations {
            let applied_at = self.applied.get(&migration.version).map(|(_, _, at)| at.clone());
            let (version, name, state) = (migration.version, migration.name.clone(), self.state(migration));
            lines.insert(version, Line { version, name, state, applied_at });
        }
        lines.into_values().collect()
    }

    /// What stands in the way of applying any.
    fn refuse(&self) -> Result<()> {
        for migration in &self.migrations {
            let Migration { file, .. } = migration;
            match self.state(migration) {
                State::Edited => bail!(
                    "{file} was edited after it had been applied; put its text back, and write the change into a new file"
                ),
                State::Late => bail!(
                    "{file} is older than what was applied last; give it a number beyond {}",
                    self.applied.keys().next_back().copied().unwrap_or_default()
                ),
                _ => {}
            }
        }
        Ok(())
    }

    /// For `db check`: whether it is damage, what it is, and what to do.
    pub fn findings(&self) -> impl Iterator<Item = (bool, String, String)> + '_ {
        self.lines().into_iter().filter_map(|Line { version, name, state, .. }| {
            let what = format!("migration {version} ({name})");
            match state {
                State::Applied => None,
                State::Pending => {
                    Some((false, format!("{what} is not applied"), "sqlitrest db migrate DIR".to_owned()))
                }
                State::Edited => Some((
                    false,
                    format!("{what} was edited after it had been applied"),
                    "put its text back, and write the change into a new file".to_owned(),
                )),
                State::Late => Some((
                    false,
                    format!("{what} is older than what was applied last, and is not applied"),
                    "give it a number beyond the last".to_owned(),
                )),
                State::Missing => Some((
                    false,
                    format!("{what} was applied, and its file is gone"),
                    "put the file back: another database could not be made".to_owned(),
                )),
            }
        })
    }
}

/// Applies migrations to a copy, which nobody else can read and which is removed.
fn try_on_copy(
    path: &Path,
    sql: &Connection,
    pending: &[Migration],
) -> Result<(Vec<Applied>, Option<anyhow::Error>)> {
    let directory = Directory::new()?;
    let copy = directory.join("copy.db");
    copy_to(path, sql, &copy, &Stop::default())?;
    let mut sql = super::open(&copy, Access::Write)?;
    let tried = apply(&copy, &mut sql, pending);
    // Not before it is closed.
    drop(sql);
    tried
}

/// Applies migrations until one fails: what was done, and why no more.
fn apply(
    path: &Path,
    sql: &mut Connection,
    pending: &[Migration],
) -> Result<(Vec<Applied>, Option<anyhow::Error>)> {
    // Tables are rebuilt as SQLite advises, with the keys looked at in the end: https://www.sqlite.org/lang_altertable.html#otheralter
    sql.execute_batch("PRAGMA foreign_keys = OFF").map_err(|error| explain(path, &error))?;
    let mut applied = Vec::new();
    let shown = progress::bar(String::new(), pending.len() as u64);
    for migration in pending {
        shown.say(migration.file.clone());
        let done = one(sql, migration);
        shown.advance(1);
        match done {
            Ok(Some(done)) => applied.push(done),
            Ok(None) => {}
            Err(error) => {
                let _ = sql.execute_batch("ROLLBACK");
                let file = &migration.file;
                return Ok((applied, Some(error.context(format!("{file}: nothing of it was applied")))));
            }
        }
    }
    Ok((applied, None))
}

/// One migration, in a transaction of its own. None where another process was faster.
fn one(sql: &mut Connection, migration: &Migration) -> Result<Option<Applied>> {
    let Migration { version, file, name, sql: text, sha256 } = migration;
    let since = Instant::now();
    sql.execute_batch("BEGIN IMMEDIATE")?;
    sql.execute_batch(CREATE_HISTORY)?;
    if let Some((_, known, _)) = history(sql)?.get(version) {
        sql.execute_batch("ROLLBACK")?;
        return match known == sha256 {
            true => Ok(None),
            false => Err(anyhow!("another process applied a file of this number and another text")),
        };
    }
    let (before, dangling, touched) = (objects(sql)?, dangling(sql)?, sql.total_changes());
    sql.authorizer(Some(stays_inside))?;
    let done = statements(sql, text);
    sql.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
    done?;
    let broken = self::dangling(sql)?.saturating_sub(dangling);
    if broken > 0 {
        bail!("after it {broken} more rows refer to rows that are not there");
    }
    let (rows, after) = (sql.total_changes() - touched, objects(sql)?);
    let milliseconds = since.elapsed().as_millis();
    let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let values = (version, name, sha256, at, i64::try_from(milliseconds).unwrap_or(i64::MAX));
    sql.execute(&format!("INSERT INTO {HISTORY} VALUES (?, ?, ?, ?, ?)"), values)?;
    sql.execute_batch("COMMIT")?;
    let schema = difference(&before, &after);
    Ok(Some(Applied { version: *version, file: file.clone(), rows, schema, milliseconds }))
}

/// What would end the transaction, or reach beyond the database, is refused: the file would not be applied as a whole.
fn stays_inside(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Transaction { .. } | AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
            Authorization::Deny
        }
        _ => Authorization::Allow,
    }
}

/// Runs a file.
fn statements(sql: &Connection, text: &str) -> Result<()> {
    let mut batch = Batch::new(sql, text);
    // Where the next statement begins, or the blanks before it.
    let mut at = 0;
    loop {
        let mut statement = match batch.next() {
            Ok(Some(statement)) => statement,
            Ok(None) => return Ok(()),
            Err(error) => return Err(placed(text, at, &error)),
        };
        let own = statement.expanded_sql().unwrap_or_default();
        let start = at + text.get(at..).and_then(|rest| rest.find(&own)).unwrap_or_default();
        let mut rows = statement.raw_query();
        while rows.next().map_err(|error| placed(text, start, &error))?.is_some() {}
        at = start + own.len();
    }
}

/// An error of SQLite's with the line that it is in; `at` is where its statement begins.
fn placed(text: &str, at: usize, error: &rusqlite::Error) -> anyhow::Error {
    let blank = |rest: &str| rest.len() - rest.trim_start().len();
    let mut at = at + text.get(at..).map_or(0, blank);
    let said = match error {
        rusqlite::Error::SqlInputError { msg, sql, offset, .. } => {
            let rest = usize::try_from(*offset).unwrap_or(0);
            at = text.strip_suffix(sql.as_str()).map_or(at, |before| before.len() + rest);
            msg.clone()
        }
        error => error.to_string(),
    };
    let line = text.get(..at).unwrap_or(text).matches('\n').count() + 1;
    let why = match said.contains("not authorized") {
        true => ": BEGIN, COMMIT, ROLLBACK, ATTACH and DETACH are not taken; the file is one transaction",
        false => "",
    };
    anyhow!("line {line}: {said}{why}")
}

/// How many rows refer to rows that are not there.
fn dangling(sql: &Connection) -> rusqlite::Result<u64> {
    let count: i64 = sql.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// What the schema has, with its SQL, by kind and name.
fn objects(sql: &Connection) -> rusqlite::Result<BTreeMap<(String, String), String>> {
    let mut statement =
        sql.prepare("SELECT type, name, ifnull(sql, '') FROM sqlite_schema WHERE name <> ?")?;
    let rows = statement.query_map([HISTORY], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    rows.collect()
}

fn difference(
    before: &BTreeMap<(String, String), String>,
    after: &BTreeMap<(String, String), String>,
) -> Vec<String> {
    let line = |sign: char, (kind, name): &(String, String)| format!("{sign} {kind} {name}");
    let gone = before.keys().filter(|object| !after.contains_key(*object)).map(|object| line('-', object));
    let there = after.iter().filter_map(|(object, sql)| match before.get(object) {
        None => Some(line('+', object)),
        Some(old) if old != sql => Some(line('~', object)),
        Some(_) => None,
    });
    gone.chain(there).collect()
}

fn applied_text(applied: &[Applied], is_dry: bool, was_nothing: bool) -> String {
    if was_nothing {
        return "nothing to apply".to_owned();
    }
    let mut text = String::new();
    for Applied { file, rows, schema, milliseconds, .. } in applied {
        let would = if is_dry { "would be applied" } else { "applied" };
        let rows = number(usize::try_from(*rows).unwrap_or(usize::MAX), "row");
        let _ = writeln!(text, "{file}: {would} in {milliseconds} ms, {rows} touched");
        for line in schema {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

fn status_text(lines: &[Line]) -> String {
    let mut text = String::new();
    for Line { version, name, state, applied_at } in lines {
        let state = match state {
            State::Applied => To::Output.paint(WELL, "applied"),
            State::Pending => To::Output.paint(WARNING, "pending"),
            State::Edited => To::Output.paint(ERROR, "EDITED after it was applied"),
            State::Late => To::Output.paint(ERROR, "NOT APPLIED, though newer ones are"),
            State::Missing => To::Output.paint(ERROR, "applied, its file is MISSING"),
        };
        let at = applied_at.as_ref().map(|at| format!(" {at}")).unwrap_or_default();
        let _ = writeln!(text, "{version:>4} {name}: {state}{at}");
    }
    if lines.is_empty() {
        text.push_str("no migrations");
    }
    text
}
