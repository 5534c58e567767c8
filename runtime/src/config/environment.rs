//! The environment: which keys it sets, and how.

use super::ConfigError;
use crate::similar::closest;

/// What the names of our environment variables begin with.
pub(super) const PREFIX: &str = "SQLITREST_";

/// Every key that the environment can set, as `SQLITREST_` and the path in upper case with `_` for the dots.
/// Keys of tables with free names (`databases`) are given by file or flag.
pub const KEYS: &[&str] = &[
    "server.host",
    "server.port",
    "server.shutdown_timeout",
    "server.max_body",
    "server.engine",
    "server.watch",
    "databases.main.path",
    "databases.main.mode",
    "databases.main.hidden",
    "pool.readers_per_db",
    "pool.busy_timeout",
    "pool.wal_checkpoint_interval",
    "pool.synchronous",
    "api.max_rows",
    "api.aggregates",
    "api.plan",
    "api.require_filter",
    "api.tx_end",
    "api.legacy_target_names",
    "api.trace_header",
    "api.root",
    "api.openapi",
    "api.openapi_version",
    "api.proxy_uri",
    "api.error_verbosity",
    "api.server_timing",
    "api.base_path",
    "api.anonymous_role",
    "auth.enabled",
    "auth.jwt.enabled",
    "auth.jwt.algorithm",
    "auth.jwt.secret",
    "auth.jwt.secret_is_base64",
    "auth.jwt.audience",
    "auth.jwt.issuer",
    "auth.jwt.role_claim",
    "auth.jwt.validate_exp",
    "auth.jwt.validate_nbf",
    "auth.jwt.validate_iss",
    "auth.jwt.validate_aud",
    "auth.jwt.leeway",
    "auth.jwt.jwks_url",
    "auth.jwt.jwks_refresh_interval",
    "auth.jwt.cookie",
    "auth.apikey.enabled",
    "auth.apikey.header",
    "auth.apikey.source",
    "auth.basic.enabled",
    "auth.basic.source",
    "middleware.cors_origins",
    "middleware.request_timeout",
    "policies.file",
    "policies.default_action",
    "policies.bypass_roles",
    "attach.paths",
    "attach.most",
    "comments.schema",
    "debug.enabled",
    "debug.require_admin",
    "debug.admin_role",
];

pub(super) fn override_key(table: &mut toml::Table, name: &str, value: &str) -> Result<(), ConfigError> {
    let Some(suffix) = name.strip_prefix(PREFIX) else {
        return Ok(());
    };
    let variable = |key: &str| key.to_uppercase().replace('.', "_");
    let Some(key) = KEYS.iter().find(|key| variable(key) == suffix) else {
        let names = KEYS.iter().map(|key| variable(key));
        let hint =
            closest(suffix, names).map(|near| format!("; perhaps SQLITREST_{near}")).unwrap_or_default();
        return Err(ConfigError(format!("environment: {name} sets no known key{hint}")));
    };
    // A value that reads as TOML keeps its type (3000, true, ["a"]); any other is a string.
    let parsed = toml::from_str::<toml::Table>(&format!("v = {value}"))
        .ok()
        .and_then(|mut t| t.remove("v"))
        // A secret of digits is a text.
        .filter(|v| !v.is_datetime() && *key != "auth.jwt.secret")
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut table = table;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            table.insert(part.to_owned(), parsed);
            return Ok(());
        }
        let entry = table.entry(part.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let toml::Value::Table(inner) = entry else {
            return Err(ConfigError(format!("environment: {name}: {part} is not a table in the file")));
        };
        table = inner;
    }
    Ok(())
}
