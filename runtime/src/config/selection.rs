//! Which of several databases a request is for, and what of a configuration is one database's.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::{Config, DatabaseFile};
use crate::error::Error;
use crate::http::Request;
use crate::schema::matches_pattern;
use crate::similar::closest;

/// The most databases that SQLite attaches to a connection (<https://www.sqlite.org/limits.html#max_attached>).
const MOST_ATTACHED: usize = 10;

/// What clients of PostgreSQL call the schema where they are not told otherwise: the default database.
const PUBLIC: &str = "public";

/// The name of the first `[databases.NAME]` in the text of a file: a table itself has no order.
pub(super) fn first(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Names {
        #[serde(default)]
        databases: BTreeMap<Spanned<String>, IgnoredAny>,
    }
    let names: Names = toml::from_str(text).ok()?;
    let first = names.databases.into_keys().min_by_key(|name| name.span().start)?;
    Some(first.into_inner())
}

/// The schema that a request names.
fn named<'r>(request: &Request<'r>) -> Option<&'r str> {
    let is_read = matches!(request.method, "GET" | "HEAD");
    request.header(if is_read { "accept-profile" } else { "content-profile" })
}

impl Error {
    /// For a request of which [`Config::database_of`] finds none.
    pub fn unknown_schema(config: &Config, request: &Request<'_>) -> Error {
        let name = named(request).unwrap_or_default().to_owned();
        Error::Schema { name, served: config.schemas().join(", ") }
    }
}

impl Config {
    /// The database that is served, or the one of several whose configuration this is, and its name, which is that of its schema.
    pub fn database(&self) -> (&str, &DatabaseFile) {
        static NONE: DatabaseFile = DatabaseFile::at(String::new());
        self.default_database().map_or(("main", &NONE), |(name, file)| (name.as_str(), file))
    }

    /// The one that is meant where a request names none: that whose configuration this is, `main`, or the first.
    fn default_database(&self) -> Option<(&String, &DatabaseFile)> {
        let selected = self.selected.as_ref().and_then(|name| self.databases.get_key_value(name));
        if selected.is_some() {
            return selected;
        }
        let first = || self.databases.get_key_value(self.first.as_ref()?);
        let any = || self.databases.first_key_value();
        self.databases.get_key_value("main").or_else(first).or_else(any)
    }

    /// The name of the database whose schema a request names (`Accept-Profile`, `Content-Profile`), by default the default one's.
    /// None where there is no such database.
    /// <https://docs.postgrest.org/en/stable/references/api/schemas.html>
    pub fn database_of(&self, request: &Request<'_>) -> Option<&str> {
        let named = named(request);
        let default = self.default_database().map_or("main", |(name, _)| name.as_str());
        match named {
            None => Some(default),
            Some(name) => match self.databases.get_key_value(name) {
                Some((name, _)) => Some(name),
                None => (name == PUBLIC || name == default).then_some(default),
            },
        }
    }

    /// The names of the schemas, the default one first.
    pub fn schemas(&self) -> Vec<&str> {
        let default = self.default_database().map_or("main", |(name, _)| name.as_str());
        let others = self.databases.keys().map(String::as_str).filter(|name| *name != default);
        std::iter::once(default).chain(others).collect()
    }

    /// The configuration of one of the databases: with what is of that one alone. It changes only where something of it changes.
    pub fn of_database(&self, name: &str) -> Config {
        let default = self.default_database().map_or("main", |(name, _)| name.as_str());
        let is_default = name == default;
        let is_of = |database: &Option<String>| match database {
            Some(pattern) => matches_pattern(pattern, name),
            None => is_default,
        };
        // `NAME.relation` is of the database NAME, if there is one of that name; any other key is a relation of the default one.
        let relation_of = |key: &str| -> Option<String> {
            let qualified = key.split_once('.').filter(|(of, _)| self.databases.contains_key(*of));
            match qualified {
                Some((of, relation)) => (of == name).then(|| relation.to_owned()),
                None => is_default.then(|| key.to_owned()),
            }
        };
        let mut config = self.clone();
        config.selected = Some(name.to_owned());
        config.first = None;
        // Of the others it knows those that it reads.
        let reads = self.databases.get(name).map(|file| file.attach.clone()).unwrap_or_default();
        config.databases.retain(|other, _| other == name || reads.contains(other));
        config.udf.retain(|own| is_of(&own.database));
        config.computed_column.retain(|own| is_of(&own.database));
        config.data_representation.retain(|own| is_of(&own.database));
        config.computed_relationship.retain(|own| is_of(&own.database));
        if let Some(policies) = &mut config.policies {
            policies.policy.retain(|own| is_of(&own.database));
        }
        let types = self.column_types.iter();
        config.column_types =
            types.filter_map(|(key, types)| Some((relation_of(key)?, types.clone()))).collect();
        let indexes = self.fts.iter();
        config.fts = indexes.filter_map(|(key, index)| Some((relation_of(key)?, index.clone()))).collect();
        for comments in [&mut config.comments.table, &mut config.comments.column] {
            let all = std::mem::take(comments).into_iter();
            *comments = all.filter_map(|(key, text)| Some((relation_of(&key)?, text))).collect();
        }
        if !config.udf.iter().any(|udf| udf.name == config.api.root) {
            config.api.root.clear();
        }
        config.asks_request = config.finds("request_value");
        config
    }

