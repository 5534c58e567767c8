//! The text of a view, with SQLite as the judge of what it means.

use std::cell::RefCell;
use std::sync::atomic::Ordering;

use rusqlite::Connection;
use sqlitrest_runtime::SchemaCache;
use sqlitrest_runtime::config::DatabaseFile;
use sqlitrest_runtime::schema::{Origin, read_schema, view_origins};

use crate::double::Double;
use crate::steps::{self, Steps};

const TABLES: &str = "
    CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, b_id INTEGER REFERENCES b (id));
    CREATE TABLE b (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE ab (a_id INTEGER REFERENCES a (id), b_id INTEGER REFERENCES b (id), PRIMARY KEY (a_id, b_id));
    CREATE VIEW w AS SELECT id, name AS n, b_id FROM a;
    INSERT INTO b VALUES (10, 'b10'), (11, 'b11'), (12, NULL);
    INSERT INTO a VALUES (1, 'a1', 10), (2, 'a2', NULL), (3, 'a3', 12);
    INSERT INTO ab VALUES (1, 10), (1, 11), (3, 12);
    CREATE VIEW v AS SELECT 1 AS x;";

/// The tables with the schema that the parser is given where SQLite is not asked.
struct Views {
    db: Double,
    schema: SchemaCache,
    steps: Steps,
}

thread_local! {
    static VIEWS: RefCell<Views> = RefCell::new(Views::new());
}

impl Views {
    fn new() -> Views {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLES).unwrap();
        let steps = steps::limit(&mut connection);
        let mut db = Double::new(connection);
        let schema = read_schema(&mut db, &DatabaseFile::at(String::new())).unwrap();
        Views { db, schema, steps }
    }
}

/// What stands behind `CREATE VIEW v AS`. It is read, whatever it is; where SQLite takes it for a view too, the schema is
/// read with it, and a column said to show a table's column holds nothing but what stands there.
pub fn view(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains('\0') {
        return;
    }
    VIEWS.with_borrow_mut(|views| views.check(text));
}

impl Views {
    fn check(&mut self, text: &str) {
        let Some((id, _)) = self.schema.relation("v") else { return };
        let _ = view_origins(&self.schema, &[(id, text.to_owned())]);
        let sql = format!("CREATE VIEW v AS {text}");
        let _ = view_origins(&self.schema, &[(id, sql.clone())]);
        // A view may never end: `WITH RECURSIVE`.
        self.steps.store(0, Ordering::Relaxed);
        self.db.connection.execute_batch("BEGIN; DROP VIEW v").unwrap();
        if self.db.connection.prepare(&sql).is_ok_and(|mut create| create.execute([]).is_ok()) {
            self.compare();
        }
        self.db.statements.clear();
        // SQLite stores a view that ends inside a comment without the comment's last sign, and then cannot read it.
        let undone = self.db.connection.execute_batch("ROLLBACK; SELECT x FROM v").is_ok();
        if !undone {
            *self = Views::new();
        }
    }

    fn compare(&mut self) {
        let Ok(schema) = read_schema(&mut self.db, &DatabaseFile::at(String::new())) else { return };
        let Some((id, relation)) = schema.relation("v") else { return };
        let stored = "SELECT sql FROM sqlite_schema WHERE name = 'v'";
        let Ok(stored) = self.db.connection.query_row(stored, [], |row| row.get::<_, String>(0)) else {
            return;
        };
        let origins = view_origins(&schema, &[(id, stored.clone())]);
        for (place, origin) in origins.get(&id).into_iter().flatten().enumerate() {
            let (Some(Origin { relation: table, column }), Some(shown)) =
                (*origin, relation.columns.get(place))
            else {
                continue;
            };
            let Some(table) = schema.relations.get(table) else { continue };
            let Some(column) = table.columns.get(column) else { continue };
            // A column of the wrong table shows by its values: no two columns that are not keys of each other share one.
            let sql = format!(
                "SELECT count(*) FROM (SELECT {} AS x FROM v LIMIT 50) WHERE x IS NOT NULL AND x NOT IN (SELECT {} FROM {} WHERE {1} IS NOT NULL)",
                quoted(&shown.name),
                quoted(&column.name),
                quoted(&table.name)
            );
            let wrong = self.db.connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
            assert!(
                !matches!(wrong, Ok(1..)),
                "{stored}: {} is not {}.{}",
                shown.name,
                table.name,
                column.name
            );
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
