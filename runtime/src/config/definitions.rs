//! What the configuration defines beside the database: functions, computed columns and relationships, representations, full text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::list::texts;
use crate::policy;

/// `[[udf]]`: a function that `/rpc/NAME` may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Udf {
    /// Its name. Several of one name differ by their parameters.
    pub name: String,
    /// Whether it can be called.
    #[serde(default)]
    pub expose: bool,
    /// Whether it only reads; one that writes is called by POST alone.
    #[serde(default = "yes")]
    pub readonly: bool,
    /// Whether equal arguments give equal results. For documents.
    #[serde(default)]
    pub deterministic: bool,
    /// `volatile`, `stable` or `immutable`. For documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volatility: Option<String>,
    /// What it does. For documents.
    #[serde(default)]
    pub description: String,
    /// One SQL statement, in which `:name` stands for a parameter. Empty: a call of the function of this name that SQLite has.
    #[serde(default)]
    pub sql: String,
    /// Its parameters.
    #[serde(default)]
    pub params: Vec<UdfParam>,
    /// `void`, `scalar T`, `setof T`, `row TABLE`, `table TABLE`, `record` or `setof record`.
    #[serde(default = "setof_record")]
    pub returns: String,
    /// Declared types of the columns of a record.
    #[serde(default)]
    pub column_types: BTreeMap<String, String>,
    /// The media type that its value is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Who may call it; `*` stands for everyone.
    #[serde(default = "everyone", deserialize_with = "texts")]
    pub roles: Vec<String>,
    /// The status of its answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<u16>,
    /// Header fields of its answers.
    #[serde(default)]
    pub response_headers: Vec<(String, String)>,
    /// Whose rights a query reads tables with: `invoker`, those of who calls, or `definer`, all. A function that writes has all.
    #[serde(default = "invoker")]
    pub security: policy::Security,
    /// Whose it is of several databases; `*` stands for any text. None: the default one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

impl Udf {
    /// Gives one without SQL the call of the function of its name.
    pub(super) fn settle(&mut self) {
        if self.sql.is_empty() {
            self.sql = self.built_in_call().unwrap_or_default();
        }
    }

    /// The call of a function of SQLite, where name and parameters are such that it could have one.
    fn built_in_call(&self) -> Option<String> {
        let is_name = |name: &str| {
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            plain && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        };
        let fits =
            is_name(&self.name) && self.params.iter().all(|param| is_name(&param.name) && !param.variadic);
        let arguments: Vec<String> = self.params.iter().map(|param| format!(":{}", param.name)).collect();
        fits.then(|| format!("SELECT {0}({1}) AS \"{0}\"", self.name, arguments.join(", ")))
    }
}

fn yes() -> bool {
    true
}

fn setof_record() -> String {
    "setof record".to_owned()
}

fn invoker() -> policy::Security {
    policy::Security::Invoker
}

fn everyone() -> Vec<String> {
    vec!["*".to_owned()]
}

/// A parameter of a function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdfParam {
    /// Its name; `$` for the raw body, bound as `:body`.
    pub name: String,
    /// Its type, as a column would declare it; `T[]` for an array.
    #[serde(rename = "type", default)]
    pub declared: String,
    /// What it is where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<toml::Value>,
    /// Whether it takes any number of values.
    #[serde(default)]
    pub variadic: bool,
}

/// `[[computed_column]]`: a column made of others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputedColumn {
    /// The table or view.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Its type, as a column would declare it.
    #[serde(rename = "type", default)]
    pub declared: String,
    /// A SQL expression, in which `{row}` stands for the row.
    pub sql: String,
    /// Whose it is of several databases; `*` stands for any text. None: the default one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

/// `[[data_representation]]`: a column that is told and taken otherwise than it is stored, as by the casts of a PostgreSQL domain
/// (<https://docs.postgrest.org/en/stable/how-tos/working-with-postgresql-data-types.html#domain-representations>).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRepresentation {
    /// The table or view.
    pub table: String,
    /// The column.
    pub column: String,
    /// The type of what is told and taken, as a column would declare it.
    #[serde(rename = "type", default)]
    pub declared: String,
    /// The SQL of what is told, in which `{value}` stands for what is stored. Where a cast, a path or an aggregate is asked for,
    /// it is of what is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<String>,
    /// The SQL of what is stored and compared, in which `{value}` stands for what a client sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<String>,
    /// Whose it is of several databases; `*` stands for any text. None: the default one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

/// `[[computed_relationship]]`: an embed beside those of the foreign keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputedRelationship {
    /// The table or view that it starts from.
    pub table: String,
    /// The name by which it is embedded.
    pub name: String,
    /// The table or view whose rows it gives.
    pub target: String,
    /// Whether it gives at most one row.
    #[serde(default)]
    pub single: bool,
    /// A SQL query, in which `{row}` stands for the row.
    pub sql: String,
    /// Whose it is of several databases; `*` stands for any text. None: the default one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

/// `[fts.RELATION]`: the FTS5 table behind a relation's columns. Its rowids are the relation's, its columns have the same
/// names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullTextIndex {
    /// The FTS5 table.
    pub index: String,
    /// The columns that `fts` and its kin may name.
    pub columns: Vec<String>,
}
