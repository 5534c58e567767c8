//! What the versions say of a small schema.

use std::collections::BTreeSet;

use expect_test::{expect, expect_file};

use super::*;

/// The document of the small schema. Every release has another version of the API.
fn family(version: OpenApiVersion) -> Json {
    let mut document = documented(FAMILY, FAMILY_CONFIG, None, version);
    document["info"]["version"] = Json::from("0.0.0");
    document
}

#[test]
fn documents_of_each_version() {
    let pretty = |document: &Json| serde_json::to_string_pretty(document).expect("JSON") + "\n";
    expect_file!["./2.0.json"].assert_eq(&pretty(&family(OpenApiVersion::V2_0)));
    // Of one table and of what is for all tables: what every document has stands in a file of its own.
    let mut own = family(OpenApiVersion::V3_1);
    let is_shown = |key: &str| key.contains("child") || key.starts_with("prefer") || key == "/";
    for part in ["/paths", "/components/schemas", "/components/parameters", "/components/responses"] {
        let part = own.pointer_mut(part).and_then(Json::as_object_mut).expect("a part");
        part.retain(|key, _| is_shown(key));
    }
    own["components"].as_object_mut().expect("components").remove("headers");
    expect_file!["./3.1.json"].assert_eq(&pretty(&own));
}

/// Where two documents differ.
fn differences(place: &str, one: &Json, other: &Json, found: &mut Vec<String>) {
    match (one, other) {
        (Json::Object(a), Json::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let of =
                    |members: &serde_json::Map<String, Json>| members.get(name).cloned().unwrap_or_default();
                differences(&format!("{place}/{name}"), &of(a), &of(b), found);
            }
        }
        (one, other) if one != other => found.push(format!("{place}: {one} {other}")),
        _ => {}
    }
}

