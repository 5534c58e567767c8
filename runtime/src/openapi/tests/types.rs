//! The types of TypeScript.

use expect_test::{expect, expect_file};

use super::*;

#[test]
fn types_for_supabase_js() {
    let config = Config::load("", FAMILY_CONFIG, []).expect("a configuration");
    let schema = read_configured(&config, &mut Catalog::of(FAMILY)).expect("a schema");
    expect_file!["./database.ts"].assert_eq(&typescript::database(&config, &schema, &|_| true, "public"));
    let schema = "
        items: id* INTEGER, kind! TEXT, j JSON, any, g TEXT @, d! DATE CHECK kind IN ('a', 'b\"')
        view shown: id INTEGER, kind TEXT
    ";
    let config = Config::load(
        "",
        r#"
        [[computed_column]]
        table = "items"
        name = "twice"
        type = "integer"
        sql = "{row}.id * 2"
        [[udf]]
        name = "one"
        expose = true
        sql = "SELECT :x"
        params = [{ name = "x", type = "integer" }]
        returns = "scalar integer"
        [[udf]]
        name = "one"
        expose = true
        sql = "SELECT :body"
        params = [{ name = "$", type = "json" }]
        returns = "setof record"
        [[udf]]
        name = "no body"
        expose = true
        readonly = false
        sql = "DELETE FROM items"
        returns = "void"
        "#,
        [],
    )
    .expect("a configuration");
    let schema = read_configured(&config, &mut Catalog::of(schema)).expect("a schema");
    let text = typescript::database(&config, &schema, &|_| true, "my schema");
    let body = text.split("__InternalSupabase").nth(1).unwrap_or_default();
    expect![[r#"
        : {
            PostgrestVersion: "14.1"
          }
          "my schema": {
            Tables: {
              items: {
                Row: {
                  any: unknown
                  d: string
                  g: string | null
                  id: number
                  j: Json | null
                  kind: Database["my schema"]["Enums"]["items_kind"]
                  twice: number | null
                }
                Insert: {
                  any?: unknown
                  d: string
                  g?: never
                  id?: number
                  j?: Json | null
                  kind: Database["my schema"]["Enums"]["items_kind"]
                }
                Update: {
                  any?: unknown
                  d?: string
                  g?: never
                  id?: number
                  j?: Json | null
                  kind?: Database["my schema"]["Enums"]["items_kind"]
                }
                Relationships: []
              }
            }
            Views: {
              shown: {
                Row: {
                  id: number | null
                  kind: string | null
                }
                Relationships: []
              }
            }
            Functions: {
              "no body": {
                Args: never
                Returns: undefined
              }
              one:
                | {
                  Args: {
                    x: number
                  }
                  Returns: number
                }
                | {
                  Args: Record<string, unknown>
                  Returns: { a: unknown; b: unknown }[]
                }
            }
            Enums: {
              items_kind: "a" | "b\""
            }
            CompositeTypes: {
              [_ in never]: never
            }
          }
        }

        type Schema = Database["my schema"]
        type Relations = Schema["Tables"] & Schema["Views"]
        type Written<Part extends "Insert" | "Update"> = {
          [Name in keyof Relations as Relations[Name] extends Record<Part, unknown> ? Name : never]: Relations[Name]
        }

        export type Tables<Name extends keyof Relations> = Relations[Name] extends { Row: infer Row } ? Row : never

        export type TablesInsert<Name extends keyof Written<"Insert">> = Written<"Insert">[Name] extends { Insert: infer Row }
          ? Row
          : never

        export type TablesUpdate<Name extends keyof Written<"Update">> = Written<"Update">[Name] extends { Update: infer Row }
          ? Row
          : never

        export type Enums<Name extends keyof Schema["Enums"]> = Schema["Enums"][Name]

        export const Constants = {
          "my schema": {
            Enums: {
              items_kind: ["a", "b\""],
            },
          },
        } as const
    "#]].assert_eq(body);
}

#[test]
fn what_a_role_is_not_typed() {
    let config = Config::load("", POLICIES, []).expect("a configuration");
    let schema = Arc::new(read_configured(&config, &mut Catalog::of(FAMILY)).expect("a schema"));
    let editor = schema.for_role(&config, Some("editor"));
    let text =
        typescript::database(&config, &editor, &|udf| udf.roles.iter().any(|r| r == "editor"), "public");
    let start = text.find("Tables: {").expect("tables");
    let end = text.find("Enums: {").expect("enums");
    expect![[r#"
        Tables: {
              child_entities: {
                Row: {
                  id: number
                  name: unknown
                }
                Insert: {
                  id?: never
                  name?: never
                }
                Update: {
                  id?: never
                  name?: string | null
                }
                Relationships: []
              }
            }
            Views: {
              [_ in never]: never
            }
            Functions: {
              for_editors: {
                Args: never
                Returns: number
              }
            }
    "#]]
    .assert_eq(&format!("{}\n", text[start..end].trim_end()));
}
