//! Files for copies of a database: nobody may read or write one who may not read or write the database itself.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};

/// Makes an empty file with the mode of another, or with less where the umask says so. There must be no such file.
///
/// # Errors
/// The system's.
#[cfg(unix)]
pub(super) fn create_like(like: &Path, file: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
    let wanted = fs::metadata(like)?;
    let mode = (wanted.mode() & 0o666) | 0o600;
    let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
    let about = made.metadata()?;
    if about.gid() != wanted.gid() {
        // Another group than that of the database: to it they are others.
        let others = mode & 0o006;
        let mode = about.mode() & (0o606 | (others << 3));
        made.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Makes an empty file; who may read it the directory says.
///
/// # Errors
/// The system's.
#[cfg(not(unix))]
pub(super) fn create_like(_: &Path, file: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(file).map(drop)
}

/// A directory that nobody else may look into, under a name that nobody can know before. It goes, with all that is in it, when this does.
pub(super) struct Directory(PathBuf);

impl Directory {
    /// Makes one where the system has files that do not last.
    ///
    /// # Errors
    /// One sentence on why it cannot be made.
    pub(super) fn new() -> Result<Directory> {
        let mut random = [0; 12];
        getrandom::fill(&mut random).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
        let path = std::env::temp_dir().join(format!("sqlitrest-{}", super::hex(&random)));
        #[cfg_attr(not(unix), allow(unused_mut))]
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            builder.mode(0o700);
        }
        builder.create(&path).with_context(|| format!("the directory {} cannot be made", path.display()))?;
        Ok(Directory(path))
    }

    /// Where a file in it is.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn nobody_else_may_look_into_it_and_it_goes() {
        let directory = Directory::new().expect("made");
        let (of, copy) = (directory.join("a.db"), directory.join("b.db"));
        let at = of.parent().expect("a directory").to_owned();
        assert_eq!(mode(&at), 0o700);
        fs::write(&of, "x").expect("written");
        for own in [0o600, 0o640, 0o644] {
            fs::set_permissions(&of, fs::Permissions::from_mode(own)).expect("its mode");
            create_like(&of, &copy).expect("made");
            assert_eq!(mode(&copy) & !own, 0, "{own:o}");
            assert!(create_like(&of, &copy).is_err(), "it is there already");
            fs::remove_file(&copy).expect("removed");
        }
        drop(directory);
        assert!(!at.exists());
    }
}
