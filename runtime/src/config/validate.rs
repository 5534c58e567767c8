//! What the types do not tell of a configuration: values out of range, names that mean nothing, keys that need others.

use super::{Config, DataRepresentation, Udf, without_userinfo};
use crate::function::{Returns, needs_nothing};
use crate::pre_request;
use crate::similar::closest;

/// One thing that is wrong.
pub(super) struct Mistake {
    /// The key that has it: `["udf", "2", "returns"]`. A part that is not in the file is passed over, with those behind it.
    pub(super) key: Vec<String>,
    /// A sentence that begins with the key or with what the key is of.
    pub(super) message: String,
}

impl Mistake {
    /// Of a sentence that begins with its key.
    pub(super) fn of(message: impl Into<String>) -> Mistake {
        let message = message.into();
        let is_key = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let key = message.split(|c| !is_key(c)).next().unwrap_or_default();
        let key = if key.contains('.') { key } else { "" };
        Mistake { key: key.split('.').map(str::to_owned).collect(), message }
    }

    /// Of the element of a list.
    pub(super) fn at(list: &str, place: usize, key: &str, message: String) -> Mistake {
        Mistake { key: vec![list.to_owned(), place.to_string(), key.to_owned()], message }
    }
}

impl Config {
    /// Everything that is wrong with it.
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let mut found = Vec::new();
        // Names that stand elsewhere are looked at when they are read.
        if !self.attaches_by_reference() {
            found.extend(self.check_databases().err().map(Mistake::of));
        }
        for (name, database) in &self.databases {
            let misplaced = database.misplaced();
            found.extend(misplaced.map(|(key, what)| Mistake::of(format!("databases.{name}.{key} {what}"))));
        }
        found.extend(self.value_mistakes());
        if self.middleware.request_timeout.0.is_zero() {
            let what = "middleware.request_timeout must be longer than 0: no request could be answered";
            found.push(Mistake::of(what));
        }
        found.extend(self.api_mistakes());
        found.extend(self.auth.iter().flat_map(|auth| auth.mistakes()).map(Mistake::of));
        for (place, own) in self.data_representation.iter().enumerate() {
            let DataRepresentation { table, column, read, write, .. } = own;
            if read.is_none() && write.is_none() {
                let what = "has neither read nor write, of which it needs one";
                let message = format!("data_representation of {table}.{column} {what}");
                found.push(Mistake::at("data_representation", place, "column", message));
            }
        }
        for (place, udf) in self.udf.iter().enumerate() {
            if udf.sql.is_empty() {
                let what = "it has no sql, and SQLite has no function of such a name or such parameters";
                found.push(Mistake::at("udf", place, "name", format!("function {}: {what}", udf.name)));
            }
            if Returns::parse(&udf.returns).is_none() {
                let list = "void, scalar T, setof T, row TABLE, table TABLE, record, setof record";
                let (name, returns) = (&udf.name, &udf.returns);
                let message = format!("function {name}: returns = \"{returns}\" is none of: {list}");
                found.push(Mistake::at("udf", place, "returns", message));
            }
        }
        found
    }

    fn api_mistakes(&self) -> Vec<Mistake> {
        let mut found = Vec::new();
        let api = &self.api;
        if !is_base_path(&api.base_path) {
            let what = "is no path: write \"/rest/v1\", or \"\" for the root";
            found.push(Mistake::of(format!("api.base_path = \"{}\" {what}", api.base_path)));
        }
        if !api.has_proxy_uri() {
            let what = "is no absolute URL: write \"https://api.example.com/v1\", or \"\" for none";
            let shown = without_userinfo(&api.proxy_uri);
            found.push(Mistake::of(format!("api.proxy_uri = \"{shown}\" {what}")));
        }
        let exposed = || self.udf.iter().filter(|udf| udf.expose);
        if !api.root.is_empty() && !exposed().any(|udf| udf.name == api.root) {
            let near = near(&api.root, exposed());
            let root = &api.root;
            found.push(Mistake::of(format!("api.root = \"{root}\" is none of the exposed functions{near}")));
        }
        if !api.pre_request.is_empty() {
            found.extend(self.pre_request_mistake());
        }
        found
    }

    /// What is wrong with `api.pre_request`, which must be a function of every database: no request goes without it.
    fn pre_request_mistake(&self) -> Option<Mistake> {
        let name = &self.api.pre_request;
        let wrong = |what: &str| Some(Mistake::of(format!("api.pre_request = \"{name}\": {what}")));
        if !self.udf.iter().any(|udf| udf.name == *name) {
            let near = near(name, self.udf.iter());
            return wrong(&format!("there is no such function{near}"));
        }
        for schema in self.schemas() {
            let own = self.of_database(schema);
            let mut named = own.udf.iter().filter(|udf| udf.name == *name).peekable();
            let Some(first) = named.peek().copied() else {
                let what = "is no function of it; write database = \"*\" in the function";
                return wrong(&format!("requests for [databases.{schema}] go by it, too, and it {what}"));
            };
            let udf = named.find(|udf| needs_nothing(udf)).unwrap_or(first);
            if let Some(what) = pre_request::misfit(udf) {
                return wrong(what);
            }
            if !udf.readonly && own.database().1.mode == super::Mode::ReadOnly {
                let what = "it writes (readonly = false), and no request may";
                return wrong(&format!("{what} where databases.{schema}.mode is readonly"));
            }
        }
        None
    }
}

/// `; perhaps NAME`
fn near<'u>(name: &str, udfs: impl Iterator<Item = &'u Udf>) -> String {
    closest(name, udfs.map(|udf| udf.name.clone()))
        .map(|near| format!("; perhaps {near}"))
        .unwrap_or_default()
}

/// Empty, or segments that each begin with a slash, of characters that stand in a URL as they are.
pub(super) fn is_base_path(path: &str) -> bool {
    let is_segment = |segment: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        !matches!(segment, "" | "." | "..") && segment.bytes().all(plain)
    };
    path.is_empty() || path.strip_prefix('/').is_some_and(|path| path.split('/').all(is_segment))
}
