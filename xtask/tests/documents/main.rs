//! The documents: that what they tell to type does what they say, that their links lead somewhere, and that no page of `docs/` is without a test.
//!
//! What stands in `http` blocks is run by `tests/tests/docs.rs`, on every engine; here are the `console` blocks, for which the server that
//! `SQLITREST_BIN` names is a program like any other.

mod book;
mod console;
mod coverage;
mod links;
mod page;
mod session;

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("a member of the workspace")
}

/// A file of the repository.
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The Markdown of a directory, by names relative to the root.
fn pages_of(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(directory)).unwrap_or_else(|error| panic!("{directory}: {error}"));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_page = |path: &PathBuf| path.extension().is_some_and(|end| end == "md");
    let name = |path: PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    let mut names: Vec<String> =
        paths.filter(is_page).map(|path| format!("{directory}/{}", name(path))).collect();
    names.sort_unstable();
    names
}

/// The pages of `docs/`, without its table of contents.
fn pages() -> Vec<String> {
    let mut pages = pages_of("docs");
    pages.retain(|page| page != "docs/SUMMARY.md");
    assert!(pages.len() >= 15, "{pages:?}");
    pages
}
