//! SQL as tokens, for what must be read out of DDL. SQLite accepted the text before it came here, so nothing is refused.

use std::borrow::Cow;

/// A token of SQL.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A keyword, a plain identifier or a number.
    Word(&'a str),
    /// A quoted identifier, without its quotes.
    Name(Cow<'a, str>),
    /// A string, without its quotes. SQLite takes one for a name where it expects a name.
    Text(Cow<'a, str>),
    /// Anything else; `x` for a blob.
    Symbol(char),
}

impl Token<'_> {
    /// Whether this is the keyword.
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// The name that this is.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Token::Word(name) => Some(name),
            Token::Name(name) | Token::Text(name) => Some(name),
            Token::Symbol(_) => None,
        }
    }
}

/// A name in SQL.
pub(crate) struct NameIn {
    /// In lower case.
    name: String,
    /// What stands before it with a dot, in lower case.
    qualifier: Option<String>,
    /// Whether it stands behind FROM or JOIN.
    pub(crate) is_read_from: bool,
}

impl NameIn {
    /// Whether it is this, which is in lower case.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// In lower case.
    pub(crate) fn folded(&self) -> &str {
        &self.name
    }

    /// Whether this stands before it with a dot.
    pub(crate) fn is_qualified_by(&self, name: &str) -> bool {
        self.qualifier.as_deref() == Some(name)
    }
}

/// The names in a text, keywords among them.
pub(crate) fn names_in(sql: &str) -> impl Iterator<Item = NameIn> {
    let all = tokens(sql);
    let mut names = Vec::new();
    for (at, token) in all.iter().enumerate() {
        let Some(name) = token.name() else { continue };
        let before = |distance: usize| all.get(at.checked_sub(distance)?);
        let is_qualified = before(1) == Some(&Token::Symbol('.'));
        let qualifier = before(2).filter(|_| is_qualified).and_then(Token::name).map(str::to_ascii_lowercase);
        let first = if is_qualified { before(3) } else { before(1) };
        let is_read_from = first.is_some_and(|token| token.is("from") || token.is("join"));
        names.push(NameIn { name: name.to_ascii_lowercase(), qualifier, is_read_from });
    }
    names.into_iter()
}

/// The query of a `CREATE VIEW name (columns) AS query`.
pub(crate) fn view_query(sql: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for (token, end) in tokens_with_ends(sql) {
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth = depth.saturating_sub(1),
            ref token if depth == 0 && token.is("as") => return sql.get(end..),
            _ => {}
        }
    }
    None
}

/// The tokens of a text, without white space and comments.
pub(super) fn tokens(sql: &str) -> Vec<Token<'_>> {
    tokens_with_ends(sql).into_iter().map(|(token, _)| token).collect()
}

/// The tokens of a text, each with the place where it ends.
fn tokens_with_ends(sql: &str) -> Vec<(Token<'_>, usize)> {
    let mut tokens = Vec::new();
    let mut ended: Vec<(Token<'_>, usize)> = Vec::new();
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let end = match c {
            _ if c.is_whitespace() => c.len_utf8(),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => {
                rest.get(2..).and_then(|inner| inner.find("*/")).map_or(rest.len(), |at| at + 4)
            }
            '\'' => {
                let (text, end) = quoted(rest, c);
                tokens.push(Token::Text(text));
                end
            }
            '"' | '`' => {
                let (name, end) = quoted(rest, c);
                tokens.push(Token::Name(name));
                end
            }
            '[' => {
                let end = rest.find(']').unwrap_or(rest.len());
                tokens.push(Token::Name(Cow::Borrowed(rest.get(1..end).unwrap_or_default())));
                (end + 1).min(rest.len())
            }
            'x' | 'X' if rest.get(1..).is_some_and(|rest| rest.starts_with('\'')) => {
                tokens.push(Token::Symbol('x'));
                1 + quoted(rest.get(1..).unwrap_or_default(), '\'').1
            }
            _ if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                tokens.push(Token::Word(rest.get(..end).unwrap_or_default()));
                end
            }
            _ => {
                tokens.push(Token::Symbol(c));
                c.len_utf8()
            }
        };
        rest = rest.get(end..).unwrap_or_default();
        ended.extend(tokens.pop().map(|token| (token, sql.len() - rest.len())));
    }
    ended
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii()
}

/// The text between two quotes, doubled ones inside undoubled, and where it ends.
fn quoted(text: &str, quote: char) -> (Cow<'_, str>, usize) {
    let mut chars = text.char_indices().skip(1).peekable();
    let mut doubled = false;
    while let Some((at, c)) = chars.next() {
        if c == quote && chars.next_if(|(_, next)| *next == quote).is_some() {
            doubled = true;
        } else if c == quote {
            return (undoubled(text.get(1..at).unwrap_or_default(), quote, doubled), at + 1);
        }
    }
    (undoubled(text.get(1..).unwrap_or_default(), quote, doubled), text.len())
}

fn undoubled(text: &str, quote: char, doubled: bool) -> Cow<'_, str> {
    if doubled {
        let quote = String::from(quote);
        Cow::Owned(text.replace(&quote.repeat(2), &quote))
    } else {
        Cow::Borrowed(text)
    }
}
