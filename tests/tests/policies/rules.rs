//! Random policies. Each expression is written twice: as a policy, and as plain SQL in which who asks stands as literals.

use std::fmt::Write as _;

use serde_json::json;
use sqlitrest_runtime::identity::Identity;

use super::dice::Dice;
use super::world::{Column, Kind, World};

/// One expression in two languages.
#[derive(Clone, Debug)]
pub struct Text {
    pub policy: String,
    pub plain: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Select,
    Insert,
    Update,
    Delete,
}

pub const OPERATIONS: [(Operation, &str); 4] = [
    (Operation::Select, "select"),
    (Operation::Insert, "insert"),
    (Operation::Update, "update"),
    (Operation::Delete, "delete"),
];

/// A policy, of one relation.
#[derive(Clone, Debug)]
pub struct Rule {
    pub relation: String,
    /// Empty: all.
    pub operations: Vec<Operation>,
    /// Empty: all.
    pub roles: Vec<String>,
    pub restrictive: bool,
    pub using: Option<Text>,
    pub check: Option<Text>,
    pub visible: Option<Vec<String>>,
    pub hidden: Vec<String>,
    pub writable: Option<Vec<String>>,
    pub masked: Vec<(String, Text)>,
    pub invoker: bool,
}

#[derive(Clone, Debug)]
pub struct Rules {
    pub rules: Vec<Rule>,
    pub allow_by_default: bool,
}

impl Rule {
    pub fn is_for(&self, operation: Operation) -> bool {
        self.operations.is_empty() || self.operations.contains(&operation)
    }

    pub fn is_for_role(&self, role: &str) -> bool {
        self.roles.is_empty() || self.roles.iter().any(|own| own == role)
    }

    pub fn shows(&self, column: &str) -> bool {
        self.visible.as_ref().is_none_or(|visible| visible.iter().any(|own| own == column))
            && !self.hidden.iter().any(|own| own == column)
    }

    pub fn lets_write(&self, column: &str) -> bool {
        match &self.writable {
            Some(writable) => writable.iter().any(|own| own == column),
            None => self.shows(column),
        }
    }

    pub fn mask(&self, column: &str) -> Option<&Text> {
        self.masked.iter().find(|(own, _)| own == column).map(|(_, mask)| mask)
    }
}

fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Rules {
    /// As the configuration has them.
    pub fn toml(&self) -> String {
        let default = if self.allow_by_default { "allow" } else { "deny" };
        let mut out = format!("[policies]\ndefault_action = \"{default}\"\n");
        for (at, rule) in self.rules.iter().enumerate() {
            let _ = write!(out, "[[policies.policy]]\nname = \"rule {at}\"\ntable = \"{}\"\n", rule.relation);
            if !rule.operations.is_empty() {
                let names = OPERATIONS.iter().filter(|(operation, _)| rule.operations.contains(operation));
                let names: Vec<String> = names.map(|(_, name)| format!("\"{name}\"")).collect();
                let _ = writeln!(out, "operations = [{}]", names.join(", "));
            }
            if !rule.roles.is_empty() {
                let _ = writeln!(out, "roles = {:?}", rule.roles);
            }
            if rule.restrictive {
                out += "kind = \"restrictive\"\n";
            }
            if rule.invoker {
                out += "security = \"invoker\"\n";
            }
            for (key, text) in [("using", &rule.using), ("check", &rule.check)] {
                if let Some(text) = text {
                    let _ = writeln!(out, "{key} = {}", toml_text(&text.policy));
                }
            }
            out += "[policies.policy.columns]\n";
            for (key, names) in [("visible", &rule.visible), ("writable", &rule.writable)] {
                if let Some(names) = names {
                    let _ = writeln!(out, "{key} = {names:?}");
                }
            }
            let _ = writeln!(out, "hidden = {:?}", rule.hidden);
            if !rule.masked.is_empty() {
                out += "[policies.policy.columns.masked]\n";
                for (column, mask) in &rule.masked {
                    let _ = writeln!(out, "{column} = {}", toml_text(&mask.policy));
                }
            }
        }
        out
    }

    pub fn generate(dice: &mut Dice<'_>, world: &World, identity: &Identity) -> Rules {
        let mut rules = Vec::new();
        let relations = world.relations();
        for (name, columns) in &relations {
            let is_view = world.table(name).is_none();
            let invoker = is_view && dice.chance(50);
            let count = dice.one(&[1, 1, 2, 2, 3, 0]);
            for number in 0..count {
                let mut maker = Maker { dice, world, identity, relations: &relations };
                rules.push(maker.rule(name, columns, number == 0, invoker));
            }
        }
        Rules { rules, allow_by_default: dice.chance(25) }
    }
}

