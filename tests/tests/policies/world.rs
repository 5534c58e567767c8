//! Random databases: tables with foreign keys, a junction, a view, a trigger, and the rows in them.

use std::fmt::Write as _;

use super::dice::Dice;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Text,
    Real,
    Boolean,
    Json,
}

impl Kind {
    pub fn declared(self) -> &'static str {
        match self {
            Kind::Integer => "INTEGER",
            Kind::Text => "TEXT",
            Kind::Real => "REAL",
            Kind::Boolean => "BOOLEAN",
            Kind::Json => "JSON",
        }
    }

    /// Values as SQL has them, odd ones among them.
    pub fn literals(self) -> &'static [&'static str] {
        match self {
            Kind::Integer => &["1", "2", "0", "3", "-1", "7", "NULL", "9007199254740993"],
            Kind::Text => &[
                "'a'",
                "'b'",
                "''",
                "'A'",
                "'ab'",
                "NULL",
                "'it''s'",
                "'\"q\"'",
                "'%'",
                "'1'",
                "'é漢'",
                "'NULL'",
                "'a,b'",
                "char(1, 2, 3)",
                "'sport'",
                "'{\"a\":1}'",
            ],
            Kind::Real => &["0.5", "1.0", "2.25", "NULL", "-4.75", "1e10"],
            Kind::Boolean => &["1", "0", "NULL"],
            Kind::Json => &[
                "'{\"a\":1}'",
                "'{\"a\":2,\"b\":[1,2]}'",
                "NULL",
                "'[1,2]'",
                "'not JSON'",
                "'{'",
                "'\"a\"'",
                "'{\"a\":\"x\"}'",
                "'null'",
                "''",
            ],
        }
    }
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub not_null: bool,
    pub unique: bool,
    pub default: Option<&'static str>,
    /// The table that it refers to.
    pub refers: Option<usize>,
}

/// How rows are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `id INTEGER PRIMARY KEY`
    Rowid,
    /// A first column of any type, WITHOUT ROWID.
    Without,
    /// The first two columns, WITHOUT ROWID.
    Pair,
    /// The first two columns of an ordinary table.
    RowidPair,
}

impl Key {
    /// How many of the first columns are the key.
    pub fn width(self) -> usize {
        if matches!(self, Key::Pair | Key::RowidPair) { 2 } else { 1 }
    }
}

#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub key: Key,
    pub columns: Vec<Column>,
    /// A trigger gives the column this value where a row is inserted without one.
    pub trigger: Option<(usize, &'static str)>,
}

/// A view of some columns of a table.
#[derive(Clone, Debug)]
pub struct View {
    pub name: String,
    pub table: usize,
    pub columns: Vec<usize>,
    pub condition: Option<String>,
}

#[derive(Clone, Debug)]
pub struct World {
    pub tables: Vec<Table>,
    pub view: Option<View>,
    /// INSERT statements.
    pub rows: Vec<String>,
}

impl Table {
    pub fn key(&self) -> Vec<usize> {
        (0..self.key.width()).collect()
    }

    pub fn is_key(&self, column: usize) -> bool {
        column < self.key.width()
    }

    /// The columns as a view or a copy has them: names with types.
    fn definition(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        for (at, column) in self.columns.iter().enumerate() {
            let mut part = format!("{} {}", column.name, column.kind.declared());
            if at == 0 && self.key.width() == 1 {
                part += " PRIMARY KEY";
            }
            if column.not_null {
                part += " NOT NULL";
            }
            if column.unique {
                part += " UNIQUE";
            }
            if let Some(default) = column.default {
                let _ = write!(part, " DEFAULT {default}");
            }
            parts.push(part);
        }
        if self.key.width() == 2 {
            parts.push(format!("PRIMARY KEY ({}, {})", self.columns[0].name, self.columns[1].name));
        }
        parts.join(", ")
    }

    pub fn is_without_rowid(&self) -> bool {
        matches!(self.key, Key::Without | Key::Pair)
    }
}

impl World {
    /// The whole database as SQL.
    pub fn sql(&self) -> String {
        let mut sql = String::new();
        for table in &self.tables {
            let mut definition = table.definition();
            for column in &table.columns {
                if let Some(target) = column.refers {
                    let target = &self.tables[target];
                    let _ = write!(
                        definition,
                        ", FOREIGN KEY ({}) REFERENCES {} ({})",
                        column.name, target.name, target.columns[0].name
                    );
                }
            }
            let without = if table.is_without_rowid() { " WITHOUT ROWID" } else { "" };
            let _ = writeln!(sql, "CREATE TABLE {} ({definition}){without};", table.name);
        }
        if let Some(view) = &self.view {
            let _ = writeln!(sql, "CREATE VIEW {} AS {};", view.name, self.query_of(view));
        }
        for row in &self.rows {
            let _ = writeln!(sql, "{row};");
        }
        for table in &self.tables {
            let Some((column, value)) = table.trigger else { continue };
            let (name, column, key) = (&table.name, &table.columns[column].name, &table.columns[0].name);
            let _ = writeln!(
                sql,
                "CREATE TRIGGER {name}_insert AFTER INSERT ON {name} WHEN NEW.{column} IS NULL BEGIN UPDATE {name} SET {column} = {value} WHERE {key} = NEW.{key}; END;"
            );
        }
        sql
    }

    pub fn query_of(&self, view: &View) -> String {
        let table = &self.tables[view.table];
        let columns: Vec<&str> = view.columns.iter().map(|at| table.columns[*at].name.as_str()).collect();
        let condition = view.condition.as_ref().map(|c| format!(" WHERE {c}")).unwrap_or_default();
        format!("SELECT {} FROM {}{condition}", columns.join(", "), table.name)
    }