#[test]
fn what_3_0_says_otherwise() {
    let schema = "
        parents: id* INTEGER
        children: id* INTEGER, n! NUMERIC, k TEXT, cover BLOB, parent_id INTEGER > parents.id CHECK n > 0 AND k IN ('x')
    ";
    let of = |version| documented(schema, "", None, version);
    let (new, old) = (of(OpenApiVersion::V3_1), of(OpenApiVersion::V3_0));
    let mut found = Vec::new();
    differences("", &new, &old, &mut found);
    // The filters differ in their examples alone, and another table in nothing that is new.
    found.retain(|one| !one.contains("filter.") && !one.contains("/parents") && !one.contains(".update"));
    expect![[r#"
        /components/schemas/api.Error/properties/hint/nullable: null true
        /components/schemas/api.Error/properties/hint/type: ["string","null"] "string"
        /components/schemas/children/properties/cover/contentEncoding: "base64" null
        /components/schemas/children/properties/cover/nullable: null true
        /components/schemas/children/properties/cover/type: ["string","null"] "string"
        /components/schemas/children/properties/k/nullable: null true
        /components/schemas/children/properties/k/type: ["string","null"] "string"
        /components/schemas/children/properties/n/exclusiveMinimum: 0 true
        /components/schemas/children/properties/n/minimum: null 0
        /components/schemas/children/properties/parent_id/nullable: null true
        /components/schemas/children/properties/parent_id/type: ["integer","null"] "integer"
        /components/schemas/children.conditions/example: null "(id.not.is.null)"
        /components/schemas/children.conditions/examples: ["(id.not.is.null)"] null
        /components/schemas/children.insert/properties/cover/contentEncoding: "base64" null
        /components/schemas/children.insert/properties/cover/nullable: null true
        /components/schemas/children.insert/properties/cover/type: ["string","null"] "string"
        /components/schemas/children.insert/properties/id/nullable: null true
        /components/schemas/children.insert/properties/id/type: ["integer","null"] "integer"
        /components/schemas/children.insert/properties/k/nullable: null true
        /components/schemas/children.insert/properties/k/type: ["string","null"] "string"
        /components/schemas/children.insert/properties/n/exclusiveMinimum: 0 true
        /components/schemas/children.insert/properties/n/minimum: null 0
        /components/schemas/children.insert/properties/parent_id/nullable: null true
        /components/schemas/children.insert/properties/parent_id/type: ["integer","null"] "integer"
        /openapi: "3.1.0" "3.0.3""#]]
    .assert_eq(&found.join("\n"));
}

#[test]
fn what_postgrest_says_of_a_table() {
    let document = documented(FAMILY, FAMILY_CONFIG, None, OpenApiVersion::V2_0);
    check(
        &document,
        "/definitions/child_entities",
        expect![[r#"
            {
              "type": "object",
              "description": "child_entities comment",
              "properties": {
                "id": {
                  "description": "child_entities id comment\n\nNote:\nThis is a Primary Key.<pk/>",
                  "format": "int64",
                  "type": "integer"
                },
                "name": {
                  "format": "text",
                  "type": "string"
                },
                "parent_id": {
                  "description": "Note:\nThis is a Foreign Key to `entities.id`.<fk table='entities' column='id'/>",
                  "format": "int64",
                  "type": "integer"
                }
              },
              "required": [
                "id"
              ]
            }"#]],
    );
    let parameters = document.pointer("/paths/~1child_entities/get/parameters").expect("parameters");
    let names: Vec<&str> = parameters
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one.get("$ref")?.as_str()?.strip_prefix("#/parameters/"))
        .collect();
    let expected = "rowFilter.child_entities.id rowFilter.child_entities.name rowFilter.child_entities.parent_id \
                    select order range rangeUnit offset limit preferCount";
    assert_eq!(names.join(" "), expected);
}

#[test]
fn security_of_swagger_is_told_on_request() {
    let of = |config| documented(FAMILY, config, None, OpenApiVersion::V2_0);
    let silent = of(FAMILY_CONFIG);
    assert!(silent.get("security").is_none() && silent.get("securityDefinitions").is_none());
    let telling = of("[api]\nopenapi_security_active = true\n");
    assert_eq!(telling["security"].to_string(), r#"[{"JWT":[]}]"#);
    check(
        &telling,
        "/securityDefinitions",
        expect![[r#"
            {
              "JWT": {
                "description": "Add the token prepending \"Bearer \" (without quotes) to it",
                "in": "header",
                "name": "Authorization",
                "type": "apiKey"
              }
            }"#]],
    );
}

#[test]
fn types_defaults_and_checks() {
    let schema = "
        items: id* INTEGER, t TEXT = 'default', b BOOLEAN = 0, i INTEGER = 42, n NUMERIC = 42.2, r! REAL, d DATETIME = CURRENT_TIMESTAMP, k! BLOB, j JSON = '{\"a\": 1}', s TEXT, v! VARCHAR(8), z TIMESTAMPTZ, m MONEY, g TEXT @ CHECK s IN ('a', 'b') AND i > 0 AND r BETWEEN 0 AND 1 AND length(v) >= 6
    ";
    check(
        &documented(schema, "", None, OpenApiVersion::V2_0),
        "/definitions/items/properties",
        expect![[r#"
            {
              "id": {
                "description": "Note:\nThis is a Primary Key.<pk/>",
                "format": "int64",
                "type": "integer"
              },
              "t": {
                "default": "default",
                "format": "text",
                "type": "string"
              },
              "b": {
                "default": false,
                "format": "boolean",
                "type": "boolean"
              },
              "i": {
                "default": 42,
                "format": "int64",
                "type": "integer"
              },
              "n": {
                "default": 42.2,
                "format": "numeric",
                "type": "number"
              },
              "r": {
                "format": "double",
                "type": "number"
              },
              "d": {
                "format": "timestamp without time zone",
                "type": "string"
              },
              "k": {
                "format": "bytea",
                "type": "string"
              },
              "j": {
                "default": {
                  "a": 1
                },
                "format": "json"
              },
              "s": {
                "enum": [
                  "a",
                  "b"
                ],
                "format": "text",
                "type": "string"
              },
              "v": {
                "format": "character varying",
                "minLength": 6,
                "maxLength": 8,
                "type": "string"
              },
              "z": {
                "format": "timestamp with time zone",
                "type": "string"
              },
              "m": {
                "format": "money",
                "type": "string"
              },
              "g": {
                "format": "text",
                "type": "string"
              }
            }"#]],
    );
    check(
        &documented(schema, "", None, OpenApiVersion::V3_0),
        "/components/schemas/items.insert",
        expect![[r#"
            {
              "type": "object",
              "properties": {
                "id": {
                  "type": "integer",
                  "nullable": true,
                  "format": "int64"
                },
                "t": {
                  "type": "string",
                  "nullable": true,
                  "default": "default"
                },
                "b": {
                  "type": "boolean",
                  "nullable": true,
                  "default": false
                },
                "i": {
                  "type": "integer",
                  "nullable": true,
                  "format": "int64",
                  "minimum": 0,
                  "exclusiveMinimum": true,
                  "default": 42
                },
                "n": {
                  "type": "number",
                  "nullable": true,
                  "default": 42.2
                },
                "r": {
                  "type": "number",
                  "format": "double",
                  "minimum": 0,
                  "maximum": 1
                },
                "d": {
                  "type": "string",
                  "nullable": true,
                  "format": "date-time"
                },
                "k": {
                  "type": "string",
                  "format": "byte"
                },
                "j": {
                  "default": {
                    "a": 1
                  }
                },
                "s": {
                  "type": "string",
                  "nullable": true,
                  "enum": [
                    "a",
                    "b",
                    null
                  ]
                },
                "v": {
                  "type": "string",
                  "minLength": 6,
                  "maxLength": 8
                },
                "z": {
                  "type": "string",
                  "nullable": true,
                  "format": "date-time"
                },
                "m": {}
              },
              "required": [
                "r",
                "k",
                "v"
              ],
              "additionalProperties": false,
              "example": {
                "r": 0,
                "k": "AP8=",
                "v": "textte"
              }
            }"#]],
    );
    check(
        &documented(schema, "", None, OpenApiVersion::V3_1),
        "/components/schemas/items",
        expect![[r#"
        {
          "type": "object",
          "properties": {
            "id": {
              "type": "integer",
              "format": "int64",
              "description": "Primary key."
            },
            "t": {
              "type": [
                "string",
                "null"
              ]
            },
            "b": {
              "type": [
                "boolean",
                "null"
              ]
            },
            "i": {
              "type": [
                "integer",
                "null"
              ],
              "format": "int64",
              "exclusiveMinimum": 0
            },
            "n": {
              "type": [
                "number",
                "null"
              ]
            },
            "r": {
              "type": "number",
              "format": "double",
              "minimum": 0,
              "maximum": 1
            },
            "d": {
              "type": [
                "string",
                "null"
              ]
            },
            "k": {
              "type": "string",
              "format": "byte",
              "contentEncoding": "base64"
            },
            "j": {},
            "s": {
              "type": [
                "string",
                "null"
              ],
              "enum": [
                "a",
                "b",
                null
              ]
            },
            "v": {
              "type": "string",
              "minLength": 6
            },
            "z": {
              "type": [
                "string",
                "null"
              ]
            },
            "m": {},
            "g": {
              "type": [
                "string",
                "null"
              ],
              "description": "Made by the database.",
              "readOnly": true
            }
          }
        }"#]],
    );
}

#[test]
fn files_of_this_module_are_json() {
    for file in [v2::TEMPLATES, v3::TEMPLATES, v3::COMPONENTS] {
        assert!(serde_json::from_str::<Json>(file).is_ok_and(|members| members.is_object()));
    }
}
