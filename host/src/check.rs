//! `sqlitrest check`: everything that is wrong with a configuration, at once and against the real database. Nothing is changed and nothing
//! is served.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::anyhow;
use serde::Serialize;
use sqlitrest_runtime::auth::Authenticator;
use sqlitrest_runtime::config::{Config, Mode};
use sqlitrest_runtime::policy;
use sqlitrest_runtime::schema::read_configured;

use crate::cli::Failure;
use crate::open::File;
use crate::settings::{self, Of, Settings};

/// What was found.
#[derive(Default, Serialize)]
struct Found {
    /// Whether `serve` would begin.
    ok: bool,
    /// The configuration file, if one was read.
    config: Option<PathBuf>,
    database: PathBuf,
    tables: u64,
    views: u64,
    policies: usize,
    functions: usize,
    /// What stops the start.
    errors: Vec<String>,
    /// What is said at the start.
    warnings: Vec<String>,
}

/// Prints what it found.
///
/// # Errors
/// A configuration that cannot be read; one with errors.
pub fn check(of: &Of) -> Result<(), Failure> {
    let settings = of.settings().map_err(Failure::Start)?;
    let found = look(&settings);
    of.tell(&found, || text(&found)).map_err(Failure::Run)?;
    match found.errors.len() {
        0 => Ok(()),
        1 => Err(Failure::Start(anyhow!("1 error"))),
        many => Err(Failure::Start(anyhow!("{many} errors"))),
    }
}

fn look(settings: &Settings) -> Found {
    let mut found = Found {
        config: settings.file.clone(),
        database: PathBuf::from(&settings.config.database().1.path),
        policies: settings.config.policies.as_ref().map_or(0, |policies| policies.policy.len()),
        functions: settings.config.udf.len(),
        ..Found::default()
    };
    let config = for_reading(&settings.config);
    // What `[auth]` refers to. Keys that are published are not fetched.
    if let Err(error) = Authenticator::new(&config, [0; 32], &mut settings::refer) {
        found.errors.push(error.to_string());
    }
    found.warnings.extend(config.auth_warnings());
    for key in config.unenforced() {
        found.warnings.push(format!("{key}: not enforced by this version"));
    }
    match File::check(&config) {
        Err(error) => found.errors.push(format!("{error:#}")),
        Ok((file, mut connection)) => {
            (found.tables, found.views) = (file.tables, file.views);
            match read_configured(&config, &mut connection) {
                Err(error) => found.errors.push(format!("the schema cannot be read: {}", error.message)),
                Ok(schema) => {
                    let misfits = policy::check(&config, &schema);
                    found.errors.extend(misfits.iter().map(ToString::to_string));
                    found.warnings.extend(schema.warnings.iter().map(ToString::to_string));
                }
            }
        }
    }
    found.ok = found.errors.is_empty();
    found
}

/// The same, for a database that is not put into WAL mode.
fn for_reading(config: &Config) -> Config {
    let mut config = config.clone();
    let name = config.database().0.to_owned();
    if let Some(database) = config.databases.get_mut(&name) {
        database.mode = Mode::ReadOnly;
    }
    config
}

fn text(found: &Found) -> String {
    let mut text = String::new();
    let file =
        found.config.as_ref().map_or("no configuration file".to_owned(), |file| file.display().to_string());
    let Found { database, tables, views, policies, functions, .. } = found;
    let database = database.display();
    let _ = write!(
        text,
        "{file}: {database}, {tables} tables, {views} views, {policies} policies, {functions} functions"
    );
    for error in &found.errors {
        let _ = write!(text, "\nerror: {error}");
    }
    for warning in &found.warnings {
        let _ = write!(text, "\nwarning: {warning}");
    }
    if found.ok {
        let _ = write!(text, "\nit can be served");
    }
    text
}
