//! Writes: which columns get which values, and what is told of the rows.

use std::collections::HashSet;

use super::build::Build;
use super::{
    Alias, Change, Conflict, Delete, Expr, FieldValue, Insert, InsertRows, Precondition, Read, Returning,
    Source, Update,
};
use crate::api_request::ApiRequest;
use crate::compile::denied;
use crate::encode::keys_json;
use crate::error::Error;
use crate::filter::{Comparison, Condition, Operand, Test};
use crate::payload::{Json, Payload};
use crate::plan::literal;
use crate::preferences::{Missing, Resolution, Return};
use crate::schema::{Column, ColumnType, Relation, RelationId, RelationKind, RowKey};
use crate::value::Value;

impl Build<'_> {
    pub(super) fn insert(
        &mut self,
        id: RelationId,
        payload: &Payload,
        request: &ApiRequest,
    ) -> Result<Insert, Error> {
        let relation = self.relation(id)?;
        let conflict = match request.preferences.resolution {
            Some(resolution) => self.conflict(relation, resolution == Resolution::Merge)?,
            None => None,
        };
        self.insert_with(id, payload, request, conflict)
    }

    /// PUT: the one row of the URL's key, new or replaced.
    pub(super) fn put(
        &mut self,
        id: RelationId,
        payload: &Payload,
        request: &ApiRequest,
    ) -> Result<Insert, Error> {
        let relation = self.relation(id)?;
        if !self.params.limits.is_empty() || !self.params.offsets.is_empty() {
            return Err(Error::PutLimit);
        }
        let key = self.put_key(relation)?;
        let columns = given_columns(relation, payload)?;
        let [row] = payload.rows.as_slice() else { return Err(Error::PutKey) };
        let values = values(relation, &columns, row)?;
        let has = |(place, wanted): &(usize, Value)| {
            columns.iter().zip(&values).any(|(column, value)| column == place && value == wanted)
        };
        if !key.iter().all(has) {
            return Err(Error::PutKey);
        }
        let conflict = Conflict { key: relation.primary_key.clone(), merge: true };
        let insert = self.insert_with(id, payload, request, Some(conflict))?;
        Ok(Insert { put: true, precondition: self.precondition(id, request)?, ..insert })
    }

    fn insert_with(
        &mut self,
        id: RelationId,
        payload: &Payload,
        request: &ApiRequest,
        conflict: Option<Conflict>,
    ) -> Result<Insert, Error> {
        self.may(id, |access| access.insert.is_any())?;
        let relation = self.relation(id)?;
        // A wrong column is told before a relation that cannot be written.
        let columns = given_columns(relation, payload)?;
        writable(relation, relation.writable.insert, "insert into")?;
        if conflict.is_some() && !relation.takes_conflicts() {
            return Err(Error::NotImplemented(
                "An upsert through a view that has INSTEAD OF triggers or does not show every row".to_owned(),
            ));
        }
        let rows = runs(relation, &columns, payload, request.preferences.missing)?;
        let returning = match request.preferences.representation {
            // Also where nothing is returned: a wrong `select` is an error all the same.
            Some(Return::HeadersOnly) => self.root(id).map(|_| Returning::Location)?,
            _ => {
                let gives_key =
                    |run: &InsertRows| relation.primary_key.iter().all(|at| run.columns.contains(at));
                self.read_back(id, request, rows.iter().all(gives_key))?
            }
        };
        let target = Source { relation: id, alias: Alias::Own };
        Ok(Insert { target, rows, conflict, put: false, returning, precondition: None })
    }

    /// The key by which rows are the same: `on_conflict`, or the primary key. A relation without one has no conflicts.
    fn conflict(&self, relation: &Relation, merge: bool) -> Result<Option<Conflict>, Error> {
        let Some(names) = &self.params.on_conflict else {
            let key = relation.primary_key.clone();
            return Ok((!key.is_empty()).then_some(Conflict { key, merge }));
        };
        let key =
            names.iter().map(|name| super::value::column(relation, name)).collect::<Result<Vec<_>, _>>()?;
        if !relation.is_unique(&key) {
            return Err(Error::NoUniqueKey);
        }
        Ok(Some(Conflict { key, merge }))
    }

    /// The primary key of a PUT, from filters that must be it and nothing else.
    fn put_key(&self, relation: &Relation) -> Result<Vec<(usize, Value)>, Error> {
        let mut key = Vec::new();
        for (path, condition) in &self.params.filters {
            let (true, Condition::Filter(filter)) = (path.is_empty(), condition) else {
                return Err(Error::PutFilters);
            };
            let Test::Compare(Comparison::Eq, Operand::One(text)) = &filter.test else {
                return Err(Error::PutFilters);
            };
            let place =
                relation.column(&filter.field.name).filter(|place| relation.primary_key.contains(place));
            match place.and_then(|place| Some((place, relation.columns.get(place)?))) {
                Some((place, column)) if !filter.negated && filter.field.path.is_empty() => {
                    key.push((place, literal::from_text(sent_type(column), text)?));
                }
                _ => return Err(Error::PutFilters),
            }
        }
        let has = |place: &usize| key.iter().any(|(known, _)| known == place);
        let is_whole = !relation.primary_key.is_empty() && relation.primary_key.iter().all(has);
        if !is_whole || key.len() != relation.primary_key.len() {
            return Err(Error::PutFilters);
        }
        Ok(key)
    }

    pub(super) fn update(
        &mut self,
        id: RelationId,
        payload: &Payload,
        request: &ApiRequest,
    ) -> Result<Update, Error> {
        self.may(id, |access| access.update.is_any())?;
        let relation = self.relation(id)?;
        writable(relation, relation.writable.update, "update")?;
        let columns = given_columns(relation, payload)?;
        let is_by_key = payload.array
            && (payload.rows.is_empty()
                || payload.rows.len() > 1
                || self.params.on_conflict.is_some()
                || self.own_filters() == 0
                    && !relation.primary_key.is_empty()
                    && relation.primary_key.iter().all(|place| columns.contains(place)));
        let (target, changes) = if is_by_key {
            self.changes_by_key(id, relation, &columns, payload, request)?
        } else {
            let (target, conditions) = self.filtered(id, "UPDATE")?;
            let assignments = match payload.rows.first() {
                Some(row) => assignments(relation, &columns, row, request.preferences.missing)?,
                None => Vec::new(),
            };
            (target, vec![Change { assignments, conditions }])
        };
        let changes = changes.into_iter().filter(|change| !change.assignments.is_empty()).collect();
        let precondition = self.precondition(id, request)?;
        let keeps_key = !columns.iter().any(|place| relation.primary_key.contains(place)) || is_by_key;
        Ok(Update { target, changes, returning: self.read_back(id, request, keeps_key)?, precondition })
    }

    /// PATCH of an array: the new values of each row, found by its key. Beyond PostgREST.
    fn changes_by_key(
        &mut self,
        id: RelationId,
        relation: &Relation,
        columns: &[usize],
        payload: &Payload,
        request: &ApiRequest,
    ) -> Result<(Source, Vec<Change>), Error> {
        let key = match self.conflict(relation, true)? {
            Some(conflict) => conflict.key,
            None if payload.rows.is_empty() => Vec::new(),
            None => return Err(Error::NoUniqueKey),
        };
        if key.iter().any(|place| relation.columns.get(*place).is_none_or(|column| column.hidden)) {
            // To find rows by a key is to filter by it.
            return Err(denied(relation));
        }
        let names: Vec<&str> = relation.column_names(&key).collect();
        let without =
            || Error::Body(format!("Every object must have the columns of the key: {}", names.join(", ")));
        let (target, shared) = self.conditions(id)?;
        let mut changes = Vec::with_capacity(payload.rows.len());
        let mut seen = HashSet::with_capacity(payload.rows.len());
        for row in &payload.rows {
            let all = assignments(relation, columns, row, request.preferences.missing)?;
            let mut conditions = shared.clone();
            let mut own = Vec::with_capacity(key.len());
            for place in &key {
                let value =
                    all.iter().find(|(column, _)| column == place).and_then(|(_, value)| value.clone());
                let value = value.filter(|value| *value != Value::Null).ok_or_else(without)?;
                own.push(value.clone());
                let column = Expr::Column(super::value::whole_column(target, *place));
                let stored = stored(relation, *place, value);
                conditions.push(Expr::Compare(Comparison::Eq, Box::new(column), Box::new(stored)));
            }
            if !seen.insert(keys_json(&[own])) {
                return Err(Error::Body("Two objects have the same key".to_owned()));
            }
            let assignments = all.into_iter().filter(|(column, _)| !key.contains(column)).collect();
            changes.push(Change { assignments, conditions });
        }
        Ok((target, changes))
    }

    /// What must hold of the rows that a GET of the same URL gives.
    fn precondition(&mut self, id: RelationId, request: &ApiRequest) -> Result<Option<Precondition>, Error> {
        if request.conditional.is_none() {
            return Ok(None);
        }
        let mut read = self.root(id)?;
        if read.limit.is_some() || read.offset > 0 {
            // The write is of every row that the filters find.
            return Err(Error::NotImplemented("If-Match or If-None-Match with limit or offset".to_owned()));
        }
        if read.conditions.len() > self.own_filters() {
            // `!inner` says which rows are shown, not which are written.
            return Err(Error::NotImplemented("If-Match or If-None-Match with an inner embed".to_owned()));
        }
        self.cap(&mut read);
        // Where a GET would leave rows out, its tag is not that of all the rows that are written.
        read.limit = None;
        Ok(Some(Precondition { read, tests: request.conditional.clone() }))
    }

    /// How many filters of the query string are for the relation itself.
    fn own_filters(&self) -> usize {
        self.params.filters.iter().filter(|(path, _)| path.is_empty()).count()
    }

    pub(super) fn delete(&mut self, id: RelationId, request: &ApiRequest) -> Result<Delete, Error> {
        self.may(id, |access| access.delete.is_some())?;
        let relation = self.relation(id)?;
        writable(relation, relation.writable.delete, "delete from")?;
        let (target, conditions) = self.filtered(id, "DELETE")?;
        let precondition = self.precondition(id, request)?;
        Ok(Delete { target, conditions, returning: self.returning(id, request)?, precondition })
    }

    /// The filters of the query string for the relation itself, for a statement that writes it.
    fn filtered(&mut self, id: RelationId, verb: &'static str) -> Result<(Source, Vec<Expr>), Error> {
        let (target, conditions) = self.conditions(id)?;
        if self.own_filters() == 0 && self.config.api.require_filter {
            return Err(Error::UnsafeWrite(verb));
        }
        Ok((target, conditions))
    }

    fn conditions(&mut self, id: RelationId) -> Result<(Source, Vec<Expr>), Error> {
        if self.own_filters() > 0 {
            self.seen(id)?;
        }
        let target = Source { relation: id, alias: Alias::Own };
        let params = self.params;
        let select = params.select.as_deref().unwrap_or_default();
        // Only its conditions are wanted; `select` is there for the filters that name an embed.
        let read = self.read_from(target, select, &mut Vec::new())?;
        // `!inner` says which rows are shown, not which are written.
        let first = read.conditions.len().saturating_sub(self.own_filters());
        Ok((target, read.conditions.into_iter().skip(first).collect()))
    }

    /// The rows of an insert or update are found by their keys: what was filtered by may have changed.
    /// `gives_key`: whether the key of every row is known before the write.
    pub(super) fn read_back(
        &mut self,
        id: RelationId,
        request: &ApiRequest,
        gives_key: bool,
    ) -> Result<Returning, Error> {
        let returning = self.returning(id, request)?;
        let Returning::Rows(mut read) = returning else { return Ok(returning) };
        read.conditions.truncate(read.conditions.len().saturating_sub(self.own_filters()));
        let relation = self.relation(id)?;
        // A trigger may choose another key than the one that is given, and does not tell. (That the key of a view names one
        // row is not always known; `reply` refuses to tell of more rows than were written.)
        let has_key = match (&relation.row_key, &relation.rewrite) {
            (RowKey::Rowid(_) | RowKey::PrimaryKey, _) => true,
            (RowKey::None, Some(_)) => relation.key_is_sure,
            (RowKey::None, None) => gives_key && !relation.primary_key.is_empty(),
        };
        // A row that the view does not show, or no longer, cannot be read through it.
        let may_leave = relation.rewrite.as_ref().is_some_and(|rewrite| !rewrite.whole);
        match (has_key, is_written(relation, &read)) {
            (true, true) if may_leave => Ok(Returning::Written(read)),
            (true, _) => Ok(Returning::Rows(read)),
            (false, true) => Ok(Returning::Written(read)),
            (false, false) => {
                let what = "More than bare columns of rows that are written through a view without their key";
                Err(Error::NotImplemented(what.to_owned()))
            }
        }
    }

    fn returning(&mut self, id: RelationId, request: &ApiRequest) -> Result<Returning, Error> {
        let is_told = request.preferences.representation == Some(Return::Representation);
        let relation = self.relation(id)?;
        if !is_told && relation.access.as_ref().is_some_and(|access| access.select.is_none()) {
            return Ok(Returning::Count);
        }
        if is_told && self.params.select.is_none() && relation.columns.iter().any(|column| column.hidden) {
            // Who writes is told of the whole row, as in PostgREST, or names what of it is wanted.
            return Err(denied(relation));
        }
        let mut read = self.root(id)?;
        if !is_told {
            return Ok(Returning::Count);
        }
        if read.distinct {
            return Err(Error::NotImplemented("distinct() of the rows of a write".to_owned()));
        }
        // A write concerns every row that it names; a page of them would be told of wrongly.
        (read.limit, read.offset) = (None, 0);
        Ok(Returning::Rows(read))
    }
}

