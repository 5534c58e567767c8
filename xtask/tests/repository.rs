//! What stands in files that no compiler reads: the Spin manifest and what it names, the copies of WIT.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlitrest_runtime::config::{Config, KEYS};
use toml::{Table, Value};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read_toml(path: &str) -> Table {
    read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The value at a path such as `component.sqlitrest.source`.
fn at<'a>(table: &'a Table, path: &str) -> &'a Value {
    let mut parts = path.split('.');
    let first = parts.next().and_then(|part| table.get(part));
    parts.fold(first, |value, part| value?.get(part)).unwrap_or_else(|| panic!("no {path}"))
}

#[test]
fn the_spin_manifest_names_what_is_there() {
    let manifest = read_toml("spin.toml");
    let text = |path| at(&manifest, path).as_str().expect("text").to_owned();
    assert_eq!(at(&manifest, "spin_manifest_version").as_integer(), Some(2));
    assert_eq!(text("application.version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(text("component.sqlitrest.source"), "target/sqlitrest-guest.wasm");
    assert_eq!(text("component.sqlitrest.build.command"), "cargo xtask build --guest");
    let routes = at(&manifest, "trigger.http").as_array().expect("routes");
    assert_eq!(routes.len(), 1);
    assert_eq!(routes[0]["component"].as_str(), Some("sqlitrest"));
    assert_eq!(routes[0]["route"].as_str(), Some("/..."));
    // The labels that the component may open are those that the runtime configurations give.
    let labels = at(&manifest, "component.sqlitrest.sqlite_databases").as_array().expect("labels");
    for (file, keys) in
        [("runtime-config", &["path", "type"][..]), ("runtime-config-libsql", &["token", "type", "url"])]
    {
        let given = read_toml(&format!("deploy/spin/{file}.toml"));
        let databases = at(&given, "sqlite_database").as_table().expect("databases");
        assert_eq!(databases.len(), labels.len(), "{file}");
        for label in labels {
            let database = at(&given, &format!("sqlite_database.{}", label.as_str().expect("text")));
            let mut found: Vec<_> = database.as_table().expect("a database").keys().collect();
            // As they stand or by name, which is up to the features that others ask of the crate.
            found.sort();
            assert_eq!(found, keys, "{file}");
        }
    }
}

#[test]
fn the_mounted_configuration_is_valid() {
    let manifest = read_toml("spin.toml");
    let file = &at(&manifest, "component.sqlitrest.files").as_array().expect("files")[0];
    assert_eq!(file["destination"].as_str(), Some("/sqlitrest.toml"));
    let source = file["source"].as_str().expect("text");
    Config::load(source, &read(source), []).expect("valid");
}

#[test]
fn the_variables_are_keys_of_the_configuration() {
    let manifest = read_toml("spin.toml");
    let variables = at(&manifest, "variables").as_table().expect("variables");
    let handed_on = at(&manifest, "component.sqlitrest.variables").as_table().expect("variables");
    assert_eq!(variables.len(), handed_on.len());
    for (name, variable) in variables {
        assert!(KEYS.iter().any(|key| key.replace('.', "_") == *name), "{name}");
        assert_eq!(variable["default"].as_str(), Some(""), "{name}: empty leaves the file's value");
        assert_eq!(handed_on[name].as_str(), Some(format!("{{{{ {name} }}}}").as_str()));
    }
}

#[test]
fn the_copies_of_wit_are_spin_sdks() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--filter-platform", "wasm32-wasip2"])
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    let metadata = String::from_utf8(metadata.stdout).expect("JSON");
    let manifest = metadata
        .split("\"manifest_path\":\"")
        .filter_map(|rest| rest.split('"').next())
        .find(|path| path.contains("/spin-sdk-5."))
        .expect("spin-sdk is a dependency of the guest");
    let theirs = Path::new(manifest).with_file_name("wit").join("deps");
    let mut compared = 0;
    for package in fs::read_dir(root().join("wit/deps")).expect("wit/deps") {
        let package = package.expect("entry");
        if !package.path().is_dir() {
            continue;
        }
        let name = package.file_name().into_string().expect("UTF-8");
        for file in fs::read_dir(package.path()).expect("package") {
            let file = file.expect("entry");
            if file.file_name() == "package.wit" {
                continue;
            }
            let original = theirs.join(name.strip_prefix("fermyon-").unwrap_or(&name)).join(file.file_name());
            let [ours, theirs] = [file.path(), original].map(|path| fs::read_to_string(path).expect("WIT"));
            assert_eq!(ours, theirs, "{}", file.path().display());
            compared += 1;
        }
    }
    assert_eq!(compared, 8);
}
