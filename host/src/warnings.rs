//! What the configuration and the database do not agree on, said once at the start: a function whose SQL SQLite refuses, a
//! computed column of a table that is not there, a view over something that is gone.

use std::sync::Arc;

use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::schema::{add_configured, read_schema};

use crate::open::Role;
use crate::pool::Pool;

/// A sentence for each. None where the schema cannot be read at all: the first request will say so.
pub async fn warnings(pool: &Arc<Pool>, config: &Config) -> Vec<String> {
    let Ok(mut loan) = pool.take(Role::Reader).await else { return Vec::new() };
    let Ok(mut schema) = read_schema(&mut loan, &config.database().1.hidden) else { return Vec::new() };
    add_configured(config, &mut schema, &mut loan);
    schema.warnings
}
