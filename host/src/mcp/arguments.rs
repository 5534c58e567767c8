//! What tools are called with. An argument that nobody knows has been refused by then (`fit`): a filter with a wrong name must not be none.

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

/// The methods that a request can begin with.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "QUERY"];

impl Explain {
    /// `GET /tracks?name=eq.x`; the method may stand in front of the path, and its slash may be left out.
    pub fn request(&self) -> String {
        let path = self.path.trim();
        let is_method = |word: &str| METHODS.iter().any(|own| own.eq_ignore_ascii_case(word));
        let (method, path) = match path.split_once(char::is_whitespace) {
            Some((word, rest)) if is_method(word) => (word, rest.trim_start()),
            _ => (self.method.as_str(), path),
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        format!("{method} {slash}{path}")
    }

    /// The body as it is sent: a text is one already.
    pub fn sent(&self) -> String {
        match &self.body {
            Some(Json::String(text)) => text.clone(),
            Some(body) => body.to_string(),
            None => String::new(),
        }
    }
}

fn get() -> String {
    "GET".to_owned()
}

/// The arguments of a tool.
///
/// # Errors
/// A sentence on what is wrong with them.
pub fn read<T: DeserializeOwned>(arguments: Map<String, Json>) -> Result<T, String> {
    serde_json::from_value(Json::Object(arguments)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_stand_in_the_path() {
        let request = |method: &str, path: &str| {
            let (method, path) = (method.to_owned(), path.to_owned());
            Explain { method, path, body: None, database: None }.request()
        };
        assert_eq!(request("GET", "/t?a=eq.b c"), "GET /t?a=eq.b c");
        assert_eq!(request("GET", " delete  /t?id=eq.1"), "delete /t?id=eq.1");
        assert_eq!(request("PATCH", "t?id=eq.1"), "PATCH /t?id=eq.1");
        assert_eq!(request("GET", "a t?id=eq.1"), "GET /a t?id=eq.1");
    }
}
