//! The sections of the configuration that only this host reads. Each is declared where it is used.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sqlitrest_runtime::config::{
    Config, ConfigError, Reader, Reference, Secret, in_file, overridden, placed, reference,
};

use crate::admin_listener::Admin;
use crate::audit;
use crate::backup;
use crate::mcp;
use crate::observe::logging::Log;
use crate::observe::telemetry::Telemetry;
use crate::{static_files, tls};

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
    /// `[static]`: files beside the API.
    #[serde(rename = "static")]
    pub static_files: Option<static_files::Section>,
}

impl Sections {
    /// The sections of a file (`origin` is its name, for messages), with what the environment says otherwise.
    ///
    /// # Errors
    /// An unknown key, a wrong type, a value out of range: with file, line and a suggestion, or with the variable.
    pub fn load(origin: &str, text: &str, environment: &[(&str, &str)]) -> Result<Sections, ConfigError> {
        let (sections, wrong) = Sections::read(origin, text, environment)?;
        ConfigError::all(wrong).map(|()| sections)
    }

    /// The same, with everything that is wrong with the values beside it.
    ///
    /// # Errors
    /// An unknown key, a wrong type.
    pub fn read(
        origin: &str,
        text: &str,
        environment: &[(&str, &str)],
    ) -> Result<(Sections, Vec<ConfigError>), ConfigError> {
        let mut sections: Sections = toml::from_str(text).map_err(|error| in_file(origin, text, &error))?;
        if !environment.is_empty() {
            // The file is in order; from here on a mistake is the environment's.
            sections = overridden(text, environment)?;
        }
        let mut wrong = sections.admin.mistakes();
        wrong.extend(sections.telemetry.mistakes());
        wrong.extend(sections.audit.iter().filter_map(|audit| audit.check().err()));
        wrong.extend(sections.backup.iter().filter_map(|backup| backup.check().err()));
        wrong.extend(sections.mcp.check().err());
        let place = |sentence: String| ConfigError(placed(origin, text, environment, &sentence));
        Ok((sections, wrong.into_iter().map(place).collect()))
    }

    /// What they are where nothing is said: each of those that are there.
    pub fn defaults(&self) -> Sections {
        Sections {
            audit: self.audit.as_ref().map(|_| audit::settings::Settings::default()),
            backup: self.backup.as_ref().map(|_| backup::settings::Settings::default()),
            ..Sections::default()
        }
    }

    /// Reads the lists that are elsewhere; what is wrong with them, in sentences that begin with their keys.
    pub fn read_lists(&mut self, config: &Config, read: &mut Reader<'_>) -> Vec<ConfigError> {
        let mut wrong = self.admin.read_lists(read);
        wrong.extend(self.backup.iter_mut().flat_map(|backup| backup.read_lists(config, read)));
        wrong.into_iter().map(ConfigError).collect()
    }

    /// Says where the files are that the sections name, by how `place` sees their paths.
    pub fn relocate(&mut self, place: &dyn Fn(&str) -> String) {
        let files = self.tls.iter_mut().flat_map(|tls| [&mut tls.certificate, &mut tls.key]);
        for file in files {
            *file = PathBuf::from(place(&file.display().to_string()));
        }
        if let Some(files) = &mut self.static_files {
            files.directory = PathBuf::from(place(&files.directory.display().to_string()));
        }
        if let Some(path) = self.admin.unix_socket.as_mut().filter(|path| !path.is_empty()) {
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
