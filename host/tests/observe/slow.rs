//! Slow queries: text, time and plan, and no values.

use rusqlite::Connection;
use serde_json::Value as Json;

use crate::Observed;
use crate::http::ask;
use crate::support::{ENGINES, Scratch};

/// Counts to three million, which takes longer than a millisecond anywhere.
const SLOW: &str = "CREATE VIEW slow AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3000000) SELECT max(n) AS n FROM c";

/// Whether it is of the view.
fn is_slow(told: &Json) -> bool {
    told["sql"].as_str().is_some_and(|sql| sql.contains("\"slow\""))
}

#[test]
fn they_have_their_plan_and_no_values() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        Connection::open(&database).expect("a database").execute_batch(SLOW).expect("a view");
        let config = "[log]\nslow_query = \"1ms\"\nformat = \"json\"\n[debug]\nenabled = true\n";
        let observed = Observed::start(engine, &scratch, &database, config);
        let field = [("x-request-id", "slow-1")];
        let answer = ask(&observed.api, "GET", "/slow?n=gt.31337", &field, "");
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"[{"n":3000000}]"#), "{answer:?}");
        // The plan is made afterwards. Reading the schema for the first time may be slow, too.
        let slow = loop {
            let all = observed.admin("/_debug/slow-queries").json();
            let found =
                all["slow_queries"].as_array().expect("a list").iter().find(|slow| is_slow(slow)).cloned();
            if let Some(found) = found {
                break found;
            }
        };
        let sql = slow["sql"].as_str().expect("a text");
        assert!(!sql.starts_with("/*") && !sql.contains("31337"), "{sql}");
        assert_eq!((&slow["database"], &slow["request"]), (&"main".into(), &"GET /slow".into()));
        assert_eq!(slow["request_id"], "slow-1");
        assert!(slow["duration_ms"].as_f64().is_some_and(|took| took > 1.0), "{slow}");
        let plan = slow["plan"].as_array().expect("a plan");
        assert!(plan.iter().any(|step| step.as_str().is_some_and(|step| step.contains("SCAN c"))), "{slow}");
        let page = observed.admin("/_debug/slow-queries").json();
        assert_eq!(page["threshold_ms"], 1.0);
        assert!(page["next"][0].as_str().is_some_and(|next| next.contains("/_debug/explain")), "{page}");
        let metrics = observed.admin("/metrics").body;
        let count = metrics.lines().find_map(|line| line.strip_prefix("sqlitrest_slow_queries_total "));
        assert!(count.is_some_and(|count| count != "0"), "{metrics}");

        let ended = observed.server.stop();
        let lines = ended.stderr.lines().map(|line| serde_json::from_str::<Json>(line).expect("JSON"));
        let line = lines.filter(is_slow).find(|line| line["message"] == "slow query").expect("a line");
        assert_eq!((&line["level"], &line["request_id"]), (&"WARN".into(), &"slow-1".into()));
        assert_eq!((&line["sql"], &line["target"]), (&slow["sql"], &"sqlitrest::slow_query".into()));
        assert!(line["plan"].as_str().is_some_and(|plan| plan.contains("SCAN c")), "{line}");
        assert!(!ended.stderr.contains("31337"), "{}", ended.stderr);
    }
}

/// Its message says nothing of what its tool asks.
#[test]
fn of_an_agent_it_is_told_what_its_tool_asks() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        Connection::open(&database).expect("a database").execute_batch(SLOW).expect("a view");
        let config = "[log]\nslow_query = \"1ms\"\n[debug]\nenabled = true\n[mcp]\nenabled = true\n";
        let observed = Observed::start(engine, &scratch, &database, config);
        let fields = [
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2025-06-18"),
            ("x-request-id", "agent-1"),
        ];
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_rows","arguments":{"relation":"slow","query":"n=gt.31337"}}}"#;
        let answer = ask(&observed.api, "POST", "/_mcp", &fields, call);
        assert!(answer.status == 200 && answer.body.contains("3000000"), "{answer:?}");
        let slow = loop {
            let all = observed.admin("/_debug/slow-queries").json();
            let found =
                all["slow_queries"].as_array().expect("a list").iter().find(|slow| is_slow(slow)).cloned();
            if let Some(found) = found {
                break found;
            }
        };
        assert_eq!((&slow["request"], &slow["request_id"]), (&"GET /slow".into(), &"agent-1".into()));
        observed.server.stop();
    }
}

#[test]
fn what_writes_can_be_slow_too() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let sql = Connection::open(&database).expect("a database");
    sql.execute_batch(SLOW).expect("a view");
    let trigger = "CREATE TRIGGER long AFTER INSERT ON albums BEGIN
        UPDATE tracks SET name = name WHERE id = (SELECT n FROM slow); END";
    sql.execute_batch(trigger).expect("a trigger");
    let config = "[log]\nslow_query = \"1ms\"\n[debug]\nenabled = true\n";
    let observed = Observed::start("native", &scratch, &database, config);
    assert_eq!(ask(&observed.api, "POST", "/albums", &[], r#"{"title":"long"}"#).status, 201);
    let is_insert = |slow: &Json| slow["sql"].as_str().is_some_and(|sql| sql.contains("INSERT INTO"));
    let is_told = || {
        let all = observed.admin("/_debug/slow-queries").json();
        all["slow_queries"].as_array().expect("a list").iter().any(is_insert)
    };
    while !is_told() {}
    observed.server.stop();
}
