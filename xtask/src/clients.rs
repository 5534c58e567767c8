//! The tests of `tests/clients/`: clients of PostgREST and of MCP from their registries against the server that was built, on both
//! engines.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};

use crate::build;
use crate::node::{Node, node};
use crate::python::venv;
use crate::shell::{cargo, once, output, root, run, target};
use crate::test::Tally;

/// Gets what the tests of a client need, and gives the command that runs them.
type Prepare = fn() -> Result<Command>;

/// The folders below `tests/`.
const CLIENTS: [(&str, Prepare); 4] =
    [("clients/js", javascript), ("clients/python", python), ("clients/rust", rust), ("clients/mcp", mcp)];

/// Runs the tests of the clients whose names contain `filter`.
///
/// # Errors
/// A client cannot be had, or the server does not start.
pub fn test(filter: Option<&str>, tally: &mut Tally) -> Result<()> {
    let is_meant = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    for (name, prepare) in CLIENTS.iter().filter(|(name, _)| is_meant(name)) {
        let mut command = prepare().with_context(|| format!("what tests/{name} tests is not to be had"))?;
        for engine in ["component", "native"] {
            let server = Server::start(engine, name)?;
            println!("\n     Running tests/{name} with the engine {engine}");
            // One of them starts the program itself.
            command.env("SERVER", build::server()).env("ENGINE", engine);
            command.env("DATABASE", &server.database).env("CONFIG", configuration(name));
            tally.run(command.env("API_URL", &server.url))?;
        }
    }
    Ok(())
}

/// The configuration of the server for the tests in a folder: their own, or that which the others share.
fn configuration(name: &str) -> PathBuf {
    let own = root().join("tests").join(name).join("sqlitrest.toml");
    if own.exists() { own } else { folder("sqlitrest.toml") }
}

fn folder(name: &str) -> PathBuf {
    root().join("tests/clients").join(name)
}

fn javascript() -> Result<Command> {
    let folder = folder("js");
    let Node { programs, search } = node()?;
    let lock = fs::read_to_string(folder.join("package-lock.json"))?;
    once(&folder.join("node_modules/.made-of"), &lock, || {
        let mut npm = Command::new(programs.join("npm"));
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        run(npm.env("PATH", &search).current_dir(&folder))
    })?;
    let mut node = Command::new(programs.join("node"));
    node.args(["--test", "--test-reporter=./reporter.js"]).env("PATH", search).current_dir(folder);
    Ok(node)
}

fn python() -> Result<Command> {
    let folder = folder("python");
    let programs = venv("clients/python", &fs::read_to_string(folder.join("requirements.txt"))?)?;
    let mut python = Command::new(programs.join("python"));
    python.arg(folder.join("clients_test.py"));
    Ok(python)
}

fn mcp() -> Result<Command> {
    let folder = folder("mcp");
    let programs = venv("clients/mcp", &fs::read_to_string(folder.join("requirements.txt"))?)?;
    let mut python = Command::new(programs.join("python"));
    python.arg(folder.join("mcp_test.py"));
    Ok(python)
}

fn rust() -> Result<Command> {
    let mut cargo = rust_client();
    cargo.args(["test", "--locked", "--quiet"]);
    Ok(cargo)
}

/// Cargo in the workspace that the Rust client has for itself.
pub fn rust_client() -> Command {
    let mut cargo = cargo();
    cargo.current_dir(folder("rust")).env("CARGO_TARGET_DIR", target("clients/rust"));
    cargo
}

/// A server over a new database, gone with it.
struct Server {
    child: Child,
    /// Held open for what it may write.
    _stdout: BufReader<ChildStdout>,
    directory: PathBuf,
    database: PathBuf,
    /// `http://127.0.0.1:PORT`
    url: String,
}

impl Server {
    fn start(engine: &str, name: &str) -> Result<Server> {
        let directory = target(&format!("clients/served-{}", std::process::id()));
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        let database = directory.join("clients.db");
        let mut create = Command::new(build::server());
        output(create.arg("create-database").arg(folder("fixture.sql")).arg(&database))?;
        let mut command = Command::new(build::server());
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SQLITREST_")) {
            command.env_remove(name);
        }
        command.arg("serve").arg(&database).arg("--config").arg(configuration(name));
        command.args(["--engine", engine, "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the server")?;
        let mut stdout = BufReader::new(child.stdout.take().context("the server has no output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.with_context(|| format!("the server does not say where it listens: {line}"))?;
        Ok(Server { url: url.trim_end_matches(',').to_owned(), child, _stdout: stdout, directory, database })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whether it goes well or not, the tests are over.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
