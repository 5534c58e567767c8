//! Rules tried one by one on rows that there are, and on one that is to be inserted. Each goes the way of any request, under policies
//! of which it is the only one; what would write is looked at as far as the statements that come before the write.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::asked::Asked;
use super::check::{Counted, Decision, Judged, Question};
use super::rules;
use crate::compile::{Param, Program, Statement, Step};
use crate::config::Config;
use crate::database::Database;
use crate::database_error::classify;
use crate::error::Error;
use crate::filter::{Condition, Operand, Test};
use crate::identity::Identity;
use crate::policy::rule::ColumnRules;
use crate::policy::{DefaultAction, Kind, Operation, Rule, Security, Settings};
use crate::query_params::percent_encode;
use crate::run::{self, Failure};
use crate::schema::{Relation, SchemaCache, runs_by_insert};
use crate::value::{Value, ValueRef};

/// What rules are tried with.
pub(super) struct Trial<'a> {
    pub(super) config: &'a Config,
    /// The whole schema.
    pub(super) schema: &'a Arc<SchemaCache>,
    pub(super) identity: &'a Arc<Identity>,
    pub(super) table: &'a str,
}

/// The triggers of the database, with their tables.
const TRIGGERS: &str = "SELECT tbl_name, name, sql FROM sqlite_schema WHERE type = 'trigger'";

