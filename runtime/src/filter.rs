//! The grammar of filters: `id=gt.5`, `or=(a.eq.1,not.and(b.is.null,c.in.(1,2)))`.
//!
//! <https://docs.postgrest.org/en/stable/references/api/tables_views.html#horizontal-filtering>

use crate::array::parse_array;
use crate::error::Error;
use crate::field::Field;
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
    /// The column; for `is.null` also an embed.
    pub field: Field,
    /// Whether `not.` stands before the operator.
    pub negated: bool,
    /// The operator with its operand.
    pub test: Test,
}

/// An operator with its operand, still text: what type it has is the column's to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `eq`, `neq`, `gt`, `gte`, `lt`, `lte`
    Compare(Comparison, Operand),
    /// `like` and `ilike`, `*` already turned into `%`
    Like {
        /// The pattern.
        pattern: Operand,
        /// `ilike`
        ignore_case: bool,
    },
    /// `match` and `imatch`
    Match {
        /// The regular expression.
        pattern: Operand,
        /// `imatch`
        ignore_case: bool,
    },
    /// `in.(a,"b,c")`
    In(Vec<String>),
    /// `is.null` and its kin
    Is(Is),
    /// `isdistinct`: unequal, where null is a value like others
    IsDistinct(Operand),
    /// `cs`: the JSON contains
    Contains(String),
    /// `cd`: the JSON is contained in
    ContainedBy(String),
    /// `ov`: the arrays have an element in common
    Overlaps(String),
    /// `fts(english).…` and its kin
    FullText {
        /// `fts`, `plfts`, `phfts` or `wfts`
        operator: &'static str,
        /// The language in parentheses.
        language: Option<String>,
        /// The query.
        query: String,
    },
    /// `sl`, `sr`, `nxr`, `nxl`, `adj`: of ranges, which SQLite does not have
    Range(&'static str),
}

/// One value, or several of which any or all must pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// `eq.a`
    One(String),
    /// `eq(any).{a,b}`
    Any(Vec<String>),
    /// `eq(all).{a,b}`
    All(Vec<String>),
    /// `eq(col).a`: another column of the row. Beyond PostgREST.
    Column(Field),
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

const OPERATORS: &str = "operator (eq, gt, ...)";
const RESERVED: &[char] = &['.', ',', '(', ')', '"'];

/// Parses the value of a parameter that names a column: `not.eq.5`.
///
/// # Errors
/// PGRST100 where it does not fit the grammar.
pub fn parse_filter(field: Field, text: &str) -> Result<Condition, Error> {
    let mut cursor = Cursor::new("filter", text);
    let (negated, test) = operation(&mut cursor, Place::Parameter)?;
    cursor.end()?;
    Ok(Condition::Filter(Filter { field, negated, test }))
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

impl Condition {
    /// How many filters it is made of.
    pub fn size(&self) -> usize {
        match self {
            Condition::Filter(_) => 1,
            Condition::Logic { terms, .. } => terms.iter().map(Condition::size).sum(),
        }
    }
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
    let field = Field::parse(cursor, RESERVED)?;
    cursor.expect(".")?;
    let (negated, test) = operation(cursor, Place::Logic)?;
    cursor.skip_spaces();
    Ok(Condition::Filter(Filter { field, negated, test }))
}

/// Where an operand stands, which decides where it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The whole rest of a parameter.
    Parameter,
    /// Up to the next `,` or `)`, unless quoted or in braces.
    Logic,
}