/// Somebody: a role and claims.
pub fn identity(dice: &mut Dice<'_>) -> Identity {
    let role = dice.one(&["reader", "writer"]);
    let claims = json!({
        "role": role,
        "sub": dice.one(&[json!(1), json!(2), json!("k1"), json!("it's"), json!(null)]),
        "team": dice.one(&[json!("a"), json!("sport"), json!("' OR 1=1 --"), json!(7)]),
        "app": { "level": dice.one(&[json!(1), json!(2.5), json!(true), json!([1, 2])]) },
    });
    let serde_json::Value::Object(claims) = claims else { unreachable!("an object") };
    Identity { role: Some(role.to_owned()), claims, is_anonymous: dice.chance(50) }
}

/// Makes expressions.
struct Maker<'m, 'd> {
    dice: &'m mut Dice<'d>,
    world: &'m World,
    identity: &'m Identity,
    relations: &'m [(String, Vec<Column>)],
}

fn text(policy: impl Into<String>, plain: impl Into<String>) -> Text {
    Text { policy: policy.into(), plain: plain.into() }
}

fn same(both: impl Into<String>) -> Text {
    let both = both.into();
    Text { policy: both.clone(), plain: both }
}

/// The claim as a literal, by a reading of its own of docs/policies.md.
fn claim(identity: &Identity, path: &[&str]) -> String {
    let mut json = identity.claims.get(path[0]);
    for member in &path[1..] {
        json = json.and_then(|json| json.get(member));
    }
    match json {
        None | Some(serde_json::Value::Null) => "NULL".to_owned(),
        Some(serde_json::Value::Bool(is)) => u8::from(*is).to_string(),
        Some(serde_json::Value::Number(number)) => number.to_string(),
        Some(serde_json::Value::String(text)) => format!("'{}'", text.replace('\'', "''")),
        Some(json) => format!("'{json}'"),
    }
}

impl Maker<'_, '_> {
    fn rule(&mut self, relation: &str, columns: &[Column], is_first: bool, invoker: bool) -> Rule {
        // Most relations can be read by most.
        let is_broad = is_first && !self.dice.chance(20);
        let operations: Vec<Operation> = match self.dice.below(if is_broad { 2 } else { 5 }) {
            0 | 1 => Vec::new(),
            2 => vec![Operation::Select],
            3 => vec![Operation::Insert, Operation::Update],
            _ => {
                let all = OPERATIONS.map(|(operation, _)| operation);
                let some = self.dice.some(&all, 50);
                if some.is_empty() { vec![Operation::Select] } else { some }
            }
        };
        let has = |operation: Operation| operations.is_empty() || operations.contains(&operation);
        let uses = has(Operation::Select) || has(Operation::Update) || has(Operation::Delete);
        let checks = has(Operation::Insert) || has(Operation::Update);
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let mut rule = Rule {
            relation: relation.to_owned(),
            operations,
            roles: match self.dice.below(if is_broad { 1 } else { 4 }) {
                2 => vec!["reader".to_owned()],
                3 => vec!["writer".to_owned(), "x".to_owned()],
                _ => Vec::new(),
            },
            restrictive: !is_broad && self.dice.chance(25),
            using: None,
            check: None,
            visible: None,
            hidden: Vec::new(),
            writable: None,
            masked: Vec::new(),
            invoker: invoker && is_first,
        };
        if uses && self.dice.chance(if is_broad { 50 } else { 70 }) {
            rule.using = Some(self.condition(relation, columns, 2));
        }
        if checks && self.dice.chance(40) {
            rule.check = Some(self.condition(relation, columns, 1));
        }
        if self.dice.chance(25) {
            rule.visible = Some(self.dice.some(&names, 70));
        }
        if self.dice.chance(25) {
            rule.hidden = self.dice.some(&names, 25);
        }
        if self.dice.chance(25) {
            rule.writable = Some(self.dice.some(&names, 75));
        }
        if self.dice.chance(35) {
            for (at, column) in columns.iter().enumerate() {
                if self.dice.chance(30) {
                    let mask = self.mask(relation, column, at);
                    // A restrictive mask is made of what the others tell: tests/cases/policies has those.
                    if !rule.restrictive {
                        rule.masked.push((column.name.clone(), mask));
                    }
                }
            }
        }
        rule
    }

