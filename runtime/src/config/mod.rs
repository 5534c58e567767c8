//! The configuration: `sqlitrest.toml`, the same text for the native host and for the guest.
//!
//! Pure: the shells hand in the file's text and the environment's pairs. What a key means stands at its field; the
//! defaults are those of the `Default` implementations. Only what is built can be set: an unknown key is an error, so
//! that nothing is silently not enforced.

mod api;
mod comments;
mod database;
mod debug;
mod definitions;
mod environment;
mod error;
mod http;
mod selection;
#[cfg(test)]
mod tests;
mod units;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::auth::config::{ApiKeys, Auth, Basic, Jwt, OneOrMore, Reader, Reference, Secret, reference};
use crate::policy;
pub use api::{Api, OpenApi, OpenApiVersion, TxEnd, Verbosity};
pub use comments::Comments;
pub use database::{Attach, DatabaseFile, Mode, Pool, Synchronous};
pub use debug::Debug;
pub use definitions::{
    ComputedColumn, ComputedRelationship, DataRepresentation, FullTextIndex, Udf, UdfParam,
};
pub use environment::KEYS;
use environment::{PREFIX, override_key};
pub use error::ConfigError;
pub use error::in_file;
pub(crate) use error::line_of;
pub use http::{Engine, Middleware, Server};
pub use units::{Size, Span};

/// Everything that can be configured, resolved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[server]`: where and how requests are taken.
    pub server: Server,
    /// `[databases.NAME]`: what is served. Each is a schema.
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
    /// `[comments]`, for documents.
    pub comments: Comments,
    /// `[attach]`: databases that come and go while the server runs.
    pub attach: Attach,
    /// `[debug]`: what is told of the server itself, and to whom.
    pub debug: Debug,
    /// `[log]`. This and the sections below are the native host's, which reads them for itself: a component has no use for them.
    #[serde(skip_serializing)]
    pub log: Option<toml::Table>,
    /// `[admin]`: a listener beside that of the API.
    #[serde(skip_serializing)]
    pub admin: Option<toml::Table>,
    /// `[telemetry]`: traces.
    #[serde(skip_serializing)]
    pub telemetry: Option<toml::Table>,
    /// `[audit]`: who wrote what, and who was denied.
    #[serde(skip_serializing)]
    pub audit: Option<toml::Table>,
    /// `[backup]`: backups while the server runs.
    #[serde(skip_serializing)]
    pub backup: Option<toml::Table>,
    /// `[tls]`: certificate and key.
    #[serde(skip_serializing)]
    pub tls: Option<toml::Table>,
    /// The database that stands first in the file.
    #[serde(skip)]
    pub first: Option<String>,
    /// Of which database this is the configuration, where there are several ([`Config::of_database`]); none: of the default one.
    #[serde(skip)]
    pub selected: Option<String>,
    /// Whether anything asks what a request says (`request_value`), other than functions, which are told at once.
    #[serde(skip)]
    pub asks_request: bool,
}

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
            config.first = selection::first(text);
            return config.validate(origin);
        }
        // The file is in order; from here on a mistake is the environment's.
        let mut table: toml::Table = toml::from_str(text).map_err(|e| in_file(origin, text, &e))?;
        for (name, value) in own {
            override_key(&mut table, name, value)?;
        }
        let rules = config.policies.map(|policies| policies.policy);
        let first = selection::first(text);
        // By way of a text, because reading a configuration out of a table would be as much code again as reading it from text.
        let text = toml::to_string(&table).map_err(|e| ConfigError(format!("environment: {e}")))?;
        let mut config: Config =
            toml::from_str(&text).map_err(|e| ConfigError(format!("environment: {}", e.message())))?;
        // The environment sets no rule; those of the file know where they stand.
        if let (Some(policies), Some(rules)) = (&mut config.policies, rules) {
            policies.policy = rules;
        }
        config.first = first;
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

    /// The sections that only a native host reads, as they came out of file and environment, with their names.
    pub fn host_sections(&self) -> toml::Table {
        let sections = [
            ("log", &self.log),
            ("admin", &self.admin),
            ("telemetry", &self.telemetry),
            ("audit", &self.audit),
            ("backup", &self.backup),
            ("tls", &self.tls),
        ];
        let present = sections.into_iter().filter_map(|(name, section)| Some((name, section.clone()?)));
        present.map(|(name, section)| (name.to_owned(), toml::Value::Table(section))).collect()
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
        self.check_databases().map_err(|wrong| ConfigError(format!("{origin}: {wrong}")))?;
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
        if !self.api.has_proxy_uri() {
            return Err(ConfigError(format!(
                "{origin}: api.proxy_uri = \"{}\" is no absolute URL: write \"https://api.example.com/v1\", or \"\" for none",
                self.api.proxy_uri
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
