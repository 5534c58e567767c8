//! The indexes that a plan could use, by what it filters, relates and sorts by. Whether one helps only the database can tell.

use crate::filter::{Comparison, Is};
use crate::order::Direction;
use crate::plan::{ColumnRef, Embed, Expr, FieldValue, OrderValue, Plan, Read, Returning, Source, SqlExpr};
use crate::policy::Rows;
use crate::schema::{Relation, RelationId, RelationKind, SchemaCache};
use crate::value::Value;

/// The most columns of an index that holds what rows are grouped by and what is made of them.
const MOST_GROUPED: usize = 4;

/// An index that could help.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    /// Its name.
    pub(super) name: String,
    /// The table.
    pub(super) table: String,
    /// Its columns, and whether each is from the last to the first.
    pub(super) columns: Vec<(String, bool)>,
    /// What it is for.
    pub(super) reason: String,
}

/// What one occurrence of a relation is asked by.
#[derive(Default)]
struct Asked {
    /// The places of columns that are compared with one value, or with those of other rows.
    equal: Vec<usize>,
    /// Those of them that relate it to other rows.
    related: bool,
    /// Those that are compared with a limit.
    range: Vec<usize>,
    /// Of conditions of which one must hold: a column of each.
    either: Vec<Vec<usize>>,
    /// What rows are grouped by and then what is made of them.
    grouped: Vec<usize>,
    /// What it is sorted by, and whether from the last to the first; empty where an index cannot give it.
    order: Vec<(usize, bool)>,
}

/// The indexes that could help, the one that helps most first; each once. Last those that help together alone.
pub(super) fn candidates(schema: &SchemaCache, plan: &Plan) -> Vec<Vec<Candidate>> {
    let mut found = Found { schema, candidates: Vec::new(), together: Vec::new() };
    match plan {
        Plan::Read { read, .. } => found.read(read, Vec::new()),
        Plan::Call { call, .. } => {
            // The rows are the function's; what is embedded into them is not.
            call.read.iter().for_each(|read| found.inside(read));
        }
        Plan::Insert(insert) => found.returned(&insert.returning),
        Plan::InsertTree(tree) => found.returned(&tree.returning),
        Plan::Update(update) => {
            for change in &update.changes {
                found.target(update.target, &change.conditions);
            }
            let changed = update.changes.iter().flat_map(|own| &own.assignments).map(|(place, _)| *place);
            let changed: Vec<usize> = changed.collect();
            found.references(update.target.relation, |place| changed.contains(&place));
            found.returned(&update.returning);
        }
        Plan::Delete(delete) => {
            found.target(delete.target, &delete.conditions);
            found.references(delete.target.relation, |_| true);
            found.returned(&delete.returning);
        }
        Plan::Options(_) => {}
    }
    found.candidates.into_iter().map(|one| vec![one]).chain(found.together).collect()
}

struct Found<'a> {
    schema: &'a SchemaCache,
    candidates: Vec<Candidate>,
    together: Vec<Vec<Candidate>>,
}

