//! `GET /` and its kin.

use expect_test::expect;

use super::*;
use crate::http::{Request, Response};
use crate::identity::Identity;
use crate::openapi::describe::MEDIA_TYPE;

/// The answer to a request.
fn answer(method: &str, target: &str, headers: &[(&str, &str)], config: &str) -> Response {
    let config = Config::load("", config, []).expect("a configuration");
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let identity = Arc::new(Identity::anonymous(&config));
    let request = Request { method, target, headers: &headers, body: b"" };
    match crate::parse(&config, &identity, &request) {
        Ok(parsed) => crate::respond(&config, &mut Arc::default(), parsed, &mut Catalog::of(FAMILY)),
        Err(response) => response,
    }
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value.as_str())
}

fn json(response: &Response) -> Json {
    serde_json::from_slice(&response.body).expect("JSON")
}

#[test]
fn the_root_answers_with_it() {
    let plain = answer("GET", "/", &[], "");
    assert_eq!(plain.status, 200);
    assert_eq!(header(&plain, "content-type"), "application/openapi+json; charset=utf-8");
    assert_eq!(header(&plain, "vary"), "Accept, Prefer, Range");
    assert_eq!(json(&plain)["openapi"], "3.1.0");
    assert_eq!(json(&plain)["servers"][0]["url"], "/");
    let etag = header(&plain, "etag").to_owned();
    let head = answer("HEAD", "/", &[("accept", "*/*")], "");
    assert_eq!((head.status, head.body.len(), header(&head, "etag")), (200, 0, etag.as_str()));
    assert_eq!(head.content_length, Some(plain.body.len() as u64));
    let known = answer("GET", "/", &[("if-none-match", &etag)], "");
    assert_eq!((known.status, known.body.len()), (304, 0));
    assert_eq!(answer("GET", "/", &[("if-match", "\"x\"")], "").status, 412);
    let swagger =
        answer("GET", "/?openapi=2.0", &[("accept", "application/json"), ("host", "a.example:80")], "");
    assert_eq!(header(&swagger, "content-type"), "application/json; charset=utf-8");
    assert_eq!(
        (json(&swagger)["host"].as_str(), json(&swagger)["basePath"].as_str()),
        (Some("a.example:80"), Some("/"))
    );
    let forged = answer("GET", "/?openapi=2.0", &[("host", "a\"><script>")], "");
    assert!(json(&forged).get("host").is_none());
}

#[test]
fn what_else_the_root_answers() {
    let code = |method, target, headers: &[(&str, &str)], config| {
        let response = answer(method, target, headers, config);
        let code = header(&response, "proxy-status").rsplit('=').next().unwrap_or_default().to_owned();
        (response.status, code)
    };
    let with = |code: &str| code.to_owned();
    assert_eq!(code("POST", "/", &[], ""), (405, with("PGRST117")));
    assert_eq!(code("GET", "/", &[("accept", "text/csv")], ""), (406, with("PGRST107")));
    assert_eq!(code("GET", "/entities", &[("accept", MEDIA_TYPE)], ""), (406, with("PGRST107")));
    assert_eq!(code("GET", "/?openapi=1.2", &[], ""), (400, with("PGRST100")));
    assert_eq!(code("GET", "/", &[("accept-profile", "other")], ""), (406, with("PGRST106")));
    let disabled = "[api]\nopenapi = \"disabled\"\n";
    assert_eq!(code("GET", "/", &[], disabled), (404, with("PGRST126")));
    assert_eq!(code("OPTIONS", "/", &[], disabled), (404, with("PGRST126")));
    let options = answer("OPTIONS", "/", &[], "");
    assert_eq!((options.status, header(&options, "allow")), (200, "OPTIONS,GET,HEAD"));
    let below = answer("GET", "/rest/v1", &[], "[api]\nbase_path = \"/rest/v1\"\n");
    assert_eq!(json(&below)["servers"][0]["url"], "/rest/v1");
    let named = answer("GET", "/", &[("accept-profile", "public")], "");
    check(
        &json(&named),
        "/paths/~1_batch/post/parameters",
        expect![[r#"
        [
          {
            "name": "Content-Profile",
            "in": "header",
            "description": "The schema.",
            "required": true,
            "schema": {
              "type": "string",
              "enum": [
                "main"
              ]
            }
          }
        ]"#]],
    );
}

#[test]
fn privileges_are_followed_unless_they_are_not_to_be() {
    let ignored = POLICIES.replace("[api]", "[api]\nopenapi = \"ignore-privileges\"");
    let follows = answer("GET", "/", &[], POLICIES);
    assert_eq!(header(&follows, "vary"), "Accept, Prefer, Range");
    assert!(!String::from_utf8_lossy(&follows.body).contains("for_editors"));
    let all = answer("GET", "/", &[], &ignored);
    assert!(String::from_utf8_lossy(&all.body).contains("for_editors"));
    assert!(json(&all).pointer("/paths/~1entities/delete").is_some());
}
