//! That what is made is a document, whatever names and types there are.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::schema::catalog::{Told, ToldColumn};

/// The places that a document refers to, and those among them that are not there.
fn dangling(document: &Json) -> Vec<String> {
    fn collect<'j>(json: &'j Json, found: &mut Vec<&'j str>) {
        match json {
            Json::Object(members) => {
                found.extend(members.get("$ref").filter(|_| members.len() == 1).and_then(Json::as_str));
                members.values().for_each(|member| collect(member, found));
            }
            Json::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(document, &mut found);
    let is_there = |reference: &&str| {
        let pointer = reference.strip_prefix('#').expect("a place in the document");
        let pointer = crate::query_params::decode_path(pointer).expect("UTF-8");
        document.pointer(&pointer).is_some()
    };
    found.into_iter().filter(|reference| !is_there(reference)).map(str::to_owned).collect()
}

/// That a document is one, as far as a test without a validator can say.
fn assert_sound(document: &Json) {
    assert_eq!(dangling(document), Vec::<String>::new());
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        assert!(
            path.starts_with('/') && path.is_ascii() && !path.contains(['{', '}', '?', '#', ' ']),
            "{path}"
        );
        for (method, operation) in item.as_object().expect("an item") {
            if let Some(id) = operation.get("operationId").and_then(Json::as_str) {
                assert!(ids.insert(id.to_owned()), "{id} twice");
            }
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let mut names = BTreeSet::new();
            for parameter in parameters {
                let place =
                    parameter.get("$ref").and_then(Json::as_str).and_then(|text| text.strip_prefix('#'));
                let place = place.map(|text| crate::query_params::decode_path(text).expect("UTF-8"));
                let parameter = place.and_then(|place| document.pointer(&place)).unwrap_or(parameter);
                let name = (parameter["name"].to_string(), parameter["in"].to_string());
                assert!(names.insert(name.clone()), "{method} {path}: {name:?} twice");
            }
        }
    }
    let plain = |key: &str| key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    for section in
        document.get("components").and_then(Json::as_object).into_iter().flat_map(|all| all.values())
    {
        section.as_object().expect("a section").keys().for_each(|key| assert!(plain(key), "{key}"));
    }
}

#[test]
fn documents_are_sound() {
    for version in VERSIONS {
        assert_sound(&documented(FAMILY, FAMILY_CONFIG, None, version));
        assert_sound(&documented(FAMILY, POLICIES, Some("editor"), version));
    }
}

fn columns() -> impl Strategy<Value = Vec<ToldColumn>> {
    let name = prop_oneof!["[a-c]", "(order|select|limit|and|or|columns)", "[ -~]{1,6}", "\\PC{1,4}"];
    let declared = "(INTEGER|TEXT|VARCHAR\\(9\\)|BOOLEAN|JSON|BLOB|REAL|NUMERIC|DATE|TIMESTAMPTZ|)";
    let default = proptest::option::of("('a'|1|-2.5|TRUE|NULL|x'00'|[ -~]{0,6})");
    let column = (name, declared, any::<bool>(), 0..2_i64, default, any::<bool>());
    let column = column.prop_map(|(name, declared, not_null, key, default, generated)| ToldColumn {
        name,
        declared,
        not_null,
        key,
        default,
        generated,
        refers: None,
    });
    proptest::collection::vec(column, 1..5)
}

fn catalogs() -> impl Strategy<Value = Catalog> {
    let name = prop_oneof!["[a-c]", "(rpc|_batch|filter|api|page)", "[ -~]{1,8}", "\\PC{1,4}"];
    let told = (name, any::<bool>(), "(CREATE TABLE t\\(a CHECK \\()?[ -~]{0,20}", columns());
    let told = told.prop_map(|(name, is_view, sql, columns)| Told { name, is_view, sql, columns });
    proptest::collection::vec(told, 1..5).prop_map(|mut all| {
        // As in SQLite, names are told apart without their case, and a key goes to what is there.
        let mut known = BTreeSet::new();
        all.retain(|told| known.insert(told.name.to_lowercase()));
        for told in &mut all {
            let mut known = BTreeSet::new();
            told.columns.retain(|column| known.insert(column.name.to_lowercase()));
        }
        let targets: Vec<(String, String)> =
            all.iter().map(|told| (told.name.clone(), told.columns[0].name.clone())).collect();
        for (at, told) in all.iter_mut().enumerate() {
            let last = told.columns.len() - 1;
            told.columns[last].refers = targets.get(at / 2).cloned();
        }
        Catalog(all)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_names_make_a_document(mut catalog in catalogs(), function in "[ -~]{1,6}|\\PC{1,4}", comment in "\\PC{0,12}(\n\\PC{0,9})?") {
        let text = toml::to_string(&serde_json::json!({
            "udf": [
                { "name": function, "expose": true, "sql": "SELECT 1", "returns": "setof record", "description": comment,
                  "params": [{ "name": "order", "type": "text" }, { "name": function, "type": "integer[]" }] },
                { "name": "f", "expose": true, "sql": "SELECT 1", "returns": format!("table {}", catalog.0[0].name),
                  "params": [{ "name": catalog.0[0].columns[0].name, "type": "text", "default": "x" }] },
            ],
        })).expect("TOML");
        let config = Config::load("", &text, []).expect("a configuration");
        let schema = read_configured(&config, &mut catalog).expect("a schema");
        for version in VERSIONS {
            let described = Described { version, may_call: &|_| true, host: None, profile: Some(&function) };
            let first = document(&config, &schema, &described);
            let parsed: Json = serde_json::from_str(&first).expect("JSON");
            assert_sound(&parsed);
            // Nothing is said twice: a name that is there again would be lost.
            prop_assert_eq!(parsed.to_string().len(), first.len());
            prop_assert_eq!(&first, &document(&config, &schema, &described));
        }
        typescript::database(&config, &schema, &|_| true, &function);
    }
}
