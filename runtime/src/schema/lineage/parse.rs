//! From the text of a view to its [`Query`]: the lists behind SELECT and FROM are read, and all other expressions are passed
//! over by their parentheses and the words that SQLite reserves.
//!
//! Never fails loudly: a text that this cannot follow has no query. SQLite accepted it before it came here.

use super::query::{Cte, Equal, Item, Join, Query, Rows, Select, Source};
use crate::schema::tokens::{Token, tokens};

/// How deep queries may lie in each other.
const MAX_DEPTH: usize = 60;

/// Words that end the list behind SELECT or FROM. None of them can be a name without quotes.
const CLAUSES: &[&str] =
    &["from", "where", "group", "having", "order", "limit", "union", "intersect", "except"];

/// Words that stand between two tables, in any order before JOIN.
const JOINS: &[&str] = &["natural", "left", "right", "full", "inner", "cross", "outer", "join"];

/// Words that are values or begin an expression, and are no names of columns.
const VALUES: &[&str] = &[
    "null",
    "not",
    "case",
    "exists",
    "cast",
    "raise",
    "select",
    "values",
    "current_date",
    "current_time",
    "current_timestamp",
    "isnull",
    "notnull",
    "end",
];

/// The query of `CREATE VIEW name (columns) AS query`.
pub(super) fn view_query(sql: &str) -> Option<Query> {
    let tokens = tokens(sql);
    let mut parser = Parser { tokens: &tokens };
    parser.word("create").then_some(())?;
    parser.word("view").then_some(())?;
    parser.path()?;
    parser.columns()?;
    parser.word("as").then_some(())?;
    let query = parser.query(MAX_DEPTH)?;
    parser.symbol(';');
    parser.tokens.is_empty().then_some(query)
}

