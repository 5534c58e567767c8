//! Values of columns as SQL: bare, for filters, orders and the outermost rows; and as JSON text, for JSON columns and for
//! every column inside an embed.
//!
//! SQLite stores any class of value in almost any column, so JSON text is made by the class found, not the one declared.
//! REAL and BLOB leave between marks that `encode` finishes (see there for why). Every expression is total: JSON functions
//! get only what is JSON.

use super::Compiler;
use super::writer::Sql;
use crate::encode::{BLOB_MARK, END_MARK, REAL_MARK, TIME_MARK};
use crate::error::Error;
use crate::plan::{CastType, ColumnValue};
use crate::schema::{ColumnType, RelationKind};
use crate::select::Aggregate;

/// How far a value is made: each stage is made of the one before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Column,
    Path,
    Cast,
    Aggregate,
    AggregateCast,
}

impl Compiler<'_> {
    /// The bare value.
    pub(super) fn value(&self, sql: &mut Sql, value: &ColumnValue) -> Result<(), Error> {
        self.stage(sql, value, Stage::AggregateCast)
    }

    /// The meaning of the finished value.
    pub(super) fn type_of(&self, value: &ColumnValue) -> Result<ColumnType, Error> {
        let column = self.column_of(value.column.source.relation, value.column.column)?;
        let relation = self.relation(value.column.source.relation)?;
        let representation = relation.read_representation(value.column.column).filter(|_| value.represented);
        let mut of = match &value.path {
            Some(path) if path.as_text => ColumnType::Text,
            Some(_) => ColumnType::Json,
            None => representation.map_or(column.column_type, |representation| representation.column_type),
        };
        of = value.cast.map_or(of, cast_to);
        Ok(match value.aggregate {
            Some(aggregate) => aggregated(of, aggregate, value.aggregate_cast),
            None => of,
        })
    }

    fn stage(&self, sql: &mut Sql, value: &ColumnValue, stage: Stage) -> Result<(), Error> {
        match stage {
            Stage::Column => {
                let relation = self.relation(value.column.source.relation)?;
                let representation =
                    relation.read_representation(value.column.column).filter(|_| value.represented);
                match representation.and_then(|representation| representation.read.as_deref()) {
                    Some(read) => sql.representation(read, &|sql| self.column(sql, value.column)),
                    None => self.column(sql, value.column),
                }
            }
            Stage::Path => match &value.path {
                Some(path) => self.path(sql, value, path.path.as_deref(), path.as_text),
                None => self.stage(sql, value, Stage::Column),
            },
            Stage::Cast => self.cast(sql, value, value.cast, Stage::Path),
            Stage::Aggregate => match value.aggregate {
                Some(aggregate) => {
                    aggregate_value(sql, aggregate, &|sql| self.stage(sql, value, Stage::Cast))
                }
                None => self.stage(sql, value, Stage::Cast),
            },
            Stage::AggregateCast => self.cast(sql, value, value.aggregate_cast, Stage::Aggregate),
        }
    }

    /// JSON behind an arrow: JSON text, or with `->>` its text as PostgreSQL gives it (numbers and booleans, too). NULL where
    /// the column holds no JSON.
    fn path(
        &self,
        sql: &mut Sql,
        value: &ColumnValue,
        path: Option<&str>,
        as_text: bool,
    ) -> Result<(), Error> {
        let Some(path) = path else {
            sql.raw("NULL");
            return Ok(());
        };
        self.when_json(sql, value)?;
        if as_text {
            sql.raw("CASE json_type(");
            self.stage(sql, value, Stage::Column)?;
            sql.raw(", ").text(path).raw(") WHEN 'text' THEN ");
            self.stage(sql, value, Stage::Column)?;
            sql.raw(" ->> ").text(path).raw(" WHEN 'null' THEN NULL ELSE (");
            self.stage(sql, value, Stage::Column)?;
            // The concatenation takes away what marks the text as JSON.
            sql.raw(" -> ").text(path).raw(") || '' END");
        } else {
            self.stage(sql, value, Stage::Column)?;
            sql.raw(" -> ").text(path);
        }
        sql.raw(" END");
        Ok(())
    }

    /// What an order goes by: JSON behind `->` by the value that it is.
    pub(super) fn order_value(&self, sql: &mut Sql, value: &ColumnValue) -> Result<(), Error> {
        match &value.path {
            Some(path) if !path.as_text && value.cast.is_none() && value.aggregate.is_none() => {
                self.json_scalar(sql, value, path.path.as_deref())
            }
            _ => self.value(sql, value),
        }
    }

    /// The SQL value of JSON behind an arrow.
    pub(super) fn json_scalar(
        &self,
        sql: &mut Sql,
        value: &ColumnValue,
        path: Option<&str>,
    ) -> Result<(), Error> {
        let Some(path) = path else {
            sql.raw("NULL");
            return Ok(());
        };
        self.when_json(sql, value)?;
        self.stage(sql, value, Stage::Column)?;
        sql.raw(" ->> ").text(path).raw(" END");
        Ok(())
    }

    /// The guard before an arrow, which fails on text that is no JSON.
    fn when_json(&self, sql: &mut Sql, value: &ColumnValue) -> Result<(), Error> {
        // 1: JSON text; 8: strictly well-formed JSONB.
        sql.raw("CASE WHEN json_valid(");
        self.stage(sql, value, Stage::Column)?;
        sql.raw(", 9) THEN ");
        Ok(())
    }

    fn cast(
        &self,
        sql: &mut Sql,
        value: &ColumnValue,
        cast: Option<CastType>,
        of: Stage,
    ) -> Result<(), Error> {
        let column = self.column_of(value.column.source.relation, value.column.column)?;
        let is_boolean =
            column.column_type == ColumnType::Boolean && of == Stage::Path && value.path.is_none();
        cast_value(sql, cast, is_boolean, &|sql| self.stage(sql, value, of))
    }

    /// An expression that is never NULL and always JSON text, but for the marks.
    pub(super) fn json_text(&self, sql: &mut Sql, value: &ColumnValue) -> Result<(), Error> {
        let relation = self.relation(value.column.source.relation)?;
        let column = self.column_of(value.column.source.relation, value.column.column)?;
        let of = self.type_of(value)?;
        let is_bare = value.is_bare();
        let is_path = value.path.is_some() && value.cast.is_none() && value.aggregate.is_none();
        // A mask may be anything, also what a JSON function gives.
        let strict = relation.strict && !column.masked;
        let kind = if column.masked { RelationKind::View } else { relation.kind };
        if is_bare && (column.is_rowid || strict && of == ColumnType::Integer)
            || is_path && of == ColumnType::Json
        {
            sql.raw("ifnull(");
            self.value(sql, value)?;
            sql.raw(", 'null')");
            return Ok(());
        }
        if is_bare && strict && of == ColumnType::Text || is_path {
            sql.raw("json_quote(");
            self.value(sql, value)?;
            sql.raw(")");
            return Ok(());
        }
        self.json_of(sql, of, kind, &|sql| self.value(sql, value))
    }

    /// Any value as JSON text, by its class; `of` says what it means, `kind` where it is from.
    pub(super) fn json_of(
        &self,
        sql: &mut Sql,
        of: ColumnType,
        kind: RelationKind,
        value: Write<'_>,
    ) -> Result<(), Error> {
        sql.raw("CASE typeof(");
        value(sql)?;
        sql.raw(") WHEN 'text' THEN ");
        if of == ColumnType::Json {
            // SQLite reads JSON up to a NUL, and all of the text would be told.
            sql.raw("CASE WHEN json_valid(");
            value(sql)?;
            sql.raw(") AND NOT instr(");
            value(sql)?;
            sql.raw(", char(0)) THEN ");
            value(sql)?;
            sql.raw(" ELSE ");
            quoted_text(sql, kind, value)?;
            sql.raw(" END WHEN 'blob' THEN CASE WHEN json_valid(");
            value(sql)?;
            sql.raw(", 8) THEN json(");
            value(sql)?;
            sql.raw(") ELSE ");
            marked_blob(sql, value)?;
            sql.raw(" END");
        } else {
            if of == ColumnType::Time && self.output.zone.is_some() {
                sql.raw("char(").number(TIME_MARK.into()).raw(") || ");
            }
            quoted_text(sql, kind, value)?;
            sql.raw(" WHEN 'blob' THEN ");
            marked_blob(sql, value)?;
        }
        sql.raw(" WHEN 'real' THEN char(").number(REAL_MARK.into()).raw(") || printf('%!.17g', ");
        value(sql)?;
        sql.raw(") || char(").number(END_MARK.into()).raw(") WHEN 'null' THEN 'null' ELSE ");
        if of == ColumnType::Boolean {
            sql.raw("CASE ");
            value(sql)?;
            sql.raw(" WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE ");
            value(sql)?;
            sql.raw(" END");
        } else {
            value(sql)?;
        }
        sql.raw(" END");
        Ok(())
    }
}

