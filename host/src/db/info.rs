//! `sqlitrest db info`: what is in a file.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use rusqlite::Connection;
use serde::Serialize;

use super::{Access, explain, number, quoted, size};
use crate::open::beside;
use crate::settings::Of;

/// What is told of a database.
#[derive(Serialize)]
struct Info {
    file: PathBuf,
    bytes: u64,
    /// What is in the file and not used.
    unused_bytes: u64,
    /// The write-ahead log.
    log_bytes: u64,
    page_size: u64,
    encoding: String,
    journal_mode: String,
    schema_version: i64,
    user_version: i64,
    application_id: i64,
    tables: Vec<Table>,
    views: Vec<String>,
    triggers: Vec<String>,
    /// The library's, which is in this program.
    sqlite: &'static str,
}

/// A table.
#[derive(Serialize)]
struct Table {
    name: String,
    /// `table` or `virtual`.
    kind: String,
    /// None where it cannot be read: a virtual table of a module that is not here.
    rows: Option<u64>,
    /// Its own and its indexes'. None of a virtual table, whose rows are in others.
    bytes: Option<u64>,
    indexes: u64,
}

/// Prints what is in the file.
///
/// # Errors
/// A file that cannot be read.
pub fn info(of: &Of) -> Result<()> {
    let (path, sql) = of.open(Access::Read)?;
    let info = read(path.clone(), &sql).map_err(|error| explain(&path, &error))?;
    of.tell(&info, || text(&info))
}

fn read(file: PathBuf, sql: &Connection) -> rusqlite::Result<Info> {
    // Of one moment.
    sql.execute_batch("BEGIN")?;
    let number = |name: &str| sql.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let word = |name: &str| sql.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, String>(0));
    let page_size = number("page_size")?.unsigned_abs();
    let length = |path: PathBuf| fs::metadata(path).map_or(0, |about| about.len());
    let names = |kind: &str| {
        let sql_text = "SELECT name FROM sqlite_schema WHERE type = ? ORDER BY name";
        let mut statement = sql.prepare(sql_text)?;
        let names = statement.query_map([kind], |row| row.get(0))?;
        names.collect::<rusqlite::Result<Vec<String>>>()
    };
    Ok(Info {
        bytes: length(file.clone()),
        unused_bytes: number("freelist_count")?.unsigned_abs() * page_size,
        log_bytes: length(beside(&file, "-wal")),
        page_size,
        encoding: word("encoding")?,
        journal_mode: word("journal_mode")?,
        schema_version: number("schema_version")?,
        user_version: number("user_version")?,
        application_id: number("application_id")?,
        tables: tables(sql)?,
        views: names("view")?,
        triggers: names("trigger")?,
        sqlite: rusqlite::version(),
        file,
    })
}

fn tables(sql: &Connection) -> rusqlite::Result<Vec<Table>> {
    // https://www.sqlite.org/dbstat.html
    let mut statement = sql.prepare(
        "SELECT s.tbl_name, sum(d.pgsize) FROM dbstat AS d JOIN sqlite_schema AS s ON s.name = d.name \
         WHERE d.aggregate = 1 GROUP BY 1",
    )?;
    let sizes = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    let sizes: HashMap<String, u64> = sizes.collect::<rusqlite::Result<_>>()?;
    let mut statement = sql.prepare(
        "SELECT l.name, l.type, \
         (SELECT count(*) FROM sqlite_schema AS s WHERE s.tbl_name = l.name AND s.type = 'index') \
         FROM pragma_table_list AS l WHERE l.schema = 'main' AND l.type IN ('table', 'virtual') \
         AND l.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY l.name",
    )?;
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, i64>(2)?)))?;
    rows.map(|row| {
        let (name, kind, indexes) = row?;
        let count = format!("SELECT count(*) FROM {}", quoted(&name));
        let rows = sql.query_row(&count, [], |row| row.get::<_, i64>(0));
        Ok(Table {
            rows: rows.ok().map(i64::unsigned_abs),
            bytes: sizes.get(&name).copied(),
            indexes: indexes.unsigned_abs(),
            name,
            kind,
        })
    })
    .collect()
}

fn text(info: &Info) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<16}{value}");
    };
    line("file", info.file.display().to_string());
    line("size", size(info.bytes));
    line("unused", size(info.unused_bytes));
    line("log", size(info.log_bytes));
    line("page size", size(info.page_size));
    line("encoding", info.encoding.clone());
    line("journal mode", info.journal_mode.clone());
    line("schema version", info.schema_version.to_string());
    line("user version", info.user_version.to_string());
    line("application id", info.application_id.to_string());
    line("SQLite", info.sqlite.to_owned());
    if !info.views.is_empty() {
        line("views", info.views.join(", "));
    }
    if !info.triggers.is_empty() {
        line("triggers", info.triggers.join(", "));
    }
    let _ = writeln!(text, "\n{}", number(info.tables.len(), "table"));
    let width = info.tables.iter().map(|table| table.name.chars().count()).max().unwrap_or(0);
    for table in &info.tables {
        let rows = table.rows.map_or("cannot be read".to_owned(), |rows| format!("{rows} rows"));
        let bytes = table.bytes.map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
        let indexes = match table.indexes {
            0 => String::new(),
            1 => ", 1 index".to_owned(),
            many => format!(", {many} indexes"),
        };
        let virtually = if table.kind == "virtual" { ", virtual" } else { "" };
        let _ = writeln!(text, "  {:<width$}  {rows}{bytes}{indexes}{virtually}", table.name);
    }
    text
}
