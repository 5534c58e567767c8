//! The last stage, pure: what a request did becomes a response.

use std::borrow::Cow;

use crate::api_request::{Action, ApiRequest, CallRequest};
use crate::auth::error::AuthError;
use crate::config::{Config, Verbosity};
use crate::error::Error;
use crate::etag::etag;
use crate::http::Response;
use crate::keyset::next_link;
use crate::media::MediaType;
use crate::plan::{Call, Plan, Read, Returning};
use crate::preferences::{Preferences, Return};
use crate::query_params::percent_encode;
use crate::run::{Explained, Outcome};
use crate::schema::{Methods, Relation};
use crate::value::Value;

/// Makes the response. Called before the transaction commits, so that an answer that turns out to be an error (416, or
/// not exactly one row) undoes the write.
///
/// # Errors
/// PGRST103 and PGRST116.
pub(crate) fn reply(
    config: &Config,
    request: &ApiRequest,
    plan: &Plan,
    relation: Option<&Relation>,
    outcome: Outcome,
) -> Result<Response, Error> {
    if outcome.precondition_failed {
        return Err(Error::Precondition);
    }
    if request.media_type.is_single() && !matches!(plan, Plan::Options(_)) {
        let rows = match plan {
            Plan::Read { .. } | Plan::Call { .. } if returns_rows(plan) => outcome.page_rows,
            // Written, but not told, as where an `!inner` embed of it has no row.
            _ if outcome.written == 1 && returns_rows(plan) => outcome.page_rows,
            _ => outcome.written,
        };
        if rows != 1 {
            return Err(Error::NotSingular(rows));
        }
    }
    // The rows of a DELETE are read before it: some may stay, and others go with them.
    let is_read_back = matches!(plan, Plan::Insert(_) | Plan::InsertTree(_) | Plan::Update(_));
    if is_read_back && returns_rows(plan) && outcome.page_rows > outcome.written {
        let what = "The representation of rows of a view whose key names several".to_owned();
        return Err(Error::NotImplemented(what));
    }
    if meant(request).limit().is_some_and(|most| outcome.written > most) {
        return Err(Error::MaxAffected(outcome.written));
    }
    match plan {
        Plan::Read { read, .. } => read_reply(request, read, outcome, Envelope::of(&request.media_type)),
        Plan::Call { call, .. } => call_reply(config, request, call, outcome),
        Plan::Insert(insert) => {
            let merged = insert.conflict.as_ref().is_some_and(|conflict| conflict.merge);
            let nothing_new = merged && outcome.written > 0 && outcome.written <= outcome.existing;
            let status = match (insert.put, nothing_new) {
                (true, _) if !returns_rows(plan) => 204,
                (_, true) => 200,
                (_, false) => 201,
            };
            Ok(insert_reply(config, request, plan, relation, outcome, status))
        }
        Plan::InsertTree(_) => Ok(insert_reply(config, request, plan, relation, outcome, 201)),
        Plan::Update(_) | Plan::Delete(_) => {
            let first = if matches!(plan, Plan::Update(_)) { Some(0) } else { None };
            let status = if returns_rows(plan) { 200 } else { 204 };
            let response = write_reply(request, plan, &outcome, first, status);
            Ok(finish(request, plan, outcome, response))
        }
        Plan::Options(methods) => Ok(options(*methods)),
    }
}

/// The answer to a read of something that is no rows, but goes by who asks as they do.
///
/// # Errors
/// PT412 where `If-Match` does not hold.
pub(crate) fn whole(request: &ApiRequest, content_type: String, body: Vec<u8>) -> Result<Response, Error> {
    let etag = etag(&body, "", &request.media_type);
    if !request.conditional.allow_read(&etag, 1) {
        return Err(Error::Precondition);
    }
    let is_known = request.conditional.has(&etag);
    let mut headers = vec![("etag".into(), etag), ("vary".into(), VARY.to_owned())];
    if is_known {
        return Ok(Response { status: 304, headers, ..Response::default() });
    }
    headers.insert(1, ("content-type".into(), content_type));
    let mut response = Response { status: 200, headers, body, ..Response::default() };
    if request.is_head() {
        response.content_length = Some(response.body.len() as u64);
        response.body.clear();
    }
    Ok(response)
}

fn insert_reply(
    config: &Config,
    request: &ApiRequest,
    plan: &Plan,
    relation: Option<&Relation>,
    outcome: Outcome,
    status: u16,
) -> Response {
    let mut response = write_reply(request, plan, &outcome, None, status);
    if request.preferences.representation == Some(Return::HeadersOnly) {
        let location = relation.and_then(|relation| location(config, request, relation, &outcome.key));
        response.headers.extend(location.map(|location| ("location".into(), location)));
    }
    finish(request, plan, outcome, response)
}

