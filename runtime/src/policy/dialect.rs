//! SQLite's grammar of expressions, as `sqlparser` reads it: its dialect with the precedence of operators that SQLite has
//! (<https://www.sqlite.org/lang_expr.html#operators_and_parse_affecting_attributes>).

use std::any::TypeId;

use sqlparser::ast::Expr;
use sqlparser::dialect::{Dialect, Precedence, SQLiteDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// SQLite's grammar.
#[derive(Debug)]
pub(super) struct Sqlite(pub(super) SQLiteDialect);

impl Dialect for Sqlite {
    fn dialect(&self) -> TypeId {
        self.0.dialect()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.0.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.0.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.0.is_identifier_part(ch) || ch == '$'
    }

    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        expr: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        self.0.parse_infix(parser, expr, precedence)
    }

    fn supports_in_empty_list(&self) -> bool {
        self.0.supports_in_empty_list()
    }

    fn supports_notnull_operator(&self) -> bool {
        self.0.supports_notnull_operator()
    }

    fn supports_comma_separated_trim(&self) -> bool {
        self.0.supports_comma_separated_trim()
    }

    // What stands behind LIKE, IS and the like ends before another of them.
    fn prec_value(&self, precedence: Precedence) -> u8 {
        match precedence {
            Precedence::Between | Precedence::Eq | Precedence::Like | Precedence::Is => 20,
            other => self.0.prec_value(other),
        }
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        let word = |at: usize| match &parser.peek_nth_token_ref(at).token {
            Token::Word(word) => Some(word.keyword),
            _ => None,
        };
        let is_test = |keyword: Keyword| {
            matches!(
                keyword,
                Keyword::IN
                    | Keyword::BETWEEN
                    | Keyword::LIKE
                    | Keyword::GLOB
                    | Keyword::REGEXP
                    | Keyword::MATCH
            )
        };
        let precedence = match &parser.peek_token_ref().token {
            Token::StringConcat | Token::Arrow | Token::LongArrow => 50,
            Token::Mul | Token::Div | Token::Mod => 40,
            Token::Plus | Token::Minus => 30,
            Token::Ampersand | Token::Pipe | Token::ShiftLeft | Token::ShiftRight => 25,
            Token::Lt | Token::LtEq | Token::Gt | Token::GtEq => 22,
            Token::Eq | Token::DoubleEq | Token::Neq => 20,
            Token::Word(_) => match word(0)? {
                Keyword::IS | Keyword::NOTNULL => 20,
                keyword if is_test(keyword) => 20,
                Keyword::NOT if word(1).is_some_and(|next| is_test(next) || next == Keyword::NULL) => 20,
                _ => return None,
            },
            _ => return None,
        };
        Some(Ok(precedence))
    }
}
