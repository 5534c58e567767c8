//! A column's value as JSON text, in SQL: for JSON columns, and for every column inside an embed.
//!
//! SQLite stores any class of value in almost any column, so the text is made by the class found, not the one declared.
//! REAL and BLOB leave between marks that `encode` finishes (see there for why).

use super::Compiler;
use super::writer::Sql;
use crate::encode::{BLOB_MARK, END_MARK, REAL_MARK};
use crate::error::Error;
use crate::plan::ColumnRef;
use crate::schema::{ColumnType, RelationKind};

impl Compiler<'_> {
    /// An expression that is never NULL and always JSON text, but for the marks.
    pub(super) fn json_text(&self, sql: &mut Sql, at: ColumnRef) -> Result<(), Error> {
        let relation = self.relation(at.source.relation)?;
        let column = self.column_of(at.source.relation, at.column)?;
        let integer_only = column.is_rowid || relation.strict && column.column_type == ColumnType::Integer;
        let text_only = relation.strict && column.column_type == ColumnType::Text;
        match column.column_type {
            _ if integer_only => {
                sql.raw("ifnull(");
                self.column(sql, at)?;
                sql.raw(", 'null')");
                return Ok(());
            }
            _ if text_only => {
                sql.raw("json_quote(");
                self.column(sql, at)?;
                sql.raw(")");
                return Ok(());
            }
            _ => {}
        }
        sql.raw("CASE typeof(");
        self.column(sql, at)?;
        sql.raw(")");
        if column.column_type == ColumnType::Json {
            sql.raw(" WHEN 'text' THEN CASE WHEN json_valid(");
            self.column(sql, at)?;
            sql.raw(") THEN ");
            self.column(sql, at)?;
            sql.raw(" ELSE ");
            self.quoted_text(sql, at, relation.kind)?;
            // 8: strictly well-formed JSONB.
            sql.raw(" END WHEN 'blob' THEN CASE WHEN json_valid(");
            self.column(sql, at)?;
            sql.raw(", 8) THEN json(");
            self.column(sql, at)?;
            sql.raw(") ELSE ");
            self.marked_blob(sql, at)?;
            sql.raw(" END");
        } else {
            sql.raw(" WHEN 'text' THEN ");
            self.quoted_text(sql, at, relation.kind)?;
            sql.raw(" WHEN 'blob' THEN ");
            self.marked_blob(sql, at)?;
        }
        sql.raw(" WHEN 'real' THEN char(").number(REAL_MARK.into()).raw(") || printf('%!.17g', ");
        self.column(sql, at)?;
        sql.raw(") || char(").number(END_MARK.into()).raw(")");
        sql.raw(" WHEN 'null' THEN 'null' ELSE ");
        if column.column_type == ColumnType::Boolean {
            sql.raw("CASE ");
            self.column(sql, at)?;
            sql.raw(" WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE ");
            self.column(sql, at)?;
            sql.raw(" END");
        } else {
            self.column(sql, at)?;
        }
        sql.raw(" END");
        Ok(())
    }

    fn quoted_text(&self, sql: &mut Sql, at: ColumnRef, kind: RelationKind) -> Result<(), Error> {
        sql.raw("json_quote(");
        self.column(sql, at)?;
        // A view's JSON function gives its text a subtype by which json_quote would leave it as it is, here but not
        // where rows of the same view are read directly.
        sql.raw(if kind == RelationKind::View { " || '')" } else { ")" });
        Ok(())
    }

    fn marked_blob(&self, sql: &mut Sql, at: ColumnRef) -> Result<(), Error> {
        sql.raw("char(").number(BLOB_MARK.into()).raw(") || hex(");
        self.column(sql, at)?;
        sql.raw(") || char(").number(END_MARK.into()).raw(")");
        Ok(())
    }
}
