//! What can be read without a tool: the schema as text, as the caller knows it.

use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use sqlitrest_runtime::debug::text;
use sqlitrest_runtime::query_params::{decode, percent_encode};

use super::caller::Caller;
use super::tools;
use crate::answer::Answer;

/// The whole schema.
const SCHEMA: &str = "sqlitrest://schema";

/// What all of them are.
const MEDIA_TYPE: &str = "text/plain";

/// A resource by its address.
#[derive(Debug, PartialEq)]
struct Named {
    relation: Option<String>,
    database: Option<String>,
}

impl Named {
    /// `sqlitrest://schema/tracks?database=music`
    fn of(uri: &str) -> Option<Named> {
        let rest = uri.strip_prefix(SCHEMA)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let relation = match path {
            "" | "/" => None,
            _ => Some(decode(path.strip_prefix('/')?).ok()?),
        };
        let database = match query {
            "" => None,
            _ => Some(decode(query.strip_prefix("database=")?).ok()?),
        };
        Some(Named { relation, database })
    }
}

/// The whole schema of each database, and each relation of the default one, as many as an answer may have.
///
/// # Errors
/// The answer that tells why not.
pub async fn list(caller: &Caller) -> Result<Vec<Resource>, Answer> {
    let of = |uri: String, name: &str, about: String| {
        Resource::new(uri, name).with_description(about).with_mime_type(MEDIA_TYPE)
    };
    let mut all =
        vec![of(SCHEMA.to_owned(), "schema", "Tables, views and functions that you may use".to_owned())];
    for served in caller.engine.served().iter().skip(1) {
        let name = served.name();
        let uri = format!("{SCHEMA}?database={}", percent_encode(name));
        all.push(of(uri, name, format!("Tables, views and functions of the database {name}")));
    }
    let most = usize::try_from(caller.settings.max_rows).unwrap_or(usize::MAX);
    let schema = tools::schema(caller, None, Vec::new()).await?;
    for relation in schema.relations.iter().take(most) {
        let uri = format!("{SCHEMA}/{}", percent_encode(&relation.name));
        let about = relation
            .comment
            .clone()
            .unwrap_or_else(|| format!("Columns, keys and relationships of the {}", relation.kind));
        all.push(of(uri, &relation.name, about));
    }
    Ok(all)
}

/// How relations are named.
pub fn templates() -> Vec<ResourceTemplate> {
    let template = ResourceTemplate::new(format!("{SCHEMA}/{{relation}}"), "relation")
        .with_description("Columns, keys and relationships of a table or view")
        .with_mime_type(MEDIA_TYPE);
    vec![template]
}

/// A resource. None where there is none of this address.
pub async fn read(caller: &Caller, uri: &str) -> Option<Result<ReadResourceResult, Answer>> {
    let Named { relation, database } = Named::of(uri)?;
    let schema = tools::schema(caller, database.as_deref(), Vec::from_iter(relation)).await;
    Some(schema.map(|schema| {
        let most = usize::try_from(caller.settings.max_bytes.0).unwrap_or(usize::MAX);
        let text = cut(text::compact(&schema), most);
        ReadResourceResult::new(vec![ResourceContents::text(text, uri).with_mime_type(MEDIA_TYPE)])
    }))
}

/// No more than so many bytes, in whole lines.
fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = text.bytes().take(most).rposition(|byte| byte == b'\n').map_or(0, |at| at + 1);
        text.truncate(end);
        text.push_str("… there is more: read sqlitrest://schema/NAME of a relation\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let named = |relation: Option<&str>, database: Option<&str>| {
            Some(Named { relation: relation.map(str::to_owned), database: database.map(str::to_owned) })
        };
        assert_eq!(Named::of("sqlitrest://schema"), named(None, None));
        assert_eq!(Named::of("sqlitrest://schema/a%20b"), named(Some("a b"), None));
        assert_eq!(Named::of("sqlitrest://schema?database=logs"), named(None, Some("logs")));
        assert_eq!(Named::of("sqlitrest://schema/t?database=logs"), named(Some("t"), Some("logs")));
        for unknown in [
            "",
            "file:///etc/passwd",
            "sqlitrest://schemas",
            "sqlitrest://schema?x=1",
            "sqlitrest://schema/%ff",
        ] {
            assert_eq!(Named::of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_long_text_ends_with_a_line() {
        assert_eq!(cut("a\nb\n".to_owned(), 4), "a\nb\n");
        assert!(cut("aé\nbé\n".to_owned(), 6).starts_with("aé\n… there is more"));
    }
}
