//! Inserts of rows with others inside: `{"name": "x", "albums": [{"title": "y"}]}`. A key that is no column but names a
//! relationship, as an embed would, holds rows of the other relation. Beyond PostgREST.

use serde_json::value::RawValue;

use super::build::Build;
use super::write::{given_columns, sent_type, writable};
use super::{Alias, InsertTree, Returning, Source, TreeRow, TreeValue};
use crate::api_request::ApiRequest;
use crate::error::Error;
use crate::grammar::MAX_DEPTH;
use crate::payload::{Json, Payload};
use crate::plan::literal;
use crate::preferences::Return;
use crate::schema::{Relation, RelationId, Relationship, RowKey};
use crate::select::{Embed, Join};

/// How many rows one request may insert with others inside: each is a statement.
const MAX_ROWS: usize = 10_000;

/// The columns of a row that are those of a row inserted before.
type Links = Vec<(usize, TreeValue)>;

/// A value of a row with what it means.
enum Member {
    /// A column's.
    Column(usize),
    /// Rows of another relation.
    Rows(Relationship),
}

impl Build<'_> {
    /// Whether a body has rows inside rows.
    pub(super) fn has_rows_inside(&self, relation: &Relation, id: RelationId, payload: &Payload) -> bool {
        let is_inside = |name: &String| {
            relation.written_column(name).is_none() && {
                let (target, hint) = split_hint(name);
                !self.schema.relationships(id, target, hint).is_empty()
            }
        };
        payload.columns.iter().any(is_inside)
    }

    pub(super) fn insert_tree(
        &mut self,
        id: RelationId,
        payload: &Payload,
        request: &ApiRequest,
    ) -> Result<InsertTree, Error> {
        if request.preferences.resolution.is_some() {
            return Err(Error::NotImplemented("An upsert of rows with others inside".to_owned()));
        }
        let mut rows = Vec::new();
        self.tree(id, payload, &Vec::new(), 0, &mut rows)?;
        let returning = match request.preferences.representation {
            Some(Return::HeadersOnly) => self.root(id).map(|_| Returning::Location)?,
            _ => self.read_back(id, request, true)?,
        };
        Ok(InsertTree { target: Source { relation: id, alias: Alias::Own }, rows, returning })
    }

    /// Adds the rows of one relation with all that is inside them; gives the places of these rows.
    fn tree(
        &self,
        id: RelationId,
        payload: &Payload,
        links: &Links,
        depth: usize,
        rows: &mut Vec<TreeRow>,
    ) -> Result<Vec<usize>, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::TooComplex(format!("rows may lie {MAX_DEPTH} deep in each other")));
        }
        self.may(id, |access| access.insert.is_any())?;
        let relation = self.relation(id)?;
        writable(relation, relation.writable.insert, "insert into")?;
        if relation.row_key == RowKey::None && relation.rewrite.is_none() {
            return Err(Error::NotImplemented("Rows inside rows through a view".to_owned()));
        }
        let members = self.members(id, relation, payload)?;
        let mut places = Vec::with_capacity(payload.rows.len());
        for row in &payload.rows {
            let mut values: Links = links.clone();
            let mut inside = Vec::new();
            for (member, json) in members.iter().zip(row) {
                let Some(json) = json else { continue };
                match member {
                    Member::Column(place) => {
                        let column = relation.columns.get(*place);
                        let column = column.ok_or_else(|| Error::Internal(format!("no column {place}")))?;
                        let value = TreeValue::Given(literal::from_json(sent_type(column), json)?);
                        set(relation, &mut values, *place, value)?;
                    }
                    Member::Rows(relationship) => {
                        let rows = rows_inside(relationship, json)?;
                        inside.extend(rows.into_iter().map(|payload| (relationship, payload)));
                    }
                }
            }
            // What this row refers to comes before it, what refers to it behind.
            let (before, behind): (Vec<_>, Vec<_>) = inside.into_iter().partition(|(r, _)| r.is_forward);
            for (relationship, payload) in before {
                for row in self.tree(relationship.target, &payload, &Vec::new(), depth + 1, rows)? {
                    for (own, theirs) in &relationship.columns {
                        set(relation, &mut values, *own, TreeValue::Of { row, column: *theirs })?;
                    }
                }
            }
            let place = rows.len();
            if place >= MAX_ROWS {
                return Err(Error::TooComplex(format!("rows with others inside may be {MAX_ROWS}")));
            }
            rows.push(TreeRow { relation: id, values, is_root: depth == 0 });
            places.push(place);
            for (relationship, payload) in behind {
                self.behind(place, relationship, &payload, depth, rows)?;
            }
        }
        Ok(places)
    }

    /// Adds rows that refer to the one at `place`, themselves or through a junction.
    fn behind(
        &self,
        place: usize,
        relationship: &Relationship,
        payload: &Payload,
        depth: usize,
        rows: &mut Vec<TreeRow>,
    ) -> Result<(), Error> {
        let own = |pairs: &[(usize, usize)]| -> Links {
            pairs.iter().map(|(own, theirs)| (*theirs, TreeValue::Of { row: place, column: *own })).collect()
        };
        let Some(junction) = &relationship.junction else {
            let links = own(&relationship.columns);
            return self.tree(relationship.target, payload, &links, depth + 1, rows).map(drop);
        };
        let relation = self.relation(junction.relation)?;
        writable(relation, relation.writable.insert, "insert into")?;
        for row in self.tree(relationship.target, payload, &Vec::new(), depth + 1, rows)? {
            let mut values = own(&relationship.columns);
            for (column, theirs) in &junction.columns {
                set(relation, &mut values, *column, TreeValue::Of { row, column: *theirs })?;
            }
            rows.push(TreeRow { relation: junction.relation, values, is_root: false });
        }
        Ok(())
    }

    /// What each key of the rows means.
    fn members(&self, id: RelationId, relation: &Relation, payload: &Payload) -> Result<Vec<Member>, Error> {
        let mut members = Vec::with_capacity(payload.columns.len());
        for name in &payload.columns {
            let (target, hint) = split_hint(name);
            let is_column = relation.written_column(name).is_some();
            if is_column || self.schema.relationships(id, target, hint).is_empty() {
                let one = Payload { columns: vec![name.clone()], rows: Vec::new(), array: false };
                members.extend(given_columns(relation, &one)?.into_iter().map(Member::Column));
                continue;
            }
            let embed = Embed {
                target: target.to_owned(),
                alias: None,
                hint: hint.map(str::to_owned),
                join: Join::Left,
                spread: false,
                select: Vec::new(),
            };
            let relationship = self.relationship(id, &embed)?;
            if relationship.computed.is_some() {
                return Err(Error::NotImplemented("Rows inside rows by a computed relationship".to_owned()));
            }
            members.push(Member::Rows(relationship));
        }
        Ok(members)
    }
}

