//! The keys of the configuration: those that the code knows, those of docs/configuration.md and those of examples/sqlitrest.toml are the same,
//! and the defaults in the document are those of the code. And the sample of the contract loads as it is.
//!
//! The code is asked: a table with a key that nobody knows is answered by the keys that it may have. A new section therefore joins by itself,
//! be it one of the core's or a field of the host's `Sections`; its struct must have `deny_unknown_fields`. What is left to do is what the tests
//! below ask for: a row in the document, a line in the sample, an entry in `KEYS`.

use std::collections::{BTreeMap, BTreeSet};

use sqlitrest::settings::{Configuration, configuration};
use sqlitrest_runtime::config::{Config, KEYS};
use sqlitrest_runtime::policy;
use tempfile::TempDir;
use toml::{Table, Value};

/// Loads texts as the server would.
struct Loader(TempDir);

impl Loader {
    fn new() -> Loader {
        Loader(TempDir::new().unwrap())
    }

    fn load(&self, text: &str) -> Result<Configuration, String> {
        let path = self.0.path().join("sqlitrest.toml");
        std::fs::write(&path, text).unwrap();
        configuration(Some(path)).map_err(|error| format!("{error:#}"))
    }

    /// The keys that the table which a text ends in may have; none where it is no table of fixed keys.
    fn fields(&self, text: &str) -> Option<Vec<String>> {
        let error = self.load(&format!("{text}no_such_key = 1\n")).err()?;
        let rest = error.split_once("unknown field `no_such_key`, expected ")?.1;
        let names = rest.split("; perhaps").next().unwrap_or_default();
        Some(names.split('`').skip(1).step_by(2).map(str::to_owned).collect())
    }
}

/// A key that has a value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Key {
    /// Whether its table is one of a list, or has a name of the user's.
    is_of_many: bool,
    /// Whether its value is a table of such names.
    is_map: bool,
}

/// Every key that the code knows. `header` opens the table at `path`.
fn known(loader: &Loader, path: &str, header: &str, of_many: bool, found: &mut BTreeMap<String, Key>) {
    let fields = loader.fields(header).unwrap_or_default();
    for field in fields {
        let path = if path.is_empty() { field } else { format!("{path}.{field}") };
        let toml_path = path.replace("NAME", "main");
        let table = format!("{header}[{toml_path}]\n");
        let list = format!("{header}[[{toml_path}]]\n");
        let named = format!("{header}[{toml_path}.main]\n");
        if loader.fields(&table).is_some() {
            known(loader, &path, &table, of_many, found);
        } else if loader.fields(&list).is_some() {
            known(loader, &path, &list, true, found);
        } else if loader.fields(&named).is_some() {
            known(loader, &format!("{path}.NAME"), &named, of_many || path != "databases", found);
        } else {
            let is_map = is_map(loader, &table);
            found.insert(path, Key { is_of_many: of_many, is_map });
        }
    }
}

/// Whether any key is taken, for what it is the key of.
fn is_map(loader: &Loader, table: &str) -> bool {
    ["\"a\"", "[\"a\"]", "{ a = \"a\" }"].iter().any(|value| {
        // Where nothing is wrong with the key, what is missing elsewhere is said.
        let error = loader.load(&format!("{table}no_such_key = {value}\n")).err().unwrap_or_default();
        !["unknown", "invalid type", " is not a size", " is no mode"]
            .iter()
            .any(|wrong| error.contains(wrong))
    })
}

fn all_known() -> BTreeMap<String, Key> {
    let mut found = BTreeMap::new();
    known(&Loader::new(), "", "", false, &mut found);
    // Anything may be a default.
    if let Some(key) = found.get_mut("udf.params.default") {
        key.is_map = false;
    }
    assert!(found.len() > 150, "{found:?}");
    found
}

