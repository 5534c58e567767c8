//! Policies: which rows and columns of each relation a role may see and write.
//!
//! [`rule`] is how they are written, `expression` makes their text the expressions that filters become, and [`access`] puts
//! together what holds for one role. [`SchemaCache::for_role`] is the schema as that role knows it: what it may not see is not
//! there for the build stage, and what it may see carries its [`Access`] to the compile stage.

pub mod access;
mod expression;
mod functions;
pub mod rule;
mod subquery;
mod syntax;
#[cfg(test)]
mod tests;
mod token;

pub use access::{Access, Grants, Rows, Told};
pub use rule::{DefaultAction, Kind, Operation, Rule, Security, Settings, read_file, settle};

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::Config;
use crate::schema::{RelationId, RelationKind, SchemaCache, is_write, names_in, view_query};

/// A rule that does not fit the schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Misfit {
    /// File and line.
    pub place: String,
    /// What is wrong, in a sentence.
    pub message: String,
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Every rule against the schema: what does not fit would refuse the relation to everyone.
pub fn check(config: &Config, schema: &SchemaCache) -> Vec<Misfit> {
    let Some(settings) = &config.policies else { return Vec::new() };
    let mut misfits = Vec::new();
    for rule in &settings.policy {
        for name in rule.named().filter(|name| !schema.names.contains_key(*name)) {
            let near = schema.near(name).map(|near| format!("; perhaps {near}")).unwrap_or_default();
            let message = format!("policy \"{}\": there is no exposed table or view {name}{near}", rule.name);
            misfits.push(Misfit { place: rule.place.of(""), message });
        }
        for name in rule.except.iter().filter(|name| !schema.names.contains_key(*name)) {
            let near = schema.near(name).map(|near| format!("; perhaps {near}")).unwrap_or_default();
            let message =
                format!("policy \"{}\": except: there is no exposed table or view {name}{near}", rule.name);
            misfits.push(Misfit { place: rule.place.of(""), message });
        }
        for (id, relation) in schema.exposed() {
            if !rule.names(&relation.name) {
                continue;
            }
            if rule.security == Some(Security::Invoker)
                && schema.definitions.get(&id).and_then(|sql| view_query(sql)).is_some_and(names_schema)
            {
                let what = "its query names tables with their schema, so that no rule can hold inside it";
                let message = format!("policy \"{}\", {}: {what}", rule.name, relation.name);
                misfits.push(Misfit { place: rule.place.of(""), message });
            }
            if let Err(wrong) = access::compiled(schema, id, rule) {
                let message = format!("policy \"{}\", {}: {}", rule.name, relation.name, wrong.message);
                misfits.push(Misfit { place: rule.place.of(&wrong.key), message });
            }
            if rule.security.is_some() && relation.kind != RelationKind::View && !rule.names("*") {
                let what = "security is about views, and this is a table";
                let message = format!("policy \"{}\", {}: {what}", rule.name, relation.name);
                misfits.push(Misfit { place: rule.place.of(""), message });
            }
        }
    }
    let functions = config.udf.iter().filter(|udf| udf.security == Security::Invoker && !is_write(&udf.sql));
    let functions = functions.map(|udf| ("function", &udf.name, &udf.sql));
    let columns = config.computed_column.iter().map(|own| ("computed column", &own.name, &own.sql));
    let relationships =
        config.computed_relationship.iter().map(|own| ("computed relationship", &own.name, &own.sql));
    let attached = &config.database().1.attach;
    for (kind, name, sql) in functions.chain(columns).chain(relationships) {
        let reads_attached = reads_attached(sql, attached, schema);
        if names_schema(sql) || reads_attached {
            let what = match reads_attached {
                true => "reads an attached database, so that no rule can hold inside it",
                false => "names tables with their schema, so that no rule can hold inside it",
            };
            misfits.push(Misfit { place: "[policies]".to_owned(), message: format!("{kind} {name} {what}") });
        }
    }
    misfits.dedup();
    misfits
}

/// Whether SQL names a table with its schema.
pub(crate) fn names_schema(sql: &str) -> bool {
    names_in(sql).any(|name| name.is_qualified_by("main") || name.is_qualified_by("temp"))
}

/// Whether SQL may read an attached database: it names one, or a table that only one of them has.
fn reads_attached(sql: &str, attached: &[String], schema: &SchemaCache) -> bool {
    names_in(sql).any(|name| {
        attached.iter().any(|other| name.is_qualified_by(&other.to_ascii_lowercase()))
            || schema.attached.iter().any(|table| name.is(table))
    })
}

