//! What the rules come to, in words: which take part, what is decided by them and why, and what to do about it.

use std::collections::BTreeSet;

use super::check::{Columns, Counted, Decision, Judged, Question, Verdict};
use super::rules::{self, Told};
use crate::compile;
use crate::config::Config;
use crate::policy::{Access, DefaultAction, Kind, Operation, Rows, Rule, Told as Column};
use crate::schema::{Relation, RelationId, SchemaCache};

/// Every rule about the relation.
pub(super) fn judged(config: &Config, question: &Question, role: Option<&str>) -> Vec<Judged> {
    let Some(settings) = &config.policies else { return Vec::new() };
    let own = rules::for_role(config, role, &question.table);
    let about = settings.policy.iter().filter(|rule| rule.names(&question.table));
    let judge = |rule: &Rule| {
        let is_for_role = own.iter().any(|own| std::ptr::eq(*own, rule));
        let takes_part = is_for_role && rule.is_for(question.operation);
        let why = match (is_for_role, takes_part, rule.kind) {
            (false, _, _) => format!("It is for {}, which who asks is not.", rule.roles.join(", ")),
            (_, false, _) => "It is for other operations.".to_owned(),
            (_, _, Kind::Permissive) => format!("It allows {}.", rows_of(rule, question.operation)),
            (_, _, Kind::Restrictive) => {
                format!(
                    "It allows nothing by itself, and denies all but {}.",
                    rows_of(rule, question.operation)
                )
            }
        };
        Judged { told: Told::of(rule), takes_part, why, rows: None, holds: None }
    };
    about.map(judge).collect()
}

/// Which rows a rule is about.
fn rows_of(rule: &Rule, operation: Operation) -> String {
    let check = rule.check.as_ref().or(rule.using.as_ref());
    match (operation, &rule.using, check) {
        (Operation::Insert, _, Some(check)) => format!("new rows of which {check}"),
        (Operation::Insert, _, None) => "every new row".to_owned(),
        (Operation::Update, Some(using), Some(check)) if using != check => {
            format!("rows of which {using}, if {check} holds afterwards")
        }
        (Operation::Update, None, Some(check)) => format!("every row, if {check} holds afterwards"),
        (_, Some(using), _) => format!("rows of which {using}"),
        (_, None, _) => "every row".to_owned(),
    }
}

/// What comes of it, and why.
pub(super) fn decide(
    config: &Config,
    question: &Question,
    seen: &Relation,
    columns: &[usize],
    conditions: &[usize],
    rules: &[Judged],
    roles: &BTreeSet<String>,
) -> (Decision, String) {
    let Some(settings) = &config.policies else {
        return (Decision::Allowed, "There are no [policies]: everyone may do everything.".to_owned());
    };
    let Some(access) = &seen.access else {
        let bypass: Vec<&str> =
            settings.bypass_roles.iter().filter(|role| roles.contains(*role)).map(String::as_str).collect();
        let because = format!("No policy applies to {}: policies.bypass_roles has it.", bypass.join(", "));
        return (Decision::Allowed, because);
    };
    if access.broken.is_some() {
        let because =
            "A rule does not fit the relation, so that all of it is refused; `sqlitrest check` tells which.";
        return (Decision::Denied, because.to_owned());
    }
    let is_hidden = |place: &usize| matches!(access.told.get(*place), Some(Column::Hidden));
    let hidden: Vec<usize> = conditions.iter().copied().filter(is_hidden).collect();
    match rows(access, question.operation, columns) {
        Some(_) if !hidden.is_empty() => {
            let names: Vec<&str> = seen.column_names(&hidden).collect();
            let because =
                format!("No rule lets them see {}, which the filter has conditions on.", names.join(", "));
            (Decision::Denied, because)
        }
        Some(all) if all.iter().all(|rows| *rows == Rows::All) => {
            (Decision::Allowed, format!("{} of every row.", granted(rules, settings.default_action)))
        }
        Some(_) => (Decision::SomeRows, format!("{} of some rows.", granted(rules, settings.default_action))),
        None => (Decision::Denied, refused(question, seen, access, columns)),
    }
}

