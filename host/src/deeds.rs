//! What an administrator has the server do while it runs: read its configuration again, attach and detach databases
//! (`/_debug/reload-schema`, `/_debug/databases`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sqlitrest_runtime::config::{Config, DatabaseFile, Mode};
use sqlitrest_runtime::debug;
use sqlitrest_runtime::http::Request;
use sqlitrest_runtime::refuse;

use crate::answer::Answer;
use crate::engine::Engine;
use crate::observe::logging;
use crate::served::Served;
use crate::serving::{Changed, NotAttached, Serving, one_line};

/// Below this path is what is not of the API.
pub const PREFIX: &str = "/_debug/";
const RELOAD: &str = "reload-schema";
const DATABASES: &str = "databases";

/// Who a request comes from, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Somebody, whose credentials tell whether it is the administrator.
    Anybody,
    /// The administrator: nobody else reaches where the request came in.
    Administrator,
}

/// What is attached.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attach {
    /// Its name, which is that of its schema.
    name: String,
    /// The file, relative to the first of `attach.paths`.
    path: String,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    hidden: Vec<String>,
    /// Whether it is written into the configuration file, too.
    #[serde(default)]
    persist: bool,
}

/// A database, as it is told of.
#[derive(Debug, Serialize)]
struct Told<'a> {
    name: &'a str,
    path: &'a str,
    mode: Mode,
    tables: u64,
    views: u64,
    default: bool,
}

/// The answer to a request below [`PREFIX`], if it is one for these.
pub async fn answer(serving: &Serving, engine: &Engine, request: &Request<'_>, from: From) -> Option<Answer> {
    let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
    let rest = path.strip_prefix(PREFIX)?;
    let (what, name) = rest.split_once('/').map_or((rest, None), |(what, name)| (what, Some(name)));
    if !matches!((what, name), (RELOAD, None) | (DATABASES, _)) || !engine.config().debug.enabled {
        return None;
    }
    if from != From::Administrator
        && let Err(refusal) = is_administrator(engine, request).await
    {
        return Some(refusal);
    }
    Some(match (what, name, request.method) {
        (RELOAD, None, "POST") => changed(serving.reload().await, 200),
        (DATABASES, None, "GET") => databases(engine),
        (DATABASES, None, "POST") => attach(serving, engine, request.body).await,
        (DATABASES, Some(name), "DELETE") => detach(serving, engine, name, query).await,
        (RELOAD, _, _) => not_allowed("POST"),
        (_, None, _) => not_allowed("GET, POST"),
        (_, Some(_), _) => not_allowed("DELETE"),
    })
}

/// Whether who asks is the administrator. Where nobody signs in, nobody is.
///
/// # Errors
/// The refusal.
pub async fn is_administrator(engine: &Engine, request: &Request<'_>) -> Result<(), Answer> {
    let asker = engine.identify(request).await?;
    match engine.config().is_administrator(&asker.identity) {
        true => Ok(()),
        false => Err(refuse(engine.config(), request, &debug::refused(&asker.identity)).into()),
    }
}

fn databases(engine: &Engine) -> Answer {
    let default = engine.served().first().map(|served| served.name());
    let told: Vec<Told<'_>> =
        engine.served().iter().map(|served| told(served, default == Some(served.name()))).collect();
    json(200, &json!(told))
}

fn told(served: &Served, default: bool) -> Told<'_> {
    let (name, database) = served.config().database();
    let about = served.source().about();
    let mode = if about.writable { Mode::ReadWrite } else { Mode::ReadOnly };
    Told { name, path: database.place(), mode, tables: about.tables, views: about.views, default }
}

