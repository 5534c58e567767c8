//! SQLite's grammar of expressions: the text of a policy as a tree, by the precedence that SQLite has
//! (<https://www.sqlite.org/lang_expr.html#operators_and_parse_affecting_attributes>). Not the schema: names stay names.
//!
//! It is written here because a parser of all of SQL, of which a policy uses a twentieth, was a third of the component.

use super::subquery::Select;
use super::token::{Placed, Token, tokens};
use crate::filter::Is;
use crate::value::Value;

/// How deep an expression may nest.
pub(super) const MAX_DEPTH: usize = 50;

/// A part of an expression.
#[derive(Debug)]
pub(super) struct Node<'t> {
    /// As it is written.
    pub(super) text: &'t str,
    pub(super) term: Term<'t>,
    /// How many lie inside one another, itself included: what it takes of the stack to read it and to give it up.
    height: usize,
}

impl<'t> Node<'t> {
    fn new(text: &'t str, term: Term<'t>) -> Result<Self, String> {
        let height = 1 + term.height();
        Node { text, term, height }.limited()
    }

    fn limited(self) -> Result<Self, String> {
        match self.height > 2 * MAX_DEPTH {
            true => Err(format!("it nests deeper than {} levels", 2 * MAX_DEPTH)),
            false => Ok(self),
        }
    }
}

