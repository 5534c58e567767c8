//! What is read, what is refused, and in which words.

use std::time::Duration;

use super::validate::is_base_path;
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
        schema = "several\nlines \u0001 of 'text'"
        [comments.table]
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
            assert!(!error.0.contains("unknown field"), "{key}: {error}");
        }
    }
}

#[test]
fn lists_in_all_their_forms() {
    let text = r#"
        [databases.main]
        hidden = "a, b"
        [middleware]
        cors_origins = ["https://a", "file:origins"]
        [auth.jwt]
        audience = "env:AUDIENCES"
        issuer = "https://i"
        [policies]
        bypass_roles = "env:ROLES"
        [[udf]]
        name = "f"
        sql = "SELECT 1"
        roles = "file:roles"
    "#;
    let environment = [("SQLITREST_DATABASES_MAIN_ATTACH", "main2,"), ("SQLITREST_API_ROOT", "")];
    let load = |environment: &[(&str, &str)]| Config::read("s.toml", text, environment.iter().copied());
    let (mut config, wrong) = load(&environment).expect("read");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert_eq!(config.databases["main"].attach, ["main2"]);
    assert_eq!(config.policies.as_ref().expect("policies").bypass_roles, ["env:ROLES"]);
    let wrong = config.read_files(&mut |reference| match reference {
        Reference::File("origins") => Ok("# ours\nhttps://b\n\n  https://c \n".to_owned()),
        Reference::File("roles") => Ok("x\ny".to_owned()),
        Reference::Env("AUDIENCES") => Ok("one, two".to_owned()),
        other => Err(format!("there is no {other:?}")),
    });
    let wrong: Vec<String> = wrong.into_iter().map(|error| error.0).collect();
    assert_eq!(wrong, ["policies.bypass_roles: there is no Env(\"ROLES\")"]);
    assert_eq!(config.databases["main"].hidden, ["a", "b"]);
    assert_eq!(config.middleware.cors_origins, ["https://a", "https://b", "https://c"]);
    assert_eq!(config.udf[0].roles, ["x", "y"]);
    let jwt = config.auth.as_ref().and_then(|auth| auth.jwt()).expect("jwt");
    assert_eq!(jwt.audience.as_ref().expect("audience").texts(), ["one", "two"]);
    assert_eq!(jwt.issuer.as_ref().expect("issuer").texts(), ["https://i"]);
    // Nobody is let in by a list that could not be read.
    assert_eq!(config.policies.expect("policies").bypass_roles, Vec::<String>::new());
}

