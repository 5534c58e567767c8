//! Pages that begin behind a place in the order (`after=`).

use super::build::Build;
use super::literal;
use super::value::whole_column;
use super::{ColumnValue, Expr, OrderBy, OrderValue, Read};
use crate::error::Error;
use crate::filter::{Comparison, Is};
use crate::keyset::Place;
use crate::order::{Direction, Nulls};
use crate::schema::{ColumnType, Relation, RowKey};
use crate::value::Value;

/// How many terms the order of such pages may have: the conditions lie in each other.
const MAX_TERMS: usize = 32;

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
        complete(read, relation)?;
        if read.order.len() > MAX_TERMS {
            return Err(Error::TooComplex(format!("the order of pages by key may have {MAX_TERMS} terms")));
        }
        let mut terms = Vec::with_capacity(read.order.len());
        for term in &read.order {
            terms.push(Term::of(relation, term)?);
        }
        let Some(places) = &self.params.after else { return Ok(()) };
        if places.len() != terms.len() {
            return Err(Error::After { given: places.len(), wanted: terms.len() });
        }
        let values: Vec<Value> = terms.iter().zip(places).map(|(term, place)| term.value(place)).collect();
        // From the last term to the first: behind by this one, or equal by it and behind by those after it.
        let mut behind = Expr::Or(Vec::new());
        for (term, value) in terms.iter().zip(&values).rev() {
            behind = Expr::Or(vec![term.behind(value), Expr::And(vec![term.equal(value), behind])]);
        }
        // An index can find the first row of the page by this; by the rest it could not.
        if let ([first, _, ..], [value, ..]) = (terms.as_slice(), values.as_slice())
            && first.never_null
        {
            let not_before = match first.term.direction {
                Direction::Ascending => Comparison::Gte,
                Direction::Descending => Comparison::Lte,
            };
            let not_before = first.compare(not_before, value);
            read.conditions.push(not_before);
        }
        read.conditions.push(behind);
        Ok(())
    }
}

/// Takes repeated columns out of an order, and adds what makes it one in which no two rows are equal: a key that is sure, or
/// the rowid.
fn complete(read: &mut Read, relation: &Relation) -> Result<(), Error> {
    let mut order: Vec<OrderBy> = Vec::with_capacity(read.order.len());
    for term in read.order.drain(..) {
        if !order.iter().any(|known| known.value == term.value) {
            order.push(term);
        }
    }
    if relation.columns.iter().enumerate().any(|(place, column)| {
        let is_key = relation.primary_key.contains(&place);
        is_key && (column.hidden || column.masked)
    }) {
        let what = format!("A page by key of '{}', whose key is not told", relation.name);
        return Err(Error::NotImplemented(what));
    }
    let key: Vec<OrderValue> = match relation.row_key {
        _ if relation.key_is_sure => {
            let column = |place: &usize| OrderValue::Column(whole_column(read.source, *place));
            relation.primary_key.iter().map(column).collect()
        }
        RowKey::Rowid(_) => vec![OrderValue::Rowid(read.source)],
        RowKey::PrimaryKey | RowKey::None => {
            let what =
                format!("A page by key of '{}', of which no key is known to name one row", relation.name);
            return Err(Error::NotImplemented(what));
        }
    };
    for value in key {
        if !order.iter().any(|known| known.value == value) {
            order.push(OrderBy { value, direction: Direction::Ascending, nulls: Nulls::Last });
        }
    }
    read.order = order;
    Ok(())
}

/// A term of the order.
struct Term<'t> {
    key: Expr,
    term: &'t OrderBy,
    literal_type: ColumnType,
    never_null: bool,
}

impl<'t> Term<'t> {
    fn of(relation: &Relation, term: &'t OrderBy) -> Result<Self, Error> {
        let (key, literal_type, never_null) = match &term.value {
            OrderValue::Rowid(source) => (Expr::Rowid(*source), ColumnType::Integer, true),
            OrderValue::Column(value) => {
                let key = match &value.path {
                    Some(path) if !path.as_text => Expr::JsonScalar(value.clone()),
                    _ => Expr::Column(value.clone()),
                };
                (key, value.literal_type(relation), never_null(relation, value))
            }
            OrderValue::CountRows | OrderValue::Embed(_) | OrderValue::Rank { .. } => {
                let what = "A page by key in an order by more than columns".to_owned();
                return Err(Error::NotImplemented(what));
            }
        };
        Ok(Term { key, term, literal_type, never_null })
    }

    /// A value as the column would read it. SQLite stores any value in almost any column, so what does not fit is no mistake.
    fn value(&self, place: &Place) -> Value {
        match place {
            Place::Value(value) => value.clone(),
            // What is called TEXT may be a number all the same, in a view.
            Place::Bare(text) => match self.literal_type {
                ColumnType::Text
                | ColumnType::Any
                | ColumnType::Other
                | ColumnType::Time
                | ColumnType::Json
                | ColumnType::Blob => None,
                literal_type => literal::from_text(literal_type, text).ok(),
            }
            .or_else(|| literal::number(text))
            .unwrap_or_else(|| Value::Text(text.clone())),
        }
    }

    fn equal(&self, value: &Value) -> Expr {
        match value {
            Value::Null => Expr::Is(Is::Null, Box::new(self.key.clone())),
            _ => self.compare(Comparison::Eq, value),
        }
    }

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

fn never_null(relation: &Relation, value: &ColumnValue) -> bool {
    value.path.is_none() && relation.never_null(value.column.column)
}
