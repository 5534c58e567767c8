//! Reads as SQL: the page, the count, and embeds as correlated subqueries that are JSON text.

use super::writer::Sql;
use super::{Compiler, Param, Step};
use crate::encode::{Kind, RowFormat, write_text};
use crate::error::Error;
use crate::plan::{ColumnRef, Embed, Field, FieldValue, Read, Source};
use crate::schema::{ColumnType, RowKey};
use crate::value::Value;

/// Where the rows of a page are found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// In the whole relation.
    Relation,
    /// By the keys that the step before returned.
    Keys,
}

impl Compiler<'_> {
    pub(super) fn read(&self, read: &Read, count: bool) -> Result<Vec<Step>, Error> {
        let mut steps = vec![self.page(read, From::Relation)?];
        if count {
            let mut sql = Sql::default();
            sql.raw("SELECT count(*) FROM ");
            self.source(&mut sql, read.source)?;
            self.where_clause(&mut sql, &read.conditions)?;
            steps.push(Step::Count { statement: sql.finish(), offset: read.offset, limit: read.limit });
        }
        Ok(steps)
    }

    /// The page of an answer.
    pub(super) fn page(&self, read: &Read, from: From) -> Result<Step, Error> {
        let mut sql = Sql::default();
        sql.raw("SELECT ");
        if read.fields.is_empty() {
            sql.raw("NULL");
        }
        sql.list(", ", &read.fields, |sql, field| self.top_field(sql, read.source, field))?;
        sql.raw(" FROM ");
        match from {
            From::Relation => self.source(&mut sql, read.source)?,
            From::Keys => self.source_by_keys(&mut sql, read.source)?,
        }
        self.where_clause(&mut sql, &read.conditions)?;
        match (from, &self.relation(read.source.relation)?.row_key) {
            _ if !read.order.is_empty() => self.order_clause(&mut sql, &read.order)?,
            (From::Keys, _) => {
                sql.raw(" ORDER BY k.key");
            }
            // A whole table comes in the order of its rows, not in that of some index which happens to cover `select`.
            (From::Relation, RowKey::Rowid(rowid)) if read.conditions.is_empty() => {
                sql.raw(" ORDER BY ").occurrence(read.source.alias, "").raw(".").raw(rowid);
            }
            _ => {}
        }
        limit_clause(&mut sql, read);
        Ok(Step::Page { statement: sql.finish(), format: self.format(read)? })
    }

    /// How the fields of a read are written.
    pub(super) fn format(&self, read: &Read) -> Result<RowFormat, Error> {
        let kinds = read
            .fields
            .iter()
            .map(|field| Ok((field.name.as_str(), self.kind(read.source, field)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(RowFormat::new(kinds))
    }

    fn kind(&self, source: Source, field: &Field) -> Result<Kind, Error> {
        let FieldValue::Column(place) = field.value else { return Ok(Kind::Json) };
        Ok(match self.column_of(source.relation, place)?.column_type {
            ColumnType::Boolean => Kind::Boolean,
            ColumnType::Json => Kind::Json,
            _ => Kind::Any,
        })
    }

    /// A field of the outermost rows: the column itself where `encode` can write it.
    fn top_field(&self, sql: &mut Sql, source: Source, field: &Field) -> Result<(), Error> {
        match &field.value {
            FieldValue::Column(place) => {
                let at = ColumnRef { source, column: *place };
                match self.column_of(source.relation, *place)?.column_type {
                    ColumnType::Json => self.json_text(sql, at)?,
                    _ => self.column(sql, at)?,
                }
            }
            FieldValue::Embed(embed) => self.embed(sql, embed)?,
        }
        sql.raw(" AS ").name(&field.name);
        Ok(())
    }

    /// `"tracks" AS t0`
    pub(super) fn source(&self, sql: &mut Sql, source: Source) -> Result<(), Error> {
        let name = &self.relation(source.relation)?.name;
        sql.name(name);
        if source.alias.is_some() {
            sql.raw(" AS ").occurrence(source.alias, name);
        }
        Ok(())
    }

    /// The rows with the keys of the step before, in their order.
    fn source_by_keys(&self, sql: &mut Sql, source: Source) -> Result<(), Error> {
        let relation = self.relation(source.relation)?;
        let by_rowid = matches!(relation.row_key, RowKey::Rowid(_));
        sql.raw("json_each(").keys(if by_rowid { Param::Rowids } else { Param::PrimaryKeys });
        sql.raw(") AS k CROSS JOIN ");
        self.source(sql, source)?;
        sql.raw(" ON ");
        if let RowKey::Rowid(rowid) = relation.row_key {
            sql.occurrence(source.alias, &relation.name).raw(".").raw(rowid).raw(" = k.value");
            return Ok(());
        }
        sql.list(" AND ", relation.primary_key.iter().enumerate(), |sql, (i, place)| {
            self.column(sql, ColumnRef { source, column: *place })?;
            // A BLOB travels as {"b": hexadecimal}: see `run::keys_json`.
            sql.raw(" IS CASE json_type(k.value, '$[")
                .number(i)
                .raw("]') WHEN 'object' THEN unhex(k.value ->> '$[");
            sql.number(i).raw("].b') ELSE k.value ->> '$[").number(i).raw("]' END");
            Ok(())
        })
    }

    /// An embed as one JSON text: an object or null, or an array. NULL where a to-one embed has no row.
    fn embed(&self, sql: &mut Sql, embed: &Embed) -> Result<(), Error> {
        let read = &embed.read;
        if embed.relationship.cardinality.is_to_one() {
            sql.raw("(SELECT ");
            self.object(sql, read)?;
            sql.raw(" FROM ");
            self.embed_rows(sql, embed)?;
            self.order_clause(sql, &read.order)?;
            sql.raw(" LIMIT 1");
            if read.offset > 0 {
                sql.raw(" OFFSET ").rows(read.offset);
            }
            sql.raw(")");
            return Ok(());
        }
        let is_plain = read.order.is_empty() && read.limit.is_none() && read.offset == 0;
        sql.raw("(SELECT '[' || ifnull(group_concat(");
        if is_plain {
            self.object(sql, read)?;
            sql.raw(", ','), '') || ']' FROM ");
            self.embed_rows(sql, embed)?;
        } else {
            sql.raw("o, ','), '') || ']' FROM (SELECT ");
            self.object(sql, read)?;
            sql.raw(" AS o FROM ");
            self.embed_rows(sql, embed)?;
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
        self.source(sql, target)?;
        let near = match (embed.junction, &embed.relationship.junction) {
            (Some(source), Some(junction)) => {
                sql.raw(" JOIN ");
                self.source(sql, source)?;
                sql.raw(" ON ");
                self.equal(sql, source, target, &junction.columns)?;
                source
            }
            _ => target,
        };
        sql.raw(" WHERE ");
        self.equal(sql, embed.outer, near, &embed.relationship.columns)?;
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
            // The inner side first: SQLite takes the collation of the left operand, which should be its index's.
            self.column(sql, ColumnRef { source: right, column: *b })?;
            sql.raw(" = ");
            self.column(sql, ColumnRef { source: left, column: *a })
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
                self.member(sql, read.source, field)?;
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
    fn member(&self, sql: &mut Sql, source: Source, field: &Field) -> Result<(), Error> {
        match &field.value {
            FieldValue::Column(column) => self.json_text(sql, ColumnRef { source, column: *column }),
            FieldValue::Embed(embed) => {
                sql.raw("ifnull(");
                self.embed(sql, embed)?;
                sql.raw(", 'null')");
                Ok(())
            }
        }
    }
}

/// `{"name":` or `,"name":` as a bound value: the name may be an alias of the request.
fn label(sql: &mut Sql, first: bool, name: &str) {
    let mut label = vec![if first { b'{' } else { b',' }];
    write_text(name, &mut label);
    label.push(b':');
    sql.value(Value::Text(String::from_utf8_lossy(&label).into_owned()));
}

fn limit_clause(sql: &mut Sql, read: &Read) {
    match (read.limit, read.offset) {
        (None, 0) => {}
        (limit, offset) => {
            sql.raw(" LIMIT ");
            match limit {
                Some(limit) => sql.rows(limit),
                None => sql.raw("-1"),
            };
            if offset > 0 {
                sql.raw(" OFFSET ").rows(offset);
            }
        }
    }
}
