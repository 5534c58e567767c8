//! Every method of the crate postgrest against a running server: `API_URL` says where. What is written has an owner of
//! its own in each test.
#![cfg(test)]

use postgrest::{Builder, Postgrest};
use serde_json::{Value, json};

fn db() -> Postgrest {
    let root = std::env::var("API_URL").expect("API_URL, which `cargo xtask test clients` sets");
    Postgrest::new(format!("{root}/rest/v1")).insert_header("apikey", "anon")
}

fn artists() -> Builder {
    db().from("artists").select("id")
}

fn albums() -> Builder {
    db().from("albums").select("id")
}

fn notes() -> Builder {
    db().from("notes")
}

/// Status, `Content-Range` and body.
async fn reply(request: Builder) -> (u16, String, Value) {
    let response = request.execute().await.expect("a reply");
    let range = response.headers().get("content-range").map(|range| range.to_str().expect("text").to_owned());
    let status = response.status().as_u16();
    let body = response.text().await.expect("a body");
    (status, range.unwrap_or_default(), serde_json::from_str(&body).unwrap_or(Value::Null))
}

/// The body of a success of this status.
async fn body(request: Builder, status: u16) -> Value {
    let (got, _, body) = reply(request).await;
    assert_eq!(got, status, "{body}");
    body
}

/// The ids of the rows that are found.
async fn ids(request: Builder) -> Vec<i64> {
    let rows = body(request, 200).await;
    rows.as_array().expect("rows").iter().map(|row| row["id"].as_i64().expect("id")).collect()
}

