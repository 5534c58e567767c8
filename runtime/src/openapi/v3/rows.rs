//! The rows of a relation, as they are told, inserted and updated.

use super::Context;
use crate::config::OpenApiVersion;
use crate::openapi::embeds::{Embed, embeds};
use crate::openapi::json::{Members, list, texts};
use crate::openapi::names::{dotted, key};
use crate::openapi::seen::{Table, Write};
use crate::openapi::template::Fill;
use crate::openapi::types::{Values, default};
use crate::schema::Column;

/// Adds them to the schemas of the document.
#[inline(never)]
pub(super) fn add_schemas(context: &Context<'_>, table: &Table<'_>, schemas: &mut Members) {
    let own = key(&table.relation.name);
    if table.reads {
        schemas.json(&own, &told(context, table));
    }
    if table.methods.post || table.methods.put {
        schemas.json(&dotted(&own, "insert"), &written(context, table, Write::Insert));
    }
    if table.methods.patch {
        schemas.json(&dotted(&own, "update"), &written(context, table, Write::Update));
    }
}

/// A row as it is told. `select` decides which members there are, so that none is promised.
#[inline(never)]
fn told(context: &Context<'_>, table: &Table<'_>) -> String {
    let relation = table.relation;
    let mut properties = Members::default();
    for (place, column) in table.columns() {
        let values = Values::told(column, table.facts(column), !relation.never_null(place));
        let mut schema = values.schema(context.version);
        schema.text("description", &told_description(context, table, place, column));
        if !table.is_written(place) {
            schema.json("readOnly", "true");
        }
        properties.json(&column.name, &schema.object());
    }
    let embeds = embeds(context.seen, table);
    for (at, embed) in embeds.iter().enumerate() {
        let is_same = |other: &&Embed| other.member == embed.member;
        let is_column = table.columns().any(|(_, column)| column.name == embed.member);
        if !is_column && !embeds.iter().take(at).any(|other| is_same(&other)) {
            let ways: Vec<&Embed> = embeds.iter().filter(is_same).collect();
            properties.json(&embed.member, &embedded(context, &ways));
        }
    }
    let mut values = Fill::default();
    values.some("description", context.seen.comment(&relation.name));
    values.json("properties", properties.object());
    context.templates.fill("told", &values)
}

/// What is said of a column that is told.
#[inline(never)]
fn told_description(context: &Context<'_>, table: &Table<'_>, place: usize, column: &Column) -> String {
    let mut words = context.seen.column_comment(&table.relation.name, &column.name).to_owned();
    let primary = &table.relation.primary_key;
    let is_key = primary.contains(&place);
    let refers = context.seen.referred(table, place);
    let refers = refers.map(|(name, other)| ["Refers to `", name, ".", other, "`."].concat());
    let said = [
        (is_key && primary.len() == 1, "Primary key."),
        (is_key && primary.len() > 1, "Part of the primary key."),
        (refers.is_some(), refers.as_deref().unwrap_or_default()),
        (column.computed.is_some(), "Told where `select` names it."),
        (column.generated && table.methods.post, "Made by the database."),
        (column.masked, "Masked: not what is stored."),
    ];
    for (is, what) in said {
        if is {
            words.push_str(if words.is_empty() { "" } else { "\n\n" });
            words.push_str(what);
        }
    }
    words
}

/// Embedded rows: one or null, or a list; either, where one name stands for several relationships.
#[inline(never)]
fn embedded(context: &Context<'_>, ways: &[&Embed]) -> String {
    let target = ways.first().and_then(|way| context.seen.read(way.target));
    let row = match target {
        Some(table) => context.templates.component("schemas", &key(&table.relation.name)),
        None => "{\"type\":\"object\"}".to_owned(),
    };
    let (mut items, mut has_one, mut has_many) = (String::new(), false, false);
    for way in ways {
        items.push_str(if items.is_empty() { "`" } else { " or `" });
        items.push_str(&way.item);
        items.push_str("(…)`");
        has_one |= way.to_one;
        has_many |= !way.to_one;
    }
    let mut values = Fill::default();
    values.text("items", &items);
    if !has_one {
        values.text("type", "array");
        values.json("rows", row);
    } else if !has_many && context.version == OpenApiVersion::V3_0 {
        // 3.0 has no null but as a property of a type.
        values.text("type", "object");
        values.truth("nullable", true);
        values.json("one", list(&[row]));
    } else {
        let many = context.templates.with_json("list", "row", row.clone());
        let mut any = vec![row];
        if context.version == OpenApiVersion::V3_1 {
            any.push("{\"type\":\"null\"}".to_owned());
        }
        if has_many {
            any.push(many);
        }
        values.json("any", list(&any));
    }
    context.templates.fill("embedded", &values)
}

/// A row as PUT sends it, which has its key; nothing where there is no example of a value.
#[inline(never)]
pub(super) fn put_example(table: &Table<'_>) -> String {
    let mut example = Members::default();
    for (place, column) in table.written(Write::Insert) {
        if Table::is_required(column) || table.relation.primary_key.contains(&place) {
            let value = Values::sent(column, table.facts(column)).example();
            if value.is_empty() {
                return String::new();
            }
            example.json(&column.name, &value);
        }
    }
    example.object()
}

/// A row as it is sent.
#[inline(never)]
fn written(context: &Context<'_>, table: &Table<'_>, how: Write) -> String {
    let is_insert = how == Write::Insert;
    let (mut properties, mut example) = (Members::default(), Members::default());
    let (mut required, mut has_all) = (Vec::new(), true);
    for (_, column) in table.written(how) {
        let values = Values::sent(column, table.facts(column));
        let mut schema = values.schema(context.version);
        schema.text("description", context.seen.column_comment(&table.relation.name, &column.name));
        let is_required = is_insert && Table::is_required(column);
        if is_insert {
            schema.json("default", &default(column));
        }
        // One column is an example of an update.
        if is_required || (!is_insert && example.is_empty() && !column.is_rowid) {
            let value = values.example();
            has_all &= !is_required || !value.is_empty();
            example.json(&column.name, &value);
        }
        if is_required {
            required.push(column.name.clone());
        }
        properties.json(&column.name, &schema.object());
    }
    let has_example = has_all && !example.is_empty();
    let mut values = Fill::default();
    values.json("properties", properties.object());
    values.json("required", texts(&required));
    let schema = context.templates.fill("sent", &values);
    context.with_example(&schema, if has_example { example.object() } else { String::new() })
}
