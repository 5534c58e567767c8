//! A query as an FTS5 expression.
//!
//! FTS5 has AND, OR and a NOT that takes rows away from others, but none that stands alone. So every part of a query is
//! the rows of an expression, or all rows but those: `a & !b` is `a NOT b`, and `!a | b` is all but the rows of `a NOT b`.

use super::query::{Query, Step, Word};
use super::{Found, FullTextError, MAX_DEPTH, too_complex};

/// In how many ways a phrase may be read: `(a | b) <-> (c | d)` is four.
const MAX_READINGS: usize = 32;

/// An FTS5 expression.
enum Expression {
    /// A phrase or NEAR group, as text.
    Phrase(String),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    /// The rows of the first that are none of the second.
    Except(Box<Expression>, Box<Expression>),
}

/// The rows of an expression, or all others.
enum Rows {
    Of(Expression),
    Except(Expression),
}

/// What `query`, which has no gaps, finds in `columns`.
pub(super) fn found(query: &Query, columns: &[&str]) -> Result<Found, FullTextError> {
    let names: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    let text = |expression: &Expression| {
        let mut text = String::new();
        write_expression(expression, 0, &mut text)?;
        Ok(if names.is_empty() { text } else { format!("{{{}}} : ({text})", names.join(" ")) })
    };
    match rows(query)? {
        Rows::Of(expression) => text(&expression).map(Found::Matching),
        Rows::Except(expression) => text(&expression).map(Found::NotMatching),
    }
}

fn rows(query: &Query) -> Result<Rows, FullTextError> {
    match query {
        Query::Not(part) => Ok(match rows(part)? {
            Rows::Of(expression) => Rows::Except(expression),
            Rows::Except(expression) => Rows::Of(expression),
        }),
        Query::And(parts) => {
            let (of, except) = sides(parts)?;
            Ok(match (of.is_empty(), except.is_empty()) {
                (true, _) => Rows::Except(or(except)),
                (false, true) => Rows::Of(and(of)),
                (false, false) => Rows::Of(Expression::Except(Box::new(and(of)), Box::new(or(except)))),
            })
        }
        Query::Or(parts) => {
            let (of, except) = sides(parts)?;
            Ok(match (of.is_empty(), except.is_empty()) {
                (_, true) => Rows::Of(or(of)),
                (true, false) => Rows::Except(and(except)),
                (false, false) => Rows::Except(Expression::Except(Box::new(and(except)), Box::new(or(of)))),
            })
        }
        Query::Gap | Query::Word(_) | Query::Phrase(_) => {
            let readings = readings(query)?;
            Ok(Rows::Of(or(readings.iter().map(|reading| Expression::Phrase(reading.text())).collect())))
        }
    }
}

fn sides(parts: &[Query]) -> Result<(Vec<Expression>, Vec<Expression>), FullTextError> {
    let (mut of, mut except) = (Vec::new(), Vec::new());
    for part in parts {
        match rows(part)? {
            Rows::Of(expression) => of.push(expression),
            Rows::Except(expression) => except.push(expression),
        }
    }
    Ok((of, except))
}

fn and(parts: Vec<Expression>) -> Expression {
    let flat = parts.into_iter().flat_map(|part| match part {
        Expression::And(parts) => parts,
        part => vec![part],
    });
    one_or(flat.collect(), Expression::And)
}

fn or(parts: Vec<Expression>) -> Expression {
    let flat = parts.into_iter().flat_map(|part| match part {
        Expression::Or(parts) => parts,
        part => vec![part],
    });
    one_or(flat.collect(), Expression::Or)
}

fn one_or(mut parts: Vec<Expression>, list: fn(Vec<Expression>) -> Expression) -> Expression {
    if parts.len() > 1 {
        return list(parts);
    }
    // FTS5's empty string is found nowhere.
    parts.pop().unwrap_or_else(|| Expression::Phrase("\"\"".to_owned()))
}

/// One way to read a phrase, without alternatives.
struct Reading<'a> {
    /// Each word and how many words after the first it stands.
    words: Vec<(u32, &'a Word)>,
    /// How many words after the first the phrase ends.
    width: u32,
}

