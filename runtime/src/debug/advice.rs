//! Indexes that would help a request: guessed from its plan, tried on an empty copy of the schema, and told of only where the database
//! would then go about it with fewer steps through whole tables.

use serde::Serialize;

use super::candidates::{Candidate, candidates};
use super::explain::Explanation;
use crate::database::{Database, DbError};
use crate::run::{self, Explained};
use crate::schema::quoted;
use crate::value::Value;

/// The most indexes that are tried for one request.
const MOST_TRIED: usize = 24;

/// The most operations of a batch that indexes are tried for: each index has all of them planned again.
const MOST_PARTS: usize = 8;

/// What the schema is made of again: what virtual tables keep inside is made with them. What needs others comes behind them.
const DEFINITIONS: &str = "SELECT s.sql FROM sqlite_schema AS s WHERE s.sql IS NOT NULL AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
    AND NOT EXISTS (SELECT 1 FROM pragma_table_list AS l WHERE l.schema = 'main' AND l.name = s.tbl_name AND l.type = 'shadow') \
    ORDER BY CASE s.type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, s.rowid";

/// What ANALYZE has found out (<https://www.sqlite.org/fileformat2.html#the_sqlite_stat1_table>).
const STATISTICS: &str = "SELECT tbl, idx, stat FROM sqlite_stat1";

/// An index that would help.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// The table.
    pub table: String,
    /// The columns, in the order of the index.
    pub columns: Vec<String>,
    /// What it is for, in words.
    pub reason: String,
    /// The statement that makes it.
    pub create_index: String,
    /// What was done before, of the lines that it changes.
    pub before: Vec<String>,
    /// What is done with it.
    pub after: Vec<String>,
}

/// What a line of a query plan reads from end to end, if it does.
pub fn scanned(line: &str) -> Option<&str> {
    // A list of parameters and the one row of a constant are not to be helped.
    line.strip_prefix("SCAN ")
        .filter(|what| !what.contains(" VIRTUAL TABLE ") && !what.starts_with("CONSTANT"))
}

/// The relation that a line reads from end to end, by the name that it has in its statement.
pub(super) fn scanned_relation<'s>(sql: &'s str, line: &'s str) -> Option<&'s str> {
    let what = scanned(line)?;
    let alias = what.split(" USING ").next().unwrap_or(what);
    // `t1` is not where `t10` is.
    let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let plain = format!("\" AS {alias}");
    let plain = sql.match_indices(&plain).find(|(at, found)| is_end(sql.split_at(at + found.len()).1));
    let at = plain.map(|(at, _)| at).or_else(|| sql.find(&format!("\" AS \"{alias}\"")));
    let before = at.map(|at| sql.split_at(at).0);
    let name = before.and_then(|before| before.rsplit('"').next());
    Some(name.map_or(alias, |name| name.strip_prefix("visible ").unwrap_or(name)))
}

/// How many steps there are that an index could save.
fn cost(statements: &[Explained]) -> usize {
    let is_costly = |line: &str| {
        scanned(line).is_some_and(|what| !what.contains(" USING "))
            || line.starts_with("USE TEMP B-TREE")
            || line.contains("AUTOMATIC")
    };
    // So may be what begins or ends with a row: all but some.
    let is_half = |line: &str| {
        let range = line.split_once("USING INTEGER PRIMARY KEY (").map(|(_, range)| range);
        range.is_some_and(|range| range.starts_with("rowid>") || range.starts_with("rowid<"))
    };
    // Going through a whole index is less than going through a whole table and sorting it.
    let weight = |line: &str| match is_costly(line) {
        true => 2,
        false => usize::from(scanned(line).is_some() || is_half(line)),
    };
    lines(statements).map(weight).sum()
}

fn lines(statements: &[Explained]) -> impl Iterator<Item = &str> {
    statements.iter().flat_map(|own| &own.lines).map(|(_, _, detail)| detail.as_str())
}

/// The indexes that help. `shadow` is an empty database, which is filled with the schema of `db`.
pub fn find(explanation: &Explanation, db: &mut dyn Database, shadow: &mut dyn Database) -> Vec<Advice> {
    if cost(&explanation.statements) == 0 || explanation.parts.len() > MOST_PARTS {
        return Vec::new();
    }
    let tried: Vec<Vec<Candidate>> = explanation
        .parts
        .iter()
        .flat_map(|part| candidates(&part.view, &part.plan))
        .take(MOST_TRIED)
        .collect();
    if tried.is_empty() || copy_schema(db, shadow).is_err() {
        return Vec::new();
    }
    let Ok(mut before) = explained(explanation, shadow) else { return Vec::new() };
    let mut found = Vec::new();
    for mut together in tried {
        together.retain(|own| !found.iter().any(|known| is_same(known, own)));
        let (made, after) = with(&mut together, explanation, shadow);
        let is_used = |own: &Candidate, after: &[Explained]| lines(after).any(|line| names(line, &own.name));
        let after = after
            .filter(|after| together.iter().all(|own| is_used(own, after)) && cost(after) < cost(&before));
        if let Some(after) = after {
            found.extend(together.iter().map(|own| advice(own, &before, &after)));
            before = after;
            continue;
        }
        for own in together.iter().take(made) {
            let _ = execute(shadow, &format!("DROP INDEX {}", quoted(&own.name)), &[]);
        }
    }
    found
}