impl Found<'_> {
    /// An occurrence, `related` to another by these columns.
    fn read(&mut self, read: &Read, related: Vec<usize>) {
        let mut asked = Asked { related: !related.is_empty(), equal: related, ..Asked::default() };
        asked.conditions(read.source, &read.conditions);
        asked.order = order(read).unwrap_or_default();
        asked.grouped = grouped(read).unwrap_or_default();
        self.asked(read.source.relation, asked);
        self.inside(read);
    }

    /// What is embedded, in whatever part of a read.
    fn inside(&mut self, read: &Read) {
        for field in &read.fields {
            if let FieldValue::Embed(embed)
            | FieldValue::Lifted(embed)
            | FieldValue::LiftedAggregate { embed, .. } = &field.value
            {
                self.embed(embed);
            }
        }
        for term in &read.order {
            if let OrderValue::Embed(embed) = &term.value {
                self.embed(embed);
            }
        }
        self.exists(&read.conditions);
    }

    fn exists(&mut self, conditions: &[Expr]) {
        for condition in conditions {
            match condition {
                Expr::Exists(embed) => self.embed(embed),
                Expr::Not(inner) => self.exists(std::slice::from_ref(inner)),
                Expr::And(terms) | Expr::Or(terms) => self.exists(terms),
                _ => {}
            }
        }
    }

    fn embed(&mut self, embed: &Embed) {
        let of_other = embed.relationship.columns.iter().map(|(_, other)| *other).collect();
        match (&embed.relationship.junction, embed.junction) {
            (Some(junction), Some(source)) => {
                self.asked(source.relation, Asked { related: true, equal: of_other, ..Asked::default() });
                self.read(&embed.read, junction.columns.iter().map(|(_, other)| *other).collect());
            }
            _ => self.read(&embed.read, of_other),
        }
    }

    fn target(&mut self, target: Source, conditions: &[Expr]) {
        let mut asked = Asked::default();
        asked.conditions(target, conditions);
        self.asked(target.relation, asked);
        self.exists(conditions);
    }

    /// What the foreign keys of others go by that refer to rows which are deleted or whose key is changed.
    fn references(&mut self, id: RelationId, is_changed: impl Fn(usize) -> bool) {
        let schema = self.schema;
        for (other, key) in schema.referrers.get(id).into_iter().flatten() {
            let Some(relation) = schema.relations.get(*other) else { continue };
            let Some(key) = relation.foreign_keys.get(*key) else { continue };
            if relation.kind == RelationKind::Table && key.target_columns.iter().any(|own| is_changed(*own)) {
                self.add(*other, key.columns.iter().map(|place| (*place, false)).collect(), "refer");
            }
        }
    }

    fn returned(&mut self, returning: &Returning) {
        if let Returning::Rows(read) | Returning::Written(read) = returning {
            self.inside(read);
        }
    }

    /// The indexes of one occurrence.
    fn asked(&mut self, id: RelationId, mut asked: Asked) {
        let schema = self.schema;
        let Some(relation) = schema.relations.get(id) else { return };
        if relation.kind != RelationKind::Table {
            return;
        }
        if let Some(Rows::Where(condition)) = relation.access.as_ref().and_then(|own| own.select.as_ref()) {
            let row = Source { relation: id, alias: crate::plan::Alias::Row };
            asked.conditions(row, std::slice::from_ref(condition));
        }
        // Every index has the rowid at its end, and by it rows are found without one.
        let is_rowid = |place: &usize| relation.columns.get(*place).is_some_and(|own| own.is_rowid);
        asked.equal.retain(|place| !is_rowid(place));
        asked.range.retain(|place| !is_rowid(place));
        asked.either.iter_mut().for_each(|places| places.retain(|place| !is_rowid(place)));
        let order = sorted(relation, std::mem::take(&mut asked.order));
        let equal: Vec<(usize, bool)> = asked.equal.iter().map(|place| (*place, false)).collect();
        let purpose = if asked.related { "relate" } else { "filter" };
        let mut add = |columns: Vec<(usize, bool)>, purpose: &str| self.add(id, columns, purpose);
        let grouped: Vec<(usize, bool)> = asked.grouped.iter().map(|place| (*place, false)).collect();
        if !grouped.is_empty() && equal.len() + grouped.len() <= MOST_GROUPED {
            add([equal.clone(), grouped].concat(), "group");
        }
        if !order.is_empty() && !equal.is_empty() {
            add([equal.clone(), order.clone()].concat(), &format!("{purpose} and sort"));
        }
        if let Some(range) = asked.range.first().filter(|_| !equal.is_empty()) {
            add([equal.clone(), vec![(*range, false)]].concat(), "filter");
        }
        add(equal, purpose);
        add(order, "sort");
        for range in asked.range {
            add(vec![(range, false)], "filter");
        }
        for mut places in asked.either {
            places.sort_unstable();
            places.dedup();
            places.iter().for_each(|place| self.add(id, vec![(*place, false)], "filter"));
            let all = places.iter().map(|place| self.candidate(id, vec![(*place, false)], "either"));
            let all: Option<Vec<Candidate>> = all.collect();
            self.together.extend(all.filter(|all| all.len() > 1));
        }
    }

    fn add(&mut self, id: RelationId, columns: Vec<(usize, bool)>, purpose: &str) {
        let Some(candidate) = self.candidate(id, columns, purpose) else { return };
        let is_known = |own: &Candidate| own.table == candidate.table && own.columns == candidate.columns;
        if !self.candidates.iter().any(is_known) {
            self.candidates.push(candidate);
        }
    }

    /// An index of these columns; none of what is no column of a table.
    fn candidate(&self, id: RelationId, columns: Vec<(usize, bool)>, purpose: &str) -> Option<Candidate> {
        let relation = self.schema.relations.get(id)?;
        let mut named: Vec<(String, bool)> = Vec::new();
        for (place, descends) in columns {
            let column = relation.columns.get(place).filter(|own| own.computed.is_none())?;
            if !named.iter().any(|(name, _)| *name == column.name) {
                named.push((column.name.clone(), descends));
            }
        }
        // An index is read from either end.
        if named.iter().all(|(_, descends)| *descends) {
            named.iter_mut().for_each(|(_, descends)| *descends = false);
        }
        if named.is_empty() {
            return None;
        }
        let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        let (what, by) = match purpose {
            "relate" => ("An embed finds rows", "by"),
            "sort" => ("Rows", "are sorted by"),
            "filter" => ("A filter finds rows", "by"),
            "either" => ("One or the other of several filters finds rows", "by"),
            "group" => ("Rows", "are grouped by"),
            "refer" => ("A foreign key finds rows", "by"),
            _ => ("Rows", "are found and sorted by"),
        };
        Some(Candidate {
            name: format!("{}_{}_idx", relation.name, names.join("_")),
            table: relation.name.clone(),
            reason: format!(
                "{what} of {} {by} {}, for which there is no index",
                relation.name,
                names.join(", ")
            ),
            columns: named,
        })
    }
}

