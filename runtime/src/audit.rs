//! What a request did, for a record that the shell keeps (an audit log). Told only where the shell asks for it, to the shell alone.
//!
//! Pure, and plain data: which records are kept, and where, is the shell's.

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::api_request::{Access, Action, ApiRequest};
use crate::compile::{Named, naming};
use crate::error::Error;
use crate::plan::Plan;
use crate::run::Outcome;
use crate::schema::{RelationId, SchemaCache};
use crate::value::ValueRef;

/// The most keys that are told of one request; of other rows only the number is.
pub const MOST_KEYS: usize = 100;

/// The most bytes of keys that are told of one request.
pub const MOST_KEY_BYTES: usize = 8 << 10;

/// Of which requests a shell wants to be told what they did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audits {
    /// Of none.
    #[default]
    None,
    /// Of those that write, and of those that are refused.
    Writes,
    /// Of those that read, too.
    All,
}

/// What a request did to one relation, or would have done had it not been refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// What was done.
    pub operation: Operation,
    /// The table, view or function.
    pub relation: String,
    /// The table that was written, where that is not the relation: of a simple view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// How many rows were written or read; none where that is not known: of a function that returns none, of rows that are sent while
    /// they are read. What triggers and cascades write is not among them.
    pub rows: Option<u64>,
    /// The names of the key's columns: those of the primary key, or the rowid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// The keys of the rows that were written, as they are stored: behind an update the new ones. A BLOB is base64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Vec<Json>>,
    /// How many rows have a key that is not among them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

/// What is done to a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Rows are read.
    Select,
    /// New rows.
    Insert,
    /// New rows, or new values for those that are there.
    Upsert,
    /// New values.
    Update,
    /// Rows are removed.
    Delete,
    /// A function that may write is called.
    Call,
}

impl Act {
    /// That rows of a relation were read.
    pub fn read(relation: &str, rows: Option<u64>) -> Act {
        Act {
            operation: Operation::Select,
            relation: relation.to_owned(),
            table: None,
            rows,
            key: Vec::new(),
            keys: Vec::new(),
            more: 0,
        }
    }
}

impl Operation {
    /// Whether it may change rows.
    pub fn writes(self) -> bool {
        self != Operation::Select
    }
}

// serde hands over references.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Rows of one relation that were written.
#[derive(Clone, Debug, PartialEq)]
pub struct Touched {
    /// The relation.
    pub relation: RelationId,
    /// How many rows.
    pub rows: u64,
    /// Keys of the first of them.
    pub keys: Vec<Vec<Json>>,
    /// How long these are.
    bytes: usize,
}

/// Notes a row that a write returned, and gives the columns of it that are for others.
pub(crate) fn touch<'a, 'r>(
    touched: &mut Vec<Touched>,
    named: Option<Named>,
    row: &'a [ValueRef<'r>],
) -> &'a [ValueRef<'r>] {
    let Some(Named { relation, columns }) = named else { return row };
    let (row, key) = row.split_at(row.len().saturating_sub(columns));
    let of = match touched.iter().position(|of| of.relation == relation) {
        Some(at) => touched.get_mut(at),
        None => {
            touched.push(Touched { relation, rows: 0, keys: Vec::new(), bytes: 0 });
            touched.last_mut()
        }
    };
    if let Some(of) = of {
        of.rows += 1;
        of.bytes = of.bytes.saturating_add(key.iter().map(length).sum());
        // Once one is left out all others are, so that those that are told are the first.
        if of.keys.len() < MOST_KEYS && of.bytes <= MOST_KEY_BYTES {
            of.keys.push(key.iter().map(json).collect());
        }
    }
    row
}

fn length(value: &ValueRef<'_>) -> usize {
    match value {
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => 8,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
    }
}

fn json(value: &ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(i) => Json::from(*i),
        ValueRef::Real(r) => Json::from(*r),
        ValueRef::Text(text) => Json::from(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => Json::from(base64::engine::general_purpose::STANDARD.encode(bytes)),
    }
}

/// What a request did. `schema` is that of its role.
pub(crate) fn acts(schema: &SchemaCache, request: &ApiRequest, plan: &Plan, outcome: &Outcome) -> Vec<Act> {
    let Some(operation) = operation(request, Some(plan)) else { return Vec::new() };
    let act = |rows| act(schema, operation, &request.relation, rows);
    match plan {
        Plan::Read { .. } => vec![act((!outcome.streams).then_some(outcome.page_rows))],
        Plan::Call { call, .. } if operation == Operation::Select => {
            vec![act(call.read.as_ref().filter(|_| !outcome.streams).map(|_| outcome.page_rows))]
        }
        Plan::Call { call, .. } => vec![act(call.read.as_ref().map(|_| outcome.written))],
        _ if outcome.touched.is_empty() => vec![act(Some(outcome.written))],
        _ => {
            let named = outcome.touched.iter().filter_map(|touched| {
                let relation = schema.relations.get(touched.relation)?;
                let mut act = self::act(schema, operation, &relation.name, Some(touched.rows));
                act.key = naming(relation).into_iter().map(str::to_owned).collect();
                act.keys.clone_from(&touched.keys);
                act.more = touched.rows - touched.keys.len() as u64;
                Some(act)
            });
            let mut acts = named.collect();
            bound(&mut acts);
            acts
        }
    }
}

