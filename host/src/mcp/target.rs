//! The target of a request, made of a tool's arguments. Whatever they are, they stay what they are: a name is one segment of the path, a
//! value is one of the query string, and neither can become another path or another parameter.

use serde_json::Value as Json;
use sqlitrest_runtime::query_params::{QueryParams, Unfiltered, decode, percent_encode};

use super::arguments::{Filter, Page};

/// What a query string says that a tool has arguments of their own for.
const OWN: [&str; 6] = ["select", "order", "limit", "offset", "columns", "on_conflict"];

/// What conditions compare by.
pub const OPERATORS: [&str; 20] = [
    "eq",
    "neq",
    "gt",
    "gte",
    "lt",
    "lte",
    "like",
    "ilike",
    "match",
    "imatch",
    "in",
    "is",
    "isdistinct",
    "cs",
    "cd",
    "ov",
    "fts",
    "wfts",
    "plfts",
    "phfts",
];

/// A path and a query string.
pub struct Target(String);

impl Target {
    /// That of a relation.
    ///
    /// # Errors
    /// A sentence on a name that is none.
    pub fn relation(base: &str, name: &str) -> Result<Target, String> {
        Ok(Target(format!("{base}/{}", segment("relation", name)?)))
    }

    /// That of a function.
    ///
    /// # Errors
    /// A sentence on a name that is none.
    pub fn function(base: &str, name: &str) -> Result<Target, String> {
        Ok(Target(format!("{base}/rpc/{}", segment("function", name)?)))
    }

    /// Adds a parameter.
    pub fn push(&mut self, name: &str, value: &str) {
        self.parameter(&format!("{}={}", percent_encode(name), percent_encode(value)));
    }

    fn parameter(&mut self, text: &str) {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(text);
    }

    /// Adds conditions.
    ///
    /// # Errors
    /// A sentence on what is none.
    pub fn filter(&mut self, filters: &[Filter], query: Option<&str>) -> Result<(), String> {
        for filter in filters {
            refuse_own(&filter.column)?;
            self.push(&filter.column, &condition(filter)?);
        }
        let query = query.unwrap_or_default().trim().trim_start_matches('?');
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, _) = pair
                .split_once('=')
                .filter(|(name, _)| !name.trim_end().ends_with(['<', '>', '!']))
                .ok_or_else(|| format!("query: `{pair}` is no condition: write name=operator.value, as in id=gt.3, and alternatives as or=(id.eq.1,id.eq.2)"))?;
            refuse_own(&decode(&sendable(name)).map_err(|_| format!("query: `{pair}` is not UTF-8"))?)?;
            self.parameter(&sendable(pair));
        }
        Ok(())
    }

    /// Whether there is a condition on the rows of the path. What is for an embed (`albums.id=eq.1`, `albums.limit=5`) is none.
    pub fn has_condition(&self) -> bool {
        let query = self.0.split_once('?').map_or("", |(_, query)| query);
        match QueryParams::parse(query, Unfiltered::Refused) {
            Ok(params) => params.filters.iter().any(|(embed, _)| embed.is_empty()),
            // The API says why it is none.
            Err(_) => true,
        }
    }

    /// Adds what a page is asked with, but how many rows it has.
    ///
    /// # Errors
    /// A sentence on a condition that is none.
    pub fn page(&mut self, page: &Page) -> Result<(), String> {
        self.filter(&page.filters, page.query.as_deref())?;
        for (name, value) in [("select", &page.select), ("order", &page.order)] {
            if let Some(value) = value {
                self.push(name, value);
            }
        }
        if let Some(offset) = page.offset {
            self.push("offset", &offset.to_string());
        }
        Ok(())
    }

    /// As it is sent.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// A name as one segment. The server's own paths begin with `_` as it stands: no relation is taken for one.
fn segment(what: &str, name: &str) -> Result<String, String> {
    if name.is_empty() {
        return Err(format!("{what} is empty: list_relations tells which there are"));
    }
    let encoded = percent_encode(name);
    Ok(match encoded.strip_prefix('_') {
        Some(rest) => format!("%5F{rest}"),
        None => encoded,
    })
}

fn refuse_own(name: &str) -> Result<(), String> {
    match OWN.iter().find(|own| **own == name) {
        Some(own) => {
            Err(format!("`{own}` is no condition: it is an argument of its own, where the tool has it"))
        }
        None => Ok(()),
    }
}

/// Text of a query string as a client would send it: what cannot stand in one is encoded, what is encoded stays.
fn sendable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let is_code = || {
            let digits = text.as_bytes().get(at + 1..at + 3).unwrap_or_default();
            digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit)
        };
        let stays = match byte {
            b'%' => is_code(),
            b'"' | b'<' | b'>' | b'`' | b'#' => false,
            other => other.is_ascii_graphic(),
        };
        if stays {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `eq.x`, `in.("a","b")`, `is.null`
fn condition(filter: &Filter) -> Result<String, String> {
    let Filter { column, value, .. } = filter;
    let operator = filter.operator.trim().to_ascii_lowercase();
    let bare = operator.strip_prefix("not.").unwrap_or(&operator);
    // What stands in brackets the API knows: eq(any), fts(english).
    let (word, more) = bare.split_at(bare.find('(').unwrap_or(bare.len()));
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '(' | ')' | '_' | '-');
    if !OPERATORS.contains(&word) || !more.chars().all(is_word) {
        return Err(format!(
            "filters: `{operator}` is no operator: write {}, or not. and one of them",
            OPERATORS.join(", ")
        ));
    }
    Ok(match value {
        Json::Null if bare == "is" => format!("{operator}.null"),
        Json::Null if operator == "eq" => "is.null".to_owned(),
        Json::Null if operator == "neq" || operator == "not.eq" => "not.is.null".to_owned(),
        Json::Null => {
            return Err(format!(
                "filters: {column} cannot be compared to null by {operator}: ask by is or not.is with null"
            ));
        }
        Json::Object(_) if !matches!(bare, "cs" | "cd") => {
            return Err(format!(
                "filters: {column} cannot be compared to an object by {operator}: cs and cd take one, and a path into JSON is data->>key"
            ));
        }
        Json::Array(items) if items.contains(&Json::Null) => {
            return Err(format!(
                "filters: no list holds null; ask for {column} by is with null, in `query` with or=(…)"
            ));
        }
        Json::Array(items) if bare == "in" => format!("{operator}.({})", list(items)),
        Json::Array(items) => format!("{operator}.{{{}}}", list(items)),
        Json::String(text) => format!("{operator}.{text}"),
        other => format!("{operator}.{other}"),
    })
}

