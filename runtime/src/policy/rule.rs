//! `[policies]` and the policy file: rules as they are written, with the lines where they stand.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::config::{ConfigError, in_file, line_of, texts};

/// `[policies]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The file of the rules, relative to the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What holds for the operations on a relation that no permissive rule names.
    pub default_action: DefaultAction,
    /// Roles to which no rule applies.
    #[serde(deserialize_with = "texts")]
    pub bypass_roles: Vec<String>,
    /// The rules that stand in the configuration file, and behind them those of `file`.
    pub policy: Vec<Rule>,
}

/// What holds where no permissive rule says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultAction {
    /// It is refused.
    #[default]
    Deny,
    /// It is allowed.
    Allow,
}

/// `[[policy]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it says, in words. For messages and `sqlitrest explain`.
    pub name: String,
    /// Whose it is of several databases; `*` stands for any text. None: the default one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The table or view; `*` for every exposed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Several.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Those that are not meant by `*`.
    #[serde(default)]
    pub except: Vec<String>,
    /// What is done; empty: everything.
    #[serde(default)]
    pub operations: Vec<Operation>,
    /// By whom; empty: by everyone.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Whether one of these must hold, or all.
    #[serde(default)]
    pub kind: Kind,
    /// Which rows may be selected, updated or deleted; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub using: Option<String>,
    /// What must hold of rows inserted or updated; none: what `using` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// Of a view: whose rights it reads its tables with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Security>,
    /// Which columns.
    #[serde(default)]
    pub columns: ColumnRules,
    /// Where it stands.
    #[serde(skip)]
    pub place: Place,
}

/// What is done to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// GET, and what a write tells or filters by.
    Select,
    /// POST, PUT
    Insert,
    /// PATCH, PUT, and POST of rows that are there already.
    Update,
    /// DELETE
    Delete,
}

/// How rules of the same operation go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One of them must hold.
    #[default]
    Permissive,
    /// All of them must hold, beside one that is permissive.
    Restrictive,
}

/// Whose rights a view reads its tables with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// Those of who made it: all.
    Definer,
    /// Those of who asks: the rules for its tables hold inside it.
    Invoker,
}

/// `[policy.columns]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColumnRules {
    /// Those that there are; none: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible: Option<Vec<String>>,
    /// Those of them that there are not.
    pub hidden: Vec<String>,
    /// Those that may be written; none: the visible ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writable: Option<Vec<String>>,
    /// What is told instead of a column.
    pub masked: BTreeMap<String, String>,
}

/// Where a rule stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// The file.
    pub origin: String,
    /// Its line, from 1.
    pub line: usize,
    /// The lines of `using`, `check` and `masked.COLUMN`.
    pub keys: BTreeMap<String, usize>,
}

impl Place {
    /// `policies.toml:7`, of a key or of the whole rule.
    pub fn of(&self, key: &str) -> String {
        let line = self.keys.get(key).unwrap_or(&self.line);
        if *line == 0 { self.origin.clone() } else { format!("{}:{line}", self.origin) }
    }
}

impl Rule {
    /// Whether it is about an operation.
    pub fn is_for(&self, operation: Operation) -> bool {
        self.operations.is_empty() || self.operations.contains(&operation)
    }

    /// Whether it is about a relation.
    pub fn names(&self, relation: &str) -> bool {
        let is_named = |name: &String| name == relation;
        let all = self.table.as_deref() == Some("*") || self.tables.iter().any(|table| table == "*");
        (all || self.table.as_ref().is_some_and(is_named) || self.tables.iter().any(is_named))
            && !self.except.iter().any(is_named)
    }

    /// The relations that it names, `*` not among them.
    pub fn named(&self) -> impl Iterator<Item = &String> {
        self.table.iter().chain(&self.tables).filter(|name| *name != "*")
    }

