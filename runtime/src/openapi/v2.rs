//! OpenAPI 2.0 (<https://spec.openapis.org/oas/v2.0.html>), as PostgREST has it, member for member: what reads PostgREST's document is
//! to find here what it looks for. <https://docs.postgrest.org/en/stable/references/api/openapi.html>

use super::json::{Members, list, reference, texts};
use super::names::{self, dotted, function_path, is_reserved, path};
use super::place::Place;
use super::seen::{Named, Seen, Table, summary};
use super::template::{Fill, Templates};
use super::types::{Values, default, is_required, postgres_format, swagger_type};
use super::{Described, add_info};
use crate::config::UdfParam;
use crate::schema::ColumnType;

/// The words that are the same in every document.
pub(super) const TEMPLATES: &str = include_str!("v2.json");

/// The document.
#[inline(never)]
pub(super) fn document(seen: &Seen<'_>, described: &Described<'_>) -> String {
    let templates = Templates::of(TEMPLATES, &[]);
    let (mut paths, mut definitions, mut parameters) =
        (Members::default(), Members::default(), Members::default());
    paths.json("/", &templates.fill("root", &Fill::default()));
    parameters.all(templates.get("parameters"));
    for table in &seen.tables {
        let name = table.relation.name.as_str();
        paths.json(&path(name), &path_item(&templates, seen, table));
        definitions.json(name, &definition(&templates, seen, table));
        add_parameters(&templates, seen, table, &mut parameters);
    }
    for named in &seen.functions {
        paths.json(&function_path(named.name), &function_item(&templates, seen, named));
    }
    let place = Place::of(seen.config, described.host);
    let mut values = Fill::default();
    add_info(seen.config, &mut values);
    values.some("host", place.host.unwrap_or_default());
    values.text("path", if place.path.is_empty() { "/" } else { place.path });
    values.text("scheme", place.scheme.unwrap_or("http"));
    values.json("paths", paths.object());
    values.json("definitions", definitions.object());
    values.json("parameters", parameters.object());
    if seen.config.api.openapi_security_active {
        values.json("security_definitions", templates.fill("security_definitions", &Fill::default()));
        values.json("security", "[{\"JWT\":[]}]".to_owned());
    }
    templates.fill("document", &values)
}

#[inline(never)]
fn path_item(templates: &Templates, seen: &Seen<'_>, table: &Table<'_>) -> String {
    let name = table.relation.name.as_str();
    let (first, rest) = summary(seen.comment(name));
    let mut filters = Vec::new();
    for (_, column) in table.starred() {
        filters.push(templates.component("parameters", &row_filter(name, &column.name)));
    }
    let mut values = Fill::default();
    values.text("name", name);
    values.some("summary", first);
    values.some("description", rest);
    values.json("filters", list(&filters));
    values.json("body", templates.component("parameters", &dotted("body", name)));
    values.json("row", templates.component("definitions", name));
    let methods = table.methods;
    let operations =
        [("get", table.reads), ("post", methods.post), ("delete", methods.delete), ("patch", methods.patch)];
    let mut item = Members::default();
    for (method, is_there) in operations {
        if is_there {
            item.json(method, &templates.fill(method, &values));
        }
    }
    item.object()
}

#[inline(never)]
fn row_filter(table: &str, column: &str) -> String {
    dotted(&dotted("rowFilter", table), column)
}

/// The parameter of a column, as PostgREST names it: as it is, unless that would be read otherwise.
#[inline(never)]
fn filter_name(column: &str) -> String {
    let is_read_otherwise = is_reserved(column) || column.contains(['.', '"', '>', '(', ')', ',', ':']);
    if is_read_otherwise { names::in_query(column) } else { column.to_owned() }
}

#[inline(never)]
fn definition(templates: &Templates, seen: &Seen<'_>, table: &Table<'_>) -> String {
    let (mut properties, mut required) = (Members::default(), Vec::new());
    for (place, column) in table.starred() {
        properties.json(&column.name, &property(templates, seen, table, place));
        if table.relation.never_null(place) {
            required.push(column.name.clone());
        }
    }
    let mut values = Fill::default();
    values.some("description", seen.comment(&table.relation.name));
    values.json("properties", properties.object());
    values.json("required", texts(&required));
    templates.fill("definition", &values)
}

