//! Which base table's column each column of a view shows, so that the keys of tables hold for the views of them.
//!
//! A column shows another where it is that column and no expression of it: renamed or not, through joins, subselects, WITH
//! and other views. Plain data in and out; whatever cannot be followed shows nothing.

mod keys;
mod parse;
mod query;
mod resolve;
#[cfg(test)]
mod roundtrip;
mod simple;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(super) use keys::add_view_relationships;

use super::{RelationId, SchemaCache};

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The table.
    pub relation: RelationId,
    /// The place of the column there.
    pub column: usize,
}

/// For each of these views, given with its CREATE VIEW, and each of its columns: the table's column that it shows.
pub fn view_origins(
    schema: &SchemaCache,
    view_sql: &[(RelationId, String)],
) -> BTreeMap<RelationId, Vec<Option<Origin>>> {
    let mut resolver = resolve::Resolver::new(schema, view_sql);
    view_sql.iter().map(|(id, _)| (*id, resolver.view(*id, resolve::MAX_DEPTH).to_vec())).collect()
}
