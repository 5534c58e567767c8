//! Looks at the files of the configuration, and has them read again when they change.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use sqlitrest_runtime::config::{Auth, Reference, reference};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::log;
use crate::serving::Serving;
use crate::settings::{Digest, Settings, digest};

/// How long files have to be as they are before they are read: editors and deployments write several times.
const QUIET: Duration = Duration::from_millis(100);

/// How long it is waited for that at the most.
const LONGEST: Duration = Duration::from_secs(1);

/// A file, and what was in it; nothing where it could not be read.
pub type Seen = (PathBuf, Option<Digest>);

/// Looks at the files for as long as the future is polled.
///
/// # Errors
/// One sentence, where the system does not tell of changes.
pub fn watch(serving: Arc<Serving>) -> Result<impl Future<Output = ()> + use<>> {
    let (told, events) = unbounded_channel();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.as_ref().map_or(true, is_change) {
            let _ = told.send(());
        }
    })
    .context("the system does not tell of changed files; write server.watch = false, and reload by SIGHUP")?;
    let mut watched = Watched { watcher, directories: BTreeSet::new() };
    watched.add(&serving.files())?;
    Ok(follow(watched, events, serving))
}

/// Reading is no change, nor is what SQLite writes beside a database; whatever else it is, the contents of the files tell.
fn is_change(event: &notify::Event) -> bool {
    let is_side_file = |path: &PathBuf| {
        let name = path.as_os_str().as_encoded_bytes();
        [&b"-wal"[..], b"-shm", b"-journal"].iter().any(|end| name.ends_with(end))
    };
    let beside = !event.paths.is_empty() && event.paths.iter().all(is_side_file);
    !matches!(event.kind, EventKind::Access(_)) && !beside
}

/// The directories in which something may change.
struct Watched {
    watcher: RecommendedWatcher,
    directories: BTreeSet<PathBuf>,
}

impl Watched {
    /// Directories, because a file that is replaced is another; that to which a link leads, too.
    fn add(&mut self, files: &[Seen]) -> Result<()> {
        let linked = files.iter().filter_map(|(file, _)| fs::canonicalize(file).ok());
        let all = files.iter().map(|(file, _)| file.clone()).chain(linked);
        for directory in all.map(|file| directory(&file).to_owned()) {
            if !self.directories.contains(&directory) {
                self.watcher
                    .watch(&directory, RecursiveMode::NonRecursive)
                    .with_context(|| format!("changes in {} cannot be watched", directory.display()))?;
                self.directories.insert(directory);
            }
        }
        Ok(())
    }
}

async fn follow(mut watched: Watched, mut events: UnboundedReceiver<()>, serving: Arc<Serving>) {
    let mut known = serving.files();
    loop {
        // The first time it is what has changed since the start.
        let _ =
            timeout(LONGEST, async { while let Ok(Some(())) = timeout(QUIET, events.recv()).await {} }).await;
        let now = look_again(&known);
        if now != *known {
            known = match serving.reload_and_tell("files have changed").await {
                true => serving.files(),
                false => Arc::new(now),
            };
            if let Err(error) = watched.add(&known) {
                log(format_args!("warning: {error:#}"));
            }
            // What has changed while it was read is a change like any.
            continue;
        }
        if events.recv().await.is_none() {
            break;
        }
    }
    log(format_args!("changed files are not noticed any more"));
}

/// The same files, with what is in them now.
fn look_again(files: &[Seen]) -> Vec<Seen> {
    let names: Vec<PathBuf> = files.iter().map(|(file, _)| file.clone()).collect();
    let now = contents(&names);
    names.into_iter().zip(now).collect()
}

/// What a configuration was read from. (Lists of keys and users are looked at where they are used.)
pub fn files(settings: &Settings) -> Vec<Seen> {
    let mut auth = settings.config.auth.clone();
    let secrets = auth.iter_mut().flat_map(Auth::references).filter_map(|text| match reference(text) {
        Some(Reference::File(path)) => Some(PathBuf::from(path)),
        _ => None,
    });
    let tokens = settings.config.databases.values().filter_map(|database| database.auth_token.as_ref());
    let tokens = tokens.filter_map(|token| match reference(&token.0) {
        Some(Reference::File(path)) => Some(PathBuf::from(path)),
        _ => None,
    });
    let tls = settings.sections.tls.iter().flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]);
    let others: Vec<PathBuf> = secrets.chain(tokens).chain(tls).collect();
    let read = settings.read.iter().map(|(file, digest)| (file.clone(), Some(*digest)));
    read.chain(others.iter().cloned().zip(contents(&others))).collect()
}

fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

/// What is in the files; nothing where one cannot be read.
fn contents(files: &[PathBuf]) -> Vec<Option<Digest>> {
    files.iter().map(|file| Some(digest(&fs::read(file).ok()?))).collect()
}
