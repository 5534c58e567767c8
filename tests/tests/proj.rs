//! A real database, made by others: `proj.db` of the PyPI package pyproj, with 99 foreign keys, composite keys, views and
//! tables without a key. Everything in it is read through both engines and compared with what SQLite itself gives.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Map, Number, Value as Json};
use sqlitrest::{Config, Engine, Request};
use sqlitrest_runtime::config::DatabaseFile;
use sqlitrest_runtime::schema::read_schema;
use sqlitrest_tests::double::Double;
use tempfile::TempDir;

/// The database, its engines over copies, and SQLite's own connection.
struct Proj {
    sqlite: Connection,
    engines: Vec<Engine>,
    _directory: TempDir,
}

fn proj() -> Proj {
    let file = std::env::var_os("SQLITREST_PROJ_DB")
        .map_or_else(|| sqlitrest_tests::root().join("target/pyproj/proj.db"), PathBuf::from);
    assert!(file.exists(), "{} is not there: cargo xtask test gets it", file.display());
    let directory = TempDir::new().unwrap();
    let config = |name: &str| {
        let copy = directory.path().join(format!("{name}.db"));
        std::fs::copy(&file, &copy).unwrap();
        Config::load("proj", &format!("[databases.main]\npath = {copy:?}\n"), []).unwrap()
    };
    let engines = vec![
        Engine::native(&config("native")).unwrap(),
        Engine::component(&config("component"), &sqlitrest_tests::guest()).unwrap(),
    ];
    Proj { sqlite: Connection::open(&file).unwrap(), engines, _directory: directory }
}

impl Proj {
    /// The rows that both engines give, which must be the same bytes.
    async fn get(&self, target: &str) -> Vec<Json> {
        let mut bodies = Vec::new();
        for engine in &self.engines {
            let request = Request { method: "GET", target, headers: &[], body: b"" };
            let answer = engine.handle(&request).await.whole().await;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(answer.status, 200, "{target}: {text}");
            bodies.push(text);
        }
        assert!(bodies[0] == bodies[1], "{target}: the engines do not agree");
        serde_json::from_str(&bodies[0]).unwrap_or_else(|e| panic!("{target}: {e}"))
    }

    /// The rows that SQLite gives, as objects.
    fn rows(&self, sql: &str) -> Vec<Json> {
        let mut statement = self.sqlite.prepare(sql).unwrap();
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([]).unwrap();
        let mut found = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let object: Map<String, Json> = names
                .iter()
                .enumerate()
                .map(|(i, name)| (name.clone(), json(row.get_ref(i).unwrap())))
                .collect();
            found.push(Json::Object(object));
        }
        found
    }

    fn names(&self, sql: &str) -> Vec<String> {
        let mut statement = self.sqlite.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// Every foreign key, as our schema cache has it.
    fn foreign_keys(&self) -> Vec<Key> {
        let copy = Connection::open(self.sqlite.path().unwrap()).unwrap();
        let schema = read_schema(&mut Double::new(copy), &DatabaseFile::at(String::new())).unwrap();
        let names = |id: usize, places: &[usize]| -> Vec<String> {
            schema.relations[id].column_names(places).map(str::to_owned).collect()
        };
        // Those that views have are not listed by SQLite.
        let keys = schema.foreign_keys().filter(|(_, key)| !key.derived);
        keys.map(|(id, key)| Key {
            table: schema.relations[id].name.clone(),
            name: key.name.clone(),
            columns: names(id, &key.columns),
            target: schema.relations[key.target].name.clone(),
            target_columns: names(key.target, &key.target_columns),
        })
        .collect()
    }
}

/// A foreign key by names.
struct Key {
    table: String,
    name: String,
    columns: Vec<String>,
    target: String,
    target_columns: Vec<String>,
}

fn json(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(i) => Json::from(i),
        ValueRef::Real(r) => Number::from_f64(r).map_or(Json::Null, Json::Number),
        ValueRef::Text(text) => Json::from(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(_) => panic!("proj.db has no blobs"),
    }
}

/// A row with 0 and 1 for the booleans, as SQLite stores them in columns declared BOOLEAN.
fn as_stored(row: &Json) -> Json {
    let members = row.as_object().into_iter().flatten().map(|(name, value)| {
        let value = value.as_bool().map_or_else(|| value.clone(), |b| Json::from(i64::from(b)));
        (name.clone(), value)
    });
    Json::Object(members.collect())
}

