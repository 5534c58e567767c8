//! The schema as the `Database` type of supabase-js, in the form of `supabase gen types typescript`
//! (<https://supabase.com/docs/guides/api/rest/generating-types>): what a role may read, insert, update and call.

use serde_json::Value as Json;

use super::seen::{Function, Named, Seen, Table, Write};
use super::types::{Values, is_required};
use crate::config::{Config, Udf, UdfParam};
use crate::function::Returns;
use crate::schema::{Column, ColumnType, RelationKind, SchemaCache};

/// The version of PostgREST whose features the client offers. It looks for those that it knows; ours has those of newer ones, too.
const POSTGREST: &str = "14.1";

/// What is the same in every file.
const HEAD: &str = include_str!("typescript_head.ts");
const TAIL: &str = include_str!("typescript_tail.ts");

/// An empty list of members.
const NOTHING: &str = "[_ in never]: never";

/// The text of a file. `schema` is what the role knows of it, `may_call` says which functions it may call, and `name` is what the client
/// calls the schema: `public`, unless it is told otherwise.
pub fn database(
    config: &Config,
    schema: &SchemaCache,
    may_call: &dyn Fn(&Udf) -> bool,
    name: &str,
) -> String {
    let seen = Seen::of(config, schema, may_call);
    let mut tables: Vec<&Table<'_>> = seen.tables.iter().filter(|table| table.reads).collect();
    tables.sort_by_key(|table| &table.relation.name);
    let (views, tables): (Vec<&Table<'_>>, Vec<&Table<'_>>) =
        tables.into_iter().partition(|table| table.relation.kind == RelationKind::View);
    let mut functions: Vec<&Named<'_>> = seen.functions.iter().collect();
    functions.sort_by_key(|named| named.name);
    let enums = enums(&seen);
    let mut out = Lines { text: HEAD.to_owned(), depth: 0, schema: name };
    out.open("export type Database = {");
    out.open("__InternalSupabase: {");
    out.line(&format!("PostgrestVersion: {}", string(POSTGREST)));
    out.close("}");
    out.open(&format!("{}: {{", member(name)));
    out.section("Tables", tables.iter().map(|table| (&table.relation.name, *table)), |out, table| {
        relation(out, &seen, &enums, table, true);
    });
    out.section("Views", views.iter().map(|table| (&table.relation.name, *table)), |out, table| {
        let is_written = table.methods.post || table.methods.patch;
        relation(out, &seen, &enums, table, is_written);
    });
    out.open("Functions: {");
    functions.iter().for_each(|named| function(&mut out, &seen, named));
    if functions.is_empty() {
        out.line(NOTHING);
    }
    out.close("}");
    out.open("Enums: {");
    for (name, values) in &enums {
        out.line(&format!("{}: {}", member(name), union(values)));
    }
    if enums.is_empty() {
        out.line(NOTHING);
    }
    out.close("}");
    out.open("CompositeTypes: {");
    out.line(NOTHING);
    out.close("}");
    out.close("}");
    out.close("}");
    out.text.push_str(&TAIL.replace("\"public\"", &string(name)));
    constants(&mut out, name, &enums);
    out.text
}

/// Lines of a file, indented.
struct Lines<'a> {
    text: String,
    depth: usize,
    /// The name of the schema.
    schema: &'a str,
}

impl Lines<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(&"  ".repeat(self.depth));
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn open(&mut self, line: &str) {
        self.line(line);
        self.depth += 1;
    }

    fn close(&mut self, line: &str) {
        self.depth = self.depth.saturating_sub(1);
        self.line(line);
    }

    /// `Tables: { … }`
    fn section<'t, 's: 't>(
        &mut self,
        name: &str,
        members: impl Iterator<Item = (&'t String, &'t Table<'s>)>,
        each: impl Fn(&mut Self, &'t Table<'s>),
    ) {
        self.open(&format!("{name}: {{"));
        let mut is_empty = true;
        for (name, table) in members {
            self.open(&format!("{}: {{", member(name)));
            each(self, table);
            self.close("}");
            is_empty = false;
        }
        if is_empty {
            self.line(NOTHING);
        }
        self.close("}");
    }
}

/// The columns of CHECK (… IN …), by the names of their types.
type Enums = Vec<(String, Vec<Json>)>;

