//! The fifth stage: runs a program on one connection. The only stage that talks to the database.

use crate::audit::{self, Touched};
use crate::compile::{Keys, Param, Program, Statement, Step, TreeStatement, Violation};
use crate::database::{Database, DbError, Paged};
use crate::encode::{RowFormat, keys_json};
use crate::value::{Value, ValueRef};

/// What a program did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The rows of the page, as their shape has them, with its separators between them.
    pub body: Vec<u8>,
    /// The first line of a CSV document.
    pub csv_header: Vec<u8>,
    /// Rows in the body.
    pub page_rows: u64,
    /// Whether the body has the first rows only, and the shell sends the others; how many is not known.
    pub streams: bool,
    /// Rows beyond the page included, where they were counted.
    pub total: Option<u64>,
    /// The place of the last row of the page in the order, where there are rows behind it and it was asked for.
    pub next: Option<Vec<Value>>,
    /// Whether the rows are not those of which the client knows; nothing was done then.
    pub precondition_failed: bool,
    /// Rows written.
    pub written: u64,
    /// Rows whose key was there before an upsert.
    pub existing: u64,
    /// The first key written, where it was asked for.
    pub key: Vec<Value>,
    /// The rows written as a record names them, for each relation; where one is kept.
    pub touched: Vec<Touched>,
}

/// Why a program did not come to its end.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// What the database says of the first statement that failed.
    Database(DbError),
    /// A row breaks a policy.
    Policy(Violation),
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Failure {
        Failure::Database(error)
    }
}

/// Runs the steps in their order; the transaction around them is the caller's.
///
/// # Errors
/// What went wrong first.
pub fn run(program: Program, db: &mut dyn Database) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let mut keys: Vec<Vec<Value>> = Vec::new();
    for step in program.steps {
        match step {
            Step::Precondition { statement, format, tests } => {
                let mut rows = Vec::new();
                let page = db.page(&statement.sql, &params(statement.params, &[]), &format, &mut rows)?;
                let count = whole(page)?;
                if !tests.allow_write(&rows, count) {
                    outcome.precondition_failed = true;
                    return Ok(outcome);
                }
            }
            Step::WriteTree { rows, keys: purpose } => {
                write_tree(rows, purpose, db, &mut keys, &mut outcome)?
            }
            Step::Page { statement, format } => {
                outcome.csv_header = format.csv_header();
                page(statement, &format, &keys, db, &mut outcome)?;
            }
            Step::WritePage { statements, format } => {
                outcome.csv_header = format.csv_header();
                for statement in statements {
                    page(statement, &format, &keys, db, &mut outcome)?;
                }
                outcome.written = outcome.page_rows;
            }
            Step::Count { statement, offset, limit } => {
                outcome.total = Some(count(statement, offset, limit, db, &outcome)?);
            }
            Step::Last { statement, limit } if outcome.page_rows == limit => {
                let mut rows: Vec<Vec<Value>> = Vec::new();
                db.rows(&statement.sql, &params(statement.params, &[]), &mut |row| {
                    rows.push(row.iter().map(|value| value.to_value()).collect());
                })?;
                let has_more = rows.len() > 1;
                outcome.next = rows.into_iter().next().filter(|_| has_more);
            }
            Step::Last { .. } => {}
            Step::CountExisting(statement) => {
                outcome.existing = count_of(&statement.sql, &params(statement.params, &[]), db)?;
            }
            Step::Expect { statement, violation } => expect_none(statement, &keys, violation, db)?,
            Step::Write { statements, keys: purpose, located, proposed, violation, all, named } => {
                let mut proposed = proposed.into_iter();
                for statement in statements {
                    let proposed = proposed.next();
                    let written = db.rows(&statement.sql, &params(statement.params, &[]), &mut |row| {
                        outcome.written += 1;
                        let row = audit::touch(&mut outcome.touched, named, row);
                        let (told, key) = row.split_at(located.min(row.len()));
                        if outcome.key.is_empty() {
                            outcome.key = told.iter().map(|value| value.to_value()).collect();
                        }
                        if purpose.wants(&keys) {
                            keys.push(key.iter().map(|value| value.to_value()).collect());
                        }
                    });
                    if let Err(error) = written {
                        // Whoever may not write the row is told of that alone.
                        if let (Some(proposed), Some(violation)) = (proposed, violation) {
                            expect_none(proposed, &[], violation, db)?;
                        }
                        return Err(error.into());
                    }
                }
                if let Some((_, violation)) = all.filter(|(all, _)| outcome.written < *all) {
                    return Err(Failure::Policy(violation));
                }
                if purpose == Keys::Location {
                    outcome.key = keys.drain(..).next().unwrap_or_default();
                }
            }
        }
    }
    Ok(outcome)
}

