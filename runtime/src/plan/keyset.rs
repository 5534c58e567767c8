//! Pages that begin behind a place in the order (`after=`).

use super::build::Build;
use super::value::whole_column;
use super::{ColumnValue, Expr, OrderBy, OrderValue, Read};
use crate::error::Error;
use crate::filter::{Comparison, Is};
use crate::order::{Direction, Nulls};
use crate::value::Value;

impl Build<'_> {
    /// Makes the order of a read one in which no two rows are equal, and begins it behind `after`, where there is one.
    pub(super) fn begin_after(&self, read: &mut Read, links: bool) -> Result<(), Error> {
        if !links && self.params.after.is_none() {
            return Ok(());
        }
        if read.is_aggregated() || read.distinct {
            return Err(Error::NotImplemented("A page by key of groups or distinct rows".to_owned()));
        }
        let relation = self.relation(read.source.relation)?;
        for place in &relation.primary_key {
            let value = whole_column(read.source, *place);
            if !read.order.iter().any(|term| term.value == OrderValue::Column(value.clone())) {
                let value = OrderValue::Column(value);
                read.order.push(OrderBy { value, direction: Direction::Ascending, nulls: Nulls::Last });
            }
        }
        if read.order.is_empty() {
            let what =
                format!("A page by key of '{}', which has no primary key, without an order", relation.name);
            return Err(Error::NotImplemented(what));
        }
        let terms =
            read.order.iter().map(|term| Ok((key(&term.value)?, term))).collect::<Result<Vec<_>, Error>>()?;
        let Some(values) = &self.params.after else { return Ok(()) };
        if values.len() != terms.len() {
            return Err(Error::After { given: values.len(), wanted: terms.len() });
        }
        let mut equal: Vec<Expr> = Vec::new();
        let mut any = Vec::with_capacity(terms.len());
        for ((key, term), value) in terms.iter().zip(values) {
            let mut all = equal.clone();
            all.push(behind(key, term, value));
            any.push(Expr::And(all));
            equal.push(match value {
                Value::Null => Expr::Is(Is::Null, Box::new(key.clone())),
                _ => compare(Comparison::Eq, key, value),
            });
        }
        // An index can find the first page row by this; by the rest it could not.
        if let (Some((key, term)), Some(value)) = (terms.first(), values.first())
            && let OrderValue::Column(ColumnValue { column, path: None, .. }) = &term.value
            && relation.columns.get(column.column).is_some_and(|c| c.not_null || c.is_rowid)
        {
            let not_before = match term.direction {
                Direction::Ascending => Comparison::Gte,
                Direction::Descending => Comparison::Lte,
            };
            read.conditions.push(compare(not_before, key, value));
        }
        read.conditions.push(Expr::Or(any));
        Ok(())
    }
}

/// What a term of the order sorts by, as an expression.
fn key(value: &OrderValue) -> Result<Expr, Error> {
    match value {
        OrderValue::Column(value) => Ok(match &value.path {
            Some(path) if !path.as_text => Expr::JsonScalar(value.clone()),
            _ => Expr::Column(value.clone()),
        }),
        OrderValue::CountRows | OrderValue::Embed(_) | OrderValue::Rank { .. } => {
            Err(Error::NotImplemented("A page by key in an order by more than columns".to_owned()))
        }
    }
}

/// Whether a key comes behind a value.
fn behind(key: &Expr, term: &OrderBy, value: &Value) -> Expr {
    if *value == Value::Null {
        return match term.nulls {
            Nulls::First => Expr::Is(Is::NotNull, Box::new(key.clone())),
            Nulls::Last => Expr::Or(Vec::new()),
        };
    }
    let comparison = match term.direction {
        Direction::Ascending => Comparison::Gt,
        Direction::Descending => Comparison::Lt,
    };
    let mut any = vec![compare(comparison, key, value)];
    if term.nulls == Nulls::Last {
        any.push(Expr::Is(Is::Null, Box::new(key.clone())));
    }
    Expr::Or(any)
}

fn compare(comparison: Comparison, key: &Expr, value: &Value) -> Expr {
    Expr::Compare(comparison, Box::new(key.clone()), Box::new(Expr::Value(value.clone())))
}
