//! `sqlitrest policy test FILE`: requests with who sends them and what they are to be answered, run on the database or on one
//! made of SQL text. Every transaction is undone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use sqlitrest_runtime::config::{Config, TxEnd};
use sqlitrest_runtime::debug::asked::Asked;
use sqlitrest_runtime::http::Response;
use toml::Spanned;

use crate::asking::{Opened, identity};
use crate::help;
use crate::settings::{Flags, Settings};
use crate::terminal::{ERROR, To, WELL};

/// What `sqlitrest policy` can do.
#[derive(Subcommand, Debug)]
pub enum PolicyCommand {
    /// Run a file of requests and compare what they are answered
    #[command(after_help = help::POLICY_TEST)]
    Test(TestFlags),
}

/// What `sqlitrest policy test` can be told.
#[derive(Args, Debug)]
pub struct TestFlags {
    /// The file of tests
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The SQLite database, a file or the URL of a libSQL server (or `sql` in the file, or databases.main in the configuration file)
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// The configuration file, by default ./sqlitrest.toml if it is there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A file of tests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Files of SQL text, of which a database is made for the tests; relative to this file.
    #[serde(default)]
    sql: Vec<String>,
    test: Vec<Spanned<Test>>,
}

/// A test: who sends which request, and what the answer is to be. What is not said is not compared.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    name: String,
    role: Option<String>,
    sub: Option<Json>,
    #[serde(default)]
    claims: Map<String, Json>,
    request: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Body>,
    status: Option<u16>,
    error: Option<String>,
    rows: Option<Rows>,
    count: Option<usize>,
}

/// Rows: a list, or JSON as text, which alone can say null.
#[derive(Deserialize)]
#[serde(untagged)]
enum Rows {
    List(Vec<Json>),
    Text(String),
}

/// A body: a text, or what is written as JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Text(String),
    Json(Json),
}

/// Runs the tests of a file; `false` where one fails.
///
/// # Errors
/// A file or database that cannot be used.
pub fn run(command: &PolicyCommand) -> Result<bool> {
    let PolicyCommand::Test(flags) = command;
    let shown = flags.file.display();
    let text = fs::read_to_string(&flags.file).with_context(|| format!("{shown} cannot be read"))?;
    let file: File = toml::from_str(&text).map_err(|error| {
        let line = line_of(&text, error.span().map_or(0, |span| span.start));
        anyhow!("{shown}:{line}: {}", error.message())
    })?;
    if file.test.is_empty() {
        bail!("{shown} has no [[test]]");
    }
    let made = made_database(flags, &file)?;
    let database = flags.database.clone().or_else(|| made.as_ref().map(|made| made.0.clone()));
    let flags_of = Flags { path: database, config: flags.config.clone(), ..Flags::default() };
    let config = Settings::resolve(&flags_of)?.config;
    let mut config = config.of_database(config.database().0);
    // Nothing that a test does stays.
    config.api.tx_end = TxEnd::Rollback;
    let mut opened = Opened::new(&config)?;
    let mut results = Vec::new();
    for test in &file.test {
        let line = line_of(&text, test.span().start);
        let test = test.get_ref();
        let reasons = match answer(&config, &mut opened, test) {
            Ok(response) => compare(test, &response),
            Err(error) => vec![format!("{error:#}")],
        };
        results.push((test.name.as_str(), line, reasons));
    }
    drop(opened);
    Ok(report(flags, &results))
}

/// A database of the file's SQL text, in a directory that goes with it.
struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(directory) = self.0.parent() {
            let _ = fs::remove_dir_all(directory);
        }
    }
}