impl Asked {
    /// Conditions that all must hold.
    fn conditions(&mut self, source: Source, conditions: &[Expr]) {
        for condition in conditions {
            match condition {
                Expr::And(terms) => self.conditions(source, terms),
                Expr::Compare(comparison, a, b) => self.compare(source, *comparison, a, b),
                Expr::In(operand, _) | Expr::Is(Is::Null, operand) => {
                    self.equal.extend(bare(source, operand));
                }
                Expr::Sql(SqlExpr::In(operand, _) | SqlExpr::InQuery(operand, _)) => {
                    self.equal.extend(bare(source, operand));
                }
                // What begins with a letter lies between two texts.
                Expr::Glob(operand, Value::Text(pattern)) if !pattern.starts_with(['*', '?', '[']) => {
                    self.range.extend(bare(source, operand));
                }
                Expr::Or(terms) => self.either.extend(either(source, terms)),
                _ => {}
            }
        }
        self.equal.dedup();
    }

    fn compare(&mut self, source: Source, comparison: Comparison, a: &Expr, b: &Expr) {
        let place = match (bare(source, a), bare(source, b)) {
            (Some(place), None) | (None, Some(place)) => place,
            _ => return,
        };
        match comparison {
            Comparison::Eq => self.equal.push(place),
            Comparison::Neq => {}
            Comparison::Gt | Comparison::Gte | Comparison::Lt | Comparison::Lte => self.range.push(place),
        }
    }
}

/// The place of a column of an occurrence, where an expression is that and nothing made of it.
fn bare(source: Source, expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Column(value) if value.is_bare() && value.column.source == source => Some(value.column.column),
        _ => None,
    }
}

/// A column of each of these conditions, where each has one that rows can be found by.
fn either(source: Source, terms: &[Expr]) -> Option<Vec<usize>> {
    let column = |term: &Expr| {
        let mut asked = Asked::default();
        asked.conditions(source, std::slice::from_ref(term));
        asked.equal.first().or(asked.range.first()).copied()
    };
    terms.iter().map(column).collect()
}

/// What rows are grouped by and then what is made of them, where that is columns of theirs alone.
fn grouped(read: &Read) -> Option<Vec<usize>> {
    let (mut keys, mut made) = (Vec::new(), Vec::new());
    for field in &read.fields {
        match &field.value {
            FieldValue::Column(value) if value.is_bare() => keys.push(value.column.column),
            FieldValue::Column(value) if value.aggregate.is_some() && value.path.is_none() => {
                made.push(value.column.column);
            }
            FieldValue::CountRows(_) => {}
            _ => return None,
        }
    }
    (read.is_aggregated() && !keys.is_empty()).then(|| [keys, made].concat())
}

/// An order as far as an index must give it: nothing is left to sort behind the rowid, which every index has at its end.
fn sorted(relation: &Relation, mut order: Vec<(usize, bool)>) -> Vec<(usize, bool)> {
    let is_rowid = |place: usize| relation.columns.get(place).is_some_and(|own| own.is_rowid);
    let Some(at) = order.iter().position(|(place, _)| is_rowid(*place)) else { return order };
    order.truncate(at + 1);
    let last = order.last().copied();
    if order.iter().all(|(_, descends)| last.is_some_and(|(_, last)| *descends == last)) {
        order.pop();
    }
    order
}

/// What rows are sorted by, where that is columns of theirs alone. The rowid behind them every index has.
fn order(read: &Read) -> Option<Vec<(usize, bool)>> {
    let mut order = Vec::new();
    for term in &read.order {
        let descends = term.direction == Direction::Descending;
        match &term.value {
            OrderValue::Column(value) if value.is_bare() && value.column.source == read.source => {
                let ColumnRef { column, .. } = value.column;
                order.push((column, descends));
            }
            OrderValue::Rowid(_) => {}
            _ => return None,
        }
    }
    Some(order)
}
