//! The commands for policies: `explain`, `policy test`, and a start that ends where policies do not fit.

mod support;

use std::path::{Path, PathBuf};

use support::{Scratch, path, run};

fn example(name: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name).join(file)
}

#[test]
fn the_examples_keep_their_policies() {
    for name in ["multi-tenant", "rbac", "privacy", "blog", "todo", "edge"] {
        let (tests, config) = (example(name, "policy_tests.toml"), example(name, "sqlitrest.toml"));
        let ended = run(&["policy", "test", path(&tests), "--config", path(&config)], &[]);
        assert_eq!(ended.code, Some(0), "{name}\n{}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.ends_with(" tests, 0 failed\n"), "{}", ended.stdout);
    }
}

#[test]
fn a_test_that_fails_says_why_and_where() {
    let scratch = Scratch::new();
    let tests = scratch.path("tests.toml");
    let schema = example("rbac", "schema.sql");
    let text = format!(
        "sql = [{schema:?}]\n\n[[test]]\nname = \"right\"\nrequest = \"GET /articles?select=id&order=id\"\nrows = [{{ id = 10 }}]\n\n\
         [[test]]\nname = \"wrong\"\nrequest = \"GET /articles?select=id\"\nrows = []\ncount = 2\n\n\
         [[test]]\nname = \"refused\"\nrequest = \"DELETE /articles?id=eq.1\"\n"
    );
    std::fs::write(&tests, text).expect("written");
    let config = example("rbac", "sqlitrest.toml");
    let ended = run(&["policy", "test", path(&tests), "--config", path(&config)], &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let shown = path(&tests);
    for part in [
        "ok      right\n",
        &format!("FAILED  wrong ({shown}:8)\n        rows [{{\"id\":10}}], not []\n        1 rows, not 2\n"),
        &format!("FAILED  refused ({shown}:14)\n        status 401: "),
        "3 tests, 2 failed\n",
    ] {
        assert!(ended.stdout.contains(part), "{part} is not in\n{}", ended.stdout);
    }
    let ended = run(&["policy", "test", path(&tests), "--config", path(&config), "--json"], &[]);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!((&json["failed"], &json["tests"][1]["line"]), (&2.into(), &8.into()), "{json}");
    std::fs::write(&tests, "[[test]]\nname = \"x\"\nreqest = \"GET /\"\n").expect("written");
    let ended = run(&["policy", "test", path(&tests), "--config", path(&config)], &[]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("tests.toml:3: unknown field `reqest`"), "{}", ended.stderr);
}

#[test]
fn explain() {
    let scratch = Scratch::new();
    let database = scratch.path("magazine.db");
    let made = run(&["create-database", path(&example("rbac", "schema.sql")), path(&database)], &[]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let config = example("rbac", "sqlitrest.toml");
    let of = |more: &[&str]| {
        let mut arguments = vec!["explain"];
        arguments.extend(more);
        arguments.extend(["--config", path(&config), "--database", path(&database)]);
        run(&arguments, &[])
    };
    let ended = of(&["GET /articles?select=id,title&id=eq.10", "--role", "author", "--sub", "1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for part in [
        "role      author\n",
        "permissive \"authors read their own\" (",
        "policies.toml:18), select\n    using author_id = current_user_id()\n",
        "WITH \"visible articles\" AS NOT MATERIALIZED (SELECT \"the row\".rowid AS rowid, \"the row\".\"id\" AS \"id\"",
        "parameters [\"1\", ",
        "SEARCH the row USING INTEGER PRIMARY KEY (rowid=?)",
    ] {
        assert!(ended.stdout.contains(part), "{part} is not in\n{}", ended.stdout);
    }
    let ended =
        of(&["PATCH /articles?id=eq.11", "--body", "{\"title\": \"x\"}", "--role", "author", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(json["statements"][1]["step"], "expect none", "{json}");
    assert_eq!(json["relations"][0]["name"], "articles", "{json}");
    let ended = of(&["GET /audit"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("permission denied for table audit"), "{}", ended.stderr);
    // Programs are told in the form of every other report, too.
    let ended = of(&["GET /audit", "--json"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("permission denied for table audit"), "{}", ended.stderr);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!((&json["refused"]["code"], &json["statements"]), (&"42501".into(), &serde_json::json!([])));
    assert!(json["next"].as_array().is_some_and(|next| !next.is_empty()), "{json}");
    let ended = of(&["GET articles"]);
    assert!(ended.stderr.contains("begins with no slash"), "{}", ended.stderr);
}

#[test]
fn policies_that_do_not_fit_end_the_start() {
    let scratch = Scratch::new();
    let database = scratch.database("music.db");
    let config = scratch.path("sqlitrest.toml");
    let policies = scratch.path("policies.toml");
    std::fs::write(&config, "[policies]\nfile = \"policies.toml\"\n").expect("written");
    let start = |text: &str| {
        std::fs::write(&policies, text).expect("written");
        let ended = run(
            &[
                "serve",
                path(&database),
                "--config",
                path(&config),
                "--engine",
                "native",
                "--listen",
                "127.0.0.1:0",
            ],
            &[],
        );
        assert_eq!(ended.code, Some(2), "{}", ended.stdout);
        ended.stderr
    };
    let message = start("[[policy]]\nname = \"own\"\ntable = \"tracks\"\nusing = \"\"\"\nownr = 1\"\"\"\n");
    assert!(
        message.contains("policies.toml:4: policy \"own\", tracks: using: there is no column ownr"),
        "{message}"
    );
    let message = start("[[policy]]\nname = \"own\"\ntable = \"trakcs\"\n");
    assert!(
        message.contains(
            "policies.toml:1: policy \"own\": there is no exposed table or view trakcs; perhaps tracks"
        ),
        "{message}"
    );
    let message = start(
        "[[policy]]\nname = \"own\"\ntable = \"tracks\"\nusing = \"random() > 0\"\n[policy.columns]\nmasked = { nam = \"1\" }\n",
    );
    assert!(message.contains("columns.masked: there is no column nam; perhaps name"), "{message}");
    let message = start("[[policy]]\nname = \"own\"\ntable = \"tracks\"\nusing = \"random() > 0\"\n");
    assert!(
        message.contains(
            "policies.toml:4: policy \"own\", tracks: using: random gives another result each time"
        ),
        "{message}"
    );
    let message =
        start("[[policy]]\nname = \"own\"\ntable = \"tracks\"\nusing = \"1; DELETE FROM tracks\"\n");
    assert!(message.contains("it must be one expression"), "{message}");
    std::fs::remove_file(&policies).expect("removed");
    let ended = run(&["serve", path(&database), "--config", path(&config)], &[]);
    assert!(ended.stderr.contains("policies.file: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("policies.toml cannot be read"), "{}", ended.stderr);
}
