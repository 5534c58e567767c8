//! Arguments held against the input schema of their tool: what is plainly meant is taken, and what does not fit is refused by its name.

use serde_json::{Map, Value as Json};

/// Arguments that are columns in one text, of which models also make a list.
const COLUMNS: [&str; 3] = ["select", "order", "on_conflict"];

/// The arguments as the schema has them. One that is null is not given.
///
/// # Errors
/// A sentence that names the argument.
pub fn fitted(
    schema: &Map<String, Json>,
    mut arguments: Map<String, Json>,
) -> Result<Map<String, Json>, String> {
    arguments.retain(|_, value| !value.is_null());
    let properties = schema.get("properties").and_then(Json::as_object);
    for (name, value) in &mut arguments {
        let meant = properties.and_then(|all| all.get(name)).and_then(|own| meant(name, own, value));
        if let Some(meant) = meant {
            *value = meant;
        }
    }
    check_object(schema, &arguments, "")?;
    Ok(arguments)
}

/// What a value is plainly meant for: a number, a list or an object that stands in a text; columns that stand in a list.
fn meant(name: &str, schema: &Json, value: &Json) -> Option<Json> {
    let types = types(schema);
    let is_asked = |value: &Json| types.iter().any(|own| is_of(value, own));
    if types.is_empty() || is_asked(value) {
        return None;
    }
    let other = match value {
        Json::String(text) => serde_json::from_str::<Json>(text.trim()).ok()?,
        Json::Array(items) if COLUMNS.contains(&name) => {
            let words: Option<Vec<&str>> = items.iter().map(Json::as_str).collect();
            Json::from(words?.join(","))
        }
        _ => return None,
    };
    is_asked(&other).then_some(other)
}

/// The types that a schema allows; none: all.
fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one.as_str()],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_of(value: &Json, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

/// What a type is called, of a schema or of a value.
fn word(name: &str) -> &str {
    match name {
        "string" => "a text",
        "integer" => "a whole number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object",
        other => other,
    }
}

fn word_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

fn check(schema: &Json, value: &Json, path: &str) -> Result<(), String> {
    let types = types(schema);
    if !types.is_empty() && !types.iter().any(|own| is_of(value, own)) {
        let wanted: Vec<&str> = types.iter().map(|own| word(own)).collect();
        return Err(format!("{path} has to be {}, and is {}", wanted.join(" or "), word_of(value)));
    }
    if let Some(Json::Array(all)) = schema.get("enum")
        && !all.contains(value)
    {
        let all: Vec<&str> = all.iter().filter_map(Json::as_str).collect();
        return Err(format!("{path} has to be one of {}", all.join(", ")));
    }
    let least = schema.get("minimum").and_then(Json::as_i64);
    if let (Some(least), Some(own)) = (least, value.as_i64())
        && own < least
    {
        return Err(format!("{path} has to be {least} or more"));
    }
    match (value, schema) {
        (Json::Object(own), Json::Object(schema)) => check_object(schema, own, path),
        (Json::Array(items), _) => {
            let Some(of) = schema.get("items") else { return Ok(()) };
            let mut all = items.iter().enumerate();
            all.try_for_each(|(at, item)| check(of, item, &format!("{path}[{at}]")))
        }
        _ => Ok(()),
    }
}

fn check_object(schema: &Map<String, Json>, own: &Map<String, Json>, path: &str) -> Result<(), String> {
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else { return Ok(()) };
    let place = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let is_closed = schema.get("additionalProperties") == Some(&Json::Bool(false));
    if let Some(unknown) = own.keys().find(|name| is_closed && !properties.contains_key(name.as_str())) {
        let known: Vec<&str> = properties.keys().map(String::as_str).collect();
        return Err(format!("{} is not known; there are {}", place(unknown), known.join(", ")));
    }
    let mut required =
        schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    if let Some(missing) = required.find(|name| !own.contains_key(*name)) {
        return Err(format!("{} is missing", place(missing)));
    }
    own.iter().try_for_each(|(name, value)| match properties.get(name) {
        Some(schema) => check(schema, value, &place(name)),
        None => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(arguments: Json) -> Result<Json, String> {
        let schema = json!({
            "type": "object",
            "properties": {
                "relation": { "type": "string" },
                "select": { "type": "string" },
                "limit": { "type": "integer", "minimum": 0 },
                "count": { "type": "boolean" },
                "rows": { "type": ["object", "array"] },
                "operation": { "type": "string", "enum": ["insert", "delete"] },
                "filters": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": { "column": { "type": "string" }, "value": {} },
                        "required": ["column", "value"],
                        "additionalProperties": false
                    }
                }
            },
            "required": ["relation"],
            "additionalProperties": false
        });
        let schema = schema.as_object().expect("an object");
        let arguments = arguments.as_object().expect("an object").clone();
        fitted(schema, arguments).map(Json::Object)
    }

    #[test]
    fn what_is_plainly_meant_is_taken() {
        let given = json!({
            "relation": "12", "select": ["id", "a(b)"], "limit": "5", "count": "true", "rows": "[{\"a\": \"1\"}]",
            "filters": "[{\"column\": \"a\", \"value\": null}]", "operation": null
        });
        let meant = json!({
            "relation": "12", "select": "id,a(b)", "limit": 5, "count": true, "rows": [{ "a": "1" }],
            "filters": [{ "column": "a", "value": null }]
        });
        assert_eq!(of(given), Ok(meant));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (more, message) in [
            (json!({ "limit": "all" }), "limit has to be a whole number, and is a text"),
            (json!({ "limit": 1.5 }), "limit has to be a whole number, and is a number"),
            (json!({ "limit": -1 }), "limit has to be 0 or more"),
            (json!({ "relation": ["a"] }), "relation has to be a text, and is a list"),
            (json!({ "relation": null }), "relation is missing"),
            (json!({ "select": [1] }), "select has to be a text, and is a list"),
            (json!({ "rows": "a" }), "rows has to be an object or a list, and is a text"),
            (json!({ "operation": "drop" }), "operation has to be one of insert, delete"),
            (json!({ "filters": [{ "value": 1 }] }), "filters[0].column is missing"),
            (
                json!({ "filters": [{ "column": 1, "value": 1 }] }),
                "filters[0].column has to be a text, and is a number",
            ),
            (
                json!({ "filters": [{ "column": "a", "value": 1, "op": "eq" }] }),
                "filters[0].op is not known; there are column, value",
            ),
            (
                json!({ "where": "1=1" }),
                "where is not known; there are relation, select, limit, count, rows, operation, filters",
            ),
        ] {
            let mut arguments = json!({ "relation": "a" });
            let all = more.as_object().expect("an object").clone();
            arguments.as_object_mut().expect("an object").extend(all);
            assert_eq!(of(arguments), Err(message.to_owned()), "{more}");
        }
    }
}
