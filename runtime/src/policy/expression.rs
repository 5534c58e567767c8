//! The text of a policy as the expression that filters become, too. Names are resolved against the schema: a column that
//! is not there, a function that is not on the list, or anything but one expression is an error.

use sqlparser::ast;
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::dialect::Sqlite;
use super::functions::{FUNCTIONS, Kind, NOT_DETERMINISTIC};
use crate::filter::{Comparison, Is};
use crate::plan::{Alias, Asked, ColumnRef, ColumnValue, Expr, Query, Source, SqlExpr, Table, TableRows};
use crate::schema::{Relation, RelationId, RelationKind, RowKey, SchemaCache};
use crate::similar::closest;
use crate::value::Value;

/// How deep an expression may nest.
const MAX_DEPTH: usize = 50;

/// How long the text of an expression may be.
const MOST_BYTES: usize = 16 << 10;

/// The functions of ours, which become bound parameters.
const OWN: [&str; 5] = ["current_user_id", "current_role", "current_claim", "request_value", "now"];

/// Reads an expression about a row of a relation.
///
/// # Errors
/// One sentence on what is wrong with it.
pub(super) fn expression(schema: &SchemaCache, relation: RelationId, text: &str) -> Result<Expr, String> {
    let dialect = Sqlite(SQLiteDialect {});
    let wrong = |error: sqlparser::parser::ParserError| match error {
        sqlparser::parser::ParserError::TokenizerError(message)
        | sqlparser::parser::ParserError::ParserError(message) => message,
        sqlparser::parser::ParserError::RecursionLimitExceeded => {
            format!("it nests deeper than {MAX_DEPTH} levels")
        }
    };
    if text.len() > MOST_BYTES {
        return Err(format!("it is longer than {MOST_BYTES} bytes"));
    }
    if text.contains('\0') {
        return Err("it has a NUL in it".to_owned());
    }
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(MAX_DEPTH).try_with_sql(text).map_err(wrong)?;
    let parsed = parser.parse_expr().map_err(wrong)?;
    let next = parser.next_token();
    if next.token != Token::EOF {
        return Err(format!("it must be one expression, and \"{next}\" stands behind one"));
    }
    let name = schema.relations.get(relation).map(|r| r.name.to_ascii_lowercase()).unwrap_or_default();
    let row = Named { name, rows: Rows::Relation(Source { relation, alias: Alias::Row }) };
    let mut reader =
        Reader { schema, scopes: vec![vec![row]], aliases: 0, depth: 0, names: Vec::new(), innermost: 0 };
    reader.expr(&parsed)
}

/// The tables whose columns can be named.
struct Reader<'a> {
    schema: &'a SchemaCache,
    /// From the row of the policy to the innermost subquery.
    scopes: Vec<Vec<Named>>,
    aliases: usize,
    depth: usize,
    /// The names that the subqueries around give to what they select.
    names: Vec<Vec<String>>,
    /// The innermost scope that a column was found in since this was set to 0, from 1.
    innermost: usize,
}

/// A table under the name by which its columns are told apart, in lower case.
#[derive(Clone)]
struct Named {
    name: String,
    rows: Rows,
}

#[derive(Clone, Copy)]
enum Rows {
    Relation(Source),
    Each(usize),
}

/// <https://www.sqlite.org/json1.html#jeach>
const EACH_COLUMNS: [&str; 8] = ["key", "value", "type", "atom", "id", "parent", "fullkey", "path"];

fn sql(expr: SqlExpr) -> Result<Expr, String> {
    Ok(Expr::Sql(expr))
}

fn literal(value: Value) -> Expr {
    Expr::Sql(SqlExpr::Literal(value))
}

