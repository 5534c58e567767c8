//! The grammar of `order=`: `a.desc.nullslast,b->>c,embed(d)`.
//!
//! <https://docs.postgrest.org/en/stable/references/api/tables_views.html#ordering>

use crate::error::Error;
use crate::field::Field;
use crate::grammar::Cursor;

/// One term of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderTerm {
    /// The to-one embed whose column it is; none for the relation's own.
    pub embed: Option<String>,
    /// The column.
    pub field: Field,
    /// Which way.
    pub direction: Direction,
    /// Where nulls go.
    pub nulls: Nulls,
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
    let mut field = Field::parse(cursor, RESERVED)?;
    let mut embed = None;
    if field.path.is_empty() && cursor.take("(") {
        embed = Some(field.name);
        field = Field::parse(cursor, RESERVED)?;
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
    Ok(OrderTerm { embed, field, direction, nulls })
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
                    format!("{:?} {}{path} {:?} {:?}", t.embed, t.field.name, t.direction, t.nulls)
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
        check("", expect![[r#""#]]);
    }

    #[test]
    fn mistakes() {
        check("a.up", expect![[r#""failed to parse order (a.up)" (line 1, column 5)"#]]);
        check("a.desc.asc", expect![[r#""failed to parse order (a.desc.asc)" (line 1, column 11)"#]]);
        check("a,", expect![[r#""failed to parse order (a,)" (line 1, column 3)"#]]);
        check("rel(a", expect![[r#""failed to parse order (rel(a)" (line 1, column 6)"#]]);
    }
}
