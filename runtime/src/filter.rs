//! The grammar of filters: `id=gt.5`, `or=(a.eq.1,not.and(b.is.null,c.in.(1,2)))`.
//!
//! <https://docs.postgrest.org/en/stable/references/api/tables_views.html#horizontal-filtering>

use crate::error::Error;
use crate::grammar::Cursor;

/// A filter or several under one connective.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// One test of one column.
    Filter(Filter),
    /// `and(…)`, `or(…)`, each perhaps negated.
    Logic {
        /// Whether `not.` stands before it.
        negated: bool,
        /// What joins the terms.
        connective: Connective,
        /// The terms; at least one.
        terms: Vec<Condition>,
    },
}

/// What joins the terms of a logic group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connective {
    /// Every term holds.
    And,
    /// At least one term holds.
    Or,
}

/// One test of one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The column.
    pub column: String,
    /// Whether `not.` stands before the operator.
    pub negated: bool,
    /// The operator with its operand.
    pub test: Test,
}

/// An operator with its operand, still text: what type it has is the column's to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `eq`, `neq`, `gt`, `gte`, `lt`, `lte`
    Compare(Comparison, String),
    /// `like` and `ilike`, `*` already turned into `%`
    Like {
        /// The pattern.
        pattern: String,
        /// `ilike`
        ignore_case: bool,
    },
    /// `in.(a,"b,c")`
    In(Vec<String>),
    /// `is.null` and its kin
    Is(Is),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `eq`
    Eq,
    /// `neq`
    Neq,
    /// `gt`
    Gt,
    /// `gte`
    Gte,
    /// `lt`
    Lt,
    /// `lte`
    Lte,
}

/// The operand of `is`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    /// `is.null`
    Null,
    /// `is.not_null`
    NotNull,
    /// `is.true`
    True,
    /// `is.false`
    False,
    /// `is.unknown`
    Unknown,
}

const OPERATORS: &str = "operator (eq, neq, gt, gte, lt, lte, like, ilike, in, is) or not";
const RESERVED: &[char] = &['.', ',', '(', ')', '"'];

/// Parses the value of a parameter that names a column: `not.eq.5`.
///
/// # Errors
/// PGRST100 where it does not fit the grammar.
pub fn parse_filter(column: String, text: &str) -> Result<Condition, Error> {
    let mut cursor = Cursor::new("filter", text);
    let (negated, test) = operation(&mut cursor, Place::Parameter)?;
    cursor.end()?;
    Ok(Condition::Filter(Filter { column, negated, test }))
}

/// Parses the value of `and=` or `or=`: `(a.eq.1,b.eq.2)`.
///
/// # Errors
/// PGRST100 where it does not fit the grammar.
pub fn parse_logic(connective: Connective, negated: bool, text: &str) -> Result<Condition, Error> {
    let mut cursor = Cursor::new("logic tree", text);
    let terms = terms(&mut cursor, 1)?;
    // PostgREST takes a closing parenthesis too many; clients that build trees from text rely on it.
    while cursor.take(")") {}
    cursor.end()?;
    Ok(Condition::Logic { negated, connective, terms })
}

fn terms(cursor: &mut Cursor<'_>, depth: usize) -> Result<Vec<Condition>, Error> {
    cursor.check_depth(depth)?;
    cursor.skip_spaces();
    cursor.expect("(")?;
    let mut terms = vec![condition(cursor, depth)?];
    while cursor.take(",") {
        terms.push(condition(cursor, depth)?);
    }
    cursor.expect(")")?;
    cursor.skip_spaces();
    Ok(terms)
}

fn condition(cursor: &mut Cursor<'_>, depth: usize) -> Result<Condition, Error> {
    cursor.skip_spaces();
    for (prefix, negated, connective) in [
        ("and", false, Connective::And),
        ("or", false, Connective::Or),
        ("not.and", true, Connective::And),
        ("not.or", true, Connective::Or),
    ] {
        let follows = cursor.rest().strip_prefix(prefix).map(|rest| rest.trim_start_matches(' '));
        if follows.is_some_and(|rest| rest.starts_with('(')) {
            cursor.advance(prefix.len());
            let terms = terms(cursor, depth + 1)?;
            return Ok(Condition::Logic { negated, connective, terms });
        }
    }
    let column = cursor.name(RESERVED)?;
    cursor.expect(".")?;
    let (negated, test) = operation(cursor, Place::Logic)?;
    cursor.skip_spaces();
    Ok(Condition::Filter(Filter { column, negated, test }))
}