impl Trial<'_> {
    /// The places of the columns that a filter has conditions on. What is wrong with it is told when its rows are counted.
    pub(super) fn conditions(&self, question: &Question, relation: &Relation) -> Vec<usize> {
        let Some(filter) = &question.filter else { return Vec::new() };
        let asked = self.asked("GET", filter, String::new());
        let Ok(Ok(request)) = asked.parse(self.config) else { return Vec::new() };
        let mut names = Vec::new();
        for (path, condition) in &request.params.filters {
            if path.is_empty() {
                fields(condition, &mut names);
            }
        }
        names.into_iter().filter_map(|name| relation.column(name)).collect()
    }

    /// Why the request in question is refused, as far as that is known before it is run.
    pub(super) fn refusal(&self, question: &Question) -> Option<String> {
        let filter = question.filter.as_deref().unwrap_or_default();
        let body = match &question.row {
            Some(row) => Json::Object(row.clone()),
            None => Json::Object(question.columns.iter().map(|name| (name.clone(), Json::Null)).collect()),
        };
        let asked = match question.operation {
            Operation::Select => self.asked("GET", &selecting(filter, &question.columns), String::new()),
            Operation::Insert => self.asked("POST", "", body.to_string()),
            Operation::Update => self.asked("PATCH", filter, body.to_string()),
            Operation::Delete => self.asked("DELETE", filter, String::new()),
        };
        let request = asked.parse(self.config).ok()?.ok()?;
        match crate::plan(self.config, self.schema, &request) {
            Err(error @ (Error::Forbidden { .. } | Error::NotWritable { .. })) => {
                Some(error.problem().message)
            }
            Err(Error::Internal(_)) => {
                Some("the rules cannot be kept inside it, of which `sqlitrest check` tells".to_owned())
            }
            _ => None,
        }
    }

    /// A request for the table.
    fn asked(&self, method: &str, query: &str, body: String) -> Asked {
        let mark = if query.is_empty() { "" } else { "?" };
        Asked {
            request: format!("{method} /{}{mark}{query}", percent_encode(self.table)),
            headers: Vec::new(),
            body,
            identity: Arc::clone(self.identity),
        }
    }

    /// The names of the triggers that an insert into the table runs.
    pub(super) fn triggers_of_inserts(&self, db: &mut dyn Database) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        let mut take = |row: &[ValueRef<'_>]| {
            let [ValueRef::Text(table), ValueRef::Text(name), ValueRef::Text(sql)] = row else { return };
            let of_table = table.eq_ignore_ascii_case(self.table.as_bytes());
            if of_table && runs_by_insert(&String::from_utf8_lossy(sql)) {
                names.push(String::from_utf8_lossy(name).into_owned());
            }
        };
        let read = db.rows(TRIGGERS, &[], &mut take);
        read.map_err(|error| classify(&error, self.schema, self.table))?;
        Ok(names)
    }

    /// How many rows of a filter there are, are seen, and are allowed; and for how many each rule holds that takes part.
    pub(super) fn count(
        &self,
        filter: &str,
        question: &Question,
        decision: Decision,
        rules: &mut [Judged],
        db: &mut dyn Database,
    ) -> Result<Counted, Error> {
        // First of all what is wrong with the filter itself.
        let all = self.rows(filter, None, db)?;
        let mut of = |policies| match self.rows(filter, policies, db) {
            // The relation, or a column of the filter, is not there for them.
            Err(Error::Forbidden { .. } | Error::NoColumn { .. } | Error::NoRelation { .. }) => Ok(0),
            other => other,
        };
        for own in rules.iter_mut().filter(|own| own.takes_part) {
            let alone = Rule { kind: Kind::Permissive, ..own.told.rule.clone() };
            own.rows = Some(of(Some(self.only(vec![alone], Operation::Select)))?);
        }
        let allowed = match decision {
            _ if self.bypasses() => all,
            Decision::Denied => 0,
            Decision::Allowed | Decision::SomeRows => {
                let own = rules.iter().filter(|own| own.takes_part).map(|own| &own.told.rule);
                let own = own.filter(|rule| covers(rule, question)).cloned();
                let own = own.chain(self.seen(question.operation)).collect();
                of(Some(self.only(own, Operation::Select)))?
            }
        };
        let seen = of(self.config.policies.clone())?;
        Ok(Counted { all, seen, allowed })
    }

    /// Whether a row may be inserted as far as its values go; and of each rule that takes part whether its check holds.
    pub(super) fn insert(
        &self,
        row: &Map<String, Json>,
        rules: &mut [Judged],
        db: &mut dyn Database,
    ) -> Result<bool, Error> {
        for own in rules.iter_mut().filter(|own| own.takes_part) {
            let alone = Rule { kind: Kind::Permissive, ..own.told.rule.clone() };
            own.holds = Some(self.holds(row, Some(self.only(vec![alone], Operation::Insert)), db)?);
        }
        match self.holds(row, self.config.policies.clone(), db) {
            Err(Error::Forbidden { .. }) => Ok(false),
            other => other,
        }
    }

    /// Whether no rule applies to who asks.
    fn bypasses(&self) -> bool {
        let roles = self.config.roles_of(self.identity.role.as_deref());
        self.config
            .policies
            .as_ref()
            .is_none_or(|own| own.bypass_roles.iter().any(|bypass| roles.contains(bypass)))
    }

    /// What must hold of rows so that an operation finds them: that they are seen.
    fn seen(&self, operation: Operation) -> Vec<Rule> {
        if !matches!(operation, Operation::Update | Operation::Delete) {
            return Vec::new();
        }
        let own = rules::for_role(self.config, self.identity.role.as_deref(), self.table);
        let own = own.into_iter().filter(|rule| rule.is_for(Operation::Select));
        let (permissive, mut all): (Vec<&Rule>, Vec<&Rule>) =
            own.partition(|rule| rule.kind == Kind::Permissive);
        let using: Option<Vec<&str>> = permissive.iter().map(|rule| rule.using.as_deref()).collect();
        let any = using.filter(|using| !using.is_empty()).zip(permissive.first()).map(|(using, first)| {
            // A line each, so that a comment ends with its own.
            let terms: Vec<String> = using.iter().map(|term| format!("(\n{term}\n)")).collect();
            Rule { kind: Kind::Restrictive, using: Some(terms.join(" OR ")), ..Rule::clone(first) }
        });
        all.drain(..).cloned().chain(any).collect()
    }

    /// Policies of these rules alone, for whoever asks, about rows and not about columns. Other relations keep theirs.
    fn only(&self, rules: Vec<Rule>, operation: Operation) -> Settings {
        let settings = self.config.policies.as_ref();
        // One rule for a view says it of all.
        let is_held = |rule: &Rule| rule.security == Some(Security::Invoker) && rule.names(self.table);
        let is_held = settings.is_some_and(|own| own.policy.iter().any(is_held));
        let own = |rule: Rule| Rule {
            security: is_held.then_some(Security::Invoker),
            table: Some(self.table.to_owned()),
            tables: Vec::new(),
            except: Vec::new(),
            roles: Vec::new(),
            operations: vec![operation],
            columns: ColumnRules::default(),
            // Only of rows that are written.
            check: rule.check.filter(|_| operation == Operation::Insert),
            ..rule
        };
        let others = settings.into_iter().flat_map(|own| &own.policy).map(|rule| {
            let except = rule.except.iter().cloned().chain([self.table.to_owned()]).collect();
            Rule { except, ..rule.clone() }
        });
        Settings {
            default_action: settings.map(|own| own.default_action).unwrap_or(DefaultAction::Deny),
            policy: others.chain(rules.into_iter().map(own)).collect(),
            ..Settings::default()
        }
    }

    /// A request under these policies, up to its statements.
    fn program(&self, asked: &Asked, policies: Option<Settings>) -> Result<Program, Error> {
        let config = Config { policies, ..self.config.clone() };
        // What is known of roles is known of other policies.
        let schema = Arc::new(SchemaCache::clone(self.schema));
        let request = asked.parse(&config).map_err(Error::Body)?;
        let request = request.map_err(|refusal| {
            let told: Option<Json> = serde_json::from_slice(&refusal.body).ok();
            let message = told.as_ref().and_then(|told| told.get("message")).and_then(Json::as_str);
            Error::Body(message.unwrap_or("the filter cannot be read").to_owned())
        })?;
        crate::plan(&config, &schema, &request).map(|(_, program)| program)
    }

    /// How many rows of a filter are seen under these policies.
    fn rows(&self, filter: &str, policies: Option<Settings>, db: &mut dyn Database) -> Result<u64, Error> {
        let and = if filter.is_empty() { "" } else { "&" };
        let asked = Asked {
            request: format!("GET /{}?{filter}{and}limit=0", percent_encode(self.table)),
            headers: vec![("prefer".to_owned(), "count=exact".to_owned())],
            body: String::new(),
            identity: Arc::clone(self.identity),
        };
        let program = self.program(&asked, policies)?;
        match run::run(program, db) {
            Ok(outcome) => Ok(outcome.total.unwrap_or(outcome.page_rows)),
            Err(Failure::Database(error)) => Err(classify(&error, self.schema, self.table)),
            Err(Failure::Policy(_)) => Err(Error::Internal("a read breaks a policy".to_owned())),
        }
    }

    /// Whether a row to be inserted breaks no check of these policies.
    fn holds(
        &self,
        row: &Map<String, Json>,
        policies: Option<Settings>,
        db: &mut dyn Database,
    ) -> Result<bool, Error> {
        let asked = Asked {
            request: format!("POST /{}", percent_encode(self.table)),
            headers: Vec::new(),
            body: Json::Object(row.clone()).to_string(),
            identity: Arc::clone(self.identity),
        };
        let program = self.program(&asked, policies)?;
        for statement in before_write(&program) {
            let values: Option<Vec<Value>> = statement.params.iter().map(value).collect();
            let Some(values) = values else { continue };
            let mut broken = false;
            let counted = db.rows(&statement.sql, &values, &mut |row| {
                broken |= matches!(row.first(), Some(ValueRef::Integer(1..)));
            });
            counted.map_err(|error| classify(&error, self.schema, self.table))?;
            if broken {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The filter with these columns to be told.
fn selecting(filter: &str, columns: &[String]) -> String {
    let quoted =
        |name: &String| percent_encode(&format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")));
    let columns: Vec<String> = columns.iter().map(quoted).collect();
    let select = if columns.is_empty() { String::new() } else { format!("select={}", columns.join(",")) };
    [filter, select.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<&str>>().join("&")
}

/// The names of the columns that a condition is on.
fn fields<'c>(condition: &'c Condition, names: &mut Vec<&'c str>) {
    match condition {
        Condition::Filter(filter) => {
            names.push(&filter.field.name);
            if let Test::Compare(_, Operand::Column(other)) | Test::IsDistinct(Operand::Column(other)) =
                &filter.test
            {
                names.push(&other.name);
            }
        }
        Condition::Logic { terms, .. } => terms.iter().for_each(|term| fields(term, names)),
    }
}

/// Whether a rule counts for a write of the columns in question: it lets all of them be written.
fn covers(rule: &Rule, question: &Question) -> bool {
    if question.operation != Operation::Update {
        return true;
    }
    let ColumnRules { visible, hidden, writable, .. } = &rule.columns;
    question.columns.iter().all(|name| match writable {
        Some(writable) => writable.contains(name),
        None => visible.as_ref().is_none_or(|visible| visible.contains(name)) && !hidden.contains(name),
    })
}

/// The statements that count what of the values breaks a check.
fn before_write(program: &Program) -> impl Iterator<Item = &Statement> {
    let is_write = |step: &Step| matches!(step, Step::Write { .. });
    let until = program.steps.iter().position(is_write).unwrap_or(0);
    program.steps.iter().take(until + 1).flat_map(|step| match step {
        Step::Expect { statement, .. } => std::slice::from_ref(statement),
        Step::Write { proposed, .. } => proposed.as_slice(),
        _ => &[],
    })
}

fn value(param: &Param) -> Option<Value> {
    if let Param::Value(value) = param { Some(value.clone()) } else { None }
}
