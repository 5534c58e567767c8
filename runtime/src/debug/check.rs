//! What the policies say to a hypothetical identity, rule by rule: which of them allow it, which deny it, and why. Nothing is written.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::asked::Supposed;
use super::judge;
use super::rules::Told;
use super::trial::Trial;
use crate::compile;
use crate::config::Config;
use crate::database::Database;
use crate::error::Error;
use crate::identity::Identity;
use crate::policy::{Operation, Rows, Told as Column};
use crate::query_params::decode;
use crate::schema::{Relation, RelationId, SchemaCache};

/// What in a query string finds no rows.
const NO_FILTERS: [&str; 6] = ["select", "columns", "on_conflict", "order", "limit", "offset"];

/// What is checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// A table or view.
    pub table: String,
    /// What is done to it.
    pub operation: Operation,
    /// The columns that are written or asked for; of a `row` its own.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Which rows it is about, as a GET has it: `id=eq.1&status=neq.draft`.
    #[serde(default)]
    pub filter: Option<String>,
    /// The row that is inserted.
    #[serde(default)]
    pub row: Option<Map<String, Json>>,
    /// Which database, where there are several.
    #[serde(default)]
    pub database: Option<String>,
    /// The role of who is supposed to ask.
    #[serde(default)]
    pub role: Option<String>,
    /// Their id.
    #[serde(default)]
    pub sub: Option<Json>,
    /// What else is claimed of them.
    #[serde(default)]
    pub claims: Map<String, Json>,
    /// Whether nobody has signed in.
    #[serde(default)]
    pub anonymous: bool,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It is allowed, of every row.
    Allowed,
    /// It is denied.
    Denied,
    /// It is allowed of rows for which the conditions hold.
    SomeRows,
}

/// What the policies say. The JSON form is stable.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The role of who is supposed to ask.
    pub role: Option<String>,
    /// That role and those that it has beside itself.
    pub roles: Vec<String>,
    /// What is claimed of them.
    pub claims: Map<String, Json>,
    /// Whether nobody has signed in.
    pub anonymous: bool,
    /// The relation.
    pub table: String,
    /// What is done to it.
    pub operation: Operation,
    /// What comes of it.
    pub decision: Decision,
    /// Why, in a sentence.
    pub because: String,
    /// Every rule about the relation, those that are for others included.
    pub rules: Vec<Judged>,
    /// What they are told of the columns, and which they may write.
    pub columns: Columns,
    /// How many rows it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Counted>,
    /// What to do next, in sentences.
    pub next: Vec<String>,
}

/// A rule, and what it does here.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// The rule.
    #[serde(flatten)]
    pub told: Told,
    /// Whether it takes part.
    pub takes_part: bool,
    /// What it does or why it does not, in a sentence.
    pub why: String,
    /// For how many of the rows of `filter` its `using` holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Whether its `check` holds of `row`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<bool>,
}

/// The columns, by what the rules say of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Columns {
    /// Told as they are.
    pub visible: Vec<String>,
    /// Told as something else.
    pub masked: Vec<String>,
    /// Not there.
    pub hidden: Vec<String>,
    /// May be inserted.
    pub insertable: Vec<String>,
    /// May be updated.
    pub updatable: Vec<String>,
}

/// Rows that a filter finds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Counted {
    /// All of them.
    pub all: u64,
    /// Those that they see.
    pub seen: u64,
    /// Those of all for which it is allowed: of an update or a delete they are seen, too.
    pub allowed: u64,
}

impl Question {
    /// Who is supposed to ask.
    pub fn supposed(&self) -> Supposed {
        Supposed {
            role: self.role.clone(),
            sub: self.sub.clone(),
            claims: self.claims.clone(),
            anonymous: self.anonymous,
        }
    }

    /// Whether rows are looked at that the policies may hide.
    pub fn looks_at_rows(&self) -> bool {
        self.filter.is_some() || self.row.is_some()
    }
}

/// What the policies say. `schema` is the whole one; rows are looked at inside the transaction that the caller has begun.
///
/// # Errors
/// PGRST205 for a relation that is not there; what a filter or a row would be refused for.
pub fn check(
    config: &Config,
    schema: &Arc<SchemaCache>,
    identity: &Arc<Identity>,
    question: &Question,
    db: &mut dyn Database,
) -> Result<Verdict, Error> {
    let (id, relation) = schema.relation(&question.table).ok_or_else(|| Error::NoRelation {
        name: question.table.clone(),
        near: schema.near(&question.table),
    })?;
    let role = identity.role.as_deref();
    let roles = config.roles_of(role);
    let view = schema.for_role(config, role);
    let seen = view.relations.get(id).unwrap_or(relation);
    question.fits()?;
    let columns = question.columns(relation)?;
    let mut rules = judge::judged(config, question, role);
    let trial = Trial { config, schema, identity, table: &question.table };
    let conditions = trial.conditions(question, relation);
    not_masked(seen, &conditions)?;
    let decided = judge::decide(config, question, seen, &columns, &conditions, &rules, &roles);
    let (decision, because, is_refused) = trial.settled(decided, question, &view, id);
    let mut verdict = Verdict {
        role: identity.role.clone(),
        claims: identity.claims.clone(),
        anonymous: identity.is_anonymous,
        table: question.table.clone(),
        operation: question.operation,
        decision,
        because,
        columns: judge::told(seen),
        rows: None,
        rules: Vec::new(),
        next: Vec::new(),
        roles: roles.into_iter().collect(),
    };
    if let Some(filter) = &question.filter {
        verdict.rows = Some(trial.count(filter, question, decision, &mut rules, db)?);
    }
    if let Some(row) = &question.row {
        let holds = trial.insert(row, &mut rules, db)?;
        verdict.settle(holds, &trial.triggers_of_inserts(db)?);
    }
    verdict.rules = rules;
    verdict.count();
    verdict.next = match is_refused {
        true => judge::next_of_refused(&view, id, question),
        false => judge::next(config, &verdict, seen),
    };
    Ok(verdict)
}

