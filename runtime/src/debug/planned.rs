//! A request as it was read and as it was planned, in few words.

use serde_json::{Map, Value as Json, json};

use crate::api_request::{Action, ApiRequest};
use crate::field::{Field, JsonKey};
use crate::filter::{Comparison, Condition, Connective, Filter, Is, Operand, Test};
use crate::order::{Direction, Nulls, OrderTerm};
use crate::plan::{Embed, FieldValue, OrderValue, Plan, Read, Returning};
use crate::schema::{RelationId, SchemaCache};
use crate::select::{SelectColumn, SelectItem};

/// A request as it was read: nothing is known of its names yet.
pub fn parsed(request: &ApiRequest) -> Json {
    let params = &request.params;
    let mut told = Map::new();
    let mut tell = |name: &str, value: Json| drop(told.insert(name.to_owned(), value));
    tell("action", json!(action(&request.action)));
    tell("target", json!(request.relation));
    if let Action::Batch(operations) = &request.action {
        tell("operations", operations.iter().map(parsed).collect());
    }
    if let Action::Insert(payload) | Action::Put(payload) | Action::Update(payload) = &request.action {
        tell("rows", json!(payload.rows.len()));
        tell("columns", json!(params.columns.as_ref().unwrap_or(&payload.columns)));
    }
    tell("select", json!(params.select.as_ref().map(|items| items.iter().map(item).collect::<Vec<_>>())));
    let filters = params.filters.iter().map(|(path, own)| at(path, &condition(own)));
    tell("filters", filters.collect());
    let orders =
        params.order.iter().flat_map(|(path, terms)| terms.iter().map(move |term| at(path, &order(term))));
    tell("order", orders.collect());
    tell("limit", params.limits.iter().map(|(path, limit)| at(path, &limit.to_string())).collect());
    tell("offset", params.offsets.iter().map(|(path, offset)| at(path, &offset.to_string())).collect());
    tell("media_type", json!(request.media_type.content_type()));
    Json::Object(told)
}

fn action(action: &Action) -> &'static str {
    match action {
        Action::Read { .. } => "read",
        Action::Insert(_) => "insert",
        Action::Put(_) => "put",
        Action::Update(_) => "update",
        Action::Delete => "delete",
        Action::Options => "options",
        Action::Call(_) => "call",
        Action::Batch(_) => "batch",
        Action::Describe(_) => "describe",
    }
}

/// What is said of an embed, with the way to it.
fn at(path: &[String], text: &str) -> Json {
    if path.is_empty() { json!(text) } else { json!(format!("{}: {text}", path.join("."))) }
}

fn item(item: &SelectItem) -> String {
    match item {
        SelectItem::Distinct => "distinct".to_owned(),
        SelectItem::Star => "*".to_owned(),
        SelectItem::Column(column) => self::column(column),
        SelectItem::Embed(embed) => {
            let inner: Vec<String> = embed.select.iter().map(self::item).collect();
            format!("{}({})", embed.target, inner.join(","))
        }
    }
}

fn column(own: &SelectColumn) -> String {
    let alias = own.alias.as_ref().map(|alias| format!("{alias}:")).unwrap_or_default();
    let cast = own.cast.as_ref().map(|cast| format!("::{cast}")).unwrap_or_default();
    let aggregate = own.aggregate.map(|own| format!(".{}()", own.name())).unwrap_or_default();
    format!("{alias}{}{cast}{aggregate}", field(&own.field))
}

fn field(own: &Field) -> String {
    let mut text = own.name.clone();
    for step in &own.path {
        text.push_str(if step.as_text { "->>" } else { "->" });
        match &step.key {
            JsonKey::Member(name) => text.push_str(name),
            JsonKey::Element(at) => text.push_str(&at.to_string()),
        }
    }
    text
}

