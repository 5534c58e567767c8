//! `sqlitrest schema`: what a role knows of a database: tables, columns, relationships, functions.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use sqlitrest_runtime::config::Mode;
use sqlitrest_runtime::debug;
use sqlitrest_runtime::debug::describe::{Column, Function, Relation, Schema};
use sqlitrest_runtime::debug::rows::Wanted;
use sqlitrest_runtime::debug::text::{compact, embed, parameter};
use sqlitrest_runtime::error::Problem;

use crate::asking::{Opened, identity};
use crate::settings::Of;
use crate::terminal::{NAME, To};

/// What `sqlitrest schema` can be told.
#[derive(Args, Debug)]
pub struct SchemaFlags {
    /// As this role knows it; without, the whole of what is exposed
    #[arg(long)]
    role: Option<String>,
    /// The user's id (the claim sub), for rows
    #[arg(long)]
    sub: Option<String>,
    /// These tables and views alone
    #[arg(long, value_delimiter = ',')]
    table: Vec<String>,
    /// Count the rows that the role sees; without a role those that anybody does
    #[arg(long)]
    counts: bool,
    /// So many of these rows of each, 10 at the most
    #[arg(long, default_value_t = 0)]
    examples: u64,
    /// Print short text, for the prompt of a language model
    #[arg(long)]
    prompt: bool,
    #[command(flatten)]
    of: Of,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Told {
    database: PathBuf,
    #[serde(flatten)]
    schema: Schema,
}

/// Prints what a role knows.
///
/// # Errors
/// A database that cannot be opened; a configuration that does not fit it.
pub fn schema(flags: &SchemaFlags) -> Result<()> {
    let settings = flags.of.settings()?;
    let mut config = settings.config;
    let name = config.database().0.to_owned();
    // Nothing is written, and the file stays as it is.
    if let Some(file) = config.databases.get_mut(&name) {
        file.mode = Mode::ReadOnly;
    }
    let identity = identity(&config, flags.role.clone(), flags.sub.as_deref().map(Json::from), Map::new());
    let wanted = Wanted { count: flags.counts, examples: flags.examples };
    let Opened { mut connection, mut schema } = Opened::new(&config)?;
    let is_whole = flags.role.is_none();
    let told = debug::reading(&config, &mut schema, connection.database(), |schema, db| {
        debug::schema_of(&config, schema, &identity, is_whole, &flags.table, wanted, db)
    });
    let (schema, _) = told.map_err(|error| {
        let Problem { message, hint, .. } = error.problem();
        let hint = hint.map(|hint| format!(". {hint}")).unwrap_or_default();
        anyhow!("{message}{hint}")
    })?;
    let about = Told { database: PathBuf::from(config.database().1.place()), schema };
    flags.of.tell(&about, || if flags.prompt { compact(&about.schema) } else { text(&about) })
}

fn text(about: &Told) -> String {
    let mut out = String::new();
    let name = |name: &str| To::Output.paint(NAME, name);
    let schema = &about.schema;
    let role = schema.role.as_ref().map(|role| format!(", as {role} knows it")).unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}{role}", about.database.display());
    for relation in &schema.relations {
        let Relation { kind, operations, comment, .. } = relation;
        let _ = writeln!(out, "\n{kind} {} ({})", name(&relation.name), operations.join(", "));
        if let Some(comment) = comment {
            let _ = writeln!(out, "  -- {comment}");
        }
        columns(relation, &mut out);
        for own in &relation.relationships {
            let _ = writeln!(out, "  → {}", embed(own));
        }
        if !relation.full_text.is_empty() {
            let _ = writeln!(out, "  full text of {}", relation.full_text.join(", "));
        }
        rows(relation, &mut out);
    }
    for function in &schema.functions {
        let Function { returns, readonly, description, .. } = function;
        let parameters: Vec<String> = function.parameters.iter().map(parameter).collect();
        let writes = if *readonly { "" } else { ", writes" };
        let parameters = parameters.join(", ");
        let _ = writeln!(out, "\nfunction {}({parameters}) returns {returns}{writes}", name(&function.name));
        if !description.is_empty() {
            let _ = writeln!(out, "  -- {description}");
        }
    }
    if schema.relations.is_empty() && schema.functions.is_empty() {
        let _ = writeln!(out, "nothing");
    }
    out
}

/// How many rows there are, and some of them.
fn rows(relation: &Relation, out: &mut String) {
    if let Some(rows) = relation.rows {
        let _ = writeln!(out, "  {rows} rows");
    }
    for row in relation.examples.iter().flatten() {
        let _ = writeln!(out, "  {row}");
    }
    if let Some(reason) = &relation.unread {
        let _ = writeln!(out, "  rows not read: {reason}");
    }
}

fn columns(relation: &Relation, out: &mut String) {
    let width = |of: fn(&Column) -> &str| {
        relation.columns.iter().map(|column| of(column).chars().count()).max().unwrap_or(0)
    };
    let (names, types) = (width(|column| &column.name), width(|column| &column.r#type));
    for column in &relation.columns {
        let mut notes: Vec<String> = Vec::new();
        let is_key = |key: &[String]| key.contains(&column.name);
        if is_key(&relation.primary_key) {
            notes.push("primary key".to_owned());
        }
        if relation.unique.iter().any(|key| key.len() == 1 && is_key(key)) {
            notes.push("unique".to_owned());
        }
        let said = [
            (column.not_null, "not null"),
            (column.generated, "generated"),
            (column.computed, "computed"),
            (column.masked, "masked"),
        ];
        notes.extend(said.into_iter().filter(|(is, _)| *is).map(|(_, word)| word.to_owned()));
        notes.extend(column.default.as_ref().map(|default| format!("default {default}")));
        notes.extend(column.comment.as_ref().map(|comment| format!("-- {comment}")));
        let line = format!("  {:<names$}  {:<types$}  {}", column.name, column.r#type, notes.join(", "));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    for key in relation.unique.iter().filter(|key| key.len() > 1) {
        let _ = writeln!(out, "  unique ({})", key.join(", "));
    }
}