/// `albums!fk`
fn split_hint(name: &str) -> (&str, Option<&str>) {
    name.split_once('!').map_or((name, None), |(target, hint)| (target, Some(hint)))
}

/// Gives a column its value; two for one column cannot both be meant.
fn set(relation: &Relation, values: &mut Links, place: usize, value: TreeValue) -> Result<(), Error> {
    if values.iter().any(|(known, _)| *known == place) {
        let name = relation.columns.get(place).map_or("", |column| column.name.as_str());
        let message = format!(
            "'{name}' of '{}' is given, and is that of a row which it lies in or holds",
            relation.name
        );
        return Err(Error::Body(message));
    }
    values.push((place, value));
    Ok(())
}

/// The rows inside a row: an array, or where there can be but one also an object. Null is none. Their keys need not match.
fn rows_inside(relationship: &Relationship, json: &Json) -> Result<Vec<Payload>, Error> {
    let wrong = || Error::Body("Rows inside rows are an array of objects, or an object".to_owned());
    let text = match json {
        Json::Null => return Ok(Vec::new()),
        Json::Nested(text) => text,
        Json::Bool(_) | Json::Number(_) | Json::Text(_) => return Err(wrong()),
    };
    let rows: Vec<&RawValue> = match text.starts_with('[') {
        true => serde_json::from_str(text).map_err(|_| wrong())?,
        false => vec![serde_json::from_str(text).map_err(|_| wrong())?],
    };
    if relationship.cardinality.is_to_one() && rows.len() > 1 {
        return Err(Error::Body("A to-one relationship has one row inside".to_owned()));
    }
    rows.into_iter()
        .map(|row| match row.get().starts_with('{') {
            true => Payload::parse(row.get().as_bytes(), None),
            false => Err(wrong()),
        })
        .collect()
}