impl Reader<'_> {
    fn boxed(&mut self, expr: &ast::Expr) -> Result<Box<Expr>, String> {
        self.expr(expr).map(Box::new)
    }

    fn all<'e>(&mut self, exprs: impl IntoIterator<Item = &'e ast::Expr>) -> Result<Vec<Expr>, String> {
        exprs.into_iter().map(|expr| self.expr(expr)).collect()
    }

    fn expr(&mut self, expr: &ast::Expr) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > 2 * MAX_DEPTH {
            return Err(format!("it nests deeper than {} levels", 2 * MAX_DEPTH));
        }
        let read = self.one(expr);
        self.depth -= 1;
        read
    }

    /// What AND or OR joins, which the parser nests to the left.
    fn joined(&mut self, expr: &ast::Expr, joins: &ast::BinaryOperator) -> Result<Vec<Expr>, String> {
        let mut terms = Vec::new();
        let mut rest = expr;
        while let ast::Expr::BinaryOp { left, op, right } = rest
            && op == joins
        {
            terms.push(self.expr(right)?);
            rest = left;
        }
        terms.push(self.expr(rest)?);
        terms.reverse();
        Ok(terms)
    }

    fn one(&mut self, expr: &ast::Expr) -> Result<Expr, String> {
        use ast::Expr as E;
        let not = |negated: bool, expr: Expr| if negated { Expr::Not(Box::new(expr)) } else { expr };
        let is = |is: Is, operand: Box<Expr>| Expr::Is(is, operand);
        match expr {
            E::Identifier(name) => self.column(None, &name.value),
            E::CompoundIdentifier(names) => match names.as_slice() {
                [table, name] => self.column(Some(&table.value), &name.value),
                _ => Err(format!("{expr}: a column is named by itself or with its table")),
            },
            E::Nested(inner) => self.expr(inner),
            E::Value(value) => value_of(&value.value),
            E::IsTrue(inner) => Ok(is(Is::True, self.boxed(inner)?)),
            E::IsNotTrue(inner) => Ok(not(true, is(Is::True, self.boxed(inner)?))),
            E::IsFalse(inner) => Ok(is(Is::False, self.boxed(inner)?)),
            E::IsNotFalse(inner) => Ok(not(true, is(Is::False, self.boxed(inner)?))),
            E::IsNull(inner) => Ok(is(Is::Null, self.boxed(inner)?)),
            E::IsNotNull(inner) => Ok(is(Is::NotNull, self.boxed(inner)?)),
            E::IsDistinctFrom(_, b) | E::IsNotDistinctFrom(_, b) if is_truth(b) => {
                Err(format!("{expr}: write IS TRUE, IS NOT TRUE, IS FALSE or IS NOT FALSE"))
            }
            E::IsDistinctFrom(a, b) => sql(SqlExpr::Binary("IS NOT", self.boxed(a)?, self.boxed(b)?)),
            E::IsNotDistinctFrom(a, b) => sql(SqlExpr::Binary("IS", self.boxed(a)?, self.boxed(b)?)),
            E::InList { expr, list, negated } => {
                Ok(not(*negated, Expr::Sql(SqlExpr::In(self.boxed(expr)?, self.all(list)?))))
            }
            E::InSubquery { expr, subquery, negated } => {
                let operand = self.boxed(expr)?;
                let query = self.query(subquery, 1)?;
                Ok(not(*negated, Expr::Sql(SqlExpr::InQuery(operand, Box::new(query)))))
            }
            E::Between { expr, negated, low, high } => {
                let operand = self.boxed(expr)?;
                let low = compare(Comparison::Gte, operand.clone(), self.boxed(low)?);
                let high = compare(Comparison::Lte, operand, self.boxed(high)?);
                Ok(not(*negated, Expr::And(vec![low, high])))
            }
            E::BinaryOp { op: ast::BinaryOperator::And, .. } => {
                Ok(Expr::And(self.joined(expr, &ast::BinaryOperator::And)?))
            }
            E::BinaryOp { op: ast::BinaryOperator::Or, .. } => {
                Ok(Expr::Or(self.joined(expr, &ast::BinaryOperator::Or)?))
            }
            E::BinaryOp { left, op, right } => self.binary(left, op, right),
            E::Like { negated, any: false, expr, pattern, escape_char: None } => {
                Ok(not(*negated, matches_pattern("LIKE", self.boxed(expr)?, self.boxed(pattern)?)))
            }
            E::UnaryOp { op, expr } => self.unary(*op, expr),
            E::Cast { kind: ast::CastKind::Cast, expr, data_type, format: None } => {
                sql(SqlExpr::Cast(self.boxed(expr)?, cast_type(data_type)?))
            }
            E::Collate { expr, collation } => {
                let name = collation.to_string();
                let known = ["BINARY", "NOCASE", "RTRIM"].into_iter().find(|k| k.eq_ignore_ascii_case(&name));
                let known = known.ok_or_else(|| format!("there is no collation {name}"))?;
                sql(SqlExpr::Collate(self.boxed(expr)?, known))
            }
            E::Case { operand, conditions, else_result, .. } => {
                let operand = operand.as_ref().map(|operand| self.boxed(operand)).transpose()?;
                let mut branches = Vec::with_capacity(conditions.len());
                for when in conditions {
                    branches.push((self.expr(&when.condition)?, self.expr(&when.result)?));
                }
                let otherwise = else_result.as_ref().map(|otherwise| self.boxed(otherwise)).transpose()?;
                sql(SqlExpr::Case { operand, branches, otherwise })
            }
            E::Exists { subquery, negated } => {
                let query = self.query(subquery, 0)?;
                Ok(not(*negated, Expr::Sql(SqlExpr::Exists(Box::new(query)))))
            }
            E::Subquery(subquery) => sql(SqlExpr::Query(Box::new(self.query(subquery, 1)?))),
            E::Function(function) => self.function(function),
            E::Trim { trim_where: None, trim_what: None, expr, trim_characters } => {
                let mut arguments = vec![self.expr(expr)?];
                arguments.extend(self.all(trim_characters.iter().flatten())?);
                sql(SqlExpr::Function { name: "trim", distinct: false, arguments })
            }
            E::Substring { expr, substring_from: Some(from), substring_for, special: true, .. } => {
                let mut arguments = vec![self.expr(expr)?, self.expr(from)?];
                arguments.extend(self.all(substring_for.iter().map(|length| &**length))?);
                sql(SqlExpr::Function { name: "substr", distinct: false, arguments })
            }
            E::Tuple(_) => {
                Err("rows of values ((a, b) = …) are not taken: compare the values one by one".to_owned())
            }
            other => Err(format!("{other}: this is not taken in a policy")),
        }
    }

    fn binary(
        &mut self,
        left: &ast::Expr,
        op: &ast::BinaryOperator,
        right: &ast::Expr,
    ) -> Result<Expr, String> {
        use ast::BinaryOperator as Op;
        let is_test = matches!(op, Op::Eq | Op::NotEq | Op::Glob);
        if !is_test && is_postfix(left) {
            return Err(format!("{left} {op} {right}: write parentheses around what stands before {op}"));
        }
        let (a, b) = (self.boxed(left)?, self.boxed(right)?);
        let comparison = match op {
            Op::Eq => Some(Comparison::Eq),
            Op::NotEq => Some(Comparison::Neq),
            Op::Gt => Some(Comparison::Gt),
            Op::GtEq => Some(Comparison::Gte),
            Op::Lt => Some(Comparison::Lt),
            Op::LtEq => Some(Comparison::Lte),
            _ => None,
        };
        if let Some(comparison) = comparison {
            return Ok(compare(comparison, a, b));
        }
        let operator = match op {
            Op::Plus => "+",
            Op::Minus => "-",
            Op::Multiply => "*",
            Op::Divide => "/",
            Op::Modulo => "%",
            Op::StringConcat => "||",
            Op::BitwiseAnd => "&",
            Op::BitwiseOr => "|",
            Op::PGBitwiseShiftLeft => "<<",
            Op::PGBitwiseShiftRight => ">>",
            Op::Glob => return Ok(matches_pattern("GLOB", a, b)),
            Op::Arrow | Op::LongArrow => {
                check_path(&b, true)?;
                let operator = if *op == Op::Arrow { "->" } else { "->>" };
                return Ok(when_json(*a, |json| Expr::Sql(SqlExpr::Binary(operator, Box::new(json), b))));
            }
            Op::Regexp | Op::Match => {
                return Err(format!("{op}: not every host has it; LIKE and GLOB are taken"));
            }
            other => return Err(format!("the operator {other} is not taken in a policy")),
        };
        sql(SqlExpr::Binary(operator, a, b))
    }

    fn unary(&mut self, op: ast::UnaryOperator, expr: &ast::Expr) -> Result<Expr, String> {
        // The least integer is no number without its sign.
        if let (ast::UnaryOperator::Minus, ast::Expr::Value(value)) = (op, expr)
            && matches!(&value.value, ast::Value::Number(text, _) if text == "9223372036854775808")
        {
            return Ok(literal(Value::Integer(i64::MIN)));
        }
        let operand = self.boxed(expr)?;
        let operator = match op {
            ast::UnaryOperator::Not => return Ok(Expr::Not(operand)),
            ast::UnaryOperator::Plus => "+",
            ast::UnaryOperator::Minus => "-",
            ast::UnaryOperator::BitwiseNot => "~",
            other => return Err(format!("the operator {other} is not taken in a policy")),
        };
        if let ast::Expr::BinaryOp { .. } = expr {
            return Err(format!("{operator}{expr}: write parentheses around what the sign is for"));
        }
        match (operator, &*operand) {
            ("-", Expr::Sql(SqlExpr::Literal(Value::Integer(number)))) => {
                Ok(literal(Value::Integer(number.wrapping_neg())))
            }
            _ => sql(SqlExpr::Unary(operator, operand)),
        }
    }

    fn function(&mut self, function: &ast::Function) -> Result<Expr, String> {
        let name = function.name.to_string().to_ascii_lowercase();
        let plain = function.filter.is_none()
            && function.over.is_none()
            && function.within_group.is_empty()
            && function.null_treatment.is_none()
            && matches!(function.parameters, ast::FunctionArguments::None);
        if !plain {
            return Err(format!("{function}: FILTER, OVER and the like are not taken in a policy"));
        }
        if NOT_DETERMINISTIC.contains(&name.as_str()) {
            let instead = if name.starts_with("current_") { "; now() is the time in UTC" } else { "" };
            return Err(format!("{name} gives another result each time{instead}"));
        }
        let list = match &function.args {
            ast::FunctionArguments::List(list) if list.clauses.is_empty() => list,
            _ => return Err(format!("{function}: this is not taken in a policy")),
        };
        let distinct = list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct);
        if OWN.contains(&name.as_str()) {
            return own(&name, &list.args);
        }
        let is_inside = self.scopes.len() > 1;
        if let ("count", true, [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)]) =
            (name.as_str(), is_inside, list.args.as_slice())
        {
            return sql(SqlExpr::Function { name: "count", distinct: false, arguments: Vec::new() });
        }
        let mut arguments = Vec::with_capacity(list.args.len());
        let before = std::mem::take(&mut self.innermost);
        for argument in &list.args {
            match argument {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => {
                    arguments.push(self.expr(expr)?)
                }
                _ => return Err(format!("{function}: this is not taken in a policy")),
            }
        }
        let known = FUNCTIONS.iter().find(|known| known.name == name).ok_or_else(|| {
            let names = FUNCTIONS.iter().map(|known| known.name).chain(OWN).map(str::to_owned);
            let near = closest(&name, names).map(|near| format!("; perhaps {near}")).unwrap_or_default();
            format!("there is no function {name} for policies{near}")
        })?;
        if !(known.least..=known.most).contains(&arguments.len()) {
            return Err(format!("{name} with {} arguments", arguments.len()));
        }
        let is_aggregate =
            known.kind == Kind::Aggregate || known.kind == Kind::Either && arguments.len() == 1;
        if is_aggregate && !is_inside {
            return Err(format!("{name} of several rows: only a subquery has several"));
        }
        let innermost = std::mem::replace(&mut self.innermost, before);
        self.innermost = self.innermost.max(innermost);
        if is_aggregate && innermost > 0 && innermost < self.scopes.len() {
            return Err(format!("{name} of columns of a query around: it would be an aggregate of that one"));
        }
        if distinct && !is_aggregate {
            return Err(format!("{name}(DISTINCT …) is for aggregates"));
        }
        match known.kind {
            Kind::Date => check_date(&name, &arguments)?,
            Kind::Format => check_format(&name, arguments.first())?,
            Kind::Replace => check_replacement(arguments.get(2))?,
            _ => {}
        }
        let name = known.name;
        if known.kind != Kind::Json {
            return sql(SqlExpr::Function { name, distinct, arguments });
        }
        for path in arguments.iter().skip(1) {
            check_path(path, false).map_err(|reason| format!("{name}: {reason}"))?;
        }
        let mut rest = arguments.into_iter();
        let json = rest.next().ok_or_else(|| format!("{name} without arguments"))?;
        Ok(when_json(json, |json| {
            let arguments = std::iter::once(json).chain(rest).collect();
            Expr::Sql(SqlExpr::Function { name, distinct: false, arguments })
        }))
    }

    fn column(&mut self, table: Option<&str>, name: &str) -> Result<Expr, String> {
        let is_given = |names: &Vec<String>| names.iter().any(|given| given.eq_ignore_ascii_case(name));
        if table.is_none() && self.names.iter().any(is_given) {
            return Err(format!(
                "{name} is what a subquery calls something that it selects: write the thing itself"
            ));
        }
        let table = table.map(str::to_ascii_lowercase);
        let mut names = Vec::new();
        for (depth, scope) in self.scopes.iter().enumerate().rev() {
            let meant =
                || scope.iter().filter(|named| table.as_ref().is_none_or(|table| *table == named.name));
            let found: Vec<Expr> = meant().filter_map(|named| self.column_in(named.rows, name)).collect();
            match found.as_slice() {
                [] => {}
                [column] => {
                    self.innermost = self.innermost.max(depth + 1);
                    return Ok(column.clone());
                }
                _ => return Err(format!("{name} could be a column of several tables: write TABLE.{name}")),
            }
            if table.is_some() && meant().next().is_some() {
                names.extend(meant().flat_map(|named| self.names(named.rows)));
                break;
            }
            if table.is_none() {
                names.extend(scope.iter().flat_map(|named| self.names(named.rows)));
            }
        }
        if let Some(table) = table.as_ref().filter(|_| names.is_empty()) {
            return Err(format!("there is no table {table} to have a column {name} here"));
        }
        let near = closest(name, names).map(|near| format!("; perhaps {near}")).unwrap_or_default();
        let of = table.map(|table| format!(" of {table}")).unwrap_or_default();
        Err(format!("there is no column {name}{of}{near}"))
    }

    fn column_in(&self, rows: Rows, name: &str) -> Option<Expr> {
        let source = match rows {
            Rows::Each(alias) => {
                let column = EACH_COLUMNS.into_iter().find(|known| known.eq_ignore_ascii_case(name))?;
                return Some(Expr::Sql(SqlExpr::EachColumn(alias, column)));
            }
            Rows::Relation(source) => source,
        };
        let relation = self.schema.relations.get(source.relation)?;
        match relation.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name)) {
            // Policies read with all rights, and the SQL of such a column would not.
            Some(column)
                if relation.columns.get(column).is_some_and(|c| c.computed.as_deref().is_some_and(reads)) =>
            {
                None
            }
            Some(column) => Some(Expr::Column(ColumnValue::whole(ColumnRef { source, column }))),
            None => matches!(relation.row_key, RowKey::Rowid(rowid) if rowid.eq_ignore_ascii_case(name))
                .then_some(Expr::Rowid(source)),
        }
    }

    fn names(&self, rows: Rows) -> Vec<String> {
        match rows {
            Rows::Each(_) => EACH_COLUMNS.map(str::to_owned).to_vec(),
            Rows::Relation(source) => {
                let columns = self.schema.relations.get(source.relation).map(|r| r.columns.as_slice());
                columns.unwrap_or_default().iter().map(|column| column.name.clone()).collect()
            }
        }
    }

    /// A subquery that selects so many values; any number where 0 is wanted.
    fn query(&mut self, query: &ast::Query, wanted: usize) -> Result<Query, String> {
        let is_plain = query.with.is_none()
            && query.fetch.is_none()
            && query.locks.is_empty()
            && query.for_clause.is_none()
            && query.settings.is_none()
            && query.format_clause.is_none()
            && query.pipe_operators.is_empty();
        let select = match &*query.body {
            ast::SetExpr::Select(select) if is_plain => select,
            _ => {
                let what = "a subquery is one SELECT, without WITH, UNION, INTERSECT and EXCEPT";
                return Err(what.to_owned());
            }
        };
        if self.scopes.len() > MAX_DEPTH {
            return Err(format!("subqueries nest deeper than {MAX_DEPTH} levels"));
        }
        self.scopes.push(Vec::new());
        self.names.push(given_names(select));
        let read = self.select(select, query);
        self.names.pop();
        self.scopes.pop();
        let read = read?;
        if wanted > 0 && read.fields.len() != wanted {
            return Err(format!("a subquery here selects one value, not {}", read.fields.len()));
        }
        Ok(read)
    }

    fn select(&mut self, select: &ast::Select, query: &ast::Query) -> Result<Query, String> {
        let is_plain = select.top.is_none()
            && select.into.is_none()
            && select.lateral_views.is_empty()
            && select.named_window.is_empty()
            && select.qualify.is_none()
            && select.prewhere.is_none()
            && select.connect_by.is_empty()
            && select.cluster_by.is_empty()
            && select.distribute_by.is_empty()
            && select.sort_by.is_empty()
            && select.exclude.is_none()
            && matches!(select.distinct, None | Some(ast::Distinct::Distinct | ast::Distinct::All));
        if !is_plain {
            return Err("a subquery has SELECT, FROM, WHERE, GROUP BY, HAVING, ORDER BY and LIMIT".to_owned());
        }
        let mut read =
            Query { distinct: matches!(select.distinct, Some(ast::Distinct::Distinct)), ..Query::default() };
        for tables in &select.from {
            let first = self.table(&tables.relation)?;
            read.from.push(Table { rows: first, left: false, on: None });
            for join in &tables.joins {
                let rows = self.table(&join.relation)?;
                let (left, constraint) = match &join.join_operator {
                    ast::JoinOperator::Join(on) | ast::JoinOperator::Inner(on) => (false, on),
                    ast::JoinOperator::CrossJoin(on) => (false, on),
                    ast::JoinOperator::Left(on) | ast::JoinOperator::LeftOuter(on) => (true, on),
                    _ => return Err("tables are joined by JOIN and LEFT JOIN".to_owned()),
                };
                let on = match constraint {
                    ast::JoinConstraint::On(on) => Some(self.expr(on)?),
                    ast::JoinConstraint::None => None,
                    _ => return Err("tables are joined ON a condition, not USING columns".to_owned()),
                };
                read.from.push(Table { rows, left, on });
            }
        }
        for item in &select.projection {
            match item {
                ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } => {
                    read.fields.push(self.expr(expr)?)
                }
                // For EXISTS, to which it does not matter what is selected.
                ast::SelectItem::Wildcard(_) if select.projection.len() == 1 => {
                    read.fields = vec![literal(Value::Integer(1)), literal(Value::Integer(1))];
                }
                other => return Err(format!("SELECT {other}: name the columns")),
            }
        }
        read.conditions = self.all(&select.selection)?;
        match &select.group_by {
            ast::GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => {
                read.group_by = self.all(exprs)?;
            }
            _ => return Err("GROUP BY names expressions".to_owned()),
        }
        read.having = select.having.as_ref().map(|having| self.expr(having)).transpose()?;
        if let Some(order) = &query.order_by {
            let ast::OrderByKind::Expressions(terms) = &order.kind else {
                return Err("ORDER BY names expressions".to_owned());
            };
            for term in terms {
                let is_descending = matches!(term.options.sort, Some(ast::OrderBySort::Desc));
                if term.options.nulls_first.is_some() || term.with_fill.is_some() {
                    return Err("NULLS FIRST and NULLS LAST are not taken in a policy".to_owned());
                }
                read.order_by.push((self.expr(&term.expr)?, is_descending));
            }
        }
        read.limit = match &query.limit_clause {
            None => None,
            Some(ast::LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by })
                if limit_by.is_empty() =>
            {
                Some(self.expr(limit)?)
            }
            Some(_) => return Err("LIMIT is taken without OFFSET".to_owned()),
        };
        Ok(read)
    }

    /// Adds a table to the innermost scope.
    fn table(&mut self, table: &ast::TableFactor) -> Result<TableRows, String> {
        let ast::TableFactor::Table { name, alias, args, .. } = table else {
            return Err(format!("{table}: a subquery reads tables, views, json_each and json_tree"));
        };
        let [ast::ObjectNamePart::Identifier(own)] = name.0.as_slice() else {
            return Err(format!("{name}: write the table's name alone"));
        };
        let called = alias.as_ref().map_or(&own.value, |alias| &alias.name.value).to_ascii_lowercase();
        self.aliases += 1;
        let number = self.aliases;
        let (rows, read) = match args {
            Some(args) => {
                let name = own.value.to_ascii_lowercase();
                let function = ["json_each", "json_tree"].into_iter().find(|known| *known == name);
                let function = function
                    .ok_or_else(|| format!("there is no table-valued function {name} for policies"))?;
                let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(json))] = args.args.as_slice()
                else {
                    return Err(format!("{function} of one JSON"));
                };
                let json = self.boxed(json)?;
                (Rows::Each(number), TableRows::Each { function, json, alias: number })
            }
            None => {
                let source = Source { relation: self.relation(&own.value)?, alias: Alias::Policy(number) };
                (Rows::Relation(source), TableRows::Relation(source))
            }
        };
        if let Some(scope) = self.scopes.last_mut() {
            scope.push(Named { name: called, rows });
        }
        Ok(read)
    }

    /// A table or view of the database, exposed or not: policies read with the rights of who writes them.
    fn relation(&self, name: &str) -> Result<RelationId, String> {
        let is_stored = |relation: &Relation| relation.kind != RelationKind::Function;
        let relations = || self.schema.relations.iter().enumerate().filter(|(_, r)| is_stored(r));
        let found = relations().find(|(_, relation)| relation.name.eq_ignore_ascii_case(name));
        found.map(|(id, _)| id).ok_or_else(|| {
            let near = closest(name, relations().map(|(_, r)| r.name.clone()));
            let near = near.map(|near| format!("; perhaps {near}")).unwrap_or_default();
            format!("there is no table {name}{near}")
        })
    }
}