/// What is still to be read.
struct Parser<'a> {
    tokens: &'a [Token<'a>],
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a Token<'a>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Reads the keyword, if it is next.
    fn word(&mut self, keyword: &str) -> bool {
        let found = self.is_word(keyword);
        if found {
            self.next();
        }
        found
    }

    fn symbol(&mut self, symbol: char) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.next();
        }
        found
    }

    fn is_word(&self, keyword: &str) -> bool {
        self.tokens.first().is_some_and(|token| token.is(keyword))
    }

    fn is_one_of(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is_word(keyword))
    }

    fn is_symbol(&self, symbol: char) -> bool {
        self.tokens.first() == Some(&Token::Symbol(symbol))
    }

    /// A name in lower case.
    fn name(&mut self) -> Option<String> {
        self.next()?.name().map(str::to_ascii_lowercase)
    }

    /// `name` or `database.name`: whether it can be in another database, and the name.
    fn path(&mut self) -> Option<(bool, String)> {
        let name = self.name()?;
        if self.symbol('.') { Some((name != "main", self.name()?)) } else { Some((false, name)) }
    }

    /// Names in parentheses, if they are next.
    fn columns(&mut self) -> Option<Vec<String>> {
        let mut names = Vec::new();
        if self.symbol('(') {
            loop {
                names.push(self.name()?);
                if !self.symbol(',') {
                    break;
                }
            }
            self.symbol(')').then_some(())?;
        }
        Some(names)
    }

    /// Reads up to a token outside parentheses at which `is_end`, or to the parenthesis that closes what is around, and gives
    /// what was read. What stands behind a dot is a name, whatever the word, and IS DISTINCT FROM is an operator.
    fn until(&mut self, is_end: impl Fn(&Token<'_>) -> bool) -> &'a [Token<'a>] {
        let start = self.tokens;
        let (mut depth, mut is_free) = (0_usize, true);
        while let Some(token) = self.tokens.first() {
            match token {
                Token::Symbol(')') if depth == 0 => break,
                token if depth == 0 && is_free && is_end(token) => break,
                Token::Symbol('(') => depth += 1,
                Token::Symbol(')') => depth -= 1,
                _ => {}
            }
            is_free = *token != Token::Symbol('.') && !token.is("distinct");
            self.next();
        }
        start.get(..start.len() - self.tokens.len()).unwrap_or_default()
    }

    fn query(&mut self, depth: usize) -> Option<Query> {
        let depth = depth.checked_sub(1)?;
        let mut query = Query::default();
        if self.word("with") {
            self.word("recursive");
            loop {
                query.ctes.push(self.cte(depth)?);
                if !self.symbol(',') {
                    break;
                }
            }
        }
        query.selects.push(self.select(depth)?);
        loop {
            if self.word("union") {
                self.word("all");
                query.selects.push(self.select(depth)?);
            } else if self.word("intersect") || self.word("except") {
                self.select(depth)?;
            } else {
                break;
            }
        }
        // ORDER BY and LIMIT.
        self.until(|token| *token == Token::Symbol(';'));
        Some(query)
    }

    fn cte(&mut self, depth: usize) -> Option<Cte> {
        let (name, columns) = (self.name()?, self.columns()?);
        self.word("as").then_some(())?;
        self.word("not");
        self.word("materialized");
        Some(Cte { name, columns, query: self.in_parentheses(|parser| parser.query(depth))? })
    }

    fn in_parentheses<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.symbol('(').then_some(())?;
        let inner = read(self)?;
        self.symbol(')').then_some(inner)
    }

    fn select(&mut self, depth: usize) -> Option<Select> {
        let mut select = Select::default();
        let ends_list = |token: &Token<'_>| {
            matches!(token, Token::Symbol(',' | ';')) || CLAUSES.iter().any(|clause| token.is(clause))
        };
        if self.word("values") {
            return self.values();
        }
        self.word("select").then_some(())?;
        let _ = self.word("distinct") || self.word("all");
        loop {
            select.items.push(item(self.until(ends_list))?);
            if !self.symbol(',') {
                break;
            }
        }
        if self.word("from") {
            select.sources = self.sources(depth)?;
        }
        // WHERE, GROUP BY, HAVING and WINDOW.
        self.until(|token| {
            *token == Token::Symbol(';')
                || ["union", "intersect", "except", "order", "limit"].iter().any(|w| token.is(w))
        });
        Some(select)
    }

    /// The rows behind VALUES, of which the first says how many columns there are.
    fn values(&mut self) -> Option<Select> {
        let mut items = Vec::new();
        self.in_parentheses(|parser| {
            loop {
                parser.until(|token| *token == Token::Symbol(','));
                items.push(Item::Expression { name: format!("column{}", items.len() + 1) });
                if !parser.symbol(',') {
                    return Some(());
                }
            }
        })?;
        self.until(|token| CLAUSES.iter().any(|clause| token.is(clause)) || *token == Token::Symbol(';'));
        Some(Select { items, sources: Vec::new() })
    }

    fn sources(&mut self, depth: usize) -> Option<Vec<Source>> {
        let mut sources = vec![self.source(Join::Left, Equal::None, depth)?];
        loop {
            let (mut join, mut equal) = (Join::Left, Equal::None);
            if !self.symbol(',') {
                if !self.is_one_of(JOINS) {
                    return Some(sources);
                }
                while !self.word("join") {
                    match self.next()? {
                        word if word.is("natural") => equal = Equal::Natural,
                        word if word.is("right") => join = Join::Right,
                        word if word.is("full") => join = Join::Neither,
                        word if JOINS.iter().any(|keyword| word.is(keyword)) => {}
                        _ => return None,
                    }
                }
            }
            sources.push(self.source(join, equal, depth)?);
        }
    }

    fn source(&mut self, join: Join, mut equal: Equal, depth: usize) -> Option<Source> {
        let depth = depth.checked_sub(1)?;
        let mut alias = None;
        let rows = if self.is_symbol('(') {
            self.in_parentheses(|parser| {
                if parser.is_one_of(&["select", "with", "values"]) {
                    parser.query(depth).map(Rows::Query)
                } else {
                    parser.sources(depth).map(Rows::Joined)
                }
            })?
        } else {
            let (is_foreign, name) = self.path()?;
            alias = Some(name.clone());
            if self.symbol('(') {
                // The arguments of a table-valued function.
                self.until(|_| false);
                self.symbol(')').then_some(())?;
            }
            if is_foreign { Rows::Unknown } else { Rows::Of(name) }
        };
        alias = self.table_alias()?.or(alias);
        if self.word("indexed") {
            self.word("by").then_some(())?;
            self.name()?;
        } else if self.word("not") {
            self.word("indexed").then_some(())?;
        }
        if self.word("using") {
            equal = Equal::Using(self.columns()?);
        } else if self.word("on") {
            self.until(|token| {
                matches!(token, Token::Symbol(',' | ';'))
                    || token.is("window")
                    || CLAUSES.iter().chain(JOINS).any(|keyword| token.is(keyword))
            });
        }
        Some(Source { join, equal, rows, alias })
    }

    fn table_alias(&mut self) -> Option<Option<String>> {
        if self.word("as") {
            return Some(Some(self.name()?));
        }
        let is_keyword = self.is_one_of(CLAUSES)
            || self.is_one_of(JOINS)
            || self.is_one_of(&["on", "using", "indexed", "not", "window"]);
        match self.tokens.first() {
            Some(Token::Symbol(_)) | None => Some(None),
            _ if is_keyword => Some(None),
            _ => Some(Some(self.name()?)),
        }
    }
}

