//! The site: that its table of contents has every page, each once, and that the pages about what others measure and do are as their sources.

use std::collections::BTreeSet;

use crate::{pages, read};

#[test]
fn the_table_of_contents_has_every_page() {
    let summary = read("docs/SUMMARY.md");
    let targets = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let listed: Vec<String> = targets.map(|target| format!("docs/{target}")).collect();
    let once: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(once.len(), listed.len(), "a page is listed twice: {listed:?}");
    let pages = pages();
    let missing: Vec<&String> = pages.iter().filter(|page| !once.contains(page)).collect();
    assert!(missing.is_empty(), "docs/SUMMARY.md does not list {missing:?}");
    let invented: Vec<&String> = listed.iter().filter(|page| !pages.contains(page)).collect();
    assert!(invented.is_empty(), "docs/SUMMARY.md lists {invented:?}, which there is not");
}

#[test]
fn each_page_has_one_title() {
    for page in pages() {
        let text = read(&page);
        assert!(text.starts_with("# "), "{page} begins with its title");
    }
}

/// The cells of the row of a Markdown table that begins so, without their stars.
fn row(text: &str, first: &str) -> Vec<String> {
    let row = text.lines().find(|line| line.starts_with(first));
    let row = row.unwrap_or_else(|| panic!("no row {first:?}"));
    row.split('|').map(|cell| cell.replace('*', "").trim().to_owned()).collect()
}

/// The figures of our server that `docs/performance.md` tells are those of the last run.
#[test]
fn the_figures_are_those_that_were_measured() {
    let (told, measured) = (read("docs/performance.md"), read("benches/results/latest.md"));
    let run = measured.lines().find(|line| line.starts_with("Commit ")).expect("a run");
    let day = run.split(", ").nth(1).and_then(|time| time.split(' ').next()).expect("a day");
    assert!(told.contains(day), "docs/performance.md is not of the run of {day}");
    let table = told.split("| what | measured |").nth(1).expect("a table of figures");
    let mut compared = 0;
    for line in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let cell = &row(&measured, &format!("| {} |", cells[1]))[2];
        let first = cell.split(' ').next().unwrap_or_default();
        assert_eq!(cells[2], first, "{}: {cell}", cells[1]);
        compared += 1;
    }
    assert!(compared >= 12, "only {compared} figures were compared");
}

/// The medians of a workload with 32 connections, of the server in the first cell of a row; `—` where it has no such request.
fn rate(measured: &str, workload: &str, server: &str) -> String {
    let section = measured.split(&format!("## {workload}\n")).nth(1);
    let section = section.unwrap_or_else(|| panic!("no workload {workload}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let is_meant =
        |line: &&str| line.starts_with("| 32 |") && line.split('|').nth(2).map(str::trim) == Some(server);
    let cell = section.lines().find(is_meant).and_then(|line| line.split('|').nth(3));
    cell.and_then(|cell| cell.split_whitespace().next()).unwrap_or("—").to_owned()
}

/// The requests a second that `docs/performance.md` and `README.md` tell of each server are the medians of the run.
#[test]
fn the_rates_are_those_that_were_measured() {
    let (told, measured) = (read("docs/performance.md"), read("benches/results/latest.md"));
    let table = told.split("| requests a second |").nth(1).expect("a table of rates");
    let head: Vec<&str> = table.lines().next().unwrap_or_default().split('|').map(str::trim).collect();
    let workloads: Vec<&str> = head.iter().copied().filter(|name| !name.is_empty()).collect();
    let mut compared = 0;
    for line in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        for (workload, cell) in workloads.iter().zip(&cells[1..]) {
            let measured = rate(&measured, workload, cells[0]);
            assert_eq!(cell.replace(',', ""), measured, "{workload}, {}", cells[0]);
            compared += 1;
        }
    }
    assert!(compared >= 24, "only {compared} rates were compared");

    let readme = read("README.md");
    let (servers, rates) = (row(&readme, "| | SQLitREST |"), row(&readme, "| by key, requests a second |"));
    assert_eq!(servers.len(), rates.len());
    for (server, told) in servers.iter().zip(&rates).skip(2).filter(|(name, _)| !name.is_empty()) {
        let name = match server.as_str() {
            "SQLitREST" => "native",
            "@supabase/lite" => "supabase-lite",
            name => name,
        };
        let measured = rate(&measured, "By key", name).replace('—', "–");
        assert_eq!(told.replace(',', ""), measured, "README.md, {server}");
    }
}

/// What is said of others was looked at in the versions that are measured, on a day that is told.
#[test]
fn the_comparison_is_dated_and_has_its_sources() {
    let (text, peers) = (read("docs/comparison.md"), read("xtask/src/peers.rs"));
    assert!(text.contains("2026-11-28"), "no date");
    for (name, version) in [("PocketBase", "0.40.6"), ("Datasette", "0.65.5"), ("@supabase/lite", "0.10.0")] {
        assert!(text.contains(version), "{name} {version} is not told of");
        let is_measured = peers.contains(version);
        assert!(is_measured, "{name} is measured in another version than docs/comparison.md tells of");
    }
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    assert!(rows.len() >= 15, "{rows:?}");
    // A statement about another has the number of its source.
    let sources: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("[^")?.split(']').next()).collect();
    let cited: BTreeSet<&str> = text.split("[^").skip(1).filter_map(|rest| rest.split(']').next()).collect();
    assert_eq!(cited, sources, "each source that is cited is listed");
    assert!(sources.len() >= 5, "{sources:?}");
}
