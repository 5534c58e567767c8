//! What one role may do with one relation: the rules that are for it, put together.

use std::collections::BTreeSet;

use super::expression::expression;
use super::rule::{DefaultAction, Kind, Operation, Rule, Security, Settings};
use crate::plan::{Alias, ColumnRef, ColumnValue, Expr, Source, SqlExpr};
use crate::schema::{Relation, RelationId, RelationKind, SchemaCache};
use crate::similar::closest;

/// What a role may do with a relation. Expressions are about the row [`Alias::Row`].
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// The rows that may be seen; none: the relation is refused.
    pub select: Option<Rows>,
    /// What is told of each column.
    pub told: Vec<Told>,
    /// What may be inserted.
    pub insert: Grants,
    /// What may be updated, beside being seen.
    pub update: Grants,
    /// The rows that may be deleted, beside being seen.
    pub delete: Option<Rows>,
    /// Whether the rules for the tables inside a view hold, too.
    pub invoker: bool,
    /// The rules that took part, by their places in [`Settings::policy`].
    pub rules: Vec<usize>,
    /// Why the rules cannot be kept, for the log. Everything is refused then.
    pub broken: Option<String>,
}

/// Some rows of a relation.
#[derive(Clone, Debug, PartialEq)]
pub enum Rows {
    /// All.
    All,
    /// Those of which this is true.
    Where(Expr),
}

/// What is told of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// What is stored.
    Plain,
    /// Nothing: there is no such column.
    Hidden,
    /// This.
    As(Expr),
}

/// Which rows and columns may be written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grants {
    /// One of these must cover a write.
    permissive: Vec<Grant>,
    /// And all of these.
    restrictive: Vec<Grant>,
}

#[derive(Clone, Debug, PartialEq)]
struct Grant {
    /// By the places of columns.
    writable: Vec<bool>,
    using: Rows,
    check: Rows,
}

/// What a write of some columns is held to.
#[derive(Clone, Debug, PartialEq)]
pub struct Permit {
    /// The rows that may be written.
    pub using: Rows,
    /// What must hold of them afterwards.
    pub check: Rows,
}

/// What does not fit the schema.
pub(super) struct Wrong {
    /// `using`, `check`, `masked.COLUMN` or nothing.
    pub(super) key: String,
    pub(super) message: String,
}

/// A rule as it is about one relation.
pub(super) struct Compiled {
    using: Rows,
    /// None: what `using` says.
    check: Option<Rows>,
    visible: Vec<bool>,
    writable: Vec<bool>,
    masks: Vec<Option<Expr>>,
}

impl Rows {
    /// Those of any.
    fn any(all: impl IntoIterator<Item = Rows>) -> Rows {
        let mut terms = Vec::new();
        for rows in all {
            match rows {
                Rows::All => return Rows::All,
                Rows::Where(expr) => terms.push(expr),
            }
        }
        Rows::Where(if let [one] = terms.as_slice() { one.clone() } else { Expr::Or(terms) })
    }

    /// Those of all.
    pub fn all(all: impl IntoIterator<Item = Rows>) -> Rows {
        let mut terms = Vec::new();
        for rows in all {
            if let Rows::Where(expr) = rows {
                terms.push(expr);
            }
        }
        match terms.as_slice() {
            [] => Rows::All,
            [one] => Rows::Where(one.clone()),
            _ => Rows::Where(Expr::And(terms)),
        }
    }

    /// The condition, if there is one.
    pub fn condition(&self) -> Option<&Expr> {
        match self {
            Rows::All => None,
            Rows::Where(expr) => Some(expr),
        }
    }
}

impl Grants {
    /// Whether anything may be written.
    pub fn is_any(&self) -> bool {
        !self.permissive.is_empty()
    }

    /// Whether a column may be.
    pub fn takes(&self, place: usize) -> bool {
        let takes = |grant: &Grant| grant.writable.get(place).copied().unwrap_or(false);
        self.permissive.iter().any(takes) && self.restrictive.iter().all(takes)
    }

    /// What a write of these columns is held to: a rule counts for it that lets all of them be written.
    pub fn permit(&self, columns: &[usize]) -> Option<Permit> {
        let covers =
            |grant: &&Grant| columns.iter().all(|place| grant.writable.get(*place).copied().unwrap_or(false));
        if !self.restrictive.iter().all(|grant| covers(&grant)) {
            return None;
        }
        let grants: Vec<&Grant> = self.permissive.iter().filter(covers).collect();
        if grants.is_empty() {
            return None;
        }
        let rows = |of: fn(&Grant) -> &Rows| {
            let any = Rows::any(grants.iter().map(|grant| of(grant).clone()));
            Rows::all(std::iter::once(any).chain(self.restrictive.iter().map(|grant| of(grant).clone())))
        };
        Some(Permit { using: rows(|grant| &grant.using), check: rows(|grant| &grant.check) })
    }
}

