//! The pure stages, each by itself and together, over typical requests on `examples/music.sql` and the fixture `grammar`:
//! `cargo bench -p sqlitrest-benches --bench stages`.

use std::sync::LazyLock;

use divan::Bencher;
use sqlitrest_runtime::ApiRequest;
use sqlitrest_runtime::asker::Asker;
use sqlitrest_runtime::auth::{Authenticator, Verdict};
use sqlitrest_runtime::authorize::{Authorized, authorize};
use sqlitrest_runtime::compile::{Output, Program, compile};
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::encode::Shape;
use sqlitrest_runtime::http::Request;
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::plan::{Plan, build};
use sqlitrest_runtime::schema::{SchemaCache, read_configured};
use sqlitrest_tests::double::Double;

/// As a request without a media type or a zone is answered.
const OUTPUT: Output = Output { shape: Shape::Objects, zone: None, names_written: false };

const CONFIG: &str = r#"
    [databases.main]
    path = "memory.db"
    [api]
    aggregates = true
    [fts.docs]
    index = "docs_fts"
    columns = ["body"]
    [[udf]]
    name = "machines_of"
    expose = true
    sql = "SELECT * FROM machines WHERE factory_id = :id"
    params = [{ name = "id", type = "integer" }]
    returns = "table machines"
"#;

