//! Under Spin the policy file is mounted beside the configuration, and what does not fit refuses instead of serving; databases beside the
//! default one go by their labels.

use sqlitrest::Request;
use sqlitrest_tests::fixture::Fixture;
use sqlitrest_tests::spin::Spin;

const CONFIG: &str = "[api]\nanonymous_role = \"reader\"\n[policies]\nfile = \"./policies.toml\"\n";

async fn get(spin: &Spin, target: &str) -> (u16, String) {
    let answer = spin.handle(&Request { method: "GET", target, headers: &[], body: b"" }).await;
    (answer.status, String::from_utf8(answer.body).unwrap())
}

fn spin(fixture: &Fixture, policies: Option<&str>) -> Spin {
    let spin = Spin::new(&fixture.path("spin"), &fixture.config_text("spin", CONFIG));
    if let Some(policies) = policies {
        spin.mount("policies.toml", policies);
    }
    spin
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_read_from_a_mounted_file() {
    let fixture = Fixture::new("newsroom");
    let rule = "[[policy]]\nname = \"published\"\ntable = \"articles\"\nusing = \"status = 'published'\"\n";
    let spin = spin(&fixture, Some(rule));
    assert_eq!(get(&spin, "/articles?select=id").await, (200, "[{\"id\":1},{\"id\":4}]".to_owned()));
    assert_eq!(get(&spin, "/members").await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_refuses() {
    let fixture = Fixture::new("newsroom");
    let missing = spin(&fixture, None);
    assert_eq!(get(&missing, "/articles").await.0, 500);
    let broken = spin(&fixture, Some("[[policy]\n"));
    assert_eq!(get(&broken, "/articles").await.0, 500);
    let misfit = "[[policy]]\nname = \"x\"\ntable = \"articles\"\nusing = \"no_such = 1\"\n\n\
                  [[policy]]\nname = \"y\"\ntable = \"teams\"\n";
    let misfit = spin(&fixture, Some(misfit));
    assert_eq!(get(&misfit, "/articles").await.0, 500);
    assert_eq!(get(&misfit, "/teams?select=team").await.0, 200, "what else there is can be kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_across_requests_refuse() {
    let fixture = Fixture::new("newsroom");
    for key in ["rate_limit_per_ip", "rate_limit_per_identity"] {
        let config = format!("[middleware]\n{key} = 100\n");
        let spin = Spin::new(&fixture.path("spin"), &fixture.config_text("spin", &config));
        assert_eq!(get(&spin, "/articles").await.0, 500, "{key}");
    }
    let off = "[middleware]\nrate_limit_per_ip = 0\nrate_limit_per_ip_burst = 5\n";
    let spin = Spin::new(&fixture.path("spin"), &fixture.config_text("spin", off));
    assert_eq!(get(&spin, "/articles?select=id&limit=1").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_databases_go_by_their_labels() {
    let fixture = Fixture::of_sql("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
    let other =
        Fixture::of_sql("CREATE TABLE u(id INTEGER PRIMARY KEY, s TEXT); INSERT INTO u VALUES (2, 'x')");
    let config = "[databases.logs]\nmode = \"readonly\"\n[[udf]]\nname = \"f\"\nexpose = true\ndatabase = \"logs\"\nsql = \"SELECT s FROM u\"\n";
    let mut spin = Spin::new(&fixture.path("spin"), &format!("{config}[databases.main]\n"));
    spin.others.push(("logs", other.path("spin")));
    let ask = async |method, target, field: &'static str| {
        let fields: &[(&str, &[u8])] =
            &[("accept-profile", field.as_bytes()), ("content-profile", field.as_bytes())];
        let body: &[u8] = if method == "POST" { b"{\"id\":9}" } else { b"" };
        let answer = spin.handle(&Request { method, target, headers: fields, body }).await;
        let schema = answer.header("content-profile").map(str::to_owned);
        (answer.status, String::from_utf8(answer.body).unwrap(), schema)
    };
    let of = |status, body: &str, schema: &str| (status, body.to_owned(), Some(schema.to_owned()));
    assert_eq!(ask("GET", "/t", "main").await, of(200, "[{\"id\":1}]", "main"));
    assert_eq!(ask("GET", "/t", "public").await, of(200, "[{\"id\":1}]", "main"));
    assert_eq!(ask("GET", "/u", "logs").await, of(200, "[{\"id\":2,\"s\":\"x\"}]", "logs"));
    assert_eq!(ask("GET", "/rpc/f", "logs").await, of(200, "[{\"s\":\"x\"}]", "logs"));
    assert_eq!(ask("GET", "/rpc/f", "main").await.0, 404);
    assert_eq!(ask("POST", "/u", "logs").await.0, 405);
    let unknown = ask("GET", "/t", "other").await;
    assert_eq!((unknown.0, unknown.2), (406, None));
    assert!(unknown.1.contains("exposed: main, logs"), "{}", unknown.1);
    let attached =
        Spin::new(&fixture.path("spin"), "[databases.main]\nattach = [\"logs\"]\n[databases.logs]\n");
    assert_eq!(get(&attached, "/t").await.0, 500, "Spin attaches nothing");
}
