//! The tools: which there are, and what each asks of the API.

use std::sync::{Arc, LazyLock};

use rmcp::model::Tool;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use sqlitrest_runtime::debug::asked::Asked;
use sqlitrest_runtime::debug::describe::Function;
use sqlitrest_runtime::debug::rows::Wanted;
use sqlitrest_runtime::error_response;

use super::arguments::{Describe, Explain, List, read};
use super::caller::Caller;
use super::fit::fitted;
use super::hints;
use super::settings::Settings;
use super::told::{self, Told};
use super::{pages, writes};
use crate::answer::Answer;
use crate::debug;

/// All of them.
static TOOLS: LazyLock<Vec<Tool>> =
    LazyLock::new(|| serde_json::from_str(include_str!("tools.json")).unwrap_or_default());

/// The one that is there only where agents may write.
const WRITES: &str = "write_rows";

/// The one that may write then.
const CALLS: &str = "call_function";

/// Arguments that are no more than `mcp.max_rows`.
const BOUNDED: [&str; 2] = ["limit", "max_affected"];

/// Room in an answer for what stands around its rows, in bytes.
pub const AROUND: usize = 64;

/// Those that there are.
pub fn all(settings: &Settings) -> Vec<Tool> {
    let mut tools: Vec<Tool> =
        TOOLS.iter().filter(|tool| settings.write || tool.name != WRITES).cloned().collect();
    tools.iter_mut().for_each(|tool| bound(tool, settings.max_rows));
    let called = tools.iter_mut().filter(|tool| settings.write && tool.name == CALLS);
    for annotations in called.filter_map(|tool| tool.annotations.as_mut()) {
        (annotations.read_only_hint, annotations.destructive_hint) = (Some(false), Some(true));
    }
    tools
}

/// Has a tool say how many rows are the most.
fn bound(tool: &mut Tool, most: u64) {
    let text = tool.description.as_ref().map(|text| text.replace("{max_rows}", &most.to_string()));
    tool.description = text.map(Into::into);
    let schema = Arc::make_mut(&mut tool.input_schema);
    let Some(Json::Object(properties)) = schema.get_mut("properties") else { return };
    for name in BOUNDED {
        if let Some(Json::Object(own)) = properties.get_mut(name) {
            own.insert("maximum".to_owned(), most.into());
        }
    }
}

/// Calls a tool. None where there is no such tool.
pub async fn call(caller: &Caller, name: &str, arguments: Map<String, Json>) -> Option<Told> {
    let is_there = |tool: &&Tool| tool.name == name && (caller.settings.write || name != WRITES);
    let tool = TOOLS.iter().find(is_there)?;
    let mut arguments = match fitted(&tool.input_schema, arguments) {
        Ok(arguments) => arguments,
        Err(error) => return Some(Err(told::wrong(&error))),
    };
    for argument in ["relation", "function"] {
        unqualify(caller, &mut arguments, argument).await;
    }
    let asked = hints::Asked::of(name, &arguments);
    Some(match run(caller, name, arguments).await? {
        Ok(told) => Ok(told),
        Err(answer) => Err(hints::added(caller, &asked, answer).await),
    })
}

/// Takes the database from the front of a name (`main.tracks`), unless that is the whole name of something.
async fn unqualify(caller: &Caller, arguments: &mut Map<String, Json>, argument: &str) {
    let text = |name: &str| arguments.get(name).and_then(Json::as_str).map(str::to_owned);
    let (whole, database) = (text(argument).unwrap_or_default(), text("database"));
    let Some((front, name)) = whole.split_once('.') else { return };
    let Ok(served) = caller.served(Some(front)) else { return };
    if name.is_empty() || database.as_deref().is_some_and(|own| own != front) {
        return;
    }
    let is_function = served.config().udf.iter().any(|udf| udf.name == whole);
    if is_function || schema(caller, database.as_deref(), vec![whole.clone()]).await.is_ok() {
        return;
    }
    arguments.insert(argument.to_owned(), name.into());
    arguments.insert("database".to_owned(), front.into());
}

