//! `[static]`: the files of one directory, for everybody, beside the API. Off unless it is configured. What the API has, below
//! `api.base_path`, is the API's; nothing here knows a database or who asks.

mod media_type;
mod named;
mod private;

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Result, ensure};
use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, LOCATION, X_CONTENT_TYPE_OPTIONS};
use serde::{Deserialize, Serialize};
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::etag::Conditional;
use sqlitrest_runtime::http::Request;
use tokio::task::spawn_blocking;

use crate::answer::Answer;
use crate::observe::errors;
use crate::streaming::{CHUNK, Feed, feed};
use named::{INDEX, Named};
pub use private::refuse_what_is_private;

/// What all of them are counted as.
pub const ROUTE: &str = "static";

/// `[static]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// The directory whose files are served.
    pub directory: PathBuf,
}

/// The files that are served. The directory is opened for each request, so that another may take its place.
pub struct Files {
    directory: PathBuf,
    /// What is below it is the API's.
    base_path: String,
}

/// What a target names.
enum Found {
    File(Opened),
    /// A directory with an index, named without the slash at its end.
    Directory,
}

/// A file that is about to be sent.
struct Opened {
    file: File,
    /// In bytes.
    length: u64,
    /// Its entity tag.
    tag: String,
    /// How it begins.
    first: Vec<u8>,
}

impl Files {
    /// Those of a directory that is there, beside an API that has a path of its own.
    ///
    /// # Errors
    /// One sentence on what is wrong.
    pub fn new(config: &Config, section: &Section) -> Result<Files> {
        let (directory, base_path) = (section.directory.clone(), config.api.base_path.clone());
        let shown = directory.display();
        ensure!(
            !base_path.is_empty(),
            "static.directory: the API has every path, so that no file could be reached; give it one of its own, such as api.base_path = \"/api\""
        );
        ensure!(
            directory.is_dir(),
            "static.directory: {shown} is no directory; make it, or take the key out of the configuration"
        );
        Ok(Files { directory, base_path })
    }

    /// The answer to a request for a file, or for one that is not there. None to what is the API's, and to what is no request for a file.
    pub async fn answer(&self, request: &Request<'_>) -> Option<Answer> {
        let (path, query) =
            request.target.split_once('?').map_or((request.target, None), |(p, q)| (p, Some(q)));
        if !matches!(request.method, "GET" | "HEAD") || self.is_of_api(path) {
            return None;
        }
        let Some(named) = Named::of(path) else { return Some(self.nothing()) };
        let media_type = media_type::of(&named.path);
        let directory = self.directory.clone();
        let found = spawn_blocking(move || look(&directory, &named))
            .await
            .unwrap_or_else(|e| Err(io::Error::other(e)));
        Some(match found {
            Ok(Found::File(opened)) => answer(opened, media_type, request),
            Ok(Found::Directory) => moved(path, query),
            Err(error) if is_absence(&error) => self.nothing(),
            Err(error) => {
                errors::internal(format_args!("a file of static.directory cannot be read: {error}"));
                Answer::internal()
            }
        })
    }

