//! What a tool answers: JSON, as a structure and as its text; or an error that says what to do, which is the tool's and not the protocol's, so
//! that the model reads it.

use rmcp::model::{CallToolResult, ContentBlock};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::rows::Cut;
use crate::answer::Answer;

/// What comes of a call: an answer, or one that tells of a failure.
pub type Told = Result<CallToolResult, Answer>;

/// An answer.
pub fn answer(told: &impl Serialize) -> CallToolResult {
    // Rows stand in the text as the API writes them; in the structure numbers are those of JSON.
    let text = serde_json::to_string(told).unwrap_or_default();
    let structure: Option<Json> = serde_json::from_str(&text).ok();
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = structure;
    result
}

/// What an error of the API is to the model: PostgREST's code, message, details and hint, with the status.
pub fn failure(answer: &Answer) -> CallToolResult {
    let mut told = json!({ "status": answer.status });
    let problem = serde_json::from_slice::<Json>(&answer.body);
    if let (Json::Object(told), Ok(Json::Object(problem))) = (&mut told, problem) {
        told.extend(problem);
    }
    CallToolResult::error(vec![ContentBlock::text(told.to_string())])
}

/// That a tool was called with what it does not take.
pub fn wrong(message: &str) -> Answer {
    Answer::problem(400, "PGRST102", message, "Correct the arguments and call the tool again.")
}

/// That something would be written where nothing may be.
pub fn read_only(what: &str) -> Answer {
    let message = format!("{what} writes, and agents may only read here");
    Answer::problem(405, "25006", &message, "Whoever runs the server may set write = true in [mcp].")
}

/// What to do about rows that are missing: `count` are told, and `next` is the place of the first that is not.
pub fn note(cut: Cut, count: u64, most_bytes: u64, next: u64) -> String {
    let on = format!("ask again with offset {next} and an order");
    match (cut, count) {
        (Cut::Rows, 0) => "There are rows, and limit is 0.".to_owned(),
        (Cut::Rows, _) => format!("There are more rows than these. Narrow the filters, or {on}."),
        (Cut::Api, _) => format!(
            "There may be more rows: the API answers no more than these at once. Narrow the filters, or {on}."
        ),
        (Cut::Bytes, 0) => format!(
            "One row alone is larger than the {most_bytes} bytes that there is room for, and asking again gives the same. Select fewer columns; limit what is embedded, in query by NAME.limit=20; or pass over the row with offset {}.",
            next.saturating_add(1)
        ),
        (Cut::Bytes, _) => format!(
            "These rows are all that {most_bytes} bytes have room for, and there are more. Select fewer columns, limit what is embedded, or {on}."
        ),
    }
}

/// That more rows were written than are told.
pub fn inside(count: u64) -> String {
    format!("affected counts the rows of the relation itself; {count} inside of them were written, too.")
}
