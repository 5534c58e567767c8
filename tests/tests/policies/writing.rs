//! Random writes about a world.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::dice::Dice;
use super::oracle::Sight;
use super::requests::{Asking, Request};
use super::rules::TENANT;
use super::world::{Kind, Table, World, key_literal};

/// What a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
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

pub struct Write {
    pub verb: Verb,
    pub table: Table,
    /// The columns given.
    pub columns: Vec<String>,
    pub rows: Vec<Map<String, Json>>,
    pub request: Request,
    pub told: Told,
    /// Of rows inside: their table, what refers to the row around, and the columns given.
    pub inside: Option<(Table, Vec<String>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
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
pub fn literal(kind: Kind, value: &Json) -> String {
    match value {
        Json::Null => "NULL".to_owned(),
        Json::Bool(is) => u8::from(*is).to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) if kind != Kind::Json => format!("'{}'", text.replace('\'', "''")),
        other => format!("'{}'", other.to_string().replace('\'', "''")),
    }
}

pub fn generate(dice: &mut Dice<'_>, world: &World, sights: &BTreeMap<String, Sight>) -> Write {
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
