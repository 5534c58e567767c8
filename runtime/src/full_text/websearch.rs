//! The grammar of `websearch_to_tsquery`, by PostgreSQL's `gettoken_query_websearch`. Every text is a query.

use super::language::Language;
use super::query::{Query, one_or};
use super::words;

/// Words and quoted phrases, all of them; `or` between them binds looser, `-` before one is not.
pub(super) fn parse(text: &str, language: Language) -> Query {
    let mut alternatives = Vec::new();
    let mut all = Vec::new();
    let mut rest = text;
    while let Some((operand, behind)) = operand(rest, language) {
        all.push(operand);
        rest = behind.trim_start_matches(is_ignored);
        if let Some(behind) = after_or(rest) {
            rest = behind;
            alternatives.extend(one_or(std::mem::take(&mut all), Query::And));
        }
    }
    alternatives.extend(one_or(all, Query::And));
    one_or(alternatives, Query::Or).unwrap_or(Query::Gap)
}

/// The next word or phrase and what stands behind it.
fn operand(text: &str, language: Language) -> Option<(Query, &str)> {
    let mut rest = text.trim_start_matches(is_ignored);
    let mut negated = false;
    while let Some(behind) = rest.strip_prefix('-') {
        negated = !negated;
        rest = behind.trim_start_matches(is_ignored);
    }
    let first = rest.chars().next()?;
    let (word, behind) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => {
            let ends = |c: char| is_ignored(c) || matches!(c, '"' | ':');
            let start = first.len_utf8();
            let end = rest.get(start..)?.find(ends).map_or(rest.len(), |end| start + end);
            rest.split_at(end)
        }
    };
    let query = words::phrase(word, language, false);
    Some((if negated { Query::Not(Box::new(query)) } else { query }, behind))
}

/// What stands behind `or`, if that stands here as a word of its own with something behind it.
fn after_or(text: &str) -> Option<&str> {
    let (or, behind) = text.split_at_checked(2)?;
    let next = behind.chars().next()?;
    let word_goes_on = next.is_alphanumeric() || matches!(next, '-' | '_');
    let operand = behind.get(next.len_utf8()..)?.trim_start();
    (or.eq_ignore_ascii_case("or") && !word_goes_on && !operand.is_empty()).then_some(behind)
}

/// Spaces and the operators of the other grammar, which mean nothing here.
fn is_ignored(c: char) -> bool {
    c.is_whitespace() || matches!(c, '!' | '&' | '|' | '<' | '(' | ')')
}
