//! Takes relations out of what a schema exposes: those that were read because views show their columns and policies name them.

use super::{RelationId, SchemaCache};

/// Takes out the names of the relations that are `hidden`, with every key to or from them. They keep their places.
pub(super) fn remove(schema: &mut SchemaCache, hidden: &[bool]) {
    if !hidden.contains(&true) {
        return;
    }
    let is_hidden = |id: &RelationId| hidden.get(*id).copied().unwrap_or(false);
    schema.names.retain(|_, id| !is_hidden(id));
    // For each relation, where its keys go.
    let mut keys = Vec::with_capacity(schema.relations.len());
    for (id, relation) in schema.relations.iter_mut().enumerate() {
        let is_kept = |target: &RelationId| !is_hidden(&id) && !is_hidden(target);
        let mut next = 0..;
        let places =
            relation.foreign_keys.iter().map(|key| if is_kept(&key.target) { next.next() } else { None });
        keys.push(places.collect::<Vec<Option<usize>>>());
        relation.foreign_keys.retain(|key| is_kept(&key.target));
    }
    let new_key = |id: RelationId, at: usize| keys.get(id)?.get(at).copied().flatten();
    for referrers in &mut schema.referrers {
        *referrers = referrers.iter().filter_map(|(id, at)| Some((*id, new_key(*id, *at)?))).collect();
    }
}
