//! Text as words: where PostgreSQL's parser and FTS5's `unicode61` end a word, and which words a language leaves out.

use super::language::Language;
use super::query::{Query, Step, Word, one_or};

/// How many words of a phrase are looked for in their other spelling too: each doubles what FTS5 has to look for.
const MAX_RESPELLED: usize = 4;

/// The words of a text, all of them anywhere (`plainto_tsquery`).
pub(super) fn all(text: &str, language: Language) -> Query {
    let compounds = compounds(text);
    let words = compounds.iter().map(|compound| {
        let mut respell = MAX_RESPELLED;
        compound_query(compound, language, false, &mut respell)
    });
    one_or(words.collect(), Query::And).unwrap_or(Query::Gap)
}

/// The words of a text one after the other (`phraseto_tsquery`, and a word or quoted text of the other grammars). The
/// stop words at both ends leave no gap. A prefix is meant of every word.
pub(super) fn phrase(text: &str, language: Language, prefix: bool) -> Query {
    let mut respell = MAX_RESPELLED;
    let mut words: Vec<Query> = compounds(text)
        .iter()
        .map(|compound| compound_query(compound, language, prefix, &mut respell))
        .collect();
    while words.last() == Some(&Query::Gap) {
        words.pop();
    }
    let gaps = words.iter().take_while(|word| **word == Query::Gap).count();
    words.drain(..gaps);
    one_or(words, adjacent).unwrap_or(Query::Gap)
}

fn compound_query(parts: &[&str], language: Language, prefix: bool, respell: &mut usize) -> Query {
    // The stop words of a compound stay: PostgreSQL looks for the whole.
    if matches!(parts, [word] if language.is_stop(word)) {
        return Query::Gap;
    }
    let mut words = Vec::with_capacity(parts.len());
    for (place, part) in parts.iter().enumerate() {
        let word = |text| Query::Word(Word { text, prefix: prefix && place + 1 == parts.len() });
        words.push(match language.other_spelling(part) {
            Some(other) if *respell > 0 => {
                *respell -= 1;
                Query::Or(vec![word((*part).to_owned()), word(other)])
            }
            _ => word((*part).to_owned()),
        });
    }
    one_or(words, adjacent).unwrap_or(Query::Gap)
}

fn adjacent(parts: Vec<Query>) -> Query {
    Query::Phrase(parts.into_iter().map(|query| Step { distance: 1, query }).collect())
}

/// The compounds of a text, each its words: words with nothing but one `-`, `.`, `@` or `/` between them are what
/// PostgreSQL reads as one thing, such as `e-mail`, `1.5`, `a.b@c.org` and `and/or`.
fn compounds(text: &str) -> Vec<Vec<&str>> {
    let mut compounds: Vec<Vec<&str>> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        let (between, from) = rest.split_at(start);
        let (word, behind) = from.split_at(from.find(|c| !is_word(c)).unwrap_or(from.len()));
        rest = behind;
        // `unicode61` begins no word with a mark.
        if !word.contains(char::is_alphanumeric) {
            continue;
        }
        match compounds.last_mut() {
            Some(compound) if matches!(between, "-" | "." | "@" | "/") => compound.push(word),
            _ => compounds.push(vec![word]),
        }
    }
    compounds
}

/// Letters, digits and the marks that belong to letters. From Devanagari to Myanmar, marks stand inside most words; only
/// the danda, the full stop of those scripts, is none.
fn is_word(c: char) -> bool {
    let is_mark = matches!(c,
        '\u{300}'..='\u{36f}' | '\u{900}'..='\u{963}' | '\u{966}'..='\u{109f}' | '\u{200c}' | '\u{200d}');
    c.is_alphanumeric() || is_mark
}
