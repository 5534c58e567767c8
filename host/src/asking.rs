//! What the commands `explain` and `policy test` share: a request with an identity on the command line or in a file, read by
//! the core as the server would read it.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Map, Value as Json};
use sqlitrest_runtime::SchemaCache;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::debug::asked::Supposed;
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::schema::read_configured;

use crate::source::Own;
use crate::warnings::refuse_misfits;

/// Who asks: a role and claims, or nobody.
pub(crate) fn identity(
    config: &Config,
    role: Option<String>,
    sub: Option<Json>,
    claims: Map<String, Json>,
) -> Arc<Identity> {
    Supposed { role, sub, claims, anonymous: false }.identity(config)
}

/// Claims as they are typed: `NAME=VALUE`.
///
/// # Errors
/// One that is not.
pub(crate) fn claims(typed: &[String]) -> Result<Map<String, Json>> {
    let claim = |text: &String| {
        let (name, value) =
            text.split_once('=').with_context(|| format!("--claim {text}: write NAME=VALUE"))?;
        Ok((name.to_owned(), self::typed(value)))
    };
    typed.iter().map(claim).collect()
}

/// A value as it is typed: JSON, or else a text.
pub(crate) fn typed(text: &str) -> Json {
    match serde_json::from_str(text) {
        Ok(json @ (Json::Object(_) | Json::Array(_) | Json::Bool(_))) => json,
        _ => Json::from(text),
    }
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