fn condition(own: &Condition) -> String {
    match own {
        Condition::Filter(Filter { field, negated, test }) => {
            let not = if *negated { "not." } else { "" };
            format!("{}.{not}{}", self::field(field), self::test(test))
        }
        Condition::Logic { negated, connective, terms } => {
            let not = if *negated { "not." } else { "" };
            let word = match connective {
                Connective::And => "and",
                Connective::Or => "or",
            };
            let terms: Vec<String> = terms.iter().map(condition).collect();
            format!("{not}{word}({})", terms.join(","))
        }
    }
}

fn test(own: &Test) -> String {
    match own {
        Test::Compare(comparison, operand) => {
            let word = match comparison {
                Comparison::Eq => "eq",
                Comparison::Neq => "neq",
                Comparison::Gt => "gt",
                Comparison::Gte => "gte",
                Comparison::Lt => "lt",
                Comparison::Lte => "lte",
            };
            self::operand(word, operand)
        }
        Test::Like { pattern, ignore_case } => operand(if *ignore_case { "ilike" } else { "like" }, pattern),
        Test::Match { pattern, ignore_case } => {
            operand(if *ignore_case { "imatch" } else { "match" }, pattern)
        }
        Test::In(values) => format!("in.({})", values.join(",")),
        Test::Is(is) => match is {
            Is::Null => "is.null",
            Is::NotNull => "is.not_null",
            Is::True => "is.true",
            Is::False => "is.false",
            Is::Unknown => "is.unknown",
        }
        .to_owned(),
        Test::IsDistinct(operand) => self::operand("isdistinct", operand),
        Test::Contains(text) => format!("cs.{text}"),
        Test::ContainedBy(text) => format!("cd.{text}"),
        Test::Overlaps(text) => format!("ov.{text}"),
        Test::FullText { operator, language, query } => {
            let language = language.as_ref().map(|own| format!("({own})")).unwrap_or_default();
            format!("{operator}{language}.{query}")
        }
        Test::Range(operator) => (*operator).to_owned(),
    }
}

fn operand(word: &str, own: &Operand) -> String {
    match own {
        Operand::One(value) => format!("{word}.{value}"),
        Operand::Any(values) => format!("{word}(any).{{{}}}", values.join(",")),
        Operand::All(values) => format!("{word}(all).{{{}}}", values.join(",")),
        Operand::Column(other) => format!("{word}(col).{}", field(other)),
    }
}

fn order(own: &OrderTerm) -> String {
    let name = field(&own.field);
    let name = own.embed.as_ref().map_or_else(|| name.clone(), |embed| format!("{embed}({name})"));
    format!("{name}.{}", way(own.direction, own.nulls))
}

fn way(direction: Direction, nulls: Nulls) -> String {
    let direction = match direction {
        Direction::Ascending => "asc",
        Direction::Descending => "desc",
    };
    let nulls = match nulls {
        Nulls::First => "nullsfirst",
        Nulls::Last => "nullslast",
    };
    format!("{direction}.{nulls}")
}

