//! The `console` blocks of all pages, run with both engines. `UPDATE_EXPECT=1` writes what is printed into the pages, `PAGE=cookbook` picks.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::thread;

use crate::page::{Page, Step};
use crate::session::{Outcome, Session};
use crate::{pages, read, root};

/// What a session prints in place of what a page says.
struct Difference {
    title: String,
    range: Range<usize>,
    printed: String,
}

fn server() -> PathBuf {
    let built = root().join("target/release/sqlitrest");
    let path = std::env::var_os("SQLITREST_BIN").map_or(built, PathBuf::from);
    assert!(path.exists(), "no server at {}: run cargo xtask build first", path.display());
    path
}

#[test]
fn what_is_typed_is_answered() {
    let wanted = std::env::var("PAGE").unwrap_or_default();
    let pages: Vec<String> = pages().into_iter().filter(|page| page.contains(&wanted)).collect();
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let failures: Vec<String> = thread::scope(|scope| {
        let of_page = |name: &String| (name.clone(), Page::parse(&read(name)));
        let running: Vec<_> = pages
            .iter()
            .map(of_page)
            .map(|(name, page)| scope.spawn(move || check(&name, &page, update)))
            .collect();
        running.into_iter().flat_map(|page| page.join().expect("no panic")).collect()
    });
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

/// What README.md asks of the example is answered by it.
#[test]
fn what_the_readme_asks() {
    let text = read("README.md");
    let asked: Vec<&str> = text.lines().filter(|line| line.starts_with("curl ")).collect();
    assert!(asked.len() >= 3, "{asked:?}");
    for engine in ["component", "native"] {
        let mut session = Session::begin(&server(), engine);
        session.write("music.sql", &read("examples/music.sql"));
        assert!(session.type_in("sqlitrest create-database music.sql music.db").is_well);
        let started = session.type_in("sqlitrest serve music.db &");
        assert!(started.is_well, "{}", started.printed);
        for line in &asked {
            let Outcome { printed, is_well } = session.type_in(line);
            assert!(is_well && printed.starts_with("[{"), "{line}: {printed}");
        }
    }
}

/// Runs the sessions of a page, and says what is printed otherwise.
fn check(name: &str, page: &Page, update: bool) -> Vec<String> {
    let mut failures = Vec::new();
    for engine in ["component", "native"] {
        let mut found = Vec::new();
        for (section, steps) in page.sessions() {
            found.extend(run(&section, &steps, engine));
        }
        if update && engine == "component" {
            let printed: Vec<_> = found.iter().map(|it| (it.range.clone(), wrapped(&it.printed))).collect();
            fs::write(root().join(name), page.with(&printed)).expect("written");
        }
        failures.extend(
            found.into_iter().filter(|_| !update).map(|it| format!("{name}, {engine}, {}", it.title)),
        );
    }
    failures
}

fn run(section: &str, steps: &[Step], engine: &str) -> Vec<Difference> {
    let mut session = Session::begin(&server(), engine);
    let mut found = Vec::new();
    for step in steps {
        match step {
            Step::File { name, text, .. } => session.write(name, text),
            Step::Command { line, typed, printed, range } => {
                let outcome = session.type_in(typed);
                let got = outcome.printed.replace("engine native", "engine component");
                let got = got.replace("\"engine\":\"native\"", "\"engine\":\"component\"");
                if !outcome.is_well || !is_same(printed, &got) {
                    let how = if outcome.is_well { "" } else { " (it failed)" };
                    let title = format!(
                        "{section}, line {line}: {typed}{how}\n--- told\n{printed}\n--- printed\n{got}\n"
                    );
                    found.push(Difference { title, range: range.clone(), printed: got });
                }
            }
        }
    }
    found
}

/// Whether this is what was printed. `…` is any text of a line, and a line of its own is any lines; JSON may be broken where it pleases.
fn is_same(told: &str, printed: &str) -> bool {
    match told.contains('…') {
        true => fits(&told.lines().collect::<Vec<_>>(), &printed.lines().collect::<Vec<_>>()),
        false => told == printed || (told.starts_with(['[', '{']) && squeezed(told) == squeezed(printed)),
    }
}

fn fits(told: &[&str], printed: &[&str]) -> bool {
    match (told, printed) {
        ([], []) => true,
        (["…", rest @ ..], _) => (0..=printed.len()).any(|skip| fits(rest, &printed[skip..])),
        ([told, rest @ ..], [printed, more @ ..]) => line_fits(told, printed) && fits(rest, more),
        _ => false,
    }
}

fn line_fits(told: &str, printed: &str) -> bool {
    let parts: Vec<&str> = told.split('…').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return told == printed };
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// Without the white space that stands in no text.
fn squeezed(json: &str) -> String {
    let (mut is_text, mut is_escaped) = (false, false);
    let mut keep = |c: char| {
        is_text ^= c == '"' && !is_escaped;
        is_escaped = is_text && c == '\\' && !is_escaped;
        is_text || !c.is_ascii_whitespace()
    };
    json.chars().filter(|c| keep(*c)).collect()
}

/// A long array of objects has each on a line of its own.
fn wrapped(printed: &str) -> String {
    if printed.len() <= 120 || !printed.starts_with("[{") || printed.contains('\n') {
        return printed.to_owned();
    }
    let (mut text, mut depth, mut is_text, mut is_escaped) = (String::new(), 0, false, false);
    for c in printed.chars() {
        is_text ^= c == '"' && !is_escaped;
        is_escaped = is_text && c == '\\' && !is_escaped;
        match c {
            '[' | '{' if !is_text => depth += 1,
            ']' | '}' if !is_text => depth -= 1,
            _ => {}
        }
        text.push(c);
        if c == ',' && !is_text && depth == 1 {
            text.push_str("\n ");
        }
    }
    text
}

#[test]
fn what_is_the_same() {
    assert!(is_same("[{\"a\": 1},\n {\"b\":\"x y\"}]", "[{\"a\":1},{\"b\":\"x y\"}]"));
    assert!(!is_same("[{\"b\":\"x y\"}]", "[{\"b\":\"xy\"}]") && !is_same("[]", "[1]") && !is_same("", "a"));
    assert!(is_same("a…c", "abbc") && !is_same("a…c", "abb") && !is_same("a…", "b"));
    assert!(is_same("one\n…\nlast", "one\n2\n3\nlast") && is_same("…", "") && !is_same("one\n…", "two\n2"));
    assert_eq!(squeezed(r#"["a\" b" , "c"]"#), r#"["a\" b","c"]"#);
}
