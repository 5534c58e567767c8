//! Resolves the names of a request against the schema: the second stage.

use super::{ColumnRef, Expr, Field, FieldValue, OrderBy, Plan, Read, Source};
use crate::api_request::{Action, ApiRequest};
use crate::config::Config;
use crate::error::Error;
use crate::filter::{Comparison, Condition, Connective, Filter, Test};
use crate::order::OrderTerm;
use crate::plan::literal;
use crate::preferences::Count;
use crate::query_params::QueryParams;
use crate::schema::{ColumnType, Relation, RelationId, SchemaCache};
use crate::select::{Embed as SelectEmbed, SelectItem};

/// Resolves a request.
///
/// # Errors
/// A name that the schema does not have, a literal that does not fit its column, a relationship that is missing or
/// ambiguous, a write that the relation does not take.
pub fn build(config: &Config, schema: &SchemaCache, request: &ApiRequest) -> Result<Plan, Error> {
    let (id, relation) = schema.relation(&request.relation).ok_or_else(|| Error::NoRelation {
        name: request.relation.clone(),
        near: schema.near(&request.relation),
    })?;
    let mut build = Build { schema, params: &request.params, max_rows: config.api.max_rows, aliases: 0 };
    match &request.action {
        Action::Read { .. } => {
            let mut read = build.root(id)?;
            if let Some(range) = request.range {
                intersect(&mut read, range.first, range.last);
            }
            build.cap(&mut read);
            Ok(Plan::Read { read, count: request.preferences.count == Some(Count::Exact) })
        }
        Action::Insert(payload) => build.insert(id, payload, request).map(Plan::Insert),
        Action::Update(payload) => build.update(id, payload, request).map(Plan::Update),
        Action::Delete => build.delete(id, request).map(Plan::Delete),
        Action::Options => Ok(Plan::Options(relation.writable)),
    }
}

/// What is known while a request is resolved.
pub(super) struct Build<'a> {
    pub(super) schema: &'a SchemaCache,
    pub(super) params: &'a QueryParams,
    max_rows: u64,
    aliases: usize,
}

/// The embeds around the one that is resolved: what each is called.
pub(super) type Stack<'s> = Vec<&'s SelectEmbed>;

impl<'a> Build<'a> {
    pub(super) fn source(&mut self, relation: RelationId) -> Source {
        self.aliases += 1;
        Source { relation, alias: Some(self.aliases - 1) }
    }

    pub(super) fn relation(&self, id: RelationId) -> Result<&'a Relation, Error> {
        self.schema
            .relations
            .get(id)
            .ok_or_else(|| Error::Internal(format!("no relation {id} in the schema cache")))
    }

    /// The read that the query string describes.
    pub(super) fn root(&mut self, id: RelationId) -> Result<Read, Error> {
        let star = [SelectItem::Star];
        let params = self.params;
        let select = params.select.as_deref().unwrap_or(&star);
        self.check_paths(select)?;
        self.read(id, select, &mut Vec::new())
    }

    /// The read of one relation as the parameters for `stack` describe it.
    pub(super) fn read<'s>(
        &mut self,
        id: RelationId,
        select: &'s [SelectItem],
        stack: &mut Stack<'s>,
    ) -> Result<Read, Error> {
        let source = self.source(id);
        self.read_from(source, select, stack)
    }

    /// As [`Build::read`], of an occurrence that there is already.
    pub(super) fn read_from<'s>(
        &mut self,
        source: Source,
        select: &'s [SelectItem],
        stack: &mut Stack<'s>,
    ) -> Result<Read, Error> {
        let relation = self.relation(source.relation)?;
        let params = self.params;
        let mut read = Read {
            source,
            fields: Vec::with_capacity(select.len()),
            conditions: Vec::new(),
            order: Vec::new(),
            limit: last(&params.limits, stack).copied(),
            offset: last(&params.offsets, stack).copied().unwrap_or(0),
        };
        for item in select {
            match item {
                SelectItem::Star => read.fields.extend(relation.columns.iter().enumerate().map(star_field)),
                SelectItem::Column { name, alias } => read.fields.push(Field {
                    name: alias.as_ref().unwrap_or(name).clone(),
                    value: FieldValue::Column(column(relation, name)?),
                }),
                SelectItem::Embed(embed) => self.embed(&mut read, embed, stack)?,
            }
        }
        for (_, condition) in params.filters.iter().filter(|(path, _)| is_for(path, stack)) {
            read.conditions.push(condition_expr(source, relation, condition)?);
        }
        if let Some(terms) = last(&params.order, stack) {
            read.order =
                terms.iter().map(|term| order_by(source, relation, term)).collect::<Result<_, _>>()?;
        }
        Ok(read)
    }

    /// Applies `api.max_rows` to a read and everything embedded in it.
    fn cap(&self, read: &mut Read) {
        if self.max_rows == 0 {
            return;
        }
        read.limit = Some(read.limit.unwrap_or(self.max_rows).min(self.max_rows));
        for field in &mut read.fields {
            if let FieldValue::Embed(embed) = &mut field.value {
                self.cap(&mut embed.read);
            }
        }
    }

    /// Every parameter must be for the relation itself or for an embed that `select` contains.
    fn check_paths(&self, select: &[SelectItem]) -> Result<(), Error> {
        let p = self.params;
        let paths = (p.filters.iter().map(|(path, _)| path))
            .chain(p.order.iter().map(|(path, _)| path))
            .chain(p.limits.iter().map(|(path, _)| path))
            .chain(p.offsets.iter().map(|(path, _)| path));
        for path in paths {
            let mut items = select;
            for name in path {
                items = items
                    .iter()
                    .find_map(|item| match item {
                        SelectItem::Embed(embed) if is_called(embed, name) => Some(embed.select.as_slice()),
                        _ => None,
                    })
                    .ok_or_else(|| Error::NotEmbedded(name.clone()))?;
            }
        }
        Ok(())
    }
}

