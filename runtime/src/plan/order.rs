//! What the rows of a read are sorted by: columns, aggregates of groups, the rank of full text.

use super::build::{Build, Level};
use super::value::field_value;
use super::{ColumnRef, ColumnValue, Embed, Expr, FieldValue, OrderValue, Read};
use crate::error::Error;
use crate::full_text::Found;
use crate::order::{OrderFunction, OrderTerm};
use crate::select::Aggregate;

impl<'a> Build<'a> {
    /// What the rows of a read are sorted by, of their own.
    pub(super) fn order_value(
        &self,
        level: &Level<'a, '_>,
        term: &OrderTerm,
        read: &Read,
    ) -> Result<OrderValue, Error> {
        if term.field.name.is_empty() {
            self.allowed(Aggregate::Count)?;
            grouped(read, read.is_aggregated(), "count()")?;
            return Ok(OrderValue::CountRows);
        }
        let value = field_value(level.source, level.relation, &term.field)?;
        let name = &term.field.name;
        match term.function {
            Some(OrderFunction::Rank) => {
                grouped(read, !read.is_aggregated() && !read.distinct, name)?;
                rank(&read.conditions, value.column).ok_or_else(|| {
                    let what = format!("An order by the rank of '{name}' without one full-text filter on it");
                    Error::NotImplemented(what)
                })
            }
            Some(OrderFunction::Aggregate(aggregate)) => {
                let aggregate = Some(self.allowed(aggregate)?);
                grouped(read, read.is_aggregated(), name)?;
                Ok(OrderValue::Column(ColumnValue { aggregate, ..value }))
            }
            None => {
                let is_told = read.fields.iter().any(|field| match &field.value {
                    FieldValue::Column(told) => {
                        let is_made = told.aggregate.is_some() || told.cast.is_some();
                        !is_made && told.column == value.column && told.path == value.path
                    }
                    _ => false,
                });
                grouped(read, is_told || !read.is_aggregated() && !read.distinct, name)?;
                Ok(OrderValue::Column(value))
            }
        }
    }
}

/// A value of single rows has no place among groups of them, nor an aggregate among single rows.
pub(super) fn grouped(read: &Read, fits: bool, name: &str) -> Result<(), Error> {
    if fits {
        return Ok(());
    }
    if read.distinct {
        return Err(Error::DistinctOrder);
    }
    Err(if read.is_aggregated() {
        Error::NotGrouped(name.to_owned())
    } else {
        Error::NoGroups(name.to_owned())
    })
}

/// Whether the column of an embed by which rows are sorted is told of each of them (`...`).
pub(super) fn is_spread(read: &Read, order: &OrderValue) -> bool {
    let OrderValue::Embed(sorted) = order else { return false };
    let column = |embed: &Embed| match embed.read.fields.first().map(|field| &field.value) {
        Some(FieldValue::Column(value)) if value.aggregate.is_none() && value.cast.is_none() => {
            Some((embed.relationship.clone(), value.column.column, value.path.clone()))
        }
        _ => None,
    };
    let wanted = column(sorted);
    wanted.is_some()
        && read.fields.iter().any(|field| match &field.value {
            FieldValue::Lifted(embed) => column(embed) == wanted,
            _ => false,
        })
}

/// The full-text filter on a column, where there is just one.
fn rank(conditions: &[Expr], of: ColumnRef) -> Option<OrderValue> {
    fn collect(conditions: &[Expr], of: ColumnRef, found: &mut Vec<OrderValue>) {
        for condition in conditions {
            match condition {
                Expr::FullText { column, index, found: Found::Matching(expression) }
                    if column.column == of =>
                {
                    let (index, expression) = (index.clone(), expression.clone());
                    found.push(OrderValue::Rank { column: of, index, expression });
                }
                Expr::And(terms) | Expr::Or(terms) => collect(terms, of, found),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    collect(conditions, of, &mut found);
    let one = found.pop()?;
    found.is_empty().then_some(one)
}