/// Where an operand stands, which decides where it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The whole rest of a parameter.
    Parameter,
    /// Up to the next `,` or `)`, unless quoted.
    Logic,
    /// Up to the next `,` or `)`.
    List,
}

fn operation(cursor: &mut Cursor<'_>, place: Place) -> Result<(bool, Test), Error> {
    let negated = cursor.take("not.");
    let rest = cursor.rest();
    let (name, _) = rest.split_once('.').ok_or_else(|| cursor.error(OPERATORS))?;
    let comparison = match name {
        "eq" => Some(Comparison::Eq),
        "neq" => Some(Comparison::Neq),
        "gt" => Some(Comparison::Gt),
        "gte" => Some(Comparison::Gte),
        "lt" => Some(Comparison::Lt),
        "lte" => Some(Comparison::Lte),
        "like" | "ilike" | "in" | "is" => None,
        _ => return Err(cursor.error(OPERATORS)),
    };
    cursor.advance(name.len() + 1);
    let test = match (comparison, name) {
        (Some(comparison), _) => Test::Compare(comparison, operand(cursor, place)?),
        (None, "in") => Test::In(list(cursor)?),
        (None, "is") => Test::Is(is(cursor)?),
        (None, name) => {
            Test::Like { pattern: operand(cursor, place)?.replace('*', "%"), ignore_case: name == "ilike" }
        }
    };
    Ok((negated, test))
}

fn operand(cursor: &mut Cursor<'_>, place: Place) -> Result<String, Error> {
    if place == Place::Parameter {
        let rest = cursor.rest();
        cursor.advance(rest.len());
        return Ok(rest.to_owned());
    }
    if place == Place::Logic && cursor.peek() == Some('"') {
        return cursor.quoted();
    }
    let rest = cursor.rest();
    let end = rest.find([',', ')']).unwrap_or(rest.len());
    cursor.advance(end);
    Ok(rest.get(..end).unwrap_or_default().to_owned())
}

