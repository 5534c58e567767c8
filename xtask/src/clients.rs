//! The tests of `tests/clients/`: clients of PostgREST and of MCP from their registries against the server that was
//! built, on both engines.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::build;
use crate::node::in_folder;
use crate::python::venv;
use crate::served::{self, Directory, Server};
use crate::shell::{cargo, output, root, target};
use crate::test::Tally;

/// Gets what the tests of a client need, and gives the command that runs them.
type Prepare = fn() -> Result<Command>;

/// A folder below `tests/`.
struct Client {
    name: &'static str,
    prepare: Prepare,
    /// What is served: each is a `.sql` and a `.toml` below `tests/clients/`.
    databases: &'static [&'static str],
}

const CLIENTS: [Client; 5] = [
    Client { name: "clients/js", prepare: javascript, databases: &["fixture"] },
    Client { name: "clients/python", prepare: python, databases: &["fixture"] },
    Client { name: "clients/rust", prepare: rust, databases: &["fixture"] },
    Client {
        name: "clients/openapi",
        prepare: openapi,
        databases: &["openapi/chinook", "openapi/northwind", "openapi/keys"],
    },
    Client { name: "clients/mcp", prepare: mcp, databases: &["mcp/agents"] },
];

/// Runs the tests of the clients whose names contain `filter`.
///
/// # Errors
/// A client cannot be had, or the server does not start.
pub fn test(filter: Option<&str>, tally: &mut Tally) -> Result<()> {
    let is_meant = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    for Client { name, prepare, databases } in CLIENTS.iter().filter(|client| is_meant(client.name)) {
        let mut command = prepare().with_context(|| format!("what tests/{name} tests is not to be had"))?;
        for (engine, database) in ["component", "native"]
            .into_iter()
            .flat_map(|engine| databases.iter().map(move |of| (engine, of)))
        {
            let (server, file) = serve(engine, database)?;
            println!("\n     Running tests/{name} with the engine {engine} and the database {database}");
            command
                .env("API_URL", &server.url)
                .env("DATABASE", file)
                .env("ENGINE", engine)
                .env("CONFIG", folder(database).with_extension("toml"));
            tally.run(command.env("SQLITREST_BIN", build::server()))?;
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

fn openapi() -> Result<Command> {
    let folder = folder("openapi");
    let programs = venv("clients/openapi", &fs::read_to_string(folder.join("requirements.txt"))?)?;
    let mut python = Command::new(programs.join("python"));
    python.arg(folder.join("openapi_test.py"));
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

/// A server over a new database of a text below `tests/clients/`, with the configuration beside that; and the database.
fn serve(engine: &str, name: &str) -> Result<(Server, PathBuf)> {
    let directory = Directory::new(target(&format!("clients/served-{}", std::process::id())))?;
    let fixture = folder(&format!("{name}.sql"));
    let database = directory.0.join(fixture.with_extension("db").file_name().unwrap_or_default());
    output(served::command().arg("create-database").arg(&fixture).arg(&database))?;
    let mut command = served::command();
    command.arg("serve").arg(&database).arg("--config").arg(fixture.with_extension("toml"));
    Ok((Server::start(&mut command, engine, directory)?, database))
}
