//! Every link of the documents that does not leave the repository leads to a file that is there, and to a heading that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::root;

/// The repository on the web, whose paths are held to be ours.
const ON_THE_WEB: &str = "https://github.com/sqlitrest/sqlitrest/blob/main/";

/// What a page links to, and its headings as links know them.
struct Linked {
    targets: Vec<String>,
    anchors: BTreeSet<String>,
}

/// All Markdown that people read.
fn documents(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let is_ours = !["target", "node_modules"].contains(&name.as_str())
            && (!name.starts_with('.') || name == ".github");
        if path.is_dir() && is_ours && !path.is_symlink() {
            documents(&path, found);
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
}

fn linked(text: &str) -> Linked {
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
    let (mut targets, mut anchors, mut heading) = (Vec::new(), BTreeSet::new(), None::<String>);
    for event in Parser::new_ext(text, options) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                targets.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let slug = slug(&heading.take().unwrap_or_default());
                let numbered = (1..).map(|number| format!("{slug}-{number}"));
                let free = std::iter::once(slug.clone()).chain(numbered).find(|name| !anchors.contains(name));
                anchors.extend(free);
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    Linked { targets, anchors }
}

/// A heading as GitHub and mdBook spell it in links.
fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut paths = Vec::new();
    documents(root(), &mut paths);
    let text = |path: &PathBuf| {
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let pages: BTreeMap<PathBuf, Linked> =
        paths.into_iter().map(|path| (path.canonicalize().expect("a file"), linked(&text(&path)))).collect();
    let (mut followed, mut broken) = (0, Vec::new());
    for (page, Linked { targets, .. }) in &pages {
        for target in targets {
            let (from, target) = match target.strip_prefix(ON_THE_WEB) {
                Some(path) => (root().to_owned(), path),
                None => (page.parent().expect("a directory").to_owned(), target.as_str()),
            };
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { Ok(page.clone()) } else { from.join(path).canonicalize() };
            let is_there = path.is_ok_and(|path| {
                let known = pages.get(&path).is_none_or(|page| page.anchors.contains(anchor));
                anchor.is_empty() || known
            });
            if !is_there {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(followed > 150, "only {followed} links were followed");
    assert!(broken.is_empty(), "{} links lead nowhere:\n{}", broken.len(), broken.join("\n"));
}

/// What `sqlitrest init` writes points to the documents, too.
#[test]
fn addresses_in_the_examples_lead_somewhere() {
    let directories = fs::read_dir(root().join("examples")).expect("examples");
    let directories = directories.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
    let (mut followed, mut broken) = (0, Vec::new());
    for file in directories.flat_map(|path| fs::read_dir(path).expect("a directory")) {
        let Ok(text) = fs::read_to_string(file.expect("an entry").path()) else { continue };
        for rest in text.split(ON_THE_WEB).skip(1) {
            let path = rest.split([' ', '\n', ')', '#', '"']).next().unwrap_or_default();
            followed += 1;
            if !root().join(path).exists() {
                broken.push(path.to_owned());
            }
        }
    }
    assert!(followed >= 4, "only {followed} addresses were found");
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn headings_as_links_know_them() {
    let page = linked("# `[server]`: where, and *when*\n## A\n## A\n[x](a.md#b) ![y](c.svg) `[no](no)`\n");
    let anchors: Vec<&str> = page.anchors.iter().map(String::as_str).collect();
    assert_eq!(anchors, ["a", "a-1", "server-where-and-when"]);
    assert_eq!(page.targets, ["a.md#b", "c.svg"]);
}
