//! Metrics: that Prometheus reads them, and that they are right after requests of which everything is known.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use rusqlite::Connection;

use crate::http::ask;
use crate::support::{ENGINES, Scratch};
use crate::{AUTH, Observed, token};

/// The samples of a page, by their names with their labels.
struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Reads every line: one that is neither a comment nor a sample fails the test.
    fn of(page: &str) -> Samples {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
        });
        Samples(samples.collect())
    }

    fn get(&self, name: &str) -> f64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no {name} in {:#?}", self.0.keys()))
    }

    /// The sum of all samples of this name, whatever their labels.
    fn sum(&self, name: &str) -> f64 {
        let is_it = |key: &str| key.split('{').next() == Some(name);
        self.0.iter().filter(|(key, _)| is_it(key)).map(|(_, value)| value).sum()
    }
}

fn requests(method: &str, route: &str, status: u16, role: &str) -> String {
    format!(
        "http_server_request_duration_seconds_count{{http_request_method=\"{method}\",http_route=\"{route}\",http_response_status_code=\"{status}\",role=\"{role}\"}}"
    )
}

const CONFIG: &str = r#"
[databases.main]
hidden = ["secret_*"]
[[udf]]
name = "answer"
expose = true
sql = "SELECT 42 AS n"
returns = "record"
[[udf]]
name = "internal"
sql = "SELECT 1 AS n"
"#;

#[test]
fn they_are_right_after_known_requests() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let sql = Connection::open(&database).expect("a database");
        sql.execute_batch("CREATE TABLE secret_plans (id INTEGER PRIMARY KEY)").expect("a table");
        drop(sql);
        let observed = Observed::start(engine, &scratch, &database, &format!("{AUTH}{CONFIG}"));
        let (author, ghost) = (token(&scratch, "author"), token(&scratch, "ghost"));
        let api = |target: &str, token: Option<&str>, status: u16| {
            let answer = observed.api(target, token);
            assert_eq!(answer.status, status, "{target}: {answer:?}");
        };
        for _ in 0..3 {
            api("/tracks?id=eq.1", None, 200);
        }
        api("/tr%61cks?id=eq.1", None, 200);
        api("/tracks?id=eq.2", Some(&author), 200);
        api("/nope", None, 404);
        api("/another/nope", None, 404);
        api("/secret_plans", None, 404);
        let function = observed.api("/rpc/answer", None);
        assert_eq!(function.status, 200, "{function:?}");
        api("/rpc/nope", None, 404);
        api("/rpc/internal", None, 404);
        let refused = observed.api("/tracks", Some(&ghost)).status;
        api("/tracks", Some("not.a.token"), 401);
        for name in ["x", "y"] {
            let body = format!(r#"{{"name":"{name}"}}"#);
            let bearer = format!("Bearer {author}");
            let answer = ask(&observed.api, "POST", "/tracks", &[("authorization", &bearer)], &body);
            assert_eq!(answer.status, 201, "{answer:?}");
        }

        let answer = observed.admin("/metrics");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("text/plain; version=0.0.4; charset=utf-8"))
        );
        let samples = Samples::of(&answer.body);
        for (sample, expected) in [
            (requests("GET", "/tracks", 200, "anon"), 4.0),
            (requests("GET", "/tracks", 200, "author"), 1.0),
            (requests("GET", "/{relation}", 404, "anon"), 2.0),
            (requests("GET", "other", 404, "anon"), 1.0),
            (requests("GET", "/rpc/answer", 200, "anon"), 1.0),
            (requests("GET", "/rpc/{function}", 404, "anon"), 2.0),
            (requests("GET", "/tracks", refused, "other"), 1.0),
            (requests("GET", "/tracks", 401, "none"), 1.0),
            (requests("POST", "/tracks", 201, "author"), 2.0),
        ] {
            assert_eq!(samples.get(&sample), expected, "{sample}");
        }
        assert_eq!(samples.sum("http_server_request_duration_seconds_count"), 15.0);
        assert_eq!(samples.get("http_server_active_requests"), 0.0);
        let posts = "{http_request_method=\"POST\",http_route=\"/tracks\"}";
        assert_eq!(samples.get(&format!("http_server_request_body_size_bytes_sum{posts}")), 24.0);
        let gets = "{http_request_method=\"GET\",http_route=\"/rpc/answer\"}";
        assert_eq!(
            samples.get(&format!("http_server_response_body_size_bytes_sum{gets}")),
            function.body.len() as f64
        );

        let main = "{db_namespace=\"main\"}";
        assert_eq!(samples.get(&format!("sqlitrest_writer_group_size_sum{main}")), 2.0);
        assert_eq!(samples.get(&format!("sqlitrest_writer_wait_seconds_count{main}")), 2.0);
        assert_eq!(samples.get(&format!("sqlitrest_writer_queue_length{main}")), 0.0);
        assert_eq!(samples.get(&format!("sqlitrest_database_up{main}")), 1.0);
        assert!(samples.get(&format!("sqlitrest_statement_cache_hits_total{main}")) > 0.0);
        assert!(samples.get(&format!("sqlitrest_statement_cache_misses_total{main}")) > 0.0);
        let pool = "db_client_connection_pool_name=\"readers\",db_namespace=\"main\"";
        assert_eq!(samples.get(&format!("db_client_connection_max{{{pool}}}")), 5.0);
        assert_eq!(
            samples.get(&format!("db_client_connection_count{{{pool},db_client_connection_state=\"used\"}}")),
            0.0
        );
        assert!(samples.get(&format!("db_client_connection_wait_time_seconds_count{{{pool}}}")) >= 6.0);
        assert!(samples.sum("db_client_operation_duration_seconds_count") >= 8.0);
        assert_eq!(samples.get("sqlitrest_http_connections_accepted_total"), 16.0);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            samples.get(&format!("sqlitrest_build_info{{version=\"{version}\",engine=\"{engine}\"}}")),
            1.0
        );
        let has_instances = samples.0.keys().any(|name| name.starts_with("sqlitrest_component_instances"));
        assert_eq!(has_instances, engine == "component");
        #[cfg(target_os = "linux")]
        assert!(samples.get("process_resident_memory_bytes") > 1e6 && samples.get("process_open_fds") > 3.0);

        // What is hidden or made up is in no label.
        for word in ["secret", "nope", "internal\"", "ghost"] {
            assert!(!answer.body.contains(word), "{word} is in\n{}", answer.body);
        }
        prometheus_reads(&answer.body);
        let open = ask(&observed.admin, "GET", "/metrics", &[("accept", "application/openmetrics-text")], "");
        assert!(open.body.ends_with("# EOF\n"), "{open:?}");
        assert_eq!(Samples::of(&open.body).get(&requests("GET", "/tracks", 200, "anon")), 4.0);
        observed.server.stop();
    }
}

