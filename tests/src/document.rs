//! A document whose examples are requests with their answers, so that they can be run as tests.
//!
//! ````text
//! ```toml config
//! [api]
//! max_rows = 10
//! ```
//!
//! ```sql setup
//! CREATE TABLE …
//! ```
//!
//! ```http
//! GET /albums
//!   ?released=gt.1990
//!   &limit=2
//! Prefer: count=exact
//!
//! (body)
//! → 206
//! content-range: 0-1/25
//!
//! [{"id":1}]
//! ```
//! ````
//!
//! Of an answer those header lines are compared that are shown; bodies are compared as JSON where they are JSON. What a `config`
//! or `setup` block says holds to the end of its section, those above the first section for the whole document. Every section
//! begins with a fresh database. `http spin` is an answer of Spin alone.

use std::ops::Range;

use serde_json::Value as Json;
use sqlitrest::Answer;

use crate::scenario::Exchange;

/// A document.
pub struct Document {
    lines: Vec<String>,
    /// Its examples, in their order.
    pub examples: Vec<Example>,
}

/// A request and its answer.
pub struct Example {
    /// The line on which its block begins, from 1.
    pub line: usize,
    /// How many headings stand before it. Those of one section share a database.
    pub section: usize,
    /// The configuration, as TOML.
    pub config: String,
    /// What is done to the database before.
    pub setup: String,
    /// Whether it is of Spin alone.
    pub spin: bool,
    /// The request.
    pub request: Exchange,
    /// The answer; none where the document gives none.
    pub answer: Option<Shown>,
    /// The lines of the block, without its fences.
    block: Range<usize>,
}

/// An answer as the document shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The status.
    pub status: String,
    /// The header lines that matter.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// What a heading and the blocks below it have set.
#[derive(Default)]
struct Section {
    level: usize,
    config: toml::Table,
    setup: String,
}

impl Document {
    /// Reads a document.
    ///
    /// # Panics
    /// Where a `config` block is not TOML, or a block does not end.
    pub fn parse(text: &str) -> Document {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let (mut examples, mut open, mut section) = (Vec::new(), vec![Section::default()], 0);
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            at += 1;
            let level = line.bytes().take_while(|b| *b == b'#').count();
            if level > 0 {
                section += 1;
                open.retain(|section| section.level < level);
                open.push(Section { level, ..Section::default() });
            }
            let Some(info) = line.strip_prefix("```") else { continue };
            let rest = &lines[at..];
            let length = rest.iter().position(|line| line == "```");
            let block = at..at + length.unwrap_or_else(|| panic!("line {at}: a block without an end"));
            let text = lines[block.clone()].join("\n");
            let here = open.last_mut().unwrap();
            match info {
                "toml config" => merge(&mut here.config, toml::from_str(&text).unwrap()),
                "sql setup" => here.setup.push_str(&text),
                "http" | "http spin" => {
                    let mut config = toml::Table::new();
                    open.iter().for_each(|section| merge(&mut config, section.config.clone()));
                    // Last, for a fixture adds the path of the database there.
                    let databases = config.remove("databases").map(|value| ("databases".to_owned(), value));
                    let databases = toml::Table::from_iter(databases);
                    let (request, answer) = exchange(&text);
                    examples.push(Example {
                        line: at,
                        section,
                        config: format!("{config}{databases}"),
                        setup: open.iter().map(|section| section.setup.as_str()).collect(),
                        spin: info == "http spin",
                        request,
                        answer,
                        block: block.clone(),
                    });
                }
                _ => {}
            }
            at = block.end + 1;
        }
        Document { lines, examples }
    }

    /// The text with the answers of the examples as they are now.
    pub fn write(&self) -> String {
        let mut lines = self.lines.clone();
        for example in self.examples.iter().rev() {
            let block = &self.lines[example.block.clone()];
            let end = block.iter().position(|line| line.starts_with(ARROW)).unwrap_or(block.len());
            let answer = example.answer.iter().flat_map(Shown::lines);
            let request = block[..end].iter().cloned();
            let new: Vec<String> = request.chain(answer).collect();
            lines.splice(example.block.clone(), new);
        }
        lines.join("\n") + "\n"
    }
}

const ARROW: &str = "→ ";

/// The members of a table go over those that are there; arrays are longer by theirs.
fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (Some(toml::Value::Array(old)), toml::Value::Array(new))
                if new.iter().all(toml::Value::is_table) =>
            {
                old.extend(new);
            }
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