/// One item of the list behind SELECT.
fn item(tokens: &[Token<'_>]) -> Option<Item> {
    match tokens {
        [] => return None,
        [Token::Symbol('*')] => return Some(Item::All),
        [table, Token::Symbol('.'), Token::Symbol('*')] => {
            return Some(Item::AllOf(table.name()?.to_ascii_lowercase()));
        }
        _ => {}
    }
    let (expression, alias) = match tokens {
        [expression @ .., keyword, alias] if keyword.is("as") => (expression, alias.name()),
        // Two operands beside each other: the second is a name.
        [
            expression @ ..,
            Token::Word(_) | Token::Name(_) | Token::Text(_) | Token::Symbol(')' | 'x'),
            alias,
        ] if alias.name().is_some() && !is_value(alias) => {
            (tokens.get(..expression.len() + 1).unwrap_or_default(), alias.name())
        }
        expression => (expression, None),
    };
    let alias = alias.map(str::to_ascii_lowercase);
    Some(match column(expression) {
        Some((table, column)) => {
            Item::Column { table, name: alias.unwrap_or_else(|| column.clone()), column }
        }
        None => Item::Expression { name: alias.unwrap_or_default() },
    })
}

/// `column`, `table.column` or `database.table.column`, also in parentheses.
fn column(mut expression: &[Token<'_>]) -> Option<(Option<String>, String)> {
    while let [Token::Symbol('('), inner @ .., Token::Symbol(')')] = expression {
        expression = inner;
    }
    let name = |token: &Token<'_>| match token {
        Token::Text(_) => None,
        token if is_value(token) => None,
        token => token.name().map(str::to_ascii_lowercase),
    };
    match expression {
        [column] => Some((None, name(column)?)),
        [table, Token::Symbol('.'), column] | [_, Token::Symbol('.'), table, Token::Symbol('.'), column] => {
            Some((Some(name(table)?), column.name()?.to_ascii_lowercase()))
        }
        _ => None,
    }
}

/// Whether a word stands for a value and cannot name a column.
fn is_value(token: &Token<'_>) -> bool {
    let is_number = matches!(token, Token::Word(word) if word.starts_with(|c: char| c.is_ascii_digit()));
    is_number || VALUES.iter().any(|value| token.is(value))
}