/// Quotes a name for SQL and, inside the grammar, for a request.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The column's values of each row, sorted, so that two answers can be compared whatever their order.
fn sorted(rows: &[Json]) -> Vec<String> {
    let mut texts: Vec<String> = rows.iter().map(Json::to_string).collect();
    texts.sort_unstable();
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_and_view_is_read_as_sqlite_reads_it() {
    let proj = proj();
    let names = proj.names(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    );
    assert!(names.len() > 40, "{}", names.len());
    let mut count = 0;
    for name in &names {
        let got = proj.get(&format!("/{name}")).await;
        let expected = proj.rows(&format!("SELECT * FROM {}", quoted(name)));
        let numbered: Vec<Json> = got.iter().map(as_stored).collect();
        assert_eq!(sorted(&numbered), sorted(&expected), "{name}");
        count += got.len();
    }
    println!("{} relations, {count} rows", names.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_foreign_key_embeds_both_ways() {
    let proj = proj();
    let keys = proj.foreign_keys();
    let listed = proj.rows(
        "SELECT count(*) AS columns, count(DISTINCT m.name || '.' || f.id) AS keys \
         FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'",
    );
    let columns: usize = keys.iter().map(|k| k.columns.len()).sum();
    assert_eq!(listed[0]["keys"], keys.len());
    assert_eq!(listed[0]["columns"], columns);
    let (mut forward_rows, mut backward_rows) = (0, 0);
    for key in &keys {
        let ddl = proj.rows(&format!("SELECT sql FROM sqlite_schema WHERE name = '{}'", key.table));
        let named = ddl[0]["sql"].as_str().unwrap().contains(&format!("CONSTRAINT {} FOREIGN KEY", key.name));
        assert!(named || key.name == format!("{}_{}_fkey", key.table, key.columns.join("_")), "{}", key.name);
        forward_rows += forward(&proj, key).await;
        backward_rows += backward(&proj, key).await;
    }
    println!(
        "{} foreign keys of {columns} columns: {forward_rows} rows with what they refer to, {backward_rows} rows referred to",
        keys.len()
    );
}

/// `a.x = b.y AND …`
fn join(key: &Key) -> String {
    let pairs = key.columns.iter().zip(&key.target_columns);
    pairs.map(|(own, other)| format!("b.{other} = a.{own}")).collect::<Vec<_>>().join(" AND ")
}

/// `a.x AS c0, a.y AS c1`
fn aliased(table: &str, columns: &[String], letter: &str) -> String {
    let items = columns.iter().enumerate();
    items.map(|(i, column)| format!("{table}.{column} AS {letter}{i}")).collect::<Vec<_>>().join(", ")
}

fn values(row: &Json, columns: &[String]) -> Vec<Json> {
    columns.iter().map(|column| row.get(column).cloned().unwrap_or_default()).collect()
}

fn numbered(row: &Json, letter: &str, count: usize) -> Vec<Json> {
    (0..count).map(|i| row[format!("{letter}{i}")].clone()).collect()
}

/// Each row of the table with the row that it refers to.
async fn forward(proj: &Proj, key: &Key) -> usize {
    let Key { table, name, columns, target, target_columns } = key;
    let (own, other) = (columns.join(","), target_columns.join(","));
    let got = proj.get(&format!("/{table}?select={own},e:{target}!{name}({other})")).await;
    let expected = proj.rows(&format!(
        "SELECT {}, {} FROM {table} a LEFT JOIN {target} b ON {}",
        aliased("a", columns, "c"),
        aliased("b", target_columns, "t"),
        join(key)
    ));
    let count = columns.len();
    let got: Vec<Json> = got
        .iter()
        .map(|row| Json::from([values(row, columns), values(&row["e"], target_columns)].concat()))
        .collect();
    let expected: Vec<Json> = expected
        .iter()
        .map(|row| Json::from([numbered(row, "c", count), numbered(row, "t", count)].concat()))
        .collect();
    assert_eq!(sorted(&got), sorted(&expected), "{name} forward");
    got.len()
}

/// Each row of the target with the rows that refer to it.
async fn backward(proj: &Proj, key: &Key) -> usize {
    let Key { table, name, columns, target, target_columns } = key;
    let (own, other) = (columns.join(","), target_columns.join(","));
    let got = proj.get(&format!("/{target}?select={other},e:{table}!{name}({own})")).await;
    let expected = proj.rows(&format!(
        "SELECT {}, count(*) AS n FROM {target} b JOIN {table} a ON {} GROUP BY {}",
        aliased("b", target_columns, "t"),
        join(key),
        target_columns.iter().map(|c| format!("b.{c}")).collect::<Vec<_>>().join(", ")
    ));
    let counts: BTreeMap<String, u64> = expected
        .iter()
        .map(|row| (Json::from(numbered(row, "t", columns.len())).to_string(), row["n"].as_u64().unwrap()))
        .collect();
    let mut found = 0;
    for row in &got {
        // One-to-one where the foreign key is unique.
        let embedded = match &row["e"] {
            Json::Array(rows) => rows.clone(),
            Json::Null => Vec::new(),
            one => vec![one.clone()],
        };
        let referred = values(row, target_columns);
        assert!(embedded.iter().all(|e| values(e, columns) == referred), "{name} backward");
        let expected = counts.get(&Json::from(referred.clone()).to_string()).copied().unwrap_or(0);
        assert_eq!(embedded.len() as u64, expected, "{name} backward at {referred:?}");
        found += embedded.len();
    }
    assert_eq!(found as u64, counts.values().sum::<u64>(), "{name} backward");
    got.len()
}
