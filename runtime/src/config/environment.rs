//! The environment: which keys it sets, and how.

use serde::de::DeserializeOwned;
use toml::Table;

use super::ConfigError;
use super::error::{place, words};
use crate::similar::closest;

/// What the names of our environment variables begin with.
pub(super) const PREFIX: &str = "SQLITREST_";

/// Every key that the environment can set, as `SQLITREST_` and the path in upper case with `_` for the dots.
/// Keys of tables with free names (`databases`) are given by file or flag.
pub const KEYS: &[&str] = &[
    "server.host",
    "server.port",
    "server.unix_socket",
    "server.unix_socket_mode",
    "server.shutdown_timeout",
    "server.max_body",
    "server.max_header_size",
    "server.max_headers",
    "server.max_connections",
    "server.header_timeout",
    "server.engine",
    "server.watch",
    "databases.main.path",
    "databases.main.url",
    "databases.main.auth_token",
    "databases.main.replica",
    "databases.main.mode",
    "databases.main.hidden",
    "databases.main.attach",
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
    "api.pre_request",
    "api.openapi",
    "api.openapi_version",
    "api.openapi_security_active",
    "api.proxy_uri",
    "api.docs",
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
    "middleware.compression",
    "middleware.compression_min_size",
    "middleware.rate_limit_per_ip",
    "middleware.rate_limit_per_ip_burst",
    "middleware.rate_limit_per_identity",
    "middleware.rate_limit_per_identity_burst",
    "middleware.trusted_proxies",
    "middleware.request_timeout",
    "policies.file",
    "policies.default_action",
    "policies.bypass_roles",
    "log.level",
    "log.format",
    "log.requests",
    "log.slow_query",
    "admin.listen",
    "admin.unix_socket",
    "admin.unix_socket_mode",
    "admin.hosts",
    "admin.metrics",
    "admin.health_on_api",
    "telemetry.endpoint",
    "telemetry.service_name",
    "telemetry.sample_ratio",
    "telemetry.timeout",
    "audit.file",
    "audit.database",
    "audit.denied",
    "audit.reads",
    "audit.values",
    "audit.queue",
    "audit.on_full",
    "audit.before_answer",
    "audit.sync",
    "audit.key",
    "audit.rotate_size",
    "audit.rotate_every",
    "audit.keep",
    "audit.keep_for",
    "backup.directory",
    "backup.every",
    "backup.at",
    "backup.timezone",
    "backup.keep",
    "backup.databases",
    "attach.paths",
    "attach.most",
    "comments.schema",
    "debug.enabled",
    "debug.require_admin",
    "debug.admin_role",
    "mcp.enabled",
    "mcp.write",
    "mcp.max_rows",
    "mcp.max_bytes",
    "mcp.timeout",
    "tls.certificate",
    "tls.key",
    "static.directory",
];

/// Keys whose value is a text, whatever it looks like: a secret of digits is no number.
const TEXTS: [&str; 3] = ["auth.jwt.secret", "audit.key", "databases.main.auth_token"];

/// How the value of a variable is taken.
#[derive(Clone, Copy, PartialEq)]
enum As {
    /// What reads as TOML keeps its type (3000, true, ["a"]); any other is a text.
    Typed,
    /// It is a text, whatever it looks like: a version `3.1`, an audience `123`.
    Text,
}

