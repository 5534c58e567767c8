//! What a role sees of a database, found without the policy compiler: each rule is asked for by itself, in plain SQL over the
//! original, and what docs/policies.md says is put together here. Out of it copies of the database are made that hold no more
//! than the role sees.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use rusqlite::types::Value;

use super::rules::{Operation, Rule, Rules};
use super::world::{Column, World};

/// The key of a row, as text.
pub type Key = String;

/// What a role sees of a relation.
#[derive(Clone, Debug)]
pub struct Sight {
    pub refused: bool,
    /// Which columns there are.
    pub columns: Vec<bool>,
    /// Which are told as they are stored, whatever the row.
    pub plain: Vec<bool>,
    pub rows: BTreeMap<Key, Vec<Value>>,
}

pub struct Oracle<'w> {
    pub world: &'w World,
    pub rules: &'w Rules,
    pub role: &'w str,
}

pub fn open(sql: &str) -> Connection {
    let db = Connection::open_in_memory().unwrap();
    // Some rows refer to what is not there, as in files that were filled without enforcement.
    db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    db.execute_batch(sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
    db.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    db
}

impl Oracle<'_> {
    fn of(&self, relation: &str) -> Vec<&Rule> {
        self.rules
            .rules
            .iter()
            .filter(|rule| rule.relation == relation && rule.is_for_role(self.role))
            .collect()
    }

    /// Whether no rule is needed for an operation.
    pub fn is_open(&self, relation: &str, operation: Operation) -> bool {
        self.rules.allow_by_default
            && !self
                .rules
                .rules
                .iter()
                .any(|rule| rule.relation == relation && !rule.restrictive && rule.is_for(operation))
    }

    pub fn permissive(&self, relation: &str, operation: Operation) -> Vec<&Rule> {
        let all = self.of(relation).into_iter();
        all.filter(|rule| !rule.restrictive && rule.is_for(operation)).collect()
    }

    pub fn restrictive(&self, relation: &str, operation: Operation) -> Vec<&Rule> {
        let all = self.of(relation).into_iter();
        all.filter(|rule| rule.restrictive && rule.is_for(operation)).collect()
    }

    pub fn is_invoker(&self) -> bool {
        self.rules.rules.iter().any(|rule| rule.invoker)
    }

    /// The SQL of a row's key as text.
    pub fn key_sql(&self, relation: &str) -> String {
        if self.is_invoker() && self.world.table(relation).is_none() {
            // Such a view may show NULL for its key; it is asked about as a table: see `with_view_of`.
            return format!("printf('%06d', {relation}.rowid)");
        }
        let (_, columns) = self.relation(relation);
        let width = self.world.table(relation).map_or(1, |table| table.key.width());
        let parts: Vec<String> =
            columns.iter().take(width).map(|column| format!("quote({relation}.{})", column.name)).collect();
        parts.join(" || ',' || ")
    }

    pub fn relation(&self, name: &str) -> (String, Vec<Column>) {
        let found = self.world.relations().into_iter().find(|(own, _)| own == name);
        found.unwrap_or_else(|| panic!("no relation {name}"))
    }

    /// The rows of which a condition is true.
    pub fn keys(&self, db: &Connection, relation: &str, condition: Option<&str>) -> BTreeSet<Key> {
        let condition = of_original(condition.unwrap_or("1"));
        let sql = format!("SELECT {} FROM {relation} WHERE ({condition})", self.key_sql(relation));
        let mut statement = db.prepare(&sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let keys = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        keys.map(|key| key.unwrap_or_else(|error| panic!("{error}: {sql}"))).collect()
    }

    fn values(&self, db: &Connection, relation: &str, expression: &str) -> BTreeMap<Key, Value> {
        let expression = of_original(expression);
        let sql = format!("SELECT {}, ({expression}) FROM {relation}", self.key_sql(relation));
        let mut statement = db.prepare(&sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let values = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        values.map(|value| value.unwrap_or_else(|error| panic!("{error}: {sql}"))).collect()
    }

    /// The rows that the rules for an operation allow; none: it is refused.
    pub fn allowed(&self, db: &Connection, relation: &str, operation: Operation) -> Option<BTreeSet<Key>> {
        let permissive = self.permissive(relation, operation);
        let mut rows = if self.is_open(relation, operation) {
            self.keys(db, relation, None)
        } else if permissive.is_empty() {
            return None;
        } else {
            let of =
                |rule: &&Rule| self.keys(db, relation, rule.using.as_ref().map(|using| using.plain.as_str()));
            permissive.iter().flat_map(of).collect()
        };
        for rule in self.restrictive(relation, operation) {
            let own = self.keys(db, relation, rule.using.as_ref().map(|using| using.plain.as_str()));
            rows.retain(|key| own.contains(key));
        }
        Some(rows)
    }

    /// What is seen of a relation whose rows are those of `db`.
    pub fn sight(&self, db: &Connection, relation: &str) -> Sight {
        let (_, columns) = self.relation(relation);
        let Some(rows) = self.allowed(db, relation, Operation::Select) else {
            let all = vec![true; columns.len()];
            return Sight { refused: true, plain: all.clone(), columns: all, rows: BTreeMap::new() };
        };
        let permissive = self.permissive(relation, Operation::Select);
        let restrictive = self.restrictive(relation, Operation::Select);
        let is_open = self.is_open(relation, Operation::Select);
        let shown_by: Vec<BTreeSet<Key>> = permissive
            .iter()
            .map(|rule| self.keys(db, relation, rule.using.as_ref().map(|using| using.plain.as_str())))
            .collect();
        let mut seen: BTreeMap<Key, Vec<Value>> = rows.iter().map(|key| (key.clone(), Vec::new())).collect();
        let (mut exist, mut plain) = (Vec::new(), Vec::new());
        for column in &columns {
            let name = &column.name;
            let showing: Vec<usize> =
                (0..permissive.len()).filter(|at| permissive[*at].shows(name)).collect();
            let exists = (is_open || !showing.is_empty()) && restrictive.iter().all(|rule| rule.shows(name));
            exist.push(exists);
            let over = restrictive.iter().find_map(|rule| rule.mask(name));
            let own = self.values(db, relation, name);
            let masks: Vec<Option<BTreeMap<Key, Value>>> = permissive
                .iter()
                .map(|rule| rule.mask(name).map(|mask| self.values(db, relation, &mask.plain)))
                .collect();
            let over_values = over.map(|mask| self.values(db, relation, &mask.plain));
            let is_plain = over.is_none()
                && (is_open
                    || showing.len() == permissive.len() && masks.iter().all(Option::is_none)
                    || showing.iter().any(|at| permissive[*at].using.is_none() && masks[*at].is_none()));
            plain.push(is_plain);
            for (key, cells) in &mut seen {
                let by: Vec<usize> =
                    showing.iter().copied().filter(|at| shown_by[*at].contains(key)).collect();
                let told = if is_open || by.iter().any(|at| masks[*at].is_none()) {
                    Some(own[key].clone())
                } else {
                    by.iter().find_map(|at| masks[*at].as_ref()).map(|mask| mask[key].clone())
                };
                let value = match (&over_values, told) {
                    (_, None) => Value::Null,
                    (Some(over), Some(_)) => over[key].clone(),
                    (None, Some(told)) => told,
                };
                cells.push(if exists { value } else { Value::Null });
            }
        }
        Sight { refused: false, columns: exist, plain, rows: seen }
    }

    /// What is seen of every relation of a database.
    pub fn sights(&self, db: &Connection) -> BTreeMap<String, Sight> {
        let mut sights = BTreeMap::new();
        for table in &self.world.tables {
            sights.insert(table.name.clone(), self.sight(db, &table.name));
        }
        if let Some(view) = &self.world.view {
            let sight = if self.is_invoker() {
                // The view's query, over tables that are what the role sees of them.
                let inner = self.with_nulls(&sights);
                let rows = rows_of(&inner, &self.world.query_of(view));
                let whole = self.with_view_of(db, &view.name, &rows);
                let refused = sights[&self.world.tables[view.table].name].refused;
                let mut sight = self.sight(&whole, &view.name);
                sight.refused |= refused;
                sight
            } else {
                self.sight(db, &view.name)
            };
            sights.insert(view.name.clone(), sight);
        }
        sights
    }

    /// The original with the view as a table of these rows.
    fn with_view_of(&self, db: &Connection, view: &str, rows: &[Vec<Value>]) -> Connection {
        let copy = copy_of(db);
        let (_, columns) = self.relation(view);
        let definitions: Vec<String> =
            columns.iter().map(|c| format!("{} {}", c.name, c.kind.declared())).collect();
        copy.execute_batch(&format!("CREATE TEMP TABLE {view} ({})", definitions.join(", "))).unwrap();
        insert(&copy, &format!("temp.{view}"), rows);
        copy
    }

    /// All relations as tables: hidden columns are NULL, and of what is refused there are no rows.
    pub fn with_nulls(&self, sights: &BTreeMap<String, Sight>) -> Connection {
        let db = Connection::open_in_memory().unwrap();
        for (name, columns) in self.world.relations() {
            let Some(sight) = sights.get(&name) else { continue };
            let definitions: Vec<String> =
                columns.iter().map(|c| format!("{} {}", c.name, c.kind.declared())).collect();
            db.execute_batch(&format!("CREATE TABLE {name} ({})", definitions.join(", "))).unwrap();
            insert(&db, &name, &sight.rows.values().cloned().collect::<Vec<_>>());
        }
        db
    }

    /// The database as the role sees it: hidden columns are not there, nor are foreign keys over them.
    pub fn filtered(&self, original: &Connection, sights: &BTreeMap<String, Sight>) -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        for (name, columns) in self.world.relations() {
            let sight = &sights[&name];
            let table = self.world.table(&name);
            let width = table.map_or(1, |table| table.key.width());
            let stored = if table.is_some() { name.clone() } else { format!("base_{name}") };
            let there: Vec<usize> = (0..columns.len()).filter(|at| sight.columns[*at]).collect();
            let key_is_plain = (0..width).all(|at| sight.columns[at] && sight.plain[at]);
            let has_key = (0..width).all(|at| sight.columns[at]);
            let mut parts = Vec::new();
            for at in &there {
                let column = &columns[*at];
                // A key that is no rowid may be NULL.
                let declared = match column.kind.declared() {
                    "INTEGER" if *at < width && !key_is_plain => "INT",
                    declared => declared,
                };
                let mut part = format!("{} {declared}", column.name);
                if has_key && width == 1 && *at == 0 && table.is_some() {
                    part += " PRIMARY KEY";
                }
                if column.unique && table.is_some() {
                    part += " UNIQUE";
                }
                parts.push(part);
            }
            if has_key && width == 2 {
                parts.push(format!("PRIMARY KEY ({}, {})", columns[0].name, columns[1].name));
            }
            for at in &there {
                let Some(target) = columns[*at].refers else { continue };
                let target = &self.world.tables[target];
                if sights[&target.name].columns[0] {
                    parts.push(format!(
                        "FOREIGN KEY ({}) REFERENCES {} ({})",
                        columns[*at].name, target.name, target.columns[0].name
                    ));
                }
            }
            if parts.is_empty() {
                parts.push("nothing_is_seen".to_owned());
            }
            let without = table.is_some_and(|table| table.is_without_rowid()) && key_is_plain;
            let without = if without { " WITHOUT ROWID" } else { "" };
            db.execute_batch(&format!("CREATE TABLE {stored} ({}){without}", parts.join(", "))).unwrap();
            let names: Vec<&str> = there.iter().map(|at| columns[*at].name.as_str()).collect();
            let order = match table {
                Some(_) => self.order_of(original, &name),
                None => sight.rows.keys().cloned().collect(),
            };
            for key in order.iter().filter(|key| sight.rows.contains_key(*key)) {
                let row = &sight.rows[key];
                let values: Vec<Value> = there.iter().map(|at| row[*at].clone()).collect();
                insert_row(&db, &stored, &names, &values);
            }
            if table.is_none() {
                let list =
                    if names.is_empty() { "NULL AS nothing_is_seen".to_owned() } else { names.join(", ") };
                db.execute_batch(&format!("CREATE VIEW {name} AS SELECT {list} FROM {stored}")).unwrap();
            }
        }
        db
    }

    /// The keys in the order of the relation.
    pub fn order_of(&self, db: &Connection, relation: &str) -> Vec<Key> {
        let sql = format!("SELECT {} FROM {relation}", self.key_sql(relation));
        let by = match self.world.table(relation) {
            Some(table) if !table.is_without_rowid() => " ORDER BY rowid",
            _ => " ORDER BY 1",
        };
        let mut statement = db.prepare(&format!("{sql}{by}")).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

/// Subqueries of policies read with all rights, what stands for the view in [`Oracle::with_view_of`] notwithstanding.
fn of_original(text: &str) -> String {
    text.replace("FROM views ", "FROM main.views ")
}

/// All rows of a query.
pub fn rows_of(db: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = db.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    let count = statement.column_count();
    let rows = statement.query_map([], |row| (0..count).map(|at| row.get(at)).collect()).unwrap();
    rows.map(|row| row.unwrap_or_else(|error| panic!("{error}: {sql}"))).collect()
}

fn insert(db: &Connection, table: &str, rows: &[Vec<Value>]) {
    for row in rows {
        let marks = vec!["?"; row.len()].join(", ");
        let sql = format!("INSERT INTO {table} VALUES ({marks})");
        db.execute(&sql, rusqlite::params_from_iter(row)).unwrap();
    }
}

fn insert_row(db: &Connection, table: &str, names: &[&str], row: &[Value]) {
    let sql = match names {
        [] => format!("INSERT INTO {table} DEFAULT VALUES"),
        _ => format!(
            "INSERT INTO {table} ({}) VALUES ({})",
            names.join(", "),
            vec!["?"; names.len()].join(", ")
        ),
    };
    db.execute(&sql, rusqlite::params_from_iter(row))
        .unwrap_or_else(|error| panic!("{error}: {sql}, {row:?}"));
}

/// Another connection to a copy in memory.
pub fn copy_of(db: &Connection) -> Connection {
    let mut copy = Connection::open_in_memory().unwrap();
    {
        let backup = rusqlite::backup::Backup::new(db, &mut copy).unwrap();
        backup.run_to_completion(1_000, std::time::Duration::ZERO, None).unwrap();
    }
    copy
}
