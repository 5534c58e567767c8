//! What the configuration and the database do not agree on, said once at the start: a function whose SQL SQLite refuses, a
//! computed column of a table that is not there, a view over something that is gone; and policies that do not fit, which end
//! the start.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use sqlitrest_runtime::SchemaCache;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::policy;
use sqlitrest_runtime::schema::read_configured;

use crate::pool::{Lane, Pool};

/// A sentence for each. None where the schema cannot be read at all: the first request will say so.
///
/// # Errors
/// A sentence for each policy that does not fit the schema.
pub async fn warnings(pool: &Arc<Pool>, config: &Config) -> Result<Vec<String>> {
    let Ok(mut loan) = pool.take(Lane::Long).await else { return Ok(Vec::new()) };
    let Ok(schema) = read_configured(config, &mut loan) else { return Ok(Vec::new()) };
    refuse_misfits(config, &schema)?;
    Ok(schema.warnings.iter().map(ToString::to_string).collect())
}

/// Ends the start where policies do not fit.
///
/// # Errors
/// A sentence for each policy that does not fit the schema.
pub fn refuse_misfits(config: &Config, schema: &SchemaCache) -> Result<()> {
    let misfits: Vec<String> = policy::check(config, schema).iter().map(ToString::to_string).collect();
    if misfits.is_empty() { Ok(()) } else { Err(anyhow!("{}", misfits.join("; "))) }
}
