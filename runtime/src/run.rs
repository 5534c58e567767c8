//! The fifth stage: runs a program on one connection. The only stage that talks to the database.

use crate::compile::{Keys, Param, Program, Statement, Step};
use crate::database::{Database, DbError};
use crate::encode::{RowFormat, keys_json};
use crate::value::{Value, ValueRef};

/// What a program did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The rows of the page, as JSON objects with commas between them.
    pub body: Vec<u8>,
    /// The first line of a CSV document.
    pub csv_header: Vec<u8>,
    /// Rows in the body.
    pub page_rows: u64,
    /// Rows beyond the page included, where they were counted.
    pub total: Option<u64>,
    /// The place of the last row of the page in the order, where there are rows behind it and it was asked for.
    pub next: Option<Vec<Value>>,
    /// Rows written.
    pub written: u64,
    /// Rows whose key was there before an upsert.
    pub existing: u64,
    /// The first key written, where it was asked for.
    pub key: Vec<Value>,
}

/// Runs the steps in their order; the transaction around them is the caller's.
///
/// # Errors
/// What the database says of the first statement that fails.
pub fn run(program: Program, db: &mut dyn Database) -> Result<Outcome, DbError> {
    let mut outcome = Outcome::default();
    let mut keys: Vec<Vec<Value>> = Vec::new();
    for step in program.steps {
        match step {
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
                db.rows(&statement.sql, &params(statement.params, &[]), &mut |row| {
                    if let Some(ValueRef::Integer(count)) = row.first() {
                        outcome.existing = u64::try_from(*count).unwrap_or(0);
                    }
                })?;
            }
            Step::Write { statements, keys: purpose } => {
                for statement in statements {
                    db.rows(&statement.sql, &params(statement.params, &[]), &mut |row| {
                        outcome.written += 1;
                        let wanted = match purpose {
                            Keys::Count => false,
                            Keys::Location => keys.is_empty(),
                            Keys::ReadBack => true,
                        };
                        if wanted {
                            keys.push(row.iter().map(|value| value.to_value()).collect());
                        }
                    })?;
                }
                if purpose == Keys::Location {
                    outcome.key = keys.drain(..).next().unwrap_or_default();
                }
            }
        }
    }
    Ok(outcome)
}

fn page(
    statement: Statement,
    format: &RowFormat,
    keys: &[Vec<Value>],
    db: &mut dyn Database,
    outcome: &mut Outcome,
) -> Result<(), DbError> {
    let mut body = Vec::new();
    let rows = db.page(&statement.sql, &params(statement.params, keys), format, &mut body)?;
    if outcome.page_rows == 0 {
        outcome.body = body;
    } else if rows > 0 {
        outcome.body.extend_from_slice(format.separator());
        outcome.body.append(&mut body);
    }
    outcome.page_rows += rows;
    Ok(())
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
    let mut total = 0;
    db.rows(&statement.sql, &params(statement.params, &[]), &mut |row| {
        if let Some(ValueRef::Integer(count)) = row.first() {
            total = u64::try_from(*count).unwrap_or(0);
        }
    })?;
    Ok(total)
}

fn params(params: Vec<Param>, keys: &[Vec<Value>]) -> Vec<Value> {
    params
        .into_iter()
        .map(|param| match param {
            Param::Value(value) => value,
            Param::Rowids => Value::Text(rowids_json(keys)),
            Param::PrimaryKeys => Value::Text(keys_json(keys)),
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
