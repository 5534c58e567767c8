//! The loop in this process: the same statements and the same encoding over the same SQLite, and no HTTP. What a server can
//! come near to, and cannot pass.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rusqlite::types::{ToSqlOutput, ValueRef as SqlRef};
use rusqlite::{Connection, params};
use sqlitrest_runtime::compile::{Param, Step};
use sqlitrest_runtime::config::{Config, DatabaseFile};
use sqlitrest_runtime::database::{Database, DbError, Paged};
use sqlitrest_runtime::encode::RowFormat;
use sqlitrest_runtime::http;
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::value::{Value, ValueRef};
use sqlitrest_runtime::{SchemaCache, parse, plan, respond};

use crate::workloads::{MANY, Request, Workload, postgrest};
use crate::wrk::Round;

/// How many requests are made beforehand, each of another key.
const PREPARED: u64 = 1000;

/// Threads that read: the cores of the machine. One writes, for SQLite has one writer.
pub fn readers() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// How much of the way of a request the loop goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Statements made beforehand, stepped through and encoded; writes as one would write them by hand.
    Statements,
    /// The core, from the parsing of the request to its response.
    Core,
}

/// A loop over a database of its own.
#[derive(Clone, Debug)]
pub struct Loop {
    /// How it goes.
    pub way: Way,
    /// The file.
    pub database: PathBuf,
    /// Tracks and albums that there are.
    pub keys: (u64, u64),
}

/// What is done again and again, given the number of the turn.
type Turn<'a> = Box<dyn FnMut(u64) -> Result<()> + 'a>;

impl Loop {
    /// Runs a workload for so many seconds.
    ///
    /// # Errors
    /// SQLite's, and the core's.
    pub fn run(&self, workload: Workload, seconds: u64) -> Result<Round> {
        let threads = if workload.only_reads() { readers() } else { 1 };
        let over = Arc::new(AtomicBool::new(false));
        let begin = Instant::now();
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let (own, over) = (self.clone(), Arc::clone(&over));
                thread::spawn(move || own.work(workload, worker as u64, &over))
            })
            .collect();
        thread::sleep(Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        let mut busy = Duration::ZERO;
        for worker in workers {
            let (turns, lasted) = worker.join().map_err(|_| anyhow!("a worker panicked"))??;
            times.extend(turns);
            busy = busy.max(lasted);
        }
        ensure!(busy <= begin.elapsed(), "time went back");
        times.sort_unstable();
        let at = |percent: usize| {
            let nanos = times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
            nanos.copied().unwrap_or_default() as f64 / 1e6
        };
        Ok(Round {
            requests: times.len() as u64,
            micros: u64::try_from(busy.as_micros())?,
            p50: at(50),
            p95: at(95),
            p99: at(99),
            ..Round::default()
        })
    }

    /// The nanoseconds of each turn, and how long all took.
    fn work(&self, workload: Workload, worker: u64, over: &AtomicBool) -> Result<(Vec<u64>, Duration)> {
        let mut port = Port { sql: open(&self.database)? };
        let mut turn = match self.way {
            Way::Core => core(&mut port, workload, self.keys)?,
            Way::Statements if workload.only_reads() => reads(&mut port, workload, self.keys)?,
            Way::Statements => writes(&port.sql, workload, self.keys)?,
        };
        let mut times = Vec::new();
        let begin = Instant::now();
        let mut last = begin;
        let mut number = worker * PREPARED / 2;
        while !over.load(Ordering::Relaxed) {
            turn(number)?;
            number += 1;
            let now = Instant::now();
            times.push(u64::try_from((now - last).as_nanos())?);
            last = now;
        }
        Ok((times, begin.elapsed()))
    }
}

/// The settings of our host's connections.
fn open(path: &Path) -> Result<Connection> {
    let sql = Connection::open(path).with_context(|| path.display().to_string())?;
    sql.busy_timeout(Duration::from_secs(30))?;
    sql.set_prepared_statement_cache_capacity(256);
    sql.execute_batch(
        "PRAGMA foreign_keys = on; PRAGMA cache_size = -16384; PRAGMA temp_store = memory; PRAGMA synchronous = full",
    )?;
    Ok(sql)
}