/// Whether SQL of the configuration reads tables.
fn reads(sql: &str) -> bool {
    crate::schema::names_in(sql).any(|name| name.is_read_from || name.is("select"))
}

/// The names that a subquery gives to what it selects.
fn given_names(select: &ast::Select) -> Vec<String> {
    let name = |item: &ast::SelectItem| match item {
        ast::SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        _ => None,
    };
    select.projection.iter().filter_map(name).collect()
}

fn is_truth(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Value(value) if matches!(value.value, ast::Value::Boolean(_)))
}

/// Whether SQLite would read an operator behind this as part of it (`a IS NOT NULL + 1`).
fn is_postfix(expr: &ast::Expr) -> bool {
    use ast::Expr as E;
    match expr {
        E::IsTrue(_)
        | E::IsNotTrue(_)
        | E::IsFalse(_)
        | E::IsNotFalse(_)
        | E::IsNull(_)
        | E::IsNotNull(_) => true,
        E::BinaryOp { right, .. } => is_postfix(right),
        _ => false,
    }
}

/// `a LIKE pattern`. SQLite fails on a pattern of more than 50,000 bytes.
fn matches_pattern(operator: &'static str, operand: Box<Expr>, pattern: Box<Expr>) -> Expr {
    if matches!(&*pattern, Expr::Sql(SqlExpr::Literal(_))) {
        return Expr::Sql(SqlExpr::Binary(operator, operand, pattern));
    }
    let length = Expr::Sql(SqlExpr::Function {
        name: "octet_length",
        distinct: false,
        arguments: vec![(*pattern).clone()],
    });
    let is_short = compare(Comparison::Lte, Box::new(length), Box::new(literal(Value::Integer(50_000))));
    let matches = Expr::Sql(SqlExpr::Binary(operator, operand, pattern));
    Expr::Sql(SqlExpr::Case { operand: None, branches: vec![(is_short, matches)], otherwise: None })
}

