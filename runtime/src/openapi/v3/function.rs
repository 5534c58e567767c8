//! Functions of the configuration.

use super::Context;
use super::parameters::{filters, select};
use super::table::content;
use crate::config::{Udf, UdfParam};
use crate::function::Returns;
use crate::openapi::json::{Members, list, text, texts};
use crate::openapi::names::{dotted, in_query, is_reserved, key};
use crate::openapi::seen::{Function, Named, Table, summary};
use crate::openapi::template::Fill;
use crate::openapi::types::{Values, add_example, is_required};
use crate::schema::{ColumnType, Relation};

/// The operations of a function's path.
#[inline(never)]
pub(super) fn path_item(context: &Context<'_>, named: &Named<'_>) -> String {
    let (first, rest) = summary(context.seen.function_comment(named));
    let called = ["Call `", named.name, "`"].concat();
    let (mut taken, mut arguments) = (Vec::new(), Vec::new());
    for param in arguments_of(named) {
        let name = in_query(&param.name);
        let mut values = Fill::default();
        values.text("name", &name);
        // Of several functions each has its own.
        values.truth("required", named.all.len() == 1 && is_required(param));
        values.json("schema", param_schema(context, param, true));
        arguments.push(context.templates.fill("argument", &values));
        taken.push(name);
    }
    let needs_some = named.all.iter().all(|one| one.udf.params.iter().any(is_required));
    let mut values = context.values();
    values.text("name", named.name);
    values.text("key", &key(named.name));
    values.text("summary", if first.is_empty() { &called } else { first });
    values.some("description", &described(named, rest));
    values.json("arguments", list(&arguments));
    if let Some(function) = sole(named).filter(|function| function.returns.is_set()) {
        values.text("limit", "limit");
        values.text("offset", "offset");
        if let Some(table) = exposed(context, function) {
            // Arguments go before filters of their name.
            values.json("filters", filters(context, table, &taken));
            values.json("all_filters", filters(context, table, &[]));
            values.json("select", select(context, table, true));
            values.text("order", &dotted("order", &key(&table.relation.name)));
        }
    }
    values.truth("required", needs_some);
    values.json("body", body(context, named));
    add_answers(context, named, &mut values);
    let mut item = Members::default();
    if named.by_get() {
        item.json("get", &context.templates.fill("function_get", &values));
    }
    item.json("post", &context.templates.fill("function_post", &values));
    item.object()
}

/// The function of a name of which there is one.
#[inline(never)]
fn sole<'n, 'a>(named: &'n Named<'a>) -> Option<&'n Function<'a>> {
    match named.all.as_slice() {
        [function] => Some(function),
        _ => None,
    }
}

/// What is said of it, and which functions there are where there are several.
#[inline(never)]
fn described(named: &Named<'_>, rest: &str) -> String {
    let mut words = rest.to_owned();
    if sole(named).is_some() {
        return words;
    }
    words.push_str(if rest.is_empty() { "" } else { "\n\n" });
    words.push_str("There are several, told apart by their arguments:\n");
    for udf in named.all.iter().map(|one| one.udf) {
        words.push_str(&["\n- `", &udf.name, "("].concat());
        for (at, param) in udf.params.iter().enumerate() {
            words.push_str(&[if at == 0 { "" } else { ", " }, &param.name, " ", &param.declared].concat());
        }
        words.push_str(")`");
    }
    words
}

/// A parameter's values: those of an array are its elements'. In a body NULL is one of them.
#[inline(never)]
fn param_schema(context: &Context<'_>, param: &UdfParam, in_url: bool) -> String {
    let element = param.declared.strip_suffix("[]");
    let is_list = param.variadic || element.is_some();
    let nullable = !in_url && !is_list;
    let values = Values { nullable, ..Values::declared(element.unwrap_or(&param.declared), true) };
    let mut schema = values.schema(context.version);
    if is_list {
        // An array in a URL is `{1,2}`.
        let kind = if in_url && !param.variadic { "arrayText" } else { "list" };
        let list = context.templates.with_json(kind, "row", schema.object());
        schema = Members::default();
        schema.spliced(&list);
    }
    let default = given(param, in_url);
    if default.is_empty() && !is_list {
        add_example(context.version, &mut schema, values.example());
    }
    schema.json("default", &default);
    schema.object()
}

/// What a parameter is where it is not given, as JSON.
#[inline(never)]
fn given(param: &UdfParam, in_url: bool) -> String {
    match &param.default {
        None | Some(toml::Value::Table(_) | toml::Value::Datetime(_)) => String::new(),
        Some(toml::Value::Array(_)) if in_url => String::new(),
        // JSON has no infinite numbers.
        Some(default) => {
            serde_json::to_string(default).ok().filter(|json| json != "null").unwrap_or_default()
        }
    }
}

/// The arguments that a URL can give. A parameter that means something else cannot.
#[inline(never)]
fn arguments_of<'a>(named: &Named<'a>) -> Vec<&'a UdfParam> {
    let mut found: Vec<&UdfParam> = Vec::new();
    for param in named.all.iter().filter(|one| one.udf.readonly).flat_map(|one| &one.udf.params) {
        let is_known = found.iter().any(|known| known.name == param.name);
        if param.name != "$" && !is_reserved(&param.name) && !is_known {
            found.push(param);
        }
    }
    found
}

/// The relation of the API whose rows a function returns, if the role may read it.
#[inline(never)]
fn exposed<'s>(context: &'s Context<'_>, function: &Function<'_>) -> Option<&'s Table<'s>> {
    let Returns::Relation { name, .. } = &function.returns else { return None };
    let id = *context.seen.schema.names.get(name)?;
    context.seen.read(id)
}

