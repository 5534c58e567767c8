//! Parameters: the filters of each column, `select`, `order` and their kin, and the preferences.

use super::table::has_conflicts;
use super::{Components, Context};
use crate::config::TxEnd;
use crate::openapi::embeds::embeds;
use crate::openapi::json::{Members, list, text, texts};
use crate::openapi::names::{dotted, in_pattern, in_query, key};
use crate::openapi::seen::{Table, Write};
use crate::openapi::template::Fill;
use crate::openapi::types::Values;
use crate::schema::{Column, ColumnType, Relation};

/// The conditions on a column that a filter is: what its type allows, a comparison with another column, and what `fts` says.
#[inline(never)]
fn conditions_of(context: &Context<'_>, relation: &Relation, column: &Column, compared: &str) -> String {
    let sent = column.representation.as_ref().filter(|own| own.write.is_some() && !column.masked);
    let column_type = sent.map_or(column.column_type, |own| own.column_type);
    let name = match column_type {
        _ if column.masked => "filter.text",
        ColumnType::Integer => "filter.integer",
        ColumnType::Real | ColumnType::Numeric => "filter.number",
        ColumnType::Boolean => "filter.boolean",
        ColumnType::Json => "filter.json",
        ColumnType::Blob => "filter.bytes",
        ColumnType::Text | ColumnType::Other | ColumnType::Time | ColumnType::Any => "filter.text",
    };
    let has_index = relation.full_text.as_ref().is_some_and(|index| index.columns.contains(&column.name));
    let names = [name, compared, "filter.fullText"];
    let names = names.into_iter().take(if has_index { 3 } else { 2 });
    let all: Vec<String> = names.map(|name| context.templates.component("schemas", name)).collect();
    list(&all)
}

/// What parameters go by one relation, as components, and the schemas that they share.
#[inline(never)]
pub(super) fn add(context: &Context<'_>, table: &Table<'_>, found: &mut Components) {
    let templates = &context.templates;
    let relation = table.relation;
    let own = key(&relation.name);
    let compared = dotted(&own, "compared");
    let mut names = String::new();
    for (_, column) in table.columns() {
        let name = in_query(&column.name);
        let mut values = Fill::default();
        values.text("name", &name);
        values.some("description", context.seen.column_comment(&relation.name, &column.name));
        values.json("any", conditions_of(context, relation, column, &compared));
        found.parameters.json(&filter_key(relation, column), &templates.fill("filter", &values));
        names.push_str(if names.is_empty() { "" } else { "|" });
        names.push_str(&in_pattern(&name));
    }
    if !names.is_empty() {
        found.schemas.json(&compared, &templates.with("compared", "names", &names));
        found.schemas.json(&dotted(&own, "conditions"), &conditions(context, table, &names));
    }
    if table.methods.post {
        let columns: Vec<String> =
            table.written(Write::Insert).map(|(_, column)| in_query(&column.name)).collect();
        found
            .parameters
            .json(&dotted("columns", &own), &templates.with_json("columns", "known", texts(&columns)));
        if has_conflicts(table) {
            let keys: Vec<String> = table.keys().collect();
            let mut values = Fill::default();
            values.text("known", &["`", &keys.join("` or `"), "`"].concat());
            values.some("first", keys.first().map_or("", String::as_str));
            found.parameters.json(&dotted("onConflict", &own), &templates.fill("onConflict", &values));
        }
    }
    if table.reads {
        found.parameters.json(&dotted("order", &own), &templates.with("order", "names", &names));
    }
}

/// `select`; with `embedding` it names what can be embedded.
#[inline(never)]
pub(super) fn select(context: &Context<'_>, table: &Table<'_>, embedding: bool) -> String {
    let mut known = vec!["*".to_owned()];
    for (_, column) in table.columns() {
        known.push(in_query(&column.name));
    }
    if embedding {
        for embed in embeds(context.seen, table) {
            known.push(embed.item + "(*)");
        }
    }
    context.templates.with_json("select", "known", texts(&known))
}

/// `(a.eq.1,b.is.null)`: any group. That there are columns in it is for who makes examples of the pattern.
#[inline(never)]
fn conditions(context: &Context<'_>, table: &Table<'_>, names: &str) -> String {
    let (mut terms, mut example) = (String::new(), String::new());
    for (_, column) in table.columns() {
        let name = in_query(&column.name);
        let is_plain = !column.masked && column.representation.is_none();
        let test = match column.column_type {
            ColumnType::Integer if is_plain => "\\.(not\\.)?(eq|neq|gt|gte|lt|lte)\\.-?[0-9]{1,9}|",
            ColumnType::Text => "\\.(not\\.)?(eq|neq|like|ilike)\\.[A-Za-z0-9*]*|",
            _ => "\\.(not\\.)?is\\.(null|not_null)|",
        };
        terms.push_str(&in_pattern(&name));
        terms.push_str(test);
        if example.is_empty() {
            example = text(&["(", &name, ".not.is.null)"].concat());
        }
    }
    let several = ["(", names, ")\\.is\\.null,(", names, ")\\.is\\.not_null|[\\s\\S]*[.(][\\s\\S]*"];
    terms.push_str(&several.concat());
    let schema = context.templates.with("conditions", "terms", &terms);
    context.with_example(&schema, example)
}

#[inline(never)]
fn filter_key(relation: &Relation, column: &Column) -> String {
    dotted(&dotted("rowFilter", &key(&relation.name)), &key(&column.name))
}

/// The filters of a relation's columns, without those of some parameters' names, and the groups of them.
#[inline(never)]
pub(super) fn filters(context: &Context<'_>, table: &Table<'_>, taken: &[String]) -> String {
    let mut all = Vec::new();
    for (_, column) in table.columns() {
        if !taken.contains(&in_query(&column.name)) {
            all.push(context.templates.component("parameters", &filter_key(table.relation, column)));
        }
    }
    if table.columns().next().is_some() {
        let own = key(&table.relation.name);
        for kind in ["and", "or"] {
            all.push(context.templates.with(kind, "key", &own));
        }
    }
    list(&all)
}

/// The filters of PUT, which are the primary key.
#[inline(never)]
pub(super) fn key_filters(context: &Context<'_>, table: &Table<'_>) -> String {
    let mut all = Vec::new();
    for column in table.relation.primary_key.iter().filter_map(|place| table.relation.columns.get(*place)) {
        let is_whole = column.column_type == ColumnType::Integer;
        let mut values = Fill::default();
        values.text("name", &in_query(&column.name));
        let example = Values::sent(column, table.facts(column)).example();
        if !example.is_empty() {
            values.text("example", &("eq.".to_owned() + example.trim_matches('"')));
        }
        values.text("pattern", if is_whole { "^eq\\.-?[0-9]{1,18}$" } else { "^eq\\." });
        all.push(context.templates.fill("key", &values));
    }
    list(&all)
}

/// `Prefer`, for each kind of request.
#[inline(never)]
pub(super) fn add_preferences(context: &Context<'_>, parameters: &mut Members) {
    let tx = match context.seen.config.api.tx_end {
        TxEnd::CommitAllowOverride | TxEnd::RollbackAllowOverride => "[\"tx=commit\",\"tx=rollback\"]",
        TxEnd::Commit | TxEnd::Rollback => "",
    };
    for kind in ["preferRead", "preferInsert", "preferWrite", "preferCall"] {
        let known = context.templates.with_json(kind, "tx", tx.to_owned());
        parameters.json(kind, &context.templates.with_json("prefer", "known", known));
    }
}
