//! What must not lie in a directory that everybody may read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use sqlitrest_runtime::config::{Auth, Config, Reference, Secret, reference};

use crate::sections::Sections;
use crate::settings::Digest;

/// Refuses a directory in which there is a database, a file of the configuration (those that were `read`, and those of secrets), a key
/// or a log.
///
/// # Errors
/// One sentence on which it is.
pub fn refuse_what_is_private(
    config: &Config,
    sections: &Sections,
    read: &[(PathBuf, Digest)],
) -> Result<()> {
    let Some(section) = &sections.static_files else { return Ok(()) };
    // Where it is not there, whoever opens it says so.
    let Ok(directory) = fs::canonicalize(&section.directory) else { return Ok(()) };
    let read = read.iter().map(|(path, _)| path.clone());
    for path in read.chain(of_config(config)).chain(of_sections(sections)) {
        if real(&path).is_some_and(|real| real.starts_with(&directory)) {
            bail!(
                "static.directory: everybody could read {}, which is below {}; give the files that are for everybody a directory of their own",
                path.display(),
                section.directory.display()
            );
        }
    }
    Ok(())
}

/// Databases and what their servers know us by, where others may be attached from, and what credentials are checked by.
fn of_config(config: &Config) -> Vec<PathBuf> {
    let databases = config.databases.values().map(|database| PathBuf::from(&database.path));
    let tokens = config.databases.values().filter_map(|database| database.auth_token.as_ref());
    let tokens = tokens.filter_map(|Secret(text)| file(text));
    let attached = config.attach.paths.iter().map(PathBuf::from);
    let mut auth = config.auth.clone();
    let secrets = auth.iter_mut().flat_map(Auth::references).filter_map(|text| file(text));
    databases.chain(tokens).chain(attached).chain(secrets).collect()
}

/// What the host's own sections name.
fn of_sections(sections: &Sections) -> Vec<PathBuf> {
    let tls = sections.tls.iter().flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]);
    let audit =
        sections.audit.iter().flat_map(|audit| [&audit.file, &audit.database]).flatten().map(PathBuf::from);
    let backup = sections.backup.iter().map(|backup| PathBuf::from(&backup.directory));
    let keys = sections.audit.iter().filter_map(|audit| audit.key.as_ref());
    let secrets = keys.chain(sections.telemetry.headers.values()).filter_map(|Secret(text)| file(text));
    tls.chain(audit).chain(backup).chain(secrets).collect()
}

/// The file that a value refers to, if it does.
fn file(text: &str) -> Option<PathBuf> {
    match reference(text) {
        Some(Reference::File(path)) => Some(PathBuf::from(path)),
        _ => None,
    }
}

/// Where a file is, or will be, links resolved.
fn real(path: &Path) -> Option<PathBuf> {
    if let Ok(real) = fs::canonicalize(path) {
        return Some(real);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(fs::canonicalize(directory).ok()?.join(path.file_name()?))
}