/// What they are called, the method with the target, and the body.
const REQUESTS: &[(&str, &str, &str)] = &[
    ("by_key", "GET /tracks?id=eq.5", ""),
    ("filter", "GET /tracks?select=id,name&milliseconds=gt.300000", ""),
    (
        "filters",
        "GET /tracks?milliseconds=gte.100000&name=ilike.*sea*&explicit=is.false&genre_id=not.is.null",
        "",
    ),
    ("order_and_limit", "GET /tracks?select=id,name&order=milliseconds.desc,name&limit=20&offset=40", ""),
    (
        "logic_tree",
        "GET /tracks?or=(milliseconds.gt.300000,and(price.lt.1,not.or(name.like.A*,id.in.(1,2,3))))",
        "",
    ),
    ("json_path", "GET /artists?select=name,site:links->>site&links->social->>0=eq.x", ""),
    ("in_list", "GET /tracks?id=in.(1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20)", ""),
    ("count", "GET /albums?released=gte.2000-01-01&limit=10", ""),
    ("embed_1", "GET /albums?select=id,title,artists(name)", ""),
    ("embed_2", "GET /artists?select=name,albums(title,tracks(name))", ""),
    ("embed_3", "GET /artists?select=name,albums(title,tracks(name,genres(name)))&country=eq.NO", ""),
    ("many_to_many", "GET /playlists?select=name,tracks(name,milliseconds)&tracks.order=name", ""),
    ("inner_embed", "GET /artists?select=name,albums!inner(title)&albums.live=is.true", ""),
    ("spread", "GET /tracks?select=name,...albums(album:title,...artists(artist:name))", ""),
    ("aggregates", "GET /tracks?select=genre_id,count(),milliseconds.avg(),price.sum()&order=genre_id", ""),
    ("insert_one", "POST /genres", r#"{"name":"Skronk","parent_id":1}"#),
    ("insert_100", "POST /genres", "100"),
    ("upsert", "POST /genres?on_conflict=name", r#"{"name":"Skronk","parent_id":1}"#),
    ("patch", "PATCH /tracks?id=eq.5", r#"{"price":1.29,"explicit":true}"#),
    ("delete", "DELETE /tracks?id=eq.5", ""),
    ("rpc", "GET /rpc/machines_of?id=1&select=id,name&order=cost", ""),
    ("full_text", "GET /docs?select=id&body=wfts(english).quick -fox", ""),
];

/// A request with everything that its stages make of it.
struct Staged {
    method: &'static str,
    target: &'static str,
    headers: Vec<(&'static str, &'static [u8])>,
    body: String,
    parsed: ApiRequest,
    plan: Plan,
}

struct Bench {
    config: Config,
    schema: SchemaCache,
    requests: Vec<Staged>,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let config = Config::load("stages", CONFIG, []).unwrap();
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    for file in ["examples/music.sql", "tests/fixtures/grammar.sql"] {
        let text = std::fs::read_to_string(sqlitrest_tests::root().join(file)).unwrap();
        connection.execute_batch(&text).unwrap();
    }
    let mut db = Double::new(connection);
    let schema = read_configured(&config, &mut db).unwrap();
    let requests = REQUESTS.iter().map(|request| staged(&config, &schema, request)).collect();
    Bench { config, schema, requests }
});

fn staged(config: &Config, schema: &SchemaCache, request: &(&str, &'static str, &str)) -> Staged {
    let (name, line, body) = *request;
    let (method, target) = line.split_once(' ').unwrap();
    let headers: Vec<(&str, &[u8])> = match name {
        "count" => vec![("prefer", b"count=exact")],
        "insert_one" | "patch" => vec![("prefer", b"return=representation")],
        "upsert" => vec![("prefer", b"resolution=merge-duplicates")],
        _ => vec![("accept", b"*/*")],
    };
    let body = if body == "100" {
        let row = |i| format!(r#"{{"name":"genre {i}","parent_id":{i}}}"#);
        format!("[{}]", (0..100).map(row).collect::<Vec<_>>().join(","))
    } else {
        body.to_owned()
    };
    let parsed = parse_one(config, &Request { method, target, headers: &headers, body: body.as_bytes() });
    let plan = build(config, schema, &parsed).unwrap();
    Staged { method, target, headers, body, parsed, plan }
}

fn parse_one(config: &Config, request: &Request<'_>) -> ApiRequest {
    sqlitrest_runtime::parse(config, &Identity::anonymous(config).into(), request).unwrap()
}

impl Staged {
    fn request(&self) -> Request<'_> {
        Request {
            method: self.method,
            target: self.target,
            headers: &self.headers,
            body: self.body.as_bytes(),
        }
    }
}

fn compile_one(schema: &SchemaCache, authorized: &Authorized) -> Program {
    let asker = Asker { identity: &Identity::default(), said: None };
    compile(schema, authorized, &OUTPUT, &asker).unwrap()
}

fn names() -> impl Iterator<Item = &'static str> {
    REQUESTS.iter().map(|(name, _, _)| *name)
}

fn staged_of(name: &str) -> &'static Staged {
    &BENCH.requests[names().position(|known| known == name).unwrap()]
}

#[divan::bench(args = names())]
fn parse(bencher: Bencher<'_, '_>, name: &str) {
    let staged = staged_of(name);
    bencher.bench(|| parse_one(&BENCH.config, &staged.request()));
}

#[divan::bench(args = names(), name = "build")]
fn build_stage(bencher: Bencher<'_, '_>, name: &str) {
    let staged = staged_of(name);
    bencher.bench(|| build(&BENCH.config, &BENCH.schema, &staged.parsed).unwrap());
}

#[divan::bench(args = names(), name = "authorize")]
fn authorize_stage(bencher: Bencher<'_, '_>, name: &str) {
    let staged = staged_of(name);
    bencher.with_inputs(|| staged.plan.clone()).bench_values(|plan| authorize(&BENCH.schema, plan).unwrap());
}

#[divan::bench(args = names(), name = "compile")]
fn compile_stage(bencher: Bencher<'_, '_>, name: &str) {
    let staged = staged_of(name);
    let authorized = authorize(&BENCH.schema, staged.plan.clone()).unwrap();
    bencher.bench(|| compile_one(&BENCH.schema, &authorized));
}

#[divan::bench(args = names())]
fn together(bencher: Bencher<'_, '_>, name: &str) {
    let staged = staged_of(name);
    bencher.bench(|| {
        let parsed = parse_one(&BENCH.config, &staged.request());
        let plan = build(&BENCH.config, &BENCH.schema, &parsed).unwrap();
        compile_one(&BENCH.schema, &authorize(&BENCH.schema, plan).unwrap())
    });
}

fn main() {
    LazyLock::force(&BENCH);
    divan::main();
}

/// Who asks: nobody, and a token that is known already.
#[divan::bench(args = ["nobody", "known_token"])]
fn sign_in(bencher: Bencher<'_, '_>, name: &str) {
    let text =
        "[api]\nanonymous_role = \"anon\"\n[auth.jwt]\nsecret = \"reallyreallyreallyreallyverysafe\"\n";
    let config = Config::load("bench", text, []).unwrap();
    let authenticator = Authenticator::new(&config, [0; 32], &mut |_| Err(String::new())).unwrap();
    let token = b"Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb2xlIjoicG9zdGdyZXN0X3Rlc3RfYXV0aG9yIn0.Xod-F15qsGL0WhdOCr2j3DdKuTw9QJERVgoFD3vGaWA";
    let mut headers: Vec<(&str, &[u8])> =
        vec![("host", b"localhost:3000"), ("user-agent", b"x"), ("accept", b"*/*")];
    if name == "known_token" {
        headers.push(("authorization", token));
    }
    let request = Request { method: "GET", target: "/tracks", headers: &headers, body: b"" };
    bencher.bench_local(|| match authenticator.authenticate(&request, 1_800_000_000) {
        Verdict::Is(identity) => identity,
        _ => unreachable!("it is a good token"),
    });
}
