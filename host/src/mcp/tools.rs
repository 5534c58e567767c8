//! The tools: which there are, and what each asks of the API.

use std::sync::LazyLock;

use rmcp::model::Tool;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use sqlitrest_runtime::debug::asked::Asked;
use sqlitrest_runtime::debug::describe::Function;
use sqlitrest_runtime::debug::rows::Wanted;
use sqlitrest_runtime::error_response;

use super::arguments::{Describe, Explain, List, read};
use super::caller::Caller;
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

/// Room in an answer for what stands around its rows, in bytes.
pub const AROUND: usize = 64;

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
