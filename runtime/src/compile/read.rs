//! Reads as SQL: the page, the count, and embeds as correlated subqueries that are JSON text.

use super::embed::lifted_field;
use super::value::{Write, aggregate_value, aggregated, cast_to, cast_value};
use super::write::written_keys;
use super::writer::Sql;
use super::{Compiler, Param, Step, denied};
use crate::encode::{Kind, RowFormat};
use crate::error::Error;
use crate::function::Piece;
use crate::plan::{Alias, CastType, ColumnRef, Field, FieldValue, OrderValue, Read, Source};
use crate::policy::Security;
use crate::schema::{ColumnType, RelationKind, RowKey};
use crate::select::Aggregate;

/// Where the rows of a page are found.
#[derive(Clone, Copy)]
pub(super) enum From<'f> {
    /// In the whole relation.
    Relation,
    /// By the keys that the step before returned.
    Keys,
    /// In what a function's query gives.
    Call(&'f [Piece], Security),
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
            steps.push(Step::Count { statement: self.finish(sql)?, offset: read.offset, limit: read.limit });
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
            // What is hidden of the key is no column to order by.
            (From::Relation, RowKey::PrimaryKey) if is_whole => {
                let relation = self.relation(read.source.relation)?;
                let is_hidden = |place: &&usize| relation.columns.get(**place).is_none_or(|c| c.hidden);
                let seen: Vec<&usize> =
                    relation.primary_key.iter().filter(|place| !is_hidden(place)).collect();
                sql.raw(if seen.is_empty() { "" } else { " ORDER BY " });
                sql.list(", ", seen, |sql, place| {
                    self.column(sql, ColumnRef { source: read.source, column: *place })
                })?;
            }
            _ => {}
        }
        limit_clause(&mut sql, read);
        Ok(Step::Page { statement: self.finish(sql)?, format: self.format(read)? })
    }

    /// The place of the last row of a page in the order.
    pub(super) fn last(&self, read: &Read, limit: u64) -> Result<Step, Error> {
        let mut sql = Sql::default();
        sql.raw("SELECT ");
        sql.list(", ", &read.order, |sql, term| match &term.value {
            OrderValue::Column(value) => self.order_value(sql, value),
            OrderValue::Rowid(source) => self.rowid(sql, *source),
            _ => Err(Error::Internal("a page by key in an order by more than columns".to_owned())),
        })?;
        sql.raw(" FROM ");
        self.source(&mut sql, read.source)?;
        self.where_clause(&mut sql, &read.conditions)?;
        self.order_clause(&mut sql, &read.order)?;
        sql.raw(" LIMIT 2 OFFSET ").rows(read.offset.saturating_add(limit) - 1);
        Ok(Step::Last { statement: self.finish(sql)?, limit })
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
    pub(super) fn field_type(&self, field: &Field) -> Result<ColumnType, Error> {
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

    pub(super) fn top_value(&self, sql: &mut Sql, field: &Field) -> Result<(), Error> {
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
            From::Call(pieces, security) => {
                let relation = self.relation(source.relation)?;
                self.mention_pieces(sql, pieces, security)?;
                // The line feed ends a comment that the function's SQL may end in.
                if relation.kind == RelationKind::Function {
                    let all: Vec<usize> = (0..relation.columns.len()).collect();
                    // A name that no function's SQL has.
                    sql.raw("(WITH \"the rows\" (");
                    sql.list(", ", relation.column_names(&all), |sql, name| {
                        sql.name(name);
                        Ok(())
                    })?;
                    sql.raw(") AS (")
                        .pieces(pieces)
                        .raw("\n) SELECT * FROM \"the rows\") AS ")
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
        let relation = self.relation(source.relation)?;
        let name = &relation.name;
        let target =
            self.target.as_ref().filter(|(target, _)| *target == source && relation.access.is_some());
        let is_defined = self.restriction(relation).is_some() || target.is_some();
        if is_defined && source.alias.is_of_request() {
            if relation.access.as_ref().is_some_and(|access| access.select.is_none()) {
                return Err(denied(relation));
            }
            match target {
                Some((_, rows)) => sql.target(relation, source.relation, rows),
                None => sql.visible(relation, source.relation),
            };
        } else {
            // The table itself, also where its name is defined otherwise.
            sql.raw(self.main()).name(name);
        }
        if !(source.alias == Alias::Own && sql.own_by_name) {
            sql.raw(" AS ").occurrence(source.alias, name);
        }
        Ok(())
    }

    /// The rows with the keys of the step before, in their order.
    fn source_by_keys(&self, sql: &mut Sql, source: Source) -> Result<(), Error> {
        let relation = self.relation(source.relation)?;
        sql.raw("json_each(").keys(written_keys(relation));
        sql.raw(") AS k CROSS JOIN ");
        self.source(sql, source)?;
        sql.raw(" ON ");
        self.has_key(sql, source)
    }

    /// Whether a row has the key that `k.value` is, as the step before returned it.
    pub(super) fn has_key(&self, sql: &mut Sql, source: Source) -> Result<(), Error> {
        let relation = self.relation(source.relation)?;
        if let RowKey::Rowid(rowid) = relation.row_key {
            sql.occurrence(source.alias, &relation.name).raw(".").raw(rowid).raw(" = k.value");
            return Ok(());
        }
        self.same_key(sql, source, &relation.primary_key, &|sql, _, value| value(sql))
    }

    /// Whether a row has the key that `k.value` is: an array of its columns' values, of which `made` makes what is stored.
    pub(super) fn same_key(
        &self,
        sql: &mut Sql,
        source: Source,
        key: &[usize],
        made: &dyn Fn(&mut Sql, usize, Write<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        sql.list(" AND ", key.iter().enumerate(), |sql, (i, place)| {
            self.key_column(sql, source, *place)?;
            sql.raw(" IS ");
            // A BLOB travels as {"b": hexadecimal}: see `encode::keys_json`.
            made(sql, *place, &|sql| {
                sql.raw("CASE json_type(k.value, '$[")
                    .number(i)
                    .raw("]') WHEN 'object' THEN unhex(k.value ->> '$[");
                sql.number(i).raw("].b') ELSE k.value ->> '$[").number(i).raw("]' END");
                Ok(())
            })
        })
    }

    /// ` GROUP BY …`: what is selected beside aggregates says which rows go together.
    pub(super) fn group_clause(&self, sql: &mut Sql, read: &Read) -> Result<(), Error> {
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
}

pub(super) fn count_rows(sql: &mut Sql, cast: Option<CastType>) -> Result<(), Error> {
    cast_value(sql, cast, false, &|sql| {
        sql.raw("count(*)");
        Ok(())
    })
}

pub(super) fn limit_clause(sql: &mut Sql, read: &Read) {
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