/// What is said where a trigger passes over a row (`RAISE(IGNORE)`) whose values others need.
pub(crate) const NOT_INSERTED: &str = "a row that others refer to was not inserted";

/// Runs a statement that counts the rows which break a policy.
fn expect_none(
    statement: Statement,
    keys: &[Vec<Value>],
    violation: Violation,
    db: &mut dyn Database,
) -> Result<(), Failure> {
    if count_of(&statement.sql, &params(statement.params, keys), db)? == 0 {
        Ok(())
    } else {
        Err(Failure::Policy(violation))
    }
}

/// The number that a statement gives.
fn count_of(sql: &str, params: &[Value], db: &mut dyn Database) -> Result<u64, DbError> {
    let mut number = 0;
    db.rows(sql, params, &mut |row| {
        if let Some(ValueRef::Integer(count)) = row.first() {
            number = u64::try_from(*count).unwrap_or(0);
        }
    })?;
    Ok(number)
}

/// Inserts rows one by one; each gives others what they need of it.
fn write_tree(
    rows: Vec<TreeStatement>,
    purpose: Keys,
    db: &mut dyn Database,
    keys: &mut Vec<Vec<Value>>,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let mut given: Vec<Vec<Value>> = Vec::with_capacity(rows.len());
    for TreeStatement { statement, given: count, is_root, check, named } in rows {
        if let Some(check) = check.as_ref().filter(|check| check.is_before) {
            let params = tree_params(check.proposed.params.clone(), &given);
            if count_of(&check.proposed.sql, &params, db)? > 0 {
                return Err(Failure::Policy(check.violation.clone()));
            }
        }
        let mut row = Vec::new();
        let inserted = db.rows(&statement.sql, &tree_params(statement.params, &given), &mut |returned| {
            let returned = audit::touch(&mut outcome.touched, named, returned);
            row = returned.iter().map(|value| value.to_value()).collect();
        });
        if let (Err(_), Some(check)) = (&inserted, &check) {
            // Whoever may not insert the row is told of that alone.
            let params = tree_params(check.proposed.params.clone(), &given);
            if count_of(&check.proposed.sql, &params, db)? > 0 {
                return Err(Failure::Policy(check.violation.clone()));
            }
        }
        inserted?;
        if row.is_empty() && count > 0 {
            return Err(DbError { message: NOT_INSERTED.to_owned() }.into());
        }
        if let Some(check) = check.filter(|_| !row.is_empty()) {
            let key = row.split_off(row.len().saturating_sub(check.key));
            expect_none(check.statement, &[key], check.violation, db)?;
        }
        if is_root && !row.is_empty() {
            outcome.written += 1;
            if purpose.wants(keys) {
                keys.push(row.split_off(count.min(row.len())));
            }
        }
        given.push(row);
    }
    if purpose == Keys::Location {
        outcome.key = keys.drain(..).next().unwrap_or_default();
    }
    Ok(())
}

