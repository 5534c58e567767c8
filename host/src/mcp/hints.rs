//! What a model is told beside an error of the API, whose own words are PostgREST's: how it is written here what is written otherwise in
//! SQL, and which tool knows more.

use serde_json::{Map, Value as Json};
use sqlitrest_runtime::debug::text::parameter;

use super::caller::Caller;
use super::target::OPERATORS;
use super::tools::schema;
use crate::answer::Answer;

/// The arguments that hints go by.
const KEPT: [&str; 6] = ["relation", "function", "select", "order", "query", "database"];

/// What are aggregates in SQL and here, each written in its own way.
const AGGREGATES: [&str; 5] = ["count", "sum", "avg", "min", "max"];

/// Errors by their code and words of their message, of which the first is meant, and what helps.
const PLAIN: [(&str, &str, &str); 5] = [
    (
        "42601",
        "tsquery",
        "wfts takes words as people write them: several, \"a phrase\", or between them, - in front.",
    ),
    (
        "PGRST100",
        "failed to parse filter ()",
        "A condition in query is name=operator.value, as in id=gt.3; alternatives are or=(id.eq.1,id.eq.2).",
    ),
    (
        "PGRST100",
        "failed to parse logic tree",
        "Alternatives are or=(id.eq.1,and(id.gt.5,name.is.null)): name, operator and value with points between them.",
    ),
    (
        "42501",
        "permission denied for table",
        "describe_relation tells the columns and operations that you have.",
    ),
    ("42703", "", "describe_relation tells the columns."),
];

/// What was asked, as far as hints go by it.
pub struct Asked {
    tool: String,
    words: Map<String, Json>,
}

impl Asked {
    /// Of a call.
    pub fn of(tool: &str, arguments: &Map<String, Json>) -> Asked {
        let is_kept = |(name, _): &(&String, &Json)| KEPT.contains(&name.as_str());
        let words = arguments.iter().filter(is_kept).map(|(name, own)| (name.clone(), own.clone()));
        Asked { tool: tool.to_owned(), words: words.collect() }
    }

    fn word(&self, name: &str) -> &str {
        self.words.get(name).and_then(Json::as_str).unwrap_or_default()
    }
}

/// The same error with what helps.
pub async fn added(caller: &Caller, asked: &Asked, answer: Answer) -> Answer {
    let Ok(Json::Object(mut problem)) = serde_json::from_slice::<Json>(&answer.body) else { return answer };
    let text = |name: &str| problem.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let (code, message, told) = (text("code"), text("message"), text("hint"));
    // What a page of rows can be narrowed by, a function has not.
    let is_late = code == "57014" && asked.tool == "call_function";
    let mut hints: Vec<String> = if told.is_empty() || is_late { Vec::new() } else { vec![told] };
    if is_late {
        hints.push(
            "Call it with arguments that make less work; mcp.timeout is how long it may take.".to_owned(),
        );
    }
    hints.extend(of_words(&code, &message, asked, caller.engine.config().api.aggregates));
    hints.extend(of_database(caller, &code, asked).await);
    if hints.is_empty() {
        return answer;
    }
    problem.insert("hint".to_owned(), hints.join(" ").into());
    Answer { body: Json::Object(problem).to_string().into_bytes(), ..answer }
}

/// What helps by the words alone.
fn of_words(code: &str, message: &str, asked: &Asked, aggregates: bool) -> Vec<String> {
    let mut hints = Vec::new();
    if matches!(code, "42703" | "42501" | "PGRST100") {
        hints.extend(of_sql(asked).map(str::to_owned));
    }
    if code == "PGRST200" && names_aggregate(message) {
        hints.push(match aggregates {
            true => {
                "Aggregates are count() and price.sum(); the other columns of select group them.".to_owned()
            }
            false => {
                "There are no aggregates here (api.aggregates); `count` true answers the number of rows."
                    .to_owned()
            }
        });
    }
    let plain = PLAIN.iter().find(|(of, words, _)| *of == code && message.contains(words));
    match plain {
        Some((_, _, hint)) => hints.push((*hint).to_owned()),
        None if code == "PGRST100" && message.contains("failed to parse filter (") => {
            hints.push(format!("Operators are {}, or not. and one of them.", OPERATORS.join(", ")));
        }
        None => {}
    }
    hints
}

