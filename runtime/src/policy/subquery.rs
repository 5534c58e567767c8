//! The subqueries of policies: one SELECT, as a tree. Not the schema.

use super::syntax::{Node, Parser};
use super::token::Token;

/// A subquery.
#[derive(Debug)]
pub(super) struct Select<'t> {
    pub(super) distinct: bool,
    /// With the names that it gives; None: `*`.
    pub(super) fields: Vec<(Option<Node<'t>>, Option<String>)>,
    pub(super) from: Vec<Read<'t>>,
    pub(super) condition: Option<Node<'t>>,
    pub(super) group_by: Vec<Node<'t>>,
    pub(super) having: Option<Node<'t>>,
    /// Whether they go down.
    pub(super) order_by: Vec<(Node<'t>, bool)>,
    pub(super) limit: Option<Node<'t>>,
}

/// What a subquery reads from.
#[derive(Debug)]
pub(super) struct Read<'t> {
    pub(super) name: String,
    /// Of a table-valued function.
    pub(super) arguments: Option<Vec<Node<'t>>>,
    pub(super) alias: Option<String>,
    /// Whether it is joined by LEFT JOIN.
    pub(super) left: bool,
    pub(super) on: Option<Node<'t>>,
}

/// Words that are no name given to a column or table where AS is left out.
const NO_ALIAS: [&str; 25] = [
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "WINDOW",
    "ON",
    "USING",
    "JOIN",
    "LEFT",
    "RIGHT",
    "FULL",
    "INNER",
    "OUTER",
    "CROSS",
    "NATURAL",
    "AS",
    "NOT",
    "INDEXED",
    "ESCAPE",
];

impl<'t> Parser<'t> {
    /// From SELECT to what ends it.
    pub(super) fn select(&mut self) -> Result<Select<'t>, String> {
        let wrong = || "a subquery is one SELECT, without WITH, UNION, INTERSECT and EXCEPT".to_owned();
        if !self.take_word("SELECT") {
            return Err(if self.is_query() { wrong() } else { self.expected("SELECT") });
        }
        let distinct = self.take_word("DISTINCT");
        if !distinct {
            self.take_word("ALL");
        }
        let mut select = Select {
            distinct,
            fields: vec![self.field()?],
            from: Vec::new(),
            condition: None,
            group_by: Vec::new(),
            having: None,
            order_by: Vec::new(),
            limit: None,
        };
        while self.take(",") {
            select.fields.push(self.field()?);
        }
        if self.take_word("FROM") {
            select.from = self.from()?;
        }
        if self.take_word("WHERE") {
            select.condition = Some(self.expr(0)?);
        }
        if self.take_word("GROUP") {
            self.need_word("BY")?;
            select.group_by = self.some()?;
        }
        if self.take_word("HAVING") {
            select.having = Some(self.expr(0)?);
        }
        if self.take_word("ORDER") {
            self.need_word("BY")?;
            select.order_by.push(self.ordered()?);
            while self.take(",") {
                select.order_by.push(self.ordered()?);
            }
        }
        if self.take_word("LIMIT") {
            select.limit = Some(self.expr(0)?);
            if self.is_word("OFFSET") || self.is(",") {
                return Err("LIMIT is taken without OFFSET".to_owned());
            }
        }
        if ["UNION", "INTERSECT", "EXCEPT"].into_iter().any(|word| self.is_word(word)) {
            return Err(wrong());
        }
        if !self.is(")") && *self.peek() != Token::End {
            let what = "a subquery has SELECT, FROM, WHERE, GROUP BY, HAVING, ORDER BY and LIMIT";
            return Err(format!("{what}, in this order; {}", self.expected("\")\"")));
        }
        Ok(select)
    }

    fn field(&mut self) -> Result<(Option<Node<'t>>, Option<String>), String> {
        if self.take("*") {
            return Ok((None, None));
        }
        let value = self.expr(0)?;
        Ok((Some(value), self.alias()?))
    }

    /// The name that is given to what stands before it.
    fn alias(&mut self) -> Result<Option<String>, String> {
        let is_given = match self.peek() {
            Token::Word(word) => !NO_ALIAS.into_iter().any(|other| other.eq_ignore_ascii_case(word)),
            Token::Name(_) => true,
            _ => false,
        };
        if self.take_word("AS") || is_given { self.name("a name").map(Some) } else { Ok(None) }
    }

    fn ordered(&mut self) -> Result<(Node<'t>, bool), String> {
        let by = self.expr(0)?;
        let down = self.take_word("DESC");
        if !down {
            self.take_word("ASC");
        }
        if self.is_word("NULLS") {
            return Err("NULLS FIRST and NULLS LAST are not taken in a policy".to_owned());
        }
        Ok((by, down))
    }

    /// Behind FROM.
    fn from(&mut self) -> Result<Vec<Read<'t>>, String> {
        let mut from = vec![self.read()?];
        loop {
            if self.take(",") {
                from.push(self.read()?);
                continue;
            }
            if ["NATURAL", "RIGHT", "FULL"].into_iter().any(|word| self.is_word(word)) {
                return Err("tables are joined by JOIN and LEFT JOIN".to_owned());
            }
            let left = self.take_word("LEFT");
            if left {
                self.take_word("OUTER");
            }
            if left || self.take_word("INNER") || self.take_word("CROSS") {
                self.need_word("JOIN")?;
            } else if !self.take_word("JOIN") {
                return Ok(from);
            }
            let mut read = Read { left, ..self.read()? };
            if self.take_word("ON") {
                read.on = Some(self.expr(0)?);
            } else if self.is_word("USING") {
                return Err("tables are joined ON a condition, not USING columns".to_owned());
            }
            from.push(read);
        }
    }

    fn read(&mut self) -> Result<Read<'t>, String> {
        let start = self.start();
        if self.take("(") {
            let mut depth = 1_usize;
            while depth > 0 && *self.peek() != Token::End {
                depth = depth + usize::from(self.is("(")) - usize::from(self.is(")"));
                self.at += 1;
            }
            let text = self.since(start);
            return Err(format!("{text}: a subquery reads tables, views, json_each and json_tree"));
        }
        let name = self.name("a table")?;
        if self.take(".") {
            self.name("a table")?;
            return Err(format!("{}: write the table's name alone", self.since(start)));
        }
        let arguments = if self.take("(") { Some(self.list()?) } else { None };
        Ok(Read { name, arguments, alias: self.alias()?, left: false, on: None })
    }
}
