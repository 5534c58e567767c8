//! The tools: which there are, and what each asks of the API.

use std::sync::LazyLock;

use rmcp::model::Tool;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};
use sqlitrest_runtime::config::Udf;
use sqlitrest_runtime::debug::asked::Asked;
use sqlitrest_runtime::debug::describe::{Function, Relation};
use sqlitrest_runtime::debug::rows::Wanted;
use sqlitrest_runtime::error_response;

use super::arguments::{Call, Describe, Explain, List, Operation, Page, Read, Write, read, read_page};
use super::caller::{Asks, Caller};
use super::rows::{Cut, Rows};
use super::settings::Settings;
use super::target::Target;
use super::told::{self, Told};
use crate::answer::Answer;
use crate::debug;

/// All of them.
static TOOLS: LazyLock<Vec<Tool>> =
    LazyLock::new(|| serde_json::from_str(include_str!("tools.json")).unwrap_or_default());

/// The one that is there only where agents may write.
const WRITES: &str = "write_rows";

/// The one that may write then.
const CALLS: &str = "call_function";

/// Room in an answer for what stands around its rows, in bytes.
const AROUND: usize = 64;

/// Those that there are.
pub fn all(settings: &Settings) -> Vec<Tool> {
    let mut tools: Vec<Tool> =
        TOOLS.iter().filter(|tool| settings.write || tool.name != WRITES).cloned().collect();
    let called = tools.iter_mut().filter(|tool| settings.write && tool.name == CALLS);
    for annotations in called.filter_map(|tool| tool.annotations.as_mut()) {
        (annotations.read_only_hint, annotations.destructive_hint) = (Some(false), Some(true));
    }
    tools
}

/// Calls a tool. None where there is no such tool.
pub async fn call(caller: &Caller, name: &str, arguments: Map<String, Json>) -> Option<Told> {
    Some(match name {
        "list_relations" => list(caller, arguments).await,
        "describe_relation" => describe(caller, arguments).await,
        "read_rows" => read_rows(caller, arguments).await,
        CALLS => call_function(caller, arguments).await,
        "explain_request" => explain(caller, arguments).await,
        WRITES if caller.settings.write => write_rows(caller, arguments).await,
        _ => return None,
    })
}

/// What the caller knows of a database: of these tables, or of all.
pub async fn schema(
    caller: &Caller,
    database: Option<&str>,
    tables: Vec<String>,
) -> Result<sqlitrest_runtime::debug::describe::Schema, Answer> {
    let served = caller.served(database)?;
    let told = debug::schema(served, &caller.viewer(), tables, Wanted::default());
    let mut schema = caller.in_time(told).await?.map_err(|error| debug::logged(error_response(&error)))?;
    if !caller.settings.write {
        schema.relations.iter_mut().for_each(|own| own.operations.retain(|operation| *operation == "select"));
        schema.relations.retain(|own| !own.operations.is_empty());
        schema.functions.retain(|function| function.readonly);
    }
    Ok(schema)
}

async fn list(caller: &Caller, arguments: Map<String, Json>) -> Told {
    /// A relation in a line.
    #[derive(Serialize)]
    struct Line<'s> {
        name: &'s str,
        kind: &'s str,
        operations: &'s [&'static str],
        columns: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        comment: Option<&'s str>,
    }
    #[derive(Serialize)]
    struct Listed<'s> {
        database: &'s str,
        databases: Vec<&'s str>,
        relations: Vec<Line<'s>>,
        functions: &'s [Function],
        truncated: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    }
    let List { database } = read(arguments).map_err(|error| told::wrong(&error))?;
    let schema = schema(caller, database.as_deref(), Vec::new()).await?;
    let (mut bytes, most) = (0, most_bytes(caller));
    let fits = |own: &&Relation| {
        bytes += own.name.len() + own.comment.as_ref().map_or(0, String::len) + AROUND;
        bytes < most
    };
    let listed: Vec<&Relation> = schema.relations.iter().take_while(fits).collect();
    let truncated = listed.len() < schema.relations.len();
    let lines = listed.into_iter().map(|own| Line {
        name: &own.name,
        kind: own.kind,
        operations: &own.operations,
        columns: own.columns.len(),
        comment: own.comment.as_deref(),
    });
    let total = schema.relations.len();
    Ok(told::answer(&Listed {
        database: &schema.schema,
        databases: caller.engine.served().iter().map(|served| served.name()).collect(),
        relations: lines.collect(),
        functions: &schema.functions,
        truncated,
        note: truncated.then(|| {
            format!("These are the first of {total} relations; describe_relation knows the others by name.")
        }),
    }))
}

async fn describe(caller: &Caller, arguments: Map<String, Json>) -> Told {
    let Describe { relation, database } = read(arguments).map_err(|error| told::wrong(&error))?;
    let schema = schema(caller, database.as_deref(), vec![relation.clone()]).await?;
    match schema.relations.first() {
        Some(relation) => fitting(caller, relation),
        // There is one, which may only be written.
        None => Err(told::read_only(&format!("whoever uses {relation}"))),
    }
}

async fn explain(caller: &Caller, arguments: Map<String, Json>) -> Told {
    let Explain { method, path, body, database } = read(arguments).map_err(|error| told::wrong(&error))?;
    let asked = Asked {
        request: format!("{method} {path}"),
        headers: Vec::new(),
        body: body.map(|body| body.to_string()).unwrap_or_default(),
        identity: std::sync::Arc::clone(&caller.identity),
    };
    let served = caller.served(database.as_deref())?;
    let report = caller.in_time(debug::explain(served, caller.standing(), asked)).await?;
    fitting(caller, &report.map_err(|error| debug::logged(error_response(&error)))?)
}