/// Whether an index is advised already.
fn is_same(known: &Advice, own: &Candidate) -> bool {
    known.table == own.table && known.columns.iter().eq(own.columns.iter().map(|(name, _)| name))
}

/// Whether a line says that an index of this name is used.
fn names(line: &str, index: &str) -> bool {
    line.split_once(" INDEX ").is_some_and(|(_, rest)| {
        rest.strip_prefix(index).is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("))
    })
}

fn advice(candidate: &Candidate, before: &[Explained], after: &[Explained]) -> Advice {
    let only = |these: &[Explained], those: &[Explained]| -> Vec<String> {
        let mut others: Vec<&str> = lines(those).collect();
        let is_new = |line: &&str| match others.iter().position(|other| other == line) {
            Some(at) => {
                others.swap_remove(at);
                false
            }
            None => true,
        };
        lines(these).filter(is_new).map(str::to_owned).collect()
    };
    Advice {
        table: candidate.table.clone(),
        columns: candidate.columns.iter().map(|(name, _)| name.clone()).collect(),
        reason: candidate.reason.clone(),
        create_index: create(candidate) + ";",
        before: only(before, after),
        after: only(after, before),
    }
}

/// The statements with these indexes more, and how many were made; none where one cannot be.
fn with(
    together: &mut [Candidate],
    explanation: &Explanation,
    shadow: &mut dyn Database,
) -> (usize, Option<Vec<Explained>>) {
    let failed = together.iter_mut().position(|own| !make(own, shadow));
    match failed {
        Some(made) => (made, None),
        None => (together.len(), explained(explanation, shadow).ok()),
    }
}

/// Makes an index.
fn make(candidate: &mut Candidate, shadow: &mut dyn Database) -> bool {
    let name = candidate.name.clone();
    let mut made = execute(shadow, &create(candidate), &[]);
    // There may be an index of this name that is no help.
    for number in 2..=9 {
        if made.is_ok() {
            break;
        }
        candidate.name = format!("{name}{number}");
        made = execute(shadow, &create(candidate), &[]);
    }
    made.is_ok()
}

/// `CREATE INDEX "posts_author_id_idx" ON "posts" ("author_id")`
fn create(candidate: &Candidate) -> String {
    let column = |(name, descends): &(String, bool)| quoted(name) + if *descends { " DESC" } else { "" };
    let columns: Vec<String> = candidate.columns.iter().map(column).collect();
    let (name, table) = (quoted(&candidate.name), quoted(&candidate.table));
    format!("CREATE INDEX {name} ON {table} ({})", columns.join(", "))
}

fn explained(explanation: &Explanation, shadow: &mut dyn Database) -> Result<Vec<Explained>, DbError> {
    let mut all = Vec::new();
    for part in &explanation.parts {
        all.extend(run::explain(&part.program, shadow)?);
    }
    Ok(all)
}

/// Makes the schema again, without rows. What cannot be made makes the statements fail that need it.
fn copy_schema(db: &mut dyn Database, shadow: &mut dyn Database) -> Result<(), DbError> {
    // What a write looks for in tables that refer to its own is in its plan only with them.
    let _ = execute(shadow, "PRAGMA foreign_keys = ON", &[]);
    for row in texts(db, DEFINITIONS)? {
        if let [Value::Text(sql)] = row.as_slice() {
            let _ = execute(shadow, sql, &[]);
        }
    }
    // There are none where nobody has run ANALYZE.
    let Ok(statistics) = texts(db, STATISTICS) else { return Ok(()) };
    execute(shadow, "ANALYZE", &[])?;
    for row in statistics {
        execute(shadow, "INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", &row)?;
    }
    // Has them read.
    execute(shadow, "ANALYZE sqlite_schema", &[])
}

fn texts(db: &mut dyn Database, sql: &str) -> Result<Vec<Vec<Value>>, DbError> {
    let mut rows = Vec::new();
    db.rows(sql, &[], &mut |row| rows.push(row.iter().map(|value| value.to_value()).collect()))?;
    Ok(rows)
}

fn execute(db: &mut dyn Database, sql: &str, params: &[Value]) -> Result<(), DbError> {
    db.rows(sql, params, &mut |_| {})
}
