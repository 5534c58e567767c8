//! What a request may have at the most (docs/limits.md), on both engines: the most is answered, one more is 400 with 54001.
//!
//! Where SQLite's parser is what ends a nesting, the last level that it takes is its own to say: there a level far above is
//! refused and one far below is answered.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sqlitrest::{Engine, Request};
use sqlitrest_tests::fixture::Fixture;

const CONFIG: &str = r#"
    [api]
    aggregates = true
    tx_end = "rollback"
    [fts.docs]
    index = "docs_fts"
    columns = ["body"]
    [[udf]]
    name = "words"
    expose = true
    sql = "SELECT value FROM json_each(:v)"
    params = [{ name = "v", type = "text[]", variadic = true }]
    returns = "setof text"
"#;

/// A limit: a request of `n` of something, the most that is answered, and the least that is refused.
struct Limit {
    what: &'static str,
    request: fn(usize) -> (String, String),
    most: usize,
    refused: usize,
}

/// No request may take longer, whatever it is; the slowest is a list of orders by an embed.
const LONGEST: Duration = Duration::from_secs(20);

fn get(target: impl Into<String>) -> (String, String) {
    (target.into(), String::new())
}

fn post(target: &str, body: impl Into<String>) -> (String, String) {
    (target.to_owned(), body.into())
}

fn list(n: usize, separator: &str, item: impl Fn(usize) -> String) -> String {
    (0..n).map(item).collect::<Vec<_>>().join(separator)
}

fn same(n: usize, item: &str) -> String {
    list(n, ",", |_| item.to_owned())
}

fn named(n: usize, item: &str) -> String {
    list(n, ",", |i| format!("a{i}:{item}"))
}

fn nested(n: usize, open: &str, inner: &str, close: &str) -> String {
    open.repeat(n) + inner + &close.repeat(n)
}

/// Machines in factories in machines, and so on.
fn embeds(n: usize, join: &str) -> String {
    let mut text = "id".to_owned();
    for level in (0..n).rev() {
        let name = if level % 2 == 0 { "factories" } else { "machines" };
        text = format!("{name}{join}({text})");
    }
    text
}

