//! The grammar of `select=`, `columns=` and `on_conflict=`.
//!
//! <https://docs.postgrest.org/en/stable/references/api/resource_embedding.html>

use crate::error::Error;
use crate::field::Field;
use crate::grammar::Cursor;

/// One item between the commas of `select`.
#[derive(Clone, Debug, PartialEq)]
pub enum SelectItem {
    /// `distinct(…)`, which stands alone in its list: equal rows are one. The items follow. Beyond PostgREST.
    Distinct,
    /// `*`: every column.
    Star,
    /// `alias:name->path::cast.aggregate()::cast`
    Column(SelectColumn),
    /// `alias:target!hint!inner(…)`, and `...target(…)`
    Embed(Embed),
}

/// A column, or something made of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SelectColumn {
    /// The column; for `count()` nameless.
    pub field: Field,
    /// The name it gets in the answer.
    pub alias: Option<String>,
    /// The type it is cast to.
    pub cast: Option<String>,
    /// What is made of the values of several rows.
    pub aggregate: Option<Aggregate>,
    /// The type that the aggregate is cast to.
    pub aggregate_cast: Option<String>,
}

/// What is made of the values of several rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// `sum()`
    Sum,
    /// `avg()`
    Avg,
    /// `count()`
    Count,
    /// `max()`
    Max,
    /// `min()`
    Min,
}

impl Aggregate {
    /// Its name in the grammar, and in an answer where no other is given.
    pub fn name(self) -> &'static str {
        match self {
            Aggregate::Sum => "sum",
            Aggregate::Avg => "avg",
            Aggregate::Count => "count",
            Aggregate::Max => "max",
            Aggregate::Min => "min",
        }
    }

    /// The aggregate of this name.
    pub(crate) fn of(name: &str) -> Option<Aggregate> {
        [Aggregate::Sum, Aggregate::Avg, Aggregate::Count, Aggregate::Max, Aggregate::Min]
            .into_iter()
            .find(|aggregate| aggregate.name() == name)
    }
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
    /// Whether its members become members of the row around it (`...`).
    pub spread: bool,
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

/// How many items `select` may have, those of embeds included: as many as SQLite has columns.
const MAX_ITEMS: usize = 2_000;

