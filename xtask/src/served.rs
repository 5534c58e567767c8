//! The server that was built, as a process that ends with what needs it.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};

use crate::build;

/// The server's binary, with nothing of ours in its environment.
pub fn command() -> Command {
    let mut command = Command::new(build::server());
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SQLITREST_")) {
        command.env_remove(name);
    }
    command
}

/// A directory that is empty at first and gone in the end.
pub struct Directory(pub PathBuf);

impl Directory {
    /// Makes it, in place of what was there.
    ///
    /// # Errors
    /// The system's.
    pub fn new(path: PathBuf) -> Result<Directory> {
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Whether it goes well or not, nobody needs it any more.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server over what is in a directory, both gone with it.
pub struct Server {
    child: Child,
    /// Held open for what it may write.
    _stdout: BufReader<ChildStdout>,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    _directory: Directory,
}

impl Server {
    /// Starts `sqlitrest serve` with these arguments, on a port that the system chooses.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(serve: &mut Command, engine: &str, directory: Directory) -> Result<Server> {
        serve.args(["--engine", engine, "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut child = serve.spawn().context("cannot start the server")?;
        let mut stdout = BufReader::new(child.stdout.take().context("the server has no output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.with_context(|| format!("the server does not say where it listens: {line}"))?;
        Ok(Server {
            url: url.trim_end_matches(',').to_owned(),
            child,
            _stdout: stdout,
            _directory: directory,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
