//! `sqlitrest db check`: what is wrong with a database, and how to mend it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use rusqlite::Connection;
use serde::Serialize;

use super::audit::{self, AuditFlags};
use super::{Access, explain, is_damage, migrate, number, quoted, size, try_open};
use crate::audit::verify::Verified;
use crate::cli::Failure;
use crate::open::beside;
use crate::progress;
use crate::settings::Of;
use crate::terminal::{ERROR, To, WARNING, WELL};

/// How many of one kind are told.
const MOST: usize = 100;

/// A write-ahead log from this size on is told of: a server empties it before.
const LARGE_LOG: u64 = 64 << 20;

/// Unused space from this size on is told of, if it is a quarter of the file.
const MUCH_UNUSED: u64 = 1 << 20;

/// What `sqlitrest db check` can be told.
#[derive(Args, Debug)]
pub struct CheckFlags {
    #[command(flatten)]
    of: Of,
    /// Look for damage in less time: whether indexes and tables agree is not looked at
    #[arg(long)]
    quick: bool,
    /// The directory of migrations, to be told which are not applied
    #[arg(long, value_name = "DIR")]
    migrations: Option<PathBuf>,
    #[command(flatten)]
    audit: AuditFlags,
}

/// What was found.
#[derive(Serialize)]
struct Checked {
    file: PathBuf,
    /// Whether there is no damage.
    ok: bool,
    found: Vec<Finding>,
    /// The audit logs of the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    audit: Vec<Verified>,
}

/// One thing, and what to do about it.
#[derive(Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What it is.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Data is lost or contradicts itself.
    Damage,
    /// It could be better.
    Advice,
}

/// Looks, and prints what it found.
///
/// # Errors
/// A file that cannot be opened; damage.
pub fn check(flags: &CheckFlags) -> Result<(), Failure> {
    let of = &flags.of;
    if flags.audit.is_all() {
        return audit::check(of, &flags.audit);
    }
    let path = of.path().map_err(Failure::Start)?;
    let (sql, found) = match try_open(&path, Access::Read).map_err(Failure::Start)? {
        Ok(sql) => {
            let found = look(&path, &sql, flags.quick);
            (Some(sql), found)
        }
        // What cannot be read at all is damaged, too.
        Err(error) if is_damage(&error) => (None, Err(error)),
        Err(error) => return Err(Failure::Start(explain(&path, &error))),
    };
    let found = found.or_else(|error| match is_damage(&error) {
        true => Ok(vec![Finding { level: Level::Damage, what: error.to_string(), mend: replace(&path) }]),
        false => Err(Failure::Run(explain(&path, &error))),
    })?;
    let (logs, of_logs) = audit::configured(of, &flags.audit).map_err(Failure::Start)?;
    let mut checked = Checked { file: path, ok: true, found, audit: logs };
    checked.found.extend(of_logs);
    if let (Some(directory), Some(sql)) = (&flags.migrations, &sql) {
        let status = migrate::status(sql, directory).map_err(Failure::Start)?;
        checked.found.extend(status.findings().map(|(damaged, what, mend)| Finding {
            level: if damaged { Level::Damage } else { Level::Advice },
            what,
            mend,
        }));
    }
    let damages = checked.found.iter().filter(|finding| finding.level == Level::Damage).count();
    checked.ok = damages == 0;
    of.tell(&checked, || text(&checked)).map_err(Failure::Run)?;
    match damages {
        0 => Ok(()),
        damages => Err(Failure::Run(anyhow!("{}: {}", checked.file.display(), number(damages, "damage")))),
    }
}

fn look(path: &Path, sql: &Connection, quick: bool) -> rusqlite::Result<Vec<Finding>> {
    let shown = progress::spinner(format!("looking for damage in {}", path.display()));
    // Of one moment.
    sql.execute_batch("BEGIN")?;
    let mut found = integrity(path, sql, quick)?;
    shown.say(format!("looking for dangling references in {}", path.display()));
    found.extend(dangling(sql)?);
    found.extend(unindexed(sql)?);
    found.extend(storage(path, sql)?);
    Ok(found)
}

/// <https://www.sqlite.org/pragma.html#pragma_integrity_check>
fn integrity(path: &Path, sql: &Connection, quick: bool) -> rusqlite::Result<Vec<Finding>> {
    let pragma = if quick { "quick_check" } else { "integrity_check" };
    let mut statement = sql.prepare(&format!("PRAGMA {pragma}({MOST})"))?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mend = replace(path);
    lines
        .filter(|line| line.as_ref().map_or(true, |line| line != "ok"))
        .map(|line| Ok(Finding { level: Level::Damage, what: line?, mend: mend.clone() }))
        .collect()
}

/// What to do about a file that is damaged.
fn replace(path: &Path) -> String {
    let file = path.display();
    format!(
        "put a backup in its place: `sqlitrest db restore BACKUP --database {file}`; or save what can be read: `sqlite3 {file} .recover`"
    )
}

