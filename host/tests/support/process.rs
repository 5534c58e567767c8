//! The binary as a process: started, told to stop, its exit code and its words.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use super::{LIMIT, guest, path};

/// A process that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A running server.
pub struct Server {
    child: Option<Child>,
    stdout: BufReader<ChildStdout>,
    /// Reads what it logs as it comes, because a pipe that is full would stop it.
    stderr: Option<JoinHandle<String>>,
    /// Its lines, as they come.
    lines: Mutex<Receiver<String>>,
    /// What it said at the start.
    pub line: String,
    /// `127.0.0.1:PORT`, or the path of a Unix socket
    pub address: String,
}

/// The binary with nothing of ours in its environment but `environment`.
pub fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    command_of(Path::new(env!("CARGO_BIN_EXE_sqlitrest")), arguments, environment)
}

/// [`command`] of a copy of the binary.
pub fn command_of(binary: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SQLITREST_") {
            command.env_remove(name);
        }
    }
    // Away from any sqlitrest.toml of the source tree.
    command.current_dir(std::env::temp_dir());
    command.args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    run_command(command(arguments, environment))
}

/// Runs a command of the binary to its end.
pub fn run_command(mut command: Command) -> Ended {
    let mut child = spawn(&mut command);
    let stdout = collected(child.stdout.take().expect("piped"));
    let stderr = collected(child.stderr.take().expect("piped"));
    let Some(status) = wait(&mut child) else {
        let _ = child.kill();
        panic!("{command:?} does not end");
    };
    let [stdout, stderr] = [stdout, stderr].map(|text| text.join().expect("UTF-8"));
    Ended { code: status.code(), stdout, stderr }
}

/// What a process writes, read as it comes, because a pipe that is full would stop it.
fn collected(mut pipe: impl std::io::Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("UTF-8");
        text
    })
}

/// Serves a database on a free port.
pub fn serve(engine: &str, database: &Path, more: &[&str]) -> Server {
    serve_with(engine, database, more, &[])
}

/// [`serve`] with an environment.
pub fn serve_with(engine: &str, database: &Path, more: &[&str], environment: &[(&str, &str)]) -> Server {
    let mut arguments = vec!["serve", path(database), "--engine", engine, "--listen", "127.0.0.1:0"];
    if engine == "component" {
        arguments.extend(["--guest", path(guest())]);
    }
    arguments.extend(more);
    Server::start(command(&arguments, environment))
}

/// Serves what a configuration says, on a free port.
pub fn serve_config(engine: &str, config: &Path, environment: &[(&str, &str)]) -> Server {
    let mut arguments =
        vec!["serve", "--config", path(config), "--engine", engine, "--listen", "127.0.0.1:0"];
    if engine == "component" {
        arguments.extend(["--guest", path(guest())]);
    }
    Server::start(command(&arguments, environment))
}

impl Server {
    /// Starts it and waits for the line that says where it listens.
    pub fn start(mut command: Command) -> Self {
        let mut child = spawn(&mut command);
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let (told, lines) = channel();
        let stderr = std::thread::spawn(move || {
            let (mut text, mut line) = (String::new(), String::new());
            while log.read_line(&mut line).is_ok_and(|read| read > 0) {
                let _ = told.send(line.trim_end().to_owned());
                text.push_str(&line);
                line.clear();
            }
            text
        });
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        // Before it there may be the address of a database.
        let place = line.rsplit_once(" on ").map_or("", |(_, place)| place);
        let address = ["http://", "https://", "unix:"].iter().find_map(|scheme| place.split_once(scheme));
        let address = address.and_then(|(_, rest)| rest.split(',').next());
        let Some(address) = address.map(str::to_owned) else {
            panic!("no address in {line:?}; it said: {}", stderr.join().expect("its log"));
        };
        Server { child: Some(child), stdout, stderr: Some(stderr), lines: Mutex::new(lines), line, address }
    }

    /// Waits until it logs a line with this in it, and returns that.
    pub fn logs(&self, part: &str) -> String {
        let lines = self.lines.lock().expect("one waits");
        loop {
            let line = lines.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("no line with {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The next line that it says.
    pub fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line
    }

    /// Sends a signal, `TERM` or `INT`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("running").id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().expect("kill");
        assert!(status.success());
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Ended {
        let mut child = self.child.take().expect("running");
        let Some(status) = wait(&mut child) else {
            let _ = child.kill();
            panic!("the server does not end");
        };
        let mut stdout = self.line.clone();
        self.stdout.read_to_string(&mut stdout).expect("stdout");
        let stderr = self.stderr.take().expect("once").join().expect("its log");
        Ended { code: status.code(), stdout, stderr }
    }

    /// Ends it as a power cut would: without a chance to say or do anything.
    pub fn kill(mut self) {
        let mut child = self.child.take().expect("running");
        child.kill().expect("kill");
        child.wait().expect("wait");
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// Tells it to stop and waits: it must end well.
    pub fn stop(self) -> Ended {
        self.signal("TERM");
        let ended = self.wait();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    }
}

fn spawn(command: &mut Command) -> Child {
    loop {
        match command.spawn() {
            // A copy of the binary was still open for writing when another test forked, and is until that one's exec.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            child => return child.expect("the binary starts"),
        }
    }
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        if let Some(status) = child.try_wait().expect("wait") {
            return Some(status);
        }
        std::thread::yield_now();
    }
    None
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