    /// A mask, of the type of its column: what it would be as a column's value, too. Those of keys tell different ones apart.
    fn mask(&mut self, relation: &str, column: &Column, at: usize) -> Text {
        let name = &column.name;
        let table = self.world.table(relation);
        let is_key = table.is_none() && at == 0
            || table.is_some_and(|table| table.is_key(at))
            || column.unique
            || column.refers.is_some();
        let kind = column.kind;
        let choices: Vec<Text> = match kind {
            Kind::Integer if is_key => vec![same("NULL"), same(format!("{name} + 1000"))],
            Kind::Text if is_key => vec![same("NULL"), same(format!("'m' || {name}"))],
            Kind::Integer => vec![
                same("NULL"),
                same("0"),
                same(format!("{name} % 2")),
                same(format!("CASE WHEN {name} > 1 THEN -1 ELSE {name} END")),
                text("current_claim('app.none')", "NULL"),
            ],
            Kind::Text => vec![
                same("NULL"),
                same("'***'"),
                same(format!("substr({name}, 1, 1) || '***'")),
                same(format!("upper({name})")),
                text("current_role()", format!("'{}'", self.identity.role.clone().unwrap_or_default())),
            ],
            Kind::Real => vec![same("NULL"), same("0.5"), same(format!("round({name})"))],
            Kind::Boolean => vec![same("NULL"), same("0"), same(format!("1 - {name}"))],
            Kind::Json => vec![
                same("NULL"),
                same("'{\"m\":[1]}'"),
                text(
                    format!("json_extract({name}, '$.b')"),
                    format!("CASE WHEN json_valid({name}) THEN json_extract({name}, '$.b') END"),
                ),
            ],
        };
        self.dice.one(&choices)
    }

    fn condition(&mut self, relation: &str, columns: &[Column], depth: usize) -> Text {
        if depth == 0 || self.dice.chance(45) {
            return self.atom(relation, columns, depth);
        }
        // Mostly without parentheses, so that what binds how is tried, too.
        let a = self.condition(relation, columns, depth - 1);
        match self.dice.below(5) {
            4 => text(format!("NOT ({})", a.policy), format!("NOT ({})", a.plain)),
            3 => text(format!("NOT {}", a.policy), format!("NOT {}", a.plain)),
            choice => {
                let b = self.condition(relation, columns, depth - 1);
                let word = ["AND", "OR", "OR"][choice];
                let wrapped = self.dice.chance(30);
                let join = |a: &str, b: &str| match wrapped {
                    true => format!("({a}) {word} ({b})"),
                    false => format!("{a} {word} {b}"),
                };
                text(join(&a.policy, &b.policy), join(&a.plain, &b.plain))
            }
        }
    }

