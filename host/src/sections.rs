//! The sections of the configuration that only this host reads. Each is declared where it is used.

use serde::Deserialize;
use sqlitrest_runtime::config::{Config, ConfigError, in_file};

/// All of them. Others stand in the same file: they are the core's, which refuses what nobody knows.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Sections {}

impl Sections {
    /// The sections of a file (`origin` is its name, for messages), with what the environment says otherwise, which `config` knows.
    ///
    /// # Errors
    /// An unknown key, a wrong type, a value out of range: with file, line and a suggestion.
    pub fn load(origin: &str, text: &str, config: &Config) -> Result<Sections, ConfigError> {
        let _: Sections = toml::from_str(text).map_err(|error| in_file(origin, text, &error))?;
        // The file is in order; from here on a mistake is the environment's.
        let wrong = |message: &str| ConfigError(format!("environment: {message}"));
        let text = toml::to_string(&config.host_sections()).map_err(|error| wrong(&error.to_string()))?;
        toml::from_str(&text).map_err(|error| wrong(error.message()))
    }
}
