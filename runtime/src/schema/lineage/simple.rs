//! Views that can be written like their one table, by the rules of PostgreSQL's automatically updatable views.
//!
//! <https://www.postgresql.org/docs/current/sql-createview.html#SQL-CREATEVIEW-UPDATABLE-VIEWS>

use super::Origin;
use super::parse::view_query;
use super::query::Rows;
use crate::schema::tokens::{Token, tokens};
use crate::schema::{RelationId, RelationKind, Rewrite, SchemaCache, Writable};

/// Words of a query whose rows are not rows of its table, one for one. A subselect in which they stand is no harm, but not
/// worth telling apart.
const NOT_SIMPLE: [&str; 12] = [
    "distinct",
    "group",
    "having",
    "limit",
    "union",
    "intersect",
    "except",
    "over",
    "join",
    "with",
    "values",
    "window",
];

/// The functions of SQLite that make one row of several.
const AGGREGATES: [&str; 12] = [
    "count",
    "sum",
    "total",
    "avg",
    "min",
    "max",
    "group_concat",
    "string_agg",
    "json_group_array",
    "json_group_object",
    "jsonb_group_array",
    "jsonb_group_object",
];

/// Says of a simple view whether its key names one row; where it has no INSTEAD OF trigger and its table is not hidden, gives
/// it the way to the table and the defaults of its columns. Needs the view's primary key.
pub(super) fn add_rewrite(
    schema: &mut SchemaCache,
    view: RelationId,
    sql: &str,
    origins: &[Option<Origin>],
    is_hidden: &impl Fn(RelationId) -> bool,
) {
    let Some(table) = only_table(schema, sql) else { return };
    let base_key = schema.relations.get(table).map(|base| (base.primary_key.len(), base.key_is_sure));
    let has_trigger = schema.relations.get(view).is_none_or(|view| view.writable != Writable::default());
    let Some(relation) = schema.relations.get_mut(view) else { return };
    relation.key_is_sure = base_key == Some((relation.primary_key.len(), true));
    if !has_trigger && !is_hidden(table) {
        let whole = !tokens(sql).iter().any(|token| token.is("where"));
        rewrite(schema, view, (table, whole), origins);
    }
}

/// The table of a simple view.
fn only_table(schema: &SchemaCache, sql: &str) -> Option<RelationId> {
    let tokens = tokens(sql);
    let is_call = |pair: &[Token<'_>]| match pair {
        [name, Token::Symbol('(')] => AGGREGATES.iter().any(|word| name.is(word)),
        _ => false,
    };
    if tokens.iter().any(|token| NOT_SIMPLE.iter().any(|word| token.is(word)))
        || tokens.windows(2).any(is_call)
    {
        return None;
    }
    let query = view_query(sql)?;
    let ([], [select]) = (query.ctes.as_slice(), query.selects.as_slice()) else { return None };
    let [source] = select.sources.as_slice() else { return None };
    let Rows::Of(name) = &source.rows else { return None };
    let found = schema.relations.iter().position(|relation| relation.name.eq_ignore_ascii_case(name))?;
    schema.relations.get(found).filter(|relation| relation.kind == RelationKind::Table).map(|_| found)
}

fn rewrite(
    schema: &mut SchemaCache,
    view: RelationId,
    (table, whole): (RelationId, bool),
    origins: &[Option<Origin>],
) {
    let Some(base) = schema.relations.get(table) else { return };
    let shown: Vec<_> = origins
        .iter()
        .map(|origin| {
            let origin = origin.filter(|origin| origin.relation == table);
            origin.and_then(|origin| base.columns.get(origin.column)).cloned()
        })
        .collect();
    let name = base.name.clone();
    let Some(view) = schema.relations.get_mut(view) else { return };
    for (at, (column, base)) in view.columns.iter_mut().zip(&shown).enumerate() {
        column.default = base.as_ref().and_then(|base| base.default.clone());
        // What is made of columns cannot be given a value, and one that is shown again would be given two.
        let is_again = origins.iter().take(at).any(|before| origins.get(at) == Some(before));
        column.generated = is_again || base.as_ref().is_none_or(|base| base.generated);
    }
    let columns = shown.into_iter().map(|column| column.map(|column| column.name)).collect();
    view.rewrite = Some(Rewrite { table: name, columns, whole });
    view.writable.insert = true;
    view.writable.update = view.key_is_sure;
    view.writable.delete = view.key_is_sure;
}
