//! The tool that writes rows. It is there only where agents may write.

use serde_json::{Map, Value as Json};

use super::arguments::{Operation, Page, Write, read};
use super::caller::{Asks, Caller};
use super::pages::{Answered, DONE, Paged, most_body};
use super::target::Target;
use super::told::{self, Told};
use super::tools::base;

/// Writes rows, all or none of them.
///
/// # Errors
/// The answer that tells of a failure.
pub async fn write_rows(caller: &Caller, arguments: Map<String, Json>) -> Told {
    let write: Write = read(arguments).map_err(|error| told::wrong(&error))?;
    let asks = written(caller, &write).map_err(|error| told::wrong(&error))?;
    let (answer, is_whole) = caller.ask(&asks, most_body(caller)).await;
    let page = Page::default();
    let Paged { rows, mut answered, .. } = Paged::of(caller, answer, is_whole, &page, None)?;
    answered.affected = answered.total.take();
    if rows.as_ref().is_some_and(|rows| rows.cut.is_some()) {
        answered.note = Some(DONE.to_owned());
    } else {
        (answered.truncated, answered.note) = (false, None);
    }
    Ok(told::answer(&Answered { rows: rows.map(|rows| rows.rows), ..answered }))
}

/// What is asked of the API for a write.
///
/// # Errors
/// A sentence on what cannot be meant.
fn written(caller: &Caller, write: &Write) -> Result<Asks, String> {
    let most = caller.settings.max_rows;
    refuse(write, most)?;
    let mut target = Target::relation(base(caller), &write.relation)?;
    target.filter(&write.filters, write.query.as_deref())?;
    if let Some(key) = &write.on_conflict {
        target.push("on_conflict", key);
    }
    let mut prefer = vec!["count=exact".to_owned()];
    prefer.push(format!("return={}", if write.returning { "representation" } else { "minimal" }));
    if write.operation == Operation::Upsert {
        prefer.push("resolution=merge-duplicates".to_owned());
    }
    if write.operation.finds() {
        let most = write.max_affected.map_or(most, |own| own.min(most));
        prefer.push(format!("handling=strict, max-affected={most}"));
    }
    Ok(Asks {
        method: match write.operation {
            Operation::Insert | Operation::Upsert => "POST",
            Operation::Update => "PATCH",
            Operation::Delete => "DELETE",
        },
        target: target.into_text(),
        database: write.database.clone(),
        prefer: prefer.join(", "),
        body: write.rows.as_ref().map(Json::to_string).unwrap_or_default(),
        writes: true,
    })
}

/// That a write is one, and of no more than so many rows.
///
/// # Errors
/// A sentence on what cannot be meant.
fn refuse(write: &Write, most: u64) -> Result<(), String> {
    let finds = write.operation.finds();
    let query = write.query.as_deref().unwrap_or_default();
    let has_filter = !write.filters.is_empty() || query.contains('=');
    // An update by a list finds its rows by their keys.
    let is_list = matches!(write.rows, Some(Json::Array(_)));
    if finds && !has_filter && !(write.operation == Operation::Update && is_list) {
        return Err("update and delete need a condition in filters or query".to_owned());
    }
    if !finds && has_filter {
        return Err("insert and upsert take no conditions".to_owned());
    }
    let count = write.rows.as_ref().map_or(0, |rows| rows.as_array().map_or(1, Vec::len)) as u64;
    match (write.operation, count) {
        (Operation::Delete, 0) => {}
        (Operation::Delete, _) => return Err("delete takes no rows, but conditions".to_owned()),
        (_, 0) => return Err("rows has none: give an object or a list of objects".to_owned()),
        (_, count) if count > most => {
            return Err(format!("there are {count} rows, and {most} is the most at a time"));
        }
        _ => {}
    }
    Ok(())
}
