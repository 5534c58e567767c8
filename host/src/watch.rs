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

/// Looks at the files for as long as the future is polled.
///
/// # Errors
/// One sentence, where the system does not tell of changes.
pub fn watch(settings: &Settings, serving: Arc<Serving>) -> Result<impl Future<Output = ()> + use<>> {
    let known = files(settings);
    let files: Vec<PathBuf> = known.iter().map(|(file, _)| file.clone()).collect();
    let (told, events) = unbounded_channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading is no change; whatever else it is, their contents tell.
        if !matches!(event, Ok(notify::Event { kind: EventKind::Access(_), .. })) {
            let _ = told.send(());
        }
    })
    .context("the system does not tell of changed files; write server.watch = false, and reload by SIGHUP")?;
    // Directories, because a file that is replaced is another.
    let directories: BTreeSet<&Path> = files.iter().map(|file| directory(file)).collect();
    for directory in directories {
        watcher
            .watch(directory, RecursiveMode::NonRecursive)
            .with_context(|| format!("changes in {} cannot be watched", directory.display()))?;
    }
    let known = known.into_iter().map(|(_, digest)| digest).collect();
    Ok(follow(watcher, files, known, events, serving))
}

async fn follow(
    _watcher: RecommendedWatcher,
    files: Vec<PathBuf>,
    mut known: Vec<Option<Digest>>,
    mut events: UnboundedReceiver<()>,
    serving: Arc<Serving>,
) {
    loop {
        // The first time it is what has changed since the start.
        while let Ok(Some(())) = timeout(QUIET, events.recv()).await {}
        let now = contents(&files);
        if now != known {
            known = now;
            serving.reload_and_tell("files have changed").await;
        }
        if events.recv().await.is_none() {
            break;
        }
    }
    log(format_args!("changed files are not noticed any more"));
}

/// What a configuration was read from. (Lists of keys and users are looked at where they are used.)
fn files(settings: &Settings) -> Vec<(PathBuf, Option<Digest>)> {
    let mut auth = settings.config.auth.clone();
    let secrets = auth.iter_mut().flat_map(Auth::references).filter_map(|text| match reference(text) {
        Some(Reference::File(path)) => Some(PathBuf::from(path)),
        _ => None,
    });
    let tls = settings.sections.tls.iter().flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]);
    let others: Vec<PathBuf> = secrets.chain(tls).collect();
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
