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
mod list;
mod selection;
#[cfg(test)]
mod tests;
mod units;
mod validate;
mod values;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::auth::config::{ApiKeys, Auth, Basic, Jwt, OneOrMore, Reader, Reference, Secret, reference};
use crate::policy;
use crate::pre_request;
pub use api::{Api, OpenApi, OpenApiVersion, TxEnd, Verbosity};
pub use comments::Comments;
pub use database::{Attach, DatabaseFile, Mode, Pool, Synchronous};
pub use debug::Debug;
pub use definitions::{
    ComputedColumn, ComputedRelationship, DataRepresentation, FullTextIndex, Udf, UdfParam,
};
use environment::PREFIX;
pub use environment::{KEYS, overridden, placed};
pub use error::ConfigError;
pub(crate) use error::line_of;
pub use error::{in_file, place, without_userinfo};
pub use http::{Engine, Middleware, Server};
pub(crate) use list::Texts;
pub use list::{expand, texts};
pub use units::{FileMode, Size, Span};
use validate::Mistake;

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
    /// `[mcp]`: what agents may.
    #[serde(skip_serializing)]
    pub mcp: Option<toml::Table>,
    /// `[tls]`: certificate and key.
    #[serde(skip_serializing)]
    pub tls: Option<toml::Table>,
    /// `[static]`: files beside the API.
    #[serde(skip_serializing, rename = "static")]
    pub static_files: Option<toml::Table>,
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
        let (config, wrong) = Config::read(origin, text, environment)?;
        ConfigError::all(wrong).map(|()| config)
    }

    /// The same, with everything that is wrong with the values beside it.
    ///
    /// # Errors
    /// Text that is not TOML, an unknown key, a wrong type.
    pub fn read<'a>(
        origin: &str,
        text: &str,
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(Config, Vec<ConfigError>), ConfigError> {
        let mut config: Config = toml::from_str(text).map_err(|e| in_file(origin, text, &e))?;
        if let Some(policies) = &mut config.policies {
            policy::settle(&mut policies.policy, origin, text)?;
        }
        let own = environment.into_iter().filter(|(name, _)| name.starts_with(PREFIX));
        let own: Vec<(&str, &str)> = own.collect();
        if !own.is_empty() {
            // The file is in order; a mistake in this is the environment's.
            let rules = config.policies.map(|policies| policies.policy);
            config = overridden::<Config>(text, &own)?;
            // The environment sets no rule; those of the file know where they stand.
            if let (Some(policies), Some(rules)) = (&mut config.policies, rules) {
                policies.policy = rules;
            }
        }
        config.first = selection::first(text);
        config.udf.iter_mut().for_each(Udf::settle);
        config.asks_request = config.finds("request_value");
        let place = |mistake: &Mistake| match environment::variable_of(&mistake.key, &own) {
            Some(name) => format!("environment: {name}"),
            None => place(origin, text, mistake.key.iter().map(String::as_str)),
        };
        let wrong = config.mistakes();
        let wrong = wrong.iter().map(|own| ConfigError(format!("{}: {}", place(own), own.message)));
        let wrong = wrong.collect();
        Ok((config, wrong))
    }

    /// What the configuration asks for that takes memory across requests, which a host that has none of it cannot do. It must serve
    /// nothing then, because each is there to protect.
    pub fn across_requests(&self) -> Vec<&'static str> {
        [
            ("middleware.rate_limit_per_ip", self.middleware.rate_limit_per_ip),
            ("middleware.rate_limit_per_identity", self.middleware.rate_limit_per_identity),
        ]
        .into_iter()
        .filter_map(|(name, limit)| (limit > 0).then_some(name))
        .collect()
    }

    /// Reads what the configuration refers to, by the paths that it has: the policy file, and lists that are elsewhere. What secrets
    /// are read by is the `Authenticator`. What is wrong with it, in words.
    pub fn read_files(&mut self, read: &mut Reader<'_>) -> Vec<ConfigError> {
        let is_late = self.attaches_by_reference();
        let mut wrong = self.read_lists(read);
        if is_late {
            wrong.extend(self.check_databases().err());
        }
        wrong.extend(self.origin_mistakes());
        let mut wrong: Vec<ConfigError> = wrong.into_iter().map(ConfigError).collect();
        if let Some(policies) = &mut self.policies
            && let Some(file) = policies.file.take()
        {
            let text = read(Reference::File(&file));
            let text = text.map_err(|reason| ConfigError(format!("policies.file: {reason}")));
            match text.and_then(|text| policy::read_file(&file, &text)) {
                Ok(rules) => policies.policy.extend(rules),
                Err(error) => wrong.push(error),
            }
        }
        self.asks_request = self.finds("request_value");
        wrong
    }

    /// This configuration as the text of a file.
    ///
    /// # Errors
    /// None that a loaded configuration can cause; the TOML writer's, in words.
    pub fn to_text(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(|e| ConfigError(e.to_string()))
    }

    /// The function that is run before every request, if there is one.
    pub fn pre_request(&self) -> Option<&Udf> {
        let name = self.api.pre_request.as_str();
        let mut named = self.udf.iter().filter(|udf| !name.is_empty() && udf.name == name);
        named.find(|udf| pre_request::misfit(udf).is_none())
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
}
