//! What is measured, one form for all: our server, the bare one, the loop in this process, and the peers.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use rusqlite::OpenFlags;
use serde::Serialize;

use crate::dataset::Dataset;
use crate::in_process::Loop;
use crate::process::{Process, output};
use crate::workloads::{Exchange, Request, Workload, exchange, postgrest};

/// What a server is in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A bound: nothing that answers requests over HTTP from SQLite can be faster.
    Yardstick,
    /// SQLitREST.
    Ours,
    /// Someone else's.
    Peer,
}

/// Where the rows go, so that they can be counted behind the server's back.
pub enum Store {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A command that prints the number of tracks.
    Command(Box<dyn Fn() -> Command>),
    /// Nothing is stored.
    None,
}

impl Store {
    /// The number of tracks.
    ///
    /// # Errors
    /// The store's.
    pub fn tracks(&self) -> Result<Option<u64>> {
        match self {
            Store::Sqlite(path) => {
                let sql = rusqlite::Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
                sql.busy_timeout(std::time::Duration::from_secs(30))?;
                let count: i64 = sql.query_row("SELECT count(*) FROM tracks", [], |row| row.get(0))?;
                Ok(Some(u64::try_from(count)?))
            }
            Store::Command(command) => Ok(Some(output(&mut command())?.parse().context("a number")?)),
            Store::None => Ok(None),
        }
    }
}

/// One that answers over HTTP.
pub struct Server {
    /// Where.
    pub address: String,
    /// What stores its rows.
    pub store: Store,
    /// A text which only the body of a failure has, where the status does not tell it.
    pub failure: Option<&'static str>,
    /// What it is asked for a workload but the mix, if it can do that.
    pub requests: Box<dyn Fn(Workload) -> Option<Request>>,
    /// The first is the server; others serve it.
    pub processes: Vec<Process>,
}

impl Server {
    /// What it is asked for a workload, if it can do that.
    pub fn exchange(&self, workload: Workload) -> Option<Exchange> {
        exchange(workload, &self.requests)
    }

    /// Resident memory of all its processes, in KiB.
    pub fn resident(&self) -> u64 {
        self.processes.iter().map(Process::resident).sum()
    }
}

/// How a subject works.
pub enum Means {
    /// Over HTTP.
    Http(Server),
    /// A loop in this process.
    Loop(Loop),
}

/// One line of the comparison.
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The version that it tells of itself.
    pub version: String,
    /// What an acknowledged write survives, in the words of its database.
    pub durability: String,
    /// How it works.
    pub means: Means,
}

impl Subject {
    /// The command that started it.
    pub fn command(&self) -> String {
        match &self.means {
            Means::Http(server) => server.processes.first().map(|p| p.line.clone()).unwrap_or_default(),
            Means::Loop(_) => "in this process".to_owned(),
        }
    }
}

/// Our binary, and where its databases and configuration go.
pub struct Ours {
    /// `sqlitrest`
    pub binary: PathBuf,
    /// A directory that is removed afterwards.
    pub directory: PathBuf,
}

/// With and without signing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone may do everything.
    Open,
    /// A JSON Web Token and three policies.
    Policies,
}

/// The configuration of [`Access::Policies`]: three rules that every track keeps, so that answers are the same as without.
const POLICIES: &str = r#"
[auth.jwt]
secret = "only-for-the-benchmark-0123456789abcdef"

[[policies.policy]]
name = "whoever has signed in sees the music, and makes playlists"
tables = ["artists", "albums", "playlists", "playlist_tracks"]
roles = ["listener"]

[[policies.policy]]
name = "tracks that are published, and one's own"
table = "tracks"
roles = ["listener"]
using = "published OR owner_id = current_user_id()"
check = "published OR owner_id = current_user_id()"

[[policies.policy]]
name = "no track without a price"
table = "tracks"
kind = "restrictive"
using = "price > 0"
check = "price > 0"
"#;