/// Parses the value of `select`; the empty text means every column.
///
/// # Errors
/// PGRST100 where it does not fit the grammar.
pub fn parse_select(text: &str) -> Result<Vec<SelectItem>, Error> {
    let mut cursor = Cursor::new("select parameter", text);
    if cursor.is_empty() {
        return Ok(vec![SelectItem::Star]);
    }
    if text.bytes().filter(|b| *b == b',').count() > MAX_ITEMS {
        return Err(Error::TooComplex(format!("a select may have {MAX_ITEMS} items")));
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
    Ok(match <[SelectItem; 1]>::try_from(items) {
        Ok([SelectItem::Embed(embed)]) if embed.is_distinct() => {
            std::iter::once(SelectItem::Distinct).chain(embed.select).collect()
        }
        Ok(one) => Vec::from(one),
        Err(items) => items,
    })
}

impl Embed {
    /// Whether it is `distinct(…)`: a relation of that name is embedded under an alias.
    fn is_distinct(&self) -> bool {
        let is_plain = self.alias.is_none() && self.hint.is_none() && self.join == Join::Left && !self.spread;
        is_plain && self.target == "distinct" && !self.select.is_empty()
    }
}

fn item(cursor: &mut Cursor<'_>, depth: usize) -> Result<SelectItem, Error> {
    cursor.skip_spaces();
    if cursor.take("*") {
        cursor.skip_spaces();
        return Ok(SelectItem::Star);
    }
    let spread = cursor.take("...");
    let mut field = Field::parse(cursor, RESERVED)?;
    let mut alias = None;
    if field.path.is_empty() && !cursor.rest().starts_with("::") && cursor.take(":") {
        alias = Some(field.name);
        field = Field::parse(cursor, RESERVED)?;
    }
    if field.path.is_empty() && !cursor.rest().starts_with("::") && !cursor.rest().starts_with('.') {
        let (hint, join) = hints(cursor)?;
        if let Some(item) = parentheses(cursor, depth, &field, &alias, spread, (hint, join))? {
            return Ok(item);
        }
    }
    if spread {
        return Err(cursor.error("\"(\""));
    }
    column(cursor, field, alias).map(SelectItem::Column)
}

/// `!hint!inner`
fn hints(cursor: &mut Cursor<'_>) -> Result<(Option<String>, Option<Join>), Error> {
    let (mut hint, mut join) = (None, None);
    while cursor.take("!") {
        match cursor.name(RESERVED)?.as_str() {
            "inner" => join = Some(Join::Inner),
            "left" => join = Some(Join::Left),
            other if hint.is_none() => hint = Some(other.to_owned()),
            _ => return Err(cursor.error("\"(\"")),
        }
    }
    Ok((hint, join))
}

/// An embed, or `count()`; nothing where no parenthesis stands here.
fn parentheses(
    cursor: &mut Cursor<'_>,
    depth: usize,
    field: &Field,
    alias: &Option<String>,
    spread: bool,
    (hint, join): (Option<String>, Option<Join>),
) -> Result<Option<SelectItem>, Error> {
    if !cursor.take("(") {
        return if hint.is_some() || join.is_some() { Err(cursor.error("\"(\"")) } else { Ok(None) };
    }
    cursor.skip_spaces();
    let is_empty = cursor.rest().starts_with(')');
    let select = if is_empty { Vec::new() } else { items(cursor, depth + 1)? };
    cursor.expect(")")?;
    cursor.skip_spaces();
    if is_empty && field.name == "count" && hint.is_none() && join.is_none() && !spread {
        return Ok(Some(SelectItem::Column(SelectColumn {
            alias: alias.clone(),
            aggregate: Some(Aggregate::Count),
            aggregate_cast: cast(cursor)?,
            ..SelectColumn::default()
        })));
    }
    let join = join.unwrap_or(Join::Left);
    let (target, alias) = (field.name.clone(), alias.clone());
    Ok(Some(SelectItem::Embed(Embed { target, alias, hint, join, spread, select })))
}

/// What may follow a field: `::cast.aggregate()::cast`.
fn column(cursor: &mut Cursor<'_>, field: Field, alias: Option<String>) -> Result<SelectColumn, Error> {
    let mut column = SelectColumn { field, alias, cast: cast(cursor)?, ..SelectColumn::default() };
    if cursor.take(".") {
        let name = cursor.name(RESERVED)?;
        let aggregate = Aggregate::of(&name).ok_or_else(|| cursor.error("sum, avg, count, max or min"))?;
        cursor.expect("()")?;
        column.aggregate = Some(aggregate);
        column.aggregate_cast = cast(cursor)?;
    }
    cursor.skip_spaces();
    Ok(column)
}

fn cast(cursor: &mut Cursor<'_>) -> Result<Option<String>, Error> {
    if cursor.take("::") { cursor.name(RESERVED).map(Some) } else { Ok(None) }
}

/// Parses the value of `columns` or `on_conflict`; `what` says which.
///
/// # Errors
/// PGRST100 where it does not fit the grammar.
pub fn parse_columns(what: &'static str, text: &str) -> Result<Vec<String>, Error> {
    let mut cursor = Cursor::new(what, text);
    let mut columns = vec![cursor.name(RESERVED)?];
    while cursor.take(",") {
        let name = cursor.name(RESERVED)?;
        // They are a set.
        if !columns.contains(&name) {
            columns.push(name);
        }
        if columns.len() > MAX_ITEMS {
            return Err(Error::TooComplex(format!("the {what} may have {MAX_ITEMS} names")));
        }
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
                SelectItem::Distinct => "distinct".to_owned(),
                SelectItem::Star => "*".to_owned(),
                SelectItem::Column(c) => {
                    let path: String = c.field.path.iter().map(|s| format!(" {s:?}")).collect();
                    format!(
                        "{:?}{path} as {:?} {:?} {:?} {:?}",
                        c.field.name, c.alias, c.cast, c.aggregate, c.aggregate_cast
                    )
                }
                SelectItem::Embed(e) => format!(
                    "{}{:?} as {:?} by {:?} {:?} [{}]",
                    if e.spread { "..." } else { "" },
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
        check("a,b:c,*", expect![[r#""a" as None None None None ; "c" as Some("b") None None None ; *"#]]);
        check(
            "\"a.b\",x: \"with \\\" quote\" , Order Details,field-with_sep",
            expect![[
                r#""a.b" as None None None None ; "with \" quote" as Some("x") None None None ; "Order Details" as None None None None ; "field-with_sep" as None None None None"#
            ]],
        );
    }

    #[test]
    fn paths_casts_and_aggregates() {
        check(
            "a::text,b:c->d->>0::int,data->0->0xy1->-23->xy-6->>!@#$%^&*_e",
            expect![[
                r#""a" as None Some("text") None None ; "c" JsonStep { as_text: false, key: Member("d") } JsonStep { as_text: true, key: Element(0) } as Some("b") Some("int") None None ; "data" JsonStep { as_text: false, key: Element(0) } JsonStep { as_text: false, key: Member("0xy1") } JsonStep { as_text: false, key: Element(-23) } JsonStep { as_text: false, key: Member("xy-6") } JsonStep { as_text: true, key: Member("!@#$%^&*_e") } as None None None None"#
            ]],
        );
        check(
            "a.sum(),n:b::int.avg()::text,count(),x:count()::text",
            expect![[
                r#""a" as None None Some(Sum) None ; "b" as Some("n") Some("int") Some(Avg) Some("text") ; "" as None None Some(Count) None ; "" as Some("x") None Some(Count) Some("text")"#
            ]],
        );
    }

    #[test]
    fn distinct() {
        check(
            "distinct(a,b->c),x(distinct(a)),d:distinct(a),distinct(a)",
            expect![[
                r#""distinct" as None by None Left ["a" as None None None None ; "b" JsonStep { as_text: false, key: Member("c") } as None None None None] ; "x" as None by None Left [distinct ; "a" as None None None None] ; "distinct" as Some("d") by None Left ["a" as None None None None] ; "distinct" as None by None Left ["a" as None None None None]"#
            ]],
        );
        check(
            "distinct(a,b->c)",
            expect![[
                r#"distinct ; "a" as None None None None ; "b" JsonStep { as_text: false, key: Member("c") } as None None None None"#
            ]],
        );
        check(
            "x(distinct(a,...y(b)))",
            expect![[
                r#""x" as None by None Left [distinct ; "a" as None None None None ; ..."y" as None by None Left ["b" as None None None None]]"#
            ]],
        );
    }

    #[test]
    fn embeds() {
        check(
            "id,albums(title,tracks(*))",
            expect![[
                r#""id" as None None None None ; "albums" as None by None Left ["title" as None None None None ; "tracks" as None by None Left [*]]"#
            ]],
        );
        check(
            "x:albums!fk!inner(*),y!left(),...z(a),...z!fk(b:c)",
            expect![[
                r#""albums" as Some("x") by Some("fk") Inner [*] ; "y" as None by None Left [] ; ..."z" as None by None Left ["a" as None None None None] ; ..."z" as None by Some("fk") Left ["c" as Some("b") None None None]"#
            ]],
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
            "a::",
            expect![[
                r#"PGRST100 "failed to parse select parameter (a::)" (line 1, column 4) "unexpected end of input expecting field name (* or [a..z0..9_$])""#
            ]],
        );
        check(
            "...a",
            expect![[
                r#"PGRST100 "failed to parse select parameter (...a)" (line 1, column 5) "unexpected end of input expecting \"(\"""#
            ]],
        );
        check(
            "a.median()",
            expect![[
                r#"PGRST100 "failed to parse select parameter (a.median())" (line 1, column 9) "unexpected \"(\" expecting sum, avg, count, max or min""#
            ]],
        );
        check(
            "data->(x",
            expect![[
                r#"PGRST100 "failed to parse select parameter (data->(x)" (line 1, column 7) "unexpected \"(\" expecting \"-\", digit or any non reserved character different from: .,>()""#
            ]],
        );
        check(&"a(".repeat(100), expect!["54001 select parameter nests deeper than 64 levels null"]);
    }
}
