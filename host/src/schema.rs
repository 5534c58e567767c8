//! `sqlitrest schema`: what a role knows of a database: tables, columns, relationships, functions.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sqlitrest_runtime::SchemaCache;
use sqlitrest_runtime::config::{Config, Mode, Udf};
use sqlitrest_runtime::schema::{self, RelationId};

use crate::asking::Opened;
use crate::settings::Of;
use crate::terminal::{NAME, To};

/// What `sqlitrest schema` can be told.
#[derive(Args, Debug)]
pub struct SchemaFlags {
    /// As this role knows it; without, the whole of what is exposed
    #[arg(long)]
    role: Option<String>,
    #[command(flatten)]
    of: Of,
}

/// What is known.
#[derive(Serialize)]
struct Schema {
    database: PathBuf,
    /// The name that `Accept-Profile` has for it.
    schema: String,
    role: Option<String>,
    relations: Vec<Relation>,
    functions: Vec<Function>,
}

/// A table or a view.
#[derive(Serialize)]
struct Relation {
    name: String,
    /// `table`, `view` or `virtual`.
    kind: &'static str,
    comment: Option<String>,
    /// Of `select`, `insert`, `update` and `delete`.
    operations: Vec<&'static str>,
    columns: Vec<Column>,
    primary_key: Vec<String>,
    unique: Vec<Vec<String>>,
    relationships: Vec<Relationship>,
    /// The columns that `fts` and its kin may name.
    full_text: Vec<String>,
}

/// A column.
#[derive(Serialize)]
struct Column {
    name: String,
    /// As it is declared; empty where it is not.
    r#type: String,
    not_null: bool,
    default: Option<String>,
    generated: bool,
    computed: bool,
    masked: bool,
    writable: bool,
    comment: Option<String>,
}

/// What `select=name(…)` can embed.
#[derive(Serialize)]
struct Relationship {
    /// What to write.
    name: String,
    target: String,
    cardinality: &'static str,
    /// The foreign key, or both, or the name of a computed one.
    constraint: String,
    /// Of this relation and of the target; of a junction those that refer to this one.
    columns: Vec<(String, String)>,
    /// The table between, where there is one.
    junction: Option<String>,
    computed: bool,
}

/// What `/rpc/NAME` calls.
#[derive(Serialize)]
struct Function {
    name: String,
    parameters: Vec<Parameter>,
    returns: String,
    readonly: bool,
    roles: Vec<String>,
    description: String,
}

/// A parameter.
#[derive(Serialize)]
struct Parameter {
    name: String,
    r#type: String,
    required: bool,
    variadic: bool,
    default: Option<serde_json::Value>,
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
    let opened = Opened::new(&config)?;
    let role = flags.role.as_deref();
    let known = match role {
        Some(_) => opened.schema.for_role(&config, role),
        None => std::sync::Arc::clone(&opened.schema),
    };
    let is_mine = |udf: &&Udf| {
        let roles = config.roles_of(role);
        udf.expose && (role.is_none() || udf.roles.iter().any(|own| own == "*" || roles.contains(own)))
    };
    let about = Schema {
        database: PathBuf::from(&config.database().1.path),
        schema: name,
        role: flags.role.clone(),
        relations: known.exposed().filter_map(|(id, own)| relation(&config, &known, id, own)).collect(),
        functions: config.udf.iter().filter(is_mine).map(function).collect(),
    };
    flags.of.tell(&about, || text(&about))
}

/// A relation, if the role may do anything with it.
fn relation(
    config: &Config,
    schema: &SchemaCache,
    id: RelationId,
    own: &schema::Relation,
) -> Option<Relation> {
    let may_select = own.access.as_ref().is_none_or(|access| access.select.is_some());
    let methods = own.methods();
    let operations: Vec<&str> = [
        ("select", may_select),
        ("insert", methods.post),
        ("update", methods.patch),
        ("delete", methods.delete),
    ]
    .into_iter()
    .filter_map(|(name, may)| may.then_some(name))
    .collect();
    if operations.is_empty() {
        return None;
    }
    let names = |places: &[usize]| own.column_names(places).map(str::to_owned).collect::<Vec<String>>();
    let comment = |column: &str| config.comments.column.get(&format!("{}.{column}", own.name)).cloned();
    let is_known = |column: &&schema::Column| !column.hidden || column.writable;
    Some(Relation {
        name: own.name.clone(),
        kind: match own.kind {
            schema::RelationKind::Virtual => "virtual",
            kind => kind.word(),
        },
        comment: config.comments.table.get(&own.name).cloned(),
        operations,
        columns: own.columns.iter().filter(is_known).map(|own| column(own, comment(&own.name))).collect(),
        primary_key: names(&own.primary_key),
        unique: own.unique_keys.iter().map(|key| names(key)).collect(),
        relationships: relationships(schema, id, own),
        full_text: own.full_text.iter().flat_map(|index| index.columns.clone()).collect(),
    })
}

