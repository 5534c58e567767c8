//! What tools are called with. An argument that nobody knows is refused: a filter with a wrong name must not be none.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

/// Which rows, of which columns, in which order.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Page {
    /// `id,name,albums(title)`
    pub select: Option<String>,
    /// Conditions, all of which hold.
    pub filters: Vec<Filter>,
    /// More of them, as a query string has them.
    pub query: Option<String>,
    /// `name.desc,id`
    pub order: Option<String>,
    /// How many rows.
    pub limit: Option<u64>,
    /// How many rows are passed over.
    pub offset: Option<u64>,
    /// Whether all rows are counted.
    pub count: bool,
    /// The database.
    pub database: Option<String>,
}

/// A condition.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The column, or a path into it or to that of an embed.
    pub column: String,
    /// `eq`, `gt`, `not.ilike`, …
    #[serde(default = "equal")]
    pub operator: String,
    /// What it is compared to.
    pub value: Json,
}

fn equal() -> String {
    "eq".to_owned()
}

/// Of `list_relations`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct List {
    /// The database.
    pub database: Option<String>,
}

/// Of `describe_relation`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Describe {
    /// The table or view.
    pub relation: String,
    /// The database.
    pub database: Option<String>,
}

/// Of `read_rows`.
#[derive(Debug, Deserialize)]
pub struct Read {
    /// The table or view.
    pub relation: String,
    /// Which rows of it.
    #[serde(flatten)]
    pub page: Page,
}

/// Of `call_function`.
#[derive(Debug, Deserialize)]
pub struct Call {
    /// The function.
    pub function: String,
    /// Its arguments, by name.
    #[serde(default)]
    pub arguments: Map<String, Json>,
    /// Which rows of what it gives.
    #[serde(flatten)]
    pub page: Page,
}

/// What is done to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// New ones.
    Insert,
    /// Those that there are get other values.
    Update,
    /// New ones, or other values for those of the same key.
    Upsert,
    /// They go.
    Delete,
}

impl Operation {
    /// Whether it is about rows that are there, which conditions find.
    pub fn finds(self) -> bool {
        matches!(self, Operation::Update | Operation::Delete)
    }
}

/// Of `write_rows`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// The table or view.
    pub relation: String,
    /// What is done.
    pub operation: Operation,
    /// The rows, or the values for those that the filters find.
    pub rows: Option<Json>,
    /// Which rows are updated or deleted.
    #[serde(default)]
    pub filters: Vec<Filter>,
    /// More conditions, as a query string has them.
    pub query: Option<String>,
    /// The columns of the key by which an upsert goes.
    pub on_conflict: Option<String>,
    /// Whether the rows are told as they are then; without, only how many.
    #[serde(default = "yes")]
    pub returning: bool,
    /// More than so many rows are not updated or deleted.
    pub max_affected: Option<u64>,
    /// The database.
    pub database: Option<String>,
}

fn yes() -> bool {
    true
}

/// Of `explain_request`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// `GET`
    #[serde(default = "get")]
    pub method: String,
    /// `/tracks?name=eq.x`
    pub path: String,
    /// The body, where the method has one.
    pub body: Option<Json>,
    /// The database.
    pub database: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}

/// The names of what is read beside [`Page`], which takes whatever it is given.
const OF_PAGE: [&str; 8] = ["select", "filters", "query", "order", "limit", "offset", "count", "database"];

/// The arguments of a tool.
///
/// # Errors
/// A sentence on what is wrong with them.
pub fn read<T: DeserializeOwned>(arguments: Map<String, Json>) -> Result<T, String> {
    serde_json::from_value(Json::Object(arguments)).map_err(|error| error.to_string())
}

/// The arguments of a tool that reads a page, whose own are these.
///
/// # Errors
/// A sentence on what is wrong with them.
pub fn read_page<T: DeserializeOwned>(arguments: Map<String, Json>, own: &[&str]) -> Result<T, String> {
    let is_known = |name: &str| own.contains(&name) || OF_PAGE.contains(&name);
    if let Some(name) = arguments.keys().find(|name| !is_known(name)) {
        return Err(format!(
            "unknown field `{name}`, expected one of {}, {}",
            own.join(", "),
            OF_PAGE.join(", ")
        ));
    }
    read(arguments)
}
