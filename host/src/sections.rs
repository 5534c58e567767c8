//! The sections of the configuration that only this host reads. Each is declared where it is used.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sqlitrest_runtime::config::{Config, ConfigError, Reference, Secret, in_file, reference};

use crate::admin_listener::Admin;
use crate::audit;
use crate::backup;
use crate::mcp;
use crate::observe::logging::Log;
use crate::observe::telemetry::Telemetry;
use crate::tls;

/// All of them. Others stand in the same file: they are the core's, which refuses what nobody knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sections {
    /// `[log]`
    pub log: Log,
    /// `[admin]`
    pub admin: Admin,
    /// `[telemetry]`
    pub telemetry: Telemetry,
    /// `[audit]`: who wrote what, and who was refused.
    pub audit: Option<audit::settings::Settings>,
    /// `[backup]`: backups while the server runs.
    pub backup: Option<backup::settings::Settings>,
    /// `[mcp]`: what agents may.
    pub mcp: mcp::Settings,
    /// `[tls]`: certificate and key of the port.
    pub tls: Option<tls::Section>,
}

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
        let sections: Sections = toml::from_str(&text).map_err(|error| wrong(error.message()))?;
        if let Some(audit) = &sections.audit {
            audit.check().map_err(|error| ConfigError(format!("{origin}: {error}")))?;
        }
        if let Some(backup) = &sections.backup {
            backup.check(config).map_err(|error| ConfigError(format!("{origin}: {error}")))?;
        }
        sections.mcp.check().map_err(|error| ConfigError(format!("{origin}: {error}")))?;
        Ok(sections)
    }

    /// Says where the files are that the sections name, by how `place` sees their paths.
    pub fn relocate(&mut self, place: &dyn Fn(&str) -> String) {
        let files = self.tls.iter_mut().flat_map(|tls| [&mut tls.certificate, &mut tls.key]);
        for file in files {
            *file = PathBuf::from(place(&file.display().to_string()));
        }
        if let Some(path) = &mut self.admin.unix_socket {
            *path = place(path);
        }
        for Secret(value) in self.telemetry.headers.values_mut() {
            if let Some(Reference::File(path)) = reference(value) {
                *value = format!("file:{}", place(path));
            }
        }
        if let Some(audit) = &mut self.audit {
            audit.relocate(place);
        }
        if let Some(backup) = &mut self.backup {
            backup.relocate(place);
        }
    }
}