impl SchemaCache {
    /// The exposed relations.
    pub fn exposed(&self) -> impl Iterator<Item = (RelationId, &crate::schema::Relation)> {
        let relations = self.relations.iter().enumerate();
        relations.filter(|(id, relation)| self.names.get(&relation.name) == Some(id))
    }

    /// The schema as a role knows it. Kept, because most requests come from few roles.
    pub fn for_role(self: &Arc<Self>, config: &Config, role: Option<&str>) -> Arc<SchemaCache> {
        let Some(settings) = &config.policies else { return Arc::clone(self) };
        if let Some(known) = self.views.get(role) {
            return known;
        }
        let roles = config.roles_of(role);
        let view = match settings.bypass_roles.iter().any(|bypass| roles.contains(bypass)) {
            true => Arc::clone(self),
            false => Arc::new(view(settings, self, &roles)),
        };
        // What bypasses is this schema itself, which would keep itself alive.
        if !Arc::ptr_eq(&view, self) {
            self.views.put(role, &view);
        }
        view
    }
}

fn view(settings: &Settings, schema: &SchemaCache, roles: &BTreeSet<String>) -> SchemaCache {
    let mut view = schema.clone();
    for (id, _) in schema.exposed() {
        let access = Access::of(settings, schema, id, roles);
        if let Some(own) = view.relations.get_mut(id) {
            narrow(own, &access);
            own.access = Some(Arc::new(access));
        }
    }
    hide_keys(&mut view);
    view.is_narrowed = true;
    view.restricted = view
        .exposed()
        .filter(|(_, relation)| relation.access.as_ref().is_some_and(|access| !access.sees_all()))
        .map(|(id, relation)| (relation.name.to_ascii_lowercase(), id))
        .collect();
    view
}

/// What a role knows of a relation.
fn narrow(relation: &mut crate::schema::Relation, access: &Access) {
    let is_denied = access.select.is_none();
    for (place, column) in relation.columns.iter_mut().enumerate() {
        column.hidden = is_denied || matches!(access.told.get(place), Some(Told::Hidden));
        column.masked = matches!(access.told.get(place), Some(Told::As(_)));
        column.writable = access.insert.takes(place) || access.update.takes(place);
        if column.masked {
            // A mask may be anything.
            (column.not_null, column.is_rowid) = (false, false);
        }
    }
    if let Some(index) = &mut relation.full_text {
        // The index holds what stands behind a mask.
        let columns = &relation.columns;
        index.columns.retain(|name| {
            columns.iter().any(|column| column.name == *name && !column.hidden && !column.masked)
        });
    }
    if access.invoker {
        // What is written through a view is written with all rights.
        relation.writable = crate::schema::Writable::default();
    }
}

/// Whether a column is not told as it is.
pub fn is_withheld(relation: &crate::schema::Relation, place: usize) -> bool {
    relation.columns.get(place).is_none_or(|column| column.hidden || column.masked)
}

/// Relationships over columns that a role does not see are not there for it. Those of a relation that is refused are, so that
/// who embeds it is told that it is refused.
fn hide_keys(view: &mut SchemaCache) {
    let hidden: Vec<Vec<bool>> = view
        .relations
        .iter()
        .map(|relation| {
            let is_refused = relation.access.as_ref().is_some_and(|access| access.select.is_none());
            relation.columns.iter().map(|column| column.hidden && !is_refused).collect()
        })
        .collect();
    let is_hidden = |relation: RelationId, place: &usize| {
        hidden.get(relation).and_then(|columns| columns.get(*place)).copied().unwrap_or(true)
    };
    for (id, relation) in view.relations.iter_mut().enumerate() {
        for key in &mut relation.foreign_keys {
            key.hidden = key.columns.iter().any(|place| is_hidden(id, place))
                || key.target_columns.iter().any(|place| is_hidden(key.target, place));
        }
        let columns = &relation.columns;
        relation.computed.retain(|computed| {
            !columns.iter().any(|column| column.hidden && names_column(&computed.sql, &column.name))
        });
    }
}

/// Whether a query names this column of its `{row}`.
fn names_column(sql: &str, column: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    sql.split("{row}").skip(1).any(|after| {
        let after = after.trim_start().strip_prefix('.').unwrap_or_default().trim_start();
        let after = after.trim_start_matches(['"', '`', '[']);
        let (name, rest) = after.split_at_checked(column.len()).unwrap_or_default();
        name.eq_ignore_ascii_case(column) && !rest.starts_with(is_word)
    })
}
