//! The configuration: `sqlitrest.toml`, the same text for the native host and for the guest.
//!
//! Pure: the shells hand in the file's text and the environment's pairs. What a key means stands at its field; the
//! defaults are those of the `Default` implementations. Only what is built can be set: an unknown key is an error, so
//! that nothing is silently not enforced.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::auth::config::{ApiKeys, Auth, Basic, Jwt, OneOrMore, Reader, Reference, Secret, reference};
use crate::policy;
use crate::similar::closest;

/// Everything that can be configured, resolved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[server]`: where and how requests are taken.
    pub server: Server,
    /// `[databases.NAME]`: what is served. One database for now.
    pub databases: BTreeMap<String, DatabaseFile>,
    /// `[pool]`: connections and durability.
    pub pool: Pool,
    /// `[api]`: PostgREST's settings of the same meaning.
    pub api: Api,
    /// `[[udf]]`: the functions that `/rpc/NAME` may call.
    pub udf: Vec<Udf>,
    /// `[[computed_column]]`: columns made of others.
    pub computed_column: Vec<ComputedColumn>,
    /// `[[data_representation]]`: columns that are told and taken otherwise than they are stored.
    pub data_representation: Vec<DataRepresentation>,
    /// `[[computed_relationship]]`: embeds beside those of the foreign keys.
    pub computed_relationship: Vec<ComputedRelationship>,
    /// `[column_types.RELATION]`: declared types where a view's expression has none.
    pub column_types: BTreeMap<String, BTreeMap<String, String>>,
    /// `[fts.RELATION]`: the FTS5 table behind a relation's columns.
    pub fts: BTreeMap<String, FullTextIndex>,
    /// `[middleware]`: what HTTP needs beside the API.
    pub middleware: Middleware,
    /// `[auth]`: who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// `[policies]`: who may see and do what. None: everyone everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policies: Option<policy::Settings>,
    /// `[comments]`, for documents. Not built yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comments: Option<toml::Table>,
    /// `[log]`. Not built yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<toml::Table>,
    /// Whether anything asks what a request says (`request_value`), other than functions, which are told at once.
    #[serde(skip)]
    pub asks_request: bool,
}

/// `[fts.RELATION]`: the FTS5 table behind a relation's columns. Its rowids are the relation's, its columns have the same
/// names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullTextIndex {
    /// The FTS5 table.
    pub index: String,
    /// The columns that `fts` and its kin may name.
    pub columns: Vec<String>,
}

/// `[middleware]`: what HTTP needs beside the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Middleware {
    /// The origins whose pages may call the API (CORS); `*` stands for all.
    pub cors_origins: Vec<String>,
    /// Requests a second from one address; 0 = no cap. Not built yet: see [`Config::unenforced`].
    pub rate_limit_per_ip: u64,
    /// How long the statements of a request may take, on hosts of ours; then 504.
    pub request_timeout: Span,
}

impl Default for Middleware {
    fn default() -> Self {
        Middleware {
            cors_origins: vec!["*".to_owned()],
            rate_limit_per_ip: 0,
            request_timeout: Span(Duration::from_secs(30)),
        }
    }
}

/// `[[udf]]`: a function that `/rpc/NAME` may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Udf {
    /// Its name. Several of one name differ by their parameters.
    pub name: String,
    /// Whether it can be called.
    #[serde(default)]
    pub expose: bool,
    /// Whether it only reads; one that writes is called by POST alone.
    #[serde(default = "yes")]
    pub readonly: bool,
    /// Whether equal arguments give equal results. For documents.
    #[serde(default)]
    pub deterministic: bool,
    /// `volatile`, `stable` or `immutable`. For documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volatility: Option<String>,
    /// What it does. For documents.
    #[serde(default)]
    pub description: String,
    /// One SQL statement, in which `:name` stands for a parameter. Empty: a call of the function of this name that SQLite has.
    #[serde(default)]
    pub sql: String,
    /// Its parameters.
    #[serde(default)]
    pub params: Vec<UdfParam>,
    /// `void`, `scalar T`, `setof T`, `row TABLE`, `table TABLE`, `record` or `setof record`.
    #[serde(default = "setof_record")]
    pub returns: String,
    /// Declared types of the columns of a record.
    #[serde(default)]
    pub column_types: BTreeMap<String, String>,
    /// The media type that its value is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Who may call it; `*` stands for everyone.
    #[serde(default = "everyone")]
    pub roles: Vec<String>,
    /// The status of its answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<u16>,
    /// Header fields of its answers.
    #[serde(default)]
    pub response_headers: Vec<(String, String)>,
    /// Whose rights a query reads tables with: `invoker`, those of who calls, or `definer`, all. A function that writes has all.
    #[serde(default = "invoker")]
    pub security: policy::Security,
}

