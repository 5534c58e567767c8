//! The configuration as it is in effect, for whoever asks why something is as it is. Shown is what stands in a list here, and of
//! anything else only that it is set: a key that is added later is a secret until somebody says that it is none.

use serde_json::{Map, Value as Json, json};

use crate::auth::config::reference;
use crate::config::{ApiKeys, Auth, Basic, Config, DatabaseFile, Jwt};
use crate::policy;

/// What stands between the names of a path: a name may have dots.
const BETWEEN: char = '\u{1f}';

/// What stands for a value that is not shown.
const SET: &str = "(set)";

/// What is shown. `*` stands for a name that the configuration gives, and for each item of a list.
const SHOWN: &[(&str, &[&str])] = &[
    (
        "server",
        &[
            "host",
            "port",
            "unix_socket",
            "unix_socket_mode",
            "shutdown_timeout",
            "max_body",
            "max_header_size",
            "max_headers",
            "max_connections",
            "header_timeout",
            "engine",
            "watch",
        ],
    ),
    ("databases.*", &["path", "mode", "hidden", "attach"]),
    ("pool", &["readers_per_db", "busy_timeout", "wal_checkpoint_interval", "synchronous"]),
    (
        "api",
        &[
            "max_rows",
            "aggregates",
            "plan",
            "require_filter",
            "tx_end",
            "legacy_target_names",
            "trace_header",
            "root",
            "pre_request",
            "openapi",
            "openapi_security_active",
            "docs",
            "openapi_version",
            "proxy_uri",
            "error_verbosity",
            "server_timing",
            "base_path",
            "anonymous_role",
        ],
    ),
    ("auth", &["enabled"]),
    (
        "auth.jwt",
        &[
            "enabled",
            "algorithm",
            "secret_is_base64",
            "audience",
            "issuer",
            "role_claim",
            "validate_exp",
            "validate_nbf",
            "validate_iss",
            "validate_aud",
            "leeway",
            "jwks_refresh_interval",
            "cookie",
        ],
    ),
    ("auth.apikey", &["enabled", "header"]),
    ("auth.basic", &["enabled"]),
    ("auth.roles", &["*"]),
    (
        "middleware",
        &[
            "cors_origins",
            "compression",
            "compression_min_size",
            "rate_limit_per_ip",
            "rate_limit_per_ip_burst",
            "rate_limit_per_identity",
            "rate_limit_per_identity_burst",
            "trusted_proxies",
            "request_timeout",
        ],
    ),
    ("policies", &["file", "default_action", "bypass_roles"]),
    (
        "policies.policy.*",
        &[
            "name",
            "database",
            "table",
            "tables",
            "except",
            "operations",
            "roles",
            "kind",
            "using",
            "check",
            "security",
        ],
    ),
    ("policies.policy.*.columns", &["visible", "hidden", "writable"]),
    ("policies.policy.*.columns.masked", &["*"]),
    (
        "udf.*",
        &[
            "name",
            "expose",
            "readonly",
            "deterministic",
            "volatility",
            "description",
            "returns",
            "media_type",
            "roles",
            "response_status",
            "database",
            "security",
        ],
    ),
    // A default is told to whoever may call the function, by `/_schema` and by OpenAPI.
    ("udf.*.params.*", &["name", "type", "variadic", "default"]),
    ("udf.*.column_types", &["*"]),
    ("computed_column.*", &["table", "name", "type", "database"]),
    ("computed_relationship.*", &["table", "name", "target", "single", "database"]),
    ("data_representation.*", &["column", "type", "database"]),
    ("column_types.*", &["*"]),
    ("fts.*", &["index", "columns"]),
    ("comments", &["schema"]),
    ("comments.table", &["*"]),
    ("comments.column", &["*"]),
    ("attach", &["paths", "most"]),
    ("debug", &["enabled", "require_admin", "admin_role"]),
    ("log", &["level", "format", "requests", "slow_query"]),
    ("admin", &["listen", "unix_socket", "unix_socket_mode", "hosts", "metrics", "health_on_api"]),
    ("telemetry", &["service_name", "sample_ratio", "timeout"]),
    (
        "audit",
        &[
            "file",
            "database",
            "denied",
            "reads",
            "values",
            "queue",
            "on_full",
            "before_answer",
            "sync",
            "rotate_size",
            "rotate_every",
            "keep",
            "keep_for",
        ],
    ),
    ("backup", &["directory", "every", "at", "timezone", "keep", "databases"]),
    ("mcp", &["enabled", "write", "max_rows", "max_bytes", "timeout"]),
    ("tls", &["certificate"]),
    ("static", &["directory"]),
];

