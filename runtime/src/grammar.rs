//! A cursor over one query parameter, shared by the select, filter and order grammars.
//!
//! Names: quoted (`"a.b"`, with `\"` and `\\`) or plain, which is any text without the reserved characters.

use crate::error::Error;

/// How deep parentheses may nest in one parameter.
pub(crate) const MAX_DEPTH: usize = 64;

/// A place in one parameter.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// For error messages: `select parameter`, `order`, `filter`, …
    what: &'static str,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(what: &'static str, text: &'a str) -> Self {
        Cursor { text, at: 0, what }
    }

    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    pub(crate) fn place(&self) -> usize {
        self.at
    }

    pub(crate) fn go_back(&mut self, place: usize) {
        self.at = place;
    }

    pub(crate) fn advance(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Takes `token` if it stands here.
    pub(crate) fn take(&mut self, token: &str) -> bool {
        let here = self.rest().starts_with(token);
        if here {
            self.at += token.len();
        }
        here
    }

    pub(crate) fn expect(&mut self, token: &str) -> Result<(), Error> {
        if self.take(token) { Ok(()) } else { Err(self.error(&format!("\"{token}\""))) }
    }

    pub(crate) fn end(&self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(self.error("end of input")) }
    }

    pub(crate) fn skip_spaces(&mut self) {
        while self.take(" ") {}
    }

    /// What stands here is not what the grammar wants.
    pub(crate) fn error(&self, expected: &str) -> Error {
        let found = self.peek().map_or("end of input".to_owned(), |c| format!("\"{c}\""));
        let before = self.text.get(..self.at).unwrap_or_default();
        Error::Grammar {
            what: format!("{} ({})", self.what, self.text),
            column: before.chars().count() + 1,
            details: format!("unexpected {found} expecting {expected}"),
        }
    }

    /// A quoted or plain name; `reserved` ends a plain one.
    pub(crate) fn name(&mut self, reserved: &[char]) -> Result<String, Error> {
        const EXPECTED: &str = "field name (* or [a..z0..9_$])";
        self.skip_spaces();
        let name = if self.peek() == Some('"') {
            self.quoted()?
        } else {
            let rest = self.rest();
            let mut end = rest.find(|c| reserved.contains(&c)).unwrap_or(rest.len());
            // A dash belongs to a name unless it begins an arrow.
            if let Some(arrow) = rest.get(..end).and_then(|name| name.find("->")) {
                end = arrow;
            }
            let name = rest.get(..end).unwrap_or_default();
            self.at += end;
            name.trim_end().to_owned()
        };
        self.skip_spaces();
        if name.is_empty() || name.contains('\0') { Err(self.error(EXPECTED)) } else { Ok(name) }
    }

    /// A double-quoted text; a backslash takes the next character as it is.
    pub(crate) fn quoted(&mut self) -> Result<String, Error> {
        self.expect("\"")?;
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(text);
                }
                '\\' => text.extend(chars.next().map(|(_, c)| c)),
                _ => text.push(c),
            }
        }
        self.at = self.text.len();
        Err(self.error("\"\\\"\""))
    }

    /// Fails where `depth` is more than a request may nest.
    pub(crate) fn check_depth(&self, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::TooComplex(format!("{} nests deeper than {MAX_DEPTH} levels", self.what)));
        }
        Ok(())
    }
}
