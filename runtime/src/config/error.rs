//! What is wrong with a configuration, in words, with its place in the file.

use std::fmt;

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

/// The line, from 1, of the byte at a place.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

/// What TOML says of the text of a file, with its place:
/// `sqlitrest.toml:3:1: unknown field `prot`, expected …; perhaps `port``
pub fn in_file(origin: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or_default();
    let line = line_of(text, at);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let message = error.message();
    // serde writes: unknown field `prot`, expected one of `host`, `port`
    let mut quoted = message.split('`').skip(1).step_by(2);
    let hint = message
        .starts_with("unknown field")
        .then(|| quoted.next())
        .flatten()
        .and_then(|wrong| closest(wrong, quoted.map(str::to_owned)))
        .map(|near| format!("; perhaps `{near}`"))
        .unwrap_or_default();
    ConfigError(format!("{origin}:{line}:{column}: {message}{hint}"))
}
