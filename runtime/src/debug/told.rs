//! What the pages about a database are asked with, and what they answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::asked::{Asked, Supposed};
use super::check::Question;
use super::describe::{self, Schema, Scope};
use super::page::json_response;
use super::rows::{self, MOST_EXAMPLES, Wanted};
use super::{Standing, Viewer, refused, text};
use crate::audit::Act;
use crate::config::Config;
use crate::database::Database;
use crate::error::Error;
use crate::http::{Request, Response};
use crate::identity::Identity;
use crate::query_params::decode;
use crate::schema::SchemaCache;

/// The parameters of a query string.
pub(super) fn parameters(request: &Request<'_>) -> Result<Vec<(String, String)>, Error> {
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// What `/_schema` is asked with.
#[derive(Default)]
struct Wish {
    supposed: Supposed,
    is_text: bool,
    rows: Wanted,
    tables: Vec<String>,
}

impl Wish {
    fn of(request: &Request<'_>) -> Result<Wish, Error> {
        let accept = request.header("accept").unwrap_or_default();
        let mut wish = Wish { is_text: accept.starts_with("text/plain"), ..Wish::default() };
        let wrong = |name: &str, what: &str| Error::Body(format!("{name}: {what}"));
        for (name, value) in parameters(request)? {
            match name.as_str() {
                "role" => wish.supposed.role = Some(value),
                "sub" => wish.supposed.sub = Some(value.into()),
                "format" if value == "text" => wish.is_text = true,
                "format" if value == "json" => wish.is_text = false,
                "format" => return Err(wrong("format", "write json or text")),
                "counts" if matches!(value.as_str(), "" | "true") => wish.rows.count = true,
                "counts" if value == "false" => wish.rows.count = false,
                "counts" => return Err(wrong("counts", "write true or false")),
                "examples" => {
                    let most = format!("write a number from 0 to {MOST_EXAMPLES}");
                    let number = value.parse().ok().filter(|number| *number <= MOST_EXAMPLES);
                    wish.rows.examples = number.ok_or_else(|| wrong("examples", &most))?;
                }
                "table" => wish.tables.extend(value.split(',').map(str::to_owned)),
                // By it the shell has found the database.
                "database" => {}
                _ => {
                    let known = "there are format, role, sub, counts, examples, table and database";
                    return Err(wrong(&name, known));
                }
            }
        }
        Ok(wish)
    }
}

/// As whom something is told: whoever asks, or who they suppose asks, if they may.
fn supposed(config: &Config, viewer: &Viewer, supposed: Supposed) -> Result<Arc<Identity>, Error> {
    match supposed.is_any() {
        false => Ok(Arc::clone(&viewer.identity)),
        true if viewer.standing == Standing::Own => Err(refused(&viewer.identity)),
        true => {
            supposed.fits().map_err(Error::Body)?;
            Ok(supposed.identity(config))
        }
    }
}

/// That rows may be read as somebody sees them.
fn may_read_as(config: &Config, viewer: &Viewer, identity: &Arc<Identity>) -> Result<(), Error> {
    // Who has not signed in reads rows where the API lets them in, whichever way they came.
    let is_let_in = !viewer.identity.is_anonymous || !config.is_closed();
    let is_own = is_let_in && Arc::ptr_eq(identity, &viewer.identity);
    if is_own || viewer.standing == Standing::Administrator { Ok(()) } else { Err(refused(&viewer.identity)) }
}

pub(super) fn schema(
    config: &Config,
    schema: &mut Arc<SchemaCache>,
    viewer: &Viewer,
    request: &Request<'_>,
    db: &mut dyn Database,
) -> Result<Response, Error> {
    let wish = Wish::of(request)?;
    let is_supposed = wish.supposed.is_any();
    let identity = supposed(config, viewer, wish.supposed)?;
    if wish.rows.is_any() {
        may_read_as(config, viewer, &identity)?;
    }
    let is_whole = !is_supposed && viewer.standing != Standing::Own;
    let (told, acts) = schema_of(config, schema, &identity, is_whole, &wish.tables, wish.rows, db)?;
    if wish.is_text {
        let mut response = json_response(&Json::Null);
        response.headers.retain(|(name, _)| name != "content-type");
        response.headers.push(("content-type".into(), "text/plain; charset=utf-8".to_owned()));
        return Ok(Response { body: text::compact(&told).into_bytes(), acts, ..response });
    }
    #[derive(Serialize)]
    struct Told {
        #[serde(flatten)]
        schema: Schema,
        next: Vec<String>,
    }
    let next = schema_next(&told, wish.rows);
    Ok(Response { acts, ..json_response(&Told { schema: told, next }) })
}

/// The schema as somebody knows it, or (`is_whole`) all that is exposed; of all relations or of these. Rows are those that they see, read
/// inside the transaction that the caller has begun; beside it stands what was read of them, for a record.
///
/// # Errors
/// PGRST205 for a table that is not there.
pub fn schema_of(
    config: &Config,
    schema: &mut Arc<SchemaCache>,
    identity: &Arc<Identity>,
    is_whole: bool,
    tables: &[String],
    wanted: Wanted,
    db: &mut dyn Database,
) -> Result<(Schema, Vec<Act>), Error> {
    let role = identity.role.as_deref();
    let scope = if is_whole { Scope::Whole } else { Scope::Role(role) };
    let known = if is_whole { Arc::clone(schema) } else { schema.for_role(config, role) };
    let mut told = describe::describe(config, &known, scope);
    if let Some(name) = tables.iter().find(|name| !told.relations.iter().any(|own| own.name == **name)) {
        return Err(Error::NoRelation { name: name.clone(), near: known.near(name) });
    }
    if !tables.is_empty() {
        told.relations.retain(|own| tables.contains(&own.name));
        told.functions.clear();
    }
    let mut acts = Vec::new();
    if wanted.is_any() {
        for relation in &mut told.relations {
            acts.extend(rows::read(config, schema, identity, wanted, relation, db)?);
        }
    }
    Ok((told, acts))
}

fn schema_next(told: &Schema, wanted: Wanted) -> Vec<String> {
    let mut next = Vec::new();
    if told.relations.is_empty() {
        next.push(
            "Nothing is to be seen: POST /_debug/policy-check tells which rule would be needed.".to_owned(),
        );
    }
    if told.relations.iter().any(|own| own.unread.is_some()) {
        next.push(
            "Rows are read as whoever asks sees them: add role= (and sub=) to see what others do.".to_owned(),
        );
    }
    let bare = told.relations.iter().filter(|own| own.comment.is_none()).count();
    if bare > 0 {
        let (own, they) = if bare == 1 { ("relation has", "it is") } else { ("relations have", "they are") };
        next.push(format!("{bare} {own} no comment: say in [comments.table] what {they} for."));
    }
    if !wanted.is_any() && !told.relations.is_empty() {
        next.push("Add counts=true or examples=3 for rows, and format=text for a prompt.".to_owned());
    }
    if next.is_empty() {
        next.push("Write a request, and POST it to /_debug/explain before it is sent.".to_owned());
    }
    next
}

/// What `/_debug/explain` is asked with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Explained {
    request: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<Json>,
    #[serde(default, rename = "database")]
    _database: Option<String>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    sub: Option<Json>,
    #[serde(default)]
    claims: Map<String, Json>,
    #[serde(default)]
    anonymous: bool,
}