/// Whether a read is of bare columns in the order of the write, as RETURNING can give them.
fn is_written(relation: &Relation, read: &Read) -> bool {
    let is_there = |place: usize| match &relation.rewrite {
        Some(rewrite) => rewrite.columns.get(place).is_some_and(Option::is_some),
        None => true,
    };
    read.order.is_empty()
        && read.conditions.is_empty()
        && read.fields.iter().all(|field| match &field.value {
            FieldValue::Column(value) => {
                let is_whole = value.path.is_none() && value.cast.is_none() && value.aggregate.is_none();
                is_whole && is_there(value.column.column)
            }
            _ => false,
        })
}

pub(super) fn writable(relation: &Relation, takes: bool, verb: &'static str) -> Result<(), Error> {
    if takes {
        return Ok(());
    }
    Err(Error::NotWritable {
        verb,
        kind: if relation.kind == RelationKind::View { "view" } else { "virtual table" },
        relation: relation.name.clone(),
    })
}

/// The places of the payload's columns.
pub(super) fn given_columns(relation: &Relation, payload: &Payload) -> Result<Vec<usize>, Error> {
    payload
        .columns
        .iter()
        .map(|name| {
            let place = relation
                .written_column(name)
                .filter(|place| relation.columns.get(*place).is_some_and(|c| c.computed.is_none()))
                .ok_or_else(|| Error::NoColumn { column: name.clone(), relation: relation.name.clone() })?;
            match relation.columns.get(place) {
                Some(column) if column.generated => Err(Error::Generated { column: name.clone() }),
                _ => Ok(place),
            }
        })
        .collect()
}