impl Udf {
    /// The call of a function of SQLite, where name and parameters are such that it could have one.
    fn built_in_call(&self) -> Option<String> {
        let is_name = |name: &str| {
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            plain && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        };
        let fits =
            is_name(&self.name) && self.params.iter().all(|param| is_name(&param.name) && !param.variadic);
        let arguments: Vec<String> = self.params.iter().map(|param| format!(":{}", param.name)).collect();
        fits.then(|| format!("SELECT {0}({1}) AS \"{0}\"", self.name, arguments.join(", ")))
    }
}

fn yes() -> bool {
    true
}

fn setof_record() -> String {
    "setof record".to_owned()
}

fn invoker() -> policy::Security {
    policy::Security::Invoker
}

fn everyone() -> Vec<String> {
    vec!["*".to_owned()]
}

/// A parameter of a function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdfParam {
    /// Its name; `$` for the raw body, bound as `:body`.
    pub name: String,
    /// Its type, as a column would declare it; `T[]` for an array.
    #[serde(rename = "type", default)]
    pub declared: String,
    /// What it is where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<toml::Value>,
    /// Whether it takes any number of values.
    #[serde(default)]
    pub variadic: bool,
}

/// `[[computed_column]]`: a column made of others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputedColumn {
    /// The table or view.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Its type, as a column would declare it.
    #[serde(rename = "type", default)]
    pub declared: String,
    /// A SQL expression, in which `{row}` stands for the row.
    pub sql: String,
}

/// `[[data_representation]]`: a column that is told and taken otherwise than it is stored, as by the casts of a PostgreSQL domain
/// (<https://docs.postgrest.org/en/stable/how-tos/working-with-postgresql-data-types.html#domain-representations>).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRepresentation {
    /// The table or view.
    pub table: String,
    /// The column.
    pub column: String,
    /// The type of what is told and taken, as a column would declare it.
    #[serde(rename = "type", default)]
    pub declared: String,
    /// The SQL of what is told, in which `{value}` stands for what is stored. Where a cast, a path or an aggregate is asked for,
    /// it is of what is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<String>,
    /// The SQL of what is stored and compared, in which `{value}` stands for what a client sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<String>,
}

/// `[[computed_relationship]]`: an embed beside those of the foreign keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputedRelationship {
    /// The table or view that it starts from.
    pub table: String,
    /// The name by which it is embedded.
    pub name: String,
    /// The table or view whose rows it gives.
    pub target: String,
    /// Whether it gives at most one row.
    #[serde(default)]
    pub single: bool,
    /// A SQL query, in which `{row}` stands for the row.
    pub sql: String,
}

/// `[server]`: where and how requests are taken. The guest uses `max_body` alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// How long a shutdown waits for requests in flight.
    pub shutdown_timeout: Span,
    /// The largest request body; beyond it 413.
    pub max_body: Size,
    /// What runs the core.
    pub engine: Engine,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            host: "127.0.0.1".to_owned(),
            port: 3000,
            shutdown_timeout: Span(Duration::from_secs(30)),
            max_body: Size(10 << 20),
            engine: Engine::Component,
        }
    }
}

/// What runs the core: the WebAssembly component, or the same code compiled into the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The guest component in wasmtime.
    Component,
    /// The core as native code.
    Native,
}

/// `[databases.NAME]`: one SQLite file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseFile {
    /// The file, relative to the configuration file. Under Spin the runtime configuration names it instead.
    #[serde(default)]
    pub path: String,
    /// Whether requests may write.
    #[serde(default)]
    pub mode: Mode,
    /// Relations that are not exposed; `*` stands for any text.
    #[serde(default)]
    pub hidden: Vec<String>,
}

/// Whether requests may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Reads and writes.
    #[default]
    ReadWrite,
    /// Reads only: a write gets 405, 25006.
    ReadOnly,
}

