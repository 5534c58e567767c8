//! What a role knows of a database: tables, columns, keys, relationships, functions. For people, programs and prompts.

use serde::Serialize;
use serde_json::Value as Json;

use crate::compile;
use crate::config::{Config, Udf};
use crate::schema::{self, RelationId, RelationKind, SchemaCache};

/// What is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Schema {
    /// The name that `Accept-Profile` has for it.
    pub schema: String,
    /// As whom it is known; none: the whole of what is exposed.
    pub role: Option<String>,
    /// What the API is called (`comments.schema`).
    pub comment: Option<String>,
    /// Its tables and views.
    pub relations: Vec<Relation>,
    /// What `/rpc/NAME` calls.
    pub functions: Vec<Function>,
}

/// A table or a view.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// `table`, `view` or `virtual`.
    pub kind: &'static str,
    /// What it is for.
    pub comment: Option<String>,
    /// Of `select`, `insert`, `update` and `delete`.
    pub operations: Vec<&'static str>,
    /// Its columns.
    pub columns: Vec<Column>,
    /// The names of the primary key's columns.
    pub primary_key: Vec<String>,
    /// Those of other unique keys.
    pub unique: Vec<Vec<String>>,
    /// What can be embedded into it.
    pub relationships: Vec<Relationship>,
    /// The columns that `fts` and its kin may name.
    pub full_text: Vec<String>,
    /// How many rows whoever asks sees, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Some of them, as a GET would tell them, long texts cut; where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub examples: Option<Vec<Json>>,
    /// Why there are none of either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// As it is declared; empty where it is not.
    pub r#type: String,
    /// Whether it is never NULL.
    pub not_null: bool,
    /// Its default, as the DDL writes it.
    pub default: Option<String>,
    /// Whether the database makes its value.
    pub generated: bool,
    /// Whether SQL of the configuration does.
    pub computed: bool,
    /// Whether something else is told instead.
    pub masked: bool,
    /// Whether it may be written.
    pub writable: bool,
    /// What it is for.
    pub comment: Option<String>,
}

/// What `select=name(…)` can embed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Relationship {
    /// What to write.
    pub name: String,
    /// Whose rows they are.
    pub target: String,
    /// `many-to-one` and its kin.
    pub cardinality: &'static str,
    /// The foreign key, or both, or the name of a computed one.
    pub constraint: String,
    /// Of this relation and of the target; of a junction those that refer to this one.
    pub columns: Vec<(String, String)>,
    /// The table between, where there is one.
    pub junction: Option<String>,
    /// Whether it is SQL of the configuration.
    pub computed: bool,
}

/// What `/rpc/NAME` calls.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub parameters: Vec<Parameter>,
    /// What it gives.
    pub returns: String,
    /// Whether it changes nothing.
    pub readonly: bool,
    /// Who may call it; `*`: everyone.
    pub roles: Vec<String>,
    /// What it is for.
    pub description: String,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type as it is declared; empty where it is not.
    pub r#type: String,
    /// Whether it must be given.
    pub required: bool,
    /// Whether it takes several values.
    pub variadic: bool,
    /// What it is where it is not given.
    pub default: Option<Json>,
}

/// As whom a schema is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// The whole of what is exposed.
    Whole,
    /// What a role knows, or who has none.
    Role(Option<&'a str>),
}

/// What is known. `known` is the schema of that scope: [`SchemaCache::for_role`].
pub fn describe(config: &Config, known: &SchemaCache, scope: Scope<'_>) -> Schema {
    let role = if let Scope::Role(role) = scope { role } else { None };
    let roles = config.roles_of(role);
    let is_mine = |udf: &&Udf| {
        let is_for = |own: &String| own == "*" || roles.contains(own);
        udf.expose && (scope == Scope::Whole || udf.roles.iter().any(is_for))
    };
    let readable: Vec<bool> = (0..known.relations.len()).map(|id| is_readable(known, id)).collect();
    Schema {
        schema: config.database().0.to_owned(),
        role: role.map(str::to_owned),
        comment: Some(config.comments.schema.clone()).filter(|comment| !comment.is_empty()),
        relations: known
            .exposed()
            .filter_map(|(id, own)| relation(config, known, &readable, id, own))
            .collect(),
        functions: config.udf.iter().filter(is_mine).map(function).collect(),
    }
}