pub(super) fn explain(
    config: &Config,
    schema: &Arc<SchemaCache>,
    viewer: &Viewer,
    request: &Request<'_>,
    db: &mut dyn Database,
    shadow: Option<&mut dyn Database>,
) -> Result<Response, Error> {
    let Explained { request: text, headers, body, role, sub, claims, anonymous, .. } =
        read(request, "{\"request\": \"GET /posts?select=*\", \"role\": \"author\"}")?;
    let identity = supposed(config, viewer, Supposed { role, sub, claims, anonymous })?;
    let body = match body {
        None => String::new(),
        Some(Json::String(text)) => text,
        Some(json) => json.to_string(),
    };
    let asked = Asked { request: text, headers: headers.into_iter().collect(), body, identity };
    let report =
        super::explain::report(config, schema, &asked, viewer.standing, db, shadow).map_err(Error::Body)?;
    Ok(json_response(&report))
}

pub(super) fn check(
    config: &Config,
    schema: &Arc<SchemaCache>,
    viewer: &Viewer,
    request: &Request<'_>,
    db: &mut dyn Database,
) -> Result<Response, Error> {
    let question: Question =
        read(request, "{\"table\": \"posts\", \"operation\": \"select\", \"role\": \"author\"}")?;
    if viewer.standing == Standing::Own {
        return Err(refused(&viewer.identity));
    }
    let identity = supposed(config, viewer, question.supposed())?;
    // How many rows a rule holds for tells of those that it hides.
    if question.looks_at_rows() && viewer.standing != Standing::Administrator {
        return Err(refused(&viewer.identity));
    }
    let verdict = super::check::check(config, schema, &identity, &question, db)?;
    let acts = verdict.rows.iter().map(|rows| Act::read(&question.table, Some(rows.all))).collect();
    Ok(Response { acts, ..json_response(&verdict) })
}

/// The body.
fn read<T: for<'de> Deserialize<'de>>(request: &Request<'_>, example: &str) -> Result<T, Error> {
    serde_json::from_slice(request.body)
        .map_err(|error| Error::Body(format!("The body is not what is asked for: {error}; write {example}")))
}
