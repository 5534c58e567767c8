//! `sqlitrest explain`: what a request becomes for who asks. Nothing is run.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use serde_json::{Map, Value as Json, json};
use sqlitrest_runtime::SchemaCache;
use sqlitrest_runtime::compile::Param;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::policy::{Kind, Rule};
use sqlitrest_runtime::run::Explained;
use sqlitrest_runtime::schema::RelationId;
use sqlitrest_runtime::value::Value;

use crate::asking::{Asked, Opened, identity, typed};
use crate::settings::Of;

/// What `sqlitrest explain` can be told.
#[derive(Args, Debug)]
pub struct ExplainFlags {
    /// The request: 'GET /posts?select=*'
    request: String,
    /// The role of who asks; without one, nobody has signed in
    #[arg(long)]
    role: Option<String>,
    /// The user's id (the claim sub)
    #[arg(long)]
    sub: Option<String>,
    /// Another claim
    #[arg(long, value_name = "NAME=VALUE")]
    claim: Vec<String>,
    /// A header field
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The body
    #[arg(long, default_value = "")]
    body: String,
    #[command(flatten)]
    of: Of,
}

/// Prints the rules, the statements with their parameters, and how SQLite goes about them.
///
/// # Errors
/// What cannot be opened or read; a request that is refused is explained by its refusal.
pub fn explain(flags: &ExplainFlags) -> Result<()> {
    let settings = flags.of.settings()?;
    let config = &settings.config;
    let mut claims = Map::new();
    for claim in &flags.claim {
        let (name, value) =
            claim.split_once('=').with_context(|| format!("--claim {claim}: write NAME=VALUE"))?;
        claims.insert(name.to_owned(), typed(value));
    }
    let mut headers = Vec::new();
    for header in &flags.header {
        let (name, value) =
            header.split_once(':').with_context(|| format!("--header {header}: write 'NAME: VALUE'"))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let identity = identity(config, flags.role.clone(), flags.sub.as_deref().map(Json::from), claims);
    let asked = Asked { request: flags.request.clone(), headers, body: flags.body.clone(), identity };
    let mut opened = Opened::new(config)?;
    let parsed = asked.parse(config)?;
    let explained = match parsed {
        Err(response) => return Err(refused(&response.body)),
        Ok(request) => {
            let Opened { connection, schema } = &mut opened;
            sqlitrest_runtime::explain(config, schema, &request, connection.database()).map_err(|error| {
                let response = sqlitrest_runtime::error_response(&error);
                let log = response.log.map(|log| format!(" ({log})")).unwrap_or_default();
                anyhow!("{}{log}", refused(&response.body))
            })?
        }
    };
    let (relations, statements) = explained;
    let json = || as_json(config, &opened.schema, &asked, &relations, &statements);
    let text = || as_text(config, &opened.schema, &asked, &relations, &statements);
    // Standard output may be closed.
    let _ = flags.of.tell(&json(), text);
    Ok(())
}

fn refused(body: &[u8]) -> anyhow::Error {
    anyhow!("the request is refused: {}", String::from_utf8_lossy(body))
}

/// The rules that took part for a relation.
fn rules<'c>(config: &'c Config, schema: &SchemaCache, role: Option<&str>, id: RelationId) -> Vec<&'c Rule> {
    let Some(settings) = &config.policies else { return Vec::new() };
    let roles = config.roles_of(role);
    let name = schema.relations.get(id).map(|relation| relation.name.as_str()).unwrap_or_default();
    let is_for = |rule: &&Rule| {
        rule.names(name) && (rule.roles.is_empty() || rule.roles.iter().any(|role| roles.contains(role)))
    };
    settings.policy.iter().filter(is_for).collect()
}

fn operations(rule: &Rule) -> String {
    let names: Vec<String> = rule.operations.iter().map(|o| format!("{o:?}").to_lowercase()).collect();
    if names.is_empty() { "all operations".to_owned() } else { names.join(", ") }
}

fn kind(rule: &Rule) -> &'static str {
    match rule.kind {
        Kind::Permissive => "permissive",
        Kind::Restrictive => "restrictive",
    }
}

