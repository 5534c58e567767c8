//! What a request becomes for who asks: as it was read, as it was planned, the rules, the SQL and how the database would go about
//! it. Nothing is run.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::Standing;
use super::advice::{self, Advice};
use super::asked::Asked;
use super::next::next;
use super::planned;
use super::rules::{self, Told};
use crate::api_request::{Action, ApiRequest};
use crate::compile::{Param, Program, Step};
use crate::config::Config;
use crate::database::{Database, DbError};
use crate::database_error::classify;
use crate::error::Error;
use crate::identity::Identity;
use crate::plan::Plan;
use crate::reply;
use crate::run::{self, Explained};
use crate::schema::{RelationId, SchemaCache};
use crate::value::Value;

/// A request up to the point where it would be run.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// The relations whose rules it is held to.
    pub relations: Vec<RelationId>,
    /// Its statements, in their order.
    pub statements: Vec<Explained>,
    /// Whether any of them is one of which who asks does not see everything.
    pub is_restricted: bool,
    /// What it means: of several operations, of each.
    pub parts: Vec<Part>,
}

/// What one operation means.
#[derive(Clone, Debug)]
pub struct Part {
    /// The schema as who asks knows it.
    pub view: Arc<SchemaCache>,
    /// The plan.
    pub plan: Plan,
    /// The statements.
    pub program: Program,
}

/// How a request is explained to whoever is to do something about it. The JSON form is stable.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The role of who asks.
    pub role: Option<String>,
    /// What is claimed of them.
    pub claims: Map<String, Json>,
    /// Whether nobody has signed in.
    pub anonymous: bool,
    /// The request.
    pub request: String,
    /// As it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parsed: Option<Json>,
    /// As it was planned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<Json>,
    /// Why it is refused, as who sends it would be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Json>,
    /// The relations with the rules that are for who asks.
    pub relations: Vec<Ruled>,
    /// The statements.
    pub statements: Vec<Statement>,
    /// Indexes that would help.
    pub advice: Vec<Advice>,
    /// What to do next, in sentences.
    pub next: Vec<String>,
}

/// A relation with the rules that are for who asks.
#[derive(Clone, Debug, Serialize)]
pub struct Ruled {
    /// Its name.
    pub name: String,
    /// `table`, `view`, `function`.
    pub kind: &'static str,
    /// The rules.
    pub rules: Vec<Told>,
}

/// A statement.
#[derive(Clone, Debug, Serialize)]
pub struct Statement {
    /// What it is for.
    pub step: &'static str,
    /// Its text.
    pub sql: String,
    /// Its parameters.
    pub parameters: Vec<Json>,
    /// How the database would go about it.
    pub plan: Vec<Line>,
}

/// A line of EXPLAIN QUERY PLAN.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Its number.
    pub id: i64,
    /// That of the line it belongs to.
    pub parent: i64,
    /// What is done.
    pub detail: String,
}

/// The stages of a request up to the point where it would be run. `schema` is the whole one.
///
/// # Errors
/// Whatever the stages refuse, and what the database says.
pub fn explain(
    config: &Config,
    schema: &Arc<SchemaCache>,
    request: &ApiRequest,
    db: &mut dyn Database,
) -> Result<Explanation, Error> {
    let mut all = Explanation::default();
    if let Some(call) = &request.pre_request {
        all = explain(config, schema, call, db)?;
        all.statements.iter_mut().for_each(|statement| statement.step = "pre-request");
    }
    if let Action::Batch(operations) = &request.action {
        for (at, operation) in operations.iter().enumerate() {
            let one = explain(config, schema, operation, db)
                .map_err(|error| Error::Operation { at, error: Box::new(error) })?;
            all.take(one);
        }
        return Ok(all);
    }
    if matches!(request.action, Action::Describe(_)) {
        // It is made of what is known already: there is no statement.
        return Ok(all);
    }
    let view = schema.for_role(config, request.identity.role.as_deref());
    let (authorized, program) = crate::authorize_and_compile(config, &view, request)?;
    let failed = |error: DbError| classify(&error, schema, &request.relation);
    let statements = run::explain(&program, db).map_err(failed)?;
    let defined = program.steps.iter().flat_map(Step::statements).flat_map(|statement| &statement.defines);
    let relations = authorized.relations().iter().chain(defined).copied().collect();
    let is_restricted = authorized.is_restricted();
    let part = Part { view, plan: authorized.into_plan(), program };
    all.take(Explanation { relations, statements, is_restricted, parts: vec![part] });
    Ok(all)
}

