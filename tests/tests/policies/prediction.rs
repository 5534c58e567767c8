//! What comes of a write, by a reading of its own of docs/policies.md: whether it is refused, and what it leaves behind.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::differential::Case;
use super::oracle::{Key, Oracle, Sight, copy_of, rows_of};
use super::rules::{Operation, TENANT};
use super::run::{Core, Reply};
use super::world::{Kind, World};
use super::writing::{Told, Verb, Write, literal};

/// The conditions that a write of columns is held to: of each, one of the first must hold and all of the second.
struct Permit {
    using: (Vec<Option<String>>, Vec<String>),
    check: (Vec<Option<String>>, Vec<String>),
}

impl Permit {
    /// Whether it asks other rows.
    fn asks(&self) -> bool {
        let texts = |(any, all): &(Vec<Option<String>>, Vec<String>)| {
            any.iter().flatten().chain(all).any(|text| text.contains("SELECT"))
        };
        texts(&self.using) || texts(&self.check)
    }

    /// What an operation of these columns is held to; none: it is refused.
    fn of(oracle: &Oracle<'_>, table: &str, operation: Operation, columns: &[String]) -> Option<Permit> {
        let covers = |rule: &&super::rules::Rule| columns.iter().all(|column| rule.lets_write(column));
        let restrictive = oracle.restrictive(table, operation);
        if !restrictive.iter().all(covers) {
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

    /// Whether a check asks other rows.
    fn asks_others(&self) -> bool {
        let asks = |condition: &String| condition.contains("SELECT");
        self.check.0.iter().flatten().any(asks) || self.check.1.iter().any(asks)
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
pub enum Prediction {
    /// 42501.
    Refused(&'static str),
    /// The answer of an unrestricted server that writes the rows that may be written, and what it leaves.
    Done { reply: Box<Reply>, after: Connection, written: BTreeSet<Key> },
    /// It is not for this test to say.
    Open,
}

pub fn contents(world: &World, db: &Connection) -> String {
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

    pub fn predict(
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
                        Err(reply) => {
                            return Prediction::Done {
                                reply: Box::new(reply),
                                after: copy_of(before),
                                written,
                            };
                        }
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
                    // What the database refuses of another row may be told first.
                    let reply = server.send(&case.identity, &request);
                    let refuses = reply.error().is_some_and(|(code, _)| code.starts_with("23"));
                    if refuses || self.rows.len() > 1 {
                        return Prediction::Open;
                    }
                    return Prediction::Refused("a row that is there may not be updated");
                }
                written = own;
            }
            Verb::Insert | Verb::Ignore | Verb::Tree => permits.extend(&insert),
        }
        // What asks other rows is held to what they were; and what is passed over is looked at all the same.
        let asks_others = permits.iter().any(|permit| permit.asks_others());
        let is_first =
            self.verb == Verb::Ignore || asks_others && matches!(self.verb, Verb::Insert | Verb::Patch);
        if permits.iter().any(|permit| permit.asks())
            && matches!(self.verb, Verb::Merge | Verb::Put | Verb::PatchEach | Verb::Tree)
        {
            return Prediction::Open;
        }
        if is_first && self.proposed_breaks(oracle, before, &permits, targets.as_ref()) {
            return Prediction::Refused("a proposed row is not what the check wants");
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
            if is_of_database && merges {
                // What is not given is that of the row which is there, if there is one.
                return Prediction::Open;
            }
            return match breaks && is_of_database {
                true => Prediction::Refused("the row may not be written, whatever the database says to it"),
                false => Prediction::Done {
                    reply: Box::new(reply),
                    after: copy_of(before),
                    written: BTreeSet::new(),
                },
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
        if let Some((child, columns)) = &self.inside {
            let inner = Permit::of(oracle, &child.name, Operation::Insert, columns);
            if permits.iter().copied().chain(&inner).any(Permit::asks_others) {
                // Each row is looked at when it is inserted, before others that its check may ask.
                return Prediction::Open;
            }
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
        Prediction::Done { reply: Box::new(reply), after, written }
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