fn returns_rows(plan: &Plan) -> bool {
    let returning = match plan {
        Plan::Read { .. } => return true,
        Plan::Call { call, .. } => return call.read.is_some(),
        Plan::Insert(insert) => &insert.returning,
        Plan::InsertTree(tree) => &tree.returning,
        Plan::Update(update) => &update.returning,
        Plan::Delete(delete) => &delete.returning,
        Plan::Options(_) => return false,
    };
    matches!(returning, Returning::Rows(_) | Returning::Written(_))
}

fn read_reply(
    request: &ApiRequest,
    read: &Read,
    outcome: Outcome,
    envelope: Envelope,
) -> Result<Response, Error> {
    let offset = read.offset;
    if outcome.streams {
        return Ok(streamed(request, outcome, envelope));
    }
    if let Some(total) = outcome.total.filter(|total| offset > *total) {
        return Err(Error::Offset { offset, total });
    }
    let rows = outcome.page_rows;
    let partial = outcome.total.is_some_and(|total| rows < total);
    let content_range = content_range(Some(offset), rows, outcome.total);
    let link = link(request, read, outcome.next.as_deref())?;
    let mut response = Response { status: if partial { 206 } else { 200 }, ..Response::default() };
    if request.is_safe() {
        // Beside the rows, what else a client is told and might keep.
        let mut beside = link.clone().unwrap_or_default();
        if outcome.total.is_some() || offset > 0 {
            beside.push_str(&content_range);
        }
        beside.push_str(&String::from_utf8_lossy(&outcome.csv_header));
        let etag = etag(&outcome.body, &beside, &request.media_type);
        if !request.conditional.allow_read(&etag, rows) {
            return Err(Error::Precondition);
        }
        if request.conditional.has(&etag) {
            let headers = vec![("etag".into(), etag), ("vary".into(), VARY.to_owned())];
            return Ok(Response { status: 304, headers, ..Response::default() });
        }
        response.headers.push(("etag".into(), etag));
    }
    response.headers.push(("content-type".into(), request.media_type.content_type()));
    response.headers.push(("content-range".into(), content_range));
    if matches!(request.action, Action::Read { .. }) && !request.by_body {
        response.headers.push(("content-location".into(), request.content_location.clone()));
    }
    response.headers.extend(link.map(|link| ("link".into(), link)));
    applied(request, &mut response);
    response.body = envelope.document(outcome);
    if request.is_head() {
        response.content_length = Some(response.body.len() as u64);
        response.body.clear();
    }
    Ok(response)
}

/// The response to which the shell adds rows that are not there yet: without a range and a tag, which go by all of them.
fn streamed(request: &ApiRequest, outcome: Outcome, envelope: Envelope) -> Response {
    let mut response = Response { status: 200, ..Response::default() };
    response.headers.push(("content-type".into(), request.media_type.content_type()));
    if matches!(request.action, Action::Read { .. }) && !request.by_body {
        response.headers.push(("content-location".into(), request.content_location.clone()));
    }
    applied(request, &mut response);
    (response.body, response.tail) = envelope.beginning(outcome);
    response
}

/// The `Link` to the page behind the last row of this one, if there are rows.
fn link(request: &ApiRequest, read: &Read, next: Option<&[Value]>) -> Result<Option<String>, Error> {
    let (Some(values), Some(limit)) = (next, read.limit) else { return Ok(None) };
    let link = next_link(&request.content_location, values, limit);
    let untold = || Error::NotImplemented("A page by key behind a text that is not UTF-8".to_owned());
    link.map(Some).ok_or_else(untold)
}

