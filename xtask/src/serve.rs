//! `cargo xtask serve`: the main job, on the example or on a database of the user's.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build;
use crate::example::{self, Example, PASSWORD};
use crate::shell::{root, run};
use crate::wasm;

/// Where requests are taken when no flag says otherwise.
const ADDRESS: &str = "127.0.0.1:3000";

/// What to ask the example first.
const EXAMPLES: [&str; 3] = [
    "tracks?select=name,album:albums(title)&limit=3",
    "artists?select=name,albums(title,released)&country=eq.IE&order=name",
    "tracks?price=gt.1&milliseconds=lt.240000&order=milliseconds.desc&limit=5",
];

/// What is served.
enum What {
    /// A database of the user's.
    Database(PathBuf),
    /// The example database.
    Music,
    /// An example with a page.
    Page(&'static Example),
}

/// `cargo xtask serve [DB] [-- FLAGS]`, `cargo xtask serve --example NAME [-- FLAGS]`.
///
/// # Errors
/// Arguments that are not understood, and what the builds say.
pub fn serve(args: &[&str]) -> Result<()> {
    let (own, flags) = match args.iter().position(|arg| *arg == "--") {
        Some(at) => (&args[..at], &args[at + 1..]),
        None => (args, &args[..0]),
    };
    let what = match own {
        [] => What::Music,
        ["--example", name] => What::Page(example::named(name)?),
        [path] if !path.starts_with('-') => What::Database(std::env::current_dir()?.join(path)),
        _ => bail!("serve takes one database, or --example NAME, and flags of `sqlitrest serve` after `--`"),
    };
    build::all(&wasm::find()?, &build::SERVER)?;
    let mut server = Command::new(build::server());
    server.arg("serve");
    match &what {
        // The server makes requests up for it.
        What::Database(path) => server.arg(path).arg("--examples"),
        What::Music => server.arg(music()?),
        What::Page(example) => server.arg("--config").arg(example::kept(example)?),
    };
    let has = |flag: &str| flags.iter().any(|f| *f == flag || f.starts_with(&format!("{flag}=")));
    if !has("--engine") {
        server.args(["--engine", "component"]);
    }
    if !has("--listen") {
        server.args(["--listen", ADDRESS]);
        tell(&what);
    }
    become_server(server.args(flags))
}

/// Says what to do next.
fn tell(what: &What) {
    match what {
        What::Database(_) => {}
        What::Music => {
            println!("\nOnce the server says that it listens, try in another terminal:");
            for query in EXAMPLES {
                println!("  curl 'localhost:3000/{query}'");
            }
            println!();
        }
        What::Page(Example { name, people, .. }) => {
            println!("\nOnce the server says that it listens, open http://{ADDRESS}/");
            if !people.is_empty() {
                println!("Who may sign in: {}, with the password {PASSWORD}", people.join(", "));
            }
            println!("All that is in it is in target/examples/{name}.\n");
        }
    }
}

/// The example database, made where it is not there yet.
fn music() -> Result<PathBuf> {
    let path = root().join("examples/music.db");
    if !path.exists() {
        let half_made = root().join("examples/music-new.db");
        let _ = fs::remove_file(&half_made);
        run(Command::new(build::server())
            .arg("create-database")
            .arg(root().join("examples/music.sql"))
            .arg(&half_made))?;
        fs::rename(&half_made, &path).with_context(|| path.display().to_string())?;
    }
    Ok(path)
}

/// Puts the server in this process's place, so that signals reach it.
#[cfg(unix)]
fn become_server(server: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(server.exec()).context("cannot start the server")
}

/// Runs the server to its end.
#[cfg(not(unix))]
fn become_server(server: &mut Command) -> Result<()> {
    run(server)
}