impl Access {
    /// What these roles may do with a relation.
    pub(super) fn of(
        settings: &Settings,
        schema: &SchemaCache,
        id: RelationId,
        roles: &BTreeSet<String>,
    ) -> Access {
        Access::put_together(settings, schema, id, roles).unwrap_or_else(|wrong| Access {
            select: None,
            told: Vec::new(),
            insert: Grants::default(),
            update: Grants::default(),
            delete: None,
            invoker: false,
            rules: Vec::new(),
            broken: Some(wrong),
        })
    }

    fn put_together(
        settings: &Settings,
        schema: &SchemaCache,
        id: RelationId,
        roles: &BTreeSet<String>,
    ) -> Result<Access, String> {
        let relation = schema.relations.get(id).ok_or("no such relation")?;
        let about: Vec<(usize, &Rule)> =
            settings.policy.iter().enumerate().filter(|(_, rule)| rule.names(&relation.name)).collect();
        let mut rules = Vec::new();
        let mut own: Vec<(&Rule, Compiled)> = Vec::new();
        for (at, rule) in &about {
            if !rule.roles.is_empty() && !rule.roles.iter().any(|role| roles.contains(role)) {
                continue;
            }
            let compiled = compiled(schema, id, rule).map_err(|wrong| {
                let place = rule.place.of(&wrong.key);
                format!("{place}: policy \"{}\", {}: {}", rule.name, relation.name, wrong.message)
            })?;
            rules.push(*at);
            own.push((rule, compiled));
        }
        let together = |operation: Operation| Together::of(settings, relation, &about, &own, operation);
        let (select, told) = together(Operation::Select).seen(relation, id);
        let delete = together(Operation::Delete);
        let delete = delete.is_granted().then(|| delete.rows());
        Ok(Access {
            select,
            told,
            insert: together(Operation::Insert).grants(relation),
            update: together(Operation::Update).grants(relation),
            delete,
            invoker: relation.kind == RelationKind::View
                && about.iter().any(|(_, rule)| rule.security == Some(Security::Invoker)),
            rules,
            broken: None,
        })
    }

    /// Whether every row and column may be seen as it is stored.
    pub fn sees_all(&self) -> bool {
        self.select == Some(Rows::All) && self.told.iter().all(|told| *told == Told::Plain) && !self.invoker
    }
}

/// The rules for one operation.
struct Together<'c> {
    permissive: Vec<&'c Compiled>,
    restrictive: Vec<&'c Compiled>,
    /// Whether no rule is needed.
    is_open: bool,
}

impl<'c> Together<'c> {
    fn of(
        settings: &Settings,
        relation: &Relation,
        about: &[(usize, &Rule)],
        own: &'c [(&Rule, Compiled)],
        operation: Operation,
    ) -> Together<'c> {
        let of_kind = |kind: Kind| {
            own.iter()
                .filter(|(rule, _)| rule.kind == kind && rule.is_for(operation))
                .map(|(_, c)| c)
                .collect()
        };
        debug_assert!(about.iter().all(|(_, rule)| rule.names(&relation.name)));
        let is_named = about.iter().any(|(_, rule)| rule.kind == Kind::Permissive && rule.is_for(operation));
        Together {
            permissive: of_kind(Kind::Permissive),
            restrictive: of_kind(Kind::Restrictive),
            is_open: !is_named && settings.default_action == DefaultAction::Allow,
        }
    }

    fn is_granted(&self) -> bool {
        self.is_open || !self.permissive.is_empty()
    }

    fn rows(&self) -> Rows {
        let any = match self.is_open {
            true => Rows::All,
            false => Rows::any(self.permissive.iter().map(|rule| rule.using.clone())),
        };
        Rows::all(std::iter::once(any).chain(self.restrictive.iter().map(|rule| rule.using.clone())))
    }

    fn seen(&self, relation: &Relation, id: RelationId) -> (Option<Rows>, Vec<Told>) {
        let columns = 0..relation.columns.len();
        if !self.is_granted() {
            // The relation is refused as a whole, so that its columns need not be hidden.
            return (None, columns.map(|_| Told::Plain).collect());
        }
        let told = columns.map(|place| self.told(ColumnRef { source: row(id), column: place })).collect();
        (Some(self.rows()), told)
    }

    /// What is told of a column: of each row what the rules say that show the row.
    fn told(&self, column: ColumnRef) -> Told {
        let shows = |rule: &&&Compiled| rule.visible.get(column.column).copied().unwrap_or(false);
        let mask = |rule: &Compiled| rule.masks.get(column.column).cloned().flatten();
        if !self.restrictive.iter().all(|rule| shows(&rule)) {
            return Told::Hidden;
        }
        let own = || Expr::Column(ColumnValue::whole(column));
        // A restrictive mask is made of what the others tell.
        let over = |told: Told| {
            let masks = self.restrictive.iter().filter_map(|rule| mask(rule));
            masks.fold(told, |told, mask| match told {
                Told::Hidden => Told::Hidden,
                Told::Plain => Told::As(mask),
                Told::As(value) => Told::As(mask.with(column, &value)),
            })
        };
        if self.is_open {
            return over(Told::Plain);
        }
        let showing: Vec<&&Compiled> = self.permissive.iter().filter(shows).collect();
        if showing.is_empty() {
            return Told::Hidden;
        }
        let plain = showing.iter().filter(|rule| mask(rule).is_none()).map(|rule| rule.using.clone());
        let mut cases = Vec::new();
        if showing.iter().any(|rule| mask(rule).is_none()) {
            cases.push((Rows::any(plain), own()));
        }
        cases.extend(showing.iter().filter_map(|rule| Some((rule.using.clone(), mask(rule)?))));
        // A row that is seen is seen by one of the rules, so that the last of all needs no condition.
        let covers = showing.len() == self.permissive.len();
        let value = one_of(cases, covers);
        let told = if value == own() { Told::Plain } else { Told::As(value) };
        match over(told.clone()) {
            Told::As(mask) if !covers && told != Told::As(mask.clone()) => {
                // A cell that no rule shows stays NULL, whatever a mask makes of that.
                let rows = Rows::any(showing.iter().map(|rule| rule.using.clone()));
                Told::As(one_of(vec![(rows, mask)], false))
            }
            told => told,
        }
    }

    fn grants(&self, relation: &Relation) -> Grants {
        let grant = |rule: &&Compiled| Grant {
            writable: rule.writable.clone(),
            using: rule.using.clone(),
            check: rule.check.clone().unwrap_or_else(|| rule.using.clone()),
        };
        let all = Grant { writable: vec![true; relation.columns.len()], using: Rows::All, check: Rows::All };
        Grants {
            permissive: match self.is_open {
                true => vec![all],
                false => self.permissive.iter().map(grant).collect(),
            },
            restrictive: self.restrictive.iter().map(grant).collect(),
        }
    }
}