/// What comes of a call with arguments that fit.
async fn run(caller: &Caller, name: &str, arguments: Map<String, Json>) -> Option<Told> {
    Some(match name {
        "list_relations" => list(caller, arguments).await,
        "describe_relation" => describe(caller, arguments).await,
        "read_rows" => pages::read_rows(caller, arguments).await,
        CALLS => pages::call_function(caller, arguments).await,
        "explain_request" => explain(caller, arguments).await,
        WRITES if caller.settings.write => writes::write_rows(caller, arguments).await,
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
    let viewer = caller.viewer();
    let told = debug::schema(served, &viewer, tables, Wanted::default());
    let mut schema = caller.in_time(told).await?.map_err(|error| debug::logged(error_response(&error)))?;
    if !caller.settings.write {
        schema.relations.iter_mut().for_each(|own| own.operations.retain(|operation| *operation == "select"));
        schema.relations.retain(|own| !own.operations.is_empty());
        schema.functions.retain(|function| function.readonly);
    }
    for own in &mut schema.relations {
        let is_written = own.operations.iter().any(|operation| matches!(*operation, "insert" | "update"));
        own.columns.iter_mut().for_each(|column| column.writable &= is_written);
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
        functions: Vec<&'s Function>,
        truncated: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    }
    let List { database } = read(arguments).map_err(|error| told::wrong(&error))?;
    let schema = schema(caller, database.as_deref(), Vec::new()).await?;
    let lines = schema.relations.iter().map(|own| Line {
        name: &own.name,
        kind: own.kind,
        operations: &own.operations,
        columns: own.columns.len(),
        comment: own.comment.as_deref(),
    });
    let mut room = most_bytes(caller);
    let relations = first(lines, &mut room);
    let functions = first(schema.functions.iter(), &mut room);
    let all = (schema.relations.len(), schema.functions.len());
    let truncated = (relations.len(), functions.len()) != all;
    let note = truncated.then(|| {
        let (relations, functions) = all;
        format!(
            "These are the first of {relations} relations and {functions} functions; describe_relation knows the other relations by name. Whoever runs the server may raise mcp.max_bytes."
        )
    });
    Ok(told::answer(&Listed {
        database: &schema.schema,
        databases: caller.engine.served().iter().map(|served| served.name()).collect(),
        relations,
        functions,
        truncated,
        note,
    }))
}

/// The first of them, as many as there is room for; so many bytes less there is then.
fn first<T: Serialize>(all: impl Iterator<Item = T>, room: &mut usize) -> Vec<T> {
    let fits = |own: &T| {
        let size = serde_json::to_vec(own).map_or(usize::MAX, |json| json.len() + 1);
        let rest = room.checked_sub(size);
        *room = rest.unwrap_or(*room);
        rest.is_some()
    };
    all.take_while(fits).collect()
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
    let asks: Explain = read(arguments).map_err(|error| told::wrong(&error))?;
    let asked = Asked {
        request: asks.request(),
        headers: Vec::new(),
        body: asks.sent(),
        identity: Arc::clone(&caller.identity),
    };
    let served = caller.served(asks.database.as_deref())?;
    let report = caller.in_time(debug::explain(served, caller.standing(), asked)).await?;
    let mut report = report.map_err(|error| debug::logged(error_response(&error)))?;
    report.next.iter_mut().for_each(by_tool);
    fitting(caller, &report)
}

/// What to do next, where it is a page of the server that an agent does not reach.
fn by_tool(next: &mut String) {
    if next.contains("/_schema") {
        "list_relations and describe_relation tell the tables, columns and functions that there are."
            .clone_into(next);
    } else if next.contains("/_debug/policy-check") {
        "describe_relation tells what you may do; which rule decides, whoever runs the server is told."
            .clone_into(next);
    }
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

/// The most bytes of an answer.
pub fn most_bytes(caller: &Caller) -> usize {
    usize::try_from(caller.settings.max_bytes.0).unwrap_or(usize::MAX)
}

/// What the paths of the API begin with.
pub fn base(caller: &Caller) -> &str {
    &caller.engine.config().api.base_path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_rows_are_the_most_is_said() {
        let tools = all(&Settings { write: true, max_rows: 7, ..Settings::default() });
        let mut bounded = 0;
        for tool in &tools {
            let about = tool.description.as_deref().expect("a description");
            assert!(!about.contains('{'), "{about}");
            let limits = BOUNDED.iter().filter_map(|name| tool.input_schema["properties"].get(*name));
            for limit in limits {
                assert_eq!((&limit["maximum"], about.contains("7 rows")), (&Json::from(7), true), "{about}");
                bounded += 1;
            }
        }
        assert_eq!(bounded, 3, "read_rows, call_function, write_rows");
    }

    #[test]
    fn filters_are_the_same_everywhere() {
        let tools = all(&Settings { write: true, ..Settings::default() });
        let filters: Vec<&Json> = tools
            .iter()
            .filter_map(|tool| tool.input_schema["properties"].get("filters")?.get("items"))
            .collect();
        assert_eq!(filters.len(), 3);
        assert!(filters.iter().all(|own| *own == filters[0] && own["required"].is_array()), "{filters:#?}");
    }

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