/// Addresses, shown without what may be a password: whoever stands before the `@`, and what stands behind the `?`.
const ADDRESSES: [&str; 3] = ["databases.*.url", "auth.jwt.jwks_url", "telemetry.endpoint"];

/// Shown where they say where something is, and are not the thing itself.
const REFERENCES: [&str; 4] =
    ["databases.*.auth_token", "auth.jwt.secret", "auth.apikey.source", "auth.basic.source"];

/// The configuration without its secrets, what of it is not as it is by default, and what to do next. `sections` are those of a host,
/// as they are in effect, by their names; `defaults` is what they are where nothing is said.
pub fn told(config: &Config, sections: &Json, defaults: &Json) -> Json {
    let configuration = shown(tree(config, sections), "");
    let mut changed = Vec::new();
    differing(&configuration, &shown(tree(&by_default(config), defaults), ""), "", &mut changed);
    json!({ "configuration": configuration, "changed": changed, "next": next(config) })
}

fn tree(config: &Config, sections: &Json) -> Json {
    let mut all = serde_json::to_value(config).unwrap_or_default();
    if let (Json::Object(all), Json::Object(sections)) = (&mut all, sections) {
        all.extend(sections.clone());
    }
    all
}

/// What the sections that a configuration has are by default: those that need not be there, too.
fn by_default(config: &Config) -> Config {
    let auth = |auth: &Auth| Auth {
        jwt: auth.jwt.as_ref().map(|_| Jwt::default()),
        apikey: auth.apikey.as_ref().map(|_| ApiKeys::default()),
        basic: auth.basic.as_ref().map(|_| Basic::default()),
        ..Auth::default()
    };
    let file = |name: &String| (name.clone(), DatabaseFile::at(String::new()));
    Config {
        databases: config.databases.keys().map(file).collect(),
        auth: config.auth.as_ref().map(auth),
        policies: config.policies.as_ref().map(|_| policy::Settings::default()),
        ..Config::default()
    }
}

/// What to do next, in sentences.
fn next(config: &Config) -> Vec<String> {
    let mut next = vec![
        "To change something, change the file or the environment, and POST /_debug/reload-schema; `sqlitrest check` tells of mistakes first."
            .to_owned(),
    ];
    next.extend(config.auth_warnings());
    if config.policies.is_none() {
        next.push(
            "There are no [policies]: everyone may read and write everything that is exposed.".to_owned(),
        );
    }
    next
}

/// Whether a path is one that is shown.
fn is_shown(path: &str) -> bool {
    SHOWN.iter().any(|(table, keys)| keys.iter().any(|key| fits(table.split('.').chain([*key]), path)))
}

/// Whether a path is one of these.
fn is_among(keys: &[&str], path: &str) -> bool {
    keys.iter().any(|key| fits(key.split('.'), path))
}

/// Whether a path is that of a pattern.
fn fits<'p>(mut pattern: impl Iterator<Item = &'p str>, path: &str) -> bool {
    let mut parts = path.split(BETWEEN);
    pattern.all(|own| parts.next().is_some_and(|part| own == "*" || own == part)) && parts.next().is_none()
}

/// A value without what is not shown.
fn shown(value: Json, path: &str) -> Json {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}{BETWEEN}{name}") };
    match value {
        _ if is_shown(path) => value,
        Json::Object(members) => {
            let of = |(name, value): (String, Json)| {
                let told = shown(value, &below(&name));
                (!told.is_null()).then_some((name, told))
            };
            Json::Object(members.into_iter().filter_map(of).collect::<Map<String, Json>>())
        }
        Json::Array(items) if items.iter().any(Json::is_object) => {
            Json::Array(items.into_iter().map(|item| shown(item, &below(""))).collect())
        }
        Json::Null => Json::Null,
        Json::String(text) if text.is_empty() => Json::Null,
        Json::Array(items) if items.is_empty() => Json::Null,
        Json::String(text) if is_among(&ADDRESSES, path) => json!(address(&text)),
        Json::String(text) if is_among(&REFERENCES, path) && reference(&text).is_some() => json!(text),
        _ => json!(SET),
    }
}

/// An address without what may be a password.
fn address(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => SET.to_owned(),
    }
}