/// The status and the code of an error.
async fn error(request: Builder) -> (u16, String) {
    let (status, _, body) = reply(request).await;
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn filters() {
    let none: [i64; 0] = [];
    assert_eq!(ids(artists().eq("country", "NO")).await, [2, 4]);
    assert_eq!(ids(artists().neq("country", "NO")).await, [1]);
    assert_eq!(ids(artists().gt("rating", "3.25")).await, [1]);
    assert_eq!(ids(artists().gte("rating", "3.25")).await, [1, 2]);
    assert_eq!(ids(artists().lt("rating", "3.25")).await, [4]);
    assert_eq!(ids(artists().lte("rating", "3.25")).await, [2, 4]);
    assert_eq!(ids(artists().like("name", "B%")).await, [2]);
    assert_eq!(ids(artists().ilike("name", "b%")).await, [2, 4]);
    assert_eq!(ids(artists().is("rating", "null")).await, [3]);
    assert_eq!(ids(artists().is("active", "true")).await, [1, 2]);
    assert_eq!(ids(artists().in_("name", ["Aster", "\"birch (duo), live\""])).await, [1, 4]);
    assert_eq!(ids(artists().in_("id", [""; 0])).await, none);
    assert_eq!(ids(artists().cs("genres", "{rock}")).await, [1, 3]);
    assert_eq!(ids(artists().cd("genres", "{rock,jazz}")).await, [2, 3, 4]);
    assert_eq!(ids(artists().ov("genres", "{folk,jazz}")).await, [1, 2, 3]);
    assert_eq!(ids(artists().not("eq", "country", "NO")).await, [1]);
    assert_eq!(ids(artists().and("id.gt.1,active.is.true")).await, [2]);
    assert_eq!(ids(artists().or("id.eq.1,and(country.eq.NO,active.is.false)")).await, [1, 4]);
}

#[tokio::test]
async fn full_text() {
    assert_eq!(ids(albums().fts("liner", "foxes | sleeping", Some("english"))).await, [1, 2, 3]);
    assert_eq!(ids(albums().plfts("liner", "the jumping fox", Some("english"))).await, [1, 3]);
    assert_eq!(ids(albums().phfts("liner", "lazy dog", None)).await, [2]);
    assert_eq!(ids(albums().wfts("liner", "dog -lazy", None)).await, [3]);
}

#[tokio::test]
async fn ranges_are_refused() {
    let range = (2000, 2010);
    let requests = [
        albums().sl("released", range),
        albums().sr("released", range),
        albums().nxl("released", range),
        albums().nxr("released", range),
        albums().adj("released", range),
    ];
    for request in requests {
        assert_eq!(error(request).await, (400, "PGRST127".to_owned()));
    }
}

#[tokio::test]
async fn select_and_order() {
    let nested = db().from("artists").select("name,albums(title)").eq("id", "2");
    assert_eq!(body(nested, 200).await, json!([{ "name": "Birch", "albums": [{ "title": "Gamma" }] }]));
    assert_eq!(ids(artists().order("active.asc,id.desc")).await, [4, 3, 2, 1]);
    assert_eq!(ids(artists().order_with_options("rating", None::<&str>, false, false)).await, [1, 2, 4, 3]);
    assert_eq!(ids(artists().order_with_options("rating", None::<&str>, true, true)).await, [3, 4, 2, 1]);
    let embedded = db().from("artists").select("albums(title)").eq("id", "1");
    let ordered = embedded.clone().order_with_options("title", Some("albums"), false, false);
    assert_eq!(body(ordered, 200).await, json!([{ "albums": [{ "title": "Beta" }, { "title": "Alpha" }] }]));
    let limited = embedded.foreign_table_limit(1, "albums");
    assert_eq!(body(limited, 200).await, json!([{ "albums": [{ "title": "Alpha" }] }]));
}

#[tokio::test]
async fn pages_and_counts() {
    assert_eq!(ids(artists().limit(2)).await, [1, 2]);
    assert_eq!(ids(artists().range(1, 2)).await, [2, 3]);
    for counted in [artists().exact_count(), artists().planned_count(), artists().estimated_count()] {
        assert_eq!(reply(counted).await, (206, "0-0/4".to_owned(), json!([{ "id": 1 }])));
    }
}

#[tokio::test]
async fn single_schema_and_auth() {
    assert_eq!(body(artists().eq("id", "1").single(), 200).await, json!({ "id": 1 }));
    assert_eq!(error(artists().single()).await, (406, "PGRST116".to_owned()));
    let main = db().schema("main").from("artists").select("id").auth("anon").eq("id", "2");
    assert_eq!(ids(main).await, [2]);
    assert_eq!(error(db().from("nothing")).await, (404, "PGRST205".to_owned()));
}

#[tokio::test]
async fn writes() {
    let row = json!([{ "id": 101, "owner": "writes", "body": "one" }]);
    let expected = json!([{ "id": 101, "body": "one" }]);
    assert_eq!(body(notes().insert(row.to_string()).select("id,body"), 201).await, expected);
    assert_eq!(error(notes().insert(row.to_string())).await, (409, "23505".to_owned()));
    // Rows that other tests insert meanwhile have the next ids.
    let rows = json!([{ "id": 51, "owner": "writes", "body": "two" }, { "id": 101, "owner": "writes", "body": "two" }]);
    let expected = json!([{ "id": 51, "body": "two" }, { "id": 101, "body": "two" }]);
    assert_eq!(body(notes().upsert(rows.to_string()).select("id,body"), 201).await, expected);
    let update = notes().update(r#"{"body":"three"}"#).eq("id", "51").select("id,body");
    assert_eq!(body(update, 200).await, json!([{ "id": 51, "body": "three" }]));
    let delete = notes().delete().eq("owner", "writes").select("id");
    assert_eq!(ids(delete).await, [51, 101]);
    assert_eq!(body(notes().eq("owner", "writes"), 200).await, json!([]));
}

#[tokio::test]
async fn upsert_by_another_key() {
    for (text, status) in [("one", 201), ("two", 200)] {
        let row = json!({ "owner": "on conflict", "slug": "rust", "body": text });
        let upsert = notes().upsert(row.to_string()).on_conflict("slug").select("body");
        assert_eq!(body(upsert, status).await, json!([{ "body": text }]));
    }
}

#[tokio::test]
async fn calls() {
    assert_eq!(body(db().rpc("add", r#"{"a":1,"b":2}"#), 200).await, json!(3));
    assert_eq!(body(db().rpc("hello", ""), 200).await, json!("hello world"));
    let rows = db().rpc("albums_of", r#"{"artist":1}"#).select("title").gt("released", "2000");
    assert_eq!(body(rows, 200).await, json!([{ "title": "Beta" }]));
    assert_eq!(error(db().rpc("add", r#"{"c":1}"#)).await, (404, "PGRST202".to_owned()));
}
