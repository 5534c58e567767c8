//! Scenario files: requests with the SQL program they become and the reply they get, in plain text.
//!
//! ```text
//! fixture: music
//! config: [api]
//! config: max_rows = 10
//!
//! === albums by year
//! GET /albums?year=gt.1990&limit=2
//! Prefer: count=exact
//!
//! (body)
//! --- program
//! page  SELECT … [1990, 2]
//! --- reply
//! 206
//! content-type: application/json; charset=utf-8
//!
//! [{"id":1}]
//! --- request
//! (another request on the database as the one before left it)
//! ```

use std::fmt::Write as _;

use sqlitrest::Request;
use sqlitrest_runtime::compile::{Param, Program, Statement};
use sqlitrest_runtime::value::Value;

/// A file of scenarios over one fixture.
pub struct File {
    /// Comments, fixture and configuration, as they stand.
    pub head: String,
    /// The fixture's name.
    pub fixture: String,
    /// Configuration text beside the database's path.
    pub config: String,
    /// Header fields of answers that are shown only where the file says `shows: NAME`.
    pub hidden: Vec<String>,
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
}

/// Requests on one database, which is pristine before the first.
pub struct Scenario {
    /// What it shows.
    pub title: String,
    /// The requests with what is expected of them.
    pub exchanges: Vec<Exchange>,
}

/// One request and what is expected.
#[derive(Clone, Default)]
pub struct Exchange {
    /// `METHOD target`, header lines, an empty line and the body, if any.
    pub request: String,
    /// The program.
    pub program: String,
    /// The status, the header lines, an empty line and the body, if any.
    pub reply: String,
}

/// Nearly every answer has an entity tag, which changes with every byte of it.
const HIDDEN: [&str; 1] = ["etag"];

impl File {
    /// Reads a file.
    pub fn parse(text: &str) -> File {
        let mut parts = text.split("\n=== ");
        let head = parts.next().unwrap_or_default().trim_end().to_owned();
        let of = |key: &str| {
            head.lines().filter_map(|l| l.strip_prefix(key)).map(|v| v.trim().to_owned()).collect::<Vec<_>>()
        };
        File {
            fixture: of("fixture:").join(""),
            config: of("config:").join("\n"),
            hidden: HIDDEN
                .map(str::to_owned)
                .into_iter()
                .filter(|name| !of("shows:").contains(name))
                .collect(),
            scenarios: parts.map(Scenario::parse).collect(),
            head,
        }
    }

    /// Writes a file.
    pub fn write(&self) -> String {
        let mut out = self.head.clone();
        out.push('\n');
        for scenario in &self.scenarios {
            let _ = write!(out, "\n=== {}\n", scenario.title);
            for (i, exchange) in scenario.exchanges.iter().enumerate() {
                if i > 0 {
                    out.push_str("--- request\n");
                }
                let Exchange { request, program, reply } = exchange;
                let _ = write!(out, "{request}\n--- program\n{program}--- reply\n{reply}\n");
            }
        }
        out
    }
}

impl Scenario {
    fn parse(text: &str) -> Scenario {
        let (title, rest) = text.split_once('\n').unwrap_or((text, ""));
        let mut exchanges = Vec::new();
        for part in rest.split("--- request\n") {
            let (request, rest) = part.split_once("--- program\n").unwrap_or((part, ""));
            let (program, reply) = rest.split_once("--- reply\n").unwrap_or((rest, ""));
            exchanges.push(Exchange {
                request: request.trim_end().to_owned(),
                program: program.to_owned(),
                reply: reply.trim_end().to_owned(),
            });
        }
        Scenario { title: title.to_owned(), exchanges }
    }
}

impl Exchange {
    /// Hands the request to `send`.
    pub fn with_request<T>(&self, send: impl FnOnce(&Request<'_>) -> T) -> T {
        let (head, body) = self.request.split_once("\n\n").unwrap_or((&self.request, ""));
        let mut lines = head.lines();
        let (method, target) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or(("GET", "/"));
        let fields: Vec<(String, &str)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect();
        let headers: Vec<(&str, &[u8])> = fields.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        send(&Request { method, target, headers: &headers, body: body.as_bytes() })
    }
}

/// An answer as a scenario file shows it, without the header fields that are `hidden`.
pub fn show_answer(answer: &sqlitrest::Answer, hidden: &[String]) -> String {
    let mut out = format!("{}\n", answer.status);
    for (name, value) in answer.headers.iter().filter(|(name, _)| !hidden.iter().any(|h| *h == name.as_str()))
    {
        let _ = writeln!(out, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    if let Some(length) = answer.content_length {
        let _ = writeln!(out, "(content-length: {length})");
    }
    if !answer.body.is_empty() {
        let _ = write!(out, "\n{}", String::from_utf8_lossy(&answer.body));
    }
    out.trim_end().to_owned()
}

/// A program as a scenario file shows it: one line for each statement.
pub fn show_program(program: &Program) -> String {
    let mut out = String::new();
    let mut line = |kind: &str, statement: &Statement| {
        let params: Vec<String> = statement.params.iter().map(show_param).collect();
        let _ = writeln!(out, "{kind}  {}  [{}]", statement.sql, params.join(", "));
    };
    for step in &program.steps {
        step.statements().for_each(|statement| line(step.name(), statement));
    }
    out
}

fn show_param(param: &Param) -> String {
    match param {
        Param::Rowids => "rowids".to_owned(),
        Param::PrimaryKeys => "primary keys".to_owned(),
        Param::Given { row, at } => format!("row {row}, value {at}"),
        Param::Value(Value::Null) => "null".to_owned(),
        Param::Value(Value::Integer(i)) => i.to_string(),
        Param::Value(Value::Real(r)) => format!("{r:?}"),
        Param::Value(Value::Text(text)) => format!("{text:?}"),
        Param::Value(Value::Blob(bytes)) => format!("x{bytes:02X?}"),
    }
}