/// The parameters of a row of a tree: what earlier rows gave among them.
fn tree_params(params: Vec<Param>, given: &[Vec<Value>]) -> Vec<Value> {
    let value = |param| match param {
        Param::Given { row, at } => {
            given.get::<usize>(row).and_then(|row| row.get::<usize>(at)).cloned().unwrap_or(Value::Null)
        }
        Param::Value(value) => value,
        Param::Rowids | Param::PrimaryKeys => Value::Null,
    };
    params.into_iter().map(value).collect()
}

/// How the database would go about a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// What the statement is for.
    pub step: &'static str,
    /// Its text.
    pub sql: String,
    /// Its parameters.
    pub params: Vec<Param>,
    /// The lines of EXPLAIN QUERY PLAN: a number, that of the line it belongs to, and what is done.
    pub lines: Vec<(i64, i64, String)>,
}

/// Asks for the plan of each statement (<https://www.sqlite.org/eqp.html>), and runs none.
///
/// # Errors
/// What the database says of the first statement that it cannot prepare.
pub fn explain(program: &Program, db: &mut dyn Database) -> Result<Vec<Explained>, DbError> {
    let mut explained = Vec::new();
    for step in &program.steps {
        for statement in step.statements() {
            let mut lines = Vec::new();
            let sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
            db.rows(&sql, &params(statement.params.clone(), &[]), &mut |row| {
                if let [ValueRef::Integer(id), ValueRef::Integer(parent), _, ValueRef::Text(detail)] = row {
                    lines.push((*id, *parent, String::from_utf8_lossy(detail).into_owned()));
                }
            })?;
            explained.push(Explained {
                step: step.name(),
                sql: statement.sql.clone(),
                params: statement.params.clone(),
                lines,
            });
        }
    }
    Ok(explained)
}

fn page(
    statement: Statement,
    format: &RowFormat,
    keys: &[Vec<Value>],
    db: &mut dyn Database,
    outcome: &mut Outcome,
) -> Result<(), DbError> {
    let mut body = Vec::new();
    let rows = match db.page(&statement.sql, &params(statement.params, keys), format, &mut body)? {
        Paged::Whole(rows) => rows,
        Paged::Streams if format.may_stream() => {
            outcome.streams = true;
            1
        }
        page => whole(page)?,
    };
    if outcome.page_rows == 0 {
        outcome.body = body;
    } else if rows > 0 {
        outcome.body.extend_from_slice(format.separator());
        outcome.body.append(&mut body);
    }
    outcome.page_rows += rows;
    Ok(())
}

/// The number of rows of a page that must not be streamed.
fn whole(page: Paged) -> Result<u64, DbError> {
    match page {
        Paged::Whole(rows) => Ok(rows),
        Paged::Streams => Err(DbError { message: "the rows of a step are streamed".to_owned() }),
    }
}

/// The number of all rows: known without counting where the page showed the last one.
fn count(
    statement: Statement,
    offset: u64,
    limit: Option<u64>,
    db: &mut dyn Database,
    outcome: &Outcome,
) -> Result<u64, DbError> {
    let rows = outcome.page_rows;
    if limit.is_none_or(|limit| rows < limit) && (rows > 0 || offset == 0) {
        return Ok(offset + rows);
    }
    count_of(&statement.sql, &params(statement.params, &[]), db)
}

fn params(params: Vec<Param>, keys: &[Vec<Value>]) -> Vec<Value> {
    params
        .into_iter()
        .map(|param| match param {
            Param::Value(value) => value,
            Param::Rowids => Value::Text(rowids_json(keys)),
            Param::PrimaryKeys => Value::Text(keys_json(keys)),
            // Only trees have these, and they read them themselves.
            Param::Given { .. } => Value::Null,
        })
        .collect()
}

fn rowids_json(keys: &[Vec<Value>]) -> String {
    let rowids: Vec<String> = keys
        .iter()
        .filter_map(
            |key| if let [Value::Integer(rowid)] = key.as_slice() { Some(rowid.to_string()) } else { None },
        )
        .collect();
    format!("[{}]", rowids.join(","))
}
