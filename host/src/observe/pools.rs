//! `/_debug/pools`: the connections of each database, who waits for them, and the write-ahead log; of one on a server the requests that are
//! at it.

use serde::Serialize;

use super::look::{Look, look_at};
use crate::engine::Engine;

/// From so many bytes on a write-ahead log is more than the checkpoints leave.
const LARGE_LOG: u64 = 64 << 20;

/// What there is. The JSON form is stable.
#[derive(Debug, Serialize)]
pub struct Page {
    /// `native` or `component`.
    engine: &'static str,
    /// Each database, the default one first.
    databases: Vec<Database>,
    /// Instances of the component, where it is the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<Component>,
    /// What to do next, in sentences.
    next: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Database {
    name: String,
    /// The file, or the URL of the server.
    path: String,
    mode: &'static str,
    #[serde(flatten)]
    of: Of,
}

/// What there is of a file, and of a server, which has connections, a writer and a log of its own.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Of {
    File {
        /// Whether the file is the one that is open.
        is_there: bool,
        readers: Places,
        writer: Writer,
        wal: Log,
    },
    Server {
        /// Each is a request of ours, whether it reads or writes.
        requests: Places,
    },
}

/// For connections that read, or for requests at a server.
#[derive(Debug, Serialize)]
struct Places {
    size: usize,
    idle: usize,
    used: usize,
    /// Requests that wait for one.
    waiting: u64,
    /// Requests that have waited in vain, since the start.
    in_vain: u64,
}

#[derive(Debug, Serialize)]
struct Writer {
    /// Requests that wait for their turn.
    waiting: u64,
}

#[derive(Debug, Serialize)]
struct Log {
    size_bytes: Option<u64>,
    /// Pages that are not in the file yet; none where the log is just being moved.
    pages: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Component {
    idle: usize,
    used: usize,
    created: u64,
    trapped: u64,
    replaced: u64,
}

/// What there is at the moment.
pub async fn page(engine: &Engine) -> Page {
    let databases: Vec<Database> = look_at(engine.sources()).await.iter().map(Database::of).collect();
    let component = engine.instances().map(|of| Component {
        idle: of.idle,
        used: of.used,
        created: of.made,
        trapped: of.trapped,
        replaced: of.replaced,
    });
    let mut next: Vec<String> = databases.iter().flat_map(Database::next).collect();
    if component.as_ref().is_some_and(|own| own.trapped > 0) {
        next.push("Instances of the component have broken: GET /_debug/errors tells why.".to_owned());
    }
    if next.is_empty() {
        next.push("Nothing: nobody waits. Ask again under load; /metrics counts what has been.".to_owned());
    }
    Page { engine: engine.name(), databases, component, next }
}

impl Database {
    fn of(look: &Look) -> Database {
        let places = Places {
            size: look.readers,
            idle: look.idle,
            used: look.readers.saturating_sub(look.idle),
            waiting: look.waiting,
            in_vain: look.stats.in_vain.total(),
        };
        Database {
            name: look.name.clone(),
            path: look.place.clone(),
            mode: if look.writable { "readwrite" } else { "readonly" },
            of: match look.is_there {
                Some(is_there) => Of::File {
                    is_there,
                    readers: places,
                    writer: Writer { waiting: look.queue },
                    wal: Log { size_bytes: look.log_size, pages: look.log_pages },
                },
                None => Of::Server { requests: places },
            },
        }
    }

    /// What to do about it.
    fn next(&self) -> Vec<String> {
        let (name, mut next) = (&self.name, Vec::new());
        let (is_there, readers, writer, wal) = match &self.of {
            Of::File { is_there, readers, writer, wal } => (*is_there, readers, writer, wal),
            Of::Server { requests } => return next_of_server(name, requests),
        };
        if !is_there {
            next.push(format!(
                "{name}: the file is not where it was; put it back at {}, and it is opened again.",
                self.path
            ));
        }
        if readers.waiting > 0 {
            next.push(format!("{name}: {} requests wait for a connection that reads; look at /_debug/slow-queries, then raise pool.readers_per_db.", readers.waiting));
        }
        if readers.in_vain > 0 {
            next.push(format!("{name}: since the start {} requests have waited for a connection in vain and got 503; where that grows, raise pool.readers_per_db or pool.busy_timeout.", readers.in_vain));
        }
        if writer.waiting > 1 {
            next.push(format!("{name}: {} requests wait to write; there is one writer, so make transactions short, or send rows in one array.", writer.waiting));
        }
        if wal.size_bytes.is_some_and(|size| size > LARGE_LOG) {
            next.push(format!("{name}: the write-ahead log is large, which a long read keeps from being emptied; look for it at /_debug/slow-queries."));
        }
        next
    }
}

/// The same, of a server.
fn next_of_server(name: &str, requests: &Places) -> Vec<String> {
    let Places { size, waiting, in_vain, .. } = requests;
    let mut next = Vec::new();
    if *waiting > 0 {
        next.push(format!("{name}: {waiting} requests wait, for {size} are at the server, which is the most; look at /_debug/slow-queries for what takes long there."));
    }
    if *in_vain > 0 {
        next.push(format!("{name}: {in_vain} requests have waited in vain and got 503; raise pool.busy_timeout, or have the server answer sooner."));
    }
    next
}
