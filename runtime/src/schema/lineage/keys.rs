//! The keys that views have from the tables whose columns they show, as PostgREST derives them.
//!
//! <https://docs.postgrest.org/en/stable/references/api/resource_embedding.html#foreign-key-joins-on-views>

use std::collections::HashMap;

use super::simple::add_rewrite;
use super::{Origin, view_origins};
use crate::schema::{ForeignKey, RelationId, SchemaCache};

/// How many ways one view may show one key: a column shown twice in a key of two columns gives four.
const MAX_CHOICES: usize = 64;

/// How many keys may be derived: a key between two tables with 50 views each gives 2,600.
const MAX_KEYS: usize = 20_000;

/// A view and where it shows each column of a table.
struct View {
    relation: RelationId,
    places: HashMap<Origin, Vec<usize>>,
}

/// Views by the tables of which they show something.
type Views<'a> = HashMap<RelationId, Vec<&'a View>>;

/// Gives views their primary keys and the simple ones the way to their table, and adds the foreign keys from views, to views
/// and between them. Every name stays that of the key in the table. What is `hidden` passes its keys on, but gets none.
pub(in crate::schema) fn add_view_relationships(
    schema: &mut SchemaCache,
    view_sql: &[(RelationId, String)],
    hidden: &[bool],
) {
    let is_hidden = |id: RelationId| hidden.get(id).copied().unwrap_or(false);
    let mut views = Vec::new();
    for (relation, origins) in view_origins(schema, view_sql).into_iter().filter(|(id, _)| !is_hidden(*id)) {
        if let Some(view) = schema.relations.get(relation) {
            debug_assert_eq!(view.columns.len(), origins.len());
        }
        let primary_key = primary_key(schema, &origins);
        if let Some(view) = schema.relations.get_mut(relation) {
            view.primary_key = primary_key;
        }
        if let Some((_, sql)) = view_sql.iter().find(|(id, _)| *id == relation) {
            add_rewrite(schema, relation, sql, &origins, &is_hidden);
        }
        views.push(View { relation, places: places(&origins) });
    }
    let derived = derived_keys(schema, &views, &is_hidden);
    if derived.len() >= MAX_KEYS {
        let what = format!("the views have more than {MAX_KEYS} foreign keys; the rest is left out");
        schema.warn("", "", what);
    }
    for (owner, key) in derived {
        let Some(relation) = schema.relations.get_mut(owner) else { continue };
        if let Some(referrers) = schema.referrers.get_mut(key.target) {
            referrers.push((owner, relation.foreign_keys.len()));
        }
        relation.foreign_keys.push(key);
    }
}

fn places(origins: &[Option<Origin>]) -> HashMap<Origin, Vec<usize>> {
    let mut places: HashMap<Origin, Vec<usize>> = HashMap::new();
    for (at, origin) in origins.iter().enumerate() {
        if let Some(origin) = origin {
            places.entry(*origin).or_default().push(at);
        }
    }
    places
}

/// The primary keys of all tables that the view shows in full, in the order in which the tables first appear. Where a
/// column is shown twice, the first place counts.
fn primary_key(schema: &SchemaCache, origins: &[Option<Origin>]) -> Vec<usize> {
    let mut tables: Vec<RelationId> = Vec::new();
    for origin in origins.iter().flatten() {
        if !tables.contains(&origin.relation) {
            tables.push(origin.relation);
        }
    }
    let key = |relation: &RelationId| -> Option<Vec<usize>> {
        let columns = &schema.relations.get(*relation)?.primary_key;
        let place = |column: &usize| {
            let origin = Origin { relation: *relation, column: *column };
            origins.iter().position(|shown| *shown == Some(origin))
        };
        columns.iter().map(place).collect()
    };
    tables.iter().filter_map(key).flatten().collect()
}

/// For every foreign key of a table: from the table or a view of it, to the other table or a view of that.
fn derived_keys(
    schema: &SchemaCache,
    views: &[View],
    is_hidden: &impl Fn(RelationId) -> bool,
) -> Vec<(RelationId, ForeignKey)> {
    let mut by_table = Views::new();
    for view in views {
        let mut tables: Vec<RelationId> = view.places.keys().map(|origin| origin.relation).collect();
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            by_table.entry(table).or_default().push(view);
        }
    }
    let mut derived = Vec::new();
    for (owner, key) in schema.foreign_keys() {
        let sources = showing(&by_table, owner, &key.columns);
        let targets = showing(&by_table, key.target, &key.target_columns);
        for (at, (from, columns)) in sources.iter().enumerate() {
            // The first of both is the key itself.
            for (to, target_columns) in targets.iter().skip(usize::from(at == 0)) {
                if is_hidden(*from) || is_hidden(*to) {
                    continue;
                }
                if derived.len() >= MAX_KEYS {
                    return derived;
                }
                let (columns, target_columns) = (columns.clone(), target_columns.clone());
                let key = ForeignKey { columns, target: *to, target_columns, derived: true, ..key.clone() };
                derived.push((*from, key));
            }
        }
    }
    derived
}

/// A table with these columns, and each view of it that shows them all, in each way in which it does.
fn showing(views: &Views<'_>, table: RelationId, columns: &[usize]) -> Vec<(RelationId, Vec<usize>)> {
    let mut found = vec![(table, columns.to_vec())];
    for view in views.get(&table).into_iter().flatten() {
        let mut choices: Vec<Vec<usize>> = vec![Vec::new()];
        for column in columns {
            let places = view.places.get(&Origin { relation: table, column: *column });
            choices = choices
                .iter()
                .flat_map(|choice| {
                    places.into_iter().flatten().map(move |place| [choice.as_slice(), &[*place]].concat())
                })
                .take(MAX_CHOICES)
                .collect();
        }
        found.extend(choices.into_iter().map(|choice| (view.relation, choice)));
    }
    found
}