/// The rows that an operation may be done to, and what must hold of them then; none where it is refused.
fn rows(access: &Access, operation: Operation, columns: &[usize]) -> Option<Vec<Rows>> {
    let is_hidden = |place: &usize| matches!(access.told.get(*place), Some(Column::Hidden));
    match operation {
        Operation::Select if columns.iter().any(is_hidden) => None,
        Operation::Select => Some(vec![access.select.clone()?]),
        Operation::Insert => Some(vec![access.insert.permit(columns)?.check]),
        // Conditions find rows that are seen.
        Operation::Update => {
            let permit = access.update.permit(columns)?;
            Some(vec![access.select.clone()?, permit.using, permit.check])
        }
        Operation::Delete => Some(vec![access.select.clone()?, access.delete.clone()?]),
    }
}

fn names(rules: &[Judged], kind: Kind) -> Vec<String> {
    let own = rules.iter().filter(|own| own.takes_part && own.told.rule.kind == kind);
    own.map(|own| format!("\"{}\"", own.told.rule.name)).collect()
}

/// By what it is allowed.
fn granted(rules: &[Judged], default: DefaultAction) -> String {
    let (permissive, restrictive) = (names(rules, Kind::Permissive), names(rules, Kind::Restrictive));
    let by = match permissive.as_slice() {
        [] if default == DefaultAction::Allow => {
            "No rule is about it, and policies.default_action allows it".to_owned()
        }
        [] => "It is allowed".to_owned(),
        names => format!("{} allow{} it", names.join(" and "), if names.len() == 1 { "s" } else { "" }),
    };
    match restrictive.as_slice() {
        [] => by,
        names => format!("{by}, and {} must hold, too:", names.join(" and ")),
    }
}

/// Why it is refused.
fn refused(question: &Question, seen: &Relation, access: &Access, columns: &[usize]) -> String {
    let table = &question.table;
    let nothing = |what: &str| {
        format!("No permissive rule lets who asks {what} rows of {table}, and what no rule allows is denied")
    };
    match question.operation {
        Operation::Insert if !access.insert.is_any() => return nothing("insert") + ".",
        Operation::Update if !access.update.is_any() => return nothing("update") + ".",
        Operation::Delete if access.delete.is_none() => return nothing("delete") + ".",
        Operation::Select if access.select.is_none() => return nothing("select") + ".",
        Operation::Update | Operation::Delete if access.select.is_none() => {
            return nothing("select") + ": a condition finds no rows that they do not see.";
        }
        _ => {}
    }
    let takes = |place: &usize| match question.operation {
        Operation::Select => !matches!(access.told.get(*place), Some(Column::Hidden)),
        Operation::Insert => access.insert.takes(*place),
        Operation::Update => access.update.takes(*place),
        Operation::Delete => true,
    };
    let withheld: Vec<usize> = columns.iter().copied().filter(|place| !takes(place)).collect();
    let withheld: Vec<&str> = seen.column_names(&withheld).collect();
    let verb = if question.operation == Operation::Select { "see" } else { "write" };
    match withheld.as_slice() {
        [] => format!("No one rule lets them {verb} all of these columns together."),
        names => format!("No rule lets them {verb} {}.", names.join(", ")),
    }
}

/// What the rules say of the columns.
pub(super) fn told(seen: &Relation) -> Columns {
    let mut told = Columns::default();
    for (place, column) in seen.columns.iter().enumerate() {
        let name = || column.name.clone();
        match (column.hidden, column.masked) {
            (true, _) => told.hidden.push(name()),
            (_, true) => told.masked.push(name()),
            _ => told.visible.push(name()),
        }
        let access = seen.access.as_ref();
        let is_stored = !column.generated && column.computed.is_none();
        if is_stored && seen.writable.insert && access.is_none_or(|own| own.insert.takes(place)) {
            told.insertable.push(name());
        }
        if is_stored && seen.writable.update && access.is_none_or(|own| own.update.takes(place)) {
            told.updatable.push(name());
        }
    }
    told
}

