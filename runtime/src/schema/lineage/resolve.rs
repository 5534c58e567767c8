//! Finds what the columns of a [`Query`] show, by the rules by which SQLite finds a column of a name.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::Origin;
use super::parse::view_query;
use super::query::{Cte, Equal, Item, Join, Query, Rows, Select, Source};
use crate::schema::{RelationId, RelationKind, SchemaCache};

/// How deep queries and views may lie in each other.
pub(super) const MAX_DEPTH: usize = 60;

/// How many columns a query may have, and the tables of one FROM together (SQLite allows 2,000 in a result).
const MAX_COLUMNS: usize = 8_000;

/// How many columns are looked at for one view: so much that no honest view needs it, so little that none is felt.
const MAX_WORK: usize = 1 << 19;

/// A column that a query gives.
#[derive(Clone, Debug)]
struct Shown {
    name: Rc<str>,
    origin: Option<Origin>,
}

/// Looks for origins, and remembers those of views.
pub(super) struct Resolver<'a> {
    schema: &'a SchemaCache,
    /// The names of relations in lower case.
    names: HashMap<String, RelationId>,
    texts: HashMap<RelationId, &'a str>,
    /// What is known of views; of one that is being looked at, nothing.
    views: HashMap<RelationId, Rc<[Option<Origin>]>>,
    /// What is left of [`MAX_WORK`].
    work: usize,
}

/// The tables of WITH around a query.
struct With<'a> {
    outer: Option<&'a With<'a>>,
    ctes: &'a [Cte],
    found: RefCell<Vec<Found>>,
}

/// What is known of a table of WITH.
#[derive(Clone, Debug)]
enum Found {
    NotYet,
    /// Nothing, or not while it is being looked at.
    Nothing,
    Columns(Rc<[Shown]>),
}

impl<'a> Resolver<'a> {
    pub(super) fn new(schema: &'a SchemaCache, view_sql: &'a [(RelationId, String)]) -> Self {
        let relations = schema.relations.iter().enumerate().filter(|(_, r)| !r.columns.is_empty());
        Resolver {
            schema,
            names: relations.map(|(id, r)| (r.name.to_ascii_lowercase(), id)).collect(),
            texts: view_sql.iter().map(|(id, sql)| (*id, sql.as_str())).collect(),
            views: HashMap::new(),
            work: MAX_WORK,
        }
    }

    /// The origins of a view's columns, one for each.
    pub(super) fn view(&mut self, id: RelationId, depth: usize) -> Rc<[Option<Origin>]> {
        if let Some(known) = self.views.get(&id) {
            return Rc::clone(known);
        }
        let count = self.schema.relations.get(id).map_or(0, |relation| relation.columns.len());
        self.views.insert(id, vec![None; count].into());
        let query = self.texts.get(&id).and_then(|sql| view_query(sql));
        let work = std::mem::replace(&mut self.work, MAX_WORK);
        let columns = query.and_then(|query| self.query(&query, None, None, depth));
        self.work = work;
        // Where the counts differ, one of the two has been misunderstood.
        if let Some(columns) = columns.filter(|columns| columns.len() == count) {
            self.views.insert(id, columns.iter().map(|column| column.origin).collect());
        }
        self.views.get(&id).map_or_else(|| Rc::from([]), Rc::clone)
    }