/// The row that rules are about.
fn row(relation: RelationId) -> Source {
    Source { relation, alias: Alias::Row }
}

/// The value of the first of these that a row is among; with `covers` it is among one of them, and else NULL.
fn one_of(cases: Vec<(Rows, Expr)>, covers: bool) -> Expr {
    let mut branches = Vec::new();
    let last = cases.len().saturating_sub(1);
    let mut otherwise = None;
    for (at, (rows, value)) in cases.into_iter().enumerate() {
        match rows {
            Rows::Where(condition) if !(covers && at == last) => branches.push((condition, value)),
            _ => {
                otherwise = Some(Box::new(value));
                break;
            }
        }
    }
    match otherwise {
        Some(value) if branches.is_empty() => *value,
        otherwise => Expr::Sql(SqlExpr::Case { operand: None, branches, otherwise }),
    }
}

/// A rule about a relation.
pub(super) fn compiled(schema: &SchemaCache, id: RelationId, rule: &Rule) -> Result<Compiled, Wrong> {
    let wrong = |key: &str, message: String| Wrong { key: key.to_owned(), message };
    let relation = schema.relations.get(id).ok_or_else(|| wrong("", "no such relation".to_owned()))?;
    let read = |key: &str, text: &str| {
        expression(schema, id, text).map_err(|message| wrong(key, format!("{key}: {message}")))
    };
    let rows = |key: &str, text: &Option<String>| {
        text.as_ref().map(|text| read(key, text).map(Rows::Where)).transpose()
    };
    let place = |key: &str, name: &str| {
        relation.column(name).ok_or_else(|| {
            let near = closest(name, relation.columns.iter().map(|column| column.name.clone()));
            let near = near.map(|near| format!("; perhaps {near}")).unwrap_or_default();
            wrong("", format!("columns.{key}: there is no column {name}{near}"))
        })
    };
    let places = |key: &str, names: &[String]| {
        let mut among = vec![false; relation.columns.len()];
        for name in names {
            let place = place(key, name)?;
            among.iter_mut().skip(place).take(1).for_each(|is| *is = true);
        }
        Ok(among)
    };
    let columns = &rule.columns;
    let mut visible = match &columns.visible {
        Some(names) => places("visible", names)?,
        None => vec![true; relation.columns.len()],
    };
    for (is, hidden) in visible.iter_mut().zip(places("hidden", &columns.hidden)?) {
        *is &= !hidden;
    }
    let writable = match &columns.writable {
        Some(names) => places("writable", names)?,
        None => visible.clone(),
    };
    let mut masks = vec![None; relation.columns.len()];
    for (name, text) in &columns.masked {
        let at = place("masked", name)?;
        let mask = read(&format!("masked.{name}"), text)?;
        if let Some(slot) = masks.get_mut(at) {
            *slot = Some(mask);
        }
    }
    let (using, check) = (rows("using", &rule.using)?, rows("check", &rule.check)?);
    Ok(Compiled { using: using.unwrap_or(Rows::All), check, visible, writable, masks })
}
