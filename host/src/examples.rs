//! Three requests that work on the database which is served, for whoever has just started it. Knows the schema and
//! nothing of its rows.

use std::sync::Arc;

use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::schema::{Relation, SchemaCache, read_schema};

use crate::listener::Listener;
use crate::pool::{Lane, Pool};

/// Three lines for a shell; fewer where the database has too little.
pub async fn curl_lines(pool: &Arc<Pool>, config: &Config, listener: &Listener) -> Vec<String> {
    let Ok(mut loan) = pool.take(Lane::Long).await else { return Vec::new() };
    let Ok(schema) = read_schema(&mut loan, config.database().1) else { return Vec::new() };
    let line = |target: String| listener.curl(&format!("{}{target}", config.api.base_path));
    targets(&schema).into_iter().map(line).collect()
}

/// A page, a page with what it refers to, and the end of the first column.
pub(crate) fn targets(schema: &SchemaCache) -> Vec<String> {
    let plain = |relation: &&Relation| is_plain(&relation.name) && schema.names.contains_key(&relation.name);
    let embed = schema.relations.iter().filter(plain).find_map(|relation| {
        let (id, _) = schema.relation(&relation.name)?;
        let target = relation.foreign_keys.iter().find_map(|key| {
            let target = schema.relations.get(key.target).filter(|t| is_plain(&t.name))?;
            (schema.relationships(id, &target.name, None).len() == 1).then_some(target)
        })?;
        Some((relation, target))
    });
    let Some(relation) = embed.map(|(relation, _)| relation).or_else(|| schema.relations.iter().find(plain))
    else {
        return Vec::new();
    };
    let path = encode(&relation.name);
    let mut targets = vec![format!("/{path}?limit=3")];
    targets.push(match embed {
        Some((_, target)) => format!("/{path}?select=*,{}(*)&limit=3", encode(&target.name)),
        None => format!("/{path}?limit=3&offset=3"),
    });
    if let Some(column) = relation.columns.iter().find(|c| is_plain(&c.name)) {
        let column = encode(&column.name);
        targets.push(format!("/{path}?select={column}&order={column}.desc&limit=3"));
    }
    targets
}

/// Whether a name needs no quotes in the grammar.
fn is_plain(name: &str) -> bool {
    !name.contains(|c: char| c.is_control() || ".,():!\"*'/".contains(c)) && !name.contains("->")
}

/// Percent-encodes what a URL or a shell would take for something else.
fn encode(name: &str) -> String {
    name.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => char::from(b).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}