    fn is_of_api(&self, path: &str) -> bool {
        path.strip_prefix(&self.base_path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// There may be something that is not to be served; the answer is the same.
    fn nothing(&self) -> Answer {
        let hint = format!("There is no such file. The API is below {}.", self.base_path);
        Answer::problem(404, "PGRST125", "Invalid path specified in request URL", &hint)
    }
}

/// Whether somebody asks for what is not there, or not theirs: a link that leads out of the directory is among it.
fn is_absence(error: &io::Error) -> bool {
    use ErrorKind::{InvalidFilename, NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | PermissionDenied | NotADirectory | InvalidFilename)
}

/// Opens what is named, inside the directory alone, links resolved. Blocks.
fn look(directory: &Path, named: &Named) -> io::Result<Found> {
    let directory = Dir::open_ambient_dir(directory, ambient_authority())?;
    let about = directory.metadata(&named.path)?;
    if about.is_dir() && !named.is_index {
        // Not without an index: what directories there are is nobody's business.
        let index = directory.metadata(Path::new(&named.path).join(INDEX))?;
        return if index.is_file() { Ok(Found::Directory) } else { Err(ErrorKind::NotFound.into()) };
    }
    // What is no file could hold up whoever opens it.
    if !about.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    let file = directory.open(&named.path)?;
    let about = file.metadata()?;
    let (mut file, length) = (file.into_std(), about.len());
    let mut first = Vec::new();
    (&mut file).take(length.min(CHUNK as u64)).read_to_end(&mut first)?;
    Ok(Found::File(Opened { file, length, tag: tag(&about), first }))
}

/// By when it was written and its length, as most servers do.
fn tag(about: &Metadata) -> String {
    let written = about.modified().ok().and_then(|time| time.into_std().duration_since(UNIX_EPOCH).ok());
    format!("\"{:x}-{:x}\"", written.unwrap_or_default().as_nanos(), about.len())
}

/// The answer that a file is sent with. Whoever has it asks each time whether it has changed.
fn answer(opened: Opened, media_type: &'static str, request: &Request<'_>) -> Answer {
    let Opened { file, length, tag, first } = opened;
    let is_known = Conditional::of(request).has(&tag);
    let headers = vec![(CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    let mut answer = Answer::of(if is_known { 304 } else { 200 }, headers, Vec::new());
    if let Ok(tag) = HeaderValue::try_from(tag) {
        answer.headers.push((ETAG, tag));
    }
    if is_known {
        return answer;
    }
    answer.headers.push((CONTENT_TYPE, HeaderValue::from_static(media_type)));
    answer.headers.push((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
    if request.method == "HEAD" {
        answer.content_length = Some(length);
        return answer;
    }
    let left = length.saturating_sub(first.len() as u64);
    answer.body = first;
    if left > 0 {
        let (feed, rest) = feed();
        tokio::spawn(send(file, left, feed));
        answer.rest = Some(rest);
    }
    answer
}

/// Sends the rest of a file, for as long as somebody takes it. No thread waits for the client.
async fn send(mut file: File, mut left: u64, feed: Feed) {
    while left > 0 {
        let read = spawn_blocking(move || {
            let mut piece = Vec::new();
            (&mut file).take(left.min(CHUNK as u64)).read_to_end(&mut piece).map(|_| (file, piece))
        });
        let piece = match read.await {
            Ok(Ok((back, piece))) if !piece.is_empty() => {
                file = back;
                piece
            }
            // Without an end the connection breaks off, and the client knows that something is missing.
            Ok(Ok(_)) => return errors::internal(format_args!("a file of static.directory became shorter")),
            Ok(Err(error)) => return errors::internal(format_args!("a file of static.directory: {error}")),
            Err(_) => return,
        };
        left = left.saturating_sub(piece.len() as u64);
        if !feed.send(Bytes::from(piece)).await {
            return;
        }
    }
    feed.end().await;
}

/// To the address with the slash, which what the index refers to is relative to.
fn moved(path: &str, query: Option<&str>) -> Answer {
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let mut headers = vec![(CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if let Ok(location) = HeaderValue::try_from(format!("{path}/{query}")) {
        headers.push((LOCATION, location));
    }
    Answer::of(301, headers, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_apis() {
        let files = Files { directory: PathBuf::new(), base_path: "/rest/v1".to_owned() };
        for api in ["/rest/v1", "/rest/v1/", "/rest/v1/todos", "/rest/v1/a/b"] {
            assert!(files.is_of_api(api), "{api}");
        }
        for other in
            ["/", "/rest", "/rest/", "/rest/v10", "/REST/v1/todos", "/rest/v1.html", "//rest/v1/todos"]
        {
            assert!(!files.is_of_api(other), "{other}");
        }
    }

    #[test]
    fn a_file_needs_an_api_elsewhere() {
        let section = Section { directory: std::env::temp_dir() };
        let with = |base_path: &str| {
            let text = format!("[api]\nbase_path = \"{base_path}\"\n");
            Files::new(&Config::load("", &text, []).expect("valid"), &section).map(drop)
        };
        assert!(with("").expect_err("every path is the API's").to_string().contains("api.base_path"));
        assert!(with("/api").is_ok());
    }
}
