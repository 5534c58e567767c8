//! The examples that have a page, each made into a project, with people who may sign in.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::served;
use crate::shell::{output, target};

/// An example, by its name.
pub struct Example {
    /// As `sqlitrest init --example` has it.
    pub name: &'static str,
    /// Who may sign in.
    pub people: &'static [&'static str],
    /// As what.
    role: &'static str,
}

/// All of them.
pub const EXAMPLES: [Example; 3] = [
    Example { name: "blog", people: &[], role: "" },
    Example { name: "todo", people: &["ida", "bo"], role: "authenticated" },
    Example { name: "multi-tenant", people: &["ada", "bob", "cyd", "eve"], role: "member" },
];

/// Everybody's. What is made here is to be tried, on this machine alone.
pub const PASSWORD: &str = "sesame";

/// The example of this name.
///
/// # Errors
/// There is none.
pub fn named(name: &str) -> Result<&'static Example> {
    let names: Vec<&str> = EXAMPLES.iter().map(|example| example.name).collect();
    let found = EXAMPLES.iter().find(|example| example.name == name);
    found.with_context(|| format!("{name} is no example; there are {}", names.join(", ")))
}

/// Its project below `target/`, made where it is not there yet; gives its configuration.
///
/// # Errors
/// The server's, which makes it.
pub fn kept(example: &Example) -> Result<PathBuf> {
    let directory = target("examples").join(example.name);
    let config = directory.join("sqlitrest.toml");
    if !config.exists() {
        // What is half made is nobody's.
        let new = directory.with_extension("new");
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        make(example, &new)?;
        fs::rename(&new, &directory).with_context(|| directory.display().to_string())?;
    }
    Ok(config)
}

/// Makes its project in a directory that is not there; gives its configuration.
///
/// # Errors
/// The server's, which makes it.
pub fn make(example: &Example, directory: &Path) -> Result<PathBuf> {
    output(served::command().args(["init", "--example", example.name]).arg(directory))?;
    let config = directory.join("sqlitrest.toml");
    for person in example.people {
        add(person, example.role, &config)?;
    }
    Ok(config)
}

fn add(person: &str, role: &str, config: &Path) -> Result<()> {
    let mut command = served::command();
    command.args(["user", "add", person, "--role", role, "--config"]).arg(config);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("cannot start the server")?;
    let mut stdin = child.stdin.take().context("the server has no input")?;
    writeln!(stdin, "{PASSWORD}")?;
    drop(stdin);
    let status = child.wait()?;
    if !status.success() {
        bail!("sqlitrest user add {person}: {status}");
    }
    Ok(())
}