/// `[pool]`: connections and durability of the native host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pool {
    /// Reading connections for each database, beside the one that writes.
    pub readers_per_db: u16,
    /// How long a statement waits for a lock that another process holds; then 503.
    pub busy_timeout: Span,
    /// After how long what is in the write-ahead log is in the database file, if it is not before.
    pub wal_checkpoint_interval: Span,
    /// `full`: an acknowledged write survives a power cut. `normal`: it survives a crash of the process.
    pub synchronous: Synchronous,
}

impl Default for Pool {
    fn default() -> Self {
        Pool {
            readers_per_db: 5,
            busy_timeout: Span(Duration::from_secs(5)),
            wal_checkpoint_interval: Span(Duration::from_secs(300)),
            synchronous: Synchronous::Full,
        }
    }
}

/// SQLite's `PRAGMA synchronous`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// Wait for the disk at every commit.
    Full,
    /// Wait for the disk at checkpoints.
    Normal,
}

/// `[api]`: PostgREST's settings of the same meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// The most rows of an answer, at every level; 0 = no cap (`db-max-rows`).
    pub max_rows: u64,
    /// Whether `select` may aggregate: `count()`, `amount.sum()` (`db-aggregates-enabled`).
    pub aggregates: bool,
    /// Whether a client may ask how the database goes about a request (`db-plan-enabled`).
    pub plan: bool,
    /// Whether PATCH and DELETE must have a filter (pg-safeupdate); without, 400 and 21000.
    pub require_filter: bool,
    /// How transactions end (`db-tx-end`).
    pub tx_end: TxEnd,
    /// Whether an embed with an alias also goes by its relation's name in filters and orders (`url-use-legacy-target-names`).
    pub legacy_target_names: bool,
    /// The header field of a request that its answer repeats; empty: none (`server-trace-header`).
    pub trace_header: String,
    /// The function that answers `GET /`; empty: none (`db-root-spec`).
    pub root: String,
    /// How much is told of an error (`client-error-verbosity`).
    pub error_verbosity: Verbosity,
    /// Whether answers say how long each stage took (`server-timing-enabled`).
    pub server_timing: bool,
    /// The role of who does not sign in; none: where `[auth]` is on, everybody must (`db-anon-role`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous_role: Option<String>,
    /// Whom the OpenAPI document tells what. Not built yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openapi: Option<String>,
    /// Its version. Not built yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openapi_version: Option<String>,
    /// The path under which the API is served: `/rest/v1`. Empty: at the root.
    pub base_path: String,
}

impl Default for Api {
    fn default() -> Self {
        Api {
            max_rows: 0,
            aggregates: false,
            plan: false,
            require_filter: true,
            tx_end: TxEnd::default(),
            legacy_target_names: true,
            trace_header: String::new(),
            root: String::new(),
            error_verbosity: Verbosity::default(),
            server_timing: false,
            anonymous_role: None,
            openapi: None,
            openapi_version: None,
            base_path: String::new(),
        }
    }
}

/// How much is told of an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verbosity {
    /// Details and a hint.
    #[default]
    Verbose,
    /// Neither.
    Minimal,
}

/// How transactions end, and whether a request may say otherwise with `Prefer: tx=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TxEnd {
    /// They commit.
    #[default]
    Commit,
    /// They commit unless the request says `tx=rollback`.
    CommitAllowOverride,
    /// They are answered and undone.
    Rollback,
    /// They are undone unless the request says `tx=commit`.
    RollbackAllowOverride,
}

/// A duration, written `250ms`, `30s`, `5m` or `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a duration: write 250ms, 30s, 5m or 1h");
        let (number, unit) = split_number(&text).ok_or_else(wrong)?;
        let millis = match unit {
            "ms" => number,
            "s" => number.saturating_mul(1_000),
            "m" => number.saturating_mul(60_000),
            "h" => number.saturating_mul(3_600_000),
            _ => return Err(wrong()),
        };
        Ok(Span(Duration::from_millis(millis)))
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        format!("{}ms", span.0.as_millis())
    }
}

/// A number of bytes, written `512`, `64KiB`, `10MiB`, `1GiB` (or with `KB`, `MB`, `GB`, powers of ten).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "String")]
pub struct Size(pub u64);

