//! What is read, what is refused, and in which words.

use std::time::Duration;

use super::*;
use expect_test::{Expect, expect};

fn check_error(text: &str, environment: &[(&str, &str)], expected: Expect) {
    let error = Config::load("sqlitrest.toml", text, environment.iter().copied())
        .expect_err("this configuration is wrong");
    expected.assert_eq(&error.to_string());
}

#[test]
fn nothing_is_the_default() {
    let config = Config::load("", "", []).expect("empty");
    assert_eq!(config, Config::default());
    assert_eq!(config.database().0, "main");
}

#[test]
fn environment_overrides_the_file() {
    let text = "[server]\nport = 1\nhost = \"::1\"\n[databases.main]\npath = \"a.db\"\n";
    let env = [
        ("SQLITREST_SERVER_PORT", "8080"),
        ("SQLITREST_DATABASES_MAIN_HIDDEN", "[\"x*\"]"),
        ("SQLITREST_POOL_BUSY_TIMEOUT", "250ms"),
        ("PATH", "/bin"),
    ];
    let config = Config::load("sqlitrest.toml", text, env).expect("valid");
    assert_eq!((config.server.port, config.server.host.as_str()), (8080, "::1"));
    assert_eq!(config.database().1.hidden, ["x*"]);
    assert_eq!(config.pool.busy_timeout.0, Duration::from_millis(250));
    let again = Config::load("copy", &config.to_text().expect("written"), []).expect("read");
    assert_eq!(again, config);
}

/// Nothing else changes, whatever stands in the file.
#[test]
fn environment_leaves_the_rest() {
    let text = r#"
        [api]
        max_rows = 7
        [databases.main]
        path = "a.db"
        hidden = ["x*", 'y"']
        [log]
        level = "info"
        since = 2024-01-02T03:04:05Z
        [log.more]
        deep = [{ a = 1 }, { b = [1.5, inf, -0.0] }]
        [comments]
        posts = "several\nlines \u0001 of 'text'"
        [comments.of]
        posts = """
"""
        [[udf]]
        name = "f"
        sql = """SELECT :a,
            "b" """
        returns = "scalar integer"
        [[udf.params]]
        name = "a"
        type = "text"
        default = 1.0
        [[udf.params]]
        name = "b"
        type = "text"
        default = 07:32:00
        [[policies.policy]]
        name = "own"
        table = "posts"
        using = "author = current_user_id()"
        columns = { masked = { "a.b" = "NULL", "é" = "1" } }
        [[policies.policy]]
        name = "all"
        table = "*"
    "#;
    let plain = Config::load("sqlitrest.toml", text, []).expect("valid");
    let set = Config::load("sqlitrest.toml", text, [("SQLITREST_API_MAX_ROWS", "8")]).expect("valid");
    assert_eq!((plain.api.max_rows, set.api.max_rows), (7, 8));
    assert_eq!(Config { api: plain.api.clone(), ..set }, plain);
}

#[test]
fn every_known_key_exists() {
    for key in KEYS {
        let name = format!("SQLITREST_{}", key.to_uppercase().replace('.', "_"));
        // A list fits one key alone; what matters is that no key is unknown.
        if let Err(error) = Config::load("", "", [(name.as_str(), "[1]")]) {
            assert!(!error.0.contains("unknown"), "{key}: {error}");
        }
    }
}

#[test]
fn base_paths() {
    for good in ["", "/api", "/rest/v1", "/a-b_c.d~"] {
        assert!(is_base_path(good), "{good}");
    }
    for bad in ["/", "rest", "/rest/", "//rest", "/a//b", "/a/../b", "/a b", "/%61", "/a?b"] {
        assert!(!is_base_path(bad), "{bad}");
    }
}

#[test]
fn mistakes_are_explained() {
    check_error(
        "[server]\nprot = 1\n",
        &[],
        expect![
            "sqlitrest.toml:2:1: unknown field `prot`, expected one of `host`, `port`, `shutdown_timeout`, `max_body`, `engine`, `watch`; perhaps `port`"
        ],
    );
    check_error(
        "[server]\nport = \"x\"\n",
        &[],
        expect![[r#"sqlitrest.toml:2:8: invalid type: string "x", expected u16"#]],
    );
    check_error("[server\n", &[], expect!["sqlitrest.toml:1:8: unclosed table, expected `]`"]);
    check_error(
        "[server]\nmax_body = \"ten\"\n",
        &[],
        expect!["sqlitrest.toml:2:12: `ten` is not a size: write 512, 64KiB, 10MiB or 1GiB"],
    );
    check_error(
        "[pool]\nreaders_per_db = 0\n",
        &[],
        expect!["sqlitrest.toml: pool.readers_per_db must be at least 1"],
    );
    check_error(
        "[databases.a]\n[databases.b]\n",
        &[],
        expect!["sqlitrest.toml: [databases] names 2 (a, b), but this version serves one"],
    );
    check_error(
        "[middleware]\nrequest_timeout = \"0s\"\n",
        &[],
        expect![
            "sqlitrest.toml: middleware.request_timeout must be longer than 0: no request could be answered"
        ],
    );
    check_error(
        "[api]\nroot = \"home\"\n",
        &[],
        expect![[r#"sqlitrest.toml: api.root = "home" is none of the exposed functions"#]],
    );
    check_error(
        "[[udf]]\nname = \"x\"\nparams = [{ name = \"$\", type = \"text\" }]\n",
        &[],
        expect![
            "sqlitrest.toml: function x: it has no sql, and SQLite has no function of such a name or such parameters"
        ],
    );
    check_error(
        "[api]\nbase_path = \"rest/v1\"\n",
        &[],
        expect![[
            r#"sqlitrest.toml: api.base_path = "rest/v1" is no path: write "/rest/v1", or "" for the root"#
        ]],
    );
    check_error(
        "",
        &[("SQLITREST_SERVER_PROT", "1")],
        expect!["environment: SQLITREST_SERVER_PROT sets no known key; perhaps SQLITREST_SERVER_PORT"],
    );
    check_error(
        "",
        &[("SQLITREST_SERVER_PORT", "x")],
        expect![[r#"environment: invalid type: string "x", expected u16"#]],
    );
}