async fn attach(serving: &Serving, engine: &Engine, body: &[u8]) -> Answer {
    let asked: Attach = match serde_json::from_slice(body) {
        Ok(asked) => asked,
        Err(_) if names_server(body) => {
            let what = "url: a database on a server is attached by the configuration file";
            return refused(422, &anyhow!("{what}: write it there, and POST {PREFIX}{RELOAD}"));
        }
        Err(error) => {
            let hint = "Send {\"name\": \"logs\", \"path\": \"logs.db\", \"mode\": \"readonly\"}.";
            return Answer::problem(400, "PGRST102", &format!("The body is no database: {error}"), hint);
        }
    };
    if let Err(wrong) = check_name(&asked.name) {
        return refused(422, &wrong);
    }
    let path = match allowed(engine.config(), &asked.path) {
        Ok(path) => path,
        // Whether there is such a file somewhere else nobody needs to know.
        Err(wrong) => return refused(403, &wrong),
    };
    let Attach { name, mode, hidden, persist, .. } = asked;
    let database = DatabaseFile { mode, hidden, ..DatabaseFile::at(path) };
    let path = database.path.clone();
    let location = format!("{PREFIX}{DATABASES}/{name}");
    let mut answer = match serving.attach(&name, database, persist).await {
        Ok(changed) => {
            logging::info(format_args!("attached {name}: {path}"));
            self::changed(Ok(changed), 201)
        }
        Err(NotAttached::Exists) => {
            let message = format!("schema \"{name}\" already exists");
            Answer::problem(409, "42P06", &message, "Detach it first.")
        }
        Err(NotAttached::Wrong(error)) => refused(422, &error),
    };
    if let (201, Ok(location)) = (answer.status, HeaderValue::try_from(location)) {
        answer.headers.push((LOCATION, location));
    }
    answer
}

async fn detach(serving: &Serving, engine: &Engine, name: &str, query: &str) -> Answer {
    if engine.served().first().is_some_and(|served| served.name() == name) {
        let message = format!("schema \"{name}\" is the default one, which stays");
        return Answer::problem(409, "55006", &message, "Change the configuration file, and reload.");
    }
    match serving.detach(name, query == "persist=true").await {
        Ok(Some(changed)) => {
            logging::info(format_args!("detached {name}"));
            self::changed(Ok(changed), 200)
        }
        Ok(None) => {
            let hint = "GET /_debug/databases lists them.";
            Answer::problem(404, "3F000", "there is no such database", hint)
        }
        Err(error) => refused(422, &error),
    }
}

/// Whether a body speaks of a server. Its token has no business in a request, and whom this server asks is for the file to say.
fn names_server(body: &[u8]) -> bool {
    serde_json::from_slice::<Json>(body).is_ok_and(|body| body.get("url").is_some())
}

/// A name that stands in URLs and header fields as it is, and that SQLite has no other meaning for.
fn check_name(name: &str) -> Result<()> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    ensure!(
        plain && !name.is_empty() && name.len() <= 63,
        "name: write letters of ASCII, digits, _ and -, at most 63"
    );
    ensure!(
        !["main", "temp", "public"].iter().any(|taken| taken.eq_ignore_ascii_case(name)),
        "name: {name} means something else; choose another"
    );
    Ok(())
}

/// The file, if it is in one of the directories of `attach.paths`, links resolved.
fn allowed(config: &Config, path: &str) -> Result<String> {
    let Some(first) = config.attach.paths.first() else {
        bail!("attach.paths names no directory, so that no database may be attached");
    };
    let outside = || anyhow!("path: there is no such file in a directory of attach.paths");
    let file = fs::canonicalize(Path::new(first).join(path)).ok().filter(|file| file.is_file());
    let file = file.with_context(outside)?;
    let is_below =
        |directory: &String| fs::canonicalize(directory).is_ok_and(|directory| file.starts_with(directory));
    ensure!(config.attach.paths.iter().any(is_below), outside());
    let file: &PathBuf = &file;
    file.to_str().map(str::to_owned).context("path: it is not UTF-8; rename the file")
}

fn changed(result: Result<Changed>, status: u16) -> Answer {
    match result {
        Ok(Changed { warnings }) => json(status, &json!({ "ok": true, "warnings": warnings })),
        Err(error) => refused(422, &error),
    }
}

/// What an administrator is told that did not work.
fn refused(status: u16, error: &anyhow::Error) -> Answer {
    let code = if status == 403 { "42501" } else { "F0000" };
    let hint = "What was served before goes on.";
    Answer::problem(status, code, &one_line(error), hint)
}

fn not_allowed(methods: &'static str) -> Answer {
    Answer::not_allowed(methods, &format!("Send {methods}."))
}

fn json(status: u16, body: &Json) -> Answer {
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))];
    Answer::of(status, headers, body.to_string().into_bytes())
}
