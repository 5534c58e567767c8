//! Whether the server is well: that it answers at all, that it can serve, and all that is known of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Serialize;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::look::{Look, look_at};
use super::records;
use crate::engine::Engine;
use crate::pool::Lane;
use crate::serving::Serving;
use crate::source::Source;

/// How long a database may take to be read.
const PATIENCE: Duration = Duration::from_secs(1);

/// In the words of <https://datatracker.ietf.org/doc/html/draft-inadarei-api-health-check>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is well.
    Pass,
    /// It serves, and something wants to be looked at.
    Warn,
    /// It cannot serve.
    Fail,
}

/// What anybody is told.
#[derive(Clone, Debug, Serialize)]
pub struct Short {
    /// Whether it can serve.
    pub status: Status,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// What the administrator is told.
#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(flatten)]
    short: Short,
    version: &'static str,
    engine: &'static str,
    uptime_seconds: f64,
    databases: BTreeMap<String, Database>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<records::Audit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backups: Option<BTreeMap<String, records::Backup>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<Component>,
}

#[derive(Debug, Serialize)]
struct Database {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    path: String,
    mode: &'static str,
    size_bytes: Option<u64>,
    wal: Log,
    schema: Option<Schema>,
    pool: Connections,
    writer: Writer,
    disk_free_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Log {
    size_bytes: Option<u64>,
    pages: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Schema {
    version: i64,
    seen_at: Option<Timestamp>,
    age_seconds: f64,
}

#[derive(Debug, Serialize)]
struct Connections {
    size: usize,
    idle: usize,
    used: usize,
    waiting: u64,
}

#[derive(Debug, Serialize)]
struct Writer {
    queue: u64,
}

#[derive(Debug, Serialize)]
struct Component {
    idle: usize,
    used: usize,
    created: u64,
    trapped: u64,
    replaced: u64,
}

/// Whether requests can be served now.
pub async fn short(serving: &Serving, engine: &Engine) -> Short {
    of(serving, &read_all(engine).await)
}

/// All that is known.
pub async fn report(serving: &Serving, engine: &Engine) -> Report {
    let read = read_all(engine).await;
    let looks = look_at(engine.sources()).await;
    let databases = looks.into_iter().map(|look| {
        let reason = read.iter().find(|(name, _)| *name == look.name);
        let output = reason.and_then(|(_, result)| result.clone().err());
        (look.name.clone(), Database::of(&look, output))
    });
    let (audit, backups) = (records::audit(serving), records::backups(serving));
    let mut short = of(serving, &read);
    if short.status == Status::Pass && !records::is_well(audit.as_ref(), backups.as_ref()) {
        short.status = Status::Warn;
    }
    Report {
        short,
        version: env!("CARGO_PKG_VERSION"),
        engine: engine.name(),
        uptime_seconds: super::uptime().as_secs_f64(),
        databases: databases.collect(),
        audit,
        backups,
        component: engine.instances().map(|of| Component {
            idle: of.idle,
            used: of.used,
            created: of.made,
            trapped: of.trapped,
            replaced: of.replaced,
        }),
    }
}

impl Report {
    /// Whether it can serve.
    pub fn status(&self) -> Status {
        self.short.status
    }
}

/// Which databases can be read, and why others cannot.
type Read = Vec<(String, Result<(), String>)>;

fn of(serving: &Serving, read: &Read) -> Short {
    let unread: Vec<&str> =
        read.iter().filter(|(_, result)| result.is_err()).map(|(name, _)| name.as_str()).collect();
    let output = match unread.as_slice() {
        _ if serving.is_draining() => Some("the server is stopping".to_owned()),
        [] => None,
        names => Some(format!("cannot be read: {}", names.join(", "))),
    };
    match output {
        Some(_) => Short { status: Status::Fail, output },
        None => match records::concern(serving) {
            // Reads are served: who sends requests to several servers need not leave this one out.
            Some(concern) => Short { status: Status::Warn, output: Some(concern) },
            None => Short { status: Status::Pass, output: None },
        },
    }
}

/// Asks all of them at once: each may take its time.
async fn read_all(engine: &Engine) -> Read {
    let mut asked = JoinSet::new();
    for source in engine.sources() {
        asked.spawn(async move { (source.stats().database.clone(), can_be_read(&source).await) });
    }
    let mut read = Vec::new();
    while let Some(answer) = asked.join_next().await {
        read.extend(answer);
    }
    read.sort();
    read
}

/// Whether a request could read from the database now.
async fn can_be_read(source: &Source) -> Result<(), String> {
    let pool = match source {
        Source::File(pool) => pool,
        Source::Server(server) => {
            let server = Arc::clone(server);
            let answers = spawn_blocking(move || server.answers(PATIENCE)).await;
            let answers = answers.map_err(|_| "it broke while it was asked".to_owned())?;
            return answers.map_err(|error| match error.message.as_str() {
                "interrupted" => "the server did not answer in time".to_owned(),
                _ => error.message,
            });
        }
    };
    if !pool.is_there() {
        return Err("the file is not where it was".to_owned());
    }
    let read = timeout(PATIENCE, async { pool.take(Lane::Short).await?.schema_version() });
    match read.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.message),
        Err(_) => Err("no connection came free in time".to_owned()),
    }
}

impl Database {
    fn of(look: &Look, output: Option<String>) -> Database {
        Database {
            status: if output.is_some() { Status::Fail } else { Status::Pass },
            output,
            path: look.place.clone(),
            mode: if look.writable { "readwrite" } else { "readonly" },
            size_bytes: look.size,
            wal: Log { size_bytes: look.log_size, pages: look.log_pages },
            schema: look.schema.map(|(version, since)| Schema {
                version,
                seen_at: Timestamp::try_from(since).ok(),
                age_seconds: SystemTime::now().duration_since(since).unwrap_or_default().as_secs_f64(),
            }),
            pool: Connections {
                size: look.readers,
                idle: look.idle,
                used: look.readers.saturating_sub(look.idle),
                waiting: look.waiting,
            },
            writer: Writer { queue: look.queue },
            disk_free_bytes: look.free,
        }
    }
}