/// Prometheus' own check, where it is installed (`cargo xtask test` sees to that). It only finds fault with a name that OpenTelemetry has
/// chosen.
fn prometheus_reads(page: &str) {
    let program = std::env::var_os("SQLITREST_PROMTOOL").unwrap_or_else(|| "promtool".into());
    let mut check = Command::new(program);
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = check.spawn() else { return };
    child.stdin.take().expect("piped").write_all(page.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let faults: Vec<&str> =
        said.lines().filter(|line| !line.contains("db_client_connection_count")).collect();
    // 3: it can be read, and something could be better.
    assert!(faults.is_empty() && matches!(output.status.code(), Some(0 | 3)), "{:?}: {said}", output.status);
}

#[test]
fn a_table_that_is_made_later_has_a_label() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let observed = Observed::start("component", &scratch, &database, "");
    let is_known = || {
        assert_eq!(observed.api("/later", None).status, 200);
        observed.admin("/metrics").body.contains("http_route=\"/later\"")
    };
    assert_eq!(observed.api("/later", None).status, 404);
    let sql = Connection::open(&database).expect("a database");
    sql.execute_batch("CREATE TABLE later (id INTEGER PRIMARY KEY)").expect("a table");
    // The names are read again beside requests.
    while !is_known() {}
    observed.server.stop();
}

#[test]
fn an_answer_that_is_sent_while_it_is_read_counts_whole() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let sql = Connection::open(&database).expect("a database");
        sql.execute_batch(
            "CREATE VIEW many AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 200000) SELECT n FROM c",
        )
        .expect("a view");
        let observed = Observed::start(engine, &scratch, &database, "");
        let mut client = crate::support::Client::connect(&observed.api);
        assert!(client.request("GET", "/many", ""));
        let reply = client.reply(false).expect("a reply");
        assert!(reply.whole && reply.header("content-length").is_none(), "{:?}", reply.headers);
        let samples = Samples::of(&observed.admin("/metrics").body);
        let many = "{http_request_method=\"GET\",http_route=\"/many\"}";
        assert_eq!(
            samples.get(&format!("http_server_response_body_size_bytes_sum{many}")),
            reply.body.len() as f64
        );
        assert_eq!(samples.get("http_server_active_requests"), 0.0);
        observed.server.stop();
    }
}

#[test]
fn off_there_are_none() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let observed = Observed::start("native", &scratch, &database, "[admin]\nmetrics = false");
    assert_eq!(observed.api("/tracks", None).status, 200);
    assert_eq!(observed.admin("/metrics").status, 404);
    assert_eq!(observed.api("/metrics", None).status, 404);
    observed.server.stop();
}
