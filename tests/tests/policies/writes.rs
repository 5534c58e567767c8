//! The differential test of writes. What a write may do is read off docs/policies.md here; what it does is done by an
//! unrestricted server to the rows that the role may write, in a copy of the whole database.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::{Map, Value as Json, json};

use super::dice::Dice;
use super::differential::{Case, cases, numbers, passed, runner};
use super::oracle::{Key, Oracle, Sight, copy_of, open, rows_of};
use super::requests::{Asking, Request};
use super::rules::{Operation, TENANT};
use super::run::{Core, Reply};
use super::world::{Kind, Table, World, key_literal};

/// What a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Insert,
    Merge,
    Ignore,
    Put,
    Patch,
    PatchEach,
    Delete,
    /// Rows with others inside.
    Tree,
}

struct Write {
    verb: Verb,
    table: Table,
    /// The columns given.
    columns: Vec<String>,
    rows: Vec<Map<String, Json>>,
    request: Request,
    told: Told,
    /// Of rows inside: their table, what refers to the row around, and the columns given.
    inside: Option<(Table, Vec<String>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Minimal,
    Rows,
    Location,
}

fn json_of(world: &World, table: &Table, at: usize, dice: &mut Dice<'_>) -> Json {
    let column = &table.columns[at];
    if let Some(target) = column.refers {
        let kind = world.tables[target].columns[0].kind;
        return key_json(kind, dice.below(6));
    }
    if at == 0 {
        return key_json(column.kind, dice.below(9));
    }
    match column.kind {
        Kind::Integer => dice.one(&[json!(1), json!(2), json!(0), json!(7), json!(null), json!(101)]),
        Kind::Text => {
            dice.one(&[json!("a"), json!("b"), json!("sport"), json!(null), json!("it's"), json!("u1")])
        }
        Kind::Real => dice.one(&[json!(0.5), json!(2.25), json!(null)]),
        Kind::Boolean => dice.one(&[json!(true), json!(false), json!(null)]),
        Kind::Json => dice.one(&[json!({"a": 1}), json!([1, 2]), json!(null), json!("a")]),
    }
}

fn key_json(kind: Kind, number: usize) -> Json {
    match kind {
        Kind::Text => json!(key_literal(kind, number).trim_matches('\'')),
        _ => json!(number + 1),
    }
}

/// A value as SQL, as the API stores it.
fn literal(kind: Kind, value: &Json) -> String {
    match value {
        Json::Null => "NULL".to_owned(),
        Json::Bool(is) => u8::from(*is).to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) if kind != Kind::Json => format!("'{}'", text.replace('\'', "''")),
        other => format!("'{}'", other.to_string().replace('\'', "''")),
    }
}

