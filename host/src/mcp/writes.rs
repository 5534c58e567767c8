//! The tool that writes rows. It is there only where agents may write.

use serde_json::{Map, Value as Json};

use super::arguments::{Operation, Page, Write, read};
use super::caller::{Asks, Caller};
use super::pages::{Answered, DONE, Paged, most_body};
use super::target::Target;
use super::told::{self, Told};
use super::tools::{base, schema};
use crate::answer::Answer;

/// Writes rows, all or none of them.
///
/// # Errors
/// The answer that tells of a failure.
pub async fn write_rows(caller: &Caller, arguments: Map<String, Json>) -> Told {
    let write: Write = read(arguments).map_err(|error| told::wrong(&error))?;
    let asks = written(caller, &write).map_err(|error| told::wrong(&error))?;
    let inside = inside(caller, &write).await?;
    let (answer, is_whole) = caller.ask(&asks, most_body(caller)).await;
    let page = Page::default();
    let Paged { rows, mut answered, .. } = Paged::of(caller, answer, is_whole, &page, None)?;
    answered.affected = answered.total.take();
    if rows.as_ref().is_some_and(|rows| rows.cut.is_some()) {
        answered.note = Some(DONE.to_owned());
    } else {
        (answered.truncated, answered.note) = (false, (inside > 0).then(|| told::inside(inside)));
    }
    Ok(told::answer(&Answered { rows: rows.map(|rows| rows.rows), ..answered }))
}

/// What is asked of the API for a write.
///
/// # Errors
/// A sentence on what cannot be meant.
fn written(caller: &Caller, write: &Write) -> Result<Asks, String> {
    let most = caller.settings.max_rows;
    let mut target = Target::relation(base(caller), &write.relation)?;
    target.filter(&write.filters, write.query.as_deref())?;
    refuse(write, &target, most)?;
    if write.returning {
        // Of what the caller sees: of a whole row with a hidden column nothing would be told.
        target.push("select", "*");
    }
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
fn refuse(write: &Write, target: &Target, most: u64) -> Result<(), String> {
    let finds = write.operation.finds();
    // An update by a list finds its rows by their keys.
    let is_list = matches!(write.rows, Some(Json::Array(_)));
    if finds && !target.has_condition() && !(write.operation == Operation::Update && is_list) {
        return Err("update and delete need a condition in filters or query, on the relation's own columns"
            .to_owned());
    }
    let query = write.query.as_deref().unwrap_or_default();
    if !finds && (!write.filters.is_empty() || !query.trim().is_empty()) {
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

/// How many rows are inside of others; no more than that, with those.
///
/// # Errors
/// The answer that tells how many there are, or why that is not known.
async fn inside(caller: &Caller, write: &Write) -> Result<u64, Answer> {
    let most = caller.settings.max_rows;
    let rows = write.rows.as_ref().filter(|_| write.operation == Operation::Insert);
    let Some(rows) = rows else { return Ok(0) };
    let (own, objects) = (rows.as_array().map_or(1, Vec::len) as u64, count(rows, &[]));
    if objects <= own {
        return Ok(0);
    }
    // What stands in a column is its value, whatever it looks like.
    let schema = match schema(caller, write.database.as_deref(), vec![write.relation.clone()]).await {
        Ok(schema) => schema,
        // The API says why not.
        Err(_) if objects <= most => return Ok(0),
        Err(answer) => return Err(answer),
    };
    let columns = schema.relations.iter().flat_map(|own| &own.columns);
    let columns: Vec<&str> = columns.map(|own| own.name.as_str()).collect();
    match count(rows, &columns) {
        count if count > most => Err(told::wrong(&format!(
            "there are {count} rows with those inside of them, and {most} is the most at a time"
        ))),
        count => Ok(count.saturating_sub(own)),
    }
}

/// How many rows there are, with those inside of them; what stands in these columns is none.
fn count(rows: &Json, columns: &[&str]) -> u64 {
    match rows {
        Json::Array(rows) => rows.iter().map(|row| count(row, columns)).sum(),
        Json::Object(row) => {
            let inside = row.iter().filter(|(name, _)| !columns.contains(&name.as_str()));
            1 + inside.map(|(_, rows)| count(rows, &[])).sum::<u64>()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_inside_of_others_are_rows() {
        let rows = json!([{ "id": 1, "tags": ["a"], "parts": [{ "id": 1, "maker": { "id": 5 } }, { "id": 2 }] }, { "id": 2 }]);
        assert_eq!(count(&rows, &[]), 5);
        assert_eq!(count(&rows, &["id", "parts"]), 2);
        assert_eq!(count(&json!({ "id": 1 }), &[]), 1);
        assert_eq!(count(&json!([]), &[]), 0);
    }
}