fn readings(query: &Query) -> Result<Vec<Reading<'_>>, FullTextError> {
    match query {
        Query::Gap => Ok(Vec::new()),
        Query::Word(word) => Ok(vec![Reading { words: vec![(0, word)], width: 0 }]),
        Query::Or(parts) => {
            let mut any = Vec::new();
            for part in parts {
                any.extend(readings(part)?);
            }
            // PostgreSQL counts from the end of the longest.
            let width = any.iter().map(|reading| reading.width).max().unwrap_or(0);
            any.iter_mut().for_each(|reading| reading.width = width);
            Ok(any)
        }
        Query::Phrase(steps) => readings_of_phrase(steps),
        Query::And(_) => Err(FullTextError::NotImplemented("\"&\" within a phrase of a full text query")),
        Query::Not(_) => Err(FullTextError::NotImplemented("\"!\" within a phrase of a full text query")),
    }
}

fn readings_of_phrase(steps: &[Step]) -> Result<Vec<Reading<'_>>, FullTextError> {
    let Some((first, others)) = steps.split_first() else { return Ok(Vec::new()) };
    let mut readings_so_far = readings(&first.query)?;
    for step in others {
        if step.distance == 0 {
            return Err(FullTextError::NotImplemented("\"<0>\" in a full text query"));
        }
        let next = readings(&step.query)?;
        if readings_so_far.len().saturating_mul(next.len()) > MAX_READINGS {
            return Err(too_complex(&format!("has a phrase of more than {MAX_READINGS} readings")));
        }
        readings_so_far = match next.as_slice() {
            // Nearly every step: no copies, or a long phrase would take quadratic time.
            [next] => {
                readings_so_far.iter_mut().for_each(|reading| reading.extend(step.distance, next));
                readings_so_far
            }
            next => {
                let pairs = readings_so_far.iter().flat_map(|reading| next.iter().map(move |n| (reading, n)));
                pairs
                    .map(|(reading, next)| {
                        let mut longer = Reading { words: reading.words.clone(), width: reading.width };
                        longer.extend(step.distance, next);
                        longer
                    })
                    .collect()
            }
        };
    }
    Ok(readings_so_far)
}

impl<'a> Reading<'a> {
    fn extend(&mut self, distance: u32, next: &Reading<'a>) {
        let start = self.width.saturating_add(distance);
        self.words.extend(next.words.iter().map(|(offset, word)| (start.saturating_add(*offset), *word)));
        self.width = start.saturating_add(next.width);
    }

    /// The phrase, or the NEAR group of the phrases that it is made of: a gap ends one, and so does a prefix, which FTS5
    /// knows only at the end of a phrase.
    fn text(&self) -> String {
        let mut phrases: Vec<Vec<&(u32, &Word)>> = Vec::new();
        for word in &self.words {
            match phrases.last_mut() {
                Some(phrase)
                    if phrase
                        .last()
                        .is_some_and(|last| !last.1.prefix && last.0.saturating_add(1) == word.0) =>
                {
                    phrase.push(word);
                }
                _ => phrases.push(vec![word]),
            }
        }
        let texts: Vec<String> = phrases.iter().map(|phrase| phrase_text(phrase)).collect();
        let (first, last) = (phrases.first().and_then(|p| p.last()), phrases.last().and_then(|p| p.first()));
        match (texts.as_slice(), first, last) {
            ([text], ..) => text.clone(),
            (texts, Some(first), Some(last)) => {
                // The words between the end of the first phrase and the start of the last.
                format!("NEAR({}, {})", texts.join(" "), last.0.saturating_sub(first.0).saturating_sub(1))
            }
            _ => "\"\"".to_owned(),
        }
    }
}

fn phrase_text(words: &[&(u32, &Word)]) -> String {
    let texts: Vec<&str> = words.iter().map(|(_, word)| word.text.as_str()).collect();
    let mut text = quoted(&texts.join(" "));
    if words.last().is_some_and(|(_, word)| word.prefix) {
        text.push('*');
    }
    text
}

fn write_expression(expression: &Expression, depth: usize, text: &mut String) -> Result<(), FullTextError> {
    if depth > MAX_DEPTH {
        return Err(too_complex(&format!("nests deeper than {MAX_DEPTH} levels")));
    }
    let (parts, operator): (Vec<&Expression>, &str) = match expression {
        Expression::Phrase(phrase) => {
            text.push_str(phrase);
            return Ok(());
        }
        Expression::And(parts) => (parts.iter().collect(), " AND "),
        Expression::Or(parts) => (parts.iter().collect(), " OR "),
        Expression::Except(of, except) => (vec![of, except], " NOT "),
    };
    for (place, part) in parts.into_iter().enumerate() {
        if place > 0 {
            text.push_str(operator);
        }
        if let Expression::Phrase(phrase) = part {
            text.push_str(phrase);
        } else {
            text.push('(');
            write_expression(part, depth + 1, text)?;
            text.push(')');
        }
    }
    Ok(())
}

/// An FTS5 string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
