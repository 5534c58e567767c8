//! What the configuration and the database do not agree on, said once at the start: a function whose SQL SQLite refuses, a
//! computed column of a table that is not there, a view over something that is gone; and policies that do not fit, which end
//! the start.

use std::sync::Arc;

use anyhow::{Result, bail};
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
    let misfits = policy::check(config, &schema);
    if !misfits.is_empty() {
        let lines: Vec<String> = misfits.iter().map(|m| format!("{}: {}", m.place, m.message)).collect();
        bail!("{}", lines.join("; "));
    }
    Ok(schema.warnings)
}