/// Keys that lie apart, as wrk's script has them.
fn key(number: u64, tracks: u64) -> u64 {
    number * 61_803 % tracks + 1
}

/// A key as SQLite has it.
fn bound(key: u64) -> Result<i64> {
    Ok(i64::try_from(key)?)
}

/// A number that was not there before.
fn fresh() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(1_000_000_000);
    LAST.fetch_add(1, Ordering::Relaxed)
}

fn prepared(workload: Workload, (tracks, albums): (u64, u64)) -> Result<Vec<Request>> {
    let request = postgrest(workload, "").context("the mix is two requests")?;
    let count = match workload {
        Workload::ByKey | Workload::Filter | Workload::InsertOne => PREPARED,
        // Each once: what it sets is not fresh for a second time.
        Workload::Update => tracks,
        _ => 1,
    };
    Ok((0..count).map(|number| request.of_key(key(number, tracks), albums, fresh())).collect())
}

/// A field as the core has it.
type Field<'a> = (&'a str, &'a [u8]);

fn fields(request: &Request) -> Vec<Field<'_>> {
    let lower = |name: &str| match name {
        "Content-Type" => "content-type",
        "Prefer" => "prefer",
        _ => "x-other",
    };
    request.headers.iter().map(|(name, value)| (lower(name), value.as_bytes())).collect()
}

fn core<'a>(port: &'a mut Port, workload: Workload, keys: (u64, u64)) -> Result<Turn<'a>> {
    let requests = match workload {
        Workload::Mix => {
            let reads = prepared(Workload::ByKey, keys)?;
            let mut mixed = Vec::new();
            for (nine, write) in reads.chunks(9).zip(prepared(Workload::InsertOne, keys)?) {
                mixed.extend_from_slice(nine);
                mixed.push(write);
            }
            mixed
        }
        _ => prepared(workload, keys)?,
    };
    let config = Config::load("bench", "[databases.main]\npath = \"bench.db\"", [])
        .map_err(|error| anyhow!("{error}"))?;
    let identity = Arc::new(Identity::anonymous(&config));
    let mut schema = Arc::new(SchemaCache::default());
    Ok(Box::new(move |number| {
        let at = usize::try_from(number)? % requests.len();
        let request = requests.get(at).context("a request")?;
        let fields = fields(request);
        let asked = http::Request {
            method: request.method,
            target: &request.target,
            headers: &fields,
            body: request.body.as_bytes(),
        };
        let answer = match parse(&config, &identity, &asked) {
            Ok(parsed) => respond(&config, &mut schema, parsed, port),
            Err(answer) => answer,
        };
        let told =
            || format!("{}: {} {}", request.target, answer.status, String::from_utf8_lossy(&answer.body));
        ensure!((200..300).contains(&answer.status), told());
        Ok(())
    }))
}

/// A page's statement, its values and how it is encoded, and the statement that counts.
type Page = (String, Vec<Value>, RowFormat, Option<(String, Vec<Value>)>);

fn reads<'a>(port: &'a mut Port, workload: Workload, keys: (u64, u64)) -> Result<Turn<'a>> {
    let config = Config::load("bench", "[databases.main]\npath = \"bench.db\"", [])
        .map_err(|error| anyhow!("{error}"))?;
    let identity = Arc::new(Identity::anonymous(&config));
    let schema = sqlitrest_runtime::schema::read_schema(port, &DatabaseFile::at(String::new()))
        .map_err(|error| anyhow!(error.message))?;
    let schema = Arc::new(schema);
    let mut pages: Vec<Page> = Vec::new();
    for request in prepared(workload, keys)? {
        let fields = fields(&request);
        let asked =
            http::Request { method: request.method, target: &request.target, headers: &fields, body: b"" };
        let parsed =
            parse(&config, &identity, &asked).map_err(|answer| anyhow!("status {}", answer.status))?;
        let (_, program) = plan(&config, &schema, &parsed).map_err(|error| anyhow!("{error:?}"))?;
        let (mut page, mut count) = (None, None);
        for step in program.steps {
            match step {
                Step::Page { statement, format } => page = Some((statement, format)),
                Step::Count { statement, .. } => count = Some((statement.sql, values(statement.params))),
                other => return Err(anyhow!("a reading with the step {}", other.name())),
            }
        }
        let (statement, format) = page.context("a page")?;
        pages.push((statement.sql, values(statement.params), format, count));
    }
    Ok(Box::new(move |number| {
        let at = usize::try_from(number)? % pages.len();
        let (sql, values, format, count) = pages.get(at).context("a page")?;
        let mut out = Vec::new();
        let rows = port.page(sql, values, format, &mut out).map_err(|error| anyhow!(error.message))?;
        ensure!(rows != Paged::Whole(0), "no rows: {sql}");
        if let Some((sql, values)) = count {
            port.rows(sql, values, &mut |_| {}).map_err(|error| anyhow!(error.message))?;
        }
        std::hint::black_box(out);
        Ok(())
    }))
}