fn made_database(flags: &TestFlags, file: &File) -> Result<Option<Made>> {
    if file.sql.is_empty() || flags.database.is_some() {
        return Ok(None);
    }
    let directory = std::env::temp_dir().join(format!("sqlitrest-policy-test-{}", std::process::id()));
    fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let made = Made(directory.join("test.db"));
    let sql = rusqlite::Connection::open(&made.0).context("a database for the tests cannot be made")?;
    let beside = flags.file.parent().unwrap_or(Path::new(""));
    for name in &file.sql {
        let path = beside.join(name);
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        sql.execute_batch(&text)
            .with_context(|| format!("{} is not SQL that SQLite takes", path.display()))?;
    }
    Ok(Some(made))
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

fn answer(config: &Config, opened: &mut Opened, test: &Test) -> Result<Response> {
    let identity = identity(config, test.role.clone(), test.sub.clone(), test.claims.clone());
    let body = match &test.body {
        None => String::new(),
        Some(Body::Text(text)) => text.clone(),
        Some(Body::Json(json)) => json.to_string(),
    };
    let headers = test.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let asked = Asked { request: test.request.clone(), headers, body, identity };
    let request = match asked.parse(config).map_err(anyhow::Error::msg)? {
        Ok(request) => request,
        Err(response) => return Ok(response),
    };
    opened.connection.restart_clock();
    let mut schema = std::sync::Arc::clone(&opened.schema);
    Ok(sqlitrest_runtime::respond(config, &mut schema, request, opened.connection.database()))
}

/// What is not as it is to be.
fn compare(test: &Test, response: &Response) -> Vec<String> {
    let text = String::from_utf8_lossy(&response.body);
    let json: Option<Json> = serde_json::from_slice(&response.body).ok();
    let mut reasons = Vec::new();
    let expects_error = test.error.is_some() || test.status.is_some_and(|status| status >= 400);
    if let Some(status) = test.status.filter(|status| *status != response.status) {
        reasons.push(format!("status {}, not {status}: {text}", response.status));
    } else if !expects_error && response.status >= 400 {
        reasons.push(format!("status {}: {text}", response.status));
    }
    if let Some(error) = &test.error {
        let code = json.as_ref().and_then(|json| json.get("code")).and_then(Json::as_str);
        if code != Some(error) {
            reasons.push(format!("error {}, not {error}: {text}", code.unwrap_or("none")));
        }
    }
    let rows = match &json {
        Some(Json::Array(rows)) => rows.clone(),
        Some(other) => vec![other.clone()],
        None => Vec::new(),
    };
    if let Some(wanted) = &test.rows {
        let is_ordered = test.request.contains("order=");
        let wanted: Vec<Json> = match wanted {
            Rows::List(list) => list.clone(),
            Rows::Text(text) => match serde_json::from_str(text) {
                Ok(list) => list,
                Err(error) => return vec![format!("rows is no JSON array: {error}")],
            },
        };
        let order = |rows: &[Json]| -> Vec<String> {
            if is_ordered { rows.iter().map(canonical).collect() } else { sorted(rows) }
        };
        if order(&rows) != order(&wanted) {
            reasons.push(format!("rows {}, not {}", Json::from(rows.clone()), Json::from(wanted)));
        }
    }
    if let Some(count) = test.count.filter(|count| *count != rows.len()) {
        reasons.push(format!("{} rows, not {count}", rows.len()));
    }
    reasons
}

fn sorted(rows: &[Json]) -> Vec<String> {
    let mut texts: Vec<String> = rows.iter().map(canonical).collect();
    texts.sort_unstable();
    texts
}

/// JSON with its members in order.
fn canonical(json: &Json) -> String {
    match json {
        Json::Object(members) => {
            let mut members: Vec<String> =
                members.iter().map(|(name, value)| format!("{}:{}", json!(name), canonical(value))).collect();
            members.sort_unstable();
            format!("{{{}}}", members.join(","))
        }
        other => other.to_string(),
    }
}

/// Prints the results; whether all is well.
fn report(flags: &TestFlags, results: &[(&str, usize, Vec<String>)]) -> bool {
    let failed = results.iter().filter(|(_, _, reasons)| !reasons.is_empty()).count();
    let mut out = String::new();
    if flags.json {
        let list: Vec<Json> = results
            .iter()
            .map(|(name, line, reasons)| {
                json!({ "name": name, "line": line, "ok": reasons.is_empty(), "reasons": reasons })
            })
            .collect();
        out = format!("{:#}\n", json!({ "tests": list, "failed": failed }));
    } else {
        for (name, line, reasons) in results {
            match reasons.is_empty() {
                true => out.push_str(&format!("{}      {name}\n", To::Output.paint(WELL, "ok"))),
                false => {
                    let failed = To::Output.paint(ERROR, "FAILED");
                    out.push_str(&format!("{failed}  {name} ({}:{line})\n", flags.file.display()));
                }
            }
            reasons.iter().for_each(|reason| out.push_str(&format!("        {reason}\n")));
        }
        out.push_str(&format!("{} tests, {failed} failed\n", results.len()));
    }
    let _ = std::io::Write::write_all(&mut std::io::stdout(), out.as_bytes());
    failed == 0
}