fn exchange(text: &str) -> (Exchange, Option<Shown>) {
    let lines: Vec<&str> = text.lines().collect();
    let end = lines.iter().position(|line| line.starts_with(ARROW)).unwrap_or(lines.len());
    // The lines that the target is spread over.
    let mut request = String::new();
    let mut is_head = true;
    for (at, line) in lines[..end].iter().enumerate() {
        is_head &= !line.is_empty();
        match line.strip_prefix("  ") {
            Some(rest) if is_head => request.push_str(rest.trim()),
            _ if at == 0 => request.push_str(line),
            _ => request.push_str(&format!("\n{line}")),
        }
    }
    let request = Exchange { request: request.trim_end().to_owned(), ..Exchange::default() };
    let answer = lines[end..].split_first().map(|(status, rest)| {
        let middle = rest.iter().position(|line| line.is_empty()).unwrap_or(rest.len());
        let field = |line: &&str| line.split_once(':').map(|(n, v)| (n.to_owned(), v.trim().to_owned()));
        Shown {
            status: status.trim_start_matches(ARROW).to_owned(),
            headers: rest[..middle].iter().filter_map(field).collect(),
            body: rest[middle..].join("\n").trim().to_owned(),
        }
    });
    (request, answer)
}

impl Example {
    /// The request line, and where it stands.
    pub fn title(&self) -> String {
        format!("line {}: {}", self.line, self.request.request.lines().next().unwrap_or_default())
    }
}

impl Shown {
    /// An answer as it would be shown where `model` is: with the same header fields, and its body where that is the same.
    pub fn of(answer: &Answer, model: Option<&Shown>) -> Shown {
        let value = |name: &str| {
            let values: Vec<_> = answer.headers.iter().filter(|(known, _)| *known == *name).collect();
            let values =
                values.iter().map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned());
            values.collect::<Vec<_>>().join(", ")
        };
        let headers = model.map(|model| model.headers.iter().map(|(name, _)| (name.clone(), value(name))));
        let body = String::from_utf8_lossy(&answer.body).trim().to_owned();
        let body = match model {
            Some(model) if is_same(&model.body, &body) => model.body.clone(),
            _ => wrapped(&body),
        };
        Shown { status: answer.status.to_string(), headers: headers.into_iter().flatten().collect(), body }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{ARROW}{}", self.status)];
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if !self.body.is_empty() {
            lines.push(String::new());
            lines.extend(self.body.lines().map(str::to_owned));
        }
        lines
    }
}

/// JSON of one value, or the same text.
fn is_same(a: &str, b: &str) -> bool {
    let json = |text: &str| serde_json::from_str::<Json>(text).ok();
    json(a).map_or_else(|| a == b, |a| Some(a) == json(b))
}

/// JSON over several lines, where it is long: each row on its own.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 110;
    if text.chars().count() <= WIDTH || serde_json::from_str::<Json>(text).is_err() {
        return text.to_owned();
    }
    let (mut pieces, mut depth, mut quoted, mut escaped) = (vec![String::new()], 0, false, false);
    for c in text.chars() {
        pieces.last_mut().unwrap().push(c);
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 1 => pieces.push(String::new()),
            _ => {}
        }
    }
    let is_list = text.starts_with('[');
    let (mut out, mut width) = (String::new(), 0);
    for piece in pieces {
        let length = piece.chars().count();
        if width > 0 && (is_list || width + length > WIDTH) {
            out.push_str("\n ");
            width = 1;
        }
        out.push_str(&piece);
        width += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
```toml config
[api]
max_rows = 3
plan = true
```
# One
```toml config
[api]
max_rows = 4
```
```http
GET /a
  ?b=eq.1
  &c=eq.2
Prefer: x

[1,
  2]
→ 200
content-range: 0-0/*

[{\"a\":1},
 {\"a\":2}]
```
# Two
```http spin
GET /a
```
";

    #[test]
    fn blocks() {
        let document = Document::parse(TEXT);
        let [one, two] = document.examples.as_slice() else { panic!("two examples") };
        assert_eq!(one.request.request, "GET /a?b=eq.1&c=eq.2\nPrefer: x\n\n[1,\n  2]");
        assert_eq!(one.answer.as_ref().unwrap().status, "200");
        assert_eq!(one.answer.as_ref().unwrap().body, "[{\"a\":1},\n {\"a\":2}]");
        assert_eq!(one.config, "[api]\nmax_rows = 4\nplan = true\n");
        assert_eq!(two.config, "[api]\nmax_rows = 3\nplan = true\n");
        assert!(two.spin && two.answer.is_none() && two.section != one.section);
        assert_eq!(document.write(), TEXT);
    }

    #[test]
    fn same_and_wrapped() {
        assert!(
            is_same("[1, 2]", "[1,2]") && !is_same("[1]", "[2]") && is_same("a", "a") && !is_same("a", "b")
        );
        let long = format!("[{{\"a\":\"{}\"}},{{\"b\":[1,2]}}]", "x,".repeat(60));
        assert_eq!(wrapped(&long).lines().count(), 2);
        assert!(is_same(&wrapped(&long), &long));
    }
}
