//! The grammar of `order=`: `a.desc.nullslast,b->>c,embed(d),cost.sum().desc,embed(count()),body.rank().desc`.
//!
//! <https://docs.postgrest.org/en/stable/references/api/tables_views.html#ordering>

use crate::error::Error;
use crate::field::Field;
use crate::grammar::Cursor;
use crate::select::Aggregate;

/// One term of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderTerm {
    /// The to-one embed whose column it is; none for the relation's own.
    pub embed: Option<String>,
    /// The column; for `count()` nameless.
    pub field: Field,
    /// What is made of the column.
    pub function: Option<OrderFunction>,
    /// Which way.
    pub direction: Direction,
    /// Where nulls go.
    pub nulls: Nulls,
}

/// What is made of a column to sort by. Beyond PostgREST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderFunction {
    /// An aggregate, of the rows of a group or of an embed.
    Aggregate(Aggregate),
    /// How well the row fits the full-text filter on the column; more is better.
    Rank,
}

/// Which way rows are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// Where nulls go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    /// Before every value.
    First,
    /// After every value.
    Last,
}

/// Parses the value of `order`. As in PostgreSQL, nulls count as larger than every value.
///
/// # Errors
/// PGRST100 where it does not fit the grammar.
pub fn parse_order(text: &str) -> Result<Vec<OrderTerm>, Error> {
    let mut cursor = Cursor::new("order", text);
    if cursor.is_empty() {
        return Ok(Vec::new());
    }
    let mut terms = vec![term(&mut cursor)?];
    while cursor.take(",") {
        terms.push(term(&mut cursor)?);
    }
    cursor.end()?;
    Ok(terms)
}

const RESERVED: &[char] = &[',', '.', '(', ')', ':', '"', '*'];

fn term(cursor: &mut Cursor<'_>) -> Result<OrderTerm, Error> {
    let (mut field, mut function) = value(cursor)?;
    let mut embed = None;
    if function.is_none() && field.path.is_empty() && cursor.take("(") {
        embed = Some(field.name);
        (field, function) = value(cursor)?;
        cursor.expect(")")?;
    }
    let mut direction = None;
    let mut nulls = None;
    while cursor.take(".") {
        match cursor.name(RESERVED)?.as_str() {
            "asc" if direction.is_none() && nulls.is_none() => direction = Some(Direction::Ascending),
            "desc" if direction.is_none() && nulls.is_none() => direction = Some(Direction::Descending),
            "nullsfirst" if nulls.is_none() => nulls = Some(Nulls::First),
            "nullslast" if nulls.is_none() => nulls = Some(Nulls::Last),
            _ => return Err(cursor.error("asc, desc, nullsfirst, nullslast, \",\" or end of input")),
        }
    }
    let direction = direction.unwrap_or(Direction::Ascending);
    let nulls = nulls.unwrap_or(match direction {
        Direction::Ascending => Nulls::Last,
        Direction::Descending => Nulls::First,
    });
    Ok(OrderTerm { embed, field, function, direction, nulls })
}

/// `a->>b`, `a.sum()`, `count()`
fn value(cursor: &mut Cursor<'_>) -> Result<(Field, Option<OrderFunction>), Error> {
    let field = Field::parse(cursor, RESERVED)?;
    if field.path.is_empty() && field.name == "count" && cursor.take("()") {
        return Ok((Field::default(), Some(OrderFunction::Aggregate(Aggregate::Count))));
    }
    let place = cursor.place();
    if cursor.take(".") {
        let name = cursor.name(RESERVED)?;
        if cursor.take("()") {
            let function = match name.as_str() {
                "rank" => Some(OrderFunction::Rank),
                name => Aggregate::of(name).map(OrderFunction::Aggregate),
            };
            return match function {
                Some(function) => Ok((field, Some(function))),
                None => Err(cursor.error("sum(), avg(), count(), max(), min() or rank()")),
            };
        }
        cursor.go_back(place);
    }
    Ok((field, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let shown = match parse_order(text) {
            Ok(terms) => terms
                .iter()
                .map(|t| {
                    let path: String = t.field.path.iter().map(|s| format!(" {s:?}")).collect();
                    let function = t.function.map(|f| format!(" {f:?}")).unwrap_or_default();
                    format!("{:?} {}{path}{function} {:?} {:?}", t.embed, t.field.name, t.direction, t.nulls)
                })
                .collect::<Vec<_>>()
                .join(", "),
            Err(error) => error.problem().message,
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn terms() {
        check(
            "a,b.desc,c.asc.nullsfirst,d.nullsfirst,\"e.f\".desc.nullslast",
            expect![
                "None a Ascending Last, None b Descending First, None c Ascending First, None d Ascending First, None e.f Descending Last"
            ],
        );
        check(
            "a->b->>0.desc,rel(x->>y).nullslast",
            expect![[
                r#"None a JsonStep { as_text: false, key: Member("b") } JsonStep { as_text: true, key: Element(0) } Descending First, Some("rel") x JsonStep { as_text: true, key: Member("y") } Ascending Last"#
            ]],
        );
        check(
            "count().desc,a->>b.sum(),rel(count()),rel(c.max()).desc,d.rank().desc,count.desc",
            expect![[
                r#"None  Aggregate(Count) Descending First, None a JsonStep { as_text: true, key: Member("b") } Aggregate(Sum) Ascending Last, Some("rel")  Aggregate(Count) Ascending Last, Some("rel") c Aggregate(Max) Descending First, None d Rank Descending First, None count Descending First"#
            ]],
        );
        check("", expect![[r#""#]]);
    }

    #[test]
    fn mistakes() {
        check("a.up", expect![[r#""failed to parse order (a.up)" (line 1, column 5)"#]]);
        check("a.desc.asc", expect![[r#""failed to parse order (a.desc.asc)" (line 1, column 11)"#]]);
        check("a,", expect![[r#""failed to parse order (a,)" (line 1, column 3)"#]]);
        check("a.median()", expect![[r#""failed to parse order (a.median())" (line 1, column 11)"#]]);
        check("rel(a", expect![[r#""failed to parse order (rel(a)" (line 1, column 6)"#]]);
    }
}