/// What to do next.
pub(super) fn next(config: &Config, verdict: &Verdict, seen: &Relation) -> Vec<String> {
    let mut next = Vec::new();
    let table = &verdict.table;
    match verdict.decision {
        Decision::Denied if !takes(seen, verdict.operation) => {}
        Decision::Denied if config.policies.is_some() => next.push(widen(verdict)),
        Decision::SomeRows if verdict.rules.iter().any(|own| own.holds.is_some()) => {
            next.push("Whether the row holds behind its triggers only an insert tells: try it in `sqlitrest policy test`, which undoes it.".to_owned());
        }
        Decision::SomeRows if verdict.rows.is_none() => {
            next.push("Add \"filter\" (as in a URL: \"id=eq.1\"), or \"row\" for an insert, to see which rule holds of which rows.".to_owned());
        }
        _ => {}
    }
    match verdict.rows {
        Some(Counted { all: 0, .. }) => {
            next.push(format!("The filter finds no row of {table} at all: correct it."));
        }
        Some(Counted { all, allowed, .. }) if 0 < allowed && allowed < all => {
            next.push(format!(
                "A request with this filter is about {allowed} of the {all} rows, and no error tells of the others."
            ));
        }
        _ => {}
    }
    if !takes(seen, verdict.operation) {
        next.push(format!("{table} itself does not take this operation, whatever the policies say."));
    }
    if verdict.operation == Operation::Update && verdict.decision == Decision::SomeRows {
        next.push("What must hold afterwards is known only when the update is done: try it in `sqlitrest policy test`, which undoes it.".to_owned());
    }
    if next.is_empty() {
        next.push(
            "Nothing: send the request, or keep this answer as a test with `sqlitrest policy test`."
                .to_owned(),
        );
    }
    next
}

/// Whether a relation takes an operation, whatever the policies say.
fn takes(seen: &Relation, operation: Operation) -> bool {
    match operation {
        Operation::Select => true,
        Operation::Insert => seen.writable.insert,
        Operation::Update => seen.writable.update,
        Operation::Delete => seen.writable.delete,
    }
}

/// How to allow what is denied: by a rule of its own, or by one that is near.
fn widen(verdict: &Verdict) -> String {
    let fails = |own: &&Judged| own.takes_part && (own.rows == Some(0) || own.holds == Some(false));
    let of_kind = |own: &&Judged, kind: Kind| own.told.rule.kind == kind;
    let is_near = |own: &&Judged| {
        let rule = &own.told.rule;
        let is_theirs = rule.roles.is_empty() || rule.roles.iter().any(|role| verdict.roles.contains(role));
        fails(own) || !own.takes_part && (is_theirs || rule.is_for(verdict.operation))
    };
    let places = |rules: Vec<&Judged>| -> Vec<String> {
        rules.into_iter().map(|own| own.told.place.clone()).collect()
    };
    let permissive = verdict.rules.iter().filter(|own| of_kind(own, Kind::Permissive) && is_near(own));
    let restrictive = verdict.rules.iter().filter(|own| of_kind(own, Kind::Restrictive) && fails(own));
    let (permissive, restrictive) = (places(permissive.collect()), places(restrictive.collect()));
    let mut hint = String::new();
    if !permissive.is_empty() {
        hint += &format!(", or widen one of those at {}", permissive.join(", "));
    }
    if !restrictive.is_empty() {
        hint += &format!(
            "; what the restrictive rule at {} denies it denies all the same",
            restrictive.join(", ")
        );
    }
    format!(
        "To allow it, add a [[policy]] with table = \"{}\" for this role and operation{hint}; then POST /_debug/reload-schema.",
        verdict.table
    )
}

/// What to do about a request that is refused though the rules for its relation allow it.
pub(super) fn next_of_refused(view: &SchemaCache, id: RelationId, question: &Question) -> Vec<String> {
    let seen = view.relations.get(id);
    let table = &question.table;
    let is_held = seen.and_then(|own| own.access.as_ref()).is_some_and(|own| own.invoker);
    if seen.is_some_and(|own| !takes(own, question.operation)) {
        return vec![format!("{table} itself does not take this operation, whatever the policies say.")];
    }
    if is_held && compile::defined(view, id).is_err() {
        return vec![format!(
            "{table} has security = \"invoker\", so that the rules for the tables inside it hold, too: POST /_debug/policy-check with the table that is named tells which rule is wanted."
        )];
    }
    vec!["POST /_debug/explain with the request tells at which stage it is refused.".to_owned()]
}
