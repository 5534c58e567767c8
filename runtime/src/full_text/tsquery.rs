//! The grammar of `to_tsquery`, by PostgreSQL's `gettoken_query_standard` and `gettoken_tsvector`.
//!
//! `!` binds closest, then `<->` and `<N>`, `&` and `|`. A word ends at a space, `:` or one of `! & | < ( )`; what else it
//! contains is for `words` to split.

use super::language::Language;
use super::query::{Query, Step, one_or};
use super::{FullTextError, MAX_DEPTH, too_complex, words};

/// The largest distance that PostgreSQL takes.
const MAX_DISTANCE: u32 = 16384;

pub(super) fn parse(text: &str, language: Language) -> Result<Query, FullTextError> {
    let mut parser = Parser { text, rest: text, language };
    parser.skip_spaces();
    if parser.rest.is_empty() {
        return Ok(Query::Gap);
    }
    let query = parser.any(0)?;
    if parser.rest.is_empty() { Ok(query) } else { Err(parser.error("syntax error in")) }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    language: Language,
}

impl Parser<'_> {
    /// `a | b`
    fn any(&mut self, depth: usize) -> Result<Query, FullTextError> {
        let mut parts = vec![self.all(depth)?];
        while self.take('|') {
            parts.push(self.all(depth)?);
        }
        Ok(one_or(parts, Query::Or).unwrap_or(Query::Gap))
    }

    /// `a & b`
    fn all(&mut self, depth: usize) -> Result<Query, FullTextError> {
        let mut parts = vec![self.phrase(depth)?];
        while self.take('&') {
            parts.push(self.phrase(depth)?);
        }
        Ok(one_or(parts, Query::And).unwrap_or(Query::Gap))
    }

    /// `a <-> b <2> c`
    fn phrase(&mut self, depth: usize) -> Result<Query, FullTextError> {
        let first = self.operand(depth)?;
        let mut steps = Vec::new();
        while let Some(distance) = self.phrase_operator()? {
            steps.push(Step { distance, query: self.operand(depth)? });
        }
        if steps.is_empty() {
            return Ok(first);
        }
        steps.insert(0, Step { distance: 0, query: first });
        Ok(Query::Phrase(steps))
    }

    /// `a`, `!a` or `(…)`, and the spaces behind it.
    fn operand(&mut self, depth: usize) -> Result<Query, FullTextError> {
        if depth > MAX_DEPTH {
            return Err(too_complex(&format!("nests deeper than {MAX_DEPTH} levels")));
        }
        self.skip_spaces();
        let mut negated = false;
        while self.take('!') {
            negated = !negated;
            self.skip_spaces();
        }
        let query = if self.take('(') {
            let query = self.any(depth + 1)?;
            if !self.take(')') {
                return Err(self.error("syntax error in"));
            }
            query
        } else {
            let word = self.word()?;
            let prefix = self.modifiers();
            words::phrase(&word, self.language, prefix)
        };
        self.skip_spaces();
        Ok(if negated { Query::Not(Box::new(query)) } else { query })
    }

    /// `<->` or `<N>`. PostgreSQL knows it by what stands behind it, so there is none at the end of a query.
    fn phrase_operator(&mut self) -> Result<Option<u32>, FullTextError> {
        let Some(inside) = self.rest.strip_prefix('<') else { return Ok(None) };
        let (distance, behind) = match inside.strip_prefix('-') {
            Some(behind) => (1, behind),
            None => {
                let end = inside.find(|c: char| !c.is_ascii_digit()).unwrap_or(inside.len());
                let (digits, behind) = inside.split_at(end);
                if digits.is_empty() {
                    return Ok(None);
                }
                let distance = digits.parse().ok().filter(|distance| *distance <= MAX_DISTANCE);
                (distance.ok_or(FullTextError::Distance)?, behind)
            }
        };
        match behind.strip_prefix('>') {
            Some(behind) if !behind.is_empty() => {
                self.rest = behind;
                Ok(Some(distance))
            }
            _ => Ok(None),
        }
    }

    /// A word or a quoted text; a backslash takes the next character as it is.
    fn word(&mut self) -> Result<String, FullTextError> {
        let quoted = self.take('\'');
        let mut word = String::new();
        loop {
            let Some(c) = self.rest.chars().next() else {
                match (quoted, word.is_empty()) {
                    (true, _) => return Err(self.error("syntax error in")),
                    (false, true) => return Err(self.error("no operand in")),
                    (false, false) => return Ok(word),
                }
            };
            let ends = if quoted {
                // A quote twice is a quote.
                c == '\'' && !self.rest.starts_with("''")
            } else {
                c.is_whitespace() || matches!(c, '!' | '&' | '|' | '<' | '(' | ')' | ':')
            };
            if ends && word.is_empty() {
                return Err(self.error("syntax error in"));
            }
            if ends && !quoted {
                return Ok(word);
            }
            self.skip(c);
            match c {
                _ if ends => return Ok(word),
                '\\' => match self.rest.chars().next() {
                    Some(escaped) => {
                        self.skip(escaped);
                        word.push(escaped);
                    }
                    None => {
                        let message = format!("there is no escaped character: \"{}\"", self.text);
                        return Err(FullTextError::Syntax(message));
                    }
                },
                '\'' if quoted => {
                    self.skip(c);
                    word.push(c);
                }
                _ => word.push(c),
            }
        }
    }

    /// What stands behind a word: `:*` makes it a prefix; `:A` to `:D` are weights.
    fn modifiers(&mut self) -> bool {
        let Some(modifiers) = self.rest.strip_prefix(':') else { return false };
        let is_modifier = |c: char| matches!(c, 'a'..='d' | 'A'..='D' | '*');
        let end = modifiers.find(|c| !is_modifier(c)).unwrap_or(modifiers.len());
        let (modifiers, behind) = modifiers.split_at(end);
        self.rest = behind;
        modifiers.contains('*')
    }

    fn take(&mut self, token: char) -> bool {
        let here = self.rest.starts_with(token);
        if here {
            self.skip(token);
        }
        here
    }

    /// Passes over `c`, which stands here.
    fn skip(&mut self, c: char) {
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn error(&self, what: &str) -> FullTextError {
        FullTextError::Syntax(format!("{what} tsquery: \"{}\"", self.text))
    }
}