    fn atom(&mut self, relation: &str, columns: &[Column], depth: usize) -> Text {
        let column = self.dice.one(columns);
        let name = match self.dice.chance(40) {
            true => format!("{relation}.{}", column.name),
            false => column.name.clone(),
        };
        let literal = self.dice.one(column.kind.literals());
        // `char(1, 2)` is no literal to compare with in every place, but an expression as good.
        match self.dice.below(26) {
            0 => same("1"),
            1 => same(format!("{name} = {literal}")),
            2 => same(format!("{name} <> {literal}")),
            3 => same(format!("{name} > {literal}")),
            4 => same(format!("{name} IS NULL")),
            5 => same(format!("{name} IS NOT NULL")),
            6 => same(format!("{name} IN ({literal}, {})", self.dice.one(column.kind.literals()))),
            7 => same(format!("{name} NOT BETWEEN {literal} AND {}", self.dice.one(column.kind.literals()))),
            8 => same(format!("{name} LIKE '%a%'")),
            9 => same(format!("NOT {name} GLOB '[a-k]*'")),
            10 => same(format!("length({name}) > 1")),
            11 => text(
                format!("{name} = current_user_id()"),
                format!("{name} = {}", claim(self.identity, &["sub"])),
            ),
            12 => text(
                format!("{name} = current_claim('team')"),
                format!("{name} = {}", claim(self.identity, &["team"])),
            ),
            13 => text(
                "current_role() = 'reader'",
                format!("'{}' = 'reader'", self.identity.role.clone().unwrap_or_default()),
            ),
            14 => text(
                format!("request_value('request.headers', 'x-tenant') <> {name}"),
                format!("'{}' <> {name}", TENANT.replace('\'', "''")),
            ),
            15 => text(
                format!("json_extract({name}, '$.a') = 1"),
                format!("CASE WHEN json_valid({name}) THEN json_extract({name}, '$.a') END = 1"),
            ),
            16 => text(
                format!("{name} ->> 'a' || 'x' <> '1x'"),
                format!("CASE WHEN json_valid({name}) THEN {name} ->> 'a' END || 'x' <> '1x'"),
            ),
            17 => same(format!("{name} + 1 * 2 = 4 % 3 + {name} / 1")),
            18 => same(format!("{name} || 'a' = 'a' || 'a'")),
            19 => same(format!("CAST({name} AS TEXT) = '1'")),
            20 => same(format!("CASE WHEN {name} IS NULL THEN 1 WHEN {name} > 1 THEN 0 ELSE NULL END")),
            21 => text(
                format!("current_claim('app.level') >= {name}"),
                format!("{} >= {name}", claim(self.identity, &["app", "level"])),
            ),
            // With its table: `json_each` has columns of its own, `id` among them.
            22 => {
                let name = format!("{relation}.{}", column.name);
                text(
                    format!("EXISTS (SELECT 1 FROM json_each({name}) AS e WHERE e.value = 1)"),
                    format!(
                        "EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid({name}) THEN {name} ELSE '[]' END) AS e WHERE e.value = 1)"
                    ),
                )
            }
            _ if depth > 0 => self.subquery(relation, columns, depth),
            _ => same(format!("{name} IS NOT DISTINCT FROM {literal}")),
        }
    }

    fn subquery(&mut self, relation: &str, columns: &[Column], depth: usize) -> Text {
        let (other, others) = self.dice.one(self.relations);
        let o = format!("o{depth}");
        let inner = self.condition(&other, &others, depth - 1);
        // What the outer one refers to, or what refers to it, or anything.
        let mut joins: Vec<String> = Vec::new();
        for column in columns {
            if column.refers.is_some_and(|target| self.world.tables[target].name == other) {
                joins.push(format!("{relation}.{} = {o}.{}", column.name, others[0].name));
            }
        }
        for column in &others {
            if column.refers.is_some_and(|target| self.world.tables[target].name == relation) {
                joins.push(format!("{o}.{} = {relation}.{}", column.name, columns[0].name));
            }
        }
        joins.push(format!("{o}.{} IS NOT NULL", others[0].name));
        let join = self.dice.one(&joins);
        // In the subquery the other relation has another name, told apart from those around it; bare names are its own before they are the outer one's.
        let of_o = |sql: &str| sql.replace(&format!("{other}."), &format!("{o}."));
        let (policy, plain) = (of_o(&inner.policy), of_o(&inner.plain));
        let (key, mine) = (others[0].name.clone(), format!("{relation}.{}", columns[0].name));
        let choice = self.dice.below(5);
        let whole = |inner: &str| match choice {
            0 => format!("EXISTS (SELECT 1 FROM {other} AS {o} WHERE {join} AND ({inner}))"),
            1 => format!("NOT EXISTS (SELECT * FROM {other} {o} WHERE {join} AND ({inner}))"),
            2 => format!("{mine} IN (SELECT {o}.{key} FROM {other} {o} WHERE {inner})"),
            3 => format!("(SELECT count(*) FROM {other} {o} WHERE {join} AND ({inner})) > 1"),
            _ => format!(
                "(SELECT {o}.{key} FROM {other} AS {o} WHERE {inner} ORDER BY {o}.{key} DESC LIMIT 1) IS DISTINCT FROM {mine}"
            ),
        };
        text(whole(&policy), whole(&plain))
    }
}

/// What every request says in `X-Tenant`.
pub const TENANT: &str = "a' OR '1'='1";