#[test]
fn all_mistakes_at_once_with_their_places() {
    let text = "[pool]\nreaders_per_db = 0\n[api]\nbase_path = \"x\"\nproxy_uri = \"/v1\"\n\
        [[udf]]\nname = \"a\"\nsql = \"SELECT 1\"\n[[udf]]\nname = \"b c\"\nreturns = \"x\"\n";
    let environment = [("SQLITREST_MIDDLEWARE_REQUEST_TIMEOUT", "0s")];
    let (_, wrong) = Config::read("s.toml", text, environment).expect("read");
    let wrong: Vec<String> = wrong.into_iter().map(|error| error.0).collect();
    expect![[r#"
        s.toml:2:1: pool.readers_per_db must be at least 1
        environment: SQLITREST_MIDDLEWARE_REQUEST_TIMEOUT: middleware.request_timeout must be longer than 0: no request could be answered
        s.toml:4:1: api.base_path = "x" is no path: write "/rest/v1", or "" for the root
        s.toml:5:1: api.proxy_uri = "/v1" is no absolute URL: write "https://api.example.com/v1", or "" for none
        s.toml:10:1: function b c: it has no sql, and SQLite has no function of such a name or such parameters
        s.toml:11:1: function b c: returns = "x" is none of: void, scalar T, setof T, row TABLE, table TABLE, record, setof record"#]]
    .assert_eq(&wrong.join("\n"));
}

#[test]
fn functions_before_every_request() {
    let check = |more: &str, expected: Expect| {
        let text = format!("[api]\npre_request = \"guard\"\n{more}");
        let error = Config::load("s.toml", &text, []).map(drop).expect_err("this configuration is wrong");
        expected.assert_eq(&error.0);
    };
    check("", expect![[r#"s.toml:2:1: api.pre_request = "guard": there is no such function"#]]);
    check(
        "[[udf]]\nname = \"guards\"\nsql = \"SELECT 1\"\n",
        expect![[r#"s.toml:2:1: api.pre_request = "guard": there is no such function; perhaps guards"#]],
    );
    let guard = "[[udf]]\nname = \"guard\"\nsql = \"SELECT NULL\"\n";
    check(
        guard,
        expect![[
            r#"s.toml:2:1: api.pre_request = "guard": it must return void, scalar text or scalar json, where a value that is not NULL refuses the request"#
        ]],
    );
    check(
        &format!("{guard}params = [{{ name = \"a\" }}]\nreturns = \"void\"\n"),
        expect![[
            r#"s.toml:2:1: api.pre_request = "guard": it has parameters without a default, and nobody gives it arguments"#
        ]],
    );
    check(
        &format!("{guard}returns = \"void\"\n[databases.a]\n[databases.b]\n"),
        expect![[
            r#"s.toml:2:1: api.pre_request = "guard": requests for [databases.b] go by it, too, and it is no function of it; write database = "*" in the function"#
        ]],
    );
    check(
        &format!("{guard}returns = \"void\"\nreadonly = false\n[databases.a]\nmode = \"readonly\"\n"),
        expect![[
            r#"s.toml:2:1: api.pre_request = "guard": it writes (readonly = false), and no request may where databases.a.mode is readonly"#
        ]],
    );
    let good = format!("[api]\npre_request = \"guard\"\n{guard}returns = \"scalar text\"\n");
    let config = Config::load("s.toml", &good, []).expect("valid");
    assert!(config.pre_request().is_some_and(|udf| !udf.expose));
}

#[test]
fn proxy_uris() {
    let load = |uri: &str| Config::load("", &format!("[api]\nproxy_uri = {uri:?}\n"), []);
    for good in ["", "https://a", "http://127.0.0.1:3000/v1", "https://[::1]:80/"] {
        assert!(load(good).is_ok(), "{good}");
    }
    for bad in
        ["/v1", "a.b", "ftp://a", "https://", "https:///v1", "https://:80", "https://u:p@a", "https://a b"]
    {
        assert!(load(bad).is_err(), "{bad}");
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
        expect![[
            r#"sqlitrest.toml:2:1: unknown field `prot`, expected one of `host`, `port`, `unix_socket`, `unix_socket_mode`, `shutdown_timeout`, `max_body`, `max_header_size`, `max_headers`, `max_connections`, `header_timeout`, `engine`, `watch`; perhaps `port`"#
        ]],
    );
    check_error(
        "[server]\nport = \"x\"\n",
        &[],
        expect!["sqlitrest.toml:2:8: invalid type: a text, expected a whole number up to 65535"],
    );
    check_error("[server\n", &[], expect!["sqlitrest.toml:1:8: unclosed table, expected `]`"]);
    check_error(
        "[server]\nmax_body = \"ten\"\n",
        &[],
        expect!["sqlitrest.toml:2:12: `ten` is not a size: write 512, 64KiB, 10MiB or 1GiB"],
    );
    check_error(
        "[server]\nunix_socket_mode = \"999\"\n",
        &[],
        expect![[r#"sqlitrest.toml:2:20: `999` is no mode of a file: write "660", from "600" to "777""#]],
    );
    check_error(
        "[pool]\nreaders_per_db = 0\n",
        &[],
        expect!["sqlitrest.toml:2:1: pool.readers_per_db must be at least 1"],
    );
    check_error(
        "[middleware]\nrequest_timeout = \"0s\"\n",
        &[],
        expect![
            "sqlitrest.toml:2:1: middleware.request_timeout must be longer than 0: no request could be answered"
        ],
    );
    check_error(
        "[api]\nroot = \"home\"\n",
        &[],
        expect![[r#"sqlitrest.toml:2:1: api.root = "home" is none of the exposed functions"#]],
    );
    check_error(
        "[[udf]]\nname = \"x\"\nparams = [{ name = \"$\", type = \"text\" }]\n",
        &[],
        expect![
            "sqlitrest.toml:2:1: function x: it has no sql, and SQLite has no function of such a name or such parameters"
        ],
    );
    check_error(
        "[api]\nbase_path = \"rest/v1\"\n",
        &[],
        expect![[
            r#"sqlitrest.toml:2:1: api.base_path = "rest/v1" is no path: write "/rest/v1", or "" for the root"#
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
        expect![[
            r#"environment: SQLITREST_SERVER_PORT: invalid type: a text, expected a whole number up to 65535"#
        ]],
    );
}

/// A version is a text, and so is whatever stands where a text is wanted.
#[test]
fn what_looks_like_toml_may_be_a_text() {
    let env = [
        ("SQLITREST_API_OPENAPI_VERSION", "3.1"),
        ("SQLITREST_AUTH_JWT_AUDIENCE", "123"),
        ("SQLITREST_SERVER_PORT", "8080"),
        ("SQLITREST_API_ROOT", "true"),
        ("SQLITREST_ATTACH_PATHS", "./a, ./b"),
    ];
    let (config, _) = Config::read("", "", env).expect("valid");
    assert_eq!(config.api.openapi_version, OpenApiVersion::V3_1);
    assert_eq!((config.server.port, config.api.root.as_str()), (8080, "true"));
    let jwt = config.auth.as_ref().and_then(|auth| auth.jwt()).expect("jwt");
    assert_eq!(jwt.audience.as_ref().expect("audience").texts(), ["123"]);
    assert_eq!(config.attach.paths, ["./a", "./b"]);
    check_error(
        "",
        &[
            ("SQLITREST_API_ROOT", "1"),
            ("SQLITREST_API_OPENAPI_VERSION", "3.2"),
            ("SQLITREST_SERVER_PORT", "1"),
        ],
        expect![
            "environment: SQLITREST_API_OPENAPI_VERSION: unknown variant `3.2`, expected one of `3.1`, `3.0`, `2.0`"
        ],
    );
    check_error(
        "",
        &[("SQLITREST_SERVER_PORT", "70000")],
        expect!["environment: SQLITREST_SERVER_PORT: invalid value, expected a whole number up to 65535"],
    );
}

/// What is attached is held against the databases when it is known.
#[test]
fn databases_that_are_attached_by_reference() {
    let text = "[databases.main]\nattach = \"env:LIST\"\n[databases.logs]\n";
    let read = |list: &'static str| {
        let (mut config, wrong) = Config::read("s.toml", text, []).expect("read");
        assert_eq!(wrong, []);
        let wrong = config.read_files(&mut |_| Ok(list.to_owned()));
        (config.databases["main"].attach.join(" "), wrong)
    };
    assert_eq!(read("logs"), ("logs".to_owned(), Vec::new()));
    let (_, wrong) = read("log");
    let told = "databases.main.attach: there is no [databases.log]; perhaps logs";
    assert_eq!(wrong, [ConfigError(told.to_owned())]);
    assert_eq!(placed("s.toml", text, &[], told), format!("s.toml:2:1: {told}"));
    let own = [("SQLITREST_DATABASES_MAIN_ATTACH", "x")];
    assert_eq!(
        placed("s.toml", text, &own, told),
        format!("environment: SQLITREST_DATABASES_MAIN_ATTACH: {told}")
    );
    for bare in ["policies.toml:3:1: no", "there is no file a.db", "/a/b.toml cannot be read"] {
        assert_eq!(placed("s.toml", text, &[], bare), bare);
    }
}

#[test]
fn several_databases() {
    let text = "[databases.shop]\nattach = [\"logs\"]\n[databases.logs]\nmode = \"readonly\"\n[[udf]]\nname = \"a\"\nsql = \"1\"\n[[udf]]\nname = \"b\"\nsql = \"1\"\ndatabase = \"l*\"\n[fts.\"logs.t\"]\nindex = \"i\"\ncolumns = []\n[fts.u]\nindex = \"j\"\ncolumns = []\n";
    let config = Config::load("sqlitrest.toml", text, []).expect("valid");
    assert_eq!((config.database().0, config.schemas()), ("shop", vec!["shop", "logs"]));
    let named = |method, name: Option<&'static str>| {
        let field = if method == "GET" { "accept-profile" } else { "content-profile" };
        let headers: Vec<(&str, &[u8])> = name.map(|name| (field, name.as_bytes())).into_iter().collect();
        let request = crate::http::Request { method, target: "/", headers: &headers, body: b"" };
        config.database_of(&request).map(str::to_owned)
    };
    assert_eq!(named("GET", None).as_deref(), Some("shop"));
    assert_eq!(named("POST", Some("logs")).as_deref(), Some("logs"));
    assert_eq!(named("GET", Some("public")).as_deref(), Some("shop"));
    assert_eq!(named("GET", Some("other")), None);
    let of = |name| {
        let own = config.of_database(name);
        let functions: Vec<String> = own.udf.iter().map(|udf| udf.name.clone()).collect();
        let indexes: Vec<String> = own.fts.keys().cloned().collect();
        let known: Vec<String> = own.databases.keys().cloned().collect();
        // What is of one database stays as it is when it is asked again.
        assert_eq!(own.of_database(name), own);
        assert_eq!(own.database().0, name);
        (functions.concat(), indexes.concat(), known.concat())
    };
    assert_eq!(of("shop"), ("a".to_owned(), "u".to_owned(), "logsshop".to_owned()));
    assert_eq!(of("logs"), ("b".to_owned(), "t".to_owned(), "logs".to_owned()));
}
