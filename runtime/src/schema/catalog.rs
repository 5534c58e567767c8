//! A database for tests that is nothing but a schema: what SQLite's catalogue says is told, and no table has rows.

use crate::database::{Database, DbError};
use crate::value::{Value, ValueRef};

/// A table or view.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Its name.
    pub(crate) name: String,
    /// `view`, else a table.
    pub(crate) is_view: bool,
    /// The text of its CREATE statement.
    pub(crate) sql: String,
    /// Its columns.
    pub(crate) columns: Vec<ToldColumn>,
}

/// A column.
#[derive(Clone, Debug, Default)]
pub(crate) struct ToldColumn {
    /// Its name.
    pub(crate) name: String,
    /// Its declared type.
    pub(crate) declared: String,
    /// NOT NULL
    pub(crate) not_null: bool,
    /// Its place in the primary key, from 1; 0: none.
    pub(crate) key: i64,
    /// DEFAULT
    pub(crate) default: Option<String>,
    /// GENERATED
    pub(crate) generated: bool,
    /// REFERENCES: table and column.
    pub(crate) refers: Option<(String, String)>,
}

/// The schema.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog(pub(crate) Vec<Told>);

impl Catalog {
    /// Reads lines such as `tracks: id* INTEGER, album_id! INTEGER > albums.id, price REAL = 0.99, length TEXT @`, with `*` for the
    /// primary key, `!` for NOT NULL, `@` for what is generated. A line that begins with `view` is one, and what stands behind `CHECK`
    /// are constraints.
    pub(crate) fn of(text: &str) -> Catalog {
        Catalog(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(told).collect())
    }
}

fn told(line: &str) -> Told {
    let (head, rest) = line.split_once(':').unwrap();
    let (columns, checks) = rest.split_once(" CHECK ").unwrap_or((rest, ""));
    let is_view = head.starts_with("view ");
    let name = head.trim_start_matches("view ").to_owned();
    let columns = columns.split(", ").map(|column| told_column(column.trim()));
    let check = if checks.is_empty() { String::new() } else { format!(", CHECK ({checks})") };
    let sql = match is_view {
        true => format!("CREATE VIEW \"{name}\" AS SELECT 1 LIMIT 1"),
        false => format!("CREATE TABLE \"{name}\" (x{check})"),
    };
    Told { name, is_view, sql, columns: columns.collect() }
}

fn told_column(text: &str) -> ToldColumn {
    let (text, default) = match text.split_once(" = ") {
        Some((text, default)) => (text, Some(default.to_owned())),
        None => (text, None),
    };
    let (text, refers) = match text.split_once(" > ") {
        Some((text, target)) => (text, target.split_once('.').map(|(t, c)| (t.to_owned(), c.to_owned()))),
        None => (text, None),
    };
    let (name, declared) = text.split_once(' ').unwrap_or((text, ""));
    ToldColumn {
        name: name.trim_end_matches(['*', '!']).to_owned(),
        declared: declared.trim_end_matches('@').trim().to_owned(),
        not_null: name.ends_with('!'),
        key: name.contains('*').into(),
        default,
        generated: declared.ends_with('@'),
        refers,
    }
}

impl Database for Catalog {
    fn columns(&mut self, _: &str, _: &[Value]) -> Result<Vec<String>, DbError> {
        Ok(vec!["a".to_owned(), "b".to_owned()])
    }

    fn rows(
        &mut self,
        sql: &str,
        params: &[Value],
        each: &mut dyn FnMut(&[ValueRef<'_>]),
    ) -> Result<(), DbError> {
        fn text(text: &str) -> ValueRef<'_> {
            ValueRef::Text(text.as_bytes())
        }
        let integer = |is: bool| ValueRef::Integer(is.into());
        if sql.starts_with("PRAGMA") {
            each(&[ValueRef::Integer(1)]);
        } else if sql.contains("pragma_table_list") {
            for told in &self.0 {
                let kind = if told.is_view { "view" } else { "table" };
                each(&[text(&told.name), text(kind), integer(false), integer(false), text(&told.sql)]);
            }
        } else if sql.contains("pragma_table_xinfo") {
            let wanted = |told: &&Told| match params {
                [Value::Text(name)] => told.name == *name,
                _ => !told.is_view,
            };
            for told in self.0.iter().filter(wanted) {
                let mut key = 0;
                for column in &told.columns {
                    key += column.key;
                    each(&[
                        text(&told.name),
                        text(&column.name),
                        text(&column.declared),
                        integer(column.not_null),
                        ValueRef::Integer(if column.key == 0 { 0 } else { key }),
                        ValueRef::Integer(if column.generated { 2 } else { 0 }),
                        column.default.as_deref().map_or(ValueRef::Null, text),
                    ]);
                }
            }
        } else if sql.contains("pragma_foreign_key_list") {
            for told in &self.0 {
                for (number, column) in (0..).zip(&told.columns) {
                    if let Some((target, to)) = &column.refers {
                        let number = ValueRef::Integer(number);
                        each(&[text(&told.name), number, text(target), text(&column.name), text(to)]);
                    }
                }
            }
        }
        Ok(())
    }
}