    /// The columns of a query. `own` is the table of WITH which it defines.
    fn query(
        &mut self,
        query: &Query,
        outer: Option<&With<'_>>,
        own: Option<(&With<'_>, usize)>,
        depth: usize,
    ) -> Option<Vec<Shown>> {
        let depth = depth.checked_sub(1)?;
        let found = RefCell::new(vec![Found::NotYet; query.ctes.len()]);
        let with = With { outer, ctes: &query.ctes, found };
        let (first, others) = query.selects.split_first()?;
        let mut columns = self.select(first, &with, depth)?;
        if let Some((with, at)) = own {
            with.rename(at, &mut columns)?;
            // What a recursive part says of its own table is not followed, but its other columns are.
            let bare = columns.iter().map(|c| Shown { name: Rc::clone(&c.name), origin: None });
            with.learn(at, Found::Columns(bare.collect()));
        }
        for select in others {
            let branch = self.select(select, &with, depth)?;
            if branch.len() != columns.len() {
                return None;
            }
            for (column, other) in columns.iter_mut().zip(branch) {
                column.origin = column.origin.filter(|origin| other.origin == Some(*origin));
            }
        }
        Some(columns)
    }

    fn select(&mut self, select: &Select, with: &With<'_>, depth: usize) -> Option<Vec<Shown>> {
        let scope = self.scope(&select.sources, with, depth)?;
        let mut columns = Vec::with_capacity(select.items.len());
        for item in &select.items {
            self.spend(scope.columns.len())?;
            match item {
                Item::All => scope.all(&mut columns)?,
                Item::AllOf(table) => scope.all_of(table, &mut columns)?,
                Item::Column { table, column, name } => {
                    let origin = scope.find(table.as_deref(), column);
                    columns.push(Shown { name: Rc::from(name.as_str()), origin });
                }
                Item::Expression { name } => {
                    columns.push(Shown { name: Rc::from(name.as_str()), origin: None });
                }
            }
            (columns.len() <= MAX_COLUMNS).then_some(())?;
        }
        Some(columns)
    }

    /// What stands behind FROM, joined from left to right.
    fn scope(&mut self, sources: &[Source], with: &With<'_>, depth: usize) -> Option<Scope> {
        let mut scope = Scope::default();
        for source in sources {
            let right = self.source(source, with, depth)?;
            self.spend(right.columns.len())?;
            if source.equal != Equal::None {
                self.spend(scope.columns.len().saturating_mul(right.columns.len()))?;
            }
            scope.join(right, source);
            (scope.columns.len() <= MAX_COLUMNS).then_some(())?;
        }
        Some(scope)
    }

    fn source(&mut self, source: &Source, with: &With<'_>, depth: usize) -> Option<Scope> {
        let alias: Rc<str> = Rc::from(source.alias.as_deref().unwrap_or_default());
        match &source.rows {
            Rows::Of(name) => Some(match self.cte(name, with, depth) {
                Some(Found::Columns(columns)) => Scope::of(&alias, columns.iter().cloned()),
                Some(_) => Scope::unknown(alias),
                None => self.relation(name, alias, depth),
            }),
            Rows::Query(query) => self
                .query(query, Some(with), None, depth)
                .map(|columns| Scope::of(&alias, columns.into_iter())),
            Rows::Joined(sources) => {
                let inner = self.scope(sources, with, depth.checked_sub(1)?)?;
                Some(if source.alias.is_some() { inner.renamed(&alias) } else { inner })
            }
            Rows::Unknown => Some(Scope::unknown(alias)),
        }
    }

    /// The columns of a table of WITH, where there is one of this name.
    fn cte(&mut self, name: &str, with: &With<'_>, depth: usize) -> Option<Found> {
        let mut around = Some(with);
        while let Some(with) = around {
            if let Some(at) = with.ctes.iter().position(|cte| cte.name == name) {
                if let Some(known) = with.known(at) {
                    return Some(known);
                }
                with.learn(at, Found::Nothing);
                let columns = with
                    .ctes
                    .get(at)
                    .and_then(|cte| self.query(&cte.query, Some(with), Some((with, at)), depth));
                let found = columns.map_or(Found::Nothing, |columns| Found::Columns(columns.into()));
                with.learn(at, found.clone());
                return Some(found);
            }
            around = with.outer;
        }
        None
    }

    fn relation(&mut self, name: &str, alias: Rc<str>, depth: usize) -> Scope {
        let schema = self.schema;
        let Some((id, relation)) =
            self.names.get(name).and_then(|id| Some((*id, schema.relations.get(*id)?)))
        else {
            return Scope::unknown(alias);
        };
        let view = match (relation.kind, depth.checked_sub(1)) {
            (RelationKind::View, None) => return Scope::unknown(alias),
            (RelationKind::View, Some(depth)) => Some(self.view(id, depth)),
            _ => None,
        };
        let columns = relation.columns.iter().enumerate().map(|(column, described)| Shown {
            name: Rc::from(described.name.to_ascii_lowercase()),
            origin: match &view {
                Some(origins) => origins.get(column).copied().flatten(),
                None => Some(Origin { relation: id, column }),
            },
        });
        let mut scope = Scope::of(&alias, columns);
        if let Some(column) = relation.columns.iter().position(|column| column.is_rowid) {
            scope.rowids.push((alias, Origin { relation: id, column }));
        }
        scope
    }

    fn spend(&mut self, work: usize) -> Option<()> {
        self.work = self.work.checked_sub(work)?;
        Some(())
    }
}

impl With<'_> {
    fn known(&self, at: usize) -> Option<Found> {
        self.found.borrow().get(at).filter(|found| !matches!(found, Found::NotYet)).cloned()
    }

    fn learn(&self, at: usize, what: Found) {
        if let Some(found) = self.found.borrow_mut().get_mut(at) {
            *found = what;
        }
    }

    /// Gives columns the names that stand behind the table's.
    fn rename(&self, at: usize, columns: &mut [Shown]) -> Option<()> {
        let names = &self.ctes.get(at)?.columns;
        if names.is_empty() {
            return Some(());
        }
        (names.len() == columns.len()).then_some(())?;
        for (column, name) in columns.iter_mut().zip(names) {
            column.name = Rc::from(name.as_str());
        }
        Some(())
    }
}

