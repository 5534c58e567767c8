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

/// What TOML says, without the names of types that only a programmer knows.
pub(super) fn words(error: &toml::de::Error) -> String {
    let message = error.message();
    let known = [
        ("expected u16", "expected a whole number up to 65535"),
        ("expected u64", "expected a whole number"),
        ("expected usize", "expected a whole number"),
    ];
    let told = known.into_iter().find_map(|(name, told)| Some((message.strip_suffix(name)?, told)));
    told.map_or_else(|| message.to_owned(), |(before, told)| format!("{before}{told}"))
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