/// An answer that cannot be cut, if it is not too large.
fn fitting(caller: &Caller, about: &impl Serialize) -> Told {
    let (size, most) = (serde_json::to_vec(about).unwrap_or_default().len(), most_bytes(caller));
    if size <= most {
        return Ok(told::answer(about));
    }
    let message = format!("The answer has {size} bytes, and {most} is the most");
    Err(Answer::problem(400, "54001", &message, "Whoever runs the server may raise mcp.max_bytes."))
}

fn most_bytes(caller: &Caller) -> usize {
    usize::try_from(caller.settings.max_bytes.0).unwrap_or(usize::MAX)
}

fn base(caller: &Caller) -> &str {
    &caller.engine.config().api.base_path
}

/// How many rows are told, and how many are asked for, by which it is seen whether there are more.
fn limits(caller: &Caller, limit: Option<u64>) -> (u64, u64) {
    let most = caller.settings.max_rows;
    match limit {
        Some(limit) if limit <= most => (limit, limit),
        _ => (most, most.saturating_add(1)),
    }
}

async fn read_rows(caller: &Caller, arguments: Map<String, Json>) -> Told {
    let Read { relation, page } = read_page(arguments, &["relation"]).map_err(|error| told::wrong(&error))?;
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
fn most_body(caller: &Caller) -> usize {
    most_bytes(caller).saturating_add(AROUND)
}

/// What is answered about rows.
#[derive(Default, Serialize)]
struct Answered {
    #[serde(skip_serializing_if = "Option::is_none")]
    affected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// What came of a request for rows.
struct Paged {
    /// The rows, where it is a list.
    rows: Option<Rows>,
    /// What else it is, where it is whole.
    body: Option<Vec<u8>>,
    answered: Answered,
}

impl Paged {
    /// Of an answer, or its beginning. Rows beyond `most` are not told.
    ///
    /// # Errors
    /// The answer, where it tells of a failure.
    fn of(
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
        let total = answer.header("content-range").and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        let rows =
            Rows::of(&answer.body, usize::try_from(most_rows).unwrap_or(usize::MAX), most_bytes(caller));
        let Some(rows) = rows else {
            let fits = is_whole && answer.body.len() <= most_bytes(caller);
            let body = fits.then_some(answer.body);
            return Ok(Paged { rows: None, body, answered: Answered { total, ..Answered::default() } });
        };
        let count = rows.rows.len() as u64;
        let api = caller.engine.config().api.max_rows;
        // The API has a limit of its own, and does not say that it was reached.
        let is_capped = api > 0 && count >= api && page.limit.is_none_or(|limit| limit > api);
        let cut = rows.cut.or(is_capped.then_some(Cut::Rows));
        let next = page.offset.unwrap_or_default() + count;
        let note = cut.map(|cut| told::note(cut, count, settings.max_bytes.0, next));
        let answered = Answered { total, truncated: cut.is_some(), note, ..Answered::default() };
        Ok(Paged { rows: Some(rows), body: None, answered })
    }
}

async fn call_function(caller: &Caller, arguments: Map<String, Json>) -> Told {
    let Call { function, arguments, page } =
        read_page(arguments, &["function", "arguments"]).map_err(|error| told::wrong(&error))?;
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
    let Paged { rows, body, answered } = Paged::of(caller, answer, is_whole, &page, Some(told))?;
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

async fn write_rows(caller: &Caller, arguments: Map<String, Json>) -> Told {
    let write: Write = read(arguments).map_err(|error| told::wrong(&error))?;
    let asks = written(caller, &write).map_err(|error| told::wrong(&error))?;
    let (answer, is_whole) = caller.ask(&asks, most_body(caller)).await;
    let page = Page::default();
    let Paged { rows, mut answered, .. } = Paged::of(caller, answer, is_whole, &page, None)?;
    answered.affected = answered.total.take();
    if rows.as_ref().is_some_and(|rows| rows.cut.is_some()) {
        answered.note = Some("All of it is written; not all rows are told.".to_owned());
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
    let finds = matches!(write.operation, Operation::Update | Operation::Delete);
    let has_filter =
        !write.filters.is_empty() || write.query.as_deref().is_some_and(|query| !query.trim().is_empty());
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
    if finds {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_only_read_has_no_tool_that_writes() {
        let names =
            |settings: &Settings| all(settings).iter().map(|tool| tool.name.to_string()).collect::<Vec<_>>();
        let reads = Settings::default();
        let writes = Settings { write: true, ..Settings::default() };
        assert_eq!(
            names(&reads),
            ["list_relations", "describe_relation", "read_rows", "call_function", "explain_request"]
        );
        assert_eq!(names(&writes).len(), 6);
        let is_harmless =
            |tool: &Tool| tool.annotations.as_ref().is_some_and(|own| own.read_only_hint == Some(true));
        assert!(all(&reads).iter().all(is_harmless));
        let harmful: Vec<Tool> = all(&writes).into_iter().filter(|tool| !is_harmless(tool)).collect();
        assert_eq!(harmful.len(), 2, "write_rows and call_function");
        assert!(harmful.iter().all(|tool| tool.annotations.as_ref().is_some_and(|own| own.is_destructive())));
    }
}