    /// The relations by name: of the view, the table's columns that it shows, without its keys.
    pub fn relations(&self) -> Vec<(String, Vec<Column>)> {
        let mut all: Vec<(String, Vec<Column>)> =
            self.tables.iter().map(|table| (table.name.clone(), table.columns.clone())).collect();
        if let Some(view) = &self.view {
            let table = &self.tables[view.table];
            all.push((view.name.clone(), view.columns.iter().map(|at| table.columns[*at].clone()).collect()));
        }
        all
    }

    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    pub fn generate(dice: &mut Dice<'_>) -> World {
        let names = ["artists", "books", "clubs"];
        let mut tables: Vec<Table> = Vec::new();
        for name in names.iter().take(dice.between(2, 3)) {
            let table = plain_table(dice, &tables, name);
            tables.push(table);
        }
        if dice.chance(70) {
            let (a, b) = dice.one(&[(0, 1), (1, 0)]);
            let to = |tables: &[Table], target: usize| Column {
                name: format!("{}_id", &tables[target].name[..1]),
                kind: tables[target].columns[0].kind,
                not_null: true,
                unique: false,
                default: None,
                refers: Some(target),
            };
            let mut columns = vec![to(&tables, a), to(&tables, b)];
            if dice.chance(60) {
                columns.push(column("note", Kind::Text));
            }
            let key = dice.one(&[Key::Pair, Key::RowidPair]);
            tables.push(Table { name: "links".to_owned(), key, columns, trigger: None });
        }
        let view = dice.chance(40).then(|| {
            let table = dice.below(names.len().min(tables.len()).min(2));
            let all: Vec<usize> = (1..tables[table].columns.len()).collect();
            let mut columns = vec![0];
            columns.extend(dice.some(&all, 70));
            let condition =
                dice.chance(50).then(|| format!("{} IS NOT NULL", tables[table].columns[dice.below(2)].name));
            View { name: "views".to_owned(), table, columns, condition }
        });
        let mut world = World { tables, view, rows: Vec::new() };
        for at in 0..world.tables.len() {
            let rows = world.some_rows(dice, at);
            world.rows.extend(rows);
        }
        world
    }

    fn some_rows(&self, dice: &mut Dice<'_>, at: usize) -> Vec<String> {
        let table = &self.tables[at];
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        let mut rows = Vec::new();
        for row in 0..dice.between(1, 7) {
            let mut values = Vec::new();
            for (place, column) in table.columns.iter().enumerate() {
                let value = match (place, column.refers) {
                    (0, None) => key_literal(column.kind, row),
                    (_, Some(target)) => {
                        let kind = self.tables[target].columns[0].kind;
                        let to = dice.below(6);
                        if to == 5 && !column.not_null { "NULL".to_owned() } else { key_literal(kind, to) }
                    }
                    (_, None) if column.unique && !dice.chance(20) => match column.kind {
                        Kind::Text => format!("'u{row}'"),
                        _ => format!("{}", 100 + row),
                    },
                    (_, None) => {
                        let value = dice.one(column.kind.literals());
                        if value == "NULL" && column.not_null {
                            column.kind.literals()[0].to_owned()
                        } else {
                            value.to_owned()
                        }
                    }
                };
                values.push(value);
            }
            // What repeats a key is left out.
            rows.push(format!(
                "INSERT OR IGNORE INTO {} ({}) VALUES ({})",
                table.name,
                names.join(", "),
                values.join(", ")
            ));
        }
        rows
    }
}

/// The key of a row by its number.
pub fn key_literal(kind: Kind, number: usize) -> String {
    match kind {
        Kind::Text => format!("'k{number}'"),
        _ => format!("{}", number + 1),
    }
}

fn column(name: &str, kind: Kind) -> Column {
    Column { name: name.to_owned(), kind, not_null: false, unique: false, default: None, refers: None }
}

fn plain_table(dice: &mut Dice<'_>, before: &[Table], name: &str) -> Table {
    let key = dice.one(&[Key::Rowid, Key::Rowid, Key::Without]);
    let kind = if key == Key::Without { dice.one(&[Kind::Integer, Kind::Text]) } else { Kind::Integer };
    let mut columns = vec![Column { not_null: key == Key::Without, ..column("id", kind) }];
    let kinds = [Kind::Integer, Kind::Text, Kind::Json, Kind::Boolean, Kind::Real];
    let prefix = &name[..1];
    for (number, kind) in kinds.into_iter().enumerate() {
        if number < 2 || dice.chance(45) {
            let mut own = column(&format!("{prefix}_{}", kind.declared().to_ascii_lowercase()), kind);
            if number < 2 {
                own.not_null = dice.chance(15);
                own.unique = dice.chance(20);
                own.default = dice.chance(20).then_some(if kind == Kind::Text { "'d'" } else { "5" });
            }
            columns.push(own);
        }
    }
    // A name that all tables have, so that subqueries must tell them apart.
    if dice.chance(50) {
        columns.push(column("shared", Kind::Integer));
    }
    for (target, table) in before.iter().enumerate() {
        if dice.chance(75) {
            let kind = table.columns[0].kind;
            columns.push(Column { refers: Some(target), ..column(&format!("to_{}", table.name), kind) });
        }
    }
    let trigger = dice.chance(15).then_some((2, "'sport'"));
    Table { name: name.to_owned(), key, columns, trigger }
}
