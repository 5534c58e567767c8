//! JSON containment: `cs`, `cd` and `ov`, by SQLite's json_each.
//!
//! A column may hold what is no JSON, and json_each would raise an error on it: it gets `null` instead, which contains
//! nothing. NULL stays NULL, so that `not.cs` does not find it either.

use super::Compiler;
use super::expression::comparison_sql;
use super::writer::Sql;
use crate::error::Error;
use crate::filter::Comparison;
use crate::plan::{Containment, Expr};
use crate::value::Value;

impl Compiler<'_> {
    pub(super) fn contains(
        &self,
        sql: &mut Sql,
        operand: &Expr,
        containment: &Containment,
    ) -> Result<(), Error> {
        sql.raw("CASE WHEN ");
        self.expr(sql, operand)?;
        sql.raw(" IS NOT NULL THEN ");
        self.holds(sql, &Place::Operand(operand), containment)?;
        sql.raw(" END");
        Ok(())
    }

    /// Whether the JSON at a place contains what is said.
    fn holds(&self, sql: &mut Sql, place: &Place<'_>, containment: &Containment) -> Result<(), Error> {
        match containment {
            Containment::Members(members) => {
                self.is_kind(sql, place, "object")?;
                for (name, inner) in members {
                    let each = sql.fresh();
                    sql.raw(" AND EXISTS (SELECT 1 FROM json_each(");
                    self.json(sql, place)?;
                    sql.raw(") AS e")
                        .number(each)
                        .raw(" WHERE e")
                        .number(each)
                        .raw(".key = ")
                        .text(name)
                        .raw(" AND ");
                    self.holds(sql, &Place::Each(each), inner)?;
                    sql.raw(")");
                }
            }
            Containment::Elements(elements) => {
                self.is_kind(sql, place, "array")?;
                for inner in elements {
                    let each = sql.fresh();
                    sql.raw(" AND EXISTS (SELECT 1 FROM json_each(");
                    self.json(sql, place)?;
                    sql.raw(") AS e").number(each).raw(" WHERE ");
                    self.holds(sql, &Place::Each(each), inner)?;
                    sql.raw(")");
                }
            }
            Containment::Value(value) => self.scalar(sql, place, value)?,
        }
        Ok(())
    }

    fn is_kind(&self, sql: &mut Sql, place: &Place<'_>, kind: &'static str) -> Result<(), Error> {
        match place {
            Place::Operand(_) => {
                sql.raw("json_type(");
                self.json(sql, place)?;
                sql.raw(")");
            }
            Place::Each(each) => {
                sql.raw("e").number(*each).raw(".type");
            }
        }
        sql.raw(" = ").text(kind);
        Ok(())
    }

    /// Scalars are compared as text: 1 and `1`, true and `true`.
    fn scalar(&self, sql: &mut Sql, place: &Place<'_>, value: &Value) -> Result<(), Error> {
        match place {
            Place::Each(each) if *value == Value::Null => {
                sql.raw("e").number(*each).raw(".type = 'null'");
            }
            Place::Each(each) => {
                sql.raw("CASE e")
                    .number(*each)
                    .raw(".type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(e");
                sql.number(*each).raw(".value AS TEXT) END = ").value(value.clone());
            }
            Place::Operand(_) => {
                // An array contains each of its elements, also by itself; a scalar contains itself.
                let each = sql.fresh();
                sql.raw("EXISTS (SELECT 1 FROM json_each(");
                self.json(sql, place)?;
                sql.raw(") AS e")
                    .number(each)
                    .raw(" WHERE typeof(e")
                    .number(each)
                    .raw(".key) <> 'text' AND ");
                self.scalar(sql, &Place::Each(each), value)?;
                sql.raw(")");
            }
        }
        Ok(())
    }

    /// The JSON at a place, `null` where it is none.
    fn json(&self, sql: &mut Sql, place: &Place<'_>) -> Result<(), Error> {
        match place {
            Place::Operand(operand) => {
                sql.raw("CASE WHEN json_valid(");
                self.expr(sql, operand)?;
                sql.raw(", 9) THEN ");
                self.expr(sql, operand)?;
                sql.raw(" ELSE 'null' END");
            }
            Place::Each(each) => {
                sql.raw("CASE WHEN e").number(*each).raw(".type IN ('object', 'array') THEN e");
                sql.number(*each).raw(".value ELSE 'null' END");
            }
        }
        Ok(())
    }

    pub(super) fn contained_by(&self, sql: &mut Sql, operand: &Expr, json: &Value) -> Result<(), Error> {
        sql.raw("CASE WHEN json_valid(");
        self.expr(sql, operand)?;
        sql.raw(", 9) THEN NOT EXISTS (SELECT 1 FROM json_each(");
        self.json(sql, &Place::Operand(operand))?;
        sql.raw(") AS a WHERE NOT EXISTS (SELECT 1 FROM json_each(").value(json.clone());
        sql.raw(") AS b WHERE b.value IS a.value AND (typeof(a.key) <> 'text' OR a.key IS b.key))) END");
        Ok(())
    }

    /// Arrays are ordered by their first elements that differ, null behind all else, and one that ends sooner comes before, as in PostgreSQL.
    pub(super) fn array_order(
        &self,
        sql: &mut Sql,
        comparison: Comparison,
        operand: &Expr,
        json: &Value,
    ) -> Result<(), Error> {
        sql.raw("CASE WHEN ");
        self.expr(sql, operand)?;
        sql.raw(" IS NOT NULL AND json_type(");
        self.json(sql, &Place::Operand(operand))?;
        sql.raw(") = 'array' THEN ifnull((SELECT CASE WHEN a.key IS NULL THEN -1 WHEN b.key IS NULL THEN 1 ");
        sql.raw("WHEN a.value IS NULL THEN 1 WHEN b.value IS NULL OR a.value < b.value THEN -1 ELSE 1 END ");
        sql.raw("FROM json_each(");
        self.json(sql, &Place::Operand(operand))?;
        sql.raw(") AS a FULL JOIN json_each(").value(json.clone());
        sql.raw(
            ") AS b ON b.key = a.key WHERE a.key IS NOT b.key OR a.value IS NOT b.value ORDER BY ifnull(a.key, b.key) LIMIT 1), 0)",
        );
        sql.raw(comparison_sql(comparison)).raw("0 END");
        Ok(())
    }

    pub(super) fn overlaps(&self, sql: &mut Sql, operand: &Expr, json: &Value) -> Result<(), Error> {
        sql.raw("CASE WHEN json_valid(");
        self.expr(sql, operand)?;
        sql.raw(", 9) THEN EXISTS (SELECT 1 FROM json_each(");
        self.json(sql, &Place::Operand(operand))?;
        sql.raw(") AS a JOIN json_each(").value(json.clone()).raw(") AS b ON b.value = a.value) END");
        Ok(())
    }
}

/// Where JSON is: the operand of the filter, or the row of a json_each.
enum Place<'a> {
    Operand(&'a Expr),
    Each(usize),
}