fn file(path: &str) -> String {
    std::fs::read_to_string(sqlitrest_tests::root().join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rows of the document: key, variable and default.
fn documented() -> BTreeMap<String, (String, String)> {
    let text = file("docs/configuration.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut found = BTreeMap::new();
    for row in rows.filter(|row| !row.starts_with("sqlitrest ")) {
        let cells: Vec<String> =
            row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect();
        let told = (cells[1].clone(), cells[3].clone());
        assert!(found.insert(cells[0].clone(), told).is_none(), "{} is there twice", cells[0]);
    }
    found
}

/// The keys of the sample, with those behind `# or:`.
fn sampled(known: &BTreeMap<String, Key>) -> BTreeSet<String> {
    fn collect(path: &str, value: &Value, known: &BTreeMap<String, Key>, found: &mut BTreeSet<String>) {
        let is_free = |path: &str| known.keys().any(|key| key.starts_with(&format!("{path}.NAME.")));
        match value {
            _ if known.contains_key(path) => drop(found.insert(path.to_owned())),
            Value::Table(table) => {
                for (key, value) in table {
                    let path = match path {
                        "" => key.clone(),
                        path if is_free(path) => format!("{path}.NAME"),
                        path => format!("{path}.{key}"),
                    };
                    collect(&path, value, known, found);
                }
            }
            Value::Array(list) if list.iter().any(Value::is_table) => {
                list.iter().for_each(|value| collect(path, value, known, found));
            }
            _ => drop(found.insert(path.to_owned())),
        }
    }
    let text = file("examples/sqlitrest.toml");
    let table: Table = toml::from_str(&text).unwrap();
    let mut found = BTreeSet::new();
    collect("", &Value::Table(table), known, &mut found);
    let mut section = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']);
            if section.starts_with("databases.") {
                section = "databases.NAME";
            }
        }
        let other = line.strip_prefix("# or: ").and_then(|rest| rest.split_once(" = "));
        found.extend(other.map(|(key, _)| format!("{section}.{key}")));
    }
    found
}

fn compare(what: &str, one: &BTreeSet<String>, other: &BTreeSet<String>) {
    let missing: Vec<&String> = one.difference(other).collect();
    let invented: Vec<&String> = other.difference(one).collect();
    assert!(missing.is_empty() && invented.is_empty(), "{what} lacks {missing:?} and has {invented:?}");
}

#[test]
fn code_document_and_sample_have_the_same_keys() {
    let known = all_known();
    let keys: BTreeSet<String> = known.keys().cloned().collect();
    compare("docs/configuration.md", &keys, &documented().into_keys().collect());
    compare("examples/sqlitrest.toml", &keys, &sampled(&known));
    // Every key that there is one of.
    let settable = known.iter().filter(|(_, key)| !key.is_of_many && !key.is_map);
    let settable: BTreeSet<String> = settable.map(|(path, _)| path.replace("NAME", "main")).collect();
    compare("KEYS", &settable, &KEYS.iter().map(|key| (*key).to_owned()).collect());
}

#[test]
fn the_variables_of_the_document_are_those_of_the_keys() {
    for (key, (variable, _)) in documented() {
        let name = key.replace("NAME", "main");
        let wanted = match KEYS.contains(&name.as_str()) {
            true => format!("SQLITREST_{}", name.to_uppercase().replace('.', "_")),
            false => String::new(),
        };
        assert_eq!(variable, wanted, "{key}");
    }
}

/// What a section cannot be without.
const NEEDED: [(&str, &str); 5] = [
    ("auth.apikey", "source = \"file:a\"\n"),
    ("auth.basic", "source = \"file:a\"\n"),
    ("audit", "file = \"./a\"\n"),
    ("backup", "directory = \"./a\"\n"),
    ("tls", "certificate = \"a\"\nkey = \"a\"\n"),
];

#[test]
fn the_defaults_of_the_document_are_those_of_the_code() {
    let loader = Loader::new();
    let mut compared = 0;
    for (key, (_, default)) in documented() {
        let toml_key = key.replace("NAME", "main");
        let Some((section, name)) = toml_key.rsplit_once('.').filter(|_| KEYS.contains(&toml_key.as_str()))
        else {
            continue;
        };
        if default.is_empty() {
            continue;
        }
        let needed = NEEDED.iter().find(|(of, _)| *of == section).map_or("", |(_, text)| text);
        let without = format!("[{section}]\n{needed}");
        let with = format!("{without}{name} = {default}\n");
        let load = |text: &str| loader.load(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let (mut without, mut with) = (load(&without), load(&with));
        // What the host reads is compared as it reads it.
        for config in [&mut without.config, &mut with.config] {
            let sections = [
                &mut config.log,
                &mut config.admin,
                &mut config.telemetry,
                &mut config.audit,
                &mut config.backup,
                &mut config.mcp,
                &mut config.tls,
            ];
            sections.into_iter().for_each(|section| *section = None);
        }
        assert_eq!(without.config, with.config, "{key} = {default}");
        assert_eq!(without.sections, with.sections, "{key} = {default}");
        compared += 1;
    }
    assert!(compared > 70, "only {compared}");
}

#[test]
fn the_sample_loads() {
    let loader = Loader::new();
    let sample = loader.load(&file("examples/sqlitrest.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(sample.config.schemas(), ["main", "logs"]);
    // And what `serve` does not read of it is read again as it is.
    let text = sample.config.to_text().unwrap();
    assert!(Config::load("copy", &text, []).is_ok(), "{text}");
}

/// The sample of the product's owner, copied by hand: it loads as it is.
#[test]
fn the_contracts_sample_loads() {
    let loader = Loader::new();
    let contract = loader.load(&file("tests/fixtures/contract/sqlitrest.toml"));
    let contract = contract.unwrap_or_else(|error| panic!("{error}"));
    let config = &contract.config;
    assert_eq!((config.server.port, config.schemas()), (8080, vec!["main", "logs"]));
    assert_eq!(config.api.anonymous_role.as_deref(), Some("anon"));
    assert_eq!(
        (config.udf.len(), config.computed_column.len(), config.computed_relationship.len()),
        (1, 1, 1)
    );
    assert_eq!(config.comments.column["articles.title"], "Plain text");
    assert!(config.policies.is_some() && config.auth.is_some());
    let name = "tests/fixtures/contract/policies.toml";
    let rules = policy::read_file(name, &file(name)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(rules[0].columns.masked["email"], "substr(email, 1, 1) || '***'");
}

#[test]
fn the_projects_of_the_examples_load() {
    for name in ["blog", "todo", "multi-tenant", "minimal", "rbac", "privacy"] {
        let path = sqlitrest_tests::root().join("examples").join(name).join("sqlitrest.toml");
        let loaded = configuration(Some(path));
        assert!(loaded.is_ok(), "{name}: {:#}", loaded.err().unwrap());
    }
}
