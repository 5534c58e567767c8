//! The grammar of `select=` and of `columns=`.
//!
//! <https://docs.postgrest.org/en/stable/references/api/resource_embedding.html>

use crate::error::Error;
use crate::grammar::Cursor;

/// One item between the commas of `select`.
#[derive(Clone, Debug, PartialEq)]
pub enum SelectItem {
    /// `*`: every column.
    Star,
    /// `alias:name`
    Column {
        /// The column.
        name: String,
        /// The name it gets in the answer.
        alias: Option<String>,
    },
    /// `alias:target!hint!inner(…)`
    Embed(Embed),
}

/// A relation embedded into the rows of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Embed {
    /// A relation, a foreign key's name or its column.
    pub target: String,
    /// The name it gets in the answer.
    pub alias: Option<String>,
    /// What tells one relationship from another.
    pub hint: Option<String>,
    /// Whether rows without a match are left out.
    pub join: Join,
    /// What is selected of it.
    pub select: Vec<SelectItem>,
}

/// Whether rows without a match are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// They stay, with null or `[]`.
    Left,
    /// They are left out.
    Inner,
}

const RESERVED: &[char] = &[',', '(', ')', ':', '!', '.', '"', '*'];

/// Parses the value of `select`; the empty text means every column.
///
/// # Errors
/// PGRST100 where it does not fit the grammar.
pub fn parse_select(text: &str) -> Result<Vec<SelectItem>, Error> {
    let mut cursor = Cursor::new("select parameter", text);
    if cursor.is_empty() {
        return Ok(vec![SelectItem::Star]);
    }
    let items = items(&mut cursor, 0)?;
    cursor.end()?;
    Ok(items)
}

fn items(cursor: &mut Cursor<'_>, depth: usize) -> Result<Vec<SelectItem>, Error> {
    cursor.check_depth(depth)?;
    let mut items = vec![item(cursor, depth)?];
    while cursor.take(",") {
        items.push(item(cursor, depth)?);
    }
    Ok(items)
}

fn item(cursor: &mut Cursor<'_>, depth: usize) -> Result<SelectItem, Error> {
    cursor.skip_spaces();
    if cursor.take("*") {
        return Ok(SelectItem::Star);
    }
    let mut name = cursor.name(RESERVED)?;
    let mut alias = None;
    if !cursor.rest().starts_with("::") && cursor.take(":") {
        alias = Some(name);
        name = cursor.name(RESERVED)?;
    }
    let mut hint = None;
    let mut join = Join::Left;
    while cursor.take("!") {
        match cursor.name(RESERVED)?.as_str() {
            "inner" => join = Join::Inner,
            "left" => join = Join::Left,
            other if hint.is_none() => hint = Some(other.to_owned()),
            _ => return Err(cursor.error("\"(\"")),
        }
    }
    if cursor.take("(") {
        cursor.skip_spaces();
        let select = if cursor.rest().starts_with(')') { Vec::new() } else { items(cursor, depth + 1)? };
        cursor.expect(")")?;
        cursor.skip_spaces();
        return Ok(SelectItem::Embed(Embed { target: name, alias, hint, join, select }));
    }
    if hint.is_some() || join == Join::Inner {
        return Err(cursor.error("\"(\""));
    }
    Ok(SelectItem::Column { name, alias })
}

/// Parses the value of `columns`.
///
/// # Errors
/// PGRST100 where it does not fit the grammar.
pub fn parse_columns(text: &str) -> Result<Vec<String>, Error> {
    let mut cursor = Cursor::new("columns parameter", text);
    let mut columns = vec![cursor.name(RESERVED)?];
    while cursor.take(",") {
        columns.push(cursor.name(RESERVED)?);
    }
    cursor.end()?;
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let shown = match parse_select(text) {
            Ok(items) => show(&items),
            Err(error) => {
                let problem = error.problem();
                format!("{} {} {}", problem.code, problem.message, problem.details)
            }
        };
        expected.assert_eq(&shown);
    }

    fn show(items: &[SelectItem]) -> String {
        let shown: Vec<String> = items
            .iter()
            .map(|item| match item {
                SelectItem::Star => "*".to_owned(),
                SelectItem::Column { name, alias } => format!("{name:?} as {alias:?}"),
                SelectItem::Embed(e) => format!(
                    "{:?} as {:?} by {:?} {:?} [{}]",
                    e.target,
                    e.alias,
                    e.hint,
                    e.join,
                    show(&e.select)
                ),
            })
            .collect();
        shown.join(" ; ")
    }

    #[test]
    fn columns_and_renames() {
        check("", expect!["*"]);
        check("a,b:c,*", expect![[r#""a" as None ; "c" as Some("b") ; *"#]]);
        check(
            "\"a.b\",x: \"with \\\" quote\" , Order Details,field-with_sep",
            expect![[
                r#""a.b" as None ; "with \" quote" as Some("x") ; "Order Details" as None ; "field-with_sep" as None"#
            ]],
        );
    }

    #[test]
    fn embeds() {
        check(
            "id,albums(title,tracks(*))",
            expect![[
                r#""id" as None ; "albums" as None by None Left ["title" as None ; "tracks" as None by None Left [*]]"#
            ]],
        );
        check(
            "x:albums!fk!inner(*),y!left()",
            expect![[r#""albums" as Some("x") by Some("fk") Inner [*] ; "y" as None by None Left []"#]],
        );
    }

    #[test]
    fn mistakes() {
        check(
            "a,,b",
            expect![[
                r#"PGRST100 "failed to parse select parameter (a,,b)" (line 1, column 3) "unexpected \",\" expecting field name (* or [a..z0..9_$])""#
            ]],
        );
        check(
            "a(b",
            expect![[
                r#"PGRST100 "failed to parse select parameter (a(b)" (line 1, column 4) "unexpected end of input expecting \")\"""#
            ]],
        );
        check(
            "a)b",
            expect![[
                r#"PGRST100 "failed to parse select parameter (a)b)" (line 1, column 2) "unexpected \")\" expecting end of input""#
            ]],
        );
        check(
            "a!b",
            expect![[
                r#"PGRST100 "failed to parse select parameter (a!b)" (line 1, column 4) "unexpected end of input expecting \"(\"""#
            ]],
        );
        check(
            "\"a",
            expect![[
                r#"PGRST100 "failed to parse select parameter ("a)" (line 1, column 3) "unexpected end of input expecting \"\\\"\"""#
            ]],
        );
        check(
            "a::int",
            expect![[
                r#"PGRST100 "failed to parse select parameter (a::int)" (line 1, column 2) "unexpected \":\" expecting end of input""#
            ]],
        );
        check(&"a(".repeat(100), expect!["54001 select parameter nests deeper than 64 levels null"]);
    }
}