impl Ours {
    /// Serves a copy of the database.
    ///
    /// # Errors
    /// The server does not start.
    pub fn serve(&self, engine: &str, access: Access, dataset: &Dataset) -> Result<Subject> {
        let name = name(engine, access);
        let path = self.directory.join(format!("{}.db", name.replace([' ', ','], "-")));
        remove_database(&path)?;
        dataset.copy_to(&path)?;
        let headers = match access {
            Access::Open => Vec::new(),
            Access::Policies => vec![("Authorization", format!("Bearer {}", self.token()?))],
        };
        let config = match access {
            Access::Open => None,
            Access::Policies => Some(self.config()?),
        };
        let (process, address) = self.start(engine, config.as_deref(), &path)?;
        let requests = move |workload| {
            let mut request = postgrest(workload, "")?;
            request.headers.extend(headers.iter().cloned());
            Some(request)
        };
        let server = Server {
            address,
            store: Store::Sqlite(path),
            failure: None,
            requests: Box::new(requests),
            processes: vec![process],
        };
        Ok(Subject {
            name,
            kind: Kind::Ours,
            version: output(Command::new(&self.binary).arg("--version"))?,
            durability: "SQLite, WAL, synchronous=full".to_owned(),
            means: Means::Http(server),
        })
    }

    /// Starts the server on a database and gives its address.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&self, engine: &str, config: Option<&Path>, database: &Path) -> Result<(Process, String)> {
        let mut command = Command::new(&self.binary);
        let is_ours = |name: &OsString| name.to_string_lossy().starts_with("SQLITREST_");
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours(name)) {
            command.env_remove(name);
        }
        // Without a file of its own it would take one that lies in the current directory.
        command.current_dir(&self.directory);
        command.arg("serve").arg(database).args(["--engine", engine, "--listen", "127.0.0.1:0"]);
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        Process::telling_address(&mut command)
    }

    /// A configuration in which everything is open but for so many tables, each with a policy that names it.
    ///
    /// # Errors
    /// Of the file.
    pub fn policies_on_others(&self, tables: u64) -> Result<PathBuf> {
        let mut text = "[policies]\ndefault_action = \"allow\"\n".to_owned();
        for n in 1..=tables {
            text.push_str(&format!(
                "[[policies.policy]]\nname = \"own rows of {n}\"\ntable = \"extra_{n}\"\nusing = \"name = current_user_id()\"\n"
            ));
        }
        let path = self.directory.join("policies-on-others.toml");
        fs::write(&path, text)?;
        Ok(path)
    }

    /// A token that the configuration takes.
    fn token(&self) -> Result<String> {
        let mut command = Command::new(&self.binary);
        command.args(["token", "--role", "listener", "--sub", "u7", "--expires", "30d", "--config"]);
        output(command.arg(self.config()?))
    }

    fn config(&self) -> Result<PathBuf> {
        let path = self.directory.join("policies.toml");
        fs::write(&path, POLICIES)?;
        Ok(path)
    }
}

/// What our server is called.
pub fn name(engine: &str, access: Access) -> String {
    match access {
        Access::Open => engine.to_owned(),
        Access::Policies => format!("{engine}, JWT and 3 policies"),
    }
}

/// A bare hyper server that returns these bytes to whatever `requests` makes of a workload.
///
/// # Errors
/// It does not start.
pub fn bare(
    body: &[u8],
    directory: &Path,
    requests: impl Fn(Workload) -> Option<Request> + 'static,
) -> Result<Subject> {
    let file = directory.join("body");
    fs::write(&file, body)?;
    let (process, address) = Process::telling_address(Command::new(sibling("bare")?).arg(&file))?;
    let server = Server {
        address,
        store: Store::None,
        failure: None,
        requests: Box::new(requests),
        processes: vec![process],
    };
    Ok(Subject {
        name: BARE.to_owned(),
        kind: Kind::Yardstick,
        version: "hyper 1".to_owned(),
        durability: "stores nothing".to_owned(),
        means: Means::Http(server),
    })
}

/// What the bare server is called.
pub const BARE: &str = "bare hyper";

/// A binary that stands beside this one.
///
/// # Errors
/// There is none.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{} is not there: cargo xtask bench builds it", path.display());
    Ok(path)
}

/// Removes a database with what SQLite keeps beside it.
///
/// # Errors
/// Of a file that is there.
pub fn remove_database(path: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                bail!("{}: {error}", path.display())
            }
            _ => {}
        }
    }
    Ok(())
}