/// <https://www.sqlite.org/pragma.html#pragma_foreign_key_check>
fn dangling(sql: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let mut statement = sql.prepare(
        "SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2",
    )?;
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    })?;
    rows.take(MOST)
        .map(|row| {
            let (table, parent, count) = row?;
            Ok(Finding {
                level: Level::Damage,
                what: format!("{count} rows of {table} refer to rows of {parent} that are not there"),
                mend: format!(
                    "insert those rows or delete these: SELECT * FROM {0} WHERE rowid IN (SELECT rowid FROM pragma_foreign_key_check('{1}'))",
                    quoted(&table),
                    table.replace('\'', "''")
                ),
            })
        })
        .collect()
}

/// Foreign keys without an index: every delete of a row that they refer to reads the whole table, and so does every embed.
fn unindexed(sql: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let mut statement = sql.prepare(
        "SELECT s.name, f.id, f.\"from\", f.\"table\" FROM sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f \
         WHERE s.type = 'table' AND s.rootpage > 0 ORDER BY s.name, f.id, f.seq",
    )?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, String>(3)?,
        ))
    })?;
    let mut keys: Vec<(String, i64, Vec<String>, String)> = Vec::new();
    for row in rows {
        let (table, id, column, parent) = row?;
        match keys.last_mut() {
            Some((last, of, columns, _)) if *last == table && *of == id => columns.push(column),
            _ => keys.push((table, id, vec![column], parent)),
        }
    }
    let mut found = Vec::new();
    for (table, _, columns, parent) in keys {
        if !is_indexed(sql, &table, &columns)? {
            let list: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
            let name = quoted(&format!("{table}_{}", columns.join("_")));
            found.push(Finding {
                level: Level::Advice,
                what: format!("{table}({}) refers to {parent} and has no index", columns.join(", ")),
                mend: format!("CREATE INDEX {name} ON {}({});", quoted(&table), list.join(", ")),
            });
        }
    }
    found.truncate(MOST);
    Ok(found)
}

/// Whether an index of all rows begins with these columns, in any order.
fn is_indexed(sql: &Connection, table: &str, columns: &[String]) -> rusqlite::Result<bool> {
    let is_one_of = |name: &str| columns.iter().any(|column| column.eq_ignore_ascii_case(name));
    let mut statement =
        sql.prepare_cached("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk")?;
    let key = statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    // The rowid has no index of its own, and needs none.
    if key.len() >= columns.len() && key.iter().take(columns.len()).all(|name| is_one_of(name)) {
        return Ok(true);
    }
    let mut statement = sql.prepare_cached(
        "SELECT i.name, c.name FROM pragma_index_list(?) AS i, pragma_index_info(i.name) AS c WHERE i.partial = 0 ORDER BY i.seq, c.seqno",
    )?;
    let rows = statement
        .query_map([table], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))?;
    let mut indexes: Vec<(String, Vec<Option<String>>)> = Vec::new();
    for row in rows {
        let (index, column) = row?;
        match indexes.last_mut() {
            Some((last, columns)) if *last == index => columns.push(column),
            _ => indexes.push((index, vec![column])),
        }
    }
    Ok(indexes.iter().any(|(_, of)| {
        of.len() >= columns.len()
            && of.iter().take(columns.len()).all(|name| name.as_deref().is_some_and(is_one_of))
    }))
}

/// The log, unused space, statistics.
fn storage(path: &Path, sql: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let mut found = Vec::new();
    let mut advise = |what: String, mend: String| found.push(Finding { level: Level::Advice, what, mend });
    let number = |pragma: &str| {
        sql.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
    };
    let file = path.display();
    let log = fs::metadata(beside(path, "-wal")).map_or(0, |about| about.len());
    if log >= LARGE_LOG {
        let mend = format!(
            "end long reads of other processes, or serve it once; or: sqlite3 {file} 'PRAGMA wal_checkpoint(TRUNCATE)'"
        );
        advise(format!("the write-ahead log has {}", size(log)), mend);
    }
    let (page, unused) = (number("page_size")?, number("freelist_count")?);
    let (pages, unused) = (number("page_count")?, unused * page);
    if unused >= MUCH_UNUSED && unused * 4 >= pages * page {
        let what = format!("{} of {} are unused", size(unused), size(pages * page));
        advise(what, format!("sqlitrest db vacuum --database {file}"));
    }
    let has_statistics: bool = sql.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1') \
         OR NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'index')",
        [],
        |row| row.get(0),
    )?;
    if !has_statistics {
        let what = "SQLite has no statistics to choose an index by".to_owned();
        advise(what, format!("sqlite3 {file} 'PRAGMA optimize=0x10002'"));
    }
    Ok(found)
}

/// Findings for people.
pub fn tell_findings(found: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { level, what, mend } in found {
        let level = match level {
            Level::Damage => To::Output.paint(ERROR, "damage:"),
            Level::Advice => To::Output.paint(WARNING, "advice:"),
        };
        let _ = writeln!(text, "{level} {what}\n    {mend}");
    }
    text
}

fn text(checked: &Checked) -> String {
    let mut text = tell_findings(&checked.found);
    text.extend(checked.audit.iter().map(audit::told));
    let advice = checked.found.iter().filter(|finding| finding.level == Level::Advice).count();
    if checked.ok {
        let found = if advice == 0 { String::new() } else { format!(", {advice} advice") };
        let well = To::Output.paint(WELL, "no damage");
        let _ = writeln!(text, "{}: {well}{found}", checked.file.display());
    }
    text
}
