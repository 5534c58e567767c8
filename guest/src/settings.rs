//! Where the guest finds its configuration: the host's inline text, a mounted file, environment, Spin's variables.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::OnceLock;

use spin_sdk::variables;
use sqlitrest_runtime::config::{Config, ConfigError, KEYS, Reference};
use sqlitrest_runtime::http::Response;
use sqlitrest_runtime::internal_error;

/// Holds the whole configuration as TOML; our own host sets it. File and variables are then not looked at.
const INLINE: &str = "SQLITREST_CONFIG";

/// The database whose configuration it is; our own host sets it.
const DATABASE: &str = "SQLITREST_DATABASE";

/// Where `spin.toml` mounts the file.
const FILE: &str = "/sqlitrest.toml";

static CONFIG: OnceLock<Result<Config, String>> = OnceLock::new();

/// The configuration, read once for each instance.
///
/// # Errors
/// The answer to every request while the configuration is wrong; what is wrong stands in the log alone.
pub fn config() -> Result<&'static Config, Response> {
    CONFIG.get_or_init(load).as_ref().map_err(|reason| internal_error(reason))
}

fn load() -> Result<Config, String> {
    let mut pairs: Vec<(String, String)> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("SQLITREST_"))
        .collect();
    let mut take = |own: &str| {
        let at = pairs.iter().position(|(name, _)| name == own)?;
        Some(pairs.swap_remove(at).1)
    };
    let (inline, database) = (take(INLINE), take(DATABASE));
    let is_ours = inline.is_some();
    let (origin, text) = match inline {
        Some(text) => (INLINE, text),
        None => {
            // Read after the environment's pairs, so variables win over them.
            for key in KEYS {
                pairs.extend(variable(key)?);
            }
            (FILE, file()?)
        }
    };
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut config = Config::load(origin, &text, pairs).map_err(|error| error.to_string())?;
    config.selected = database.filter(|_| is_ours);
    ConfigError::all(config.read_files(&mut read)).map_err(|error| error.to_string())?;
    // Our own host keeps the log itself, and hands the section over to nobody.
    if config.audit.is_some() {
        return Err(format!(
            "{origin}: no audit log is kept here, so nothing is served with [audit]: take the section out, or serve it with `sqlitrest serve`"
        ));
    }
    if !is_ours && config.databases.values().any(|database| !database.attach.is_empty()) {
        return Err(format!("{origin}: databases.NAME.attach: this host attaches no database to another"));
    }
    // Our own host does it itself.
    match config.across_requests().as_slice() {
        [] => Ok(config),
        _ if is_ours => Ok(config),
        asked => Err(format!(
            "{origin}: {} cannot be kept here, where nothing is remembered from one request to the next: have what stands in front \
             limit the rate, and take it out; until then nothing is served",
            asked.join(" and ")
        )),
    }
}

/// What a value of the configuration refers to: a mounted file, whose path begins at the root as that of the configuration does; a
/// variable of the environment, or that of Spin with its name in lower case.
///
/// # Errors
/// One sentence.
pub fn read(reference: Reference<'_>) -> Result<String, String> {
    match reference {
        Reference::File(path) => {
            let path = Path::new("/").join(path.strip_prefix("./").unwrap_or(path));
            fs::read_to_string(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
        }
        Reference::Env(name) => match env::var(name) {
            Ok(value) => Ok(value),
            Err(_) => variables::get(&name.to_lowercase())
                .map_err(|_| format!("neither the environment nor Spin has the variable {name}")),
        },
    }
}

/// The mounted file's text, empty where none is mounted.
fn file() -> Result<String, String> {
    match fs::read_to_string(FILE) {
        Ok(text) => Ok(text),
        Err(error) if is_absent(&error) => Ok(String::new()),
        Err(error) => Err(format!("{FILE}: {error}")),
    }
}

/// A guest with no mounted directory at all gets an error of no stable kind; having no root directory tells it apart.
fn is_absent(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || fs::metadata("/").is_err()
}

/// Spin's variable for `key`, as the environment pair that it stands for: `api_max_rows` for `api.max_rows`.
/// Undefined or empty (what a manifest gives as a default) sets nothing.
fn variable(key: &str) -> Result<Option<(String, String)>, String> {
    let name = key.replace('.', "_");
    match variables::get(&name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some((format!("SQLITREST_{}", name.to_uppercase()), value))),
        Err(variables::Error::Undefined(_)) => Ok(None),
        Err(error) => Err(format!("variable {name}: {error}")),
    }
}
