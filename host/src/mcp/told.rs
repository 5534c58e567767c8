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

/// What to do about rows that are missing.
pub fn note(cut: Cut, count: u64, most_bytes: u64, next: u64) -> String {
    match cut {
        Cut::Rows => format!(
            "There are more than these {count} rows. Narrow the filters, or ask again with offset {next} and an order."
        ),
        Cut::Bytes => format!(
            "These {count} rows are all that {most_bytes} bytes have room for, and there are more. Select fewer columns, limit what is embedded, or ask again with offset {next} and an order."
        ),
    }
}