/// What is SQL in the arguments.
fn of_sql(asked: &Asked) -> Option<&'static str> {
    let (order, select) = (asked.word("order").to_lowercase(), asked.word("select").to_lowercase());
    let is_direction = |own: &str| own.trim().ends_with(" desc") || own.trim().ends_with(" asc");
    if order.split(',').any(is_direction) {
        return Some("The order is written name.desc,id.");
    }
    if select.trim_start().starts_with("distinct ") {
        return Some("There is no DISTINCT in select.");
    }
    select.contains(" as ").then_some("Another name stands in front: write other:name for name AS other.")
}

/// Whether an embed is not there that is called like an aggregate.
fn names_aggregate(message: &str) -> bool {
    let lower = message.to_lowercase();
    AGGREGATES.iter().any(|name| lower.contains(&format!("and '{name}' in ")))
}

/// What helps by what there is.
async fn of_database(caller: &Caller, code: &str, asked: &Asked) -> Option<String> {
    let database = Some(asked.word("database")).filter(|name| !name.is_empty());
    match code {
        "PGRST124" => Some(format!(
            "{} rows are the most at a time here, whatever max_affected is: narrow the conditions.",
            caller.settings.max_rows
        )),
        "PGRST202" => {
            let schema = schema(caller, database, Vec::new()).await.ok()?;
            let own = schema.functions.iter().find(|own| own.name == asked.word("function"));
            Some(match own {
                Some(own) => {
                    let takes: Vec<String> = own.parameters.iter().map(parameter).collect();
                    format!(
                        "It is called as {}({}), with these as names in arguments.",
                        own.name,
                        takes.join(", ")
                    )
                }
                None => "list_relations names the functions.".to_owned(),
            })
        }
        "PGRST205" => {
            let relation = Some(asked.word("relation")).filter(|name| !name.is_empty())?;
            let all = caller.engine.served().iter().map(|served| served.name());
            let others: Vec<&str> = all.filter(|name| database != Some(*name)).collect();
            for other in others {
                let found = schema(caller, Some(other), vec![relation.to_owned()]).await;
                if found.is_ok_and(|own| !own.relations.is_empty()) {
                    return Some(format!("It is in another database: give database \"{other}\"."));
                }
            }
            Some("list_relations names the tables and views.".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(code: &str, message: &str, arguments: &Json) -> String {
        let asked = Asked::of("read_rows", arguments.as_object().expect("an object"));
        of_words(code, message, &asked, true).join(" ")
    }

    #[test]
    fn what_is_sql_is_told_how_it_is_written_here() {
        let none = json!({});
        for (code, message, arguments, hint) in [
            (
                "42703",
                "column t.name desc does not exist",
                json!({ "order": "id,name desc" }),
                "name.desc,id",
            ),
            ("42501", "permission denied for table t", json!({ "order": "name DESC" }), "name.desc,id"),
            ("42703", "column t.a as b does not exist", json!({ "select": "a AS b" }), "other:name"),
            ("42703", "column t.DISTINCT a does not exist", json!({ "select": "DISTINCT a" }), "no DISTINCT"),
            ("42501", "permission denied for table t", none.clone(), "describe_relation"),
            (
                "PGRST200",
                "Could not find a relationship between 't' and 'COUNT' in the schema cache",
                none.clone(),
                "count()",
            ),
            ("42601", "syntax error in tsquery: \"a b\"", none.clone(), "wfts"),
            ("PGRST100", "\"failed to parse filter ()\" (line 1, column 1)", none.clone(), "id=gt.3"),
            (
                "PGRST100",
                "\"failed to parse filter (LIKE.a)\" (line 1, column 1)",
                none.clone(),
                "isdistinct",
            ),
        ] {
            let told = of(code, message, &arguments);
            assert!(told.contains(hint), "{code} {message}: {told}");
        }
        assert_eq!(of("23505", "duplicate key", &none), "");
        assert_eq!(of("42501", "new row violates row-level security policy for table \"t\"", &none), "");
        assert_eq!(
            of(
                "PGRST200",
                "Could not find a relationship between 't' and 'counts' in the schema cache",
                &none
            ),
            ""
        );
    }
}
