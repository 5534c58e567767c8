//! The last stage, pure: what a request did becomes a response.

use crate::api_request::{Action, ApiRequest};
use crate::error::Error;
use crate::http::Response;
use crate::media::MediaType;
use crate::plan::{Plan, Returning};
use crate::preferences::{Count, Return};
use crate::run::Outcome;
use crate::schema::{Relation, Writable};
use crate::value::Value;

/// Makes the response. Called before the transaction commits, so that an answer that turns out to be an error (416, or
/// not exactly one row) undoes the write.
///
/// # Errors
/// PGRST103 and PGRST116.
pub(crate) fn reply(
    request: &ApiRequest,
    plan: &Plan,
    relation: &Relation,
    outcome: Outcome,
) -> Result<Response, Error> {
    if request.media_type == MediaType::Object && !matches!(plan, Plan::Options(_)) {
        let rows = if returns_rows(plan) { outcome.page_rows } else { outcome.written };
        if rows != 1 {
            return Err(Error::NotSingular(rows));
        }
    }
    match plan {
        Plan::Read { read, .. } => read_reply(request, read.offset, outcome),
        Plan::Insert(_) => {
            let mut response = write_reply(request, plan, &outcome, None, 201);
            if request.preferences.representation == Some(Return::HeadersOnly) {
                let location = location(request, relation, &outcome.key);
                response.headers.extend(location.map(|location| ("location", location)));
            }
            finish(request, plan, outcome, response)
        }
        Plan::Update(_) => {
            let response = write_reply(request, plan, &outcome, Some(0), 204);
            finish(request, plan, outcome, response)
        }
        Plan::Delete(_) => {
            let response = write_reply(request, plan, &outcome, None, 204);
            finish(request, plan, outcome, response)
        }
        Plan::Options(writable) => Ok(options(*writable)),
    }
}

fn returns_rows(plan: &Plan) -> bool {
    let returning = match plan {
        Plan::Read { .. } => return true,
        Plan::Insert(insert) => &insert.returning,
        Plan::Update(update) => &update.returning,
        Plan::Delete(delete) => &delete.returning,
        Plan::Options(_) => return false,
    };
    matches!(returning, Returning::Rows(_))
}

fn read_reply(request: &ApiRequest, offset: u64, outcome: Outcome) -> Result<Response, Error> {
    if let Some(total) = outcome.total.filter(|total| offset > *total) {
        return Err(Error::Offset { offset, total });
    }
    let rows = outcome.page_rows;
    let partial = outcome.total.is_some_and(|total| rows < total);
    let mut response = Response { status: if partial { 206 } else { 200 }, ..Response::default() };
    response.headers.push(("content-type", request.media_type.content_type().to_owned()));
    response.headers.push(("content-range", content_range(Some(offset), rows, outcome.total)));
    response.headers.push(("content-location", request.content_location.clone()));
    applied(request, &mut response);
    response.body = document(request.media_type, outcome.body);
    if request.action == (Action::Read { head: true }) {
        response.content_length = Some(response.body.len() as u64);
        response.body.clear();
    }
    Ok(response)
}

fn write_reply(
    request: &ApiRequest,
    plan: &Plan,
    outcome: &Outcome,
    first: Option<u64>,
    without_body: u16,
) -> Response {
    let has_body = returns_rows(plan);
    let status = if has_body && without_body == 204 { 200 } else { without_body };
    let mut response = Response { status, ..Response::default() };
    if has_body {
        response.headers.push(("content-type", request.media_type.content_type().to_owned()));
    }
    let total = (request.preferences.count == Some(Count::Exact)).then_some(outcome.written);
    response.headers.push(("content-range", content_range(first, outcome.written, total)));
    applied(request, &mut response);
    response
}

fn finish(
    request: &ApiRequest,
    plan: &Plan,
    outcome: Outcome,
    mut response: Response,
) -> Result<Response, Error> {
    if returns_rows(plan) {
        response.body = document(request.media_type, outcome.body);
    }
    Ok(response)
}

/// `0-9/100`; `*` where there is no row, or no total.
fn content_range(first: Option<u64>, rows: u64, total: Option<u64>) -> String {
    let total = total.map_or("*".to_owned(), |total| total.to_string());
    match first {
        Some(first) if rows > 0 => format!("{first}-{}/{total}", first + rows - 1),
        _ => format!("*/{total}"),
    }
}

fn applied(request: &ApiRequest, response: &mut Response) {
    response.headers.extend(request.preferences.applied().map(|applied| ("preference-applied", applied)));
    response.headers.push(("vary", "Accept, Prefer, Range".to_owned()));
}

/// The rows as a document: an array, or the one object itself.
fn document(media_type: MediaType, rows: Vec<u8>) -> Vec<u8> {
    match media_type {
        MediaType::Object => rows,
        MediaType::Json => {
            let mut rows = rows;
            rows.reserve(2);
            rows.insert(0, b'[');
            rows.push(b']');
            rows
        }
    }
}

/// `/relation?id=eq.5`, by the primary key of the row inserted.
fn location(request: &ApiRequest, relation: &Relation, key: &[Value]) -> Option<String> {
    if relation.primary_key.is_empty() || key.len() != relation.primary_key.len() {
        return None;
    }
    let filters: Vec<String> = relation
        .column_names(&relation.primary_key)
        .zip(key)
        .map(|(name, value)| {
            let operand = match value {
                Value::Null => return format!("{}=is.null", encode(name)),
                Value::Integer(i) => i.to_string(),
                Value::Real(r) => r.to_string(),
                Value::Text(text) => encode(text),
                Value::Blob(bytes) => {
                    use base64::Engine as _;
                    encode(&base64::engine::general_purpose::STANDARD.encode(bytes))
                }
            };
            format!("{}=eq.{operand}", encode(name))
        })
        .collect();
    Some(format!("/{}?{}", encode(&request.relation), filters.join("&")))
}

/// Percent-encodes all but the unreserved characters of RFC 3986 section 2.3.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn options(writable: Writable) -> Response {
    let methods = [
        ("OPTIONS,GET,HEAD", true),
        ("POST", writable.insert),
        ("PATCH", writable.update),
        ("DELETE", writable.delete),
    ];
    let allow: Vec<&str> = methods.iter().filter(|(_, takes)| *takes).map(|(name, _)| *name).collect();
    Response { status: 200, headers: vec![("allow", allow.join(","))], ..Response::default() }
}

/// The response to a request that failed. What only the log may say goes into [`Response::log`].
pub(crate) fn error(error: &Error) -> Response {
    let problem = error.problem();
    let mut headers = vec![
        ("content-type", "application/json; charset=utf-8".to_owned()),
        ("proxy-status", format!("SQLitREST; error={}", problem.code)),
    ];
    match error {
        Error::Offset { total, .. } => headers.push(("content-range", format!("*/{total}"))),
        Error::Busy | Error::DiskFull | Error::Unreachable(_) => {
            headers.push(("retry-after", "1".to_owned()))
        }
        _ => {}
    }
    let log = match error {
        Error::Internal(text) | Error::Unreachable(text) => Some(text.clone()),
        _ => None,
    };
    Response { status: problem.status, headers, body: problem.body(), log, ..Response::default() }
}
