//! The text of a policy as tokens, each with its place. Beside `schema::tokens`, which reads what SQLite has accepted, this
//! refuses what SQLite would.

use std::borrow::Cow;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// A keyword or a plain name.
    Word(&'t str),
    /// A quoted name, without its quotes.
    Name(Cow<'t, str>),
    /// A string, without its quotes.
    Text(Cow<'t, str>),
    /// A number.
    Number(&'t str),
    /// `?`, `:name` and the like.
    Parameter,
    /// `x'00'`
    Blob,
    /// An operator, or what parts others.
    Symbol(&'static str),
    /// Behind the last.
    End,
}

/// Where a token begins and ends, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Placed<'t> {
    pub(super) token: Token<'t>,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The longer ones first. <https://www.sqlite.org/lang_expr.html#operators_and_parse_affecting_attributes>
const SYMBOLS: [&str; 26] = [
    "->>", "->", "||", "<<", ">>", "<=", ">=", "<>", "!=", "==", "(", ")", ",", ".", ";", "+", "-", "*", "/",
    "%", "&", "|", "<", ">", "=", "~",
];

/// The tokens of a text, of which the last is [`Token::End`].
///
/// # Errors
/// One sentence on what is none.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed<'_>>, String> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
        let blank = blank(rest)?;
        if blank > 0 {
            start += blank;
            continue;
        }
        let (token, length) = token(rest)?;
        tokens.push(Placed { token, start, end: start + length });
        start += length;
    }
    tokens.push(Placed { token: Token::End, start, end: start });
    Ok(tokens)
}

/// How much of white space or comment the text begins with.
fn blank(text: &str) -> Result<usize, String> {
    if text.starts_with("--") {
        return Ok(text.find('\n').unwrap_or(text.len()));
    }
    if let Some(comment) = text.strip_prefix("/*") {
        let end = comment.find("*/").ok_or("a /* is not closed")?;
        return Ok(end + 4);
    }
    // To SQLite no other is white space.
    Ok(text.bytes().take_while(u8::is_ascii_whitespace).count())
}

/// The token that the text begins with, and its length.
fn token(text: &str) -> Result<(Token<'_>, usize), String> {
    let mut bytes = text.bytes();
    let (first, second) = (bytes.next().unwrap_or_default(), bytes.next().unwrap_or_default());
    match first {
        b'\'' => quoted(text, '\'').map(|(text, length)| (Token::Text(text), length)),
        b'"' => quoted(text, '"').map(|(name, length)| (Token::Name(name), length)),
        b'`' => quoted(text, '`').map(|(name, length)| (Token::Name(name), length)),
        b'[' => {
            let (name, _) = text.split_at(text.find(']').ok_or("a [ is not closed")?);
            Ok((Token::Name(Cow::Borrowed(name.get(1..).unwrap_or_default())), name.len() + 1))
        }
        b'x' | b'X' if second == b'\'' => {
            let (_, length) = quoted(text.get(1..).unwrap_or_default(), '\'')?;
            Ok((Token::Blob, length + 1))
        }
        b'0'..=b'9' => number(text),
        b'.' if second.is_ascii_digit() => number(text),
        b'?' | b':' | b'@' | b'$' | b'#' => {
            Ok((Token::Parameter, 1 + word_length(text.get(1..).unwrap_or_default())))
        }
        _ => match word_length(text) {
            0 => symbol(text),
            length => Ok((Token::Word(text.get(..length).unwrap_or_default()), length)),
        },
    }
}

fn symbol(text: &str) -> Result<(Token<'_>, usize), String> {
    let known = SYMBOLS.into_iter().find(|symbol| text.starts_with(symbol));
    let known = known.ok_or_else(|| {
        let unknown = text.chars().next().unwrap_or_default();
        format!("\"{unknown}\" has no meaning in an expression")
    })?;
    Ok((Token::Symbol(known), known.len()))
}

fn number(text: &str) -> Result<(Token<'_>, usize), String> {
    let digits = |from: usize| {
        let rest = text.bytes().skip(from);
        from + rest.take_while(u8::is_ascii_digit).count()
    };
    let byte = |at: usize| text.as_bytes().get(at).copied().unwrap_or_default();
    let mut end = digits(0);
    if byte(end) == b'.' {
        end = digits(end + 1);
    }
    if byte(end).eq_ignore_ascii_case(&b'e') {
        let sign = usize::from(matches!(byte(end + 1), b'+' | b'-'));
        if byte(end + 1 + sign).is_ascii_digit() {
            end = digits(end + 1 + sign);
        }
    }
    let behind = word_length(text.get(end..).unwrap_or_default());
    let whole = text.get(..end + behind).unwrap_or_default();
    if behind > 0 { Err(format!("{whole} is no number")) } else { Ok((Token::Number(whole), end)) }
}

fn word_length(text: &str) -> usize {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii();
    text.bytes().take_while(is_word).count()
}

/// The text between two quotes, doubled ones inside undoubled, and the length with them.
fn quoted(text: &str, quote: char) -> Result<(Cow<'_, str>, usize), String> {
    let mut from = 1;
    let mut doubled = false;
    loop {
        let rest = text.get(from..).unwrap_or_default();
        let end = from + rest.find(quote).ok_or_else(|| format!("a {quote} is not closed"))?;
        if text.get(end + 1..).is_some_and(|rest| rest.starts_with(quote)) {
            doubled = true;
            from = end + 2;
            continue;
        }
        let inner = text.get(1..end).unwrap_or_default();
        let inner = match doubled {
            true => Cow::Owned(
                inner.replace(&[quote, quote].iter().collect::<String>(), quote.encode_utf8(&mut [0; 4])),
            ),
            false => Cow::Borrowed(inner),
        };
        return Ok((inner, end + 1));
    }
}