/// That no condition is about a column of which they are told something else: it would find the rows by what they are told.
fn not_masked(seen: &Relation, conditions: &[usize]) -> Result<(), Error> {
    let told = seen.access.as_ref().map(|access| access.told.as_slice()).unwrap_or_default();
    let masked = conditions.iter().find(|place| matches!(told.get(**place), Some(Column::As(_))));
    let Some(column) = masked.and_then(|place| seen.columns.get(*place)) else { return Ok(()) };
    Err(Error::Body(format!(
        "filter: {} is masked for them, so that a condition on it is about the mask and not about what is stored: \
         find the rows by other columns",
        column.name
    )))
}

impl Trial<'_> {
    /// What is decided where the rules for the relation are not all there is to it: others hold inside a view, and a request may be
    /// refused for what no rule says, which stands last.
    fn settled(
        &self,
        (mut decision, mut because): (Decision, String),
        question: &Question,
        view: &SchemaCache,
        id: RelationId,
    ) -> (Decision, String, bool) {
        if decision == Decision::Denied {
            return (decision, because, false);
        }
        let inside = held_inside(view, id);
        if !inside.is_empty() && question.operation == Operation::Select {
            decision = Decision::SomeRows;
            because += &format!(
                " Inside it the rules for {} hold, too (security = \"invoker\").",
                inside.join(" and ")
            );
        }
        let Some(why) = self.refusal(question) else { return (decision, because, false) };
        because += &format!(" But the request is refused: {why}.");
        (Decision::Denied, because, true)
    }
}

/// The names of the relations whose rules hold inside a view, of those that hide rows.
fn held_inside(view: &SchemaCache, id: RelationId) -> Vec<String> {
    let is_held = view.relations.get(id).and_then(|own| own.access.as_ref()).is_some_and(|own| own.invoker);
    let inside = if is_held { compile::defined(view, id).unwrap_or_default() } else { Vec::new() };
    let others = inside.into_iter().filter(|other| *other != id);
    let others = others.filter_map(|other| view.relations.get(other));
    let hides = |own: &&Relation| own.access.as_ref().is_some_and(|own| own.select != Some(Rows::All));
    others.filter(hides).map(|own| own.name.clone()).collect()
}

impl Question {
    /// That it has what its operation is about.
    fn fits(&self) -> Result<(), Error> {
        for pair in self.filter.iter().flat_map(|filter| filter.split('&')) {
            let key = decode(pair.split_once('=').map_or(pair, |(key, _)| key))?;
            if NO_FILTERS.contains(&key.rsplit('.').next().unwrap_or_default()) {
                let what = "which rows it is about is said by conditions alone (\"id=eq.1\")";
                return Err(Error::Body(format!("filter: leave {key} out: {what}")));
            }
        }
        let wrong = |what: &str| Err(Error::Body(what.to_owned()));
        match self.operation {
            Operation::Insert if self.filter.is_some() => {
                wrong("filter is about rows that are there: give the new one of an insert as \"row\"")
            }
            Operation::Insert => Ok(()),
            _ if self.row.is_some() => {
                wrong("row is that of an insert: find those of other operations by \"filter\"")
            }
            _ => Ok(()),
        }
    }

    /// The places of the columns that are written or asked for.
    fn columns(&self, relation: &Relation) -> Result<Vec<usize>, Error> {
        let of_row = self.row.iter().flat_map(|row| row.keys());
        let names = self.columns.iter().chain(of_row);
        let place = |name: &String| {
            relation
                .column(name)
                .ok_or_else(|| Error::NoColumn { column: name.clone(), relation: relation.name.clone() })
        };
        names.map(place).collect()
    }
}

impl Verdict {
    /// Settles what depends on the row: whether all that must hold of it does. What counts is the row behind its triggers, which are not
    /// run here.
    fn settle(&mut self, holds: bool, triggers: &[String]) {
        if self.decision != Decision::SomeRows {
            return;
        }
        let word = if holds { "holds" } else { "does not hold" };
        self.because.push_str(&format!(" What they want {word} of this row."));
        if triggers.is_empty() {
            self.decision = if holds { Decision::Allowed } else { Decision::Denied };
        } else {
            self.because.push_str(&format!(
                " But inserts run {}, which may change it, and what counts is the row behind that.",
                triggers.join(" and ")
            ));
        }
    }

    /// Says what became of the rows that a filter finds, and settles what depends on the row.
    fn count(&mut self) {
        let Some(Counted { all, seen, allowed }) = self.rows else { return };
        let rows = if all == 1 { "row" } else { "rows" };
        let words = match self.operation {
            Operation::Select => format!(" Of the {all} {rows} of the filter they see {seen}."),
            _ => format!(
                " Of the {all} {rows} of the filter they see {seen}, and the rules for this allow {allowed}."
            ),
        };
        self.because.push_str(&words);
        // What must hold after an update is not known here.
        let is_settled = matches!(self.operation, Operation::Select | Operation::Delete);
        self.decision = match self.decision {
            Decision::Denied => Decision::Denied,
            decision if all == 0 => decision,
            _ if allowed == 0 => Decision::Denied,
            Decision::SomeRows if allowed == all && is_settled => Decision::Allowed,
            Decision::Allowed if allowed < all => Decision::SomeRows,
            decision => decision,
        };
    }
}