    /// What of a rule makes no sense whatever the schema.
    pub(super) fn check(&self) -> Result<(), String> {
        let says = |what: &str| Err(format!("policy \"{}\": {what}", self.name));
        let writes = self.is_for(Operation::Insert) || self.is_for(Operation::Update);
        let reads = [Operation::Select, Operation::Update, Operation::Delete];
        if self.table.is_none() && self.tables.is_empty() {
            return says("it needs table or tables");
        }
        if self.check.is_some() && !writes {
            return says("check is about rows inserted or updated, and operations has neither");
        }
        if self.using.is_some() && !reads.into_iter().any(|operation| self.is_for(operation)) {
            return says("using is about rows that are there; what an insert may bring is a check");
        }
        Ok(())
    }
}

/// A policy file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    policy: Vec<Rule>,
}

/// Where the rules of a file stand.
#[derive(Deserialize)]
struct Places {
    #[serde(default)]
    policy: Vec<Spanned<RulePlaces>>,
    #[serde(default)]
    policies: Option<Box<Places>>,
}

#[derive(Deserialize)]
struct RulePlaces {
    using: Option<Spanned<IgnoredAny>>,
    check: Option<Spanned<IgnoredAny>>,
    columns: Option<ColumnPlaces>,
}

#[derive(Deserialize)]
struct ColumnPlaces {
    #[serde(default)]
    masked: BTreeMap<String, Spanned<IgnoredAny>>,
}

/// Reads a policy file; `origin` is its name in messages.
///
/// # Errors
/// With file, line and a suggestion.
pub fn read_file(origin: &str, text: &str) -> Result<Vec<Rule>, ConfigError> {
    let file: File = toml::from_str(text).map_err(|e| in_file(origin, text, &e))?;
    let mut rules = file.policy;
    settle(&mut rules, origin, text)?;
    Ok(rules)
}

/// Finds where rules stand in the text that they were read from, and checks what can be checked without a schema.
///
/// # Errors
/// With file and line.
pub fn settle(rules: &mut [Rule], origin: &str, text: &str) -> Result<(), ConfigError> {
    let places: Option<Places> = toml::from_str(text).ok();
    let places = places.map(|places| places.policies.map_or(places.policy, |inner| inner.policy));
    let places = places.unwrap_or_default();
    for (at, rule) in rules.iter_mut().enumerate() {
        rule.place.origin = origin.to_owned();
        if let Some(found) = places.get(at) {
            rule.place.line = line_of(text, found.span().start);
            let found = found.get_ref();
            let mut add = |key: &str, place: &Spanned<IgnoredAny>| {
                rule.place.keys.insert(key.to_owned(), line_of(text, place.span().start));
            };
            found.using.iter().for_each(|place| add("using", place));
            found.check.iter().for_each(|place| add("check", place));
            for (column, place) in found.columns.iter().flat_map(|columns| &columns.masked) {
                add(&format!("masked.{column}"), place);
            }
        }
        rule.check().map_err(|message| ConfigError(format!("{}: {message}", rule.place.of(""))))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let text = "# rules\n[[policy]]\nname = \"a\"\ntable = \"t\"\nusing = \"x = 1\"\n\n[[policy]]\nname = \"b\"\ntables = [\"t\", \"u\"]\n[policy.columns]\nmasked = { c = \"'*'\",\n  d = \"1\" }\n";
        let rules = read_file("p.toml", text).unwrap();
        assert_eq!(rules[0].place.of("using"), "p.toml:5");
        assert_eq!(rules[0].place.of("check"), "p.toml:2");
        assert_eq!(rules[1].place.of("masked.d"), "p.toml:12");
        assert!(rules[1].names("u") && !rules[1].names("v"));
    }

    #[test]
    fn mistakes() {
        let message = |text: &str| read_file("p.toml", text).unwrap_err().0;
        assert_eq!(message("[[policy]]\nname = \"a\"\n"), "p.toml:1: policy \"a\": it needs table or tables");
        assert!(message("[[policy]]\nname = \"a\"\ntabel = \"t\"\n").contains("unknown field `tabel`"));
        let check = "[[policy]]\nname = \"a\"\ntable = \"t\"\noperations = [\"select\"]\ncheck = \"1\"\n";
        assert!(message(check).contains("check is about"));
    }
}