fn operation(cursor: &mut Cursor<'_>, place: Place) -> Result<(bool, Test), Error> {
    let negated = cursor.take("not.");
    let rest = cursor.rest();
    let end = rest.find(['.', '(', ',', ')']).unwrap_or(rest.len());
    let name = rest.get(..end).unwrap_or_default();
    let test = match name {
        "eq" => compare(cursor, place, name, Comparison::Eq),
        "neq" => compare(cursor, place, name, Comparison::Neq),
        "gt" => compare(cursor, place, name, Comparison::Gt),
        "gte" => compare(cursor, place, name, Comparison::Gte),
        "lt" => compare(cursor, place, name, Comparison::Lt),
        "lte" => compare(cursor, place, name, Comparison::Lte),
        "like" | "ilike" => {
            let pattern = quantified(cursor, place, name)?;
            Ok(Test::Like {
                pattern: pattern.map(|text| text.replace('*', "%")),
                ignore_case: name == "ilike",
            })
        }
        "match" | "imatch" => {
            let pattern = quantified(cursor, place, name)?;
            Ok(Test::Match { pattern, ignore_case: name == "imatch" })
        }
        "in" => {
            begin(cursor, name)?;
            list(cursor).map(Test::In)
        }
        "is" => {
            begin(cursor, name)?;
            is(cursor).map(Test::Is)
        }
        "isdistinct" => {
            cursor.advance(name.len());
            column_or(cursor, |cursor| {
                cursor.expect(".")?;
                operand(cursor, place).map(Operand::One)
            })
            .map(Test::IsDistinct)
        }
        "cs" => value(cursor, place, name).map(Test::Contains),
        "cd" => value(cursor, place, name).map(Test::ContainedBy),
        "ov" => value(cursor, place, name).map(Test::Overlaps),
        "fts" => full_text(cursor, place, "fts"),
        "plfts" => full_text(cursor, place, "plfts"),
        "phfts" => full_text(cursor, place, "phfts"),
        "wfts" => full_text(cursor, place, "wfts"),
        "sl" | "sr" | "nxr" | "nxl" | "adj" => {
            let known = ["sl", "sr", "nxr", "nxl", "adj"].into_iter().find(|known| *known == name);
            value(cursor, place, name)?;
            Ok(Test::Range(known.unwrap_or("sl")))
        }
        _ => Err(cursor.error(if negated { OPERATORS } else { "\"not\" or operator (eq, gt, ...)" })),
    }?;
    Ok((negated, test))
}

/// Takes the operator's name and the point behind it.
fn begin(cursor: &mut Cursor<'_>, name: &str) -> Result<(), Error> {
    cursor.advance(name.len());
    cursor.expect(".")
}

fn value(cursor: &mut Cursor<'_>, place: Place, name: &str) -> Result<String, Error> {
    begin(cursor, name)?;
    operand(cursor, place)
}

fn compare(cursor: &mut Cursor<'_>, place: Place, name: &str, comparison: Comparison) -> Result<Test, Error> {
    cursor.advance(name.len());
    let operand = column_or(cursor, |cursor| {
        // PostgREST quantifies every comparison but neq.
        if comparison == Comparison::Neq {
            cursor.expect(".")?;
            return operand(cursor, place).map(Operand::One);
        }
        quantifier(cursor, place)
    })?;
    Ok(Test::Compare(comparison, operand))
}

/// `(col).a`, or what `other` reads.
fn column_or<'a>(
    cursor: &mut Cursor<'a>,
    other: impl FnOnce(&mut Cursor<'a>) -> Result<Operand, Error>,
) -> Result<Operand, Error> {
    if !cursor.take("(col)") {
        return other(cursor);
    }
    cursor.expect(".")?;
    Field::parse(cursor, RESERVED).map(Operand::Column)
}

/// `like.a`, `like(any).{a,b}` or `like(all).{a,b}`
fn quantified(cursor: &mut Cursor<'_>, place: Place, name: &str) -> Result<Operand, Error> {
    cursor.advance(name.len());
    quantifier(cursor, place)
}

/// `.a`, `(any).{a,b}` or `(all).{a,b}`
fn quantifier(cursor: &mut Cursor<'_>, place: Place) -> Result<Operand, Error> {
    let any = cursor.take("(any)");
    let all = !any && cursor.take("(all)");
    cursor.expect(".")?;
    if !any && !all {
        return operand(cursor, place).map(Operand::One);
    }
    let text = operand(cursor, place)?;
    let elements = parse_array(&text).ok_or_else(|| cursor.error("an array: {a,b}"))?;
    let elements = elements.into_iter().map(|(element, _)| element).collect();
    Ok(if any { Operand::Any(elements) } else { Operand::All(elements) })
}

fn full_text(cursor: &mut Cursor<'_>, place: Place, operator: &'static str) -> Result<Test, Error> {
    cursor.advance(operator.len());
    let mut language = None;
    if cursor.take("(") {
        language = Some(cursor.name(RESERVED)?);
        cursor.expect(")")?;
    }
    cursor.expect(".")?;
    Ok(Test::FullText { operator, language, query: operand(cursor, place)? })
}