/// What is read of a file, which is in order, and of the environment, which overrides it. (It has a type, so that what reads a
/// configuration is compiled once, where [`Config::load`] is.)
///
/// [`Config::load`]: super::Config::load
///
/// # Errors
/// The variable that is wrong, and why.
pub fn overridden<C: DeserializeOwned>(text: &str, environment: &[(&str, &str)]) -> Result<C, ConfigError> {
    let table = toml::from_str::<Table>(text).map_err(|error| ConfigError(words(&error)))?;
    let own = environment.iter().filter(|(name, _)| name.starts_with(PREFIX));
    let mut all = table.clone();
    for (name, value) in own.clone() {
        override_key(&mut all, name, value, As::Typed)?;
    }
    if let Ok(read) = read(&all) {
        return Ok(read);
    }
    // Which of them does not fit, and does it as a text?
    let mut all = table;
    for (name, value) in own {
        let mut typed = all.clone();
        override_key(&mut typed, name, value, As::Typed)?;
        let Err(error) = read::<C>(&typed) else {
            all = typed;
            continue;
        };
        override_key(&mut all, name, value, As::Text)?;
        if let Err(as_text) = read::<C>(&all) {
            let error = if error.ends_with("expected a text") { as_text } else { error };
            return Err(ConfigError(format!("environment: {name}: {error}")));
        }
    }
    read(&all).map_err(|error| ConfigError(format!("environment: {error}")))
}

/// By way of a text, because reading a configuration out of a table would be as much code again as reading it from text.
fn read<C: DeserializeOwned>(table: &Table) -> Result<C, String> {
    let text = toml::to_string(table).map_err(|error| error.to_string())?;
    toml::from_str(&text).map_err(|error| words(&error))
}

/// `SERVER_PORT`
fn variable(key: &str) -> String {
    key.to_uppercase().replace('.', "_")
}

/// A sentence that begins with its key (`admin.listen = …`) or its section (`[audit] …`), behind where that is set: by a variable, or in
/// the file that is called `origin`, with the line. The sentence alone where it is set by neither.
pub fn placed(origin: &str, text: &str, environment: &[(&str, &str)], sentence: &str) -> String {
    let is_key = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let bare = sentence.strip_prefix('[');
    let key = bare.unwrap_or(sentence).split(|c| !is_key(c)).next().unwrap_or_default();
    // `policies.toml:3:1: …` has its place.
    let rest = sentence.get(key.len()..).and_then(|rest| rest.strip_prefix(':')).unwrap_or_default();
    if rest.starts_with(|c: char| c.is_ascii_digit()) || (bare.is_none() && !key.contains('.')) {
        return sentence.to_owned();
    }
    let parts: Vec<String> = key.split('.').map(str::to_owned).collect();
    if let Some(name) = variable_of(&parts, environment) {
        return format!("environment: {name}: {sentence}");
    }
    let place = place(origin, text, key.split('.'));
    if place == origin { sentence.to_owned() } else { format!("{place}: {sentence}") }
}

/// The variable that has set a key, if one has.
pub(super) fn variable_of<'e>(key: &[String], own: &[(&'e str, &str)]) -> Option<&'e str> {
    let wanted = variable(&key.join("."));
    let mut set = own.iter().map(|(name, _)| *name);
    set.find(|name| name.strip_prefix(PREFIX) == Some(wanted.as_str()))
}

fn override_key(table: &mut Table, name: &str, value: &str, taken: As) -> Result<(), ConfigError> {
    let suffix = name.strip_prefix(PREFIX).unwrap_or(name);
    let Some(key) = KEYS.iter().find(|key| variable(key) == suffix) else {
        let names = KEYS.iter().map(|key| variable(key));
        let hint =
            closest(suffix, names).map(|near| format!("; perhaps SQLITREST_{near}")).unwrap_or_default();
        return Err(ConfigError(format!("environment: {name} sets no known key{hint}")));
    };
    let is_text = taken == As::Text || TEXTS.contains(key);
    let parsed = toml::from_str::<Table>(&format!("v = {value}"))
        .ok()
        .and_then(|mut t| t.remove("v"))
        .filter(|v| !v.is_datetime() && !is_text)
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut table = table;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            table.insert(part.to_owned(), parsed);
            return Ok(());
        }
        let entry = table.entry(part.to_owned()).or_insert_with(|| toml::Value::Table(Table::new()));
        let toml::Value::Table(inner) = entry else {
            return Err(ConfigError(format!("environment: {name}: {part} is not a table in the file")));
        };
        table = inner;
    }
    Ok(())
}