/// Narrows a read to the rows from `first` to `last` of its own.
fn intersect(read: &mut Read, first: u64, last: Option<u64>) {
    let end = |offset: u64, limit: Option<u64>| limit.map(|limit| offset.saturating_add(limit));
    let header_end = last.map(|last| last.saturating_add(1));
    let query_end = end(read.offset, read.limit);
    read.offset = read.offset.max(first);
    read.limit = match (header_end, query_end) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
    .map(|end| end.saturating_sub(read.offset));
}

/// Whether a name in a path means this embed: its alias, or the target's own name.
fn is_called(embed: &SelectEmbed, name: &str) -> bool {
    embed.alias.as_deref() == Some(name) || embed.target == name
}

fn is_for(path: &[String], stack: &Stack<'_>) -> bool {
    path.len() == stack.len() && stack.iter().zip(path).all(|(embed, name)| is_called(embed, name))
}

fn last<'p, T>(list: &'p [(Vec<String>, T)], stack: &Stack<'_>) -> Option<&'p T> {
    list.iter().rev().find(|(path, _)| is_for(path, stack)).map(|(_, value)| value)
}

fn star_field((at, column): (usize, &crate::schema::Column)) -> Field {
    Field { name: column.name.clone(), value: FieldValue::Column(at) }
}

/// The place of a column that a read names.
pub(super) fn column(relation: &Relation, name: &str) -> Result<usize, Error> {
    relation.column(name).ok_or_else(|| Error::UndefinedColumn {
        column: name.to_owned(),
        relation: relation.name.clone(),
        near: relation.near_column(name),
    })
}

fn order_by(source: Source, relation: &Relation, term: &OrderTerm) -> Result<OrderBy, Error> {
    Ok(OrderBy {
        column: ColumnRef { source, column: column(relation, &term.column)? },
        direction: term.direction,
        nulls: term.nulls,
    })
}

fn condition_expr(source: Source, relation: &Relation, condition: &Condition) -> Result<Expr, Error> {
    match condition {
        Condition::Filter(filter) => filter_expr(source, relation, filter),
        Condition::Logic { negated, connective, terms } => {
            let terms = terms
                .iter()
                .map(|term| condition_expr(source, relation, term))
                .collect::<Result<Vec<_>, _>>()?;
            let expr = match connective {
                Connective::And => Expr::And(terms),
                Connective::Or => Expr::Or(terms),
            };
            Ok(negate(*negated, expr))
        }
    }
}

fn filter_expr(source: Source, relation: &Relation, filter: &Filter) -> Result<Expr, Error> {
    let place = column(relation, &filter.column)?;
    let column_type = relation.columns.get(place).map_or(ColumnType::Any, |c| c.column_type);
    let operand = || Box::new(Expr::Column(ColumnRef { source, column: place }));
    let expr = match &filter.test {
        Test::Compare(comparison, text) if column_type == ColumnType::Any => {
            compare_any(*comparison, operand, text)
        }
        Test::Compare(comparison, text) => {
            let value = literal::from_text(column_type, text)?;
            Expr::Compare(*comparison, operand(), Box::new(Expr::Value(value)))
        }
        Test::Like { pattern, ignore_case } => Expr::Glob(operand(), literal::glob(pattern, *ignore_case)?),
        Test::In(texts) => {
            let mut values = Vec::with_capacity(texts.len());
            for text in texts {
                if column_type == ColumnType::Any {
                    values.extend(literal::number(text));
                }
                values.push(literal::from_text(column_type, text)?);
            }
            Expr::In(operand(), values)
        }
        Test::Is(is) => Expr::Is(*is, operand()),
    };
    Ok(negate(filter.negated, expr))
}

/// A column without a declared type holds whatever was stored: a literal that looks like a number is compared with
/// numbers as a number and with text as text.
fn compare_any(comparison: Comparison, operand: impl Fn() -> Box<Expr>, text: &str) -> Expr {
    let compare = |value| Expr::Compare(comparison, operand(), Box::new(Expr::Value(value)));
    let as_text = compare(crate::value::Value::Text(text.to_owned()));
    match literal::number(text) {
        None => as_text,
        Some(number) => Expr::Or(vec![
            Expr::And(vec![Expr::IsText(operand()), as_text]),
            Expr::And(vec![Expr::Not(Box::new(Expr::IsText(operand()))), compare(number)]),
        ]),
    }
}

fn negate(negated: bool, expr: Expr) -> Expr {
    if negated { Expr::Not(Box::new(expr)) } else { expr }
}
