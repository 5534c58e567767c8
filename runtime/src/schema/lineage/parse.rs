//! From the text of a view to its [`Query`]. The only file that knows the parser.
//!
//! Never fails loudly: a text that the parser cannot follow has no query. SQLite accepted it before it came here.

use sqlparser::ast::{
    self, Expr, Ident, JoinConstraint, JoinOperator, ObjectName, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, SetOperator, TableFactor, TableWithJoins,
};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{IsOptional, Parser};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::query::{Cte, Equal, Item, Join, Query, Rows, Select, Source};

/// Longer texts are not read: the parser's trees are as deep as a chain of operators is long, and are dropped recursively.
const MAX_TOKENS: usize = 8_000;

/// The parser copies what stands before each of these, so that a chain of them takes its length squared.
const MAX_COPIES: usize = 100;

/// How deep the parser goes: nine subselects in each other, and half a megabyte of stack. Its own limit of 50 takes more than
/// a component has.
const MAX_DEPTH: usize = 20;

/// The query of `CREATE VIEW name (columns) AS query`.
pub(super) fn view_query(sql: &str) -> Option<Query> {
    let dialect = SQLiteDialect {};
    let tokens = Tokenizer::new(&dialect, sql).tokenize_with_location().ok()?;
    if tokens.len() > MAX_TOKENS || tokens.iter().filter(|t| is_copied(t)).count() > MAX_COPIES {
        return None;
    }
    let mut parser = Parser::new(&dialect).with_recursion_limit(MAX_DEPTH).with_tokens_with_locations(tokens);
    parser.expect_keyword(Keyword::CREATE).ok()?;
    parser.expect_keyword(Keyword::VIEW).ok()?;
    parser.parse_object_name(false).ok()?;
    parser.parse_parenthesized_column_list(IsOptional::Optional, false).ok()?;
    parser.expect_keyword(Keyword::AS).ok()?;
    let parsed = parser.parse_query().ok()?;
    matches!(parser.next_token().token, Token::EOF | Token::SemiColon).then_some(())?;
    query(*parsed)
}

fn is_copied(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Word(w) if matches!(w.keyword, Keyword::GLOB | Keyword::MATCH | Keyword::REGEXP))
}

fn query(parsed: ast::Query) -> Option<Query> {
    let ctes =
        parsed.with.map(|with| with.cte_tables.into_iter().map(cte).collect()).unwrap_or(Some(vec![]))?;
    Some(Query { ctes, selects: selects(*parsed.body)? })
}

fn cte(parsed: ast::Cte) -> Option<Cte> {
    Some(Cte {
        name: lower(parsed.alias.name),
        columns: parsed.alias.columns.into_iter().map(|column| lower(column.name)).collect(),
        query: query(*parsed.query)?,
    })
}

/// The SELECTs of a compound, whose tree leans to the left and can be long.
fn selects(mut body: SetExpr) -> Option<Vec<Select>> {
    let mut found = Vec::new();
    while let SetExpr::SetOperation { left, op, right, .. } = body {
        if op == SetOperator::Union {
            // INTERSECT, which the parser binds closer than SQLite does.
            found.push(select(leftmost(*right))?);
        }
        body = *left;
    }
    found.push(select(body)?);
    found.reverse();
    Some(found)
}

fn leftmost(mut body: SetExpr) -> SetExpr {
    while let SetExpr::SetOperation { left, .. } = body {
        body = *left;
    }
    body
}

fn select(body: SetExpr) -> Option<Select> {
    match body {
        SetExpr::Select(parsed) => Some(Select {
            items: parsed.projection.into_iter().map(item).collect::<Option<_>>()?,
            sources: sources(parsed.from)?,
        }),
        SetExpr::Values(values) => {
            let columns = values.rows.first().map_or(0, |row| row.content.len());
            let items = (1..=columns).map(|at| Item::Expression { name: format!("column{at}") }).collect();
            Some(Select { items, sources: Vec::new() })
        }
        _ => None,
    }
}

fn item(parsed: SelectItem) -> Option<Item> {
    match parsed {
        SelectItem::Wildcard(_) => Some(Item::All),
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            name.0.last()?.as_ident().cloned().map(|table| Item::AllOf(lower(table)))
        }
        SelectItem::UnnamedExpr(expression) => Some(expression_item(expression, None)),
        SelectItem::ExprWithAlias { expr, alias } => Some(expression_item(expr, Some(lower(alias)))),
        SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) => None,
    }
}

fn expression_item(mut expression: Expr, alias: Option<String>) -> Item {
    while let Expr::Nested(inner) = expression {
        expression = *inner;
    }
    let (table, column) = match expression {
        Expr::Identifier(column) => (None, Some(column)),
        Expr::CompoundIdentifier(mut path) => {
            let column = path.pop();
            (path.pop().map(lower), column)
        }
        _ => (None, None),
    };
    match column.map(lower) {
        Some(column) => Item::Column { table, name: alias.unwrap_or_else(|| column.clone()), column },
        None => Item::Expression { name: alias.unwrap_or_default() },
    }
}

fn sources(from: Vec<TableWithJoins>) -> Option<Vec<Source>> {
    let mut found = Vec::new();
    for table in from {
        found.push(source(table.relation, Join::Left, Equal::None)?);
        for join in table.joins {
            let (side, constraint) = sides(join.join_operator)?;
            found.push(source(join.relation, side, equal(constraint)?)?);
        }
    }
    Some(found)
}

fn sides(operator: JoinOperator) -> Option<(Join, JoinConstraint)> {
    match operator {
        JoinOperator::Join(c)
        | JoinOperator::Inner(c)
        | JoinOperator::Left(c)
        | JoinOperator::LeftOuter(c)
        | JoinOperator::CrossJoin(c) => Some((Join::Left, c)),
        JoinOperator::Right(c) | JoinOperator::RightOuter(c) => Some((Join::Right, c)),
        JoinOperator::FullOuter(c) => Some((Join::Neither, c)),
        // No other is SQLite's.
        _ => None,
    }
}

fn equal(constraint: JoinConstraint) -> Option<Equal> {
    match constraint {
        JoinConstraint::On(_) | JoinConstraint::None => Some(Equal::None),
        JoinConstraint::Natural => Some(Equal::Natural),
        JoinConstraint::Using(columns) => {
            columns.into_iter().map(last_name).collect::<Option<_>>().map(Equal::Using)
        }
    }
}

fn source(factor: TableFactor, join: Join, equal: Equal) -> Option<Source> {
    let (rows, alias) = match factor {
        TableFactor::Table { name, alias, .. } => {
            let foreign = name.0.len() > 1
                && !name.0.first()?.as_ident().is_some_and(|s| s.value.eq_ignore_ascii_case("main"));
            let name = last_name(name)?;
            let alias = alias.map_or_else(|| name.clone(), |alias| lower(alias.name));
            (if foreign { Rows::Unknown } else { Rows::Of(name) }, Some(alias))
        }
        TableFactor::Derived { subquery, alias, .. } => {
            (Rows::Query(query(*subquery)?), alias.map(|alias| lower(alias.name)))
        }
        TableFactor::NestedJoin { table_with_joins, alias } => {
            (Rows::Joined(sources(vec![*table_with_joins])?), alias.map(|alias| lower(alias.name)))
        }
        _ => return None,
    };
    Some(Source { join, equal, rows, alias })
}

fn last_name(mut name: ObjectName) -> Option<String> {
    name.0.pop()?.as_ident().cloned().map(lower)
}

fn lower(name: Ident) -> String {
    name.value.to_ascii_lowercase()
}