/// The items of a list, each text in quotes.
fn list(items: &[Json]) -> String {
    let item = |item: &Json| match item {
        Json::String(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        other => other.to_string(),
    };
    items.iter().map(item).collect::<Vec<String>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(filters: Json, query: &str) -> Result<String, String> {
        let filters: Vec<Filter> = serde_json::from_value(filters).expect("filters");
        let mut target = Target::relation("/rest", "tracks")?;
        target.filter(&filters, Some(query))?;
        Ok(target.into_text())
    }

    #[test]
    fn names_are_one_segment() {
        let path = |name: &str| Target::relation("", name).map(Target::into_text);
        assert_eq!(path("tracks").as_deref(), Ok("/tracks"));
        assert_eq!(path("_schema").as_deref(), Ok("/%5Fschema"), "the server's own paths are not reached");
        assert_eq!(path("rpc/wipe?a=b#c").as_deref(), Ok("/rpc%2Fwipe%3Fa%3Db%23c"));
        assert_eq!(path("../x y").as_deref(), Ok("/..%2Fx%20y"));
        assert!(path("").is_err(), "the root is no relation");
    }

    #[test]
    fn values_stay_in_their_parameter() {
        let filters = json!([
            { "column": "name", "value": "a&limit=9#x" },
            { "column": "id", "operator": "in", "value": [1, "a\"b\\,c"] },
            { "column": "tags", "operator": "cs", "value": ["x"] },
            { "column": "gone", "value": null },
            { "column": "price", "operator": "not.gt", "value": 2.5 },
        ]);
        let target = of(filters, "").expect("a target");
        assert_eq!(
            target,
            "/rest/tracks?name=eq.a%26limit%3D9%23x&id=in.%281%2C%22a%5C%22b%5C%5C%2Cc%22%29&tags=cs.%7B%22x%22%7D&gone=is.null&price=not.gt.2.5"
        );
    }

    #[test]
    fn operators_are_known() {
        let of = |operator: &str| of(json!([{ "column": "a", "operator": operator, "value": "b" }]), "");
        for (operator, sent) in [
            ("LIKE", "like.b"),
            ("NOT.ILike", "not.ilike.b"),
            ("fts(English)", "fts%28english%29.b"),
            (" eq ", "eq.b"),
        ] {
            assert_eq!(of(operator), Ok(format!("/rest/tracks?a={sent}")));
        }
        for none in ["contains", "between", "=", ">", "", "not.", "not.not.eq", "eq.1", "eq(a.b)", "eq(a)&b"]
        {
            assert!(of(none).is_err_and(|error| error.contains("isdistinct")), "{none}");
        }
    }

    #[test]
    fn what_is_for_an_embed_is_no_condition() {
        let has_condition = |filters: Json, query: &str| {
            let filters: Vec<Filter> = serde_json::from_value(filters).expect("filters");
            let mut target = Target::relation("", "tracks").expect("a name");
            target.filter(&filters, Some(query)).expect("conditions");
            target.has_condition()
        };
        for query in
            ["", "albums.limit=5", "albums.order=id", "albums.id=eq.1", "albums.not.or=(a.eq.1)", "after=(1)"]
        {
            assert!(!has_condition(json!([]), query), "{query}");
        }
        assert!(!has_condition(json!([{ "column": "albums.id", "value": 1 }]), ""));
        assert!(has_condition(json!([{ "column": "id", "value": 1 }]), "albums.limit=5"));
        for query in ["id=eq.1", "not.or=(id.eq.1,id.eq.2)", "data->a=eq.1", "%22a.b%22=eq.1", "id=nonsense"]
        {
            assert!(has_condition(json!([]), query), "{query}");
        }
    }

    #[test]
    fn a_query_string_is_sent_as_a_client_would() {
        let target = of(json!([]), "?name=ilike.*50% é*&or=(a.eq.1,b.is.null)&x=eq.%20").expect("a target");
        assert_eq!(target, "/rest/tracks?name=ilike.*50%25%20%C3%A9*&or=(a.eq.1,b.is.null)&x=eq.%20");
        for own in ["limit=1000", "%6cimit=1000", "a=eq.1&select=*", "on_conflict=id"] {
            assert!(of(json!([]), own).is_err(), "{own}");
        }
        assert!(of(json!([{ "column": "limit", "value": 5 }]), "").is_err());
        assert!(of(json!([{ "column": "a", "operator": "eq&b", "value": 5 }]), "").is_err());
        assert!(of(json!([{ "column": "a", "operator": "gt", "value": null }]), "").is_err());
        for none in ["id > 3", "id >= 3", "or(id.eq.1)", "id != 3"] {
            assert!(of(json!([]), none).is_err_and(|error| error.contains("name=operator.value")), "{none}");
        }
        assert!(of(json!([{ "column": "a", "operator": "in", "value": [1, null] }]), "").is_err());
    }
}
