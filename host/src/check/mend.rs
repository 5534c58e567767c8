//! Reading on behind a mistake: what is wrong is taken out of the text, so that the next mistake is found, too.

use std::ops::Range;

use sqlitrest_runtime::config::{Config, ConfigError, in_file, place};
use toml::de::{DeTable, DeValue, Error};

use crate::sections::Sections;

/// How many mistakes are told at the most.
const MOST: usize = 100;

/// The text without what is wrong in it, and what that is, in the order of its lines. What cannot be taken out is left in: whoever reads
/// it next says so.
pub fn mended(origin: &str, text: &str) -> (String, Vec<ConfigError>) {
    let mut mended = text.to_owned();
    let mut mistakes: Vec<(usize, ConfigError)> = Vec::new();
    while mistakes.len() < MOST {
        let Some(error) = first_mistake(&mended) else { break };
        let Some(rest) = without(&mended, &error) else { break };
        // Everything stands where it stood.
        mistakes.push((error.span().map_or(0, |span| span.start), in_file(origin, text, &error)));
        mended = rest;
    }
    mistakes.sort_by_key(|(at, _)| *at);
    (mended, mistakes.into_iter().map(|(_, mistake)| mistake).collect())
}

/// An unknown key or a wrong type, of the core's sections or of this host's.
fn first_mistake(text: &str) -> Option<Error> {
    toml::from_str::<Config>(text).err().or_else(|| toml::from_str::<Sections>(text).err())
}

/// The text with blanks in the place of what an error is about, if it is TOML then.
fn without(text: &str, error: &Error) -> Option<String> {
    let at = error.span()?.start;
    let range = {
        let root = DeTable::parse(text).ok()?;
        entry_at(text, root.get_ref(), at).or_else(|| section_at(text, at))?
    };
    let blank = |c: char| if c == '\n' { "\n".to_owned() } else { " ".repeat(c.len_utf8()) };
    let (before, rest) = text.split_at_checked(range.start)?;
    let (wrong, after) = rest.split_at_checked(range.len())?;
    let blanks: String = wrong.chars().map(blank).collect();
    let rest = format!("{before}{blanks}{after}");
    DeTable::parse(&rest).is_ok().then_some(rest)
}

/// The innermost `key = value` that a place is in.
fn entry_at(text: &str, table: &DeTable<'_>, at: usize) -> Option<Range<usize>> {
    table.iter().find_map(|(key, value)| {
        let inner = match value.get_ref() {
            DeValue::Table(table) => entry_at(text, table, at),
            DeValue::Array(list) => list.iter().find_map(|element| match element.get_ref() {
                DeValue::Table(table) => entry_at(text, table, at),
                _ => None,
            }),
            _ => None,
        };
        let whole = || {
            let between = text.get(key.span().end..value.span().start)?;
            let is_entry = between.trim().trim_matches(['"', '\'']) == "=";
            let whole = key.span().start..value.span().end;
            (is_entry && whole.contains(&at)).then_some(whole)
        };
        inner.or_else(whole)
    })
}

/// The lines from the header that a place is in to the next one.
fn section_at(text: &str, at: usize) -> Option<Range<usize>> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |line| line + 1);
    let rest = text.get(start..)?;
    if !rest.trim_start().starts_with('[') {
        return None;
    }
    let end = rest.find("\n[").map_or(text.len(), |next| start + next);
    Some(start..end)
}

/// Where a part of the configuration is defined that has a name: an element of a list of tables, or a table in a table.
pub fn place_of(origin: &str, text: &str, section: &str, name: &str) -> Option<String> {
    let root = DeTable::parse(text).ok()?;
    let (_, found) = root.get_ref().iter().find(|(key, _)| key.get_ref() == section)?;
    let is_named = |element: &DeValue<'_>| {
        let told = element.get("name").or_else(|| element.get("column"));
        told.is_some_and(|told| told.get_ref().as_str() == Some(name))
    };
    let key = match found.get_ref() {
        DeValue::Array(list) => list.iter().position(|element| is_named(element.get_ref()))?.to_string(),
        _ => name.to_owned(),
    };
    Some(place(origin, text, [section, key.as_str()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> (Vec<String>, String) {
        let (rest, told) = mended("s.toml", text);
        (told.into_iter().map(|error| error.0).collect(), rest)
    }

    #[test]
    fn all_of_them_and_the_rest_stays() {
        let text = "[server]\nprot = 1\nport = \"x\"\nhost = \"h\"\n[nothing]\na = 1\n[api]\nmax_rows = 7\n\
            [[udf]]\nname = \"f\"\nsql = \"SELECT '\n[x'\"\nreadonli = true\n[[udf]]\nsql = \"SELECT 1\"\n";
        let text = text.replace("\"SELECT '\n[x'\"", "\"\"\"SELECT '\n[x'\"\"\"");
        let (told, rest) = mistakes(&text);
        let starts: Vec<&str> =
            told.iter().map(|own| own.split(", expected").next().unwrap_or_default()).collect();
        assert_eq!(
            starts,
            [
                "s.toml:2:1: unknown field `prot`",
                "s.toml:3:8: invalid type: a text",
                "s.toml:5:2: unknown field `nothing`",
                "s.toml:13:1: unknown field `readonli`",
                "s.toml:14:1: missing field `name`",
            ]
        );
        let config = Config::load("", &rest, []).expect("mended");
        assert_eq!((config.server.host.as_str(), config.api.max_rows, config.udf.len()), ("h", 7, 1));
    }

    #[test]
    fn what_is_no_toml_stays_as_it_is() {
        assert_eq!(mistakes("[server\n"), (Vec::new(), "[server\n".to_owned()));
    }

    #[test]
    fn places() {
        let text = "[[udf]]\nname = \"a\"\n[[udf]]\nname = \"b\"\n[fts.t]\nindex = \"i\"\n";
        assert_eq!(place_of("s", text, "udf", "b").as_deref(), Some("s:3:1"));
        assert_eq!(place_of("s", text, "fts", "t").as_deref(), Some("s:5:6"));
        assert_eq!(place_of("s", text, "udf", "c"), None);
    }
}
