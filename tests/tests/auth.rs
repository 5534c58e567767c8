//! Signing in, on every engine: lists in files that change, keys that an issuer publishes, and what a cache is told. What a token
//! must be like is in `runtime/src/auth/tests.rs` and `tests/cases/auth`.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jwt_simple::algorithms::{Ed25519KeyPair, EdDSAKeyPairLike as _, HS256Key, MACLike as _};
use sqlitrest::{Answer, Engine, Request};
use sqlitrest_runtime::auth::api_key::stored_hash;
use sqlitrest_runtime::auth::basic::stored_password;
use sqlitrest_tests::fixture::Fixture;
use sqlitrest_tests::issuer::Issuer;
use sqlitrest_tests::spin::Spin;

const SECRET: &str = "reallyreallyreallyreallyverysafe";

/// A table, the engines over it, and the files that they read.
struct Served {
    fixture: Fixture,
    engines: Vec<Engine>,
    spin: Spin,
}

impl Served {
    /// `DIR` in the configuration stands for the directory of the files.
    fn new(config: &str, files: &[(&str, &str)]) -> Served {
        let fixture = Fixture::of_sql("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
        let directory = fixture.path("x").parent().unwrap().display().to_string();
        let spin =
            Spin::new(&fixture.path("spin"), &fixture.config_text("spin", &config.replace("DIR", ".")));
        for (name, text) in files {
            std::fs::write(fixture.path("x").with_file_name(name), text).unwrap();
            spin.mount(name, text);
        }
        let engines = fixture.engines(&config.replace("DIR", &directory));
        Served { fixture, engines, spin }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.fixture.path("x").with_file_name(name), text).unwrap();
        self.spin.mount(name, text);
    }

    /// The answers of the engines, the last that of Spin.
    fn answers(&self, headers: &[(&str, &str)]) -> Vec<Answer> {
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        let request = Request { method: "GET", target: "/t", headers: &headers, body: b"" };
        let mut answers: Vec<_> =
            self.engines.iter().map(|engine| block_on(engine.handle(&request))).collect();
        answers.push(block_on(self.spin.handle(&request)));
        answers
    }

    /// Status and code (none where it went well), the same of every engine.
    fn check(&self, headers: &[(&str, &str)], expected: &str) {
        for (answer, engine) in self.answers(headers).iter().zip(["native", "component", "spin"]) {
            assert_eq!(show(answer), expected, "{engine} {headers:?}");
        }
    }
}

fn show(answer: &Answer) -> String {
    let code =
        answer.header("proxy-status").and_then(|status| status.split_once("error=")).unwrap_or_default().1;
    format!("{} {code}", answer.status).trim_end().to_owned()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn hs256(claims: &str) -> String {
    let text = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(claims));
    let tag = HS256Key::from_bytes(SECRET.as_bytes()).authentication_tag(text.as_bytes());
    format!("Bearer {text}.{}", encode(tag))
}