fn as_text(
    config: &Config,
    schema: &SchemaCache,
    asked: &Asked,
    relations: &[RelationId],
    statements: &[Explained],
) -> String {
    let mut out = String::new();
    let identity = &asked.identity;
    let role = identity.role.as_deref();
    let signed = if identity.is_anonymous { ", not signed in" } else { "" };
    let claims = Json::Object(identity.claims.clone());
    // Writing to a String cannot fail.
    let _ = writeln!(out, "role      {}{signed}\nclaims    {claims}", role.unwrap_or("none"));
    let _ = writeln!(out, "request   {}", asked.request.trim());
    for id in relations {
        let Some(relation) = schema.relations.get(*id) else { continue };
        let _ = writeln!(out, "\n{} {}", relation.kind.word(), relation.name);
        if config.policies.is_none() {
            let _ = writeln!(out, "  no [policies]: everything is allowed");
        }
        for rule in rules(config, schema, role, *id) {
            let place = rule.place.of("");
            let _ = writeln!(out, "  {} \"{}\" ({place}), {}", kind(rule), rule.name, operations(rule));
            for (name, text) in [("using", &rule.using), ("check", &rule.check)] {
                if let Some(text) = text {
                    let _ = writeln!(out, "    {name} {text}");
                }
            }
            let columns = &rule.columns;
            for (name, list) in [
                ("visible", columns.visible.as_deref().unwrap_or_default()),
                ("hidden", &columns.hidden),
                ("writable", columns.writable.as_deref().unwrap_or_default()),
            ] {
                if !list.is_empty() {
                    let _ = writeln!(out, "    {name} {}", list.join(", "));
                }
            }
            for (column, mask) in &columns.masked {
                let _ = writeln!(out, "    masked {column} = {mask}");
            }
        }
    }
    for statement in statements {
        let params: Vec<String> =
            statement.params.iter().map(|param| param_json(param).to_string()).collect();
        let _ = writeln!(out, "\n{}\n  {}", statement.step, statement.sql.replace('\n', " "));
        let _ = writeln!(out, "  parameters [{}]", params.join(", "));
        lines(&statement.lines, 0, 2, &mut out);
    }
    out
}

fn lines(all: &[(i64, i64, String)], of: i64, depth: usize, out: &mut String) {
    for (id, _, detail) in all.iter().filter(|(id, parent, _)| *parent == of && *id != of) {
        let _ = writeln!(out, "{:indent$}{detail}", "", indent = depth * 2);
        lines(all, *id, depth + 1, out);
    }
}

fn param_json(param: &Param) -> Json {
    match param {
        Param::Value(Value::Null) => Json::Null,
        Param::Value(Value::Integer(i)) => json!(i),
        Param::Value(Value::Real(r)) => json!(r),
        Param::Value(Value::Text(text)) => json!(text),
        Param::Value(Value::Blob(bytes)) => json!(format!("{} bytes", bytes.len())),
        Param::Rowids | Param::PrimaryKeys => json!("the keys of the rows written"),
        Param::Given { .. } => json!("a value of a row inserted before"),
    }
}

fn as_json(
    config: &Config,
    schema: &SchemaCache,
    asked: &Asked,
    relations: &[RelationId],
    statements: &[Explained],
) -> Json {
    let role = asked.identity.role.as_deref();
    let relation = |id: &RelationId| {
        let relation = schema.relations.get(*id)?;
        let rules: Vec<Json> = rules(config, schema, role, *id)
            .into_iter()
            .map(|rule| json!({ "place": rule.place.of(""), "rule": rule }))
            .collect();
        Some(json!({ "name": relation.name, "kind": relation.kind.word(), "rules": rules }))
    };
    let statement = |explained: &Explained| {
        let plan: Vec<Json> = explained
            .lines
            .iter()
            .map(|(id, parent, detail)| json!({ "id": id, "parent": parent, "detail": detail }))
            .collect();
        let params: Vec<Json> = explained.params.iter().map(param_json).collect();
        json!({ "step": explained.step, "sql": explained.sql, "parameters": params, "plan": plan })
    };
    json!({
        "role": role,
        "claims": asked.identity.claims,
        "anonymous": asked.identity.is_anonymous,
        "request": asked.request.trim(),
        "relations": relations.iter().filter_map(relation).collect::<Vec<Json>>(),
        "statements": statements.iter().map(statement).collect::<Vec<Json>>(),
    })
}
