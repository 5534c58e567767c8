//! That no page of `docs/` is without a test, and no command in one is shown to be typed and never was.

use std::collections::BTreeSet;

use crate::page::Page;
use crate::{pages, read, root};

/// Pages without examples, and the tests that compare them with what they are about.
const COMPARED: [(&str, &str); 4] = [
    ("docs/configuration.md", "tests/tests/configuration.rs"),
    ("docs/limits.md", "tests/tests/limits.rs"),
    ("docs/performance.md", "xtask/tests/documents/book.rs"),
    ("docs/comparison.md", "xtask/tests/documents/book.rs"),
];

/// What is typed where no test can: another platform, the repository's own commands, whose tests these are, and what takes a build.
const NOT_RUN: [&str; 5] = ["cargo", "export", "git", "spin", "target/release/sqlitrest"];

/// Pages whose set-ups, containers and services among them, have tests of their own.
const RUN_ELSEWHERE: [(&str, &str); 1] = [("docs/deployment.md", "tests/deploy")];

fn run_elsewhere(page: &str) -> bool {
    RUN_ELSEWHERE.iter().any(|(name, tests)| *name == page && root().join(tests).exists())
}

fn with_blocks(info: &str) -> BTreeSet<String> {
    let has = |page: &String| Page::parse(&read(page)).blocks.iter().any(|block| block.info == info);
    pages().into_iter().filter(has).collect()
}

#[test]
fn every_page_has_a_test() {
    let typed = with_blocks("console");
    let asked = with_blocks("http");
    for page in pages() {
        let compared = COMPARED.iter().find(|(name, _)| *name == page);
        if let Some((_, test)) = compared {
            assert!(read(test).contains(&page), "{test} does not read {page}");
        }
        let is_run = typed.contains(&page) || asked.contains(&page) || run_elsewhere(&page);
        let has_test = compared.is_some() || is_run;
        assert!(has_test, "{page} has neither examples nor a test of its own: COMPARED");
    }
}

#[test]
fn every_example_is_run() {
    let test = read("tests/tests/docs.rs");
    for page in with_blocks("http") {
        assert!(
            test.contains(&format!("\"{page}\"")),
            "tests/tests/docs.rs does not run the examples of {page}"
        );
    }
}

/// A block `sh` is for what cannot be run here; what can is a block `console`.
#[test]
fn every_command_is_run() {
    for name in pages().into_iter().filter(|name| !run_elsewhere(name)) {
        let page = Page::parse(&read(&name));
        for block in page.blocks.iter().filter(|block| block.info == "sh") {
            for line in page.lines[block.range.clone()].iter().filter(|line| !line.starts_with([' ', '#'])) {
                let first = line.split(' ').next().unwrap_or_default();
                let is_known = line.is_empty() || NOT_RUN.contains(&first);
                assert!(
                    is_known,
                    "{name}, below line {}: `{line}` is not run; make it a `console` block",
                    block.line
                );
            }
        }
    }
}

/// What is shown as configuration can be read as such.
#[test]
fn every_configuration_is_toml() {
    let mut read_ones = 0;
    for name in pages() {
        let page = Page::parse(&read(&name));
        for block in page.blocks.iter().filter(|block| block.info.split(' ').next() == Some("toml")) {
            let text = page.lines[block.range.clone()].join("\n");
            let table = text.parse::<toml::Table>();
            assert!(table.is_ok(), "{name}, line {}: {}", block.line, table.unwrap_err());
            read_ones += 1;
        }
    }
    assert!(read_ones >= 40, "only {read_ones} blocks");
}

/// A newcomer has an answer that goes by who asks after less than ten commands.
#[test]
fn the_quick_start_is_quick() {
    let text = read("docs/quickstart.md");
    let (before, _) =
        text.split_once("That was an authenticated answer").expect("the place where it is there");
    let page = Page::parse(before);
    let is_typed = |info: &str, line: &str| match info {
        "console" => line.starts_with("$ "),
        _ => info == "sh" && !line.starts_with([' ', '#']),
    };
    let lines = |info: &str, range: std::ops::Range<usize>| {
        page.lines[range].iter().filter(|line| is_typed(info, line)).count()
    };
    let typed: usize = page.blocks.iter().map(|block| lines(&block.info, block.range.clone())).sum();
    assert!((5..10).contains(&typed), "{typed} commands");
}
