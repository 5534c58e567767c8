//! A shell in an empty directory, into which commands are typed one after another; servers that they start listen on ports of the system's choosing.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The longest that a command is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// Where pages have the reader's own directory.
const HOME: &str = "/home/you";

/// What stands in front of the exit code of a command.
const MARK: char = '\u{1e}';

/// SQLite's shell for a machine that has none, as far as it is needed: the file and the query are the last two words.
const SQLITE: &str = "#!/usr/bin/env python3
import sqlite3, sys
with sqlite3.connect(f'file:{sys.argv[-2]}?mode=ro', uri=True) as database:
    for row in database.execute(sys.argv[-1]):
        print(*['' if value is None else value for value in row], sep='|')
";

/// A shell.
pub struct Session {
    shell: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    home: PathBuf,
    /// How many servers it has started.
    servers: u32,
    /// `:PORT` of the one that listens, where it listens on a port.
    port: Option<String>,
}

/// What became of a command.
pub struct Outcome {
    /// What it printed.
    pub printed: String,
    /// Whether its exit code was 0.
    pub is_well: bool,
}

impl Session {
    /// Begins one with the server `program` as `sqlitrest`, and with this engine.
    pub fn begin(program: &Path, engine: &str) -> Session {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let home = std::env::temp_dir().join(format!("sqlitrest-docs-{}-{number}", std::process::id()));
        fs::create_dir_all(home.join("bin")).expect("a directory");
        fs::create_dir_all(home.join("work")).expect("a directory");
        let named = home.join("bin/sqlitrest");
        symlink(program.canonicalize().expect("the server"), named).expect("a link");
        executable(&home.join("bin/sqlite3"), SQLITE);
        // What a terminal does not show: how far a download has come.
        fs::write(home.join(".curlrc"), "silent\nshow-error\n").expect("written");
        let mut shell = Command::new("bash");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SQLITREST_") {
                shell.env_remove(name);
            }
        }
        let path = std::env::var("PATH").unwrap_or_default();
        shell
            .args(["--noprofile", "--norc"])
            .current_dir(home.join("work"))
            .env("PATH", format!("{}:{path}", home.join("bin").display()))
            .env("HOME", &home)
            .env("SQLITREST_SERVER_PORT", "0")
            .env("SQLITREST_SERVER_ENGINE", engine)
            .env("NO_COLOR", "1")
            // With what it starts, so that all of it can be ended.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut shell = shell.spawn().expect("bash starts");
        let (input, output) = (shell.stdin.take().expect("piped"), shell.stdout.take().expect("piped"));
        let (told, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if line.is_ok_and(|line| told.send(line).is_ok()) {
                    continue;
                }
                break;
            }
        });
        Session { shell, input, lines, home, servers: 0, port: None }
    }

    /// Writes a file where the shell is.
    pub fn write(&mut self, name: &str, text: &str) {
        let here = self.run("pwd");
        fs::write(Path::new(here.printed.trim()).join(name), text).expect("written");
    }

    /// Types a command and waits for its end. A server (`sqlitrest serve … &`) is waited for until it says where it listens.
    pub fn type_in(&mut self, typed: &str) -> Outcome {
        let port = self.port.clone().unwrap_or_else(|| ":3000".to_owned());
        let typed = ["localhost", "127.0.0.1"].iter().fold(typed.to_owned(), |text, host| {
            text.replace(&format!("{host}:3000"), &format!("{host}{port}"))
        });
        let server = typed.strip_suffix(" &").filter(|typed| typed.contains("sqlitrest serve"));
        let mut outcome = match server {
            Some(server) => self.serve(server),
            None => self.run(&typed),
        };
        if let Some(port) = &self.port {
            outcome.printed = outcome.printed.replace(port, ":3000");
        }
        outcome.printed = outcome.printed.replace(&self.home.display().to_string(), HOME);
        outcome
    }

    fn serve(&mut self, typed: &str) -> Outcome {
        self.servers += 1;
        let (pipe, number) = (self.home.join(format!("server-{}", self.servers)), self.servers + 50);
        let (log, pipe) = (pipe.with_extension("log"), pipe.display());
        // The end that is read stays open, so that the server may say more; from the second line on nobody listens. Bash keeps small numbers for itself.
        let mut outcome = self.run(&format!(
            "mkfifo {pipe}; {{ exec env {typed}\n}} > {pipe} 2> {} & exec {number}< {pipe}; read -r line <&{number}; echo \"$line\"",
            log.display()
        ));
        let address = outcome.printed.split_once("http://127.0.0.1").map(|(_, rest)| rest);
        self.port = address.and_then(|rest| rest.split([',', ' ']).next()).map(str::to_owned);
        if outcome.printed.is_empty() {
            outcome.printed = fs::read_to_string(log).unwrap_or_default();
            outcome.is_well = false;
        }
        outcome
    }

    fn run(&mut self, script: &str) -> Outcome {
        let line = format!("{{ {script}\n}} 2>&1 </dev/null; printf '\\n{MARK}%s\\n' \"$?\"\n");
        self.input.write_all(line.as_bytes()).expect("the shell reads");
        let mut printed = Vec::new();
        loop {
            let line = self.lines.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|_| panic!("`{script}` does not end; it printed {printed:?}"));
            if let Some(code) = line.strip_prefix(MARK) {
                let printed = printed.join("\n").trim_end().to_owned();
                return Outcome { printed, is_well: code == "0" };
            }
            printed.push(line.trim_end_matches('\r').to_owned());
        }
    }
}

impl Drop for Session {
    /// Ends the shell and the servers that it has started.
    fn drop(&mut self) {
        let group = format!("-{}", self.shell.id());
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}