/// The answer of a function: its rows, its one row or value, or nothing.
fn call_reply(
    config: &Config,
    request: &ApiRequest,
    call: &Call,
    outcome: Outcome,
) -> Result<Response, Error> {
    if request.preferences.limit().is_some() && !call.returns.is_set() {
        return Err(Error::MaxAffectedCall);
    }
    let is_set = call.returns.is_set();
    let mut response = match &call.read {
        None => {
            let mut response = Response { status: 204, ..Response::default() };
            applied(request, &mut response);
            response
        }
        Some(read) => {
            let is_json = matches!(request.media_type, MediaType::Json | MediaType::JsonStripped);
            let envelope = if is_json && !is_set { Envelope::One } else { Envelope::of(&request.media_type) };
            read_reply(request, read, outcome, envelope)?
        }
    };
    if let Action::Call(CallRequest { call, .. }) = &request.action
        && let Some(udf) = config.udf.get(call.function)
    {
        if response.status != 304 {
            response.status = udf.response_status.unwrap_or(response.status);
        }
        let own: Vec<(Cow<'static, str>, String)> = udf
            .response_headers
            .iter()
            .map(|(name, value)| (Cow::Owned(name.to_ascii_lowercase()), value.clone()))
            .collect();
        // They take the place of ours.
        response.headers.retain(|(name, _)| !own.iter().any(|(own, _)| own == name));
        response.headers.extend(own);
    }
    Ok(response)
}

/// The plans of the statements: a tree of lines for each, as text or as JSON.
pub(crate) fn explained(request: &ApiRequest, plans: &[Explained], json: bool, verbose: bool) -> Response {
    let mut response = Response { status: 200, ..Response::default() };
    response.headers.push(("content-type".into(), request.media_type.content_type()));
    applied(request, &mut response);
    if json {
        let plan = |plan: &Explained| {
            let mut object = serde_json::json!({ "Step": plan.step, "Plans": json_lines(plan, 0) });
            if verbose && let Some(object) = object.as_object_mut() {
                object.insert("Query Text".to_owned(), plan.sql.clone().into());
            }
            object
        };
        response.body = serde_json::Value::Array(plans.iter().map(plan).collect()).to_string().into_bytes();
        return response;
    }
    let mut text = String::new();
    for plan in plans {
        text.push_str(plan.step);
        if verbose {
            text.push_str("  ");
            text.push_str(&plan.sql);
        }
        text.push('\n');
        text_lines(plan, 0, 1, &mut text);
    }
    response.body = text.into_bytes();
    response
}

fn json_lines(plan: &Explained, of: i64) -> serde_json::Value {
    let lines = plan.lines.iter().filter(|(id, parent, _)| *parent == of && *id != of);
    lines
        .map(|(id, _, detail)| serde_json::json!({ "Detail": detail, "Plans": json_lines(plan, *id) }))
        .collect()
}

fn text_lines(plan: &Explained, of: i64, depth: usize, out: &mut String) {
    for (id, _, detail) in plan.lines.iter().filter(|(id, parent, _)| *parent == of && *id != of) {
        out.push_str(&format!("{:indent$}{detail}\n", "", indent = depth * 2));
        text_lines(plan, *id, depth + 1, out);
    }
}

fn write_reply(
    request: &ApiRequest,
    plan: &Plan,
    outcome: &Outcome,
    first: Option<u64>,
    status: u16,
) -> Response {
    let mut response = Response { status, ..Response::default() };
    if returns_rows(plan) {
        response.headers.push(("content-type".into(), request.media_type.content_type()));
    }
    let total = request.preferences.count.is_some().then_some(outcome.written);
    response.headers.push(("content-range".into(), content_range(first, outcome.written, total)));
    applied(request, &mut response);
    response
}

fn finish(request: &ApiRequest, plan: &Plan, outcome: Outcome, mut response: Response) -> Response {
    if returns_rows(plan) {
        response.body = Envelope::of(&request.media_type).document(outcome);
    }
    response
}

/// `0-9/100`; `*` where there is no row, or no total.
fn content_range(first: Option<u64>, rows: u64, total: Option<u64>) -> String {
    let total = total.map_or("*".to_owned(), |total| total.to_string());
    match first {
        Some(first) if rows > 0 => format!("{first}-{}/{total}", first + rows - 1),
        _ => format!("*/{total}"),
    }
}

/// The preferences that mean something to what is done.
fn meant(request: &ApiRequest) -> Preferences {
    let mut meant = request.preferences.clone();
    let (keyed, rows, returned, limited) = match &request.action {
        Action::Insert(_) => (true, true, true, false),
        Action::Update(_) => (false, true, true, true),
        Action::Delete => (false, false, true, true),
        Action::Put(_) => (false, false, true, false),
        Action::Call(_) => (false, false, false, true),
        Action::Read { .. } | Action::Options | Action::Batch(_) | Action::Describe(_) => {
            (false, false, false, false)
        }
    };
    meant.resolution = meant.resolution.filter(|_| keyed);
    meant.missing = meant.missing.filter(|_| rows);
    meant.representation = meant.representation.filter(|_| returned);
    meant.max_affected = meant.max_affected.filter(|_| limited);
    meant.links &= matches!(request.action, Action::Read { .. });
    meant
}

/// The fields of a request by which answers differ.
const VARY: &str = "Accept, Prefer, Range";

fn applied(request: &ApiRequest, response: &mut Response) {
    let applied = meant(request).applied();
    response.headers.extend(applied.map(|applied| ("preference-applied".into(), applied)));
    response.headers.push(("vary".into(), VARY.to_owned()));
}

/// What stands around the rows of an answer.
#[derive(Clone, Copy)]
enum Envelope {
    /// Brackets.
    Array,
    /// Nothing: there is one row, or `null`.
    One,
    /// The line of names.
    Csv,
    /// A line feed at the end.
    Lines,
    /// Nothing. PostgreSQL leaves out a line feed at the beginning of XML, where a declaration must stand.
    Xml,
    /// Nothing.
    Bare,
}

impl Envelope {
    fn of(media_type: &MediaType) -> Envelope {
        match media_type {
            MediaType::Json | MediaType::JsonStripped => Envelope::Array,
            MediaType::Csv => Envelope::Csv,
            MediaType::Lines => Envelope::Lines,
            MediaType::Other(name) if name == "text/xml" => Envelope::Xml,
            MediaType::Object | MediaType::ObjectStripped | MediaType::Plan { .. } | MediaType::Other(_) => {
                Envelope::Bare
            }
        }
    }

    /// The first rows as the beginning of a document, and its end.
    fn beginning(self, outcome: Outcome) -> (Vec<u8>, Option<Vec<u8>>) {
        let end = match self {
            Envelope::Array => b"]".as_slice(),
            Envelope::Lines => b"\n",
            Envelope::One | Envelope::Csv | Envelope::Xml | Envelope::Bare => b"",
        };
        let mut document = self.document(outcome);
        document.truncate(document.len() - end.len());
        (document, Some(end.to_vec()))
    }

    /// The rows as a document.
    fn document(self, outcome: Outcome) -> Vec<u8> {
        let mut rows = outcome.body;
        match self {
            Envelope::Array => {
                rows.reserve(2);
                rows.insert(0, b'[');
                rows.push(b']');
            }
            Envelope::One if outcome.page_rows == 0 => rows.extend_from_slice(b"null"),
            Envelope::Csv => {
                let mut document = outcome.csv_header;
                if outcome.page_rows > 0 {
                    document.push(b'\n');
                }
                document.append(&mut rows);
                return document;
            }
            Envelope::Lines if outcome.page_rows > 0 => rows.push(b'\n'),
            Envelope::Xml if rows.first() == Some(&b'\n') => drop(rows.remove(0)),
            Envelope::One | Envelope::Lines | Envelope::Xml | Envelope::Bare => {}
        }
        rows
    }
}

/// `/relation?id=eq.5` below `api.base_path`, by the primary key of the row inserted.
fn location(config: &Config, request: &ApiRequest, relation: &Relation, key: &[Value]) -> Option<String> {
    let is_withheld = |place: &usize| crate::policy::is_withheld(relation, *place);
    if relation.primary_key.is_empty()
        || key.len() != relation.primary_key.len()
        || relation.primary_key.iter().any(is_withheld)
    {
        return None;
    }
    let filters: Vec<String> = relation
        .column_names(&relation.primary_key)
        .zip(key)
        .map(|(name, value)| {
            let operand = match value {
                Value::Null => return format!("{}=is.null", percent_encode(name)),
                Value::Integer(i) => i.to_string(),
                Value::Real(r) => r.to_string(),
                Value::Text(text) => percent_encode(text),
                Value::Blob(bytes) => {
                    use base64::Engine as _;
                    percent_encode(&base64::engine::general_purpose::STANDARD.encode(bytes))
                }
            };
            format!("{}=eq.{operand}", percent_encode(name))
        })
        .collect();
    Some(format!("{}/{}?{}", config.api.base_path, percent_encode(&request.relation), filters.join("&")))
}

fn options(takes: Methods) -> Response {
    let methods = [
        ("OPTIONS,GET,HEAD", true),
        ("POST", takes.post),
        ("PUT", takes.put),
        ("PATCH", takes.patch),
        ("DELETE", takes.delete),
    ];
    let allow: Vec<&str> = methods.iter().filter(|(_, takes)| *takes).map(|(name, _)| *name).collect();
    let headers = vec![
        ("allow".into(), allow.join(",")),
        // QUERY is beyond PostgREST, whose clients know the list above.
        ("accept-query".into(), "\"application/x-www-form-urlencoded\"".to_owned()),
    ];
    Response { status: 200, headers, ..Response::default() }
}

/// The response to a request that failed. What only the log may say goes into [`Response::log`].
pub(crate) fn error(error: &Error, verbosity: Verbosity) -> Response {
    let problem = error.problem();
    let mut headers = vec![
        ("content-type".into(), "application/json; charset=utf-8".to_owned()),
        ("proxy-status".into(), format!("SQLitREST; error={}", problem.code)),
    ];
    // Of an operation its own error tells.
    let mut cause = error;
    while let Error::Operation { error, .. } = cause {
        cause = error;
    }
    match cause {
        Error::Offset { total, .. } => headers.push(("content-range".into(), format!("*/{total}"))),
        Error::Busy | Error::DiskFull | Error::Unreachable(_) | Error::Auth(AuthError::Busy) => {
            headers.push(("retry-after".into(), "1".to_owned()))
        }
        _ => {}
    }
    let log = match cause {
        Error::Internal(text) | Error::Unreachable(text) => Some(text.clone()),
        _ => None,
    };
    Response { status: problem.status, headers, body: problem.body(verbosity), log, ..Response::default() }
}