/// A path into JSON, on which SQLite fails where it is none; with `short` also a name or a number, as arrows take.
fn check_path(path: &Expr, short: bool) -> Result<(), String> {
    let is_plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || "_$.[]#-".contains(c));
    match path {
        Expr::Sql(SqlExpr::Literal(Value::Integer(_))) if short => Ok(()),
        Expr::Sql(SqlExpr::Literal(Value::Text(text))) if short && !text.starts_with('$') => {
            match text.contains('"') {
                false => Ok(()),
                true => Err("a name behind an arrow has no quotes in it".to_owned()),
            }
        }
        Expr::Sql(SqlExpr::Literal(Value::Text(text))) if text.starts_with('$') && is_plain(text) => Ok(()),
        _ => Err("a path is a text that begins with $, of plain names ($.a.b[0])".to_owned()),
    }
}

/// A format that is known, without widths that would fill the memory.
fn check_format(name: &str, format: Option<&Expr>) -> Result<(), String> {
    let wrong =
        || Err(format!("{name}: its format is a text without * and without numbers of more than two digits"));
    let Some(Expr::Sql(SqlExpr::Literal(Value::Text(text)))) = format else { return wrong() };
    let has_long = text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 2);
    if has_long || text.contains('*') { wrong() } else { Ok(()) }
}

