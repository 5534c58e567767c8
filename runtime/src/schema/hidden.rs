//! Takes relations out of a schema again: those that were read only because views show their columns.

use super::{RelationId, SchemaCache};

/// Takes out the relations that are `hidden`, with every key to or from them. The others keep their order.
pub(super) fn remove(schema: &mut SchemaCache, hidden: &[bool]) {
    let is_hidden = |id: &RelationId| hidden.get(*id).copied().unwrap_or(false);
    let count = schema.relations.len();
    let ids = places((0..count).map(|id| !is_hidden(&id)));
    let new_id = |id: RelationId| ids.get(id).copied().flatten();
    // For each relation, where its keys go.
    let mut keys = Vec::with_capacity(count);
    for relation in &mut schema.relations {
        keys.push(places(relation.foreign_keys.iter().map(|key| !is_hidden(&key.target))));
        relation.foreign_keys.retain_mut(|key| match new_id(key.target) {
            Some(target) => {
                key.target = target;
                true
            }
            None => false,
        });
    }
    let new_key = |id: RelationId, at: usize| keys.get(id)?.get(at).copied().flatten();
    for referrers in &mut schema.referrers {
        *referrers =
            referrers.iter().filter_map(|(id, at)| Some((new_id(*id)?, new_key(*id, *at)?))).collect();
    }
    retain(&mut schema.relations, &ids);
    retain(&mut schema.referrers, &ids);
    schema.names.retain(|_, id| match new_id(*id) {
        Some(new) => {
            *id = new;
            true
        }
        None => false,
    });
}

/// The new places of those that are kept.
fn places(kept: impl Iterator<Item = bool>) -> Vec<Option<usize>> {
    let mut next = 0..;
    kept.map(|kept| if kept { next.next() } else { None }).collect()
}

fn retain<T>(items: &mut Vec<T>, places: &[Option<usize>]) {
    let mut places = places.iter();
    items.retain(|_| places.next().is_some_and(Option::is_some));
}
