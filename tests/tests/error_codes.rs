//! Every code that the core can answer with is reached: by a case in `tests/cases`, or, where that takes a database in trouble,
//! by a function here.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use sqlitrest::{Config, Request};
use sqlitrest_runtime::SchemaCache;
use sqlitrest_runtime::database::{Database, DbError};
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::value::{Value, ValueRef};
use sqlitrest_tests::double::Double;

/// The files that give codes to errors.
const SOURCES: &[&str] = &[
    "runtime/src/error.rs",
    "runtime/src/auth/error.rs",
    "runtime/src/database_error.rs",
    "runtime/src/full_text.rs",
];

/// A code, and what makes the core answer with it.
type Trouble = (&'static str, fn() -> String);

/// What a request and a fixture cannot bring about.
const TROUBLES: &[Trouble] = &[
    ("PGRST000", the_database_cannot_be_opened),
    ("PGRST003", another_process_holds_the_lock),
    ("53100", the_disk_is_full),
    ("57014", the_time_is_over),
];

#[test]
fn every_code_is_reached() {
    let codes = codes();
    assert!(codes.len() > 40, "only {codes:?} were found in the sources");
    let mut reached = BTreeSet::new();
    cases(&sqlitrest_tests::root().join("tests/cases"), &mut reached);
    // PT403 and the like are a function's own: what it raises is its answer's status.
    let is_raised = |code: &str| code.strip_prefix("PT").is_some_and(|status| status.parse::<u16>().is_ok());
    let extra: Vec<_> = reached.difference(&codes).filter(|code| !is_raised(code)).collect();
    assert!(extra.is_empty(), "in cases, but not found in {SOURCES:?}: {extra:?}");
    let needless: Vec<_> = TROUBLES.iter().filter(|(code, _)| reached.contains(*code)).collect();
    assert!(needless.is_empty(), "reached by cases: {needless:?}");
    for (code, trouble) in TROUBLES {
        assert_eq!(trouble(), *code);
        reached.insert((*code).to_owned());
    }
    let missing: Vec<_> = codes.difference(&reached).collect();
    assert!(missing.is_empty(), "no case in tests/cases answers with {missing:?}");
}

/// The texts in the sources, their tests left out, that look like `PGRST100` or `22P02`.
fn codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for source in SOURCES {
        let text = std::fs::read_to_string(sqlitrest_tests::root().join(source)).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        codes.extend(text.split('"').filter(|piece| is_code(piece)).map(str::to_owned));
    }
    codes
}

fn is_code(text: &str) -> bool {
    let is_sign = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    match text.strip_prefix("PGRST") {
        Some(number) => number.len() == 3 && number.chars().all(is_sign),
        None => text.len() == 5 && text.chars().all(is_sign) && text.chars().any(|c| c.is_ascii_digit()),
    }
}

/// The codes in the expected replies of the cases.
fn cases(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            cases(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let codes = text.lines().filter_map(|line| line.strip_prefix("proxy-status: SQLitREST; error="));
        found.extend(codes.map(str::to_owned));
    }
}

/// The code of the answer to one insert.
fn code(db: &mut dyn Database) -> String {
    let config = Config::load("codes", "[databases.main]\npath = \"memory.db\"\n", []).unwrap();
    let request = Request { method: "POST", target: "/t", headers: &[], body: br#"{"n":1}"# };
    let parsed = sqlitrest_runtime::parse(&config, &Identity::anonymous(&config).into(), &request).unwrap();
    let mut schema = Arc::new(SchemaCache::default());
    let response = sqlitrest_runtime::respond(&config, &mut schema, parsed, db);
    let status = response.headers.iter().find(|(name, _)| name == "proxy-status");
    let code = status.and_then(|(_, value)| value.split_once("error=")).unwrap_or_default().1;
    // The body says the same.
    let body = String::from_utf8(response.body).unwrap();
    assert!(body.contains(&format!("\"code\":\"{code}\"")), "{body}");
    code.to_owned()
}

fn table() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1)").unwrap();
    connection
}

fn the_database_cannot_be_opened() -> String {
    struct Gone;
    impl Gone {
        fn error() -> DbError {
            let error = Connection::open("/no/such/directory/a.db").unwrap_err();
            DbError { message: error.to_string() }
        }
    }
    impl Database for Gone {
        fn columns(&mut self, _: &str, _: &[Value]) -> Result<Vec<String>, DbError> {
            Err(Gone::error())
        }
        fn rows(&mut self, _: &str, _: &[Value], _: &mut dyn FnMut(&[ValueRef<'_>])) -> Result<(), DbError> {
            Err(Gone::error())
        }
    }
    code(&mut Gone)
}

fn another_process_holds_the_lock() -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let other = Connection::open(&file).unwrap();
    other.execute_batch("CREATE TABLE t (n); BEGIN EXCLUSIVE").unwrap();
    let connection = Connection::open(&file).unwrap();
    connection.busy_timeout(Duration::from_millis(1)).unwrap();
    code(&mut Double::new(connection))
}

fn the_disk_is_full() -> String {
    let connection = table();
    connection.execute_batch("PRAGMA max_page_count = 1").unwrap();
    // What there is has filled the last page.
    connection
        .execute_batch(
            "CREATE TRIGGER grow BEFORE INSERT ON t BEGIN INSERT INTO t VALUES (zeroblob(100000)); END",
        )
        .unwrap();
    code(&mut Double::new(connection))
}

fn the_time_is_over() -> String {
    let mut connection = table();
    connection.progress_handler(1, Some(|| true)).unwrap();
    code(&mut Double::new(connection))
}