/// The media types that a call by POST takes.
#[inline(never)]
fn body(context: &Context<'_>, named: &Named<'_>) -> String {
    let mut content = Members::default();
    let (mut objects, mut takes_json, mut takes_bytes, mut takes_text) = (Vec::new(), false, false, false);
    for udf in named.all.iter().map(|one| one.udf) {
        let raw = udf.params.iter().find(|param| param.name == "$");
        match raw.map(|param| ColumnType::of(&param.declared)) {
            Some(ColumnType::Json) => takes_json = true,
            Some(ColumnType::Blob) => takes_bytes = true,
            Some(_) => takes_text = true,
            None => objects.push(argument_object(context, udf)),
        }
    }
    let kinds = [(takes_bytes, "application/octet-stream", "bytes"), (takes_text, "text/plain", "text")];
    for (is, name, template) in kinds {
        if is {
            content.json(name, &context.templates.fill(template, &Fill::default()));
        }
    }
    if takes_json {
        content.json("application/json", "{\"schema\":{}}");
    } else if !objects.is_empty() {
        let media = match objects.as_slice() {
            [only] => context.templates.with_json("sole", "one", only.clone()),
            _ => context.templates.with_json("any", "any", list(&objects)),
        };
        content.json("application/json", &media);
        content.json("application/x-www-form-urlencoded", &media);
    }
    content.object()
}

#[inline(never)]
fn argument_object(context: &Context<'_>, udf: &Udf) -> String {
    // What is sent to one that wants nothing is not looked at, unless it has members.
    if udf.params.is_empty() {
        return "{}".to_owned();
    }
    let (mut properties, mut required) = (Members::default(), Vec::new());
    for param in &udf.params {
        properties.json(&param.name, &param_schema(context, param, false));
        if is_required(param) {
            required.push(param.name.clone());
        }
    }
    let mut values = Fill::default();
    values.json("properties", properties.object());
    values.json("required", texts(&required));
    context.templates.fill("sent", &values)
}

/// Adds the statuses of the functions of a name, each with what they return.
#[inline(never)]
fn add_answers(context: &Context<'_>, named: &Named<'_>, values: &mut Fill) {
    let told = match listed(context, named) {
        Some(table) => dotted("page", &key(&table.relation.name)),
        None => answer_key(named),
    };
    for function in &named.all {
        match function.udf.response_status {
            Some(status) => {
                values.text("status", &status.to_string());
                values.text("own", &told);
            }
            None if function.returns == Returns::Void => values.text("204", "Nothing"),
            None => values.text("200", &told),
        }
        if function.returns.is_set() && function.udf.response_status.is_none() {
            values.text("206", &told);
        }
    }
}

/// The relation whose rows a function lists as a read of it would.
#[inline(never)]
fn listed<'s>(context: &'s Context<'_>, named: &Named<'_>) -> Option<&'s Table<'s>> {
    let function = sole(named).filter(|one| one.udf.media_type.is_none() && one.returns.is_set())?;
    exposed(context, function)
}

#[inline(never)]
fn answer_key(named: &Named<'_>) -> String {
    dotted("rpc", &key(named.name))
}

/// Adds what the functions of a name return. Of several it may be anything.
#[inline(never)]
pub(super) fn add_response(context: &Context<'_>, named: &Named<'_>, found: &mut Members) {
    let is_plain = |one: &Function<'_>| one.returns == Returns::Void && one.udf.response_status.is_none();
    if named.all.iter().all(is_plain) || listed(context, named).is_some() {
        return;
    }
    let mut made = match sole(named) {
        Some(one) => content(context, row(context, one), one.returns.is_set()),
        None => content(context, "{}".to_owned(), false),
    };
    for own in named.all.iter().filter_map(|one| one.udf.media_type.as_deref()) {
        // One of those that any answer is made as is there already.
        if !made.contains(&text(own)) {
            let mut all = Members::default();
            all.spliced(&made);
            all.json(own, &context.templates.fill("text", &Fill::default()));
            made = all.object();
        }
    }
    found.json(&answer_key(named), &context.templates.with_json("returned", "content", made));
}

/// What a function returns: the whole, or one of several.
#[inline(never)]
fn row(context: &Context<'_>, function: &Function<'_>) -> String {
    match &function.returns {
        Returns::Void => "{}".to_owned(),
        Returns::Value { declared, .. } => value(context, declared),
        Returns::Relation { .. } => match exposed(context, function) {
            Some(table) => context.templates.component("schemas", &key(&table.relation.name)),
            None => context.templates.fill("told", &Fill::default()),
        },
        Returns::Record { .. } => record(context, function.relation),
    }
}

/// A value that a function returns, which may be NULL.
#[inline(never)]
fn value(context: &Context<'_>, declared: &str) -> String {
    let element = declared.strip_suffix("[]");
    let values = Values { nullable: true, ..Values::declared(element.unwrap_or(declared), false) };
    let schema = values.schema(context.version).object();
    match element {
        Some(_) => context.templates.with_json("list", "row", schema),
        None => schema,
    }
}

/// The columns of a record that has no relation.
#[inline(never)]
fn record(context: &Context<'_>, relation: Option<&Relation>) -> String {
    let mut properties = Members::default();
    for column in relation.into_iter().flat_map(|relation| &relation.columns) {
        properties.json(&column.name, &Values::told(column, None, true).schema(context.version).object());
    }
    context.templates.with_json("told", "properties", properties.object())
}