/// Writes a value, as often as it is needed.
pub(super) type Write<'w> = &'w dyn Fn(&mut Sql) -> Result<(), Error>;

fn quoted_text(sql: &mut Sql, kind: RelationKind, value: Write<'_>) -> Result<(), Error> {
    sql.raw("json_quote(");
    value(sql)?;
    // A view's JSON function gives its text a subtype by which json_quote would leave it as it is, here but not
    // where rows of the same view are read directly.
    sql.raw(if kind == RelationKind::Table { ")" } else { " || '')" });
    Ok(())
}

fn marked_blob(sql: &mut Sql, value: Write<'_>) -> Result<(), Error> {
    sql.raw("char(").number(BLOB_MARK.into()).raw(") || hex(");
    value(sql)?;
    sql.raw(") || char(").number(END_MARK.into()).raw(")");
    Ok(())
}

/// `sum(…)`
pub(super) fn aggregate_value(sql: &mut Sql, aggregate: Aggregate, value: Write<'_>) -> Result<(), Error> {
    sql.raw(match aggregate {
        Aggregate::Sum => "sum(",
        Aggregate::Avg => "avg(",
        Aggregate::Count => "count(",
        Aggregate::Max => "max(",
        Aggregate::Min => "min(",
    });
    value(sql)?;
    sql.raw(")");
    Ok(())
}