fn generate(dice: &mut Dice<'_>, world: &World, sights: &BTreeMap<String, Sight>) -> Write {
    let table = dice.one(&world.tables);
    let verb = dice.one(&[
        Verb::Insert,
        Verb::Patch,
        Verb::Delete,
        Verb::Merge,
        Verb::Put,
        Verb::PatchEach,
        Verb::Ignore,
        Verb::Insert,
        Verb::Patch,
        Verb::Tree,
    ]);
    let key: Vec<usize> = table.key();
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let changes = matches!(verb, Verb::Patch | Verb::PatchEach);
    let mut columns = dice.some(&all, if changes { 35 } else { 80 });
    match verb {
        Verb::Merge | Verb::Ignore | Verb::Put | Verb::PatchEach => columns.extend(&key),
        Verb::Insert | Verb::Tree if table.columns[0].not_null || dice.chance(60) => columns.extend(&key),
        Verb::Patch if columns.is_empty() => columns.push(all.len() - 1),
        _ => {}
    }
    columns.sort_unstable();
    columns.dedup();
    let count = match verb {
        Verb::Insert | Verb::Merge | Verb::Ignore | Verb::PatchEach => dice.one(&[1, 1, 2, 3]),
        _ => 1,
    };
    let mut rows: Vec<Map<String, Json>> = Vec::new();
    let mut keys = BTreeSet::new();
    for _ in 0..count {
        let row: Map<String, Json> = columns
            .iter()
            .map(|at| (table.columns[*at].name.clone(), json_of(world, &table, *at, dice)))
            .collect();
        let own: Vec<String> = key
            .iter()
            .map(|at| row.get(&table.columns[*at].name).map(Json::to_string).unwrap_or_default())
            .collect();
        // An upsert of the same row twice is refused for itself.
        if keys.insert(own) || verb == Verb::Insert {
            rows.push(row);
        }
    }
    let mut request = Request {
        path: format!("/{}", table.name),
        headers: vec![
            ("x-tenant".to_owned(), TENANT.to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ],
        ..Request::default()
    };
    let told = dice.one(&[Told::Minimal, Told::Rows, Told::Rows, Told::Location]);
    let mut prefer = vec![match told {
        Told::Minimal => "return=minimal",
        Told::Rows => "return=representation",
        Told::Location => "return=headers-only",
    }];
    let mut inside = None;
    request.method = match verb {
        Verb::Insert | Verb::Merge | Verb::Ignore | Verb::Tree => "POST",
        Verb::Put => "PUT",
        Verb::Patch | Verb::PatchEach => "PATCH",
        Verb::Delete => "DELETE",
    }
    .to_owned();
    match verb {
        Verb::Merge => prefer.push("resolution=merge-duplicates"),
        Verb::Ignore => prefer.push("resolution=ignore-duplicates"),
        Verb::Put => {
            for at in &key {
                let name = &table.columns[*at].name;
                let value = match &rows[0][name] {
                    Json::String(text) => text.clone(),
                    other => other.to_string(),
                };
                request.params.push((name.clone(), format!("eq.{value}")));
            }
        }
        Verb::Patch | Verb::Delete => {
            for _ in 0..dice.one(&[1, 1, 0, 2]) {
                let mut asking = Asking { dice, world, sights };
                request.params.extend(asking.filter(&mut request.clone(), &table.name, 1));
            }
        }
        Verb::Tree => {
            let at = world.tables.iter().position(|own| own.name == table.name).unwrap_or_default();
            let child = world
                .tables
                .iter()
                .find_map(|own| Some((own, own.columns.iter().position(|c| c.refers == Some(at))?)));
            if let Some((child, place)) = child {
                let columns: Vec<usize> = (0..child.columns.len())
                    .filter(|own| *own != place && (*own < child.key.width() || dice.chance(50)))
                    .collect();
                let row: Map<String, Json> = columns
                    .iter()
                    .map(|own| (child.columns[*own].name.clone(), json_of(world, child, *own, dice)))
                    .collect();
                let way = format!("{}!{}", child.name, child.columns[place].name);
                rows[0].insert(way, json!([row]));
                let mut columns: Vec<String> =
                    columns.iter().map(|own| child.columns[*own].name.clone()).collect();
                columns.push(child.columns[place].name.clone());
                inside = Some((child.clone(), columns));
            }
        }
        Verb::PatchEach => {
            let names: Vec<&str> = key.iter().map(|at| table.columns[*at].name.as_str()).collect();
            request.params.push(("on_conflict".to_owned(), names.join(",")));
        }
        Verb::Insert => {}
    }
    let named: Vec<String> = {
        let sight = &sights[&table.name];
        let seen: Vec<String> = table
            .columns
            .iter()
            .zip(&sight.columns)
            .filter(|(_, is)| **is)
            .map(|(column, _)| column.name.clone())
            .collect();
        dice.some(&seen, 70)
    };
    if told == Told::Rows && dice.chance(70) {
        let select = if named.is_empty() || dice.chance(30) { "*".to_owned() } else { named.join(",") };
        request.params.push(("select".to_owned(), select));
    }
    if dice.chance(30) {
        prefer.push("count=exact");
    }
    request.headers.push(("prefer".to_owned(), prefer.join(", ")));
    request.body = match (verb, rows.as_slice()) {
        (Verb::Delete, _) => String::new(),
        (Verb::PatchEach, _) => json!(rows).to_string(),
        (Verb::Insert | Verb::Merge | Verb::Ignore, _) if rows.len() > 1 => json!(rows).to_string(),
        (_, rows) => json!(rows[0]).to_string(),
    };
    let columns = columns.iter().map(|at| table.columns[*at].name.clone()).collect();
    Write { verb, table, columns, rows, request, told, inside }
}

/// A random write, for those who send it only.
pub fn random(numbers: &[u16], world: &World, sights: &BTreeMap<String, Sight>) -> Request {
    generate(&mut Dice::new(numbers), world, sights).request
}

/// The conditions that a write of columns is held to: of each, one of the first must hold and all of the second.
struct Permit {
    using: (Vec<Option<String>>, Vec<String>),
    check: (Vec<Option<String>>, Vec<String>),
}

impl Permit {
    /// What an operation of these columns is held to; none: it is refused.
    fn of(oracle: &Oracle<'_>, table: &str, operation: Operation, columns: &[String]) -> Option<Permit> {
        let covers = |rule: &&super::rules::Rule| columns.iter().all(|column| rule.lets_write(column));
        let restrictive = oracle.restrictive(table, operation);
        if !restrictive.iter().all(|rule| covers(&rule)) {
            return None;
        }
        let permissive: Vec<_> = oracle.permissive(table, operation).into_iter().filter(covers).collect();
        let is_open = oracle.is_open(table, operation);
        if permissive.is_empty() && !is_open {
            return None;
        }
        let plain = |text: &Option<super::rules::Text>| text.as_ref().map(|text| text.plain.clone());
        let using = |rule: &super::rules::Rule| plain(&rule.using);
        let check = |rule: &super::rules::Rule| plain(&rule.check).or_else(|| plain(&rule.using));
        let any = |of: &dyn Fn(&super::rules::Rule) -> Option<String>| match is_open {
            true => vec![None],
            false => permissive.iter().map(|rule| of(rule)).collect(),
        };
        let all = |of: &dyn Fn(&super::rules::Rule) -> Option<String>| {
            restrictive.iter().filter_map(|rule| of(rule)).collect::<Vec<_>>()
        };
        Some(Permit { using: (any(&using), all(&using)), check: (any(&check), all(&check)) })
    }

    /// The rows of `from` (which goes by the table's name) of which conditions hold.
    fn holds(
        db: &Connection,
        from: &str,
        of: &(Vec<Option<String>>, Vec<String>),
        key: &str,
    ) -> BTreeSet<Key> {
        let keys = |condition: &str| -> BTreeSet<Key> {
            let sql = format!("SELECT {key} FROM {from} WHERE ({condition})");
            let rows = rows_of(db, &sql);
            rows.into_iter().map(|row| text(&row[0])).collect()
        };
        let mut holds: BTreeSet<Key> =
            of.0.iter().flat_map(|condition| keys(condition.as_deref().unwrap_or("1"))).collect();
        for condition in &of.1 {
            let own = keys(condition);
            holds.retain(|key| own.contains(key));
        }
        holds
    }
}

fn text(value: &rusqlite::types::Value) -> String {
    match value {
        rusqlite::types::Value::Text(text) => text.clone(),
        rusqlite::types::Value::Integer(integer) => integer.to_string(),
        other => panic!("no key: {other:?}"),
    }
}

/// Why a write is refused, or what it does.
enum Prediction {
    /// 42501.
    Refused(&'static str),
    /// The answer of an unrestricted server that writes the rows that may be written, and what it leaves.
    Done { reply: Reply, after: Connection, written: BTreeSet<Key> },
    /// It is not for this test to say.
    Open,
}

fn contents(world: &World, db: &Connection) -> String {
    let all = world.tables.iter().map(|table| {
        let names: Vec<String> = table.columns.iter().map(|c| format!("quote({})", c.name)).collect();
        let sql = format!("SELECT {} AS r FROM {} ORDER BY 1", names.join(" || ', ' || "), table.name);
        let rows: Vec<String> = rows_of(db, &sql).iter().map(|row| text(&row[0])).collect();
        format!("{}: {}", table.name, rows.join(" | "))
    });
    all.collect::<Vec<_>>().join("\n")
}

fn changed(oracle: &Oracle<'_>, before: &Connection, after: &Connection, table: &str) -> BTreeSet<Key> {
    let old = oracle.keys(before, table, None);
    oracle.keys(after, table, None).into_iter().filter(|key| !old.contains(key)).collect()
}

impl Write {
    /// The keys of the body's rows, where they have keys.
    fn keys(&self, db: &Connection) -> BTreeSet<Key> {
        let mut keys = BTreeSet::new();
        for row in &self.rows {
            let parts: Option<Vec<String>> = self.table.columns[..self.table.key.width()]
                .iter()
                .map(|column| {
                    row.get(&column.name).map(|value| format!("quote({})", literal(column.kind, value)))
                })
                .collect();
            if let Some(parts) = parts {
                let sql = format!("SELECT {}", parts.join(" || ',' || "));
                keys.insert(text(&rows_of(db, &sql)[0][0]));
            }
        }
        keys
    }

    /// Whether a check is broken by a row as it would be, before the database has said anything to it.
    fn proposed_breaks(
        &self,
        oracle: &Oracle<'_>,
        db: &Connection,
        permits: &[&Permit],
        changes: Option<&BTreeSet<Key>>,
    ) -> bool {
        let name = &self.table.name;
        let cast = |kind: Kind, sql: &str| match kind {
            Kind::Integer | Kind::Text | Kind::Real => format!("CAST({sql} AS {})", kind.declared()),
            _ => sql.to_owned(),
        };
        let sources: Vec<String> = match changes {
            None => self
                .rows
                .iter()
                .map(|row| {
                    let columns: Vec<String> = self
                        .table
                        .columns
                        .iter()
                        .map(|column| {
                            let value = match row.get(&column.name) {
                                Some(value) => literal(column.kind, value),
                                None => column.default.unwrap_or("NULL").to_owned(),
                            };
                            format!("{} AS {}", cast(column.kind, &value), column.name)
                        })
                        .collect();
                    format!("(SELECT {}) AS {name}", columns.join(", "))
                })
                .collect(),
            Some(targets) => targets
                .iter()
                .map(|key| {
                    let columns: Vec<String> = self
                        .table
                        .columns
                        .iter()
                        .map(|column| match self.rows[0].get(&column.name) {
                            Some(value) => format!(
                                "{} AS {}",
                                cast(column.kind, &literal(column.kind, value)),
                                column.name
                            ),
                            None => format!("{name}.{0} AS {0}", column.name),
                        })
                        .collect();
                    format!(
                        "(SELECT {} FROM {name} WHERE {} = '{}') AS {name}",
                        columns.join(", "),
                        oracle.key_sql(name),
                        key.replace('\'', "''")
                    )
                })
                .collect(),
        };
        sources.iter().any(|source| {
            permits.iter().any(|permit| Permit::holds(db, source, &permit.check, "'1'").is_empty())
        })
    }

    fn predict(
        &self,
        case: &Case,
        oracle: &Oracle<'_>,
        sights: &BTreeMap<String, Sight>,
        before: &Connection,
    ) -> Prediction {
        let name = &self.table.name;
        let sight = &sights[name];
        let key_sql = oracle.key_sql(name);
        let given: Vec<String> = self.columns.clone();
        let key_names: Vec<String> =
            self.table.columns[..self.table.key.width()].iter().map(|c| c.name.clone()).collect();
        let beside_key: Vec<String> =
            given.iter().filter(|name| !key_names.contains(name)).cloned().collect();
        // What is told must be seen.
        let filters = self.request.params.iter().any(|(name, _)| name != "select" && name != "on_conflict");
        if sight.refused && (self.told == Told::Rows || filters && !matches!(self.verb, Verb::Put)) {
            return Prediction::Refused("nothing may be seen");
        }
        let inserts = matches!(self.verb, Verb::Insert | Verb::Merge | Verb::Ignore | Verb::Put | Verb::Tree);
        if sight.refused && inserts && self.told == Told::Location {
            return Prediction::Refused("nothing may be told");
        }
        let insert = Permit::of(oracle, name, Operation::Insert, &given);
        let update = match self.verb {
            Verb::Merge | Verb::Put | Verb::PatchEach => {
                Permit::of(oracle, name, Operation::Update, &beside_key)
            }
            _ => Permit::of(oracle, name, Operation::Update, &given),
        };
        if inserts && insert.is_none() {
            return Prediction::Refused("nothing may be inserted");
        }
        let merges = matches!(self.verb, Verb::Merge | Verb::Put);
        if (merges || matches!(self.verb, Verb::Patch | Verb::PatchEach)) && update.is_none() {
            return Prediction::Refused("nothing may be updated");
        }
        if (merges || self.verb == Verb::PatchEach) && sight.refused {
            return Prediction::Refused("rows are found by their keys, which may not be seen");
        }
        if matches!(self.verb, Verb::Put | Verb::PatchEach)
            && !sight.columns[..self.table.key.width()].iter().all(|is| *is)
        {
            return Prediction::Refused("there is no such key to filter by");
        }
        if let Some((child, columns)) = &self.inside {
            let place = child.columns.iter().position(|column| Some(&column.name) == columns.last());
            if !sight.columns[0] || !place.is_some_and(|place| sights[&child.name].columns[place]) {
                return Prediction::Refused("there is no such relationship");
            }
        }
        let hides = sight.columns.iter().any(|is| !is);
        let selects = self.request.params.iter().any(|(name, _)| name == "select");
        if self.told == Told::Rows && hides && !selects {
            return Prediction::Refused("not all columns are seen");
        }
        let mut server = Core::new(copy_of(before), &case.unrestricted());
        server.db.connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        let mut request = self.request.clone();
        request.params.retain(|(name, _)| name != "select");
        let by_key = |keys: &BTreeSet<Key>| -> Vec<(String, String)> {
            // The unrestricted server is told which rows.
            let width = self.table.key.width();
            let mut alternatives: Vec<String> = Vec::new();
            for key in keys {
                let condition = format!("{key_sql} = '{}'", key.replace('\'', "''"));
                let columns: Vec<&str> =
                    self.table.columns[..width].iter().map(|c| c.name.as_str()).collect();
                for row in
                    rows_of(before, &format!("SELECT {} FROM {name} WHERE {condition}", columns.join(", ")))
                {
                    let terms: Vec<String> = columns
                        .iter()
                        .zip(&row)
                        .map(|(column, value)| format!("{column}.eq.{}", text(value)))
                        .collect();
                    alternatives.push(format!("and({})", terms.join(",")));
                }
            }
            let none =
                format!("{}.is.null,{}.not.is.null", self.table.columns[0].name, self.table.columns[0].name);
            match alternatives.is_empty() {
                true => vec![("and".to_owned(), format!("({none})"))],
                false => vec![("or".to_owned(), format!("({})", alternatives.join(",")))],
            }
        };
        let mut written = BTreeSet::new();
        let mut permits: Vec<&Permit> = Vec::new();
        let mut targets: Option<BTreeSet<Key>> = None;
        match self.verb {
            Verb::Patch | Verb::Delete | Verb::PatchEach => {
                let using = if self.verb == Verb::Delete {
                    match oracle.allowed(before, name, Operation::Delete) {
                        Some(rows) => rows,
                        None => return Prediction::Refused("nothing may be deleted"),
                    }
                } else {
                    let Some(update) = &update else { return Prediction::Open };
                    permits.push(update);
                    Permit::holds(before, name, &update.using, &key_sql)
                };
                let found: BTreeSet<Key> = if sight.refused {
                    // Without leave to select there is no filter: all rows.
                    oracle.keys(before, name, None)
                } else if self.verb == Verb::PatchEach {
                    let own = self.keys(before);
                    // By what is told of the key.
                    if !sight.plain[..self.table.key.width()].iter().all(|is| *is) {
                        return Prediction::Open;
                    }
                    sight.rows.keys().filter(|key| own.contains(*key)).cloned().collect()
                } else {
                    match self.found(case, oracle, sights, before) {
                        Ok(found) => found,
                        Err(reply) => return Prediction::Done { reply, after: copy_of(before), written },
                    }
                };
                let rows: BTreeSet<Key> = found.intersection(&using).cloned().collect();
                request.params.retain(|(name, _)| name == "on_conflict");
                request.params.extend(by_key(&rows));
                written = rows.clone();
                if self.verb == Verb::PatchEach && beside_key.is_empty() {
                    // There is nothing to change.
                    written.clear();
                }
                if self.verb == Verb::Patch {
                    targets = Some(rows);
                }
            }
            Verb::Merge | Verb::Put => {
                let (Some(insert), Some(update)) = (&insert, &update) else { return Prediction::Open };
                permits.extend([insert, update]);
                let own = self.keys(before);
                let there = oracle.keys(before, name, None);
                let using = Permit::holds(before, name, &update.using, &key_sql);
                let finds = own.iter().filter(|key| there.contains(*key));
                let may = |key: &&Key| sight.rows.contains_key(*key) && using.contains(*key);
                if finds.clone().any(|key| !may(&key)) {
                    return Prediction::Refused("a row that is there may not be updated");
                }
                written = own;
            }
            Verb::Insert | Verb::Ignore | Verb::Tree => permits.extend(&insert),
        }
        let reply = server.send(&case.identity, &request);
        if reply.status >= 300 {
            let breaks = self.verb != Verb::PatchEach
                && self.verb != Verb::Delete
                && !permits.is_empty()
                && self.proposed_breaks(oracle, before, &permits, targets.as_ref());
            if matches!(self.verb, Verb::Tree | Verb::PatchEach) {
                return Prediction::Open;
            }
            let is_of_database = reply.error().is_some_and(|(code, _)| code.starts_with("23"));
            return match breaks && is_of_database {
                true => Prediction::Refused("the row may not be written, whatever the database says to it"),
                false => Prediction::Done { reply, after: copy_of(before), written: BTreeSet::new() },
            };
        }
        let after = copy_of(&server.db.connection);
        written.extend(changed(oracle, before, &after, name));
        if self.verb == Verb::Patch && key_names.iter().any(|key| given.contains(key)) {
            // Those that have another key now.
            let (old, new) = (oracle.keys(before, name, None), oracle.keys(&after, name, None));
            let lost = old.difference(&new).count();
            let came: BTreeSet<Key> = new.difference(&old).cloned().collect();
            if lost != came.len() {
                return Prediction::Open;
            }
            written.retain(|key| new.contains(key));
            written.extend(came);
        }
        for permit in &permits {
            let holds = Permit::holds(&after, name, &permit.check, &key_sql);
            if self.verb != Verb::Delete && written.iter().any(|key| !holds.contains(key)) {
                return Prediction::Refused("a row is not what the check wants");
            }
        }
        if let Some((child, columns)) = &self.inside {
            let Some(permit) = Permit::of(oracle, &child.name, Operation::Insert, columns) else {
                return Prediction::Refused("the rows inside may not be inserted");
            };
            let key_sql = oracle.key_sql(&child.name);
            let holds = Permit::holds(&after, &child.name, &permit.check, &key_sql);
            if changed(oracle, before, &after, &child.name).iter().any(|key| !holds.contains(key)) {
                return Prediction::Refused("a row inside is not what the check wants");
            }
        }
        Prediction::Done { reply, after, written }
    }

    /// The rows that the filters find among those that are seen, as they are seen.
    fn found(
        &self,
        case: &Case,
        oracle: &Oracle<'_>,
        sights: &BTreeMap<String, Sight>,
        before: &Connection,
    ) -> Result<BTreeSet<Key>, Reply> {
        let name = &self.table.name;
        // Each row has its number, by which it is known again.
        let keys: Vec<Key> = oracle
            .order_of(before, name)
            .into_iter()
            .filter(|key| sights[name].rows.contains_key(key))
            .collect();
        let numbered = Connection::open_in_memory().unwrap();
        let there: Vec<usize> =
            (0..self.table.columns.len()).filter(|at| sights[name].columns[*at]).collect();
        let columns: Vec<String> = there
            .iter()
            .map(|at| format!("{} {}", self.table.columns[*at].name, self.table.columns[*at].kind.declared()))
            .collect();
        let columns = if columns.is_empty() { String::new() } else { format!(", {}", columns.join(", ")) };
        numbered
            .execute_batch(&format!("CREATE TABLE {name} (number_of_row INTEGER PRIMARY KEY{columns})"))
            .unwrap();
        for (number, key) in keys.iter().enumerate() {
            let row = &sights[name].rows[key];
            let mut values = vec![rusqlite::types::Value::Integer(i64::try_from(number).unwrap())];
            values.extend(there.iter().map(|at| row[*at].clone()));
            let marks = vec!["?"; values.len()].join(", ");
            numbered
                .execute(&format!("INSERT INTO {name} VALUES ({marks})"), rusqlite::params_from_iter(values))
                .unwrap();
        }
        let mut core = Core::new(numbered, super::differential::SHARED);
        let mut request = self.request.clone();
        request.method = "GET".to_owned();
        request.headers = vec![("x-tenant".to_owned(), TENANT.to_owned())];
        request.body = String::new();
        request.params.retain(|(name, _)| name != "select");
        request.params.push(("select".to_owned(), "number_of_row".to_owned()));
        let reply = core.send(&case.identity, &request);
        if reply.status >= 300 {
            return Err(reply);
        }
        let rows: Vec<BTreeMap<String, usize>> = serde_json::from_str(&reply.body).unwrap();
        Ok(rows.iter().map(|row| keys[row["number_of_row"]].clone()).collect())
    }
}

/// What a role is told of rows, by a server over the copy that it sees, each row by itself.
fn told_rows(
    case: &Case,
    oracle: &Oracle<'_>,
    write: &Write,
    db: &Connection,
    keys: &BTreeSet<Key>,
) -> Vec<Json> {
    let sights = oracle.sights(db);
    let sight = &sights[&write.table.name];
    let select =
        write.request.params.iter().find(|(name, _)| name == "select").map(|(_, value)| value.clone());
    let mut rows = Vec::new();
    for key in keys {
        let mut alone = sights.clone();
        if !sight.rows.contains_key(key) {
            continue;
        }
        if let Some(own) = alone.get_mut(&write.table.name) {
            own.rows.retain(|known, _| known == key);
        }
        let mut core = Core::new(oracle.filtered(db, &alone), &case.unrestricted());
        let mut request =
            Request { method: "GET".to_owned(), path: write.request.path.clone(), ..Request::default() };
        request.params.extend(select.clone().map(|select| ("select".to_owned(), select)));
        let reply = core.send(&case.identity, &request);
        let found: Vec<Json> =
            serde_json::from_str(&reply.body).unwrap_or_else(|error| panic!("{error}: {reply:?}"));
        rows.extend(found);
    }
    rows
}

#[test]
fn what_is_written_is_what_may_be_written() {
    let (done, refused, open_ended) = (Cell::new(0_u32), Cell::new(0_u32), Cell::new(0_u32));
    let result = runner(cases(500, 20_000)).run(&numbers(), |(world, rules, who, requests)| {
        let case = Case::new(&world, &rules, &who);
        let oracle = Oracle { world: &case.world, rules: &case.rules, role: case.role() };
        let before = open(&case.world.sql());
        let sights = oracle.sights(&before);
        for numbers in requests.iter().take(5) {
            let write = generate(&mut Dice::new(numbers), &case.world, &sights);
            let mut real = Core::new(copy_of(&before), &case.restricted());
            real.db.connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
            let got = real.send(&case.identity, &write.request);
            let fail = |wanted: String| {
                let wanted = format!(
                    "{:?}: {wanted}\nafter:\n{}",
                    write.verb,
                    contents(&case.world, &real.db.connection)
                );
                Err(TestCaseError::fail(case.show(&write.request, &got, &wanted)))
            };
            if got.log.is_some() {
                return fail("no internal error".to_owned());
            }
            let is_denied = got.error().is_some_and(|(code, _)| code == "42501");
            if got.status >= 300
                && contents(&case.world, &real.db.connection) != contents(&case.world, &before)
            {
                return fail("an error that changes nothing".to_owned());
            }
            match write.predict(&case, &oracle, &sights, &before) {
                Prediction::Open => open_ended.set(open_ended.get() + 1),
                Prediction::Refused(why) => {
                    refused.set(refused.get() + 1);
                    let status = if case.identity.is_anonymous { 401 } else { 403 };
                    // A request may be wrong in other ways, too.
                    let is_wrong = matches!(got.status, 400 | 405)
                        && got.error().is_none_or(|(code, _)| !code.starts_with("23"));
                    if !(is_denied && got.status == status) && !is_wrong {
                        return fail(format!("42501: {why}"));
                    }
                }
                Prediction::Done { reply, .. } if reply.status >= 300 => {
                    let hidden = is_denied && sights[&write.table.name].columns.contains(&false);
                    if got.error().map(|(code, _)| code) != reply.error().map(|(code, _)| code) && !hidden {
                        return fail(format!("{reply:#?}"));
                    }
                }
                Prediction::Done { reply, after, written } => {
                    done.set(done.get() + 1);
                    if got.status != reply.status
                        || got.header("content-range") != reply.header("content-range")
                        || got.header("preference-applied") != reply.header("preference-applied")
                    {
                        return fail(format!("{reply:#?}"));
                    }
                    let wanted = contents(&case.world, &after);
                    if contents(&case.world, &real.db.connection) != wanted {
                        return fail(format!("{reply:#?}\n{wanted}"));
                    }
                    let width = write.table.key.width();
                    let sight = &sights[&write.table.name];
                    let tells_key =
                        !sight.refused && (0..width).all(|at| sight.columns[at] && sight.plain[at]);
                    let location = reply.header("location").filter(|_| tells_key);
                    if !sight.refused && got.header("location") != location {
                        return fail(format!("location {location:?}"));
                    }
                    // (There is no table without columns to compare with.)
                    if write.told == Told::Rows && sight.columns.contains(&true) {
                        // Of rows that are deleted is told what they were.
                        let db = if write.verb == Verb::Delete { &before } else { &after };
                        let mut wanted: Vec<String> = told_rows(&case, &oracle, &write, db, &written)
                            .iter()
                            .map(Json::to_string)
                            .collect();
                        let rows: Vec<Json> = match serde_json::from_str(&got.body) {
                            Ok(rows) => rows,
                            Err(_) => return fail("rows".to_owned()),
                        };
                        let mut rows: Vec<String> = rows.iter().map(Json::to_string).collect();
                        rows.sort();
                        wanted.sort();
                        if rows != wanted {
                            return fail(format!("{wanted:#?}"));
                        }
                    }
                }
            }
        }
        Ok(())
    });
    passed(result);
    println!("{} writes done, {} refused, {} left open", done.get(), refused.get(), open_ended.get());
    assert!(done.get() > 200 && refused.get() > 200, "{} done, {} refused", done.get(), refused.get());
}
