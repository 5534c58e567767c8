//! Conditions as SQL.

use super::Compiler;
use super::policy::raw_key;
use super::writer::{Sql, THE_ROW, Use};
use crate::error::Error;
use crate::filter::{Comparison, Is};
use crate::full_text::Found;
use crate::order::{Direction, Nulls};
use crate::plan::{Alias, ColumnRef, ColumnValue, Expr, OrderBy, OrderValue, Source};
use crate::policy::{Told, is_withheld};
use crate::schema::{Column, Relation, RelationId, RowKey};
use crate::value::Value;

impl Compiler<'_> {
    pub(super) fn relation(&self, id: RelationId) -> Result<&Relation, Error> {
        self.schema
            .relations
            .get(id)
            .ok_or_else(|| Error::Internal(format!("no relation {id} in the schema cache")))
    }

    pub(super) fn column_of(&self, relation: RelationId, place: usize) -> Result<&Column, Error> {
        self.relation(relation)?
            .columns
            .get(place)
            .ok_or_else(|| Error::Internal(format!("no column {place} in relation {relation}")))
    }

    /// ` WHERE …`, or nothing.
    pub(super) fn where_clause(&self, sql: &mut Sql, conditions: &[Expr]) -> Result<(), Error> {
        if !conditions.is_empty() {
            sql.raw(" WHERE ");
            self.all(sql, conditions)?;
        }
        Ok(())
    }

    /// Conditions joined by AND, each in parentheses of its own.
    pub(super) fn all(&self, sql: &mut Sql, conditions: &[Expr]) -> Result<(), Error> {
        sql.tree(" AND ", conditions, &mut |sql, expr| self.condition(sql, expr))
    }

    /// A condition of which only counts whether it is true: what is unknown may be false. By it SQLite finds rows in a full-text index, and
    /// need not go through all of them.
    fn condition(&self, sql: &mut Sql, expr: &Expr) -> Result<(), Error> {
        match expr {
            Expr::FullText { column, index, found: Found::Matching(expression) } => {
                self.found_in(sql, column, index, expression, " IN (")
            }
            Expr::And(terms) => self.group(sql, " AND ", "1", terms, &|sql, term| self.condition(sql, term)),
            Expr::Or(terms) => self.group(sql, " OR ", "0", terms, &|sql, term| self.condition(sql, term)),
            other => self.expr(sql, other),
        }
    }

    /// `t0."name"`
    pub(super) fn column(&self, sql: &mut Sql, column: ColumnRef) -> Result<(), Error> {
        let relation = self.relation(column.source.relation)?;
        let definition = self.column_of(column.source.relation, column.column)?;
        let alias = column.source.alias;
        if self.is_defined(sql, column.source)? {
            // The definition has computed columns and masks as columns of its own.
            if definition.computed.is_some() {
                sql.uses.push(Use::Computed(column.source.relation, column.column));
            }
            sql.occurrence(alias, &relation.name).raw(".").name(&definition.name);
            return Ok(());
        }
        let Some(access) = self.restriction(relation).filter(|_| alias == Alias::Own) else {
            return self.stored_column(sql, column);
        };
        let place = column.column;
        match access.told.get(place) {
            Some(Told::As(told)) => {
                sql.raw("(");
                self.of_seen_row(sql, relation, place, access, &|sql| self.expr(sql, told))?;
                sql.raw(")");
                Ok(())
            }
            Some(Told::Plain) => {
                self.of_seen_row(sql, relation, place, access, &|sql| self.stored_column(sql, column))
            }
            Some(Told::Hidden) | None => Err(Error::Internal(format!("{} is hidden", definition.name))),
        }
    }

    /// Whether an occurrence is read under the name of a definition.
    pub(super) fn is_defined(&self, sql: &Sql, source: Source) -> Result<bool, Error> {
        let relation = self.relation(source.relation)?;
        let is_read = match source.alias {
            Alias::Request(_) => self.called != Some(source),
            Alias::Own => sql.own_is_visible,
            Alias::Given(_) | Alias::Row | Alias::Policy(_) => false,
        };
        let is_target = relation.access.is_some() && self.is_target(source);
        Ok(is_read && (self.restriction(relation).is_some() || is_target))
    }

    /// Whether only the rows of an occurrence count that may be written.
    pub(super) fn is_target(&self, source: Source) -> bool {
        self.target.as_ref().is_some_and(|(target, _)| *target == source)
    }

    /// A column as it is, or as the configuration computes it.
    fn stored_column(&self, sql: &mut Sql, column: ColumnRef) -> Result<(), Error> {
        let relation = self.relation(column.source.relation)?;
        let definition = self.column_of(column.source.relation, column.column)?;
        match &definition.computed {
            Some(template) => {
                sql.raw("(");
                self.template(sql, template, column.source.alias, &relation.name)?;
                sql.raw(")");
            }
            None => {
                sql.occurrence(column.source.alias, &relation.name).raw(".").name(&definition.name);
            }
        }
        Ok(())
    }

    /// A column of the key, by which a row is found whatever of it is told.
    pub(super) fn key_column(&self, sql: &mut Sql, source: Source, place: usize) -> Result<(), Error> {
        let relation = self.relation(source.relation)?;
        if is_withheld(relation, place) && self.is_defined(sql, source)? {
            sql.occurrence(source.alias, &relation.name).raw(".").name(&raw_key(place));
            return Ok(());
        }
        self.column(sql, ColumnRef { source, column: place })
    }

    /// A value beside a column. SQLite may look at it where that finds an index.
    pub(super) fn compared(&self, sql: &mut Sql, value: Value) {
        match self.schema.has_partial_indexes {
            true => sql.value(value),
            false => sql.unplanned(value),
        };
    }

    pub(super) fn expr(&self, sql: &mut Sql, expr: &Expr) -> Result<(), Error> {
        match expr {
            Expr::Column(value) => self.value(sql, value)?,
            Expr::Rowid(source) => self.rowid(sql, *source)?,
            Expr::Represented(template, value) => sql.representation(template, &|sql| {
                sql.value(value.clone());
                Ok(())
            })?,
            Expr::Value(value) => {
                self.compared(sql, value.clone());
            }
            Expr::Compare(comparison, left, right) => {
                self.operand(sql, left)?;
                sql.raw(comparison_sql(*comparison));
                self.operand(sql, right)?;
            }
            Expr::Asked(asked) => self.asked(sql, asked),
            Expr::Sql(expr) => self.sql_expr(sql, expr)?,
            Expr::Glob(operand, pattern) => {
                self.expr(sql, operand)?;
                sql.raw(" GLOB ").value(pattern.clone());
            }
            Expr::Regexp(operand, pattern) => {
                self.expr(sql, operand)?;
                sql.raw(" REGEXP ").value(pattern.clone());
            }
            Expr::IsDistinct(left, right) => {
                self.expr(sql, left)?;
                sql.raw(" IS NOT ");
                self.expr(sql, right)?;
            }
            Expr::CanonicalJson(operand) => {
                sql.raw("CASE WHEN json_valid(");
                self.expr(sql, operand)?;
                sql.raw(", 9) THEN json(");
                self.expr(sql, operand)?;
                sql.raw(") END");
            }
            Expr::JsonScalar(value) => {
                self.json_scalar(sql, value, value.path.as_ref().and_then(|p| p.path.as_deref()))?;
            }
            Expr::FullText { column, index, found } => self.full_text(sql, column, index, found)?,
            Expr::Contains(operand, containment) => self.contains(sql, operand, containment)?,
            Expr::ContainedBy(operand, json) => self.contained_by(sql, operand, json)?,
            Expr::ArrayOrder(comparison, operand, json) => {
                self.array_order(sql, *comparison, operand, json)?
            }
            Expr::Overlaps(operand, json) => self.overlaps(sql, operand, json)?,
            Expr::In(operand, values) => {
                self.expr(sql, operand)?;
                sql.raw(" IN (");
                sql.list(", ", values, |sql, value| {
                    sql.value(value.clone());
                    Ok(())
                })?;
                sql.raw(")");
            }
            Expr::Is(is, operand) => {
                self.operand(sql, operand)?;
                sql.raw(match is {
                    Is::Null | Is::Unknown => " IS NULL",
                    Is::NotNull => " IS NOT NULL",
                    Is::True => " IS TRUE",
                    Is::False => " IS FALSE",
                });
            }
            Expr::IsText(operand) => {
                sql.raw("typeof(");
                self.expr(sql, operand)?;
                sql.raw(") = 'text'");
            }
            Expr::Not(inner) => {
                sql.raw("NOT (");
                self.expr(sql, inner)?;
                sql.raw(")");
            }
            Expr::And(terms) => self.group(sql, " AND ", "1", terms, &|sql, term| self.expr(sql, term))?,
            Expr::Or(terms) => self.group(sql, " OR ", "0", terms, &|sql, term| self.expr(sql, term))?,
            Expr::Exists(embed) => self.exists(sql, embed)?,
        }
        Ok(())
    }

    /// Whether a text is found, or unknown where there is none.
    fn full_text(
        &self,
        sql: &mut Sql,
        column: &ColumnValue,
        index: &str,
        found: &Found,
    ) -> Result<(), Error> {
        sql.raw("CASE WHEN ");
        self.value(sql, column)?;
        sql.raw(" IS NULL THEN NULL ELSE ");
        match found {
            Found::Nothing => {
                sql.raw("0");
            }
            Found::Matching(expression) => self.found_in(sql, column, index, expression, " IN (")?,
            Found::NotMatching(expression) => self.found_in(sql, column, index, expression, " NOT IN (")?,
        }
        sql.raw(" END");
        Ok(())
    }

    /// By rowid: the FTS5 table has those of the relation. Rows that a function gives have none; whether one is found goes by
    /// its text alone, so it is looked up among the texts that are.
    fn found_in(
        &self,
        sql: &mut Sql,
        column: &ColumnValue,
        index: &str,
        expression: &str,
        is_in: &'static str,
    ) -> Result<(), Error> {
        let relation = self.relation(column.column.source.relation)?;
        let RowKey::Rowid(rowid) = relation.row_key else {
            return Err(Error::Internal(format!("{} has no rowid", relation.name)));
        };
        let called = self.called == Some(column.column.source);
        if called {
            let stored =
                ColumnRef { source: Source { alias: Alias::Row, ..column.column.source }, ..column.column };
            self.column(sql, column.column)?;
            sql.raw(is_in).raw("SELECT ");
            self.column(sql, stored)?;
            sql.raw(" FROM ");
            self.raw_name(sql, relation);
            sql.raw(" AS ").raw(THE_ROW).raw(" WHERE ").raw(rowid).raw(" IN (");
        } else {
            sql.occurrence(column.column.source.alias, &relation.name).raw(".").raw(rowid).raw(is_in);
        }
        sql.raw("SELECT rowid FROM ")
            .raw(self.main())
            .name(index)
            .raw(" WHERE ")
            .name(index)
            .raw(" MATCH ")
            .text(expression);
        sql.raw(if called { "))" } else { ")" });
        Ok(())
    }

    /// What stands before a name that means the table itself: where policies define names, its schema.
    pub(super) fn main(&self) -> &'static str {
        if self.schema.restricted.is_empty() { "" } else { "main." }
    }

    fn raw_name(&self, sql: &mut Sql, relation: &Relation) {
        sql.raw(self.main()).name(&relation.name);
    }

    /// `t0.rowid`
    pub(super) fn rowid(&self, sql: &mut Sql, source: Source) -> Result<(), Error> {
        let relation = self.relation(source.relation)?;
        let RowKey::Rowid(rowid) = relation.row_key else {
            return Err(Error::Internal(format!("{} has no rowid", relation.name)));
        };
        sql.occurrence(source.alias, &relation.name).raw(".").raw(rowid);
        Ok(())
    }

    /// How well a row fits a full-text query: FTS5's rank, which is less the better a row fits, turned round.
    fn rank(&self, sql: &mut Sql, column: ColumnRef, index: &str, expression: &str) -> Result<(), Error> {
        if self.called == Some(column.source) {
            return Err(Error::NotImplemented("The rank of rows that a function gives".to_owned()));
        }
        sql.raw("(SELECT -r.rank FROM ")
            .raw(self.main())
            .name(index)
            .raw(" AS r WHERE r.")
            .name(index)
            .raw(" MATCH ");
        sql.text(expression).raw(" AND r.rowid = ");
        self.rowid(sql, column.source)?;
        sql.raw(")");
        Ok(())
    }

    fn group(
        &self,
        sql: &mut Sql,
        operator: &'static str,
        empty: &'static str,
        terms: &[Expr],
        each: &dyn Fn(&mut Sql, &Expr) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if terms.is_empty() {
            sql.raw(empty);
            return Ok(());
        }
        sql.raw("(");
        sql.tree(operator, terms, &mut |sql, term| each(sql, term))?;
        sql.raw(")");
        Ok(())
    }

    /// ` ORDER BY …`, or nothing. SQLite takes NULL for the smallest value; where that is what is wanted, or there is no
    /// NULL, nothing is said, which leaves it free to use an index.
    pub(super) fn order_clause(&self, sql: &mut Sql, order: &[OrderBy]) -> Result<(), Error> {
        if order.is_empty() {
            return Ok(());
        }
        sql.raw(" ORDER BY ");
        sql.list(", ", order, |sql, term| {
            let mut never_null = false;
            match &term.value {
                OrderValue::Column(value) => {
                    self.order_value(sql, value)?;
                    let relation = self.relation(value.column.source.relation)?;
                    never_null = value.path.is_none()
                        && value.aggregate.is_none()
                        && relation.never_null(value.column.column);
                }
                OrderValue::Rowid(source) => {
                    self.rowid(sql, *source)?;
                    never_null = true;
                }
                OrderValue::CountRows => {
                    sql.raw("count(*)");
                    never_null = true;
                }
                OrderValue::Embed(embed) => self.one_of(sql, embed, &|sql| self.lifted_value(sql, embed))?,
                OrderValue::Rank { column, index, expression } => {
                    self.rank(sql, *column, index, expression)?;
                }
            }
            if term.direction == Direction::Descending {
                sql.raw(" DESC");
            }
            match (term.direction, term.nulls) {
                _ if never_null => {}
                (Direction::Ascending, Nulls::Last) => {
                    sql.raw(" NULLS LAST");
                }
                (Direction::Descending, Nulls::First) => {
                    sql.raw(" NULLS FIRST");
                }
                _ => {}
            }
            Ok(())
        })
    }
}

/// The operator in SQL.
pub(super) fn comparison_sql(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Eq => " = ",
        Comparison::Neq => " <> ",
        Comparison::Gt => " > ",
        Comparison::Gte => " >= ",
        Comparison::Lt => " < ",
        Comparison::Lte => " <= ",
    }
}
