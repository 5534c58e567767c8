//! Documents of small schemas; what a role is not told; and that no name and no type makes a document that is none.

mod documents;
mod roles;
mod root;
mod sound;
mod types;

use std::sync::Arc;

use expect_test::Expect;
use serde_json::Value as Json;

use super::*;
use crate::schema::catalog::Catalog;
use crate::schema::read_configured;

const FAMILY: &str = "
    entities: id* INTEGER, name VARCHAR(20)
    child_entities: id* INTEGER, name TEXT, parent_id INTEGER > entities.id
    view names: name TEXT
";

const FAMILY_CONFIG: &str = r#"
    [comments]
    schema = "My API\n\nWhat it is for"
    [comments.table]
    child_entities = "child_entities comment"
    entities = "Entities summary\n\nEntities description\nof two lines"
    [comments.column]
    "child_entities.id" = "child_entities id comment"
    [[udf]]
    name = "children_of"
    expose = true
    description = "Children\nof a parent"
    sql = "SELECT * FROM child_entities WHERE parent_id = :parent"
    params = [{ name = "parent", type = "integer" }, { name = "tags", type = "text[]", default = ["a"] }]
    returns = "table child_entities"
"#;

const VERSIONS: [OpenApiVersion; 3] = [OpenApiVersion::V2_0, OpenApiVersion::V3_0, OpenApiVersion::V3_1];

/// The document of a schema for a role.
fn documented(schema: &str, config: &str, role: Option<&str>, version: OpenApiVersion) -> Json {
    let config = Config::load("", config, []).expect("a configuration");
    let schema = Arc::new(read_configured(&config, &mut Catalog::of(schema)).expect("a schema"));
    let schema = schema.for_role(&config, role);
    let may_call = |udf: &Udf| udf.roles.iter().any(|own| own == "*" || Some(own.as_str()) == role);
    let described = Described { version, may_call: &may_call, host: Some("localhost:3000"), profile: None };
    serde_json::from_str(&document(&config, &schema, &described)).expect("JSON")
}

/// What stands at a place of the document, as JSON.
fn check(document: &Json, pointer: &str, expected: Expect) {
    let found = document.pointer(pointer).unwrap_or(&Json::Null);
    expected.assert_eq(&serde_json::to_string_pretty(found).expect("JSON"));
}

const POLICIES: &str = r#"
    [api]
    anonymous_role = "reader"
    [auth.jwt]
    secret = "reallyreallyreallyreallyverysafe"
    [policies]
    default_action = "deny"
    [[policies.policy]]
    name = "names of children"
    table = "child_entities"
    operations = ["select"]
    [policies.policy.columns]
    hidden = ["parent_id"]
    masked = { name = "'***'" }
    [[policies.policy]]
    name = "editors rename"
    table = "child_entities"
    roles = ["editor"]
    operations = ["update"]
    [policies.policy.columns]
    writable = ["name"]
    [[policies.policy]]
    name = "dropping in"
    table = "entities"
    roles = ["dropper"]
    operations = ["insert"]
    [[udf]]
    name = "for_editors"
    expose = true
    roles = ["editor"]
    sql = "SELECT 1"
    returns = "scalar integer"
    [[udf]]
    name = "not_exposed"
    sql = "SELECT 1"
    returns = "scalar integer"
"#;