fn check_replacement(text: Option<&Expr>) -> Result<(), String> {
    match text {
        Some(Expr::Sql(SqlExpr::Literal(Value::Text(text)))) if text.len() <= 100 => Ok(()),
        _ => Err("replace: what it puts in the place is a text of at most 100 bytes".to_owned()),
    }
}

fn compare(comparison: Comparison, a: Box<Expr>, b: Box<Expr>) -> Expr {
    Expr::Compare(comparison, a, b)
}

/// What is made of JSON, NULL where a value is none: JSON functions fail on such.
fn when_json(json: Expr, made: impl FnOnce(Expr) -> Expr) -> Expr {
    let is_json = Expr::Sql(SqlExpr::Function {
        name: "json_valid",
        distinct: false,
        // 1: JSON text; 8: strictly well-formed JSONB.
        arguments: vec![json.clone(), literal(Value::Integer(9))],
    });
    Expr::Sql(SqlExpr::Case { operand: None, branches: vec![(is_json, made(json))], otherwise: None })
}

fn value_of(value: &ast::Value) -> Result<Expr, String> {
    Ok(literal(match value {
        ast::Value::Number(text, _) => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(integer), _) => Value::Integer(integer),
            (Err(_), Ok(real)) if real.is_finite() => Value::Real(real),
            _ => return Err(format!("{text} is no number")),
        },
        ast::Value::SingleQuotedString(text) => Value::Text(text.clone()),
        ast::Value::Boolean(is) => Value::Integer((*is).into()),
        ast::Value::Null => Value::Null,
        ast::Value::Placeholder(name) => {
            return Err(format!(
                "{name}: a policy has no parameters; current_user_id(), current_role() and current_claim('name') say who asks"
            ));
        }
        other => return Err(format!("{other}: this is not taken in a policy")),
    }))
}

