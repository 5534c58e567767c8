//! What the CHECK constraints of a table say of the values of one column, for documents: `IN ('a', 'b')`, `BETWEEN 1 AND 5`,
//! `length(name) <= 20`. Only what is certain: every condition that it cannot follow is passed over, which leaves less said and nothing
//! wrong.

use serde_json::{Number, Value as Json};

use super::tokens::{Token, tokens};

/// What is certain of the values of a column, NULL aside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The only values.
    pub one_of: Option<Vec<Json>>,
    /// The least.
    pub minimum: Option<Bound>,
    /// The greatest.
    pub maximum: Option<Bound>,
    /// The fewest characters of a text.
    pub min_length: Option<u64>,
    /// The most characters of a text.
    pub max_length: Option<u64>,
}

/// An end of a range of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The number.
    pub value: Number,
    /// Whether the number itself is outside.
    pub exclusive: bool,
}

/// What is found, by the names of columns in lower case. There are few.
type Found = Vec<(String, Facts)>;

/// What the CREATE TABLE says, by the names of columns in lower case.
#[inline(never)]
pub(crate) fn facts(sql: &str) -> Vec<(String, Facts)> {
    let tokens = tokens(sql);
    // By another collation a text may equal one that is written otherwise.
    let has_collations = tokens.iter().any(|token| token.is("collate"));
    let mut found = Found::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.is("check")
            && let Some(condition) = tokens.get(at + 1..).and_then(parenthesized)
        {
            read(condition, &mut found);
        }
    }
    if has_collations {
        let is_number = |value: &Json| value.is_number();
        let keeps = |values: &Vec<Json>| values.iter().all(is_number);
        found.iter_mut().for_each(|(_, facts)| facts.one_of = facts.one_of.take().filter(keeps));
    }
    found
}

/// What stands between the parenthesis that opens here and the one that closes it.
#[inline(never)]
fn parenthesized<'a, 't>(tokens: &'a [Token<'t>]) -> Option<&'a [Token<'t>]> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return if at == 0 { None } else { tokens.get(1..at) };
        }
    }
    None
}

/// Without the parentheses around the whole.
#[inline(never)]
fn bare<'a, 't>(mut tokens: &'a [Token<'t>]) -> &'a [Token<'t>] {
    while let Some(inner) = parenthesized(tokens).filter(|inner| inner.len() + 2 == tokens.len()) {
        tokens = inner;
    }
    tokens
}

