//! Documents are mostly the same words: those stand in JSON files of this module, and what differs is filled in. In the component a file is
//! its own size, where code that makes the same takes several times as much.
//!
//! - A text that is `{name}` becomes the JSON of that name: nothing where that is empty, its items where it is a list in a list.
//! - In a longer text, and in the name of a member, `{name}` becomes the text that the JSON is.
//! - `@parameters limit offset` in a list becomes references to components; `@responses 200:page 404:NotFound` an object of them. A name
//!   that is filled in with nothing is left out.
//!
//! What is filled in is not looked at again.

use serde_json::Value as Json;

use super::json::{Members, list, push_inner, reference, text, truth};

/// The templates of a file.
pub(super) struct Templates {
    json: Json,
    /// Where the components of a document are.
    root: &'static [&'static str],
}

/// What is filled in, as JSON.
#[derive(Default)]
pub(super) struct Fill(Vec<(&'static str, String)>);

impl Fill {
    /// Something, whatever JSON it is; nothing where it is empty.
    #[inline(never)]
    pub(super) fn json(&mut self, name: &'static str, json: String) {
        self.0.push((name, json));
    }

    /// A text.
    #[inline(never)]
    pub(super) fn text(&mut self, name: &'static str, words: &str) {
        self.json(name, text(words));
    }

    /// A text; nothing where it is empty.
    pub(super) fn some(&mut self, name: &'static str, words: &str) {
        if !words.is_empty() {
            self.text(name, words);
        }
    }

    /// A truth.
    pub(super) fn truth(&mut self, name: &'static str, is: bool) {
        self.json(name, truth(is));
    }

    /// A number, if there is one.
    pub(super) fn number(&mut self, name: &'static str, number: Option<u64>) {
        if let Some(number) = number {
            self.json(name, number.to_string());
        }
    }

    /// What is filled in by this name last.
    fn value(&self, name: &str) -> &str {
        self.0.iter().rev().find(|(own, _)| *own == name).map_or("", |(_, value)| value)
    }
}

impl Templates {
    /// Those of a file; a test sees to it that it is JSON.
    pub(super) fn of(file: &str, root: &'static [&'static str]) -> Templates {
        Templates { json: serde_json::from_str(file).unwrap_or_default(), root }
    }

    /// One of them, filled in.
    #[inline(never)]
    pub(super) fn fill(&self, name: &str, values: &Fill) -> String {
        let mut out = String::new();
        if let Some(template) = self.json.get(name) {
            self.write(&mut out, template, values);
        }
        out
    }

    /// One of them, into which one text is filled.
    #[inline(never)]
    pub(super) fn with(&self, template: &str, name: &'static str, words: &str) -> String {
        let mut values = Fill::default();
        values.text(name, words);
        self.fill(template, &values)
    }

    /// One of them, into which one thing is filled.
    #[inline(never)]
    pub(super) fn with_json(&self, template: &str, name: &'static str, json: String) -> String {
        let mut values = Fill::default();
        values.json(name, json);
        self.fill(template, &values)
    }

    /// One of them, as it is.
    #[inline(never)]
    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        self.json.get(name)
    }

    /// A reference to a component.
    #[inline(never)]
    pub(super) fn component(&self, section: &str, name: &str) -> String {
        reference(&[self.root, &[section, name]].concat())
    }

    /// Appends a template filled in; nothing where it comes to nothing.
    fn write(&self, out: &mut String, template: &Json, values: &Fill) {
        match template {
            Json::String(words) => self.write_text(out, words, values, false),
            Json::Array(items) => {
                out.push('[');
                for item in items {
                    let start = out.len();
                    if !out.ends_with('[') {
                        out.push(',');
                    }
                    let inner = out.len();
                    match item.as_str() {
                        Some(words) => self.write_text(out, words, values, true),
                        None => self.write(out, item, values),
                    }
                    if out.len() == inner {
                        out.truncate(start);
                    }
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (name, member) in members {
                    let start = out.len();
                    if !out.ends_with('{') {
                        out.push(',');
                    }
                    write_words(out, name, values);
                    out.push(':');
                    let inner = out.len();
                    self.write(out, member, values);
                    if out.len() == inner {
                        out.truncate(start);
                    }
                }
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
    }

    fn write_text(&self, out: &mut String, words: &str, values: &Fill, in_list: bool) {
        if let Some((section, names)) = words.strip_prefix('@').and_then(|words| words.split_once(' ')) {
            let references = self.references(section, names, values);
            out.push_str(if in_list { spliced(&references) } else { &references });
        } else if let Some(name) = whole(words) {
            let json = values.value(name);
            out.push_str(if in_list { spliced(json) } else { json });
        } else {
            write_words(out, words, values);
        }
    }

    /// A list of references, or an object of them.
    fn references(&self, section: &str, names: &str, values: &Fill) -> String {
        let (mut items, mut members) = (Vec::new(), Members::default());
        for name in names.split(' ') {
            let mut words = String::new();
            write_words(&mut words, name, values);
            match inner(&words).split_once(':') {
                Some((_, "")) => {}
                Some((member, key)) => members.json(member, &self.component(section, key)),
                None if words.len() > 2 => items.push(self.component(section, inner(&words))),
                None => {}
            }
        }
        if members.is_empty() { list(&items) } else { members.object() }
    }
}

/// The items of a list; anything else is itself.
fn spliced(json: &str) -> &str {
    json.strip_prefix('[').and_then(|json| json.strip_suffix(']')).unwrap_or(json)
}

/// What stands between the quotes of a text, written as it is to be already.
fn inner(json: &str) -> &str {
    json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or(json)
}

/// The name of a text that is a placeholder and nothing else.
fn whole(words: &str) -> Option<&str> {
    let name = words.strip_prefix('{')?.strip_suffix('}')?;
    (!name.contains(['{', '}'])).then_some(name)
}

#[inline(never)]
fn write_words(out: &mut String, words: &str, values: &Fill) {
    out.push('"');
    let mut rest = words;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else { break };
        push_inner(out, before);
        out.push_str(inner(values.value(name)));
        rest = behind;
    }
    push_inner(out, rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn what_is_filled_in() {
        let template = r#"{"t": {"a": "{text}", "b": "x {text} {text}", "c": ["{none}", "{list}", "{none}", 1, "{empty}"], "{text}": {"d": "{none}", "e": "{list}"},
            "f": "{unknown}", "g": "{text", "h": {}, "i": ["{none}"], "j": "^[{]", "k": ["@a one {none} t.{key}", "@b {none}"], "l": "@c 200:x 404:{none} 406:{key}"}}"#;
        let mut values = Fill::default();
        values.text("text", "a {none} \"b\\\"");
        values.json("list", r#"["{text}",[null]]"#.to_owned());
        values.json("empty", "[]".to_owned());
        values.json("none", String::new());
        values.text("key", "k");
        expect![[r##"{"a":"a {none} \"b\\\"","b":"x a {none} \"b\\\" a {none} \"b\\\"","c":["{text}",[null],1],"a {none} \"b\\\"":{"e":["{text}",[null]]},"g":"{text","h":{},"i":[],"j":"^[{]","k":[{"$ref":"#/r/a/one"},{"$ref":"#/r/a/t.k"}],"l":{"200":{"$ref":"#/r/c/x"},"406":{"$ref":"#/r/c/k"}}}"##]].assert_eq(&Templates::of(template, &["r"]).fill("t", &values));
    }
}