#[inline(never)]
fn property(templates: &Templates, seen: &Seen<'_>, table: &Table<'_>, place: usize) -> String {
    let Some(column) = table.relation.columns.get(place) else { return String::new() };
    let told = Values::told(column, table.facts(column), false);
    let mut description = seen.column_comment(&table.relation.name, &column.name).to_owned();
    let is_key = table.relation.primary_key.contains(&place);
    let referred = seen.referred(table, place);
    if is_key || referred.is_some() {
        description.push_str(if description.is_empty() { "Note:" } else { "\n\nNote:" });
    }
    if is_key {
        description.push_str("\nThis is a Primary Key.<pk/>");
    }
    if let Some((relation, other)) = referred {
        let note = format!("`{relation}.{other}`.<fk table='{relation}' column='{other}'/>");
        description.push_str("\nThis is a Foreign Key to ");
        description.push_str(&note);
    }
    let (least, most) = told.lengths(true);
    let mut values = Fill::default();
    values.json("default", default(column));
    values.some("description", &description);
    values.json("enum", told.enumerated());
    values.some("format", &postgres_format(&told));
    values.number("least", least);
    values.number("most", most);
    values.some("type", swagger_type(&told));
    templates.fill("property", &values)
}

#[inline(never)]
fn add_parameters(templates: &Templates, seen: &Seen<'_>, table: &Table<'_>, parameters: &mut Members) {
    let name = table.relation.name.as_str();
    let mut values = Fill::default();
    values.text("name", name);
    values.json("row", reference(&["definitions", name]));
    parameters.json(&dotted("body", name), &templates.fill("body", &values));
    for (_, column) in table.starred() {
        let mut values = Fill::default();
        values.text("name", &filter_name(&column.name));
        values.some("description", seen.column_comment(name, &column.name));
        parameters.json(&row_filter(name, &column.name), &templates.fill("filter", &values));
    }
}

#[inline(never)]
fn function_item(templates: &Templates, seen: &Seen<'_>, named: &Named<'_>) -> String {
    // Swagger has one operation for a path: of several functions the last is told, as in PostgREST.
    let Some(function) = named.all.last() else { return String::new() };
    let comment = seen.function_comment(named);
    let (first, rest) = summary(comment);
    let (mut arguments, mut required, mut properties) = (Vec::new(), Vec::new(), Members::default());
    for param in function.udf.params.iter().filter(|param| param.name != "$") {
        arguments.push(argument(templates, param));
        properties.json(&param.name, &argument_property(templates, param));
        if is_required(param) {
            required.push(param.name.clone());
        }
    }
    let mut values = Fill::default();
    values.some("description", comment);
    values.json("properties", properties.object());
    values.json("required", texts(&required));
    let raw = function.udf.params.iter().find(|param| param.name == "$");
    let body = match raw.map(|param| ColumnType::of(&param.declared)) {
        Some(ColumnType::Json) => "{}".to_owned(),
        Some(_) => templates.with("property", "type", "string"),
        None => templates.fill("definition", &values),
    };
    let mut values = Fill::default();
    values.text("name", named.name);
    values.some("summary", first);
    values.some("description", rest);
    values.json("arguments", list(&arguments));
    values.json("body", body);
    let mut item = Members::default();
    if named.by_get() {
        item.json("get", &templates.fill("function_get", &values));
    }
    item.json("post", &templates.fill("function_post", &values));
    item.object()
}

/// The values of a parameter, or of its elements, and whether it has such.
#[inline(never)]
fn values_of(param: &UdfParam) -> (Values<'_>, bool) {
    let element = param.declared.strip_suffix("[]");
    (Values::declared(element.unwrap_or(&param.declared), true), element.is_some())
}

#[inline(never)]
fn argument(templates: &Templates, param: &UdfParam) -> String {
    let (of, is_array) = values_of(param);
    let kind = swagger_type(&of);
    // An array is written in braces, and every parameter has a type.
    let is_braced = is_array && !param.variadic;
    let is_text = kind.is_empty() || is_braced;
    let format = if is_braced { param.declared.clone() } else { postgres_format(&of) };
    let mut values = Fill::default();
    values.text("name", &param.name);
    values.truth("required", is_required(param));
    values.text("type", if is_text { "string" } else { kind });
    values.some("format", &format);
    templates.fill(if param.variadic { "variadic" } else { "argument" }, &values)
}

#[inline(never)]
fn argument_property(templates: &Templates, param: &UdfParam) -> String {
    let (of, is_array) = values_of(param);
    let is_list = is_array || param.variadic;
    let format = if is_list { param.declared.clone() } else { postgres_format(&of) };
    let mut values = Fill::default();
    values.some("type", swagger_type(&of));
    values.some("format", &format);
    templates.fill(if is_list { "list" } else { "property" }, &values)
}
