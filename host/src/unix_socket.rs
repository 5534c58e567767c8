//! A Unix socket as a file: made where none serves, with its mode before anybody can connect, and gone with its server.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::net::{UnixListener, UnixStream};

/// How many clients the system lets in before they are taken.
const BACKLOG: u32 = 1024;

/// A socket that is listened on, and its file.
pub(crate) struct UnixSocket {
    pub(crate) listener: UnixListener,
    file: SocketFile,
}

/// The file of a socket, removed with this.
struct SocketFile {
    path: PathBuf,
    /// Its device and number: a successor may have put another file there.
    identity: Option<(u64, u64)>,
}

impl UnixSocket {
    /// Listens on a path. The file of a server that is gone is replaced.
    ///
    /// # Errors
    /// One sentence: a server listens there, something else is there, or the system refuses.
    pub(crate) async fn bind(path: &Path, mode: u32) -> Result<UnixSocket> {
        clear(path).await?;
        let shown = path.display();
        let refused = || format!("cannot listen on unix:{shown}");
        let socket = tokio::net::UnixSocket::new_stream().with_context(refused)?;
        if let Err(error) = socket.bind(path) {
            match error.kind() {
                ErrorKind::NotFound => bail!("cannot listen on unix:{shown}: the directory is not there"),
                ErrorKind::PermissionDenied => {
                    bail!("cannot listen on unix:{shown}: this user may make no file in the directory")
                }
                _ => return Err(error).with_context(refused),
            }
        }
        let file = SocketFile { path: path.to_owned(), identity: identity(path) };
        // Nobody can connect before it is listened on.
        fs::set_permissions(path, Permissions::from_mode(mode)).with_context(refused)?;
        let listener = socket.listen(BACKLOG).with_context(refused)?;
        Ok(UnixSocket { listener, file })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.file.path
    }
}

/// What is in the way of a socket there, as far as can be seen without making one.
pub(crate) fn mistake(path: &Path) -> Option<String> {
    let shown = path.display();
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if directory.is_some_and(|directory| !directory.is_dir()) {
        return Some(format!("cannot listen on unix:{shown}: the directory is not there"));
    }
    let about = fs::symlink_metadata(path).ok()?;
    (!about.file_type().is_socket())
        .then(|| format!("{shown} is there and is no socket; move it away, or choose another path"))
}

/// Makes room for a socket, if what is there is one that nobody listens on.
async fn clear(path: &Path) -> Result<()> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot listen on unix:{shown}")),
        Ok(about) if !about.file_type().is_socket() => {
            bail!("{shown} is there and is no socket; move it away, or choose another path")
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).with_context(|| format!("the old socket {shown} cannot be replaced"))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            bail!("the socket {shown} belongs to another user; choose another path")
        }
        // One whose queue is full is alive, too.
        _ => bail!("a server listens on unix:{shown} already; stop it, or choose another path"),
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|about| (about.dev(), about.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && self.identity == identity(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
