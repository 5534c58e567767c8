//! What to do about a request that was explained, in sentences: by the indexes that are advised, and by what is read from end to end.

use super::advice;
use super::explain::{Explanation, Line, Part, Report};
use crate::plan::Plan;
use crate::policy::Rows;
use crate::schema::{RelationKind, SchemaCache};

/// What a page reads of its relation, where it ends with its limit and nothing is looked for or sorted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// No: all of it may be read.
    Nowhere,
    /// Behind the rows of the page.
    WithPage,
    /// The same, and those that policies hide among them.
    WithSeen,
}

impl Ends {
    fn of(part: &Part) -> Ends {
        let Plan::Read { read, .. } = &part.plan else { return Ends::Nowhere };
        let Some(relation) = part.view.relations.get(read.source.relation) else { return Ends::Nowhere };
        let is_plain = read.conditions.is_empty() && !read.distinct && !read.is_aggregated();
        if read.limit.is_none() || read.offset > 0 || !is_plain || relation.kind != RelationKind::Table {
            return Ends::Nowhere;
        }
        let sees_all = relation.access.as_ref().is_none_or(|access| access.select == Some(Rows::All));
        if sees_all { Ends::WithPage } else { Ends::WithSeen }
    }
}

/// What statements read from end to end, by name.
#[derive(Default)]
struct Scans {
    /// All of it.
    whole: Vec<String>,
    /// As far as a page goes.
    begun: Vec<String>,
}

impl Scans {
    fn of(report: &Report, ends: Ends, schema: &SchemaCache) -> Scans {
        let mut scans = Scans::default();
        for own in report.statements.iter().filter(|own| own.step != "pre-request") {
            let sorts = |line: &Line| line.parent == 0 && line.detail.starts_with("USE TEMP B-TREE");
            let is_sorted = own.plan.iter().any(sorts);
            let ends = ends != Ends::Nowhere && own.step == "page" && !is_sorted;
            for line in &own.plan {
                let name = advice::scanned_relation(&own.sql, &line.detail);
                let Some(name) = name.filter(|name| !is_given(schema, name)) else { continue };
                let known = if ends && line.parent == 0 { &mut scans.begun } else { &mut scans.whole };
                known.push(name.to_owned());
            }
        }
        for all in [&mut scans.whole, &mut scans.begun] {
            all.sort_unstable();
            all.dedup();
        }
        scans
    }
}

/// Whether a name is one of rows that a statement makes itself, and no relation's.
fn is_given(schema: &SchemaCache, name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let is_made =
        name == "the rows" || name.starts_with('(') || name.strip_prefix('t').is_some_and(is_number);
    is_made && !schema.names.contains_key(name)
}

/// What to do about it, in sentences.
pub(super) fn next(report: &Report, explanation: &Explanation) -> Vec<String> {
    let mut next: Vec<String> =
        report.advice.iter().map(|advice| format!("{}: {}", advice.reason, advice.create_index)).collect();
    // What is run before stands first.
    let Some(part) = explanation.parts.last() else {
        next.push("Nothing: no statement is needed for it.".to_owned());
        return next;
    };
    let ends = Ends::of(part);
    let Scans { whole, begun } = Scans::of(report, ends, &part.view);
    let is_call = matches!(part.plan, Plan::Call { .. });
    if report.advice.is_empty() && !whole.is_empty() {
        let names = whole.join(", ");
        next.push(match is_call {
            true => format!(
                "The SQL of the function reads {names} from end to end, which no filter of a request changes: change it, or make an index of what it looks for, if the table is large."
            ),
            false => format!(
                "{names} is read from end to end: narrow the request with a filter on an indexed column, or limit it, if the table is large."
            ),
        });
    }
    if explanation.parts.iter().any(|part| writes(&part.plan)) {
        next.push("Nothing was written: send the request itself to do it.".to_owned());
    }
    if next.is_empty() {
        let names = begun.join(", ");
        next.push(match ends {
            _ if begun.is_empty() && is_call => {
                "Nothing: the SQL of the function goes through no whole table.".to_owned()
            }
            Ends::WithPage if !begun.is_empty() => {
                format!("Nothing: {names} is read no further than the page goes.")
            }
            Ends::WithSeen if !begun.is_empty() => format!(
                "Nothing: {names} is read until the page is full, and rows that the policies hide are passed over."
            ),
            _ => "Nothing: every table is reached by an index or by its key.".to_owned(),
        });
    }
    next
}

fn writes(plan: &Plan) -> bool {
    matches!(plan, Plan::Insert(_) | Plan::InsertTree(_) | Plan::Update(_) | Plan::Delete(_))
}