fn list(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Error> {
    cursor.expect("(")?;
    let mut values = Vec::new();
    if cursor.take(")") {
        return Ok(values);
    }
    loop {
        values.push(element(cursor)?);
        if cursor.take(")") {
            return Ok(values);
        }
        cursor.expect(",")?;
    }
}

/// An element of a list: quoted, or what stands before the next `,` or `)`, a stray quote included.
fn element(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let start = cursor.place();
    cursor.skip_spaces();
    if cursor.peek() == Some('"') {
        let quoted = cursor.quoted();
        cursor.skip_spaces();
        if quoted.is_ok() && matches!(cursor.peek(), Some(',' | ')')) {
            return quoted;
        }
    }
    cursor.go_back(start);
    operand(cursor, Place::List)
}

fn is(cursor: &mut Cursor<'_>) -> Result<Is, Error> {
    let rest = cursor.rest();
    let end = rest.find([',', ')']).unwrap_or(rest.len());
    let word = rest.get(..end).unwrap_or_default();
    let is = match word.to_ascii_lowercase().as_str() {
        "null" => Is::Null,
        "not_null" => Is::NotNull,
        "true" => Is::True,
        "false" => Is::False,
        "unknown" => Is::Unknown,
        _ => return Err(cursor.error("null, not_null, true, false or unknown")),
    };
    cursor.advance(end);
    Ok(is)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn show(condition: &Condition) -> String {
        match condition {
            Condition::Filter(f) => {
                format!("{}{:?} {:?}", if f.negated { "not " } else { "" }, f.column, f.test)
            }
            Condition::Logic { negated, connective, terms } => format!(
                "{}{:?}({})",
                if *negated { "not " } else { "" },
                connective,
                terms.iter().map(show).collect::<Vec<_>>().join(", ")
            ),
        }
    }

    fn shown(result: Result<Condition, Error>) -> String {
        match result {
            Ok(condition) => show(&condition),
            Err(error) => {
                let problem = error.problem();
                format!("{} {} {}", problem.code, problem.message, problem.details)
            }
        }
    }

    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&shown(parse_filter("c".to_owned(), text)));
    }

    fn check_logic(text: &str, expected: Expect) {
        expected.assert_eq(&shown(parse_logic(Connective::Or, false, text)));
    }

    #[test]
    fn operators() {
        check("eq.a,b)c\"d", expect![[r#""c" Compare(Eq, "a,b)c\"d")"#]]);
        check("not.lte.", expect![[r#"not "c" Compare(Lte, "")"#]]);
        check("ilike.*x%", expect![[r#""c" Like { pattern: "%x%", ignore_case: true }"#]]);
        check("in.(1, 2,\"a,\\\"b\\\\\",)", expect![[r#""c" In(["1", " 2", "a,\"b\\", ""])"#]]);
        check("in.()", expect![[r#""c" In([])"#]]);
        check("is.NOT_NULL", expect![[r#""c" Is(NotNull)"#]]);
    }

    #[test]
    fn mistakes() {
        check(
            "5",
            expect![[
                r#"PGRST100 "failed to parse filter (5)" (line 1, column 1) "unexpected \"5\" expecting operator (eq, neq, gt, gte, lt, lte, like, ilike, in, is) or not""#
            ]],
        );
        check(
            "xx.5",
            expect![[
                r#"PGRST100 "failed to parse filter (xx.5)" (line 1, column 1) "unexpected \"x\" expecting operator (eq, neq, gt, gte, lt, lte, like, ilike, in, is) or not""#
            ]],
        );
        check(
            "not.not.eq.5",
            expect![[
                r#"PGRST100 "failed to parse filter (not.not.eq.5)" (line 1, column 5) "unexpected \"n\" expecting operator (eq, neq, gt, gte, lt, lte, like, ilike, in, is) or not""#
            ]],
        );
        check(
            "in.(1,2",
            expect![[
                r#"PGRST100 "failed to parse filter (in.(1,2)" (line 1, column 8) "unexpected end of input expecting \",\"""#
            ]],
        );
        check("in.(\"a\"b)", expect![[r#""c" In(["\"a\"b"])"#]]);
        check(
            "is.nil",
            expect![[
                r#"PGRST100 "failed to parse filter (is.nil)" (line 1, column 4) "unexpected \"n\" expecting null, not_null, true, false or unknown""#
            ]],
        );
    }

    #[test]
    fn logic() {
        check_logic(
            "(a.eq.1, not.and(b.not.is.null,or(c.in.(1,\"x)\"),d.like.a*)))",
            expect![[
                r#"Or("a" Compare(Eq, "1"), not And(not "b" Is(Null), Or("c" In(["1", "x)"]), "d" Like { pattern: "a%", ignore_case: false })))"#
            ]],
        );
        check_logic(
            "(\"or\".eq.\"a,b\",and.eq.)",
            expect![[r#"Or("or" Compare(Eq, "a,b"), "and" Compare(Eq, ""))"#]],
        );
        check_logic(
            "()",
            expect![[
                r#"PGRST100 "failed to parse logic tree (())" (line 1, column 2) "unexpected \")\" expecting field name (* or [a..z0..9_$])""#
            ]],
        );
        check_logic(
            "(a.eq.1",
            expect![[
                r#"PGRST100 "failed to parse logic tree ((a.eq.1)" (line 1, column 8) "unexpected end of input expecting \")\"""#
            ]],
        );
        check_logic(&"(and".repeat(70), expect!["54001 logic tree nests deeper than 64 levels null"]);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-z.()\",\\\\*é \0-]{0,40}") {
            let _ = parse_filter("c".to_owned(), &text);
            let _ = parse_logic(Connective::And, true, &text);
            let _ = crate::select::parse_select(&text);
            let _ = crate::select::parse_columns(&text);
            let _ = crate::order::parse_order(&text);
        }
    }
}
