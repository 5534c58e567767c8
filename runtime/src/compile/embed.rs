//! Embeds as SQL: correlated subqueries that are JSON text, or one value of them.

use super::Compiler;
use super::read::{count_rows, limit_clause};
use super::value::Write;
use super::writer::Sql;
use crate::encode::write_text;
use crate::error::Error;
use crate::plan::{ColumnRef, Embed, Field, FieldValue, Read, Source};
use crate::schema::RelationKind;
use crate::value::Value;

impl Compiler<'_> {
    /// An embed as one JSON text: an object or null, or an array. NULL where a to-one embed has no row.
    pub(super) fn embed(&self, sql: &mut Sql, embed: &Embed) -> Result<(), Error> {
        if embed.relationship.cardinality.is_to_one() {
            self.one_of(sql, embed, &|sql| self.object(sql, &embed.read))
        } else {
            self.array_of(sql, embed, &|sql| self.object(sql, &embed.read))
        }
    }

    /// The one field of an embed (`...`): the bare value, or a JSON array of them.
    pub(super) fn lifted(&self, sql: &mut Sql, embed: &Embed) -> Result<(), Error> {
        if embed.relationship.cardinality.is_to_one() {
            self.one_of(sql, embed, &|sql| self.lifted_value(sql, embed))
        } else {
            let field = lifted_field(embed)?;
            self.array_of(sql, embed, &|sql| self.member(sql, field))
        }
    }

    /// The one field of an embed, of each of its rows.
    pub(super) fn lifted_value(&self, sql: &mut Sql, embed: &Embed) -> Result<(), Error> {
        self.top_value(sql, lifted_field(embed)?)
    }

    /// `(SELECT … LIMIT 1)`
    pub(super) fn one_of(&self, sql: &mut Sql, embed: &Embed, item: Write<'_>) -> Result<(), Error> {
        sql.raw("(SELECT ");
        item(sql)?;
        sql.raw(" FROM ");
        self.embed_rows(sql, embed)?;
        self.group_clause(sql, &embed.read)?;
        self.order_clause(sql, &embed.read.order)?;
        sql.raw(if embed.read.limit == Some(0) { " LIMIT 0" } else { " LIMIT 1" });
        if embed.read.offset > 0 {
            sql.raw(" OFFSET ").rows(embed.read.offset);
        }
        sql.raw(")");
        Ok(())
    }

    /// `(SELECT '[' || … || ']' …)`
    fn array_of(&self, sql: &mut Sql, embed: &Embed, item: Write<'_>) -> Result<(), Error> {
        let read = &embed.read;
        let is_plain = read.order.is_empty()
            && read.limit.is_none()
            && read.offset == 0
            && !read.is_aggregated()
            && !read.distinct;
        sql.raw("(SELECT '[' || ifnull(group_concat(");
        if is_plain {
            item(sql)?;
            sql.raw(", ','), '') || ']' FROM ");
            self.embed_rows(sql, embed)?;
        } else {
            sql.raw("o, ','), '') || ']' FROM (SELECT ").raw(if read.distinct { "DISTINCT " } else { "" });
            item(sql)?;
            sql.raw(" AS o FROM ");
            self.embed_rows(sql, embed)?;
            self.group_clause(sql, read)?;
            self.order_clause(sql, &read.order)?;
            limit_clause(sql, read);
            sql.raw(")");
        }
        sql.raw(")");
        Ok(())
    }

    /// Whether an embed has a row.
    pub(super) fn exists(&self, sql: &mut Sql, embed: &Embed) -> Result<(), Error> {
        sql.raw("EXISTS (SELECT 1 FROM ");
        self.embed_rows(sql, embed)?;
        sql.raw(")");
        Ok(())
    }

    /// FROM and WHERE of an embed: its relation, joined to the row outside.
    fn embed_rows(&self, sql: &mut Sql, embed: &Embed) -> Result<(), Error> {
        let target = embed.read.source;
        match &embed.relationship.computed {
            Some(template) => {
                let outer = &self.relation(embed.outer.relation)?.name;
                sql.raw("(");
                self.template(sql, template, embed.outer.alias, outer)?;
                sql.raw("\n) AS ").occurrence(target.alias, "");
                return self.where_clause(sql, &embed.read.conditions);
            }
            None => self.source(sql, target)?,
        }
        let near = match (embed.junction, &embed.relationship.junction) {
            (Some(source), Some(junction)) => {
                sql.raw(" JOIN ");
                self.source(sql, source)?;
                sql.raw(" ON ");
                self.equal(sql, target, source, &swapped(&junction.columns))?;
                source
            }
            _ => target,
        };
        sql.raw(" WHERE ");
        // SQLite compares by the collation of the left side, and a foreign key by that of the column it refers to.
        let columns = &embed.relationship.columns;
        if embed.relationship.is_forward {
            self.equal(sql, near, embed.outer, &swapped(columns))?;
        } else {
            self.equal(sql, embed.outer, near, columns)?;
        }
        if !embed.read.conditions.is_empty() {
            sql.raw(" AND ");
            self.all(sql, &embed.read.conditions)?;
        }
        Ok(())
    }

    fn equal(
        &self,
        sql: &mut Sql,
        left: Source,
        right: Source,
        columns: &[(usize, usize)],
    ) -> Result<(), Error> {
        sql.list(" AND ", columns, |sql, (a, b)| {
            self.column(sql, ColumnRef { source: left, column: *a })?;
            sql.raw(" = ");
            self.column(sql, ColumnRef { source: right, column: *b })
        })
    }

    /// A row as JSON text: `concat('{"id":', …, ',"name":', …, '}')`.
    fn object(&self, sql: &mut Sql, read: &Read) -> Result<(), Error> {
        // SQLITE_MAX_FUNCTION_ARG was 127 for long: a wide row is a concat of concats.
        const FIELDS_PER_CALL: usize = 50;
        if read.fields.is_empty() {
            sql.raw("'{}'");
            return Ok(());
        }
        let chunks = read.fields.len().div_ceil(FIELDS_PER_CALL);
        if chunks > 1 {
            sql.raw("concat(");
        }
        for (i, fields) in read.fields.chunks(FIELDS_PER_CALL).enumerate() {
            sql.raw(if i > 0 { ", concat(" } else { "concat(" });
            for (j, field) in fields.iter().enumerate() {
                label(sql, i + j == 0, &field.name);
                sql.raw(", ");
                self.member(sql, field)?;
                sql.raw(if j + 1 < fields.len() { ", " } else { "" });
            }
            sql.raw(if i + 1 < chunks { ")" } else { ", '}')" });
        }
        if chunks > 1 {
            sql.raw(")");
        }
        Ok(())
    }

    /// A member's value as JSON text, never NULL.
    fn member(&self, sql: &mut Sql, field: &Field) -> Result<(), Error> {
        match &field.value {
            FieldValue::Column(value) => return self.json_text(sql, value),
            FieldValue::CountRows(cast) => count_rows(sql, *cast)?,
            FieldValue::Embed(embed) => {
                sql.raw("ifnull(");
                self.embed(sql, embed)?;
                sql.raw(", 'null')");
            }
            FieldValue::Lifted(embed) if embed.relationship.cardinality.is_to_one() => {
                let field = lifted_field(embed)?;
                sql.raw("ifnull(");
                self.one_of(sql, embed, &|sql| self.member(sql, field))?;
                sql.raw(", 'null')");
            }
            FieldValue::Lifted(embed) => self.lifted(sql, embed)?,
            FieldValue::LiftedAggregate { .. } => {
                let of = self.field_type(field)?;
                return self.json_of(sql, of, RelationKind::Table, &|sql| self.top_value(sql, field));
            }
        }
        Ok(())
    }
}

pub(super) fn lifted_field(embed: &Embed) -> Result<&Field, Error> {
    embed.read.fields.first().ok_or_else(|| Error::Internal("a spread embed without a field".to_owned()))
}

fn swapped(columns: &[(usize, usize)]) -> Vec<(usize, usize)> {
    columns.iter().map(|(a, b)| (*b, *a)).collect()
}

/// `{"name":` or `,"name":` as a bound value: the name may be an alias of the request.
fn label(sql: &mut Sql, first: bool, name: &str) {
    let mut label = vec![if first { b'{' } else { b',' }];
    write_text(name, &mut label);
    label.push(b':');
    sql.value(Value::Text(String::from_utf8_lossy(&label).into_owned()));
}