/// The type of what a client sends for a column.
pub(super) fn sent_type(column: &Column) -> ColumnType {
    let representation =
        column.representation.as_ref().filter(|representation| representation.write.is_some());
    representation.map_or(column.column_type, |representation| representation.column_type)
}

/// What a client sends for a column, as it is stored.
fn stored(relation: &Relation, place: usize, value: Value) -> Expr {
    match relation.representation(place).and_then(|representation| representation.write.clone()) {
        Some(write) => Expr::Represented(write, value),
        None => Expr::Value(value),
    }
}

fn values(relation: &Relation, columns: &[usize], row: &[Option<Json>]) -> Result<Vec<Value>, Error> {
    columns
        .iter()
        .zip(row)
        .map(|(place, json)| match (relation.columns.get(*place), json) {
            (Some(column), Some(json)) => literal::from_json(sent_type(column), json),
            _ => Ok(Value::Null),
        })
        .collect()
}

/// The columns that a row of a PATCH sets, `None` for their default.
fn assignments(
    relation: &Relation,
    columns: &[usize],
    row: &[Option<Json>],
    missing: Option<Missing>,
) -> Result<Vec<(usize, Option<Value>)>, Error> {
    let values = values(relation, columns, row)?;
    let given = row.iter().map(|json| json.is_some() || missing != Some(Missing::Default));
    let values = values.into_iter().zip(given).map(|(value, given)| given.then_some(value));
    Ok(columns.iter().copied().zip(values).collect())
}

/// The rows in runs that give the same columns: with `missing=default` a row leaves out what it does not name.
fn runs(
    relation: &Relation,
    columns: &[usize],
    payload: &Payload,
    missing: Option<Missing>,
) -> Result<Vec<InsertRows>, Error> {
    let mut runs: Vec<InsertRows> = Vec::new();
    for row in &payload.rows {
        let mut all = values(relation, columns, row)?;
        let mut given = columns.to_vec();
        if missing == Some(Missing::Default) {
            let keep = || row.iter().map(Option::is_some);
            given = given.into_iter().zip(keep()).filter(|(_, keep)| *keep).map(|(place, _)| place).collect();
            all = all.into_iter().zip(keep()).filter(|(_, keep)| *keep).map(|(value, _)| value).collect();
        }
        match runs.last_mut().filter(|run| run.columns == given) {
            Some(run) => run.values.push(all),
            None => runs.push(InsertRows { columns: given, values: vec![all] }),
        }
    }
    Ok(runs)
}