fn enums(seen: &Seen<'_>) -> Enums {
    let mut found = Enums::new();
    for table in &seen.tables {
        for (_, column) in table.starred() {
            let values = Values::told(column, table.facts(column), false);
            if let Some(values) = values.one_of().filter(|_| values.of == Some(ColumnType::Text)) {
                let name = enum_name(table, column);
                // Two columns may come to one name; then the second says its values itself.
                if !found.iter().any(|(known, _)| *known == name) {
                    found.push((name, values));
                }
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn enum_name(table: &Table<'_>, column: &Column) -> String {
    format!("{}_{}", table.relation.name, column.name)
}

/// `"a" | "b"`
fn union(values: &[Json]) -> String {
    values.iter().map(Json::to_string).collect::<Vec<_>>().join(" | ")
}

/// `Row`, `Insert`, `Update` and `Relationships`.
fn relation(out: &mut Lines<'_>, seen: &Seen<'_>, enums: &Enums, table: &Table<'_>, is_written: bool) {
    let mut columns: Vec<(usize, &Column)> = table.starred().collect();
    columns.sort_by_key(|(_, column)| &column.name);
    out.open("Row: {");
    for (place, column) in &columns {
        let nullable = !table.relation.never_null(*place);
        let values = Values::told(column, table.facts(column), nullable);
        let told = typed(out.schema, enums, table, column, &values);
        out.line(&format!("{}: {}", member(&column.name), or_null(told, nullable)));
    }
    let computed: Vec<_> = table.columns().filter(|(_, column)| column.computed.is_some()).collect();
    for (_, column) in computed {
        let values = Values::told(column, None, true);
        let told = typed(out.schema, enums, table, column, &values);
        out.line(&format!("{}: {}", member(&column.name), or_null(told, true)));
    }
    out.close("}");
    if is_written {
        write(out, enums, table, &columns, Write::Insert);
        write(out, enums, table, &columns, Write::Update);
    }
    relationships(out, seen, table);
}

/// What a client sends. What it may not send is there as `never`, so that sending it is an error of types.
fn write(out: &mut Lines<'_>, enums: &Enums, table: &Table<'_>, columns: &[(usize, &Column)], how: Write) {
    out.open(if how == Write::Insert { "Insert: {" } else { "Update: {" });
    let may = if how == Write::Insert { table.methods.post } else { table.methods.patch };
    let taken: Vec<usize> = table.written(how).filter(|_| may).map(|(place, _)| place).collect();
    // A role may be let to write what it does not see.
    let unseen = table.written(how).filter(|(_, column)| may && column.hidden);
    for (place, column) in columns.iter().copied().chain(unseen) {
        let name = member(&column.name);
        if !taken.contains(&place) {
            out.line(&format!("{name}?: never"));
            continue;
        }
        let values = Values::sent(column, table.facts(column));
        let mark = if how == Write::Insert && Table::is_required(column) { "" } else { "?" };
        let nullable = values.nullable && !column.is_rowid && !table.relation.never_null(place);
        let sent = typed(out.schema, enums, table, column, &values);
        out.line(&format!("{name}{mark}: {}", or_null(sent, nullable)));
    }
    out.close("}");
}

fn relationships(out: &mut Lines<'_>, seen: &Seen<'_>, table: &Table<'_>) {
    let relation = table.relation;
    let keys: Vec<_> = relation
        .foreign_keys
        .iter()
        .filter(|key| !key.hidden)
        .filter_map(|key| Some((key, seen.read(key.target)?.relation)))
        .collect();
    if keys.is_empty() {
        out.line("Relationships: []");
        return;
    }
    out.open("Relationships: [");
    for (key, target) in keys {
        let names = |names: Vec<&str>| names.into_iter().map(string).collect::<Vec<_>>().join(", ");
        out.open("{");
        out.line(&format!("foreignKeyName: {}", string(&key.name)));
        out.line(&format!("columns: [{}]", names(relation.column_names(&key.columns).collect())));
        out.line(&format!("isOneToOne: {}", key.unique));
        out.line(&format!("referencedRelation: {}", string(&target.name)));
        out.line(&format!(
            "referencedColumns: [{}]",
            names(target.column_names(&key.target_columns).collect())
        ));
        out.close("},");
    }
    out.close("]");
}

/// The type of a column.
fn typed(schema: &str, enums: &Enums, table: &Table<'_>, column: &Column, values: &Values<'_>) -> String {
    let Some(one_of) = values.one_of() else { return basic(values).to_owned() };
    let name = enum_name(table, column);
    match enums.iter().any(|(known, values)| *known == name && *values == one_of) {
        true => format!("Database[{}][\"Enums\"][{}]", string(schema), string(&name)),
        false => union(&one_of),
    }
}

fn basic(values: &Values<'_>) -> &'static str {
    match values.of {
        Some(ColumnType::Integer | ColumnType::Real | ColumnType::Numeric) => "number",
        Some(ColumnType::Boolean) => "boolean",
        Some(ColumnType::Text | ColumnType::Blob | ColumnType::Time) => "string",
        Some(ColumnType::Json) => "Json",
        // Times are texts; whatever else SQLite does not know may be anything.
        Some(ColumnType::Other) if values.is_text() => "string",
        Some(ColumnType::Other | ColumnType::Any) | None => "unknown",
    }
}

fn or_null(told: String, nullable: bool) -> String {
    // Null is of these types already.
    let has_null = matches!(told.as_str(), "unknown" | "Json");
    if nullable && (!has_null || told == "Json") { format!("{told} | null") } else { told }
}

/// The functions of a name: a union, where there are several.
fn function(out: &mut Lines<'_>, seen: &Seen<'_>, named: &Named<'_>) {
    if let [one] = named.all.as_slice() {
        out.open(&format!("{}: {{", member(named.name)));
        signature(out, seen, one);
        out.close("}");
        return;
    }
    out.open(&format!("{}:", member(named.name)));
    for one in &named.all {
        out.open("| {");
        signature(out, seen, one);
        out.close("}");
    }
    out.depth = out.depth.saturating_sub(1);
}

fn signature(out: &mut Lines<'_>, seen: &Seen<'_>, function: &Function<'_>) {
    let raw = function.udf.params.iter().find(|param| param.name == "$");
    match (raw, function.udf.params.is_empty()) {
        (Some(param), _) if ColumnType::of(&param.declared) == ColumnType::Json => {
            // The arguments are the body, whole.
            out.line("Args: Record<string, unknown>");
        }
        // The client sends no other bodies.
        (Some(_), _) | (None, true) => out.line("Args: never"),
        (None, false) => {
            out.open("Args: {");
            let mut params: Vec<&UdfParam> = function.udf.params.iter().collect();
            params.sort_by_key(|param| &param.name);
            for param in params {
                let mark = if is_required(param) { "" } else { "?" };
                out.line(&format!("{}{mark}: {}", member(&param.name), argument(param)));
            }
            out.close("}");
        }
    }
    let (returns, relation) = returned(out.schema, seen, function);
    out.line(&format!("Returns: {returns}"));
    if let Some(relation) = relation {
        out.open("SetofOptions: {");
        out.line("from: \"*\"");
        out.line(&format!("to: {}", string(relation)));
        out.line(&format!("isOneToOne: {}", !function.returns.is_set()));
        out.line(&format!("isSetofReturn: {}", function.returns.is_set()));
        out.close("}");
    }
}

fn argument(param: &UdfParam) -> String {
    let element = param.declared.strip_suffix("[]");
    let values = Values::declared(element.unwrap_or(&param.declared), true);
    let is_list = element.is_some() || param.variadic;
    if is_list { format!("{}[]", basic(&values)) } else { basic(&values).to_owned() }
}

/// What a function returns, and the relation whose rows that are, if the client knows it.
fn returned<'s>(schema: &str, seen: &Seen<'s>, function: &Function<'s>) -> (String, Option<&'s str>) {
    let list = |row: String| match function.returns.is_set() {
        true => format!("{row}[]"),
        false => row,
    };
    match &function.returns {
        Returns::Void => ("undefined".to_owned(), None),
        Returns::Value { declared, .. } => {
            let element = declared.strip_suffix("[]");
            let values = Values::declared(element.unwrap_or(declared), false);
            let one = basic(&values);
            (list(if element.is_some() { format!("{one}[]") } else { one.to_owned() }), None)
        }
        Returns::Relation { name, .. } => {
            let table = seen.schema.names.get(name).and_then(|id| seen.read(*id));
            let Some(table) = table else { return (list("Record<string, unknown>".to_owned()), None) };
            let kind = if table.relation.kind == RelationKind::View { "Views" } else { "Tables" };
            let name = table.relation.name.as_str();
            let row = format!("Database[{}][\"{kind}\"][{}][\"Row\"]", string(schema), string(name));
            (list(row), Some(name))
        }
        Returns::Record { .. } => {
            let columns = function.relation.map(|relation| relation.columns.as_slice()).unwrap_or_default();
            let members: Vec<String> = columns
                .iter()
                .map(|column| {
                    let told = basic(&Values::told(column, None, true)).to_owned();
                    format!("{}: {}", member(&column.name), or_null(told, true))
                })
                .collect();
            (list(format!("{{ {} }}", members.join("; "))), None)
        }
    }
}

/// The values of the enums, for a program.
fn constants(out: &mut Lines<'_>, name: &str, enums: &Enums) {
    out.line("");
    out.open("export const Constants = {");
    out.open(&format!("{}: {{", member(name)));
    out.open("Enums: {");
    for (name, values) in enums {
        let values: Vec<String> = values.iter().map(Json::to_string).collect();
        out.line(&format!("{}: [{}],", member(name), values.join(", ")));
    }
    out.close("},");
    out.close("},");
    out.close("} as const");
}

/// A name as a member of a type: quoted, where it is no identifier.
fn member(name: &str) -> String {
    let is_start = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '$');
    let is_plain = name.starts_with(is_start) && name.chars().all(|c| is_start(c) || c.is_ascii_digit());
    if is_plain { name.to_owned() } else { string(name) }
}

/// A text in a program. JSON is JavaScript.
fn string(text: &str) -> String {
    Json::from(text).to_string()
}
