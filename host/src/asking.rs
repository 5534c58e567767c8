//! What the commands `explain` and `policy test` share: a request with an identity on the command line or in a file, read by
//! the core as the server would read it.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Map, Value as Json};
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::http::{Request, Response};
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::schema::read_configured;
use sqlitrest_runtime::{ApiRequest, SchemaCache, parse};

use crate::source::Own;
use crate::warnings::refuse_misfits;

/// A request as text.
pub(crate) struct Asked {
    /// `GET /posts?select=*`
    pub(crate) request: String,
    /// Header fields.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: String,
    /// Who asks.
    pub(crate) identity: Arc<Identity>,
}

/// Who asks: a role and claims, or nobody.
pub(crate) fn identity(
    config: &Config,
    role: Option<String>,
    sub: Option<Json>,
    mut claims: Map<String, Json>,
) -> Arc<Identity> {
    if role.is_none() && sub.is_none() && claims.is_empty() {
        return Arc::new(Identity::anonymous(config));
    }
    let role = role.or_else(|| config.api.anonymous_role.clone());
    claims.extend(sub.map(|sub| ("sub".to_owned(), sub)));
    claims.extend(role.iter().map(|role| ("role".to_owned(), Json::from(role.as_str()))));
    Arc::new(Identity { role, claims, is_anonymous: false })
}

/// A value as it is typed: JSON, or else a text.
pub(crate) fn typed(text: &str) -> Json {
    match serde_json::from_str(text) {
        Ok(json @ (Json::Object(_) | Json::Array(_) | Json::Bool(_))) => json,
        _ => Json::from(text),
    }
}

impl Asked {
    /// The request as the core reads it, or its refusal.
    ///
    /// # Errors
    /// Text that is no request.
    pub(crate) fn parse(&self, config: &Config) -> Result<std::result::Result<ApiRequest, Response>> {
        let (method, target) = self
            .request
            .trim()
            .split_once(char::is_whitespace)
            .with_context(|| format!("`{}` is no request: write 'GET /table?select=*'", self.request))?;
        let target = target.trim();
        if !target.starts_with('/') {
            bail!("the path `{target}` begins with no slash: write 'GET /table?select=*'");
        }
        let mut headers: Vec<(String, &[u8])> =
            self.headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.as_bytes())).collect();
        if !self.body.is_empty() && !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".to_owned(), b"application/json"));
        }
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        let method = method.to_ascii_uppercase();
        let target = format!("{}{}", config.api.base_path, encode(target));
        let request =
            Request { method: &method, target: &target, headers: &headers, body: self.body.as_bytes() };
        Ok(parse(config, &self.identity, &request))
    }
}

/// A target as a client would send it.
fn encode(target: &str) -> String {
    let raw = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'`');
    target.bytes().map(|b| if raw(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// The database with its schema, and its policies checked.
pub(crate) struct Opened {
    /// A connection that may write where the configuration lets requests write.
    pub(crate) connection: Own,
    /// The schema as the configuration completes it.
    pub(crate) schema: Arc<SchemaCache>,
}

impl Opened {
    /// Opens the configured database.
    ///
    /// # Errors
    /// One sentence on what is wrong with the database or the policies.
    pub(crate) fn new(config: &Config) -> Result<Opened> {
        let (_, mut connection) = Own::open(config)?;
        let schema = read_configured(config, connection.database());
        let schema = schema.map_err(|error| anyhow!("the schema cannot be read: {}", error.message))?;
        refuse_misfits(config, &schema)?;
        Ok(Opened { connection, schema: Arc::new(schema) })
    }
}
