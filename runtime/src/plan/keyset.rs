//! Pages that begin behind a place in the order (`after=`).

use super::build::Build;
use super::value::whole_column;
use super::{ColumnValue, Expr, OrderBy, OrderValue, Read};
use crate::error::Error;
use crate::filter::{Comparison, Is};
use crate::order::{Direction, Nulls};
use crate::schema::Relation;
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
        let mut terms = Vec::with_capacity(read.order.len());
        for term in &read.order {
            terms.push(Term { key: key(&term.value)?, term, never_null: never_null(relation, &term.value) });
        }
        let Some(values) = &self.params.after else { return Ok(()) };
        if values.len() != terms.len() {
            return Err(Error::After { given: values.len(), wanted: terms.len() });
        }
        let mut equal: Vec<Expr> = Vec::new();
        let mut any = Vec::with_capacity(terms.len());
        for (term, value) in terms.iter().zip(values) {
            let mut all = equal.clone();
            all.push(term.behind(value));
            any.push(Expr::And(all));
            equal.push(match value {
                Value::Null => Expr::Is(Is::Null, Box::new(term.key.clone())),
                _ => term.compare(Comparison::Eq, value),
            });
        }
        // An index can find the first row of the page by this; by the rest it could not.
        if let ([first, _, ..], Some(value)) = (terms.as_slice(), values.first())
            && first.never_null
        {
            let not_before = match first.term.direction {
                Direction::Ascending => Comparison::Gte,
                Direction::Descending => Comparison::Lte,
            };
            let not_before = first.compare(not_before, value);
            read.conditions.push(not_before);
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

/// A term of the order.
struct Term<'t> {
    key: Expr,
    term: &'t OrderBy,
    never_null: bool,
}

impl Term<'_> {
    /// Whether the key comes behind a value.
    fn behind(&self, value: &Value) -> Expr {
        if *value == Value::Null {
            return match self.term.nulls {
                Nulls::First => Expr::Is(Is::NotNull, Box::new(self.key.clone())),
                Nulls::Last => Expr::Or(Vec::new()),
            };
        }
        let comparison = match self.term.direction {
            Direction::Ascending => Comparison::Gt,
            Direction::Descending => Comparison::Lt,
        };
        let behind = self.compare(comparison, value);
        if self.term.nulls == Nulls::First || self.never_null {
            return behind;
        }
        Expr::Or(vec![behind, Expr::Is(Is::Null, Box::new(self.key.clone()))])
    }

    fn compare(&self, comparison: Comparison, value: &Value) -> Expr {
        Expr::Compare(comparison, Box::new(self.key.clone()), Box::new(Expr::Value(value.clone())))
    }
}

fn never_null(relation: &Relation, value: &OrderValue) -> bool {
    match value {
        OrderValue::Column(ColumnValue { column, path: None, .. }) => {
            relation.columns.get(column.column).is_some_and(|column| column.not_null || column.is_rowid)
        }
        _ => false,
    }
}
