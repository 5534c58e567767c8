//! That nothing secret and no value of a request is in anything that a server tells of itself, while all of it is on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Connection;

use crate::collector::Collector;
use crate::http::ask;
use crate::support::{ENGINES, Scratch, path, run};
use crate::{AUTH, Observed, SECRET, token};

#[test]
fn they_are_nowhere() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let slow = "CREATE VIEW slow AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000000) SELECT max(n) AS n FROM c";
        Connection::open(&database).expect("a database").execute_batch(slow).expect("a view");
        let collector = Collector::start();
        let config = format!(
            "{AUTH}[auth.apikey]\nsource = \"file:./keys.toml\"\n[auth.basic]\nenabled = true\nsource = \"file:./users.toml\"\n\
             [log]\nformat = \"json\"\nrequests = true\nslow_query = \"1ms\"\n[debug]\nenabled = true\n\
             [telemetry]\nendpoint = \"{}\"\nheaders = {{ x-collector-token = \"c0llect0r\" }}\n",
            collector.endpoint
        );
        scratch.file("users.toml", "");
        let settings = scratch.file("sqlitrest.toml", &config);
        scratch.file("keys.toml", "");
        let made = run(&["apikey", "new", "--role", "author", "--config", path(&settings)], &[]);
        assert_eq!(made.code, Some(0), "{made:?}");
        let api_key = made.stdout.split_whitespace().max_by_key(|word| word.len()).expect("a key").to_owned();
        let observed = Observed::start(engine, &scratch, &database, &config);
        let bearer = token(&scratch, "author");
        let basic = STANDARD.encode("ida:passw0rd-of-ida");
        let send = |method: &str, target: &str, field: (&str, &str), body: &str| {
            ask(&observed.api, method, target, &[field], body).status
        };
        assert_eq!(
            send("GET", "/tracks?name=eq.hunter2", ("authorization", &format!("Bearer {bearer}")), ""),
            200
        );
        assert_eq!(send("GET", "/slow?n=lt.31337", ("x-api-key", &api_key), ""), 200);
        assert_eq!(
            send("GET", "/tracks?name=eq.hunter2", ("authorization", &format!("Basic {basic}")), ""),
            401
        );
        assert_eq!(send("GET", "/tracks", ("authorization", &format!("Bearer {bearer}x")), ""), 401);
        assert_eq!(send("GET", "/tracks", ("cookie", "session=c00kie"), ""), 200);
        assert_eq!(send("POST", "/tracks", ("x-api-key", &api_key), r#"{"name":"b0dy"}"#), 201);
        assert_eq!(send("POST", "/tracks", ("x-api-key", &api_key), r#"{"id":1,"name":"b0dy"}"#), 409);
        assert_eq!(send("GET", "/tracks?id=eq.not-a-numb3r", ("x-api-key", &api_key), ""), 400);
        while observed.admin("/_debug/slow-queries").json()["slow_queries"] == serde_json::json!([]) {}
        let mut told = String::new();
        for page in [
            "/metrics",
            "/health",
            "/_debug",
            "/_debug/slow-queries",
            "/_debug/errors",
            "/_debug/pools",
            "/_debug/config",
            "/_schema",
        ] {
            told += &observed.admin(page).body;
        }
        let ended = observed.server.stop();
        told += &ended.stderr;
        told += &ended.stdout;
        let spans = collector.spans();
        assert!(spans.len() > 10, "{spans:?}");
        told += &format!("{spans:?}");
        let (_, signature) = bearer.rsplit_once('.').expect("a token");
        for secret in [
            SECRET,
            &bearer,
            signature,
            &api_key,
            &basic,
            "passw0rd",
            "hunter2",
            "31337",
            "c00kie",
            "b0dy",
            "not-a-numb3r",
            "c0llect0r",
        ] {
            assert!(!told.contains(secret), "{engine}: {secret} is in\n{told}");
        }
    }
}
