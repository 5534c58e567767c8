//! A schema as text that is short: for the prompt of a language model, and for whoever reads without colours.

use std::fmt::Write as _;

use super::describe::{Column, Function, Parameter, Relation, Relationship, Schema};

/// A line for what stands alone, a line with a dash for what belongs to it.
pub fn compact(schema: &Schema) -> String {
    let mut out = String::new();
    let role = schema.role.as_ref().map(|role| format!(", as {role} knows it")).unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "schema {}{role}{}", schema.schema, said(schema.comment.as_deref()));
    for own in &schema.relations {
        let _ = write!(out, "\n{} {} ({})", own.kind, own.name, own.operations.join(", "));
        let _ = writeln!(out, "{}", said(own.comment.as_deref()));
        relation(own, &mut out);
    }
    for function in &schema.functions {
        let _ = writeln!(out, "\n{}", call(function));
    }
    if schema.relations.is_empty() && schema.functions.is_empty() {
        let _ = writeln!(out, "\nnothing");
    }
    out
}

/// A comment behind what it is about, on one line.
fn said(comment: Option<&str>) -> String {
    let words: Vec<&str> = comment.unwrap_or_default().split_whitespace().collect();
    if words.is_empty() { String::new() } else { format!(": {}", words.join(" ")) }
}

fn relation(own: &Relation, out: &mut String) {
    let mut line = |text: String| {
        let _ = writeln!(out, "- {text}");
    };
    own.columns.iter().for_each(|column| line(self::column(own, column)));
    if own.primary_key.len() > 1 {
        line(format!("primary key ({})", own.primary_key.join(", ")));
    }
    for key in own.unique.iter().filter(|key| key.len() > 1) {
        line(format!("unique ({})", key.join(", ")));
    }
    own.relationships.iter().for_each(|relationship| line(format!("embeds {}", embed(relationship))));
    if !own.full_text.is_empty() {
        line(format!("full text of {}", own.full_text.join(", ")));
    }
    if let Some(rows) = own.rows {
        line(format!("{rows} rows"));
    }
    own.examples.iter().flatten().for_each(|row| line(format!("example {row}")));
    if let Some(reason) = &own.unread {
        line(format!("rows not read: {reason}"));
    }
}

fn column(relation: &Relation, own: &Column) -> String {
    let is_key = |key: &Vec<String>| *key == [own.name.clone()];
    let mut words = vec![own.name.clone()];
    words.push(own.r#type.clone());
    let said = [
        (is_key(&relation.primary_key), "primary key"),
        (relation.unique.iter().any(is_key), "unique"),
        (own.not_null && !is_key(&relation.primary_key), "not null"),
        (own.generated, "generated"),
        (own.computed, "computed"),
        (own.masked, "masked"),
        (!own.writable && !own.generated && !own.computed && relation.operations.len() > 1, "read-only"),
    ];
    words.extend(said.into_iter().filter(|(is, _)| *is).map(|(_, word)| word.to_owned()));
    words.extend(own.default.as_ref().map(|default| format!("default {default}")));
    words.retain(|word| !word.is_empty());
    words.join(" ") + &self::said(own.comment.as_deref())
}

/// `albums, many-to-one by tracks_album_id_fkey (album_id = id)`
pub fn embed(own: &Relationship) -> String {
    let Relationship { name, target, cardinality, constraint, columns, junction, computed } = own;
    let to = if name == target { String::new() } else { format!(" to {target}") };
    let by = match junction {
        Some(junction) => format!(" through {junction}"),
        None if *computed => ", computed".to_owned(),
        None => {
            let columns: Vec<String> = columns.iter().map(|(from, to)| format!("{from} = {to}")).collect();
            format!(" by {constraint} ({})", columns.join(", "))
        }
    };
    format!("{name}{to}, {cardinality}{by}")
}

fn call(own: &Function) -> String {
    let parameters: Vec<String> = own.parameters.iter().map(parameter).collect();
    let writes = if own.readonly { "" } else { ", writes" };
    let comment = said(Some(&own.description));
    format!("function {}({}) returns {}{writes}{comment}", own.name, parameters.join(", "), own.returns)
}

/// `n integer = 10`
pub fn parameter(own: &Parameter) -> String {
    let declared = if own.r#type.is_empty() { String::new() } else { format!(" {}", own.r#type) };
    let default = own.default.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
    let variadic = if own.variadic { "…" } else { "" };
    format!("{}{declared}{variadic}{default}", own.name)
}
