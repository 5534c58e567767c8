//! What can be embedded into the rows of a relation, and how a request names it.

use super::names::in_query;
use super::seen::{Seen, Table};
use crate::schema::RelationId;

/// A relation that can be embedded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Embed {
    /// As `select` names it: `artists`, `artists!first_id`.
    pub(super) item: String,
    /// The member of the answer that it becomes.
    pub(super) member: String,
    /// Whose rows it gives.
    pub(super) target: RelationId,
    /// Whether that is one row or null.
    pub(super) to_one: bool,
    /// The kind and the key, in words.
    pub(super) by: String,
}

/// What a role may embed, where each way has a name of its own. In the order of the schema.
pub(super) fn embeds(seen: &Seen<'_>, table: &Table<'_>) -> Vec<Embed> {
    let schema = seen.schema;
    let mut found: Vec<Embed> = Vec::new();
    for target in neighbours(seen, table) {
        let Some(relation) = seen.read(target).map(|table| table.relation) else { continue };
        let ways = schema.relationships(table.id, &relation.name, None);
        let is_only = ways.len() == 1;
        for way in ways.iter().filter(|way| way.computed.is_none()) {
            let hint = schema.candidate(table.id, way).hint;
            let between = way.junction.as_ref().map(|junction| junction.relation);
            if between.is_some_and(|junction| seen.read(junction).is_none()) {
                continue;
            }
            let is_clear = || schema.relationships(table.id, &relation.name, Some(&hint)).len() == 1;
            if !is_only && !is_clear() {
                continue;
            }
            let name = in_query(&relation.name);
            let item = if is_only { name } else { format!("{name}!{}", in_query(&hint)) };
            let by = format!("{} by {}", way.cardinality.name(), way.constraint);
            let member = relation.name.clone();
            found.push(Embed { item, member, target, to_one: way.cardinality.is_to_one(), by });
        }
    }
    // The parents in the same table go by their key.
    for key in table.relation.foreign_keys.iter().filter(|key| key.target == table.id && !key.hidden) {
        if let [way] = schema.relationships(table.id, &key.name, None).as_slice() {
            let (item, member) = (in_query(&key.name), key.name.clone());
            let by = way.cardinality.name().to_owned();
            found.push(Embed { item, member, target: table.id, to_one: way.cardinality.is_to_one(), by });
        }
    }
    for computed in &table.relation.computed {
        let is_seen = schema.relations.get(computed.target).is_some_and(|relation| {
            let is_exposed = schema.names.get(&relation.name) == Some(&computed.target);
            !is_exposed || seen.read(computed.target).is_some()
        });
        if is_seen {
            let by = if computed.single { "one row" } else { "rows" }.to_owned();
            let (item, member) = (in_query(&computed.name), computed.name.clone());
            found.push(Embed { item, member, target: computed.target, to_one: computed.single, by });
        }
    }
    // Each once: a junction may relate two relations in several ways of one name.
    let mut all: Vec<Embed> = Vec::new();
    for embed in found {
        if !all.iter().any(|known| known.item == embed.item) {
            all.push(embed);
        }
    }
    all
}

/// The relations that a key leads to from a relation, in either direction, or by way of one between; in the order of the schema.
fn neighbours(seen: &Seen<'_>, table: &Table<'_>) -> Vec<RelationId> {
    let mut is_near = vec![false; seen.schema.relations.len()];
    let mut add = |id: RelationId| is_near.iter_mut().skip(id).take(1).for_each(|is| *is = true);
    table.relation.foreign_keys.iter().for_each(|key| add(key.target));
    for (referrer, _) in seen.schema.referrers.get(table.id).into_iter().flatten() {
        add(*referrer);
        let relation = seen.schema.relations.get(*referrer);
        relation.into_iter().flat_map(|relation| &relation.foreign_keys).for_each(|key| add(key.target));
    }
    is_near.iter().enumerate().filter(|(_, is)| **is).map(|(id, _)| id).collect()
}