impl TryFrom<toml::Value> for Size {
    type Error = String;
    fn try_from(value: toml::Value) -> Result<Self, String> {
        // A bare number needs no quotes.
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let wrong = || format!("`{text}` is not a size: write 512, 64KiB, 10MiB or 1GiB");
        let (number, unit) = split_number(&text).ok_or_else(wrong)?;
        let factor = match unit {
            "" | "B" => 1,
            "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        Ok(Size(number.saturating_mul(factor)))
    }
}

impl From<Size> for String {
    fn from(size: Size) -> String {
        size.0.to_string()
    }
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim()))
}

/// Why a configuration cannot be used, in words for the person who wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// What the names of our environment variables begin with.
const PREFIX: &str = "SQLITREST_";

/// Every key that the environment can set, as `SQLITREST_` and the path in upper case with `_` for the dots.
/// Keys of tables with free names (`databases`) are given by file or flag.
pub const KEYS: &[&str] = &[
    "server.host",
    "server.port",
    "server.shutdown_timeout",
    "server.max_body",
    "server.engine",
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
];

impl Config {
    /// Reads the text of `origin` (a file name, for messages), then lets the environment's pairs override it.
    ///
    /// # Errors
    /// Text that is not TOML, an unknown key, a wrong type, a value out of range: with file, line and a suggestion.
    pub fn load<'a>(
        origin: &str,
        text: &str,
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Config, ConfigError> {
        let mut config: Config = toml::from_str(text).map_err(|e| in_file(origin, text, &e))?;
        if let Some(policies) = &mut config.policies {
            policy::settle(&mut policies.policy, origin, text)?;
        }
        let mut own = environment.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).peekable();
        if own.peek().is_none() {
            return config.validate(origin);
        }
        // The file is in order; from here on a mistake is the environment's.
        let mut table: toml::Table = toml::from_str(text).map_err(|e| in_file(origin, text, &e))?;
        for (name, value) in own {
            override_key(&mut table, name, value)?;
        }
        let rules = config.policies.map(|policies| policies.policy);
        // By way of a text, because reading a configuration out of a table would be as much code again as reading it from text.
        let text = toml::to_string(&table).map_err(|e| ConfigError(format!("environment: {e}")))?;
        let mut config: Config =
            toml::from_str(&text).map_err(|e| ConfigError(format!("environment: {}", e.message())))?;
        // The environment sets no rule; those of the file know where they stand.
        if let (Some(policies), Some(rules)) = (&mut config.policies, rules) {
            policies.policy = rules;
        }
        config.validate(origin)
    }

    /// What the configuration asks for to protect the database, and this version does not do yet. Where there is any, only who
    /// is on the machine itself may be served.
    pub fn unenforced(&self) -> Vec<&'static str> {
        [("middleware.rate_limit_per_ip", self.middleware.rate_limit_per_ip > 0)]
            .into_iter()
            .filter_map(|(name, is_asked_for)| is_asked_for.then_some(name))
            .collect()
    }

    /// Reads the files that the configuration names, by their paths as it has them.
    ///
    /// # Errors
    /// A file that cannot be read or is wrong, in words.
    pub fn read_files(&mut self, read: &dyn Fn(&str) -> Result<String, String>) -> Result<(), ConfigError> {
        if let Some(policies) = &mut self.policies
            && let Some(file) = policies.file.take()
        {
            let text = read(&file)
                .map_err(|reason| ConfigError(format!("policies.file {file} cannot be read: {reason}")))?;
            policies.policy.extend(policy::read_file(&file, &text)?);
        }
        self.asks_request = self.finds("request_value");
        Ok(())
    }

    /// This configuration as the text of a file.
    ///
    /// # Errors
    /// None that a loaded configuration can cause; the TOML writer's, in words.
    pub fn to_text(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(|e| ConfigError(e.to_string()))
    }

    /// The served database and the name it has in messages.
    pub fn database(&self) -> (&str, &DatabaseFile) {
        static NONE: DatabaseFile =
            DatabaseFile { path: String::new(), mode: Mode::ReadWrite, hidden: Vec::new() };
        self.databases.iter().next().map_or(("main", &NONE), |(name, file)| (name.as_str(), file))
    }

    /// Whether a word stands in the SQL of a policy, a computed column or a computed relationship.
    fn finds(&self, word: &str) -> bool {
        let rules = self.policies.iter().flat_map(|policies| &policies.policy);
        let texts =
            rules.flat_map(|rule| rule.using.iter().chain(&rule.check).chain(rule.columns.masked.values()));
        let columns = self.computed_column.iter().map(|computed| &computed.sql);
        let relationships = self.computed_relationship.iter().map(|computed| &computed.sql);
        texts.chain(columns).chain(relationships).any(|text| text.to_ascii_lowercase().contains(word))
    }

    fn validate(mut self, origin: &str) -> Result<Config, ConfigError> {
        self.asks_request = self.finds("request_value");
        if self.databases.len() > 1 {
            let names: Vec<_> = self.databases.keys().map(String::as_str).collect();
            return Err(ConfigError(format!(
                "{origin}: [databases] names {} ({}), but this version serves one",
                names.len(),
                names.join(", ")
            )));
        }
        if self.pool.readers_per_db == 0 {
            return Err(ConfigError(format!("{origin}: pool.readers_per_db must be at least 1")));
        }
        if self.middleware.request_timeout.0.is_zero() {
            let what = "middleware.request_timeout must be longer than 0";
            return Err(ConfigError(format!("{origin}: {what}: no request could be answered")));
        }
        if !is_base_path(&self.api.base_path) {
            return Err(ConfigError(format!(
                "{origin}: api.base_path = \"{}\" is no path: write \"/rest/v1\", or \"\" for the root",
                self.api.base_path
            )));
        }
        if let Some(auth) = &self.auth {
            auth.check().map_err(|error| ConfigError(format!("{origin}: {error}")))?;
        }
        let root = &self.api.root;
        if !root.is_empty() && !self.udf.iter().any(|udf| udf.expose && udf.name == *root) {
            return Err(ConfigError(format!(
                "{origin}: api.root = \"{root}\" is none of the exposed functions"
            )));
        }
        for DataRepresentation { table, column, read, write, .. } in &self.data_representation {
            if read.is_none() && write.is_none() {
                let what = "has neither read nor write, of which it needs one";
                return Err(ConfigError(format!("{origin}: data_representation of {table}.{column} {what}")));
            }
        }
        for udf in &mut self.udf {
            if udf.sql.is_empty() {
                udf.sql = udf.built_in_call().ok_or_else(|| {
                    let reason =
                        "it has no sql, and SQLite has no function of such a name or such parameters";
                    ConfigError(format!("{origin}: function {}: {reason}", udf.name))
                })?;
            }
            if crate::function::Returns::parse(&udf.returns).is_none() {
                return Err(ConfigError(format!(
                    "{origin}: function {}: returns = \"{}\" is none of: void, scalar T, setof T, row TABLE, table TABLE, record, setof record",
                    udf.name, udf.returns
                )));
            }
        }
        Ok(self)
    }
}