/// Whether the role may read a relation: of a view whose tables are held to their rules, them as well.
fn is_readable(schema: &SchemaCache, id: RelationId) -> bool {
    let access = schema.relations.get(id).and_then(|own| own.access.as_ref());
    access.is_none_or(|access| {
        access.select.is_some() && (!access.invoker || compile::defined(schema, id).is_ok())
    })
}

/// What may be done with a relation.
fn operations(own: &schema::Relation, may_select: bool) -> Vec<&'static str> {
    let methods = own.methods();
    let all = [
        ("select", may_select),
        ("insert", methods.post),
        ("update", methods.patch),
        ("delete", methods.delete),
    ];
    all.into_iter().filter_map(|(name, may)| may.then_some(name)).collect()
}

/// A relation, if the role may do anything with it.
fn relation(
    config: &Config,
    schema: &SchemaCache,
    readable: &[bool],
    id: RelationId,
    own: &schema::Relation,
) -> Option<Relation> {
    let operations = operations(own, readable.get(id).copied().unwrap_or_default());
    if operations.is_empty() {
        return None;
    }
    let names = |places: &[usize]| own.column_names(places).map(str::to_owned).collect::<Vec<String>>();
    let comment = |column: &str| config.comments.column.get(&format!("{}.{column}", own.name)).cloned();
    let is_known = |column: &&schema::Column| !column.hidden || column.writable;
    // A key of a column that is not there for the role is none for it.
    let is_seen =
        |key: &&Vec<usize>| key.iter().all(|at| own.columns.get(*at).is_some_and(|column| is_known(&column)));
    Some(Relation {
        name: own.name.clone(),
        kind: match own.kind {
            RelationKind::Virtual => "virtual",
            kind => kind.word(),
        },
        comment: config.comments.table.get(&own.name).cloned(),
        operations,
        columns: own.columns.iter().filter(is_known).map(|own| column(own, comment(&own.name))).collect(),
        primary_key: names(Some(&own.primary_key).filter(is_seen).map(Vec::as_slice).unwrap_or_default()),
        unique: own.unique_keys.iter().filter(is_seen).map(|key| names(key)).collect(),
        relationships: relationships(schema, readable, id, own),
        full_text: own.full_text.iter().flat_map(|index| index.columns.clone()).collect(),
        rows: None,
        examples: None,
        unread: None,
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
fn relationships(
    schema: &SchemaCache,
    readable: &[bool],
    id: RelationId,
    own: &schema::Relation,
) -> Vec<Relationship> {
    let computed = own.computed.iter().map(|computed| computed.name.clone());
    let is_seen = |id: RelationId| readable.get(id).copied().unwrap_or_default();
    let targets = schema.exposed().filter(|(id, _)| is_seen(*id)).map(|(_, own)| own.name.clone());
    // To the own relation by its column: its name means the other direction.
    let parents = own.foreign_keys.iter().filter(|key| key.target == id && !key.hidden);
    let parents = parents.map(|key| key.name.clone());
    let mut found: Vec<Relationship> = Vec::new();
    for name in computed.chain(targets).chain(parents) {
        for relationship in schema.relationships(id, &name, None) {
            let Some(target) = schema.relations.get(relationship.target) else { continue };
            let junction = relationship.junction.as_ref().map(|own| own.relation);
            // Who embeds what is refused is told so, and who asks what there is is told nothing of it.
            if !is_seen(relationship.target) || !junction.is_none_or(is_seen) {
                continue;
            }
            let junction = junction.and_then(|id| schema.relations.get(id));
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
