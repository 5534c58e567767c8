//! The tests of `tests/clients/`: clients of PostgREST from their registries against the server that was built, below
//! `/rest/v1`, on both engines.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::node::in_folder;
use crate::python::venv;
use crate::served::{self, Directory, Server};
use crate::shell::{cargo, output, root, target};
use crate::test::Tally;

/// Gets what the tests of a client need, and gives the command that runs them.
type Prepare = fn() -> Result<Command>;

/// The folders below `tests/`.
const CLIENTS: [(&str, Prepare); 3] =
    [("clients/js", javascript), ("clients/python", python), ("clients/rust", rust)];

/// Runs the tests of the clients whose names contain `filter`.
///
/// # Errors
/// A client cannot be had, or the server does not start.
pub fn test(filter: Option<&str>, tally: &mut Tally) -> Result<()> {
    let is_meant = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    for (name, prepare) in CLIENTS.iter().filter(|(name, _)| is_meant(name)) {
        let mut command = prepare().with_context(|| format!("what tests/{name} tests is not to be had"))?;
        for engine in ["component", "native"] {
            let server = serve(engine)?;
            println!("\n     Running tests/{name} with the engine {engine}");
            tally.run(command.env("API_URL", &server.url))?;
        }
    }
    Ok(())
}

fn folder(name: &str) -> PathBuf {
    root().join("tests/clients").join(name)
}

fn javascript() -> Result<Command> {
    let mut node = in_folder(&folder("js"))?;
    node.args(["--test", "--test-reporter=./reporter.js"]);
    Ok(node)
}

fn python() -> Result<Command> {
    let folder = folder("python");
    let programs = venv("clients/python", &fs::read_to_string(folder.join("requirements.txt"))?)?;
    let mut python = Command::new(programs.join("python"));
    python.arg(folder.join("clients_test.py"));
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

/// A server over a new database.
fn serve(engine: &str) -> Result<Server> {
    let directory = Directory::new(target(&format!("clients/served-{}", std::process::id())))?;
    let database = directory.0.join("clients.db");
    output(served::command().arg("create-database").arg(folder("fixture.sql")).arg(&database))?;
    let mut command = served::command();
    command.arg("serve").arg(database).arg("--config").arg(folder("sqlitrest.toml"));
    Server::start(&mut command, engine, directory)
}