/// Empty, or segments that each begin with a slash, of characters that stand in a URL as they are.
fn is_base_path(path: &str) -> bool {
    let is_segment = |segment: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        !matches!(segment, "" | "." | "..") && segment.bytes().all(plain)
    };
    path.is_empty() || path.strip_prefix('/').is_some_and(|path| path.split('/').all(is_segment))
}

fn override_key(table: &mut toml::Table, name: &str, value: &str) -> Result<(), ConfigError> {
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

/// The line, from 1, of the byte at a place.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

/// `sqlitrest.toml:3:1: unknown field `prot`, expected …; perhaps `port``
pub(crate) fn in_file(origin: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or_default();
    let line = line_of(text, at);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let message = error.message();
    // serde writes: unknown field `prot`, expected one of `host`, `port`
    let mut quoted = message.split('`').skip(1).step_by(2);
    let hint = message
        .starts_with("unknown field")
        .then(|| quoted.next())
        .flatten()
        .and_then(|wrong| closest(wrong, quoted.map(str::to_owned)))
        .map(|near| format!("; perhaps `{near}`"))
        .unwrap_or_default();
    ConfigError(format!("{origin}:{line}:{column}: {message}{hint}"))
}

#[cfg(test)]
mod tests {
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
            expect![[
                r#"sqlitrest.toml:2:1: unknown field `prot`, expected one of `host`, `port`, `shutdown_timeout`, `max_body`, `engine`; perhaps `port`"#
            ]],
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
}