const LIMITS: &[Limit] = &[
    Limit {
        what: "parameters",
        request: |n| get(format!("/docs?{}", list(n, "&", |_| "id=gt.0".to_owned()))),
        most: 1_000,
        refused: 1_001,
    },
    Limit {
        what: "arguments of a function",
        request: |n| get(format!("/rpc/words?{}", list(n, "&", |_| "v=a".to_owned()))),
        most: 1_000,
        refused: 1_001,
    },
    Limit {
        what: "values of in",
        request: |n| get(format!("/machines?id=in.({})", same(n, "1"))),
        most: 32_766,
        refused: 32_767,
    },
    Limit {
        what: "values of in on JSON",
        request: |n| get(format!("/docs?data=in.({})", same(n, "1"))),
        most: 5_000,
        refused: 32_767,
    },
    Limit {
        what: "values of any",
        request: |n| get(format!("/docs?id=eq(any).{{{}}}", same(n, "1"))),
        most: 32_766,
        refused: 32_767,
    },
    Limit {
        what: "patterns of any",
        request: |n| get(format!("/docs?body=ilike(any).{{{}}}", same(n, "ab*"))),
        most: 32_766,
        refused: 32_767,
    },
    Limit {
        what: "terms of or",
        request: |n| get(format!("/docs?or=({})", same(n, "id.eq.1"))),
        most: 10_000,
        refused: 10_001,
    },
    Limit {
        what: "groups in groups",
        request: |n| get(format!("/docs?or={}", nested(n - 1, "(id.eq.2,or", "(id.eq.1)", ")"))),
        most: 64,
        refused: 65,
    },
    Limit {
        what: "negated groups in groups",
        request: |n| get(format!("/docs?or={}", nested(n - 1, "(id.eq.2,not.and", "(id.eq.1)", ")"))),
        most: 64,
        refused: 65,
    },
    Limit {
        what: "groups that never end",
        request: |n| get(format!("/docs?or={}", "(or".repeat(n))),
        most: 0,
        refused: 100_000,
    },
    Limit {
        what: "columns of select",
        request: |n| get(format!("/docs?select={}", named(n, "id"))),
        most: 2_000,
        refused: 2_001,
    },
    Limit {
        what: "casts of JSON paths in select",
        request: |n| get(format!("/docs?select={}", named(n, "data->a->>b::int"))),
        most: 2_000,
        refused: 2_001,
    },
    Limit {
        what: "every column many times",
        request: |n| get(format!("/docs?select={}", same(n, "*"))),
        most: 400,
        refused: 401,
    },
    Limit {
        what: "aggregates",
        request: |n| get(format!("/docs?select={}", named(n, "id.sum()"))),
        most: 2_000,
        refused: 2_001,
    },
    Limit {
        what: "groups of an aggregate",
        request: |n| get(format!("/docs?select=count(),{}", named(n - 1, "id"))),
        most: 2_000,
        refused: 2_001,
    },
    Limit {
        what: "arrows of a JSON path",
        request: |n| get(format!("/docs?select=data{}", "->a".repeat(n))),
        most: 64,
        refused: 65,
    },
    Limit {
        what: "terms of order",
        request: |n| get(format!("/docs?order={}", same(n, "id"))),
        most: 2_000,
        refused: 2_001,
    },
    Limit {
        what: "terms of order by an embed",
        request: |n| get(format!("/machines?select=id,factories(id)&order={}", same(n, "factories(id)"))),
        most: 500,
        refused: 5_000,
    },
    Limit {
        what: "embeds beside each other",
        request: |n| get(format!("/machines?select={}", named(n, "factories(id)"))),
        most: 2_000,
        refused: 2_001,
    },
    Limit {
        what: "inner embeds beside each other",
        request: |n| get(format!("/machines?select={}", named(n, "factories!inner(id)"))),
        most: 1_000,
        refused: 1_300,
    },
    Limit {
        what: "embeds in embeds",
        request: |n| get(format!("/machines?id=eq.-1&select={}", embeds(n, ""))),
        most: 10,
        refused: 65,
    },
    Limit {
        what: "inner embeds in inner embeds",
        request: |n| get(format!("/machines?id=eq.-1&select={}", embeds(n, "!inner"))),
        most: 10,
        refused: 65,
    },
    Limit {
        what: "columns of a spread",
        request: |n| get(format!("/machines?select=...factories({})", named(n, "id"))),
        most: 1_000,
        refused: 2_001,
    },
    Limit {
        what: "characters of like",
        request: |n| get(format!("/docs?body=like.{}", "a".repeat(n))),
        most: 1_000,
        refused: 1_001,
    },
    Limit {
        what: "stars of like",
        request: |n| get(format!("/docs?body=like.{}", "*a".repeat(n))),
        most: 500,
        refused: 501,
    },
    Limit {
        what: "characters of imatch",
        request: |n| get(format!("/docs?body=imatch.{}", "a".repeat(n))),
        most: 1_000,
        refused: 1_001,
    },
    Limit {
        what: "parentheses of match",
        request: |n| get(format!("/docs?body=match.{}", nested(n, "(", "a", ")"))),
        most: 499,
        refused: 500,
    },
    Limit {
        what: "elements of cs",
        request: |n| get(format!("/docs?tags=cs.[{}]", same(n, "1"))),
        most: 200,
        refused: 2_000,
    },
    Limit {
        what: "members of cs",
        request: |n| get(format!("/docs?data=cs.{{{}}}", list(n, ",", |i| format!("\"k{i}\":1")))),
        most: 200,
        refused: 2_000,
    },
    Limit {
        what: "arrays in arrays of cs",
        request: |n| get(format!("/docs?tags=cs.{}", nested(n, "{", "1", "}"))),
        most: 5,
        refused: 65,
    },
    Limit {
        what: "arrays in arrays of cs, enough to fill the stack",
        request: |n| get(format!("/docs?tags=cs.{}", nested(n, "{", "1", "}"))),
        most: 0,
        refused: 1_000_000,
    },
    Limit {
        what: "arrays in arrays of cd",
        request: |n| get(format!("/docs?tags=cd.{}", nested(n, "{", "1", "}"))),
        most: 64,
        refused: 65,
    },
    Limit {
        what: "arrays in arrays of ov, enough to fill the stack",
        request: |n| get(format!("/docs?tags=ov.{}", nested(n, "{", "1", "}"))),
        most: 0,
        refused: 1_000_000,
    },
    Limit {
        what: "words of a full text query",
        request: |n| get(format!("/docs?body=plfts.{}", list(n, "+", |i| format!("w{i}")))),
        most: 1_024,
        refused: 1_025,
    },
    Limit {
        what: "parentheses of a full text query",
        request: |n| get(format!("/docs?body=fts.{}", nested(n, "(", "a", ")"))),
        most: 28,
        refused: 29,
    },
    Limit {
        what: "bytes of a full text query",
        request: |n| get(format!("/docs?body=plfts.{}", "a".repeat(n))),
        most: 65_536,
        refused: 65_537,
    },
    Limit {
        what: "names of columns",
        request: |n| {
            let names = list(n, ",", |i| if i == 0 { "name".to_owned() } else { format!("c{i}") });
            post(&format!("/factories?columns={names}"), r#"{"name":"a"}"#)
        },
        most: 1,
        refused: 2_001,
    },
    Limit {
        what: "rows without values",
        request: |n| post("/docs?columns=data,tags", format!("[{}]", same(n, "{}"))),
        most: 10_000,
        refused: 500_001,
    },
    Limit {
        what: "values of a body",
        request: |n| {
            let row = r#"{"name":"a"}"#;
            post("/factories", format!("[{}]", same(n, row)))
        },
        most: 1_000_000,
        refused: 1_000_001,
    },
    Limit {
        what: "rows of no columns",
        request: |n| post("/docs", format!("[{}]", same(n, "{}"))),
        most: 10_000,
        refused: 1_000_001,
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn the_most_is_answered_and_more_is_refused() {
    let fixture = Fixture::new("grammar");
    let config = format!("[server]\nmax_body = \"64MiB\"\n{CONFIG}");
    let mut wrong = String::new();
    for engine in fixture.engines(&config) {
        for limit in LIMITS {
            for (n, is_refused) in [(limit.most, false), (limit.refused, true)] {
                // Some are refused at every size.
                if n == 0 {
                    continue;
                }
                let (target, body) = (limit.request)(n);
                let began = Instant::now();
                let (status, code) = send(&engine, &target, &body).await;
                let took = began.elapsed();
                let is_right =
                    if is_refused { (status, code.as_str()) == (400, "54001") } else { status < 300 };
                if !is_right || took > LONGEST {
                    let _ =
                        writeln!(wrong, "{}: {n} {}: {status} {code} in {took:?}", engine.name(), limit.what);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The status and the code of the answer.
async fn send(engine: &Engine, target: &str, body: &str) -> (u16, String) {
    let method = if body.is_empty() { "GET" } else { "POST" };
    // A count keeps the answer in one piece.
    let headers: &[(&str, &[u8])] = &[("content-type", b"application/json"), ("prefer", b"count=exact")];
    let answer = engine.handle(&Request { method, target, headers, body: body.as_bytes() }).await;
    let code = answer.header("proxy-status").and_then(|status| status.split_once("error="));
    (answer.status, code.unwrap_or_default().1.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_an_end() {
    // A row of 2,000 columns that show this text has 100 MB.
    let fixture = Fixture::of_sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT);
         INSERT INTO t (s) VALUES (hex(zeroblob(25000))), (hex(zeroblob(25000))), (hex(zeroblob(25000)));
         CREATE TABLE a (id INTEGER PRIMARY KEY, s TEXT);
         CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER REFERENCES a (id));
         INSERT INTO a (s) VALUES (hex(zeroblob(10000)));
         INSERT INTO b (a_id) SELECT 1 FROM t, t, t;",
    );
    let columns = named(2_000, "s");
    // 27 rows of b in each of 27 in each of 27: 400 MB in one row.
    let embeds = "b(a(b(a(b(a(s))))))";
    for engine in fixture.engines("") {
        for (target, status) in [
            (format!("/t?select={columns}&limit=2"), 206),
            (format!("/t?select={columns}&limit=3"), 400),
            (format!("/a?select={embeds}"), 400),
        ] {
            let (got, code) = send(&engine, &target, "").await;
            assert_eq!(got, status, "{}: {code}", engine.name());
            assert!(status == 206 || code == "54001", "{}: {code}", engine.name());
        }
    }
}
