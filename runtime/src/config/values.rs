//! Values that would be taken and do nothing, or break an answer: names of header fields, media types, origins, statuses.

use super::validate::Mistake;
use super::{Config, Udf, reference};
use crate::auth::config::is_token;

/// The most connections of a database that read: each has a thread's worth of memory, and none makes a disk faster.
const MOST_READERS: u16 = 256;

/// PostgreSQL's words.
const VOLATILITIES: [&str; 3] = ["volatile", "stable", "immutable"];

impl Config {
    /// What is wrong with such values.
    pub(super) fn value_mistakes(&self) -> Vec<Mistake> {
        let mut found = Vec::new();
        let mut wrong = |is_wrong: bool, what: &str| {
            if is_wrong {
                found.push(Mistake::of(what));
            }
        };
        let readers = self.pool.readers_per_db;
        wrong(readers == 0, "pool.readers_per_db must be at least 1");
        wrong(readers > MOST_READERS, &format!("pool.readers_per_db must be at most {MOST_READERS}"));
        wrong(self.attach.most == 0, "attach.most must be at least 1");
        wrong(self.debug.admin_role.is_empty(), "debug.admin_role must not be empty: write \"admin\"");
        let field = &self.api.trace_header;
        let is_field = field.is_empty() || is_token(field);
        wrong(!is_field, &format!("api.trace_header = \"{field}\" is no name of a header field"));
        found.extend(self.origin_mistakes().into_iter().map(Mistake::of));
        for (place, udf) in self.udf.iter().enumerate() {
            let of = |(key, what): (&str, String)| {
                Mistake::at("udf", place, key, format!("function {}: {key} {what}", udf.name))
            };
            found.extend(udf_mistakes(udf).into_iter().map(of));
        }
        found
    }

    /// Origins that no browser sends. Those that stand elsewhere are looked at when they are read.
    pub(super) fn origin_mistakes(&self) -> Vec<String> {
        let origins = self.middleware.cors_origins.iter();
        let others = origins.filter(|text| reference(text).is_none() && !is_origin(text));
        let what = "is no origin: write \"https://app.example.com\", without a path, or \"*\" for all";
        others.map(|text| format!("middleware.cors_origins: \"{text}\" {what}")).collect()
    }
}

/// The keys of a function that have a wrong value, and what is wrong with it.
fn udf_mistakes(udf: &Udf) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if let Some(status) = udf.response_status.filter(|status| !(200..600).contains(status)) {
        found.push((
            "response_status",
            format!("= {status} is no status of an answer: write one from 200 to 599"),
        ));
    }
    if let Some((name, _)) =
        udf.response_headers.iter().find(|(name, value)| !is_token(name) || !is_value(value))
    {
        found.push(("response_headers", format!("has a field \"{name}\" that cannot be sent")));
    }
    if let Some(word) = udf.volatility.as_ref().filter(|word| !VOLATILITIES.contains(&word.as_str())) {
        found.push(("volatility", format!("= \"{word}\" is none of: {}", VOLATILITIES.join(", "))));
    }
    if let Some(name) = udf.media_type.as_ref().filter(|name| !is_media_type(name)) {
        found.push(("media_type", format!("= \"{name}\" is no media type: write \"text/plain\"")));
    }
    found
}

/// The value of a header field (RFC 9110 section 5.5).
fn is_value(text: &str) -> bool {
    text.chars().all(|c| c == '\t' || !c.is_control())
}

/// A type and its subtype, and perhaps parameters (RFC 9110 section 8.3.1).
fn is_media_type(text: &str) -> bool {
    let name = text.split(';').next().unwrap_or_default().trim();
    name.split_once('/').is_some_and(|(kind, of)| is_token(kind) && is_token(of)) && is_value(text)
}

/// What a browser sends as `Origin` (RFC 6454 section 7), or `*`.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return matches!(text, "*" | "null") };
    let is_scheme = !scheme.is_empty()
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    is_scheme && !host.is_empty() && host.bytes().all(is_host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        let (_, wrong) = Config::read("s.toml", text, []).expect(text);
        wrong.into_iter().map(|error| error.0).collect()
    }

    #[test]
    fn what_would_do_nothing() {
        let udf = "[[udf]]\nname = \"f\"\nsql = \"SELECT 1\"\n";
        for (text, told) in [
            ("[pool]\nreaders_per_db = 65535", "s.toml:2:1: pool.readers_per_db must be at most 256"),
            ("[attach]\nmost = 0", "s.toml:2:1: attach.most must be at least 1"),
            ("[debug]\nadmin_role = \"\"", "s.toml:2:1: debug.admin_role must not be empty"),
            ("[api]\ntrace_header = \"a b\"", "s.toml:2:1: api.trace_header = \"a b\" is no name of"),
            (
                "[middleware]\ncors_origins = \"banana\"",
                "s.toml:2:1: middleware.cors_origins: \"banana\" is no",
            ),
            (&format!("{udf}response_status = 99"), "s.toml:4:1: function f: response_status = 99 is no"),
            (
                &format!("{udf}response_headers = [[\"a b\", \"c\"]]"),
                "s.toml:4:1: function f: response_headers has",
            ),
            (
                &format!("{udf}response_headers = [[\"a\", \"c\\n\"]]"),
                "s.toml:4:1: function f: response_headers has",
            ),
            (
                &format!("{udf}volatility = \"nope\""),
                "s.toml:4:1: function f: volatility = \"nope\" is none of",
            ),
            (&format!("{udf}media_type = \"nope\""), "s.toml:4:1: function f: media_type = \"nope\" is no"),
        ] {
            let found = mistakes(text);
            assert!(found.len() == 1 && found[0].starts_with(told), "{text}: {found:?}");
        }
        let well = format!(
            "[pool]\nreaders_per_db = 256\n{udf}response_status = 418\nresponse_headers = [[\"X-A\", \"é\"]]\nmedia_type = \"text/csv; charset=utf-8\"\nvolatility = \"stable\""
        );
        assert_eq!(mistakes(&well), Vec::<String>::new());
    }

    #[test]
    fn origins() {
        for good in
            ["*", "null", "https://app.example", "http://localhost:5173", "http://[::1]:80", "app+x://y"]
        {
            assert!(is_origin(good), "{good}");
        }
        for bad in
            ["", "banana", "https://", "https://a/", "https://a/b", "https://a b", "https://*@b", "://a"]
        {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