fn operand(cursor: &mut Cursor<'_>, place: Place) -> Result<String, Error> {
    let rest = cursor.rest();
    let end = match (place, cursor.peek()) {
        (Place::Parameter, _) => rest.len(),
        (Place::Logic, Some('"')) => return cursor.quoted(),
        (Place::Logic, Some('{')) => braces(rest).ok_or_else(|| cursor.error("\"}\""))?,
        (Place::Logic, _) => rest.find([',', ')']).unwrap_or(rest.len()),
    };
    cursor.advance(end);
    Ok(rest.get(..end).unwrap_or_default().to_owned())
}

/// Where the braces that open here close, quoted ones passed over.
fn braces(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

impl Operand {
    fn map(self, change: impl Fn(String) -> String) -> Operand {
        match self {
            Operand::One(one) => Operand::One(change(one)),
            Operand::Any(list) => Operand::Any(list.into_iter().map(change).collect()),
            Operand::All(list) => Operand::All(list.into_iter().map(change).collect()),
            Operand::Column(field) => Operand::Column(field),
        }
    }
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

/// An element of a list: quoted, in braces, or what stands before the next `,` or `)`, a stray quote included.
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
    if cursor.peek() == Some('{') {
        return operand(cursor, Place::Logic);
    }
    let rest = cursor.rest();
    let end = rest.find([',', ')']).unwrap_or(rest.len());
    cursor.advance(end);
    Ok(rest.get(..end).unwrap_or_default().to_owned())
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
                let path: String = f.field.path.iter().map(|s| format!(" {s:?}")).collect();
                format!("{}{:?}{path} {:?}", if f.negated { "not " } else { "" }, f.field.name, f.test)
            }
            Condition::Logic { negated, connective, terms } => format!(
                "{}{:?}({})",
                if *negated { "not " } else { "" },
                connective,
                terms.iter().map(show).collect::<Vec<_>>().join(", ")
            ),
        }
    }

    fn field(name: &str) -> Field {
        Field { name: name.to_owned(), path: Vec::new() }
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
        expected.assert_eq(&shown(parse_filter(field("c"), text)));
    }

    fn check_logic(text: &str, expected: Expect) {
        expected.assert_eq(&shown(parse_logic(Connective::Or, false, text)));
    }

    #[test]
    fn operators() {
        check("eq.a,b)c\"d", expect![[r#""c" Compare(Eq, One("a,b)c\"d"))"#]]);
        check("not.lte.", expect![[r#"not "c" Compare(Lte, One(""))"#]]);
        check("ilike.*x%", expect![[r#""c" Like { pattern: One("%x%"), ignore_case: true }"#]]);
        check("in.(1, 2,\"a,\\\"b\\\\\",)", expect![[r#""c" In(["1", " 2", "a,\"b\\", ""])"#]]);
        check("in.()", expect![[r#""c" In([])"#]]);
        check("is.NOT_NULL", expect![[r#""c" Is(NotNull)"#]]);
    }

    #[test]
    fn mistakes() {
        check(
            "5",
            expect![[
                r#"PGRST100 "failed to parse filter (5)" (line 1, column 1) "unexpected \"5\" expecting \"not\" or operator (eq, gt, ...)""#
            ]],
        );
        check(
            "xx.5",
            expect![[
                r#"PGRST100 "failed to parse filter (xx.5)" (line 1, column 1) "unexpected \"x\" expecting \"not\" or operator (eq, gt, ...)""#
            ]],
        );
        check(
            "not.not.eq.5",
            expect![[
                r#"PGRST100 "failed to parse filter (not.not.eq.5)" (line 1, column 5) "unexpected \"n\" expecting operator (eq, gt, ...)""#
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
                r#"Or("a" Compare(Eq, One("1")), not And(not "b" Is(Null), Or("c" In(["1", "x)"]), "d" Like { pattern: One("a%"), ignore_case: false })))"#
            ]],
        );
        check_logic(
            "(\"or\".eq.\"a,b\",and.eq.)",
            expect![[r#"Or("or" Compare(Eq, One("a,b")), "and" Compare(Eq, One("")))"#]],
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
            let _ = parse_filter(field("c"), &text);
            let _ = parse_logic(Connective::And, true, &text);
            let _ = crate::select::parse_select(&text);
            let _ = crate::select::parse_columns("columns parameter", &text);
            let _ = crate::order::parse_order(&text);
        }
    }
}