fn column(own: &schema::Column, comment: Option<String>) -> Column {
    Column {
        name: own.name.clone(),
        r#type: own.declared_type.clone(),
        not_null: own.not_null || own.is_rowid,
        default: own.default.clone(),
        generated: own.generated,
        computed: own.computed.is_some(),
        masked: own.masked,
        writable: own.writable && !own.generated && own.computed.is_none(),
        comment,
    }
}

/// Every way from a relation to another that the role may see.
fn relationships(schema: &SchemaCache, id: RelationId, own: &schema::Relation) -> Vec<Relationship> {
    let computed = own.computed.iter().map(|computed| computed.name.clone());
    let is_seen = |own: &schema::Relation| own.access.as_ref().is_none_or(|access| access.select.is_some());
    let targets = schema.exposed().filter(|(_, own)| is_seen(own)).map(|(_, own)| own.name.clone());
    // To the own relation by its column: its name means the other direction.
    let parents = own.foreign_keys.iter().filter(|key| key.target == id && !key.hidden);
    let parents = parents.map(|key| key.name.clone());
    let mut found: Vec<Relationship> = Vec::new();
    for name in computed.chain(targets).chain(parents) {
        for relationship in schema.relationships(id, &name, None) {
            let Some(target) = schema.relations.get(relationship.target) else { continue };
            let junction = relationship.junction.as_ref().and_then(|own| schema.relations.get(own.relation));
            let other = junction.unwrap_or(target);
            let columns = relationship.columns.iter().filter_map(|(from, to)| {
                Some((own.columns.get(*from)?.name.clone(), other.columns.get(*to)?.name.clone()))
            });
            found.push(Relationship {
                name: name.clone(),
                target: target.name.clone(),
                cardinality: relationship.cardinality.name(),
                columns: columns.collect(),
                junction: junction.map(|own| own.name.clone()),
                computed: relationship.computed.is_some(),
                constraint: relationship.constraint,
            });
        }
    }
    found
}

fn function(udf: &Udf) -> Function {
    let parameters = udf.params.iter().map(|param| Parameter {
        name: param.name.clone(),
        r#type: param.declared.clone(),
        required: param.default.is_none() && !param.variadic,
        variadic: param.variadic,
        default: param.default.as_ref().and_then(|value| serde_json::to_value(value).ok()),
    });
    Function {
        name: udf.name.clone(),
        parameters: parameters.collect(),
        returns: udf.returns.clone(),
        readonly: udf.readonly,
        roles: udf.roles.clone(),
        description: udf.description.clone(),
    }
}

fn text(about: &Schema) -> String {
    let mut out = String::new();
    let name = |name: &str| To::Output.paint(NAME, name);
    let role = about.role.as_ref().map(|role| format!(", as {role} knows it")).unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}{role}", about.database.display());
    for relation in &about.relations {
        let Relation { kind, operations, comment, .. } = relation;
        let _ = writeln!(out, "\n{kind} {} ({})", name(&relation.name), operations.join(", "));
        if let Some(comment) = comment {
            let _ = writeln!(out, "  -- {comment}");
        }
        columns(relation, &mut out);
        for own in &relation.relationships {
            let _ = writeln!(out, "  → {}", relationship(own));
        }
        if !relation.full_text.is_empty() {
            let _ = writeln!(out, "  full text of {}", relation.full_text.join(", "));
        }
    }
    for function in &about.functions {
        let Function { returns, readonly, description, .. } = function;
        let parameters: Vec<String> = function.parameters.iter().map(parameter).collect();
        let writes = if *readonly { "" } else { ", writes" };
        let parameters = parameters.join(", ");
        let _ = writeln!(out, "\nfunction {}({parameters}) returns {returns}{writes}", name(&function.name));
        if !description.is_empty() {
            let _ = writeln!(out, "  -- {description}");
        }
    }
    if about.relations.is_empty() && about.functions.is_empty() {
        let _ = writeln!(out, "nothing");
    }
    out
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

fn relationship(own: &Relationship) -> String {
    let Relationship { name, target, cardinality, constraint, columns, junction, computed } = own;
    let to = if name == target { String::new() } else { format!(" to {target}") };
    let by = match junction {
        Some(junction) => format!(" through {junction}"),
        None if *computed => ", computed".to_owned(),
        None => {
            let columns: Vec<String> = columns.iter().map(|(from, to)| format!("{from} = {to}")).collect();
            format!(" by {constraint} ({})", columns.join(", "))
        }
    };
    format!("{name}{to}, {cardinality}{by}")
}

fn parameter(own: &Parameter) -> String {
    let declared = if own.r#type.is_empty() { String::new() } else { format!(" {}", own.r#type) };
    let default = own.default.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
    let variadic = if own.variadic { "…" } else { "" };
    format!("{}{declared}{variadic}{default}", own.name)
}