/// What a part is.
#[derive(Debug)]
pub(super) enum Term<'t> {
    /// With what stands before it and dots between.
    Name(Vec<String>),
    Value(Value),
    /// `TRUE` or `FALSE`
    Truth(bool),
    /// `(a, b)`
    Row,
    Not(Box<Node<'t>>),
    And(Vec<Node<'t>>),
    Or(Vec<Node<'t>>),
    Is(Is, Box<Node<'t>>),
    /// `IS` and `IS NOT` are `IS NOT DISTINCT FROM` and `IS DISTINCT FROM`.
    Binary(&'static str, Box<Node<'t>>, Box<Node<'t>>),
    Unary(&'static str, Box<Node<'t>>),
    Between(Box<Node<'t>>, Box<Node<'t>>, Box<Node<'t>>),
    In(Box<Node<'t>>, Vec<Node<'t>>),
    InQuery(Box<Node<'t>>, Box<Select<'t>>),
    Cast(Box<Node<'t>>, &'t str),
    Collate(Box<Node<'t>>, String),
    Case {
        operand: Option<Box<Node<'t>>>,
        branches: Vec<(Node<'t>, Node<'t>)>,
        otherwise: Option<Box<Node<'t>>>,
    },
    Exists(Box<Select<'t>>),
    Query(Box<Select<'t>>),
    Call {
        /// In lower case.
        name: String,
        distinct: bool,
        /// None: `*`.
        arguments: Option<Vec<Node<'t>>>,
    },
}

impl Term<'_> {
    /// How many lie inside one another below it.
    fn height(&self) -> usize {
        let of = |nodes: &[&Node<'_>]| nodes.iter().map(|node| node.height).max().unwrap_or(0);
        let all = |nodes: &[Node<'_>]| nodes.iter().map(|node| node.height).max().unwrap_or(0);
        match self {
            Term::Name(_) | Term::Value(_) | Term::Truth(_) | Term::Row => 0,
            Term::Not(inner)
            | Term::Is(_, inner)
            | Term::Unary(_, inner)
            | Term::Cast(inner, _)
            | Term::Collate(inner, _) => inner.height,
            Term::And(terms) | Term::Or(terms) => all(terms),
            Term::Binary(_, a, b) => of(&[a, b]),
            Term::Between(operand, low, high) => of(&[operand, low, high]),
            Term::In(operand, list) => operand.height.max(all(list)),
            Term::InQuery(operand, query) => operand.height.max(query.height()),
            Term::Case { operand, branches, otherwise } => {
                let ends = operand.iter().chain(otherwise).map(|node| node.height);
                let branches = branches.iter().map(|(condition, result)| of(&[condition, result]));
                ends.chain(branches).max().unwrap_or(0)
            }
            Term::Exists(query) | Term::Query(query) => query.height(),
            Term::Call { arguments, .. } => arguments.as_deref().map_or(0, all),
        }
    }
}

impl Select<'_> {
    fn height(&self) -> usize {
        let fields = self.fields.iter().filter_map(|(field, _)| field.as_ref());
        let from = self.from.iter().flat_map(|read| read.arguments.iter().flatten().chain(&read.on));
        let rest = self.condition.iter().chain(&self.group_by).chain(&self.having).chain(&self.limit);
        let order = self.order_by.iter().map(|(by, _)| by);
        fields.chain(from).chain(rest).chain(order).map(|node| node.height).max().unwrap_or(0)
    }
}

const OR: u8 = 5;
const AND: u8 = 10;
const NOT: u8 = 15;
const TEST: u8 = 20;
const COLLATE: u8 = 60;
const SIGN: u8 = 70;

/// How strongly symbols bind, and what they are to be called.
const OPERATORS: [(&str, u8, &str); 20] = [
    ("=", TEST, "="),
    ("==", TEST, "="),
    ("<>", TEST, "<>"),
    ("!=", TEST, "<>"),
    ("<", 22, "<"),
    ("<=", 22, "<="),
    (">", 22, ">"),
    (">=", 22, ">="),
    ("&", 25, "&"),
    ("|", 25, "|"),
    ("<<", 25, "<<"),
    (">>", 25, ">>"),
    ("+", 30, "+"),
    ("-", 30, "-"),
    ("*", 40, "*"),
    ("/", 40, "/"),
    ("%", 40, "%"),
    ("||", 50, "||"),
    ("->", 50, "->"),
    ("->>", 50, "->>"),
];

/// Operators that are words and take one operand behind them.
const PATTERNS: [&str; 4] = ["LIKE", "GLOB", "REGEXP", "MATCH"];

/// Reads one expression.
///
/// # Errors
/// One sentence on what is wrong with the text.
pub(super) fn parse(text: &str) -> Result<Node<'_>, String> {
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0, depth: 0 };
    let read = parser.expr(0)?;
    match parser.peek() {
        Token::End => Ok(read),
        _ => Err(format!("it must be one expression, and \"{}\" stands behind one", parser.written())),
    }
}

/// A place in a text.
pub(super) struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Placed<'t>>,
    pub(super) at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    pub(super) fn peek(&self) -> &Token<'t> {
        self.peek_at(0)
    }

    fn peek_at(&self, distance: usize) -> &Token<'t> {
        self.tokens.get(self.at + distance).map_or(&Token::End, |placed| &placed.token)
    }

    /// Where the next token begins.
    pub(super) fn start(&self) -> usize {
        self.tokens.get(self.at).map_or(self.text.len(), |placed| placed.start)
    }

    /// What is written from there to the end of the last token.
    pub(super) fn since(&self, start: usize) -> &'t str {
        let end =
            self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(start, |placed| placed.end);
        self.text.get(start..end).unwrap_or_default()
    }

    /// The next token as it is written.
    fn written(&self) -> &'t str {
        self.tokens
            .get(self.at)
            .and_then(|placed| self.text.get(placed.start..placed.end))
            .unwrap_or_default()
    }

    pub(super) fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Symbol(next) if *next == symbol)
    }

    fn is_word_at(&self, distance: usize, word: &str) -> bool {
        matches!(self.peek_at(distance), Token::Word(next) if next.eq_ignore_ascii_case(word))
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    pub(super) fn take(&mut self, symbol: &str) -> bool {
        let is = self.is(symbol);
        self.at += usize::from(is);
        is
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        self.at += usize::from(is);
        is
    }

    pub(super) fn need(&mut self, symbol: &str) -> Result<(), String> {
        if self.take(symbol) { Ok(()) } else { Err(self.expected(&format!("\"{symbol}\""))) }
    }

    pub(super) fn need_word(&mut self, word: &str) -> Result<(), String> {
        if self.take_word(word) { Ok(()) } else { Err(self.expected(word)) }
    }

    pub(super) fn expected(&self, what: &str) -> String {
        if *self.peek() == Token::End {
            return format!("{what} is missing at the end");
        }
        let before = self.text.get(..self.start()).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{what} is expected, not \"{}\" (line {line}, column {column})", self.written())
    }

    fn boxed(&mut self, above: u8) -> Result<Box<Node<'t>>, String> {
        self.expr(above).map(Box::new)
    }

    /// What operators join that bind more strongly than `above`.
    pub(super) fn expr(&mut self, above: u8) -> Result<Node<'t>, String> {
        if self.depth >= MAX_DEPTH {
            return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        self.depth += 1;
        let start = self.start();
        let term = self.prefix()?;
        let mut left = Node::new(self.since(start), term)?;
        // Whether `left` is what the loop itself has joined, and not in parentheses.
        let mut is_open = false;
        while let Some(binds) = self.infix().filter(|binds| *binds > above) {
            left = match left {
                Node { term: Term::And(mut terms), height, .. } if binds == AND && is_open => {
                    self.at += 1;
                    let next = self.expr(AND)?;
                    let height = height.max(next.height + 1);
                    terms.push(next);
                    Node { text: self.since(start), term: Term::And(terms), height }.limited()?
                }
                Node { term: Term::Or(mut terms), height, .. } if binds == OR && is_open => {
                    self.at += 1;
                    let next = self.expr(OR)?;
                    let height = height.max(next.height + 1);
                    terms.push(next);
                    Node { text: self.since(start), term: Term::Or(terms), height }.limited()?
                }
                left => {
                    let term = self.operation(left, binds, start)?;
                    Node::new(self.since(start), term)?
                }
            };
            is_open = true;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// How strongly the operator binds that is next, if one is.
    fn infix(&self) -> Option<u8> {
        let is_test = |word: &str| {
            let tests = PATTERNS.into_iter().chain(["IN", "BETWEEN"]);
            tests.into_iter().any(|test| test.eq_ignore_ascii_case(word))
        };
        match self.peek() {
            Token::Symbol(symbol) => {
                OPERATORS.iter().find(|(known, _, _)| known == symbol).map(|(_, binds, _)| *binds)
            }
            Token::Word(word) if is_test(word) => Some(TEST),
            Token::Word(word) => match word.to_ascii_uppercase().as_str() {
                "OR" => Some(OR),
                "AND" => Some(AND),
                "IS" | "ISNULL" | "NOTNULL" => Some(TEST),
                "NOT" => match self.peek_at(1) {
                    Token::Word(next) if is_test(next) || next.eq_ignore_ascii_case("NULL") => Some(TEST),
                    _ => None,
                },
                "COLLATE" => Some(COLLATE),
                _ => None,
            },
            _ => None,
        }
    }

    /// `left` with the operator that is next, and what stands behind that.
    fn operation(&mut self, left: Node<'t>, binds: u8, start: usize) -> Result<Term<'t>, String> {
        let left = Box::new(left);
        if let Token::Symbol(symbol) = *self.peek() {
            self.at += 1;
            let name =
                OPERATORS.iter().find(|(known, _, _)| *known == symbol).map_or(symbol, |known| known.2);
            return Ok(Term::Binary(name, left, self.boxed(binds)?));
        }
        if self.take_word("OR") {
            return Ok(Term::Or(vec![*left, self.expr(OR)?]));
        }
        if self.take_word("AND") {
            return Ok(Term::And(vec![*left, self.expr(AND)?]));
        }
        if self.take_word("COLLATE") {
            return Ok(Term::Collate(left, self.name("a collation")?));
        }
        if self.take_word("ISNULL") {
            return Ok(Term::Is(Is::Null, left));
        }
        if self.take_word("NOTNULL") {
            return Ok(Term::Is(Is::NotNull, left));
        }
        if self.take_word("IS") {
            return self.is_what(left, start);
        }
        if !self.take_word("NOT") {
            return self.test(left);
        }
        if self.take_word("NULL") {
            return Ok(Term::Is(Is::NotNull, left));
        }
        let term = self.test(left)?;
        Ok(Term::Not(Box::new(Node::new(self.since(start), term)?)))
    }

    /// What stands behind IS.
    fn is_what(&mut self, left: Box<Node<'t>>, start: usize) -> Result<Term<'t>, String> {
        let negated = self.take_word("NOT");
        if self.take_word("DISTINCT") {
            self.need_word("FROM")?;
            let operator = if negated { "IS" } else { "IS NOT" };
            return Ok(Term::Binary(operator, left, self.boxed(TEST)?));
        }
        let (is, not) = if self.take_word("NULL") {
            (if negated { Is::NotNull } else { Is::Null }, false)
        } else if self.take_word("TRUE") {
            (Is::True, negated)
        } else if self.take_word("FALSE") {
            (Is::False, negated)
        } else {
            let what = self.expected("NULL, TRUE, FALSE or DISTINCT FROM");
            return Err(format!("{what}: a IS b is written a IS NOT DISTINCT FROM b"));
        };
        // To SQLite, `a IS NULL + 1` is `a IS (NULL + 1)`, which nobody means.
        if self.infix().is_some_and(|binds| binds > TEST) {
            let (left, next) = (self.since(start), self.written());
            return Err(format!("{left} {next}: write parentheses around what stands before {next}"));
        }
        let term = Term::Is(is, left);
        Ok(if not { Term::Not(Box::new(Node::new(self.since(start), term)?)) } else { term })
    }

    /// LIKE and its like, BETWEEN and IN.
    fn test(&mut self, left: Box<Node<'t>>) -> Result<Term<'t>, String> {
        for operator in PATTERNS {
            if self.take_word(operator) {
                let pattern = self.boxed(TEST)?;
                if self.is_word("ESCAPE") {
                    return Err(format!("{operator} … ESCAPE is not taken in a policy"));
                }
                return Ok(Term::Binary(operator, left, pattern));
            }
        }
        if self.take_word("BETWEEN") {
            let low = self.boxed(TEST)?;
            self.need_word("AND")?;
            return Ok(Term::Between(left, low, self.boxed(TEST)?));
        }
        self.need_word("IN")?;
        self.need("(")?;
        if self.is_query() {
            let query = self.select()?;
            self.need(")")?;
            return Ok(Term::InQuery(left, Box::new(query)));
        }
        Ok(Term::In(left, self.list()?))
    }

    /// Expressions up to a parenthesis that ends them.
    pub(super) fn list(&mut self) -> Result<Vec<Node<'t>>, String> {
        if self.take(")") {
            return Ok(Vec::new());
        }
        let list = self.some()?;
        self.need(")")?;
        Ok(list)
    }

    /// Expressions with commas between.
    pub(super) fn some(&mut self) -> Result<Vec<Node<'t>>, String> {
        let mut some = vec![self.expr(0)?];
        while self.take(",") {
            some.push(self.expr(0)?);
        }
        Ok(some)
    }

    /// What no operator stands before, or one that stands before its only operand.
    fn prefix(&mut self) -> Result<Term<'t>, String> {
        let token = self.peek().clone();
        match token {
            Token::Word(word) => return self.word(word),
            Token::Name(_) => return self.named(),
            Token::Number(number) => {
                self.at += 1;
                return self::number(number).map(Term::Value);
            }
            Token::Text(text) => {
                self.at += 1;
                return Ok(Term::Value(Value::Text(text.into_owned())));
            }
            Token::Parameter => {
                let name = self.written();
                return Err(format!(
                    "{name}: a policy has no parameters; current_user_id(), current_role() and current_claim('name') say who asks"
                ));
            }
            Token::Blob => return Err(format!("{}: this is not taken in a policy", self.written())),
            Token::Symbol("(") => {
                self.at += 1;
                return self.in_parentheses();
            }
            Token::Symbol(_) | Token::End => {}
        }
        for sign in ["+", "-", "~"] {
            if self.take(sign) {
                // The least integer is no number without its sign.
                if sign == "-" && *self.peek() == Token::Number("9223372036854775808") {
                    self.at += 1;
                    return Ok(Term::Value(Value::Integer(i64::MIN)));
                }
                return Ok(Term::Unary(sign, self.boxed(SIGN)?));
            }
        }
        Err(self.expected("an expression"))
    }

    /// Behind a parenthesis.
    fn in_parentheses(&mut self) -> Result<Term<'t>, String> {
        if self.is_query() {
            let query = self.select()?;
            self.need(")")?;
            return Ok(Term::Query(Box::new(query)));
        }
        let inner = self.expr(0)?;
        if self.take(",") {
            self.list()?;
            return Ok(Term::Row);
        }
        self.need(")")?;
        Ok(inner.term)
    }

    fn word(&mut self, word: &str) -> Result<Term<'t>, String> {
        let term = match word.to_ascii_uppercase().as_str() {
            "NULL" => Term::Value(Value::Null),
            "TRUE" => Term::Truth(true),
            "FALSE" => Term::Truth(false),
            "NOT" => {
                self.at += 1;
                return Ok(Term::Not(self.boxed(NOT)?));
            }
            "CASE" => {
                self.at += 1;
                return self.case();
            }
            "CAST" if *self.peek_at(1) == Token::Symbol("(") => {
                self.at += 2;
                return self.cast();
            }
            "EXISTS" if *self.peek_at(1) == Token::Symbol("(") => {
                self.at += 2;
                let query = self.select()?;
                self.need(")")?;
                return Ok(Term::Exists(Box::new(query)));
            }
            // Calls without parentheses.
            "CURRENT_TIMESTAMP" | "CURRENT_DATE" | "CURRENT_TIME" => {
                self.at += 1;
                let name = word.to_ascii_lowercase();
                return Ok(Term::Call { name, distinct: false, arguments: Some(Vec::new()) });
            }
            _ => return self.named(),
        };
        self.at += 1;
        Ok(term)
    }

    /// A column, or a call.
    fn named(&mut self) -> Result<Term<'t>, String> {
        let start = self.start();
        let mut names = vec![self.name("a name")?];
        while self.take(".") {
            if self.take("*") {
                return Err(format!("{}: name the columns", self.since(start)));
            }
            names.push(self.name("a name")?);
        }
        let called = self.since(start);
        if !self.take("(") {
            return Ok(Term::Name(names));
        }
        let [name] = names.as_slice() else {
            return Err(format!("there is no function {called} for policies"));
        };
        let name = name.to_ascii_lowercase();
        let distinct = self.take_word("DISTINCT");
        let arguments = if !distinct && self.take("*") {
            self.need(")")?;
            None
        } else {
            Some(self.list()?)
        };
        if ["FILTER", "OVER", "WITHIN"].into_iter().any(|word| self.is_word(word)) {
            let (call, next) = (self.since(start), self.written());
            return Err(format!("{call} {next}: FILTER, OVER and the like are not taken in a policy"));
        }
        Ok(Term::Call { name, distinct, arguments })
    }

    pub(super) fn name(&mut self, what: &str) -> Result<String, String> {
        let name = match self.peek() {
            Token::Word(name) => (*name).to_owned(),
            Token::Name(name) => name.clone().into_owned(),
            _ => return Err(self.expected(what)),
        };
        self.at += 1;
        Ok(name)
    }

    fn case(&mut self) -> Result<Term<'t>, String> {
        let operand = if self.is_word("WHEN") { None } else { Some(self.boxed(0)?) };
        let mut branches = Vec::new();
        while self.take_word("WHEN") {
            let condition = self.expr(0)?;
            self.need_word("THEN")?;
            branches.push((condition, self.expr(0)?));
        }
        if branches.is_empty() {
            return Err(self.expected("WHEN"));
        }
        let otherwise = if self.take_word("ELSE") { Some(self.boxed(0)?) } else { None };
        self.need_word("END")?;
        Ok(Term::Case { operand, branches, otherwise })
    }

    fn cast(&mut self) -> Result<Term<'t>, String> {
        let operand = self.boxed(0)?;
        self.need_word("AS")?;
        let start = self.start();
        while let Token::Word(_) = self.peek() {
            self.at += 1;
        }
        let name = self.since(start);
        self.need(")")?;
        Ok(Term::Cast(operand, name))
    }

    pub(super) fn is_query(&self) -> bool {
        ["SELECT", "WITH", "VALUES"].into_iter().any(|word| self.is_word(word))
    }
}

fn number(text: &str) -> Result<Value, String> {
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(integer), _) => Ok(Value::Integer(integer)),
        (Err(_), Ok(real)) if real.is_finite() => Ok(Value::Real(real)),
        _ => Err(format!("{text} is no number")),
    }
}
