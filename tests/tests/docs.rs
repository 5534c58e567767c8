//! What the documents claim: every `http` example of the pages named below on every engine, and that nothing is left undocumented. What is typed in a
//! `console` block is run by `xtask/tests/documents`, which also holds that no page is without a test.
//! `UPDATE_EXPECT=1` writes the answers into the document.

use std::collections::BTreeMap;

use sqlitrest::Engine;
use sqlitrest_runtime::config::{self, KEYS};
use sqlitrest_tests::document::{Document, Example, Shown};
use sqlitrest_tests::fixture::Fixture;
use sqlitrest_tests::spin::Spin;

/// A configuration with what serves it.
struct Served {
    fixture: Fixture,
    engines: Vec<Engine>,
    spin: Spin,
    /// The section whose requests it has answered last.
    section: usize,
}

impl Served {
    fn new(example: &Example) -> Served {
        let music = std::fs::read_to_string(sqlitrest_tests::root().join("examples/music.sql")).unwrap();
        let fixture = Fixture::of_sql(&(music + &example.setup));
        let spin = Spin::new(&fixture.path("spin"), &fixture.config_text("spin", &example.config));
        Served { engines: fixture.engines(&example.config), fixture, spin, section: example.section }
    }

    /// The answers of the engines; that of Spin, which percent-encodes what it is asked, is the last.
    fn answers(&mut self, example: &Example) -> Vec<(&'static str, Shown)> {
        if self.section != example.section {
            self.section = example.section;
            for engine in ["native", "component", "spin"] {
                self.fixture.restore(&self.fixture.path(engine));
            }
        }
        let model = example.answer.as_ref();
        let mut answers = Vec::new();
        for engine in self.engines.iter().filter(|_| !example.spin) {
            let answer = example.request.with_request(|request| block_on(engine.handle(request)));
            answers.push((engine.name(), Shown::of(&answer, model)));
        }
        let answer = example.request.with_request(|request| block_on(self.spin.handle(request)));
        let mut answer = Shown::of(&answer, model);
        if let Some((_, first)) = answers.first() {
            let is_target = |name: &str| matches!(name, "content-location" | "link");
            for (own, first) in answer.headers.iter_mut().zip(&first.headers) {
                if is_target(&own.0) {
                    own.1.clone_from(&first.1);
                }
            }
            if answer.body.contains("this host gives SQLite no regular expressions") {
                return answers;
            }
        }
        answers.push(("spin", answer));
        answers
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_the_reference() {
    run_examples("docs/api.md", 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_filters() {
    run_examples("docs/filters.md", 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_functions() {
    run_examples("docs/functions.md", 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_edge_hosts() {
    run_examples("docs/edge.md", 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_signing_in() {
    run_examples("docs/auth.md", 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_policies() {
    run_examples("docs/policies.md", 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_debugging() {
    run_examples("docs/debug.md", 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_security() {
    run_examples("docs/security.md", 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_documents() {
    run_examples("docs/openapi.md", 6);
}

/// Runs the examples of a document, of which there must be some.
fn run_examples(name: &str, fewest: usize) {
    let path = sqlitrest_tests::root().join(name);
    let mut document = Document::parse(&std::fs::read_to_string(&path).unwrap());
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut served: BTreeMap<(String, String), Served> = BTreeMap::new();
    let mut failures = Vec::new();
    for example in &mut document.examples {
        let key = (example.config.clone(), example.setup.clone());
        let served = served.entry(key).or_insert_with(|| Served::new(example));
        for (name, answer) in served.answers(example) {
            match &example.answer {
                Some(expected) if *expected == answer => {}
                expected => failures.push(format!(
                    "{} ({name})\nexpected {expected:?}\ngot      {answer:?}",
                    example.title()
                )),
            }
            if update {
                example.answer = Some(answer);
            }
        }
    }
    println!("{} examples", document.examples.len());
    if update {
        std::fs::write(path, document.write()).unwrap();
        return;
    }
    assert!(document.examples.len() >= fewest, "only {} examples", document.examples.len());
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

/// A file of the repository.
fn file(path: &str) -> String {
    std::fs::read_to_string(sqlitrest_tests::root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The documents that users read.
fn documents() -> String {
    [
        "README.md",
        "docs/api.md",
        "docs/auth.md",
        "docs/configuration.md",
        "docs/databases.md",
        "docs/debug.md",
        "docs/http.md",
        "docs/observability.md",
        "docs/openapi.md",
        "docs/policies.md",
        "docs/audit.md",
        "docs/operations.md",
    ]
    .map(file)
    .concat()
}

/// What stands in the configuration blocks of the documents, as dotted keys.
fn configured(text: &str) -> Vec<String> {
    fn collect(prefix: &str, table: &toml::Table, keys: &mut Vec<String>) {
        for (key, value) in table {
            let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            list.iter().filter_map(toml::Value::as_table).for_each(|inner| collect(&key, inner, keys));
            keys.push(key);
        }
    }
    let mut keys = Vec::new();
    for block in text.split("\n```toml").skip(1) {
        let block = block.split_once('\n').and_then(|(_, rest)| rest.split("\n```").next());
        collect("", &toml::from_str(block.unwrap()).unwrap(), &mut keys);
    }
    keys
}

#[test]
fn every_key_is_documented() {
    let text = documents();
    let shown = configured(&text);
    let is_told = |key: &str| shown.iter().any(|known| known == key) || text.contains(&format!("`{key}`"));
    let mut keys: Vec<String> = KEYS.iter().map(|key| (*key).to_owned()).collect();
    // Keys of lists: serde tells which there are.
    let of = |message: String| {
        let names = message.split("expected").nth(1).unwrap_or_default().to_owned();
        let names: Vec<String> = names.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert!(names.len() > 1, "{message}");
        names
    };
    fn message<T: serde::de::DeserializeOwned>() -> String {
        toml::from_str::<T>("no_such_key = 1").err().unwrap().message().to_owned()
    }
    for (prefix, message) in [
        ("udf", message::<config::Udf>()),
        ("udf.params", message::<config::UdfParam>()),
        ("computed_column", message::<config::ComputedColumn>()),
        ("computed_relationship", message::<config::ComputedRelationship>()),
        ("policy", message::<sqlitrest_runtime::policy::Rule>()),
        ("policy.columns", message::<sqlitrest_runtime::policy::rule::ColumnRules>()),
    ] {
        keys.extend(of(message).iter().map(|name| format!("{prefix}.{name}")));
    }
    let missing: Vec<&String> = keys.iter().filter(|key| !is_told(key)).collect();
    assert!(missing.is_empty(), "no document tells of {missing:?}");
}

/// The files that give codes to errors.
const SOURCES: [&str; 11] = [
    "runtime/src/error.rs",
    "runtime/src/auth/error.rs",
    "runtime/src/database_error.rs",
    "runtime/src/full_text.rs",
    "host/src/answer.rs",
    "host/src/audit/mod.rs",
    "host/src/audit/note.rs",
    "host/src/component.rs",
    "host/src/edge.rs",
    "host/src/exchange.rs",
    "host/src/places.rs",
];

/// The error codes in a source file, without its tests and comments.
fn codes(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let is_code = |text: &str| {
        let is_own = text.starts_with("PGRST") && text.len() == 8;
        let is_state = text.len() == 5 && text.bytes().any(|b| b.is_ascii_digit());
        (is_own || is_state) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let texts = lines.flat_map(|line| line.split('"'));
    texts.filter(|text| is_code(text)).map(str::to_owned).collect()
}

/// The rows of the table of errors: code and status.
fn error_table() -> BTreeMap<String, String> {
    let text = file("docs/api.md");
    let table = text.split("| code | status |").nth(1).unwrap_or_default();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()));
    cells.filter_map(|mut cells| Some((cells.nth(1)?, cells.next()?))).collect()
}

#[test]
fn every_error_code_is_documented() {
    let sources = SOURCES.map(file);
    let known: Vec<String> = sources.iter().flat_map(|source| codes(source)).collect();
    assert!(known.len() > 40, "{known:?}");
    let table = error_table();
    let missing: Vec<&String> = known.iter().filter(|code| !table.contains_key(*code)).collect();
    assert!(missing.is_empty(), "docs/api.md does not tell of {missing:?}");
    let invented: Vec<&String> =
        table.keys().filter(|code| !known.contains(code) && *code != "PTxyz").collect();
    assert!(invented.is_empty(), "docs/api.md tells of {invented:?}, which nothing gives");
    // `Problem::new(400, "PGRST100", …)`
    let calls =
        sources.iter().flat_map(|source| source.split("roblem::new(").chain(source.split("::problem(")));
    let mut compared = 0;
    for call in calls {
        let mut words = call.split(',').map(|word| word.trim().trim_matches('"'));
        let (Some(status), Some(code)) = (words.next(), words.next()) else { continue };
        if let (Ok(_), Some(told)) = (status.parse::<u16>(), table.get(code)) {
            assert!(told.contains(status), "{code} has status {status}, and docs/api.md says {told}");
            compared += 1;
        }
    }
    assert!(compared > 40, "only {compared} statuses were found in {SOURCES:?}");
}