impl Explanation {
    fn take(&mut self, other: Explanation) {
        for relation in other.relations {
            if !self.relations.contains(&relation) {
                self.relations.push(relation);
            }
        }
        self.statements.extend(other.statements);
        self.is_restricted |= other.is_restricted;
        self.parts.extend(other.parts);
    }
}

/// Explains a request to whoever is to do something about it. In `shadow`, an empty database in memory, the schema is made again to try
/// indexes; without one none is advised.
///
/// # Errors
/// A sentence on text that is no request.
pub fn report(
    config: &Config,
    schema: &Arc<SchemaCache>,
    asked: &Asked,
    standing: Standing,
    db: &mut dyn Database,
    shadow: Option<&mut dyn Database>,
) -> Result<Report, String> {
    let identity = &asked.identity;
    let mut report = Report::of(identity, &asked.request);
    if let Some(page) = own_page(config, &asked.request) {
        return Err(format!(
            "{page} is the server's own, which becomes no statement: explain a request for data"
        ));
    }
    let request = match asked.parse(config)? {
        Ok(request) => request,
        Err(response) => {
            report.refuse(serde_json::from_slice(&response.body).ok(), response.status);
            report.tell_roles(config, standing);
            return Ok(report);
        }
    };
    report.parsed = Some(planned::parsed(&request));
    let explanation = match explain(config, schema, &request, db) {
        Ok(explanation) => explanation,
        Err(error) => {
            let response = reply::error(&error, config.api.error_verbosity);
            report.refuse(serde_json::from_slice(&response.body).ok(), response.status);
            let cause = response.log.filter(|_| standing != Standing::Own);
            report.next.extend(cause.map(|log| format!("The database says: {log}")));
            return Ok(report);
        }
    };
    report.planned = explanation.parts.iter().map(|part| planned::planned(&part.view, &part.plan)).collect();
    if standing == Standing::Own && !may_see_plan(config, &request, &explanation) {
        report.next.push("Rules, SQL and plan are for the administrator alone.".to_owned());
        return Ok(report);
    }
    if standing != Standing::Own {
        report.relations = ruled(config, schema, identity, &explanation.relations);
    }
    report.statements = explanation.statements.iter().map(Statement::of).collect();
    if let Some(shadow) = shadow {
        report.advice = advice::find(&explanation, db, shadow);
    }
    report.next = next(&report, &explanation);
    Ok(report)
}

/// The path of a request, if it is that of a page of the server itself.
fn own_page<'r>(config: &Config, request: &'r str) -> Option<&'r str> {
    let (_, target) = request.trim().split_once(char::is_whitespace)?;
    let path = target.trim().split('?').next()?;
    let is_own = path == "/_schema" || path == "/_debug" || path.starts_with("/_debug/");
    Some(path).filter(|_| config.debug.enabled && is_own)
}

/// Whether who is not the administrator may see SQL and plan: as with `Accept: application/vnd.pgrst.plan`, where the configuration lets
/// it, and where policies hide nothing that SQL or plan would name. SQL of the configuration is nobody's.
fn may_see_plan(config: &Config, request: &ApiRequest, explanation: &Explanation) -> bool {
    let calls = explanation.parts.iter().any(|part| matches!(part.plan, Plan::Call { .. }));
    config.api.plan && !explanation.is_restricted && !calls && request.pre_request.is_none()
}

