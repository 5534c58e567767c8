//! Writes: which columns get which values, and what is told of the rows.

use super::build::Build;
use super::{Delete, Expr, FieldValue, Insert, Read, Returning, Source, Update};
use crate::api_request::ApiRequest;
use crate::error::Error;
use crate::payload::{Json, Payload};
use crate::plan::literal;
use crate::preferences::Return;
use crate::schema::{Relation, RelationId, RelationKind, RowKey};
use crate::value::Value;

impl Build<'_> {
    pub(super) fn insert(
        &mut self,
        id: RelationId,
        payload: &Payload,
        request: &ApiRequest,
    ) -> Result<Insert, Error> {
        let relation = self.relation(id)?;
        writable(relation, relation.writable.insert, "insert into")?;
        let columns = given_columns(relation, payload)?;
        let rows =
            payload.rows.iter().map(|row| values(relation, &columns, row)).collect::<Result<Vec<_>, _>>()?;
        let returning = match request.preferences.representation {
            Some(Return::HeadersOnly) => Returning::Location,
            _ => self.read_back(id, request)?,
        };
        Ok(Insert { target: Source { relation: id, alias: None }, columns, rows, returning })
    }

    pub(super) fn update(
        &mut self,
        id: RelationId,
        payload: &Payload,
        request: &ApiRequest,
    ) -> Result<Update, Error> {
        let relation = self.relation(id)?;
        writable(relation, relation.writable.update, "update")?;
        let columns = given_columns(relation, payload)?;
        let assignments = match payload.rows.as_slice() {
            [] => Vec::new(),
            [row] => columns.iter().copied().zip(values(relation, &columns, row)?).collect(),
            _ => {
                return Err(Error::Body(
                    "PATCH takes one object: the new values of every filtered row".to_owned(),
                ));
            }
        };
        let (target, conditions) = self.filtered(id)?;
        Ok(Update { target, assignments, conditions, returning: self.read_back(id, request)? })
    }

    pub(super) fn delete(&mut self, id: RelationId, request: &ApiRequest) -> Result<Delete, Error> {
        let relation = self.relation(id)?;
        writable(relation, relation.writable.delete, "delete from")?;
        let (target, conditions) = self.filtered(id)?;
        Ok(Delete { target, conditions, returning: self.returning(id, request)? })
    }

    /// The filters of the query string for the relation itself, for a statement that writes it.
    fn filtered(&mut self, id: RelationId) -> Result<(Source, Vec<Expr>), Error> {
        let target = Source { relation: id, alias: None };
        let read = self.read_from(target, &[], &mut Vec::new())?;
        Ok((target, read.conditions))
    }

    /// The rows of an insert or update are found by their keys: what was filtered by may have changed.
    fn read_back(&mut self, id: RelationId, request: &ApiRequest) -> Result<Returning, Error> {
        let mut returning = self.returning(id, request)?;
        if let Returning::Rows(read) = &mut returning {
            read.conditions.retain(|condition| matches!(condition, Expr::Exists(_)));
        }
        Ok(returning)
    }

    fn returning(&mut self, id: RelationId, request: &ApiRequest) -> Result<Returning, Error> {
        // Also where nothing is returned: a wrong `select` is an error all the same.
        let mut read = self.root(id)?;
        if request.preferences.representation != Some(Return::Representation) {
            return Ok(Returning::Count);
        }
        if self.relation(id)?.row_key == RowKey::None && has_embed(&read) {
            return Err(Error::NotImplemented(
                "Embedding into the rows of a write through a view".to_owned(),
            ));
        }
        // A write concerns every row that it names; a page of them would be told of wrongly.
        (read.limit, read.offset) = (None, 0);
        Ok(Returning::Rows(read))
    }
}

fn has_embed(read: &Read) -> bool {
    read.conditions.iter().any(|c| matches!(c, Expr::Exists(_)))
        || read.fields.iter().any(|f| matches!(f.value, FieldValue::Embed(_)))
}

fn writable(relation: &Relation, takes: bool, verb: &'static str) -> Result<(), Error> {
    if takes {
        Ok(())
    } else {
        Err(Error::NotWritable {
            verb,
            kind: if relation.kind == RelationKind::View { "view" } else { "virtual table" },
            relation: relation.name.clone(),
        })
    }
}

/// The places of the payload's columns.
fn given_columns(relation: &Relation, payload: &Payload) -> Result<Vec<usize>, Error> {
    payload
        .columns
        .iter()
        .map(|name| {
            let place = relation
                .column(name)
                .ok_or_else(|| Error::NoColumn { column: name.clone(), relation: relation.name.clone() })?;
            match relation.columns.get(place) {
                Some(column) if column.generated => Err(Error::Generated { column: name.clone() }),
                _ => Ok(place),
            }
        })
        .collect()
}

fn values(relation: &Relation, columns: &[usize], row: &[Option<Json>]) -> Result<Vec<Value>, Error> {
    columns
        .iter()
        .zip(row)
        .map(|(place, json)| match (relation.columns.get(*place), json) {
            (Some(column), Some(json)) => literal::from_json(column.column_type, json),
            _ => Ok(Value::Null),
        })
        .collect()
}
