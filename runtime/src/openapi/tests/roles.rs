//! What a role is not told.

use expect_test::expect;

use super::*;

/// Paths with their methods.
fn operations(document: &Json) -> String {
    let paths = document.get("paths").and_then(Json::as_object).expect("paths");
    let shown = paths.iter().map(|(path, item)| {
        let methods: Vec<&str> = item.as_object().expect("an item").keys().map(String::as_str).collect();
        format!("{path} {}", methods.join(","))
    });
    shown.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_a_role_is_not_told() {
    let of = |role, version| documented(FAMILY, POLICIES, Some(role), version);
    let shown: Vec<String> = ["reader", "editor", "dropper"]
        .iter()
        .map(|role| format!("{role}:\n{}", operations(&of(role, OpenApiVersion::V3_1))))
        .collect();
    expect![[r#"
        reader:
        / get
        /child_entities get
        /_batch post
        editor:
        / get
        /child_entities get,patch
        /rpc/for_editors get,post
        /_batch post
        dropper:
        / get
        /entities post
        /child_entities get
        /_batch post"#]]
    .assert_eq(&shown.join("\n"));
    assert!(!of("reader", OpenApiVersion::V3_1).to_string().contains("parent_id"));
    assert!(!of("reader", OpenApiVersion::V2_0).to_string().contains("parent_id"));
    let editor = of("editor", OpenApiVersion::V3_1);
    check(
        &editor,
        "/components/schemas/child_entities/properties",
        expect![[r#"
        {
          "id": {
            "type": "integer",
            "format": "int64",
            "description": "Primary key.",
            "readOnly": true
          },
          "name": {
            "description": "Masked: not what is stored."
          }
        }"#]],
    );
    check(
        &editor,
        "/components/schemas/child_entities.update/properties",
        expect![[r#"
        {
          "name": {
            "type": [
              "string",
              "null"
            ]
          }
        }"#]],
    );
    check(
        &editor,
        "/security",
        expect![[r#"
        [
          {},
          {
            "jwt": []
          }
        ]"#]],
    );
}

#[test]
fn what_is_served_for_reading() {
    let config = format!(
        "{FAMILY_CONFIG}\n[[udf]]\nname = \"clear\"\nexpose = true\nreadonly = false\nsql = \"DELETE FROM entities\"\nreturns = \"void\"\n\
         [databases.main]\nmode = \"readonly\"\n"
    );
    let document = documented(FAMILY, &config, None, OpenApiVersion::V3_1);
    expect![[r#"
        / get
        /entities get
        /child_entities get
        /names get
        /rpc/children_of get,post
        /_batch post"#]]
    .assert_eq(&operations(&document));
}