/// What a request would have done that is answered with an error of this status; nothing, if that is no refusal.
pub(crate) fn refused(request: &ApiRequest, error: &Error, status: u16) -> Vec<Act> {
    if !matches!(status, 401 | 403) {
        return Vec::new();
    }
    // Of several the one that is refused.
    let request = match (&request.action, error) {
        (Action::Batch(operations), Error::Operation { at, .. }) => operations.get(*at).unwrap_or(request),
        _ => request,
    };
    let act = |operation| Act {
        operation,
        relation: request.relation.clone(),
        table: None,
        rows: Some(0),
        key: Vec::new(),
        keys: Vec::new(),
        more: 0,
    };
    let is_told = request.audits != Audits::None;
    operation(&ApiRequest { audits: Audits::All, ..request.clone() }, None)
        .filter(|_| is_told)
        .map(act)
        .into_iter()
        .collect()
}

/// What of a request is told; none: nothing.
fn operation(request: &ApiRequest, plan: Option<&Plan>) -> Option<Operation> {
    let told = match request.audits {
        Audits::None => return None,
        Audits::Writes => request.access() == Access::Write,
        Audits::All => true,
    };
    let operation = match &request.action {
        Action::Read { .. } => Operation::Select,
        Action::Insert(_) => match plan {
            Some(Plan::Insert(insert)) if insert.conflict.as_ref().is_some_and(|c| c.merge) => {
                Operation::Upsert
            }
            _ => Operation::Insert,
        },
        Action::Put(_) => Operation::Upsert,
        Action::Update(_) => Operation::Update,
        Action::Delete => Operation::Delete,
        Action::Call(_) if request.access() == Access::Read => Operation::Select,
        Action::Call(_) => Operation::Call,
        Action::Options | Action::Batch(_) | Action::Describe(_) => return None,
    };
    told.then_some(operation)
}

fn act(schema: &SchemaCache, operation: Operation, relation: &str, rows: Option<u64>) -> Act {
    let rewrite = schema.relation(relation).and_then(|(_, relation)| relation.rewrite.as_ref());
    Act {
        operation,
        relation: relation.to_owned(),
        table: rewrite.filter(|_| operation.writes()).map(|rewrite| rewrite.table.clone()),
        rows,
        key: Vec::new(),
        keys: Vec::new(),
        more: 0,
    }
}

/// Leaves no more keys than one request may have.
pub(crate) fn bound(acts: &mut Vec<Act>) {
    let (mut keys, mut bytes) = (0, 0_usize);
    for act in acts {
        let told = act.keys.iter().take_while(|key| {
            keys += 1;
            bytes = bytes.saturating_add(key.iter().map(|value| value.as_str().map_or(8, str::len)).sum());
            keys <= MOST_KEYS && bytes <= MOST_KEY_BYTES
        });
        let told = told.count();
        act.more += (act.keys.len() - told) as u64;
        act.keys.truncate(told);
    }
}

/// As one shell hands it to another.
pub fn to_json(acts: &[Act]) -> Vec<u8> {
    serde_json::to_vec(acts).unwrap_or_default()
}

/// The inverse of [`to_json`]; nothing where it is none.
pub fn from_json(json: &[u8]) -> Vec<Act> {
    serde_json::from_slice(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_keys_are_told_and_the_others_counted() {
        let named = Some(Named { relation: 3, columns: 1 });
        let mut touched = Vec::new();
        for i in 0..250 {
            let row = [ValueRef::Integer(1), ValueRef::Integer(i)];
            assert_eq!(touch(&mut touched, named, &row), &row[..1]);
        }
        assert_eq!((touched[0].rows, touched[0].keys.len()), (250, MOST_KEYS));
        assert_eq!(touched[0].keys[99], [Json::from(99)]);
        // A long key is left out, and so is what comes behind it.
        let long = "x".repeat(MOST_KEY_BYTES + 1);
        let mut touched = Vec::new();
        for text in ["a", &long, "b"] {
            touch(&mut touched, named, &[ValueRef::Text(text.as_bytes())]);
        }
        assert_eq!((touched[0].rows, touched[0].keys.as_slice()), (3, [vec![Json::from("a")]].as_slice()));
        // Without a name the row is untouched.
        assert_eq!(touch(&mut touched, None, &[ValueRef::Null]), &[ValueRef::Null]);
    }

    #[test]
    fn several_acts_share_the_room() {
        let act = |count: i64| Act {
            operation: Operation::Insert,
            relation: "t".to_owned(),
            table: None,
            rows: Some(count.unsigned_abs()),
            key: vec!["id".to_owned()],
            keys: (0..count).map(|i| vec![Json::from(i)]).collect(),
            more: 0,
        };
        let mut acts = vec![act(60), act(60), act(1)];
        bound(&mut acts);
        let told: Vec<_> = acts.iter().map(|act| (act.keys.len(), act.more)).collect();
        assert_eq!(told, [(60, 0), (40, 20), (0, 1)]);
        assert_eq!(from_json(&to_json(&acts)), acts);
    }

    #[test]
    fn keys_as_they_are_stored() {
        let told = [ValueRef::Null, ValueRef::Real(0.5), ValueRef::Text(b"a\xff"), ValueRef::Blob(&[0, 255])];
        let json: Vec<Json> = told.iter().map(json).collect();
        assert_eq!(Json::from(json).to_string(), r#"[null,0.5,"a�","AP8="]"#);
    }
}
