//! `examples/edge`: its manifest names what is there, and the component answers with its files what its README says. Spin itself is not
//! to be had here; the stand-in for it is `sqlitrest_tests::spin`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::algorithms::{HS256Key, MACLike as _};
use serde_json::{Value as Json, json};
use sqlitrest::Request;
use sqlitrest_tests::fixture::Fixture;
use sqlitrest_tests::spin::Spin;
use toml::{Table, Value};

const SECRET: &str = "reallyreallyreallyreallyverysafe";

fn place(name: &str) -> PathBuf {
    sqlitrest_tests::root().join("examples/edge").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(place(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn manifest() -> Table {
    read("spin.toml").parse().unwrap()
}

/// The component as the manifest has it.
fn component() -> Table {
    manifest()["component"]["places"].as_table().unwrap().clone()
}

/// With the files that the manifest mounts, and the variable that it hands on.
fn spin(fixture: &Fixture, secret: Option<&str>) -> Spin {
    let component = component();
    let mounted: Vec<(String, String)> = component["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            [&file["source"], &file["destination"]].map(|path| path.as_str().unwrap().to_owned()).into()
        })
        .collect();
    let text =
        |wanted: &str| mounted.iter().find(|(_, at)| at == wanted).map(|(source, _)| read(source)).unwrap();
    let mut spin = Spin::new(&fixture.path("spin"), &text("/sqlitrest.toml"));
    spin.mount("policies.toml", &text("/policies.toml"));
    assert_eq!(mounted.len(), 2);
    spin.variables.extend(secret.map(|secret| ("jwt_secret", secret.to_owned())));
    spin
}

async fn ask(spin: &Spin, method: &str, target: &str, token: Option<&str>, body: &str) -> (u16, Json) {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers: Vec<(&str, &[u8])> =
        vec![("content-type", b"application/json"), ("prefer", b"return=representation")];
    headers.extend(bearer.as_ref().map(|bearer| ("authorization", bearer.as_bytes())));
    let answer = spin.handle(&Request { method, target, headers: &headers, body: body.as_bytes() }).await;
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Json::Null))
}

fn token(role: &str, sub: &str) -> String {
    let part = |json: Json| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(json!({ "alg": "HS256" })), part(json!({ "role": role, "sub": sub })));
    let tag = HS256Key::from_bytes(SECRET.as_bytes()).authentication_tag(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[test]
fn the_manifest_names_what_is_there() {
    let (manifest, component) = (manifest(), component());
    assert_eq!(manifest["spin_manifest_version"].as_integer(), Some(2));
    assert_eq!(manifest["application"]["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(manifest["trigger"]["http"][0]["component"].as_str(), Some("places"));
    assert_eq!(component["source"].as_str(), Some("../../target/sqlitrest-guest.wasm"));
    assert_eq!(component["build"]["command"].as_str(), Some("cargo xtask build --guest"));
    assert!(place(component["build"]["workdir"].as_str().unwrap()).join("xtask").is_dir());
    assert_eq!(component["variables"]["jwt_secret"].as_str(), Some("{{ jwt_secret }}"));
    assert_eq!(manifest["variables"]["jwt_secret"]["secret"], Value::Boolean(true));
    let given: Table = read("runtime-config.toml").parse().unwrap();
    for label in component["sqlite_databases"].as_array().unwrap() {
        assert!(given["sqlite_database"].get(label.as_str().unwrap()).is_some(), "{label}");
    }
    // The one command of the README.
    let readme = read("README.md");
    let line = readme.lines().find(|line| line.contains("spin up")).unwrap();
    assert!(line.starts_with("SPIN_VARIABLE_JWT_SECRET="), "{line}");
    for word in
        line.split(' ').filter_map(|word| word.strip_prefix('@').or(word.ends_with(".toml").then_some(word)))
    {
        assert!(place(word).is_file(), "{word}");
    }
}

/// As `spin up --sqlite @schema.sql` does at every start.
#[test]
fn the_schema_can_be_run_again() {
    let sql = rusqlite::Connection::open_in_memory().unwrap();
    for _ in 0..2 {
        sql.execute_batch(&read("schema.sql")).unwrap();
        let counts: [i64; 3] = ["places", "reviews", "places_fts"].map(|table| {
            sql.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        });
        assert_eq!(counts, [4_i64, 4, 4]);
    }
    // The index is that of the table, after the second time, too.
    sql.execute_batch("INSERT INTO places_fts (places_fts, rank) VALUES ('integrity-check', 1)").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_readme_says() {
    let fixture = Fixture::of_sql(&read("schema.sql"));
    let spin = spin(&fixture, Some(SECRET));
    let readme = read("README.md");
    let targets: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("curl 'localhost:3000")?.strip_suffix('\''))
        .collect();
    let mut answers = Vec::new();
    for target in &targets {
        answers.push(ask(&spin, "GET", target, None, "").await);
    }
    assert_eq!(
        answers,
        [
            (
                200,
                json!([
                    {"name":"Bryggen","town":"Bergen","reviews":[{"stars":5,"text":"Go late."},{"stars":4,"text":"Go early."}]},
                    {"name":"Fløyen","town":"Bergen","reviews":[{"stars":5,"text":"Walk up, ride down."}]}
                ])
            ),
            (200, json!([{"name":"Bryggen"},{"name":"Fiskebrygga"}])),
            (200, json!([{"name":"Fløyen","stars":5.0},{"name":"Bryggen","stars":4.5}])),
        ]
    );
    let review = readme.lines().find(|line| line.starts_with("curl localhost:3000/reviews")).unwrap();
    let body = review.rsplit("-d '").next().unwrap().trim_end_matches('\'');
    assert_eq!(ask(&spin, "POST", "/reviews", None, body).await.0, 401, "who has not signed in");
    let eve = token("guest", "eve");
    let (status, rows) = ask(&spin, "POST", "/reviews?select=stars,user_id", Some(&eve), body).await;
    assert_eq!((status, rows), (201, json!([{"stars":5,"user_id":"eve"}])));
    assert_eq!(
        ask(&spin, "POST", "/reviews", Some(&token("guest", "bo")), body).await.0,
        403,
        "in another's name"
    );
}

/// Where nobody has said the secret, nobody is let in.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_no_answer() {
    let fixture = Fixture::of_sql(&read("schema.sql"));
    assert_eq!(ask(&spin(&fixture, None), "GET", "/places", None, "").await.0, 500);
    let short = spin(&fixture, Some("short"));
    assert_eq!(ask(&short, "GET", "/places", Some(&token("editor", "kim")), "").await.0, 500);
}