/// What the expressions of a SELECT can name.
#[derive(Default)]
struct Scope {
    columns: Vec<Named>,
    /// The names of the tables.
    tables: Vec<Rc<str>>,
    /// Tables whose rowid is one of their columns.
    rowids: Vec<(Rc<str>, Origin)>,
    /// Tables whose columns are not known.
    unknown: Vec<Rc<str>>,
}

/// A column of a FROM.
struct Named {
    table: Rc<str>,
    name: Rc<str>,
    /// What it shows under its table's name.
    origin: Option<Origin>,
    /// What it shows under its bare name: for the columns of USING, that may be the right table's.
    bare: Option<Origin>,
    /// Whether it is one with a column to its left, which alone the bare name and `*` mean.
    merged: bool,
}

impl Scope {
    fn of(table: &Rc<str>, columns: impl Iterator<Item = Shown>) -> Self {
        let columns = columns.map(|Shown { name, origin }| Named {
            table: Rc::clone(table),
            name,
            origin,
            bare: origin,
            merged: false,
        });
        Scope { columns: columns.collect(), tables: vec![Rc::clone(table)], ..Scope::default() }
    }

    fn unknown(table: Rc<str>) -> Self {
        Scope { unknown: vec![table], ..Scope::default() }
    }

    /// The tables in parentheses under one name. SQLite finds a table inside by its own name first.
    fn renamed(self, table: &Rc<str>) -> Self {
        if !self.unknown.is_empty() || self.tables.contains(table) {
            return Scope::unknown(Rc::clone(table));
        }
        let columns = self.columns.into_iter().filter(|c| !c.merged);
        Scope::of(table, columns.map(|c| Shown { name: c.name, origin: c.bare }))
    }

    fn join(&mut self, mut right: Scope, source: &Source) {
        // Two tables may have one name; which of them is meant is not worth knowing.
        for table in right.tables.iter().filter(|table| self.tables.contains(table)) {
            let columns = self.columns.iter_mut().chain(&mut right.columns);
            columns.filter(|c| c.table == *table).for_each(|c| c.origin = None);
        }
        let is_known = self.unknown.is_empty() && right.unknown.is_empty();
        for column in &mut right.columns {
            let is_meant = match &source.equal {
                Equal::None => false,
                Equal::Natural => true,
                Equal::Using(names) => names.iter().any(|name| **name == *column.name),
            };
            if column.merged || !is_meant {
                continue;
            }
            match self.columns.iter_mut().find(|c| !c.merged && c.name == column.name) {
                Some(left) => {
                    left.bare = match source.join {
                        Join::Left => left.bare,
                        Join::Right => column.bare,
                        Join::Neither => left.bare.filter(|origin| column.bare == Some(*origin)),
                    };
                    column.merged = true;
                }
                None if !is_known => column.bare = None,
                None => {}
            }
        }
        self.columns.append(&mut right.columns);
        self.tables.append(&mut right.tables);
        self.rowids.append(&mut right.rowids);
        self.unknown.append(&mut right.unknown);
    }

    fn all(&self, into: &mut Vec<Shown>) -> Option<()> {
        self.unknown.is_empty().then_some(())?;
        let columns = self.columns.iter().filter(|c| !c.merged);
        into.extend(columns.map(|c| Shown { name: Rc::clone(&c.name), origin: c.bare }));
        Some(())
    }

    fn all_of(&self, table: &str, into: &mut Vec<Shown>) -> Option<()> {
        (!self.unknown.iter().any(|unknown| **unknown == *table)).then_some(())?;
        let columns = self.columns.iter().filter(|c| *c.table == *table);
        into.extend(columns.map(|c| Shown { name: Rc::clone(&c.name), origin: c.origin }));
        Some(())
    }

    fn find(&self, table: Option<&str>, name: &str) -> Option<Origin> {
        let found = match table {
            Some(table) => {
                self.columns.iter().find(|c| *c.table == *table && *c.name == *name).map(|c| c.origin)
            }
            None => self.columns.iter().find(|c| !c.merged && *c.name == *name).map(|c| c.bare),
        };
        found.unwrap_or_else(|| self.rowid(table, name))
    }

    fn rowid(&self, table: Option<&str>, name: &str) -> Option<Origin> {
        ["rowid", "oid", "_rowid_"].contains(&name).then_some(())?;
        let mut rowids = self.rowids.iter().filter(|(of, _)| table.is_none_or(|table| *table == **of));
        rowids.next().filter(|_| rowids.next().is_none()).map(|(_, origin)| *origin)
    }
}