fn eddsa(key: &Ed25519KeyPair, kid: &str) -> String {
    let text =
        format!("{}.{}", encode(format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#)), encode(r#"{"role":"a"}"#));
    format!("Bearer {text}.{}", encode(key.key_pair().as_ref().sk.sign(&text, None).as_ref()))
}

#[tokio::test(flavor = "multi_thread")]
async fn times_by_the_clock_of_the_machine() {
    let served = Served::new(&format!("[auth.jwt]\nsecret = \"{SECRET}\"\n"), &[]);
    let check = |claims: String, expected| served.check(&[("authorization", &hs256(&claims))], expected);
    // Twice: the second time it is remembered.
    for _ in 0..2 {
        check(format!(r#"{{"role":"a","iat":{0},"nbf":{0},"exp":{1}}}"#, now(), now() + 60), "200");
        check(format!(r#"{{"role":"a","exp":{}}}"#, now() - 20), "200");
        check(format!(r#"{{"role":"a","exp":{}}}"#, now() - 35), "401 PGRST303");
        check(format!(r#"{{"role":"a","nbf":{}}}"#, now() + 35), "401 PGRST303");
        check(format!(r#"{{"role":"a","iat":{}}}"#, now() + 20), "200");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_in_files() {
    let key = |id: &str, rest: &str| {
        let hash = stored_hash(&format!("sqr_{id}_secret"));
        format!("[[key]]\nid = \"{id}\"\nhash = \"{hash}\"\nrole = \"bot\"\n{rest}")
    };
    let user = |name: &str, password: &str| {
        let hash = stored_password(password.as_bytes(), b"0123456789abcdef").unwrap();
        format!("[[user]]\nname = \"{name}\"\npassword = \"{hash}\"\nrole = \"editor\"\n")
    };
    let basic =
        |name: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
    let served = Served::new(
        "[api]\nanonymous_role = \"anon\"\n[auth.apikey]\nsource = \"file:DIR/keys.toml\"\n[auth.basic]\nsource = \"file:DIR/users.toml\"\n",
        &[
            ("keys.toml", &(key("one", "") + &key("old", "expires = 2026-01-01T00:00:00Z\n"))),
            ("users.toml", &user("ida", "long enough")),
        ],
    );
    let (ida, bob) = (basic("ida", "long enough"), basic("bob", "another one"));
    served.check(&[], "200");
    served.check(&[("x-api-key", "sqr_one_secret")], "200");
    served.check(&[("authorization", "Bearer sqr_one_secret")], "200");
    served.check(&[("x-api-key", "sqr_one_secreT")], "401 PGRST301");
    served.check(&[("x-api-key", "sqr_two_secret")], "401 PGRST301");
    served.check(&[("x-api-key", "sqr_old_secret")], "401 PGRST303");
    served.check(&[("authorization", &ida)], "200");
    served.check(&[("authorization", &ida)], "200");
    served.check(&[("authorization", &basic("ida", "long enougH"))], "401 PGRST301");
    served.check(&[("authorization", &bob)], "401 PGRST301");
    served.check(&[("authorization", "Bearer a.b.c")], "401 PGRST301");
    for answer in served.answers(&[("authorization", "Basic x")]) {
        let challenges: Vec<_> =
            answer.headers.iter().filter(|(name, _)| name == "www-authenticate").collect();
        assert_eq!(challenges.len(), 2, "{answer:?}");
        assert!(challenges.iter().any(|(_, value)| value == "Basic realm=\"sqlitrest\", charset=\"UTF-8\""));
    }

    // The lists change; what was remembered goes with them. A host looks at them once a second.
    served.write("keys.toml", &key("two", ""));
    served.write("users.toml", &(user("bob", "another one") + "# longer by this\n"));
    let begin = now();
    while now() < begin + 2 {
        tokio::task::yield_now().await;
    }
    served.check(&[("x-api-key", "sqr_two_secret")], "200");
    served.check(&[("x-api-key", "sqr_one_secret")], "401 PGRST301");
    served.check(&[("authorization", &ida)], "401 PGRST301");
    served.check(&[("authorization", &bob)], "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_caches_are_told() {
    let key = format!("[[key]]\nid = \"a\"\nhash = \"{}\"\nrole = \"bot\"\n", stored_hash("sqr_a_b"));
    let config = format!(
        "[api]\nanonymous_role = \"anon\"\n[auth.apikey]\nheader = \"apikey\"\nsource = \"file:DIR/keys.toml\"\n[auth.jwt]\nsecret = \"{SECRET}\"\ncookie = \"token\"\n"
    );
    let served = Served::new(&config, &[("keys.toml", &key)]);
    let token = hs256(r#"{"role":"a"}"#);
    for (headers, cache) in [
        (vec![], None),
        (vec![("authorization", token.as_str())], Some("private, no-cache")),
        (vec![("apikey", "sqr_a_b")], Some("private, no-cache")),
        (vec![("apikey", "sqr_a_c")], None),
    ] {
        for answer in served.answers(&headers) {
            let vary = answer.header("vary").unwrap_or_default();
            assert!(vary.ends_with("Cookie, apikey"), "{vary}");
            assert_eq!(answer.header("cache-control"), cache, "{answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_published() {
    let (first, second) =
        (Ed25519KeyPair::generate().with_key_id("1"), Ed25519KeyPair::generate().with_key_id("2"));
    let set = |key: &Ed25519KeyPair| format!("{{\"keys\":[{}]}}", key.public_key().to_jwk());
    let issuer = Issuer::new(200, &set(&first));
    let config = format!("[auth.jwt]\njwks_url = \"http://{}/keys\"\n", issuer.authority);
    let mut served = Served::new(&config, &[]);
    served.spin.allowed = Some(issuer.authority.clone());
    served.check(&[("authorization", &eddsa(&first, "1"))], "200");
    assert_eq!(issuer.asked(), 3, "each engine once");
    served.check(&[("authorization", &eddsa(&first, "1"))], "200");
    served.check(&[("authorization", &eddsa(&second, "1"))], "401 PGRST301");

    // Whoever makes up keys does not make us ask for each. (Spin has a new instance for every request.)
    let asked = issuer.asked();
    let made_up = eddsa(&second, "made up");
    let headers: &[(&str, &[u8])] = &[("authorization", made_up.as_bytes())];
    let request = Request { method: "GET", target: "/t", headers, body: b"" };
    for engine in &served.engines {
        for _ in 0..50 {
            assert_eq!(show(&engine.handle(&request).await), "401 PGRST301");
        }
    }
    assert_eq!(issuer.asked(), asked);

    // While the issuer is down, what was fetched is good.
    issuer.answer(500, "down");
    for engine in &served.engines {
        let token = eddsa(&first, "1");
        let headers: &[(&str, &[u8])] = &[("authorization", token.as_bytes())];
        let request = Request { method: "GET", target: "/t", headers, body: b"" };
        assert_eq!(show(&engine.handle(&request).await), "200");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_change() {
    let (first, second) =
        (Ed25519KeyPair::generate().with_key_id("1"), Ed25519KeyPair::generate().with_key_id("2"));
    let set = |key: &Ed25519KeyPair| format!("{{\"keys\":[{}]}}", key.public_key().to_jwk());
    let issuer = Issuer::new(200, &set(&first));
    let config = format!(
        "[auth.jwt]\njwks_url = \"http://{}/keys\"\njwks_refresh_interval = \"1s\"\n",
        issuer.authority
    );
    let mut served = Served::new(&config, &[]);
    served.spin.allowed = Some(issuer.authority.clone());
    served.check(&[("authorization", &eddsa(&first, "1"))], "200");
    issuer.answer(200, &set(&second));
    let asked = issuer.asked();
    while issuer.asked() < asked + 4 {
        tokio::task::yield_now().await;
    }
    served.check(&[("authorization", &eddsa(&second, "2"))], "200");
    served.check(&[("authorization", &eddsa(&first, "1"))], "401 PGRST301");
    issuer.answer(200, "<html>");
    let asked = issuer.asked();
    while issuer.asked() < asked + 4 {
        tokio::task::yield_now().await;
    }
    for engine in &served.engines {
        let token = eddsa(&second, "2");
        let headers: &[(&str, &[u8])] = &[("authorization", token.as_bytes())];
        let request = Request { method: "GET", target: "/t", headers, body: b"" };
        assert_eq!(show(&engine.handle(&request).await), "200");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_had() {
    let key = Ed25519KeyPair::generate().with_key_id("1");
    for (status, text) in [
        (404, "none".to_owned()),
        (200, "<html>".to_owned()),
        (200, format!("{{\"keys\":[{}]}}", " ".repeat(2 << 20))),
        (302, "http://127.0.0.1:1/keys".to_owned()),
    ] {
        let issuer = Issuer::new(status, &text);
        let config = format!(
            "[api]\nanonymous_role = \"a\"\n[auth.jwt]\njwks_url = \"http://{}/keys\"\n",
            issuer.authority
        );
        let mut served = Served::new(&config, &[]);
        served.spin.allowed = Some(issuer.authority.clone());
        served.check(&[("authorization", &eddsa(&key, "1"))], "500 PGRST300");
        served.check(&[], "200");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_do_not_take_the_machine() {
    let hash = stored_password(b"right", b"0123456789abcdef").unwrap();
    let list = format!("[[user]]\nname = \"ida\"\npassword = \"{hash}\"\nrole = \"editor\"\n");
    let served = Served::new("[auth.basic]\nsource = \"file:DIR/users.toml\"\n", &[("users.toml", &list)]);
    let engine = std::sync::Arc::new(served.engines.into_iter().next().unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..300 {
        let engine = std::sync::Arc::clone(&engine);
        tasks.spawn(async move {
            let value = format!("Basic {}", STANDARD.encode(format!("ida:wrong {number}")));
            let headers: &[(&str, &[u8])] = &[("authorization", value.as_bytes())];
            show(&engine.handle(&Request { method: "GET", target: "/t", headers, body: b"" }).await)
        });
    }
    let mut busy = 0;
    while let Some(answer) = tasks.join_next().await {
        match answer.unwrap().as_str() {
            "401 PGRST301" => {}
            "503 PGRST003" => busy += 1,
            other => panic!("{other}"),
        }
    }
    assert!(busy > 0, "nobody had to wait too long");
}