/// A plan: every name is a relation's, a column's or a relationship's.
pub fn planned(schema: &SchemaCache, plan: &Plan) -> Json {
    let name = |id: RelationId| schema.relations.get(id).map(|relation| relation.name.clone());
    let names = |id: RelationId, places: &mut dyn Iterator<Item = usize>| -> Vec<String> {
        let mut places: Vec<usize> = places.collect();
        places.sort_unstable();
        places.dedup();
        let relation = schema.relations.get(id);
        relation.map(|own| own.column_names(&places).map(str::to_owned).collect()).unwrap_or_default()
    };
    match plan {
        Plan::Read { read, count, .. } => {
            json!({ "operation": "select", "counts": count, "rows": rows(schema, read) })
        }
        Plan::Call { call, count } => {
            let rows = call.read.as_ref().map(|read| rows(schema, read));
            json!({ "operation": "call", "counts": count, "rows": rows })
        }
        Plan::Insert(insert) => {
            let id = insert.target.relation;
            let columns = names(id, &mut insert.rows.iter().flat_map(|run| run.columns.iter().copied()));
            let count: usize = insert.rows.iter().map(|run| run.values.len()).sum();
            let key = insert.conflict.as_ref().map(|own| names(id, &mut own.key.iter().copied()));
            let merge = insert.conflict.as_ref().map(|own| own.merge);
            json!({ "operation": "insert", "relation": name(id), "inserted": count, "columns": columns,
                "conflict_key": key, "merges": merge, "returns": returns(schema, &insert.returning) })
        }
        Plan::InsertTree(tree) => {
            json!({ "operation": "insert", "relation": name(tree.target.relation), "inserted": tree.rows.len(),
                "relations": tree.rows.iter().map(|row| name(row.relation)).collect::<Vec<_>>(),
                "returns": returns(schema, &tree.returning) })
        }
        Plan::Update(update) => {
            let id = update.target.relation;
            let places = update.changes.iter().flat_map(|own| own.assignments.iter().map(|(at, _)| *at));
            let conditions: usize = update.changes.iter().map(|own| own.conditions.len()).sum();
            json!({ "operation": "update", "relation": name(id), "changes": update.changes.len(),
                "columns": names(id, &mut { places }), "conditions": conditions,
                "returns": returns(schema, &update.returning) })
        }
        Plan::Delete(delete) => {
            json!({ "operation": "delete", "relation": name(delete.target.relation),
                "conditions": delete.conditions.len(), "returns": returns(schema, &delete.returning) })
        }
        Plan::Options(_) => json!({ "operation": "options" }),
    }
}

fn returns(schema: &SchemaCache, returning: &Returning) -> Json {
    match returning {
        Returning::Count => json!("count"),
        Returning::Location => json!("location"),
        Returning::Rows(read) | Returning::Written(read) => rows(schema, read),
    }
}

/// Rows of a relation, and what is embedded into them.
fn rows(schema: &SchemaCache, read: &Read) -> Json {
    let relation = schema.relations.get(read.source.relation);
    let name = |place: usize| relation.and_then(|own| own.columns.get(place)).map(|own| own.name.clone());
    let mut columns = Vec::new();
    let mut embeds = Vec::new();
    for field in &read.fields {
        match &field.value {
            FieldValue::Column(value) => columns.extend(name(value.column.column)),
            FieldValue::CountRows(_) => columns.push("count()".to_owned()),
            FieldValue::Embed(own)
            | FieldValue::Lifted(own)
            | FieldValue::LiftedAggregate { embed: own, .. } => {
                embeds.push(embed(schema, &field.name, own));
            }
        }
    }
    let order = read.order.iter().map(|term| {
        let value = match &term.value {
            OrderValue::Column(value) => name(value.column.column).unwrap_or_default(),
            OrderValue::Rowid(_) => "rowid".to_owned(),
            OrderValue::CountRows => "count()".to_owned(),
            OrderValue::Embed(own) => own.relationship.constraint.clone(),
            OrderValue::Rank { .. } => "rank()".to_owned(),
        };
        format!("{value}.{}", way(term.direction, term.nulls))
    });
    json!({
        "relation": relation.map(|own| own.name.as_str()),
        "columns": columns,
        "distinct": read.distinct,
        "conditions": read.conditions.len(),
        "order": order.collect::<Vec<_>>(),
        "limit": read.limit,
        "offset": read.offset,
        "embeds": embeds,
    })
}

fn embed(schema: &SchemaCache, name: &str, own: &Embed) -> Json {
    let junction = own.junction.and_then(|source| schema.relations.get(source.relation));
    json!({
        "name": name,
        "cardinality": own.relationship.cardinality.name(),
        "by": own.relationship.constraint,
        "junction": junction.map(|own| own.name.as_str()),
        "rows": rows(schema, &own.read),
    })
}