/// The meaning of an aggregate of values that mean `of`, and of its cast.
pub(super) fn aggregated(of: ColumnType, aggregate: Aggregate, cast: Option<CastType>) -> ColumnType {
    let of = match aggregate {
        Aggregate::Count => ColumnType::Integer,
        Aggregate::Sum | Aggregate::Avg => ColumnType::Numeric,
        Aggregate::Max | Aggregate::Min => of,
    };
    cast.map_or(of, cast_to)
}

/// `CAST(…)`; text is `true` and `false` where the value is a BOOLEAN.
pub(super) fn cast_value(
    sql: &mut Sql,
    cast: Option<CastType>,
    is_boolean: bool,
    value: Write<'_>,
) -> Result<(), Error> {
    let Some(cast) = cast else { return value(sql) };
    match cast {
        CastType::Text if is_boolean => {
            sql.raw("CASE ");
            value(sql)?;
            sql.raw(" WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE CAST(");
            value(sql)?;
            sql.raw(" AS TEXT) END");
        }
        CastType::Json => return value(sql),
        CastType::Boolean => {
            sql.raw("CASE typeof(");
            value(sql)?;
            sql.raw(") WHEN 'null' THEN NULL WHEN 'text' THEN lower(");
            value(sql)?;
            sql.raw(") IN ('true', 't', 'yes', 'y', 'on', '1') ELSE ");
            value(sql)?;
            sql.raw(" <> 0 END");
        }
        CastType::Text | CastType::Integer | CastType::Real | CastType::Numeric => {
            sql.raw("CAST(");
            value(sql)?;
            sql.raw(match cast {
                CastType::Integer => " AS INTEGER)",
                CastType::Real => " AS REAL)",
                CastType::Numeric => " AS NUMERIC)",
                _ => " AS TEXT)",
            });
        }
    }
    Ok(())
}

/// The meaning of a cast value.
pub(super) fn cast_to(cast: CastType) -> ColumnType {
    match cast {
        CastType::Text => ColumnType::Text,
        CastType::Integer => ColumnType::Integer,
        CastType::Real => ColumnType::Real,
        CastType::Numeric => ColumnType::Numeric,
        CastType::Boolean => ColumnType::Boolean,
        CastType::Json => ColumnType::Json,
    }
}
