//! What must not lie in a directory that everybody may read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use sqlitrest_runtime::config::Config;

use crate::sections::Sections;
use crate::settings::Digest;

/// Refuses a directory in which there is a database, a file of the configuration (those that were `read`, secrets among them), a key or
/// a log.
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
    let databases = config.databases.values().map(|database| PathBuf::from(&database.path));
    let attached = config.attach.paths.iter().map(PathBuf::from);
    let read = read.iter().map(|(path, _)| path.clone());
    let tls = sections.tls.iter().flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]);
    let audit =
        sections.audit.iter().flat_map(|audit| [&audit.file, &audit.database]).flatten().map(PathBuf::from);
    let backup = sections.backup.iter().map(|backup| PathBuf::from(&backup.directory));
    for path in databases.chain(attached).chain(read).chain(tls).chain(audit).chain(backup) {
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

/// Where a file is, or will be, links resolved.
fn real(path: &Path) -> Option<PathBuf> {
    if let Ok(real) = fs::canonicalize(path) {
        return Some(real);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(fs::canonicalize(directory).ok()?.join(path.file_name()?))
}
