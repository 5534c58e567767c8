//! Tools that answer rows: a page of a relation, or of what a function gives.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};
use sqlitrest_runtime::config::Udf;

use super::arguments::{Call, Page, Read, read};
use super::caller::{Asks, Caller};
use super::rows::{Cut, Rows};
use super::target::Target;
use super::told::{self, Told};
use super::tools::{AROUND, base, most_bytes};
use crate::answer::Answer;

/// What is to be known of a write whose rows are too many to tell.
pub const DONE: &str =
    "All of it is done. Not all rows are told: do not call again for the others, but read them.";

/// How many rows are told, and how many are asked for, by which it is seen whether there are more.
fn limits(caller: &Caller, limit: Option<u64>) -> (u64, u64) {
    let told = limit.unwrap_or(u64::MAX).min(caller.settings.max_rows);
    (told, told.saturating_add(1))
}

/// Reads a page of a relation.
///
/// # Errors
/// The answer that tells of a failure.
pub async fn read_rows(caller: &Caller, arguments: Map<String, Json>) -> Told {
    let Read { relation, page } = read(arguments).map_err(|error| told::wrong(&error))?;
    let (told, asked) = limits(caller, page.limit);
    let target = Target::relation(base(caller), &relation).and_then(|mut target| {
        target.page(&page)?;
        target.push("limit", &asked.to_string());
        Ok(target.into_text())
    });
    let asks = Asks {
        method: "GET",
        target: target.map_err(|error| told::wrong(&error))?,
        database: page.database.clone(),
        prefer: counting(&page),
        body: String::new(),
        writes: false,
    };
    let (answer, is_whole) = caller.ask(&asks, most_body(caller)).await;
    let told = Paged::of(caller, answer, is_whole, &page, Some(told))?;
    match told.rows {
        Some(rows) => Ok(told::answer(&Answered { rows: Some(rows.rows), ..told.answered })),
        None => Err(Answer::internal()),
    }
}

fn counting(page: &Page) -> String {
    if page.count { "count=exact".to_owned() } else { String::new() }
}

/// As much of a body as has the rows that are told.
pub fn most_body(caller: &Caller) -> usize {
    most_bytes(caller).saturating_add(AROUND)
}

/// What is answered about rows.
#[derive(Default, Serialize)]
pub struct Answered {
    /// How many rows were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affected: Option<u64>,
    /// The rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<Box<RawValue>>>,
    /// What a function gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<RawValue>>,
    /// How many rows there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Whether not all is told.
    pub truncated: bool,
    /// What to do then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What came of a request for rows.
pub struct Paged {
    /// The rows, where it is a list.
    pub rows: Option<Rows>,
    /// What else it is, where it is whole.
    pub body: Option<Vec<u8>>,
    /// What is told of it beside them.
    pub answered: Answered,
}

impl Paged {
    /// Of an answer, or its beginning. Rows beyond `most` are not told.
    ///
    /// # Errors
    /// The answer, where it tells of a failure.
    pub fn of(
        caller: &Caller,
        answer: Answer,
        is_whole: bool,
        page: &Page,
        most: Option<u64>,
    ) -> Result<Paged, Answer> {
        if answer.status >= 400 {
            return Err(answer);
        }
        let settings = &caller.settings;
        let most_rows = most.unwrap_or(settings.max_rows);
        let range = answer.header("content-range");
        let total: Option<u64> = range.and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        let rows =
            Rows::of(&answer.body, usize::try_from(most_rows).unwrap_or(usize::MAX), most_bytes(caller));
        let Some(rows) = rows else {
            let fits = is_whole && answer.body.len() <= most_bytes(caller);
            let body = fits.then_some(answer.body);
            return Ok(Paged { rows: None, body, answered: Answered { total, ..Answered::default() } });
        };
        let count = rows.rows.len() as u64;
        let api = caller.engine.config().api.max_rows;
        let next = page.offset.unwrap_or_default().saturating_add(count);
        // The API has a limit of its own, and does not say that it was reached.
        let is_capped = api > 0 && count >= api && total.is_none_or(|total| total > next);
        let cut = rows.cut.or(is_capped.then_some(Cut::Api));
        let note = cut.map(|cut| told::note(cut, count, settings.max_bytes.0, next));
        let answered = Answered { total, truncated: cut.is_some(), note, ..Answered::default() };
        Ok(Paged { rows: Some(rows), body: None, answered })
    }
}

/// Calls a function, and reads a page of what it gives.
///
/// # Errors
/// The answer that tells of a failure.
pub async fn call_function(caller: &Caller, arguments: Map<String, Json>) -> Told {
    let Call { function, arguments, page } = read(arguments).map_err(|error| told::wrong(&error))?;
    let config = caller.served(page.database.as_deref())?.config();
    let own: Vec<&Udf> = config.udf.iter().filter(|udf| udf.expose && udf.name == function).collect();
    let writes = own.iter().any(|udf| !udf.readonly);
    if writes && !caller.settings.write {
        return Err(told::read_only(&function));
    }
    // Of one that is not there, nothing is known; that is what the API says.
    let gives_rows =
        own.iter().any(|udf| udf.returns.starts_with("setof ") || udf.returns.starts_with("table "));
    let (told, asked) = limits(caller, page.limit);
    let target = Target::function(base(caller), &function).and_then(|mut target| {
        target.page(&page)?;
        if gives_rows && !writes {
            target.push("limit", &asked.to_string());
        }
        Ok(target.into_text())
    });
    let asks = Asks {
        // By GET arguments would be texts, and a function that is unknown has no arguments by it.
        method: "POST",
        target: target.map_err(|error| told::wrong(&error))?,
        database: page.database.clone(),
        prefer: counting(&page),
        body: Json::Object(arguments).to_string(),
        writes,
    };
    let (answer, is_whole) = caller.ask(&asks, most_body(caller)).await;
    let is_empty = answer.status == 204;
    let Paged { rows, body, mut answered } = Paged::of(caller, answer, is_whole, &page, Some(told))?;
    if writes && answered.truncated {
        answered.note = Some(DONE.to_owned());
    }
    let result = match (rows, body) {
        (Some(rows), _) => serde_json::value::to_raw_value(&rows.rows).ok(),
        (None, Some(_)) if is_empty => RawValue::from_string("null".to_owned()).ok(),
        (None, Some(body)) => raw(&body),
        (None, None) => {
            let message = format!("The result has more than {} bytes", most_bytes(caller));
            return Err(Answer::problem(400, "54001", &message, "Select less of it."));
        }
    };
    Ok(told::answer(&Answered { result, ..answered }))
}

/// A body as JSON; of a function that gives another media type, as a text.
fn raw(body: &[u8]) -> Option<Box<RawValue>> {
    let json = serde_json::from_slice::<Box<RawValue>>(body);
    json.or_else(|_| serde_json::value::to_raw_value(&String::from_utf8_lossy(body))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::caller::tests::caller;

    #[tokio::test]
    async fn where_to_go_on_is_a_number() {
        let (_scratch, caller) = caller("mcp-pages");
        for (offset, next) in [(None, "offset 2 "), (Some(u64::MAX), "offset 18446744073709551615 ")] {
            let answer = Answer::of(200, Vec::new(), b"[1,2,3]".to_vec());
            let page = Page { offset, ..Page::default() };
            let paged = Paged::of(&caller, answer, true, &page, Some(2)).expect("rows");
            assert!(paged.answered.note.as_deref().is_some_and(|note| note.contains(next)), "{offset:?}");
        }
    }
}