/// The parts between a keyword, where it stands in no parentheses. The AND of a BETWEEN joins nothing.
#[inline(never)]
fn split<'a, 't>(tokens: &'a [Token<'t>], keyword: &str) -> Vec<&'a [Token<'t>]> {
    let (mut parts, mut depth, mut start, mut is_between) = (Vec::new(), 0_usize, 0, false);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            token if token.is("between") => is_between = true,
            token if token.is("and") && is_between => is_between = false,
            token if token.is(keyword) => {
                parts.extend(tokens.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(tokens.get(start..));
    parts
}

/// Adds what a condition says.
#[inline(never)]
fn read(condition: &[Token<'_>], found: &mut Found) {
    let condition = bare(condition);
    // The AND inside a CASE is none of the condition's own.
    if condition.iter().any(|token| token.is("case")) {
        return;
    }
    let alternatives = split(condition, "or");
    match alternatives.as_slice() {
        [all] => {
            let terms = split(all, "and");
            match terms.as_slice() {
                [term] => term_of(term, found),
                // Parentheses may hold several.
                terms => terms.iter().for_each(|term| read(term, found)),
            }
        }
        // NULL is no value that a document would have to tell of: a CHECK lets it pass anyway.
        [nothing, other] | [other, nothing] if is_null(nothing).is_some() && is_null(other).is_none() => {
            let mut own = Found::new();
            read(other, &mut own);
            let column = is_null(nothing).map(str::to_ascii_lowercase).unwrap_or_default();
            // Where another column is NULL, nothing is said of this one.
            own.into_iter()
                .filter(|(name, _)| *name == column)
                .for_each(|(name, facts)| add(found, &name, facts));
        }
        _ => {}
    }
}

/// The column of `column IS NULL`.
#[inline(never)]
fn is_null<'t>(tokens: &'t [Token<'_>]) -> Option<&'t str> {
    match bare(tokens) {
        [name, is, null] if is.is("is") && null.is("null") => column(name),
        [name, is] if is.is("isnull") => column(name),
        _ => None,
    }
}

/// The name of a column. A text in its place is a text.
#[inline(never)]
fn column<'t>(token: &'t Token<'_>) -> Option<&'t str> {
    let is_number = |name: &str| name.starts_with(|c: char| c.is_ascii_digit());
    match token {
        Token::Word(name) if !is_number(name) => Some(name),
        Token::Name(name) => Some(name),
        _ => None,
    }
}

/// What is compared: a column, or the length of one.
#[inline(never)]
fn subject<'a, 't>(tokens: &'a [Token<'t>]) -> Option<(&'a str, bool, &'a [Token<'t>])> {
    match tokens {
        [length, Token::Symbol('('), name, Token::Symbol(')'), rest @ ..] if length.is("length") => {
            Some((column(name)?, true, rest))
        }
        [Token::Symbol('('), name, Token::Symbol(')'), rest @ ..] => Some((column(name)?, false, rest)),
        [name, rest @ ..] => Some((column(name)?, false, rest)),
        [] => None,
    }
}

/// Adds what a term says that has no AND and no OR.
#[inline(never)]
fn term_of(term: &[Token<'_>], found: &mut Found) {
    let said = subject(term).and_then(|(name, is_length, rest)| Some((name, said(is_length, rest)?)));
    if let Some((name, facts)) = said.or_else(|| turned(term)) {
        add(found, &name.to_ascii_lowercase(), facts);
    }
}

/// Adds what is said of a column, whose name is in lower case.
#[inline(never)]
fn add(found: &mut Found, name: &str, facts: Facts) {
    match found.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => known.add(facts),
        None => found.push((name.to_owned(), facts)),
    }
}

/// `0 < column`
#[inline(never)]
fn turned<'t>(term: &'t [Token<'_>]) -> Option<(&'t str, Facts)> {
    let at = term.iter().position(|token| matches!(token, Token::Symbol('<' | '>')))?;
    let (value, rest) = term.split_at_checked(at)?;
    let (sign, is_equal, rest) = sign(rest)?;
    let (name, is_length, rest) = subject(rest)?;
    let sign = if sign == '<' { '>' } else { '<' };
    let facts = compared(is_length, sign, is_equal, &literal(value)?)?;
    rest.is_empty().then_some((name, facts))
}

/// A comparison's sign, whether it holds for equal ones, and what stands behind it.
#[inline(never)]
fn sign<'a, 't>(tokens: &'a [Token<'t>]) -> Option<(char, bool, &'a [Token<'t>])> {
    match tokens {
        [Token::Symbol(sign @ ('<' | '>')), Token::Symbol('='), rest @ ..] => Some((*sign, true, rest)),
        [Token::Symbol('='), Token::Symbol('='), rest @ ..] => Some(('=', true, rest)),
        [Token::Symbol('<'), Token::Symbol('>'), ..] => None,
        [Token::Symbol(sign @ ('<' | '>' | '=')), rest @ ..] => Some((*sign, *sign == '=', rest)),
        _ => None,
    }
}

/// What an operator and its operands say of what stands before them.
#[inline(never)]
fn said(is_length: bool, rest: &[Token<'_>]) -> Option<Facts> {
    match rest {
        [word, list @ ..] if word.is("in") && !is_length => {
            let inner = parenthesized(list).filter(|inner| inner.len() + 2 == list.len())?;
            let values = commas(inner).into_iter().map(literal).collect::<Option<Vec<_>>>()?;
            (!values.is_empty()).then(|| Facts { one_of: Some(values), ..Facts::default() })
        }
        [word, ends @ ..] if word.is("between") => {
            let at = ends.iter().position(|token| token.is("and"))?;
            let least = compared(is_length, '>', true, &literal(ends.get(..at)?)?)?;
            let mut both = compared(is_length, '<', true, &literal(ends.get(at + 1..)?)?)?;
            both.add(least);
            Some(both)
        }
        rest => {
            let (sign, is_equal, value) = sign(rest)?;
            compared(is_length, sign, is_equal, &literal(value)?)
        }
    }
}

#[inline(never)]
fn compared(is_length: bool, sign: char, is_equal: bool, value: &Json) -> Option<Facts> {
    let Json::Number(number) = value else { return None };
    if is_length {
        let length = number.as_u64()?;
        let (least, most) = match (sign, is_equal) {
            ('=', _) => (Some(length), Some(length)),
            ('>', true) => (Some(length), None),
            ('>', false) => (length.checked_add(1), None),
            (_, true) => (None, Some(length)),
            (_, false) => (None, Some(length.checked_sub(1)?)),
        };
        return Some(Facts { min_length: least, max_length: most, ..Facts::default() });
    }
    let bound = Some(Bound { value: number.clone(), exclusive: !is_equal });
    match sign {
        '>' => Some(Facts { minimum: bound, ..Facts::default() }),
        '<' => Some(Facts { maximum: bound, ..Facts::default() }),
        _ => None,
    }
}

/// The parts between commas; a list of values has no others in it.
#[inline(never)]
fn commas<'a, 't>(tokens: &'a [Token<'t>]) -> Vec<&'a [Token<'t>]> {
    tokens.split(|token| *token == Token::Symbol(',')).collect()
}

/// A number or a text, in any parentheses.
#[inline(never)]
fn literal(tokens: &[Token<'_>]) -> Option<Json> {
    let tokens = bare(tokens);
    let (sign, rest) = match tokens {
        [Token::Symbol('-'), rest @ ..] => ("-", bare(rest)),
        [Token::Symbol('+'), rest @ ..] => ("", bare(rest)),
        rest => ("", rest),
    };
    match rest {
        [Token::Text(text)] if rest.len() == tokens.len() => Some(Json::String(text.to_string())),
        [Token::Word(whole)] => number(&format!("{sign}{whole}")),
        [Token::Word(whole), Token::Symbol('.'), Token::Word(part)] => {
            number(&format!("{sign}{whole}.{part}"))
        }
        [Token::Word(whole), Token::Symbol('.')] => number(&format!("{sign}{whole}")),
        [Token::Symbol('.'), Token::Word(part)] => number(&format!("{sign}0.{part}")),
        _ => None,
    }
}

/// A decimal number as JSON has it.
#[inline(never)]
fn number(text: &str) -> Option<Json> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match text.parse::<i64>() {
        Ok(whole) => Some(Json::from(whole)),
        // Rust reads no hexadecimal and no underscores here, and neither is there a word for infinity that begins with a digit.
        Err(_) => Number::from_f64(text.parse().ok()?).map(Json::Number),
    }
}

/// The value of a DEFAULT that is a literal; of an expression, none.
#[inline(never)]
pub(crate) fn default_literal(sql: &str) -> Option<Json> {
    let tokens = tokens(sql);
    match bare(&tokens) {
        [word] if word.is("true") => Some(Json::Bool(true)),
        [word] if word.is("false") => Some(Json::Bool(false)),
        // SQLite takes a quoted name for a text here.
        [Token::Name(text)] if sql.starts_with('"') => Some(Json::String(text.to_string())),
        tokens => literal(tokens),
    }
}

impl Facts {
    /// What holds besides.
    #[inline(never)]
    fn add(&mut self, other: Facts) {
        let value = |bound: &Bound| bound.value.as_f64().unwrap_or_default();
        self.one_of = self.one_of.take().or(other.one_of);
        self.minimum = match (self.minimum.take(), other.minimum) {
            (Some(a), Some(b)) => Some(if value(&a) >= value(&b) { a } else { b }),
            (a, b) => a.or(b),
        };
        self.maximum = match (self.maximum.take(), other.maximum) {
            (Some(a), Some(b)) => Some(if value(&a) <= value(&b) { a } else { b }),
            (a, b) => a.or(b),
        };
        self.min_length = self.min_length.max(other.min_length);
        self.max_length = match (self.max_length, other.max_length) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn check(sql: &str, expected: Expect) {
        let shown: Vec<String> = facts(sql).iter().map(|(name, facts)| show(name, facts)).collect();
        expected.assert_eq(&shown.join("\n"));
    }

    fn show(name: &str, facts: &Facts) -> String {
        let mut parts = vec![name.to_owned()];
        let bound = |sign: &str, bound: &Option<Bound>| {
            bound.as_ref().map(|b| format!("{sign}{} {}", if b.exclusive { "" } else { "=" }, b.value))
        };
        parts.extend(facts.one_of.as_ref().map(|values| Json::from(values.clone()).to_string()));
        parts.extend(bound(">", &facts.minimum));
        parts.extend(bound("<", &facts.maximum));
        parts.extend(facts.min_length.map(|n| format!("length >= {n}")));
        parts.extend(facts.max_length.map(|n| format!("length <= {n}")));
        parts.join(" ")
    }

    #[test]
    fn lists() {
        check(
            "CREATE TABLE t(a TEXT CHECK (a IN ('x', 'it''s')), \"b c\" INT CHECK(([b c] in (1, -2, +3.5))),
             c CHECK (c IS NULL OR c IN ('p')), d CHECK (d IN ('q') OR (d ISNULL)), CHECK (e IN ('r') AND f > 0))",
            expect![[r#"
                a ["x","it's"]
                b c [1,-2,3.5]
                c ["p"]
                d ["q"]
                e ["r"]
                f > 0"#]],
        );
    }

    #[test]
    fn ranges_and_lengths() {
        check(
            "CREATE TABLE t(a CHECK (a BETWEEN 1 AND 5 AND a < 5), b CHECK ([b]>=(0) AND b<=(1.5)), c CHECK (0 < c),
             d CHECK (length(d) = 2), e CHECK (length(e) BETWEEN 1 AND 8), f CHECK (length(f) < 10), g CHECK (.5 >= (g)),
             h CHECK ((h > 1 AND (h < 9)) AND h > 2))",
            expect![[r#"
                a >= 1 <= 5
                b >= 0 <= 1.5
                c > 0
                d length >= 2 length <= 2
                e length >= 1 length <= 8
                f length <= 9
                g <= 0.5
                h > 2 < 9"#]],
        );
    }

    #[test]
    fn what_is_not_certain() {
        check(
            "CREATE TABLE t(a CHECK (a IN ('x') OR b > 1), b CHECK (b <> 1 AND NOT b IN (2) AND b IN (SELECT 1)), c CHECK (c > d),
             d CHECK (d IN (\"x\", y)), e CHECK (e NOT IN (1)), f CHECK (CASE WHEN f > 1 AND f < 2 THEN 1 END),
             g CHECK (g + 1 > 2), h CHECK (h IN ()), i CHECK (length(i) > -1), j CHECK (i IS NULL OR j > 1), k CHECK (k >= 0x10))",
            expect![[r#""#]],
        );
        check(
            "CREATE TABLE t(a COLLATE NOCASE CHECK (a IN ('x')), b CHECK (b IN (1)))",
            expect![[r#"
            a
            b [1]"#]],
        );
        check("CREATE TABLE t(a CHECK (a IN ('x'", expect![[r#""#]]);
    }

    #[test]
    fn defaults() {
        let shown: Vec<String> = [
            "'default'",
            "42",
            "-1",
            "+2",
            "42.2",
            "(7)",
            "TRUE",
            "false",
            "\"a b\"",
            "NULL",
            "CURRENT_TIMESTAMP",
            "strftime('%s', 'now')",
            "x'00'",
            "abc",
            "1 + 1",
            "-'a'",
            "",
        ]
        .iter()
        .map(|sql| default_literal(sql).map_or("-".to_owned(), |json| json.to_string()))
        .collect();
        expect![[r#""default" 42 -1 2 42.2 7 true false "a b" - - - - - - - -"#]].assert_eq(&shown.join(" "));
    }

    proptest! {
        #[test]
        fn never_panics(sql in "(CREATE TABLE t\\()?(CHECK ?\\()?[a-z(),'\"\\[\\]` é*/<>=.0-9-]{0,60}") {
            let _ = facts(&sql);
            let _ = default_literal(&sql);
        }
    }
}
