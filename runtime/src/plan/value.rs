//! Columns and what is made of them: JSON paths, casts, aggregates.

use super::{CastType, ColumnRef, ColumnValue, FieldValue, JsonPath, Source};
use crate::compile::denied;
use crate::error::Error;
use crate::field::{Field, JsonKey, JsonStep};
use crate::schema::{ColumnType, Relation};
use crate::select::{Aggregate, SelectColumn};

/// The place of a column that a read names.
pub(super) fn column(relation: &Relation, name: &str) -> Result<usize, Error> {
    relation.column(name).ok_or_else(|| match relation.columns.iter().any(|column| column.hidden) {
        // What is hidden is told of in the same words as what is not there.
        true => denied(relation),
        false => Error::UndefinedColumn {
            column: name.to_owned(),
            relation: relation.name.clone(),
            near: relation.near_column(name),
        },
    })
}

/// What a filter or an order names.
pub(super) fn field_value(source: Source, relation: &Relation, field: &Field) -> Result<ColumnValue, Error> {
    Ok(ColumnValue {
        column: ColumnRef { source, column: column(relation, &field.name)? },
        represented: false,
        path: json_path(&field.path),
        cast: None,
        aggregate: None,
        aggregate_cast: None,
    })
}

/// The name and value of a selected column.
pub(super) fn selected(
    source: Source,
    relation: &Relation,
    item: &SelectColumn,
) -> Result<super::Field, Error> {
    let cast = item.cast.as_deref().map(cast_type).transpose()?;
    let aggregate_cast = item.aggregate_cast.as_deref().map(cast_type).transpose()?;
    let name = item.alias.as_deref().unwrap_or_else(|| match item.aggregate {
        Some(aggregate) => aggregate.name(),
        None => item.field.output_name(),
    });
    let value = if item.field.name.is_empty() {
        FieldValue::CountRows(aggregate_cast)
    } else {
        let value = field_value(source, relation, &item.field)?;
        let value = ColumnValue { cast, aggregate: item.aggregate, aggregate_cast, ..value };
        FieldValue::Column(as_told(relation, value))
    };
    Ok(super::Field { name: name.to_owned(), value })
}

/// A bare column as it is told.
pub(super) fn as_told(relation: &Relation, value: ColumnValue) -> ColumnValue {
    let is_other = relation.read_representation(value.column.column).is_some_and(|r| r.read.is_some());
    ColumnValue { represented: is_other && value.is_bare(), ..value }
}

/// `count` without parentheses, where the relation has no such column: the number of rows. Clients of PostgREST asked for it
/// so before there were aggregates, and still do: `select=name,orders(count)`.
pub(super) fn bare_count(relation: &Relation, item: &SelectColumn) -> Option<SelectColumn> {
    let is_bare = item.field.name == "count" && item.field.path.is_empty() && item.aggregate.is_none();
    (is_bare && relation.column("count").is_none()).then(|| SelectColumn {
        alias: item.alias.clone(),
        aggregate: Some(Aggregate::Count),
        aggregate_cast: item.cast.clone(),
        ..SelectColumn::default()
    })
}

/// The whole column.
pub(super) fn whole_column(source: Source, column: usize) -> ColumnValue {
    ColumnValue::whole(ColumnRef { source, column })
}

impl ColumnValue {
    /// The type by which literals are read that are compared with it.
    pub(super) fn literal_type(&self, relation: &Relation) -> ColumnType {
        match &self.path {
            Some(path) if path.as_text => ColumnType::Text,
            Some(_) => ColumnType::Json,
            None => relation.columns.get(self.column.column).map_or(ColumnType::Any, |c| c.column_type),
        }
    }
}

/// `$."a"[0]`. SQLite ends a quoted name at the next quote, so a name that has one cannot be said.
fn json_path(steps: &[JsonStep]) -> Option<JsonPath> {
    let last = steps.last()?;
    let mut path = String::from("$");
    let mut can = true;
    for step in steps {
        match &step.key {
            JsonKey::Member(name) => {
                can &= !name.contains(['"', '\\']);
                path.push_str(&format!(".\"{name}\""));
            }
            JsonKey::Element(index @ 0..) => path.push_str(&format!("[{index}]")),
            JsonKey::Element(index) => path.push_str(&format!("[#{index}]")),
        }
    }
    Some(JsonPath { path: can.then_some(path), as_text: last.as_text })
}

/// The type that a name means in PostgreSQL or SQLite.
fn cast_type(name: &str) -> Result<CastType, Error> {
    let lower = name.to_ascii_lowercase();
    let word = lower.split(['(', ' ']).next().unwrap_or_default();
    Ok(match word {
        "text" | "varchar" | "character" | "char" | "bpchar" | "name" | "citext" | "uuid" | "date"
        | "time" | "timetz" | "timestamp" | "timestamptz" | "interval" | "bytea" | "blob" => CastType::Text,
        "integer" | "int" | "int2" | "int4" | "int8" | "smallint" | "bigint" | "serial" | "bigserial" => {
            CastType::Integer
        }
        "real" | "double" | "float" | "float4" | "float8" => CastType::Real,
        "numeric" | "decimal" | "money" => CastType::Numeric,
        "boolean" | "bool" => CastType::Boolean,
        "json" | "jsonb" => CastType::Json,
        _ => return Err(Error::UndefinedType(name.to_owned())),
    })
}