fn values(params: Vec<Param>) -> Vec<Value> {
    params
        .into_iter()
        .filter_map(|param| if let Param::Value(value) = param { Some(value) } else { None })
        .collect()
}

const INSERT: &str =
    "INSERT INTO tracks(album_id, name, milliseconds, price, published) VALUES (?1, ?2, 200000, 0.99, 1)";

fn writes<'a>(sql: &'a Connection, workload: Workload, (tracks, albums): (u64, u64)) -> Result<Turn<'a>> {
    let mut insert = sql.prepare(INSERT)?;
    let mut update = sql.prepare("UPDATE tracks SET milliseconds = ?2 WHERE id = ?1")?;
    let mut select = sql.prepare("SELECT * FROM tracks WHERE id = ?1")?;
    let mut one = move |number: u64| -> Result<()> {
        let key = key(number, tracks);
        insert.execute(params![bound((key - 1) % albums + 1)?, format!("New {key}")])?;
        Ok(())
    };
    Ok(Box::new(move |number| {
        let key = key(number, tracks);
        match workload {
            Workload::Update => {
                ensure!(update.execute([bound(key)?, bound(fresh())?])? == 1, "no track {key}")
            }
            Workload::InsertThousand => {
                sql.execute_batch("BEGIN IMMEDIATE")?;
                (1..=MANY).try_for_each(&mut one)?;
                sql.execute_batch("COMMIT")?;
            }
            Workload::Mix if number % 10 < 9 => {
                let mut rows = select.query([bound(key)?])?;
                ensure!(rows.next()?.is_some(), "no track {key}");
            }
            _ => one(number)?,
        }
        Ok(())
    }))
}

/// The core's port over rusqlite: as our host's, but for limits of time and the reuse of a row's room.
struct Port {
    sql: Connection,
}

/// A value as rusqlite binds it.
struct Bound<'a>(&'a Value);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => SqlRef::Null,
            Value::Integer(i) => SqlRef::Integer(*i),
            Value::Real(r) => SqlRef::Real(*r),
            Value::Text(t) => SqlRef::Text(t.as_bytes()),
            Value::Blob(b) => SqlRef::Blob(b),
        }))
    }
}

fn failed(error: rusqlite::Error) -> DbError {
    DbError { message: error.to_string() }
}

impl Database for Port {
    fn columns(&mut self, sql: &str, _: &[Value]) -> Result<Vec<String>, DbError> {
        let statement = self.sql.prepare_cached(sql).map_err(failed)?;
        Ok(statement.column_names().map(str::to_owned).collect())
    }

    fn rows(
        &mut self,
        sql: &str,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<(), DbError> {
        let mut statement = self.sql.prepare_cached(sql).map_err(failed)?;
        for (index, value) in params.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, Bound(value)).map_err(failed)?;
        }
        let width = statement.column_count();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(failed)? {
            let mut values = Vec::with_capacity(width);
            for index in 0..width {
                values.push(match row.get_ref(index).map_err(failed)? {
                    SqlRef::Null => ValueRef::Null,
                    SqlRef::Integer(i) => ValueRef::Integer(i),
                    SqlRef::Real(r) => ValueRef::Real(r),
                    SqlRef::Text(t) => ValueRef::Text(t),
                    SqlRef::Blob(b) => ValueRef::Blob(b),
                });
            }
            each(&values);
        }
        Ok(())
    }
}