/// The relations, each with the rules that are for who asks.
pub fn ruled(
    config: &Config,
    schema: &SchemaCache,
    identity: &Identity,
    relations: &[RelationId],
) -> Vec<Ruled> {
    let of = |id: &RelationId| {
        let relation = schema.relations.get(*id)?;
        let rules = rules::for_role(config, identity.role.as_deref(), &relation.name);
        Some(Ruled {
            name: relation.name.clone(),
            kind: relation.kind.word(),
            rules: rules.into_iter().map(Told::of).collect(),
        })
    };
    relations.iter().filter_map(of).collect()
}

impl Report {
    /// Of a request of which nothing is known yet.
    fn of(identity: &Identity, request: &str) -> Report {
        Report {
            role: identity.role.clone(),
            claims: identity.claims.clone(),
            anonymous: identity.is_anonymous,
            request: request.trim().to_owned(),
            parsed: None,
            planned: Vec::new(),
            refused: None,
            relations: Vec::new(),
            statements: Vec::new(),
            advice: Vec::new(),
            next: Vec::new(),
        }
    }

    fn refuse(&mut self, body: Option<Json>, status: u16) {
        let mut refused = json!({ "status": status });
        if let (Json::Object(refused), Some(Json::Object(body))) = (&mut refused, body) {
            refused.extend(body);
        }
        let hint = refused.get("hint").and_then(Json::as_str).map(str::to_owned);
        let code = refused.get("code").and_then(Json::as_str).unwrap_or_default();
        self.next.extend(hint);
        self.next.push(match code {
            "42501" => "POST /_debug/policy-check with the table and the operation tells which rule decides."
                .to_owned(),
            _ if code.starts_with("PGRST2") || code.starts_with("427") || code.starts_with("42P") => {
                "GET /_schema?format=text lists the tables, columns and functions that there are.".to_owned()
            }
            _ => "Correct the request and explain it again.".to_owned(),
        });
        self.refused = Some(refused);
    }

    /// Of a function that is refused says for whom it is, which no check of a table's rules tells.
    fn tell_roles(&mut self, config: &Config, standing: Standing) {
        let message = self.refused.as_ref().and_then(|refused| refused.get("message")).and_then(Json::as_str);
        let name = message.and_then(|message| message.strip_prefix("permission denied for function "));
        let Some(name) = name else { return };
        let mut roles: Vec<&str> = config
            .udf
            .iter()
            .filter(|udf| udf.name == name)
            .flat_map(|udf| &udf.roles)
            .map(String::as_str)
            .collect();
        roles.sort_unstable();
        roles.dedup();
        self.next = vec![match standing {
            Standing::Own => format!("The function {name} is for other roles."),
            Standing::Reader | Standing::Administrator => format!(
                "The function {name} is for {}: ask as one of them, or add the role to `roles` of its [[udf]].",
                if roles.is_empty() { "nobody".to_owned() } else { roles.join(", ") }
            ),
        }];
    }
}

impl Statement {
    fn of(explained: &Explained) -> Statement {
        let line = |(id, parent, detail): &(i64, i64, String)| Line {
            id: *id,
            parent: *parent,
            detail: detail.clone(),
        };
        Statement {
            step: explained.step,
            sql: explained.sql.clone(),
            parameters: explained.params.iter().map(param_json).collect(),
            plan: explained.lines.iter().map(line).collect(),
        }
    }
}

/// A parameter as JSON.
fn param_json(param: &Param) -> Json {
    match param {
        Param::Value(Value::Null) => Json::Null,
        Param::Value(Value::Integer(i)) => json!(i),
        Param::Value(Value::Real(r)) => json!(r),
        Param::Value(Value::Text(text)) => json!(text),
        Param::Value(Value::Blob(bytes)) => json!(format!("{} bytes", bytes.len())),
        Param::Rowids | Param::PrimaryKeys => json!("the keys of the rows written"),
        Param::Given { .. } => json!("a value of a row inserted before"),
    }
}
