//! Reads as SQL: the page, the count, and embeds as correlated subqueries that are JSON text.

use super::value::{Write, aggregate_value, aggregated, cast_to, cast_value};
use super::writer::Sql;
use super::{Compiler, Param, Step};
use crate::encode::{Kind, RowFormat, write_text};
use crate::error::Error;
use crate::function::Piece;
use crate::plan::{CastType, ColumnRef, Embed, Field, FieldValue, OrderValue, Read, Source};
use crate::schema::{ColumnType, RelationKind, RowKey};
use crate::select::Aggregate;
use crate::value::Value;

/// Where the rows of a page are found.
#[derive(Clone, Copy)]
pub(super) enum From<'f> {
    /// In the whole relation.
    Relation,
    /// By the keys that the step before returned.
    Keys,
    /// In what a function's query gives.
    Call(&'f [Piece]),
    /// In the rows that a function's write returned in the step before.
    Returned,
}

impl Compiler<'_> {
    pub(super) fn read(&self, read: &Read, from: From<'_>, count: bool) -> Result<Vec<Step>, Error> {
        let mut steps = vec![self.page(read, from)?];
        if count {
            let mut sql = Sql::default();
            let grouped = read.is_aggregated() || read.distinct;
            sql.raw(if grouped { "SELECT count(*) FROM (" } else { "" });
            match (read.distinct, grouped) {
                (true, _) => {
                    sql.raw("SELECT DISTINCT ");
                    sql.list(", ", &read.fields, |sql, field| self.top_value(sql, field))?;
                    sql.raw(" FROM ");
                }
                (false, true) => drop(sql.raw("SELECT 1 FROM ")),
                (false, false) => drop(sql.raw("SELECT count(*) FROM ")),
            }
            self.from(&mut sql, read.source, from)?;
            self.where_clause(&mut sql, &read.conditions)?;
            self.group_clause(&mut sql, read)?;
            sql.raw(if grouped { ")" } else { "" });
            steps.push(Step::Count { statement: sql.finish(), offset: read.offset, limit: read.limit });
        }
        Ok(steps)
    }

    /// The page of an answer.
    pub(super) fn page(&self, read: &Read, from: From<'_>) -> Result<Step, Error> {
        let mut sql = Sql::default();
        sql.raw(if read.distinct { "SELECT DISTINCT " } else { "SELECT " });
        if read.fields.is_empty() {
            sql.raw("NULL");
        }
        sql.list(", ", &read.fields, |sql, field| self.top_field(sql, field))?;
        sql.raw(" FROM ");
        self.from(&mut sql, read.source, from)?;
        self.where_clause(&mut sql, &read.conditions)?;
        self.group_clause(&mut sql, read)?;
        let is_whole = read.conditions.is_empty() && !read.is_aggregated() && !read.distinct;
        match (from, &self.relation(read.source.relation)?.row_key) {
            _ if !read.order.is_empty() => self.order_clause(&mut sql, &read.order)?,
            (From::Keys, _) => {
                sql.raw(" ORDER BY k.key");
            }
            // A whole table comes in the order of its rows, not in that of some index which happens to cover `select`.
            (From::Relation, RowKey::Rowid(rowid)) if is_whole => {
                sql.raw(" ORDER BY ").occurrence(read.source.alias, "").raw(".").raw(rowid);
            }
            (From::Relation, RowKey::PrimaryKey) if is_whole => {
                sql.raw(" ORDER BY ");
                sql.list(", ", &self.relation(read.source.relation)?.primary_key, |sql, place| {
                    self.column(sql, ColumnRef { source: read.source, column: *place })
                })?;
            }
            _ => {}
        }
        limit_clause(&mut sql, read);
        Ok(Step::Page { statement: sql.finish(), format: self.format(read)? })
    }

    /// The place of the last row of a page in the order.
    pub(super) fn last(&self, read: &Read, limit: u64) -> Result<Step, Error> {
        let mut sql = Sql::default();
        sql.raw("SELECT ");
        sql.list(", ", &read.order, |sql, term| match &term.value {
            OrderValue::Column(value) => self.order_value(sql, value),
            _ => Err(Error::Internal("a page by key in an order by more than columns".to_owned())),
        })?;
        sql.raw(" FROM ");
        self.source(&mut sql, read.source)?;
        self.where_clause(&mut sql, &read.conditions)?;
        self.order_clause(&mut sql, &read.order)?;
        sql.raw(" LIMIT 2 OFFSET ").rows(read.offset.saturating_add(limit) - 1);
        Ok(Step::Last { statement: sql.finish(), limit })
    }

    /// How the fields of a read are written.
    pub(super) fn format(&self, read: &Read) -> Result<RowFormat, Error> {
        let kinds = read
            .fields
            .iter()
            .map(|field| Ok((field.name.as_str(), self.field_kind(field)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(RowFormat::new(self.output.shape, kinds).in_zone(self.output.zone.clone()))
    }

    fn field_kind(&self, field: &Field) -> Result<Kind, Error> {
        Ok(match self.field_type(field)? {
            ColumnType::Boolean => Kind::Boolean,
            ColumnType::Json => Kind::Json,
            ColumnType::Time if self.output.zone.is_some() => Kind::Time,
            _ => Kind::Any,
        })
    }

    /// The meaning of a field's value.
    fn field_type(&self, field: &Field) -> Result<ColumnType, Error> {
        Ok(match &field.value {
            FieldValue::Column(value) => self.type_of(value)?,
            FieldValue::CountRows(cast) => cast.map_or(ColumnType::Integer, cast_to),
            FieldValue::Lifted(embed) if embed.relationship.cardinality.is_to_one() => {
                self.field_type(lifted_field(embed)?)?
            }
            FieldValue::Embed(_) | FieldValue::Lifted(_) => ColumnType::Json,
            FieldValue::LiftedAggregate { embed, aggregate, cast } => {
                aggregated(self.field_type(lifted_field(embed)?)?, *aggregate, *cast)
            }
        })
    }

    /// A field of the outermost rows: the bare value where `encode` can write it.
    fn top_field(&self, sql: &mut Sql, field: &Field) -> Result<(), Error> {
        self.top_value(sql, field)?;
        sql.raw(" AS ").name(&field.name);
        Ok(())
    }

    fn top_value(&self, sql: &mut Sql, field: &Field) -> Result<(), Error> {
        match &field.value {
            FieldValue::Column(value) if self.type_of(value)? == ColumnType::Json => {
                self.json_text(sql, value)
            }
            FieldValue::Column(value) => self.value(sql, value),
            FieldValue::CountRows(cast) => count_rows(sql, *cast),
            FieldValue::Embed(embed) => self.embed(sql, embed),
            FieldValue::Lifted(embed) => self.lifted(sql, embed),
            FieldValue::LiftedAggregate { embed, aggregate, cast } => {
                let is_boolean = self.field_type(lifted_field(embed)?)? == ColumnType::Boolean;
                let is_boolean = is_boolean && *aggregate != Aggregate::Count;
                cast_value(sql, *cast, is_boolean, &|sql| {
                    aggregate_value(sql, *aggregate, &|sql| self.lifted(sql, embed))
                })
            }
        }
    }

    fn from(&self, sql: &mut Sql, source: Source, from: From<'_>) -> Result<(), Error> {
        match from {
            From::Relation => self.source(sql, source),
            From::Keys => self.source_by_keys(sql, source),
            From::Call(pieces) => {
                let relation = self.relation(source.relation)?;
                // The line feed ends a comment that the function's SQL may end in.
                if relation.kind == RelationKind::Function {
                    let all: Vec<usize> = (0..relation.columns.len()).collect();
                    sql.raw("(WITH f (");
                    sql.list(", ", relation.column_names(&all), |sql, name| {
                        sql.name(name);
                        Ok(())
                    })?;
                    sql.raw(") AS (")
                        .pieces(pieces)
                        .raw("\n) SELECT * FROM f) AS ")
                        .occurrence(source.alias, "");
                } else {
                    sql.raw("(").pieces(pieces).raw("\n) AS ").occurrence(source.alias, "");
                }
                Ok(())
            }
            From::Returned => {
                sql.raw("(SELECT ");
                let columns = self.relation(source.relation)?.columns.iter().filter(|c| c.computed.is_none());
                sql.list(", ", columns.enumerate(), |sql, (i, column)| {
                    // A BLOB travels as {"b": hexadecimal}: see `encode::keys_json`.
                    sql.raw("CASE json_type(value, '$[")
                        .number(i)
                        .raw("]') WHEN 'object' THEN unhex(value ->> '$[");
                    sql.number(i)
                        .raw("].b') ELSE value ->> '$[")
                        .number(i)
                        .raw("]' END AS ")
                        .name(&column.name);
                    Ok(())
                })?;
                sql.raw(" FROM json_each(")
                    .keys(Param::PrimaryKeys)
                    .raw(")) AS ")
                    .occurrence(source.alias, "");
                Ok(())
            }
        }
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
        self.same_key(sql, source, &relation.primary_key)
    }

    /// Whether a row has the key that `k.value` is: an array of its columns' values.
    pub(super) fn same_key(&self, sql: &mut Sql, source: Source, key: &[usize]) -> Result<(), Error> {
        sql.list(" AND ", key.iter().enumerate(), |sql, (i, place)| {
            self.column(sql, ColumnRef { source, column: *place })?;
            // A BLOB travels as {"b": hexadecimal}: see `encode::keys_json`.
            sql.raw(" IS CASE json_type(k.value, '$[")
                .number(i)
                .raw("]') WHEN 'object' THEN unhex(k.value ->> '$[");
            sql.number(i).raw("].b') ELSE k.value ->> '$[").number(i).raw("]' END");
            Ok(())
        })
    }

    /// An embed as one JSON text: an object or null, or an array. NULL where a to-one embed has no row.
    fn embed(&self, sql: &mut Sql, embed: &Embed) -> Result<(), Error> {
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
        sql.raw(" LIMIT 1");
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

    /// ` GROUP BY …`: what is selected beside aggregates says which rows go together.
    fn group_clause(&self, sql: &mut Sql, read: &Read) -> Result<(), Error> {
        if !read.is_aggregated() {
            return Ok(());
        }
        let keys: Vec<&Field> = read.fields.iter().filter(|field| !field.value.is_aggregate()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        sql.raw(" GROUP BY ");
        sql.list(", ", keys, |sql, field| self.top_value(sql, field))
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
                sql.raw("(")
                    .template(template, embed.outer.alias, outer)
                    .raw("\n) AS ")
                    .occurrence(target.alias, "");
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

fn swapped(columns: &[(usize, usize)]) -> Vec<(usize, usize)> {
    columns.iter().map(|(a, b)| (*b, *a)).collect()
}

fn count_rows(sql: &mut Sql, cast: Option<CastType>) -> Result<(), Error> {
    cast_value(sql, cast, false, &|sql| {
        sql.raw("count(*)");
        Ok(())
    })
}

fn lifted_field(embed: &Embed) -> Result<&Field, Error> {
    embed.read.fields.first().ok_or_else(|| Error::Internal("a spread embed without a field".to_owned()))
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