/// The paths of what is not as it is by default.
fn differing(own: &Json, default: &Json, path: &str, found: &mut Vec<String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (own, default) {
        (Json::Object(own), default) => {
            for (name, value) in own {
                differing(value, default.get(name).unwrap_or(&Json::Null), &below(name), found);
            }
        }
        (own, default) if own != default => found.push(path.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;

    /// What the environment can set and nobody is shown; a replica is refused, so that there is none to be shown.
    const SECRET: [&str; 3] = ["audit.key", "tls.key", "databases.main.replica"];

    #[test]
    fn every_key_is_shown_or_known_to_be_a_secret() {
        for key in KEYS {
            let path = key.replace('.', &BETWEEN.to_string());
            let is_known =
                is_among(&ADDRESSES, &path) || is_among(&REFERENCES, &path) || SECRET.contains(key);
            assert!(is_shown(&path) != is_known, "{key}");
        }
    }

    #[test]
    fn no_secret_is_told() {
        let text = r#"
            [auth.jwt]
            secret = "HIDDEN-secret-of-at-least-32-bytes!!"
            jwks_url = "https://keys.example.com/HIDDENnot?token=HIDDEN"
            [auth.apikey]
            source = "file:./apikeys.toml"
            [auth.basic]
            source = "env:USERS"
            [auth.roles]
            boss = ["editor"]
            [databases."a.b"]
            path = "a.db"
            [databases.far]
            url = "libsql://music.example"
            auth_token = "HIDDEN-token"
            [databases.farther]
            url = "https://music.example/db"
            auth_token = "env:MUSIC_TOKEN"
            [[udf]]
            name = "f"
            expose = true
            sql = "SELECT 'HIDDEN'"
            response_headers = [["X-Token", "HIDDEN"]]
            params = [{ name = "n", type = "integer", default = 7 }]
            [[computed_column]]
            table = "t"
            name = "c"
            sql = "'HIDDEN'"
        "#;
        let config = Config::load("", &text.replace("/HIDDENnot", "/keys"), []).expect("valid");
        let sections = json!({
            "telemetry": { "endpoint": "http://ida:HIDDEN@127.0.0.1:4318/v1?a=HIDDEN", "headers": { "authorization": "HIDDEN" } },
            "audit": { "file": "audit.ndjson", "key": "HIDDEN" },
            "made_up_later": { "token": "HIDDEN", "none": null },
        });
        let told = told(&config, &sections, &Json::Null);
        assert!(!told.to_string().contains("HIDDEN"), "{told:#}");
        let of =
            |pointer: &str| told.pointer(&format!("/configuration/{pointer}")).cloned().unwrap_or_default();
        for (pointer, expected) in [
            ("auth/jwt/secret", json!("(set)")),
            ("auth/jwt/jwks_url", json!("https://keys.example.com/keys")),
            ("auth/apikey/source", json!("file:./apikeys.toml")),
            ("auth/basic/source", json!("env:USERS")),
            ("auth/roles", json!({ "boss": ["editor"] })),
            ("databases/a.b/path", json!("a.db")),
            ("databases/a.b/url", json!(null)),
            ("databases/far/url", json!("libsql://music.example")),
            ("databases/far/auth_token", json!("(set)")),
            ("databases/farther/url", json!("https://music.example/db")),
            ("databases/farther/auth_token", json!("env:MUSIC_TOKEN")),
            ("udf/0/name", json!("f")),
            ("udf/0/sql", json!("(set)")),
            ("udf/0/params/0/default", json!(7)),
            ("telemetry/endpoint", json!("http://127.0.0.1:4318/v1")),
            ("telemetry/headers", json!({ "authorization": "(set)" })),
            ("audit", json!({ "file": "audit.ndjson", "key": "(set)" })),
            ("made_up_later", json!({ "token": "(set)" })),
            ("server/port", json!(3000)),
        ] {
            assert_eq!(of(pointer), expected, "{pointer}");
        }
    }

    #[test]
    fn what_is_as_it_is_by_default_has_not_changed() {
        let text = r#"
            [server]
            port = 3000
            [databases.main]
            path = "a.db"
            mode = "readwrite"
            [auth.jwt]
            secret = "a-secret-of-at-least-thirty-two-bytes"
            [auth.apikey]
            source = "file:./apikeys.toml"
            [policies]
            bypass_roles = ["boss"]
        "#;
        let config = Config::load("", text, []).expect("valid");
        let sections = json!({ "log": { "level": "info", "format": "json" }, "audit": { "queue": 5 } });
        let defaults = json!({ "log": { "level": "info", "format": "human" }, "audit": { "queue": 5 } });
        let told = told(&config, &sections, &defaults);
        let mut changed: Vec<&str> =
            told["changed"].as_array().expect("a list").iter().filter_map(Json::as_str).collect();
        changed.sort_unstable();
        assert_eq!(
            changed,
            [
                "auth.apikey.source",
                "auth.jwt.secret",
                "databases.main.path",
                "log.format",
                "policies.bypass_roles"
            ]
        );
    }
}
