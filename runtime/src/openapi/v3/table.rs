//! What can be done with a relation.

use super::parameters::{filters, key_filters, select};
use super::{Context, rows};
use crate::openapi::embeds::embeds;
use crate::openapi::json::Members;
use crate::openapi::names::{dotted, key};
use crate::openapi::seen::{Table, summary};
use crate::openapi::template::Fill;
use crate::schema::RelationKind;

/// The operations of a relation's path, with what they are where nothing is said of the relation.
const OPERATIONS: [(&str, &str); 5] = [
    ("get", "Rows of `"),
    ("post", "New rows of `"),
    ("put", "One row of `"),
    ("patch", "Change rows of `"),
    ("delete", "Delete rows of `"),
];

/// The operations of a relation's path.
#[inline(never)]
pub(super) fn path_item(context: &Context<'_>, table: &Table<'_>) -> String {
    let name = table.relation.name.as_str();
    let own = key(name);
    let config = context.seen.config;
    let (first, rest) = summary(context.seen.comment(name));
    let before = [rest, if rest.is_empty() { "" } else { "\n\n" }].concat();
    let mut values = context.values();
    values.text("name", name);
    values.text("key", &own);
    values.text("rest", &before);
    values.text(
        "unfiltered",
        if config.api.require_filter { "There has to be a filter." } else { "Without a filter, all rows." },
    );
    values.some("read", (before + &embedding(context, table)).trim_end());
    values.json("filters", filters(context, table, &[]));
    values.json("key_filters", key_filters(context, table));
    values.json("put_example", rows::put_example(table));
    values.json("select_embeds", select(context, table, true));
    // What a write tells of its rows goes by these.
    if table.reads {
        values.json("select", select(context, table, false));
        values.text("order", &dotted("order", &own));
    }
    if has_conflicts(table) {
        values.text("on_conflict", &dotted("onConflict", &own));
        values.text("merged", &dotted("written", &own));
    }
    if config.signing_in().is_some() || config.policies.is_some() {
        values.text("unauthorized", "Unauthorized");
        values.text("forbidden", "Forbidden");
    }
    let methods = table.methods;
    let is_there = [table.reads, methods.post, methods.put && sees_key(table), methods.patch, methods.delete];
    let mut item = Members::default();
    for ((method, what), is_there) in OPERATIONS.into_iter().zip(is_there) {
        if is_there {
            let said = if first.is_empty() { [what, name, "`"].concat() } else { first.to_owned() };
            values.text("summary", &said);
            item.json(method, &context.templates.fill(method, &values));
        }
    }
    item.object()
}

/// What can be embedded, in words.
#[inline(never)]
fn embedding(context: &Context<'_>, table: &Table<'_>) -> String {
    if table.relation.kind == RelationKind::Virtual {
        return "A virtual table, for reading.".to_owned();
    }
    let mut words = String::new();
    for embed in embeds(context.seen, table) {
        let before = if words.is_empty() { "`select` can embed:\n\n- `" } else { "\n- `" };
        words.push_str(&[before, &embed.item, "(…)`: ", &embed.by].concat());
    }
    words
}

/// Whether a role sees all of the primary key, by which PUT finds its row.
#[inline(never)]
fn sees_key(table: &Table<'_>) -> bool {
    let is_seen = |place: &usize| table.columns().any(|(own, column)| own == *place && !column.masked);
    table.relation.primary_key.iter().all(is_seen)
}

/// Whether there is a key by which rows can be the same.
#[inline(never)]
pub(super) fn has_conflicts(table: &Table<'_>) -> bool {
    table.relation.takes_conflicts() && table.keys().next().is_some()
}

/// The answers that hold rows of a relation.
#[inline(never)]
pub(super) fn add_responses(context: &Context<'_>, table: &Table<'_>, found: &mut Members) {
    let own = key(&table.relation.name);
    let methods = table.methods;
    let mut values = Fill::default();
    if table.reads {
        values.json("content", content(context, context.templates.component("schemas", &own), true));
        found.json(&dotted("page", &own), &context.templates.fill("page", &values));
    }
    if methods.post || methods.put || methods.patch || methods.delete {
        found.json(&dotted("written", &own), &context.templates.fill("written", &values));
    }
}

/// What rows are made as: a list of them, or what there is one of.
#[inline(never)]
pub(super) fn content(context: &Context<'_>, row: String, is_set: bool) -> String {
    let mut values = Fill::default();
    let list = context.templates.with_json("list", "row", row.clone());
    values.json("json", if is_set { list.clone() } else { row.clone() });
    values.json("row", row);
    values.json("list", list);
    if context.seen.config.api.plan {
        for (name, template) in [("plan_text", "text"), ("plan_json", "plan")] {
            values.json(name, context.templates.fill(template, &Fill::default()));
        }
    }
    context.templates.fill("content", &values)
}