    /// Everything that says of which database it is, with its kind and name.
    fn belonging(&self) -> impl Iterator<Item = (&'static str, &str, &str)> {
        let rules = self.policies.iter().flat_map(|policies| &policies.policy);
        let rules = rules.map(|own| ("policy", &own.name, &own.database));
        let functions = self.udf.iter().map(|own| ("function", &own.name, &own.database));
        let columns = self.computed_column.iter().map(|own| ("computed_column", &own.name, &own.database));
        let representations = self.data_representation.iter();
        let representations = representations.map(|own| ("data_representation", &own.column, &own.database));
        let relationships = self.computed_relationship.iter();
        let relationships = relationships.map(|own| ("computed_relationship", &own.name, &own.database));
        let all = rules.chain(functions).chain(columns).chain(representations).chain(relationships);
        all.filter_map(|(kind, name, database)| Some((kind, name.as_str(), database.as_deref()?)))
    }

    /// A sentence for each thing that belongs to a database which is not there, but may come ([`Attach`](super::Attach)).
    pub fn awaited_databases(&self) -> Vec<String> {
        let is_awaited = |database: &str| !database.contains('*') && !self.databases.contains_key(database);
        let awaited = self.belonging().filter(|(_, _, database)| {
            is_awaited(database) && !(self.databases.is_empty() && *database == "main")
        });
        let told = awaited.map(|(kind, name, database)| {
            let near = closest(database, self.databases.keys().cloned());
            let near = near.map(|near| format!(", or is it {near}?")).unwrap_or_default();
            format!(
                "{kind} {name}: database = \"{database}\" counts for nothing until one of that name is attached{near}"
            )
        });
        told.collect()
    }

    /// That every database that is named is there. One of a pattern may come later.
    pub(super) fn check_databases(&self) -> Result<(), String> {
        let names = || self.databases.keys().cloned();
        let near =
            |name: &str| closest(name, names()).map(|near| format!("; perhaps {near}")).unwrap_or_default();
        for (name, file) in &self.databases {
            if name == "temp" || (name == "main" && self.databases.len() > 1 && self.is_attached("main")) {
                return Err(format!(
                    "databases.{name}: SQLite means something else by this name; choose another"
                ));
            }
            if file.attach.len() > MOST_ATTACHED {
                return Err(format!(
                    "databases.{name}.attach names more than {MOST_ATTACHED}, which SQLite allows"
                ));
            }
            for other in &file.attach {
                if other == name {
                    return Err(format!("databases.{name}.attach names the database itself"));
                }
                if !self.databases.contains_key(other) {
                    let near = near(other);
                    return Err(format!("databases.{name}.attach: there is no [databases.{other}]{near}"));
                }
                if self.databases.get(other).is_some_and(DatabaseFile::is_on_server) {
                    let what = "which is on a server: SQLite attaches files";
                    return Err(format!("databases.{name}.attach names {other}, {what}"));
                }
            }
        }
        for (kind, name, database) in self.belonging() {
            // Others may come while the server runs.
            let is_there = database.contains('*')
                || !self.attach.paths.is_empty()
                || self.databases.contains_key(database)
                || (self.databases.is_empty() && database == "main");
            if !is_there {
                let near = near(database);
                return Err(format!(
                    "{kind} {name}: database = \"{database}\", but there is no [databases.{database}]{near}"
                ));
            }
        }
        Ok(())
    }

    fn is_attached(&self, name: &str) -> bool {
        self.databases.values().any(|file| file.attach.iter().any(|other| other == name))
    }
}