/// The name of a type after CAST, of those that SQLite tells apart.
fn cast_type(data_type: &ast::DataType) -> Result<&'static str, String> {
    let name = data_type.to_string();
    ["TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(&name))
        .ok_or_else(|| format!("CAST AS {name}: TEXT, INTEGER, REAL, NUMERIC and BLOB are taken"))
}

/// What of ours stands for a parameter.
fn own(name: &str, arguments: &[ast::FunctionArg]) -> Result<Expr, String> {
    let text = |argument: &ast::FunctionArg| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Value(value))) => {
            match &value.value {
                ast::Value::SingleQuotedString(text) => Some(text.clone()),
                _ => None,
            }
        }
        _ => None,
    };
    let texts: Vec<String> = arguments.iter().filter_map(text).collect();
    if texts.len() != arguments.len() {
        return Err(format!("{name}: its arguments are texts in single quotes"));
    }
    match (name, texts.as_slice()) {
        ("current_user_id", []) => Ok(Expr::Asked(Asked::Claim("sub".to_owned()))),
        ("current_role", []) => Ok(Expr::Asked(Asked::Role)),
        ("current_claim", [path]) => Ok(Expr::Asked(Asked::Claim(path.clone()))),
        ("now", []) => {
            let arguments = vec![literal(Value::Text("now".to_owned()))];
            sql(SqlExpr::Function { name: "datetime", distinct: false, arguments })
        }
        ("request_value", [kind]) if kind == "request.method" || kind == "request.path" => {
            Ok(Expr::Asked(Asked::Request { kind: kind.clone(), name: String::new() }))
        }
        ("request_value", [kind, path]) if kind == "request.jwt.claims" => {
            Ok(Expr::Asked(Asked::Claim(path.clone())))
        }
        ("request_value", [kind, name]) if kind == "request.headers" || kind == "request.cookies" => {
            Ok(Expr::Asked(Asked::Request { kind: kind.clone(), name: name.clone() }))
        }
        ("request_value", _) => Err("request_value: request.jwt.claims, request.headers and request.cookies with a name, request.method or request.path".to_owned()),
        _ => Err(format!("{name} with {} arguments", arguments.len())),
    }
}

/// `now` in a function of dates is another time for each statement, and the time of this machine's zone another for each host.
fn check_date(name: &str, arguments: &[Expr]) -> Result<(), String> {
    for argument in arguments {
        if let Expr::Sql(SqlExpr::Literal(Value::Text(text))) = argument {
            let word = text.trim().to_ascii_lowercase();
            if ["now", "localtime", "utc"].contains(&word.as_str()) {
                return Err(format!(
                    "{name} with '{word}' gives another result each time; now() is the time in UTC"
                ));
            }
        }
    }
    Ok(())
}
