//! What is wrong with a configuration, in words, with its place in the file.

use std::fmt;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::similar::closest;

/// Why a configuration cannot be used, in words for the person who wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// All of several as one, if there are any.
    ///
    /// # Errors
    /// That one.
    pub fn all(errors: Vec<ConfigError>) -> Result<(), ConfigError> {
        let sentences: Vec<String> = errors.into_iter().map(|error| error.0).collect();
        if sentences.is_empty() { Ok(()) } else { Err(ConfigError(sentences.join("; "))) }
    }
}

/// Where a key stands: `sqlitrest.toml:3:1`, or the name of the file alone where it does not. Of a key of which the end is not there
/// the place is that of what is.
pub fn place<'k>(origin: &str, text: &str, key: impl IntoIterator<Item = &'k str>) -> String {
    let found = DeTable::parse(text).ok().and_then(|root| span_of(root.get_ref(), key));
    found.map_or_else(|| origin.to_owned(), |span| at(origin, text, span.start))
}

/// Where the name of a key is, or the beginning of an element of a list.
fn span_of<'k>(root: &DeTable<'_>, key: impl IntoIterator<Item = &'k str>) -> Option<Range<usize>> {
    let mut key = key.into_iter();
    let (mut span, mut value) = entry(root, key.next()?)?;
    for part in key {
        let inner = match value {
            DeValue::Table(table) => entry(table, part),
            DeValue::Array(list) => {
                let element = part.parse().ok().and_then(|place: usize| list.get(place));
                element.map(|element| (element.span(), element.get_ref()))
            }
            _ => None,
        };
        let Some(inner) = inner else { break };
        (span, value) = inner;
    }
    Some(span)
}

fn entry<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> Option<(Range<usize>, &'t DeValue<'i>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    Some((key.span(), value.get_ref()))
}

/// The line, from 1, of the byte at a place.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

/// What TOML says, without the names of types that only a programmer knows, and without the value: it may be a secret that stands where
/// it does not belong.
pub(super) fn words(error: &toml::de::Error) -> String {
    let message = error.message();
    // serde writes: invalid type: string "…", expected u16
    let of = |kind: &str| message.strip_prefix(kind)?.rsplit_once(", expected ");
    let told = match (of("invalid type: "), of("invalid value: ")) {
        (Some((found, wanted)), _) => {
            Some(format!("invalid type: {}, expected {}", kind_of(found), plain(wanted)))
        }
        (None, Some((_, wanted))) => Some(format!("invalid value, expected {}", plain(wanted))),
        (None, None) => None,
    };
    match message {
        // What stands where an enumeration is to stand.
        "wanted string or table" => "expected a text".to_owned(),
        _ => told.unwrap_or_else(|| message.to_owned()),
    }
}

/// What was found, without what it is.
fn kind_of(found: &str) -> &str {
    let kinds = [
        ("string", "a text"),
        ("character", "a text"),
        ("integer", "a whole number"),
        ("floating point", "a number"),
        ("boolean", "true or false"),
        ("sequence", "a list"),
        ("map", "a table"),
    ];
    let known = kinds.into_iter().find(|(kind, _)| found.starts_with(kind));
    known.map_or("another value", |(_, told)| told)
}

/// What serde calls a type, as the reader of a configuration does.
fn plain(wanted: &str) -> &str {
    match wanted {
        "u16" => "a whole number up to 65535",
        "u32" | "u64" | "usize" => "a whole number, not below 0",
        "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        _ if wanted.starts_with("struct ") => "a table",
        _ if wanted.starts_with("tuple struct ") => "a text",
        _ => wanted,
    }
}

/// A URL as it may be shown: without the name and the password in front of the host.
pub fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    // The last one: a password that is written wrongly may have any sign in it.
    match rest.rsplit_once('@') {
        Some((_, rest)) => format!("{scheme}***@{rest}"),
        None => url.to_owned(),
    }
}

/// What TOML says of the text of a file, with its place:
/// `sqlitrest.toml:3:1: unknown field `prot`, expected …; perhaps `port``
pub fn in_file(origin: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let place = at(origin, text, error.span().map_or(0, |span| span.start));
    let message = words(error);
    // serde writes: unknown field `prot`, expected one of `host`, `port`
    let mut quoted = message.split('`').skip(1).step_by(2);
    let hint = message
        .starts_with("unknown field")
        .then(|| quoted.next())
        .flatten()
        .and_then(|wrong| closest(wrong, quoted.map(str::to_owned)))
        .map(|near| format!("; perhaps `{near}`"))
        .unwrap_or_default();
    ConfigError(format!("{place}: {message}{hint}"))
}

/// `sqlitrest.toml:3:1`
fn at(origin: &str, text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or_default();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{origin}:{}:{column}", line_of(text, at))
}
