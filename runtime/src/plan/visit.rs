//! What lies inside expressions of policies: whether they read tables, and other values in the place of a column.

use super::{ColumnRef, Expr, Query, SqlExpr, TableRows};
use crate::schema::RelationId;

impl Expr {
    /// Whether it asks other rows.
    pub fn has_query(&self) -> bool {
        self.any_query(&mut |_| true)
    }

    /// Whether it asks rows of a relation.
    pub fn reads(&self, relation: RelationId) -> bool {
        self.any_query(&mut |query| {
            query.from.iter().any(
                |table| matches!(&table.rows, TableRows::Relation(source) if source.relation == relation),
            )
        })
    }

    fn any_query(&self, is_meant: &mut dyn FnMut(&Query) -> bool) -> bool {
        let mut found = false;
        let mut copy = self.clone();
        copy.each(&mut |expr| {
            if let Expr::Sql(SqlExpr::Query(query) | SqlExpr::Exists(query) | SqlExpr::InQuery(_, query)) =
                expr
            {
                found |= is_meant(query);
            }
        });
        found
    }

    /// The same with another value in the place of a column.
    pub fn with(&self, column: ColumnRef, value: &Expr) -> Expr {
        let mut copy = self.clone();
        copy.each(&mut |expr| {
            if matches!(expr, Expr::Column(own) if own.column == column && own.is_bare()) {
                *expr = value.clone();
            }
        });
        copy
    }

    /// Visits the parts of an expression, then itself.
    pub(crate) fn each(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        match self {
            Expr::Compare(_, a, b) | Expr::IsDistinct(a, b) => {
                a.each(visit);
                b.each(visit);
            }
            Expr::Not(inner)
            | Expr::Is(_, inner)
            | Expr::IsText(inner)
            | Expr::CanonicalJson(inner)
            | Expr::Glob(inner, _)
            | Expr::Regexp(inner, _)
            | Expr::Contains(inner, _)
            | Expr::ContainedBy(inner, _)
            | Expr::ArrayOrder(_, inner, _)
            | Expr::Overlaps(inner, _)
            | Expr::In(inner, _) => inner.each(visit),
            Expr::And(terms) | Expr::Or(terms) => terms.iter_mut().for_each(|term| term.each(visit)),
            Expr::Sql(sql) => sql.each(visit),
            Expr::Column(_)
            | Expr::Rowid(_)
            | Expr::Represented(..)
            | Expr::Value(_)
            | Expr::JsonScalar(_)
            | Expr::FullText { .. }
            | Expr::Exists(_)
            | Expr::Asked(_) => {}
        }
        visit(self);
    }
}

impl SqlExpr {
    fn each(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        match self {
            SqlExpr::Function { arguments, .. } => arguments.iter_mut().for_each(|a| a.each(visit)),
            SqlExpr::Binary(_, a, b) => {
                a.each(visit);
                b.each(visit);
            }
            SqlExpr::Unary(_, inner) | SqlExpr::Cast(inner, _) | SqlExpr::Collate(inner, _) => {
                inner.each(visit)
            }
            SqlExpr::Case { operand, branches, otherwise } => {
                operand.iter_mut().chain(otherwise).for_each(|expr| expr.each(visit));
                for (condition, value) in branches {
                    condition.each(visit);
                    value.each(visit);
                }
            }
            SqlExpr::In(operand, values) => {
                operand.each(visit);
                values.iter_mut().for_each(|value| value.each(visit));
            }
            SqlExpr::InQuery(operand, query) => {
                operand.each(visit);
                query.each(visit);
            }
            SqlExpr::Exists(query) | SqlExpr::Query(query) => query.each(visit),
            SqlExpr::Literal(_) | SqlExpr::EachColumn(..) => {}
        }
    }
}

impl Query {
    fn each(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        let lists = [&mut self.fields, &mut self.conditions, &mut self.group_by];
        lists.into_iter().flatten().for_each(|expr| expr.each(visit));
        self.having.iter_mut().chain(&mut self.limit).for_each(|expr| expr.each(visit));
        self.order_by.iter_mut().for_each(|(expr, _)| expr.each(visit));
        for table in &mut self.from {
            if let TableRows::Each { json, .. } = &mut table.rows {
                json.each(visit);
            }
            table.on.iter_mut().for_each(|on| on.each(visit));
        }
    }
}
