//! Full text search: the queries that PostgreSQL's operators take, as MATCH expressions of FTS5.
//!
//! ```text
//! text → Query → Query without stop words → Expression → Found
//! ```
//!
//! Pure, and no part of the request pipeline: it knows neither the schema nor SQL. The words of a query stand in the
//! expression inside FTS5 strings alone, so that nothing of a request is FTS5 syntax.
//!
//! What the FTS5 table decides, and not the query: stemming, whether `é` is `e`, what of a JSON text is searched. It is
//! taken to split words as `unicode61` does, and to know where they stand (`detail=full`). What differs from PostgreSQL:
//! - `a <2> b`, and the gap that a stop word leaves in a phrase: FTS5 cannot tell the exact distance. `NEAR` finds every
//!   row that PostgreSQL finds, and also those where the words stand nearer or the other way round.
//! - `&`, `!` and `<0>` below `<->` speak of one place in a text, not of a row. They are refused.
//! - Weights (`cat:A`) have no meaning in FTS5 and are passed over.
//! - A compound (`up-to-date`, `a.b@c.org`, `and/or`) is one word in PostgreSQL, here the phrase of its parts; and the
//!   words of a compound in a text are found alone.
//! - The names of HTML tags are words, and the signs of numbers are none.

mod expression;
mod language;
mod query;
mod tsquery;
mod websearch;
mod words;

use std::fmt;

use language::Language;

/// How deep parentheses may nest, in a query and in the expression made of it. FTS5's parser has room for 100 symbols;
/// a level takes three, the column filter four.
const MAX_DEPTH: usize = 28;
/// How many words a query may have.
const MAX_WORDS: usize = 1024;
/// How long a query may be.
const MAX_BYTES: usize = 64 * 1024;

/// The grammar of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FullText {
    /// `fts`, PostgreSQL's `to_tsquery`: `cat & (dog | !'fat rat':*)`.
    Fts,
    /// `plfts`, `plainto_tsquery`: all words, punctuation means nothing.
    Plain,
    /// `phfts`, `phraseto_tsquery`: the words one after the other.
    Phrase,
    /// `wfts`, `websearch_to_tsquery`: `cat "fat rat" or -dog`. Every text is a query.
    Web,
}

/// The rows that a query finds, of those whose text is not null. The texts are MATCH expressions of FTS5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No row: the query has no word but stop words.
    Nothing,
    /// The rows that match.
    Matching(String),
    /// The rows that do not match, as of `!cat`: FTS5 itself has no such expression.
    NotMatching(String),
}

/// Why a query cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FullTextError {
    /// It does not fit the grammar of `to_tsquery`; the sentence is PostgreSQL's.
    Syntax(String),
    /// A distance between words that is too large.
    Distance,
    /// No such language.
    Language(String),
    /// A meaning that FTS5 cannot express.
    NotImplemented(&'static str),
    /// More nesting, words or text than a query may have.
    TooComplex(String),
}

impl FullTextError {
    /// The SQLSTATE or PostgREST's code; each means status 400.
    pub fn code(&self) -> &'static str {
        match self {
            FullTextError::Syntax(_) => "42601",
            FullTextError::Distance => "22023",
            FullTextError::Language(_) => "42704",
            FullTextError::NotImplemented(_) => "PGRST127",
            FullTextError::TooComplex(_) => "54001",
        }
    }
}

impl fmt::Display for FullTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FullTextError::Syntax(message) | FullTextError::TooComplex(message) => f.write_str(message),
            FullTextError::Distance => f.write_str(
                "distance in phrase operator must be an integer value between zero and 16384 inclusive",
            ),
            FullTextError::Language(name) => {
                write!(f, "text search configuration \"{name}\" does not exist")
            }
            FullTextError::NotImplemented(what) => write!(f, "{what} is not implemented"),
        }
    }
}

impl std::error::Error for FullTextError {}

/// The rows that `query` finds in `columns` of an FTS5 table, all columns if there are none. The language, English by
/// default, is a text search configuration of PostgreSQL: it names the stop words.
///
/// # Errors
/// A query that does not fit its grammar, an unknown language, or more than FTS5 can do.
pub fn match_expression(
    operator: FullText,
    language: Option<&str>,
    query: &str,
    columns: &[&str],
) -> Result<Found, FullTextError> {
    let language = Language::named(language.unwrap_or("english"))?;
    if query.len() > MAX_BYTES {
        return Err(too_complex(&format!("is longer than {MAX_BYTES} bytes")));
    }
    let query = match operator {
        FullText::Fts => tsquery::parse(query, language)?,
        FullText::Plain => words::all(query, language),
        FullText::Phrase => words::phrase(query, language, false),
        FullText::Web => websearch::parse(query, language),
    };
    if query.words() > MAX_WORDS {
        return Err(too_complex(&format!("has more than {MAX_WORDS} words")));
    }
    match query.without_gaps() {
        Some(query) => expression::found(&query, columns),
        None => Ok(Found::Nothing),
    }
}

fn too_complex(how: &str) -> FullTextError {
    FullTextError::TooComplex(format!("the full text query {how}"))
}

#[cfg(test)]
mod tests;
