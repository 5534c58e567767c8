//! The text of a policy as the expression that filters become, too. Names are resolved against the schema: a column that
//! is not there, a function that is not on the list, or anything but one expression is an error.

use super::functions::{FUNCTIONS, Kind, NOT_DETERMINISTIC};
use super::subquery::{Read, Select};
use super::syntax::{self, MAX_DEPTH, Node, Term};
use crate::filter::Comparison;
use crate::plan::{Alias, Asked, ColumnRef, ColumnValue, Expr, Query, Source, SqlExpr, Table, TableRows};
use crate::schema::{Relation, RelationId, RelationKind, RowKey, SchemaCache};
use crate::similar::closest;
use crate::value::Value;

/// How long the text of an expression may be.
const MOST_BYTES: usize = 16 << 10;

/// How many parts an expression may become: some that are written once stand in it twice.
const MOST_PARTS: usize = 20_000;

/// The functions of ours, which become bound parameters.
const OWN: [&str; 5] = ["current_user_id", "current_role", "current_claim", "request_value", "now"];

/// Reads an expression about a row of a relation.
///
/// # Errors
/// One sentence on what is wrong with it.
pub(super) fn expression(schema: &SchemaCache, relation: RelationId, text: &str) -> Result<Expr, String> {
    if text.len() > MOST_BYTES {
        return Err(format!("it is longer than {MOST_BYTES} bytes"));
    }
    if text.contains('\0') {
        return Err("it has a NUL in it".to_owned());
    }
    let parsed = syntax::parse(text)?;
    let name = schema.relations.get(relation).map(|r| r.name.to_ascii_lowercase()).unwrap_or_default();
    let row = Named { name, rows: Rows::Relation(Source { relation, alias: Alias::Row }) };
    let mut reader = Reader {
        schema,
        scopes: vec![vec![row]],
        aliases: 0,
        depth: 0,
        names: Vec::new(),
        innermost: 0,
        parts: 0,
    };
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
    /// How many parts stand there another time.
    parts: usize,
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
    fn boxed(&mut self, node: &Node<'_>) -> Result<Box<Expr>, String> {
        self.expr(node).map(Box::new)
    }

    fn all<'e, 't: 'e>(
        &mut self,
        nodes: impl IntoIterator<Item = &'e Node<'t>>,
    ) -> Result<Vec<Expr>, String> {
        nodes.into_iter().map(|node| self.expr(node)).collect()
    }

    /// A part for another place.
    fn again(&mut self, expr: &Expr) -> Result<Expr, String> {
        let mut copy = expr.clone();
        copy.each(&mut |_| self.parts += 1);
        match self.parts > MOST_PARTS {
            true => {
                Err("it becomes too long: BETWEEN, LIKE, -> and JSON functions inside one another".to_owned())
            }
            false => Ok(copy),
        }
    }

    fn expr(&mut self, node: &Node<'_>) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > 2 * MAX_DEPTH {
            return Err(format!("it nests deeper than {} levels", 2 * MAX_DEPTH));
        }
        let read = self.one(node);
        self.depth -= 1;
        read
    }

    fn one(&mut self, node: &Node<'_>) -> Result<Expr, String> {
        match &node.term {
            Term::Name(names) => match names.as_slice() {
                [name] => self.column(None, name),
                [table, name] => self.column(Some(table), name),
                _ => Err(format!("{}: a column is named by itself or with its table", node.text)),
            },
            Term::Value(value) => Ok(literal(value.clone())),
            Term::Truth(is) => {
                // SQLite takes such a word for the column, where there is one.
                if self.has_column(if *is { "true" } else { "false" }) {
                    return Err(format!("{} is also a column: write it in quotes, or 1 or 0", node.text));
                }
                Ok(literal(Value::Integer((*is).into())))
            }
            Term::Row => {
                Err("rows of values ((a, b) = …) are not taken: compare the values one by one".to_owned())
            }
            Term::Not(inner) => Ok(Expr::Not(self.boxed(inner)?)),
            Term::And(terms) => Ok(Expr::And(self.all(terms)?)),
            Term::Or(terms) => Ok(Expr::Or(self.all(terms)?)),
            Term::Is(is, inner) => Ok(Expr::Is(*is, self.boxed(inner)?)),
            // Behind SQLite's IS they ask for truth, and not for 1 or 0.
            Term::Binary("IS" | "IS NOT", _, right) if is_truth(right) => {
                Err(format!("{}: write IS TRUE, IS NOT TRUE, IS FALSE or IS NOT FALSE", node.text))
            }
            Term::Binary(operator, left, right) => self.binary(operator, left, right),
            Term::Unary(operator, operand) => self.unary(operator, operand),
            Term::Between(operand, low, high) => {
                let operand = self.boxed(operand)?;
                let again = Box::new(self.again(&operand)?);
                let low = compare(Comparison::Gte, again, self.boxed(low)?);
                let high = compare(Comparison::Lte, operand, self.boxed(high)?);
                Ok(Expr::And(vec![low, high]))
            }
            Term::In(operand, list) => sql(SqlExpr::In(self.boxed(operand)?, self.all(list)?)),
            Term::InQuery(operand, query) => {
                let operand = self.boxed(operand)?;
                sql(SqlExpr::InQuery(operand, Box::new(self.query(query, 1)?)))
            }
            Term::Cast(operand, name) => sql(SqlExpr::Cast(self.boxed(operand)?, cast_type(name)?)),
            Term::Collate(operand, name) => {
                let known = ["BINARY", "NOCASE", "RTRIM"].into_iter().find(|k| k.eq_ignore_ascii_case(name));
                let known = known.ok_or_else(|| format!("there is no collation {name}"))?;
                sql(SqlExpr::Collate(self.boxed(operand)?, known))
            }
            Term::Case { operand, branches, otherwise } => {
                let operand = operand.as_ref().map(|operand| self.boxed(operand)).transpose()?;
                let mut read = Vec::with_capacity(branches.len());
                for (condition, result) in branches {
                    read.push((self.expr(condition)?, self.expr(result)?));
                }
                let otherwise = otherwise.as_ref().map(|otherwise| self.boxed(otherwise)).transpose()?;
                sql(SqlExpr::Case { operand, branches: read, otherwise })
            }
            Term::Exists(query) => sql(SqlExpr::Exists(Box::new(self.query(query, 0)?))),
            Term::Query(query) => sql(SqlExpr::Query(Box::new(self.query(query, 1)?))),
            Term::Call { name, distinct, arguments } => {
                self.call(node.text, name, *distinct, arguments.as_deref())
            }
        }
    }

    fn binary(&mut self, operator: &'static str, left: &Node<'_>, right: &Node<'_>) -> Result<Expr, String> {
        let (a, b) = (self.boxed(left)?, self.boxed(right)?);
        let comparison = match operator {
            "=" => Comparison::Eq,
            "<>" => Comparison::Neq,
            ">" => Comparison::Gt,
            ">=" => Comparison::Gte,
            "<" => Comparison::Lt,
            "<=" => Comparison::Lte,
            "LIKE" | "GLOB" => return self.matches_pattern(operator, a, b),
            "->" | "->>" => {
                check_path(&b, true)?;
                return self.when_json(*a, |json| Expr::Sql(SqlExpr::Binary(operator, Box::new(json), b)));
            }
            "REGEXP" | "MATCH" => {
                return Err(format!("{operator}: not every host has it; LIKE and GLOB are taken"));
            }
            _ => return sql(SqlExpr::Binary(operator, a, b)),
        };
        Ok(compare(comparison, a, b))
    }

    fn unary(&mut self, operator: &'static str, operand: &Node<'_>) -> Result<Expr, String> {
        let operand = self.boxed(operand)?;
        match (operator, &*operand) {
            ("-", Expr::Sql(SqlExpr::Literal(Value::Integer(number)))) if *number != i64::MIN => {
                Ok(literal(Value::Integer(-number)))
            }
            _ => sql(SqlExpr::Unary(operator, operand)),
        }
    }

    /// A call, as it is written; `arguments` is None for `*`.
    fn call(
        &mut self,
        written: &str,
        name: &str,
        distinct: bool,
        arguments: Option<&[Node<'_>]>,
    ) -> Result<Expr, String> {
        if NOT_DETERMINISTIC.contains(&name) {
            let instead = if name.starts_with("current_") { "; now() is the time in UTC" } else { "" };
            return Err(format!("{name} gives another result each time{instead}"));
        }
        let is_inside = self.scopes.len() > 1;
        let Some(given) = arguments else {
            return match name {
                "count" if is_inside => {
                    sql(SqlExpr::Function { name: "count", distinct: false, arguments: Vec::new() })
                }
                _ => Err(format!("{written}: this is not taken in a policy")),
            };
        };
        if OWN.contains(&name) {
            return if distinct {
                Err(format!("{name}(DISTINCT …) is for aggregates"))
            } else {
                own(name, given)
            };
        }
        // Which query's columns are inside, an aggregate goes by.
        let before = std::mem::take(&mut self.innermost);
        let arguments = self.all(given)?;
        let known = FUNCTIONS.iter().find(|known| known.name == name).ok_or_else(|| {
            let names = FUNCTIONS.iter().map(|known| known.name).chain(OWN).map(str::to_owned);
            let near = closest(name, names).map(|near| format!("; perhaps {near}")).unwrap_or_default();
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
            Kind::Date => check_date(name, &arguments)?,
            Kind::Format => check_format(name, arguments.first())?,
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
        self.when_json(json, |json| {
            let arguments = std::iter::once(json).chain(rest).collect();
            Expr::Sql(SqlExpr::Function { name, distinct: false, arguments })
        })
    }

    /// `a LIKE pattern`. SQLite fails on a pattern of more than 50,000 bytes.
    fn matches_pattern(
        &mut self,
        operator: &'static str,
        operand: Box<Expr>,
        pattern: Box<Expr>,
    ) -> Result<Expr, String> {
        if matches!(&*pattern, Expr::Sql(SqlExpr::Literal(_))) {
            return sql(SqlExpr::Binary(operator, operand, pattern));
        }
        let arguments = vec![self.again(&pattern)?];
        let length = Expr::Sql(SqlExpr::Function { name: "octet_length", distinct: false, arguments });
        let is_short = compare(Comparison::Lte, Box::new(length), Box::new(literal(Value::Integer(50_000))));
        let matches = Expr::Sql(SqlExpr::Binary(operator, operand, pattern));
        sql(SqlExpr::Case { operand: None, branches: vec![(is_short, matches)], otherwise: None })
    }

    /// What is made of JSON, NULL where a value is none: JSON functions fail on such.
    fn when_json(&mut self, json: Expr, made: impl FnOnce(Expr) -> Expr) -> Result<Expr, String> {
        let is_json = Expr::Sql(SqlExpr::Function {
            name: "json_valid",
            distinct: false,
            // 1: JSON text; 8: strictly well-formed JSONB.
            arguments: vec![self.again(&json)?, literal(Value::Integer(9))],
        });
        sql(SqlExpr::Case { operand: None, branches: vec![(is_json, made(json))], otherwise: None })
    }

    /// Whether a column has this name, of any table around.
    fn has_column(&self, name: &str) -> bool {
        self.scopes.iter().flatten().any(|named| self.column_in(named.rows, name).is_some())
    }

    /// Whether a table may have something of this name that we know nothing of, and SQLite does.
    fn may_have(&self, rows: Rows, name: &str) -> bool {
        let is = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        match rows {
            Rows::Each(_) => is(&["json", "root", "rowid", "_rowid_", "oid"]),
            Rows::Relation(source) => self.schema.relations.get(source.relation).is_none_or(|relation| {
                is(&["rowid", "_rowid_", "oid"])
                    // Its hidden columns have any names.
                    || relation.kind == RelationKind::Virtual
                    || relation.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name))
            }),
        }
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
            // Further out it is another's only if it is not one of these, of which we may know nothing.
            let hides = |named: &&Named| self.may_have(named.rows, name);
            if table.is_none()
                && depth > 0
                && let Some(named) = scope.iter().find(hides)
            {
                return Err(format!("{name} could be of {}: write TABLE.{name}", named.name));
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
    fn query(&mut self, select: &Select<'_>, wanted: usize) -> Result<Query, String> {
        if self.scopes.len() > MAX_DEPTH {
            return Err(format!("subqueries nest deeper than {MAX_DEPTH} levels"));
        }
        self.scopes.push(Vec::new());
        self.names.push(select.fields.iter().filter_map(|(_, name)| name.clone()).collect());
        let read = self.select(select);
        self.names.pop();
        self.scopes.pop();
        let read = read?;
        if wanted > 0 && read.fields.len() != wanted {
            return Err(format!("a subquery here selects one value, not {}", read.fields.len()));
        }
        Ok(read)
    }

    fn select(&mut self, select: &Select<'_>) -> Result<Query, String> {
        let mut query = Query { distinct: select.distinct, ..Query::default() };
        for read in &select.from {
            let rows = self.table(read)?;
            query.from.push(Table { rows, left: read.left, on: None });
        }
        // A name there may be of a table that is joined later.
        for (table, read) in query.from.iter_mut().zip(&select.from) {
            table.on = read.on.as_ref().map(|on| self.expr(on)).transpose()?;
        }
        for (field, _) in &select.fields {
            match field {
                Some(field) => query.fields.push(self.expr(field)?),
                // For EXISTS, to which it does not matter what is selected.
                None if select.fields.len() == 1 => {
                    query.fields = vec![literal(Value::Integer(1)), literal(Value::Integer(1))];
                }
                None => return Err("SELECT *: name the columns".to_owned()),
            }
        }
        query.conditions = self.all(&select.condition)?;
        query.group_by = self.all(&select.group_by)?;
        let by_place = || Err("GROUP BY and ORDER BY name what they go by, not its place".to_owned());
        if query.group_by.iter().any(is_place) {
            return by_place();
        }
        query.having = select.having.as_ref().map(|having| self.expr(having)).transpose()?;
        for (by, is_descending) in &select.order_by {
            let by = self.expr(by)?;
            if is_place(&by) {
                return by_place();
            }
            query.order_by.push((by, *is_descending));
        }
        query.limit = select.limit.as_ref().map(|limit| self.expr(limit)).transpose()?;
        Ok(query)
    }

    /// Adds a table to the innermost scope.
    fn table(&mut self, read: &Read<'_>) -> Result<TableRows, String> {
        let called = read.alias.as_ref().unwrap_or(&read.name).to_ascii_lowercase();
        self.aliases += 1;
        let number = self.aliases;
        let (rows, table) = match &read.arguments {
            Some(arguments) => {
                let name = read.name.to_ascii_lowercase();
                let function = ["json_each", "json_tree"].into_iter().find(|known| *known == name);
                let function = function
                    .ok_or_else(|| format!("there is no table-valued function {name} for policies"))?;
                let [json] = arguments.as_slice() else {
                    return Err(format!("{function} of one JSON"));
                };
                let json = self.boxed(json)?;
                // It is written twice: whether it is JSON, and what is in it.
                self.again(&json)?;
                (Rows::Each(number), TableRows::Each { function, json, alias: number })
            }
            None => {
                let source = Source { relation: self.relation(&read.name)?, alias: Alias::Policy(number) };
                (Rows::Relation(source), TableRows::Relation(source))
            }
        };
        if let Some(scope) = self.scopes.last_mut() {
            scope.push(Named { name: called, rows });
        }
        Ok(table)
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

/// TRUE or FALSE, whatever its collation.
fn is_truth(node: &Node<'_>) -> bool {
    match &node.term {
        Term::Truth(_) => true,
        Term::Collate(inner, _) => is_truth(inner),
        _ => false,
    }
}

/// Whether SQLite takes it for the place of a field, behind GROUP BY and ORDER BY.
fn is_place(expr: &Expr) -> bool {
    match expr {
        Expr::Sql(SqlExpr::Literal(Value::Integer(_))) => true,
        Expr::Sql(SqlExpr::Collate(inner, _) | SqlExpr::Unary(_, inner)) => is_place(inner),
        _ => false,
    }
}

/// The name of a type after CAST, of those that SQLite tells apart.
fn cast_type(name: &str) -> Result<&'static str, String> {
    ["TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(name))
        .ok_or_else(|| format!("CAST AS {name}: TEXT, INTEGER, REAL, NUMERIC and BLOB are taken"))
}

/// What of ours stands for a parameter.
fn own(name: &str, arguments: &[Node<'_>]) -> Result<Expr, String> {
    let text = |argument: &Node<'_>| match &argument.term {
        Term::Value(Value::Text(text)) => Some(text.clone()),
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
