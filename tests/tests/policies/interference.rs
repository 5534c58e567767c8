//! Non-interference: what somebody may not see may be anything, and every answer stays the same to the byte.

use std::sync::Arc;

use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;
use sqlitrest_runtime::identity::Identity;

use super::dice::Dice;
use super::differential::{cases, passed, runner};
use super::oracle::{copy_of, open};
use super::requests::Request;
use super::run::{Core, Reply};

/// Member 7 of team 1 sees what is published and what is theirs; of members those of the team, without their salaries.
const CONFIG: &str = r#"
[api]
aggregates = true
plan = true
require_filter = false
tx_end = "commit-allow-override"
[fts.articles]
index = "articles_fts"
columns = ["title", "body"]
[[computed_column]]
table = "articles"
name = "words"
type = "integer"
sql = "json_extract({row}.meta, '$.words')"
[[computed_column]]
table = "articles"
name = "ratio"
type = "real"
sql = "10.0 / length({row}.body)"
[[udf]]
name = "all_articles"
expose = true
sql = "SELECT * FROM articles"
returns = "setof record"
[[udf]]
name = "count_articles"
expose = true
sql = "SELECT count(*) FROM articles WHERE json_valid(meta)"
returns = "scalar integer"
[[udf]]
name = "titles"
expose = true
sql = "SELECT title FROM articles WHERE body LIKE '%' || :word || '%'"
params = [{ name = "word", type = "text" }]
returns = "setof text"
[policies]
[[policies.policy]]
name = "published"
table = "articles"
operations = ["select"]
using = "status = 'published'"
columns = { hidden = ["meta", "words"] }
[[policies.policy]]
name = "own"
table = "articles"
using = "author_id = current_user_id()"
check = "author_id = current_user_id() AND status <> 'dead'"
[[policies.policy]]
name = "the team"
table = "members"
operations = ["select", "update"]
using = "team_id = 1"
columns = { hidden = ["salary"], masked = { email = "substr(email, 1, 1) || '***'" } }
[[policies.policy]]
name = "all"
tables = ["teams", "tags"]
operations = ["select"]
[[policies.policy]]
name = "tags of what is published"
table = "article_tags"
using = "article_id IN (SELECT id FROM articles WHERE status = 'published')"
[[policies.policy]]
name = "own notes"
table = "notes"
using = "by = current_user_id()"
[[policies.policy]]
name = "headlines"
table = "headlines"
using = "status = 'published'"
[[policies.policy]]
name = "bylines"
table = "bylines"
operations = ["select"]
security = "invoker"
[[policies.policy]]
name = "titles"
table = "byline_titles"
operations = ["select"]
using = "a IN (SELECT id FROM articles WHERE status = 'published')"
[databases.main]
hidden = ["private_*", "*_fts*"]
"#;

fn member() -> Identity {
    let claims = json!({ "sub": 7, "role": "member" });
    let serde_json::Value::Object(claims) = claims else { unreachable!("an object") };
    Identity { role: Some("member".to_owned()), claims, is_anonymous: false }
}

const TEXTS: [&str; 8] =
    ["'finals'", "''", "NULL", "'a finals injury bridge'", "'%'", "'abcde'", "char(0, 1, 2, 3)", "x'ff00'"];

const JSONS: [&str; 8] =
    ["'not JSON'", "'{'", "NULL", "'{\"words\": 10}'", "'{\"words\": \"x\"}'", "x'ff'", "'[1,2]'", "9e999"];

/// Changes of what member 7 does not see. With `keys` those of keys, too: which rows there are, and their unique values.
fn disturb(dice: &mut Dice<'_>, keys: bool) -> Vec<String> {
    let mut changes = Vec::new();
    for number in 0..dice.between(1, 8) {
        let text = dice.one(&TEXTS);
        let json = dice.one(&JSONS);
        let id = dice.one(&[3, 5]);
        let other = dice.one(&[8, 9]);
        let status = dice.one(&["'draft'", "'dead'", "''"]);
        let salary = dice.one(&["0", "NULL", "9223372036854775807", "'much'", "-1e308"]);
        let fresh = 100 + number;
        let change = match dice.below(if keys { 16 } else { 9 }) {
            0 => format!("UPDATE articles SET body = {text} WHERE id = {id}"),
            1 => format!("UPDATE articles SET meta = {json} WHERE id IN ({id}, 4)"),
            2 => format!("UPDATE articles SET status = {status}, author_id = {other} WHERE id = {id}"),
            3 => format!("UPDATE members SET salary = {salary}"),
            4 => format!("UPDATE members SET salary = {salary} WHERE id = {other}"),
            5 => format!("UPDATE members SET name = 'N' || {number}, team_id = 2 WHERE id = 9"),
            6 => format!("UPDATE notes SET note = {text}, by = {other} WHERE by <> 7"),
            7 => format!("INSERT INTO private_acl VALUES ({other}, {id})"),
            8 => format!("UPDATE articles SET meta = {json} WHERE id = 4"),
            9 => format!(
                "UPDATE OR IGNORE articles SET title = coalesce({text}, 't') || {number} WHERE id = {id}"
            ),
            10 => format!(
                "INSERT OR IGNORE INTO articles VALUES ({fresh}, {other}, {}, coalesce({text}, 't') || {number}, {text}, {status}, {json})",
                dice.one(&["1", "2", "NULL"])
            ),
            11 => format!(
                "DELETE FROM article_tags WHERE article_id = {id}; DELETE FROM notes WHERE article_id = {id}; DELETE FROM articles WHERE id = {id}"
            ),
            12 => format!("UPDATE members SET email = substr(email, 1, 1) || '{number}@' || id"),
            13 => format!("INSERT INTO members VALUES ({fresh}, 'M', 'm{number}', {salary}, 2)"),
            14 => {
                format!("INSERT INTO notes VALUES ({fresh}, {}, {text}, {other})", dice.one(&["1", "2", "4"]))
            }
            _ => "DELETE FROM article_tags WHERE article_id IN (3, 5)".to_owned(),
        };
        changes.push(change);
    }
    changes.push("INSERT INTO articles_fts (articles_fts) VALUES ('rebuild')".to_owned());
    changes
}

/// What is asked; each is a target, with headers behind spaces.
const READS: &[&str] = &[
    "/articles?meta->words=gt.5",
    "/articles?meta->>source=eq.phone",
    "/articles?meta=cs.{\"words\":10}",
    "/articles?meta=cd.{\"words\":10}",
    "/articles?meta=ov.[1]",
    "/articles?meta=eq.{}",
    "/articles?select=id,meta->words&order=meta->words.desc",
    "/articles?select=id,meta->>words::int",
    "/articles?select=id,w:meta->words::int&meta->words=not.is.null",
    "/articles?select=id,words&order=words",
    "/articles?select=id&words=gt.1",
    "/articles?select=words.sum()",
    "/articles?select=id,ratio&ratio=gt.0.1&order=ratio.desc",
    "/articles?select=ratio.avg(),ratio.max()",
    "/articles?select=title::int,body::real,id::text",
    "/articles?select=body::int&body=like.*5*",
    "/articles?body=fts.finals",
    "/articles?body=fts.finals|injury&order=id",
    "/articles?title=wfts.scandal or finals",
    "/articles?body=plfts.finals&order=body.rank()",
    "/articles?body=not.fts.finals",
    "/articles?order=id&limit=1&offset=1",
    "/articles?order=title.desc&limit=2  prefer: count=exact",
    "/articles?limit=1  prefer: count=planned",
    "/articles?limit=1  prefer: count=estimated",
    "/articles?offset=2  prefer: count=exact",
    "/articles?offset=9  prefer: count=exact",
    "/articles  range: 1-1  prefer: count=exact",
    "/articles?order=id&limit=1  prefer: links=keyset",
    "/articles?order=title,id&limit=1&after=(Finals,1)",
    "/articles?order=status",
    "/articles?order=meta",
    "/articles?select=count(),status",
    "/articles?select=id.max(),id.min(),id.sum(),id.avg(),count()",
    "/articles?select=distinct(status)",
    "/articles?select=id,members(name,email)",
    "/articles?select=id,members!inner(name)",
    "/articles?select=id,members(name)&members=is.null",
    "/articles?select=id,...members(email)&order=members(email)",
    "/articles?select=id,tags(tag),notes(note)&tags.order=id",
    "/articles?select=id,notes(count())&order=notes(count())",
    "/articles?select=id,article_tags!inner(tag_id)",
    "/articles?or=(meta->words.gt.5,body.like.*finals*)",
    "/articles?not.and=(id.gt.2,status.eq.draft)",
    "/articles?title=match.^[A-F]",
    "/articles?body=imatch.FINALS",
    "/articles?title=gt(col).body",
    "/articles?id=in.(3,5,100,101)",
    "/articles?id=eq.5  accept: application/vnd.pgrst.object+json",
    "/articles?id=eq.1  accept: application/vnd.pgrst.object+json",
    "/articles  accept: text/csv",
    "/articles  accept: application/vnd.pgrst.plan",
    "/articles?id=eq.1  if-none-match: \"x\"",
    "/articles?select=id,words  accept: application/json;nulls=stripped",
    "/members",
    "/members?salary=gt.1",
    "/members?order=salary",
    "/members?select=salary.sum()",
    "/members?select=salery",
    "/members?email=like.a*",
    "/members?email=eq.ada@news.example",
    "/members?order=email",
    "/members?select=email,count()",
    "/members?select=name,articles(title,words)",
    "/members?select=name,articles(count())",
    "/members?select=team_id,count()  prefer: count=exact",
    "/teams?select=team,articles(title),members(name)",
    "/teams?select=team,articles!inner(title)&articles.body=fts.finals",
    "/teams?select=team,articles(id.max())",
    "/teams?select=team,members(count())",
    "/teams?articles=is.null&select=team,articles()",
    "/teams?select=team,notes(note)",
    "/tags?select=tag,articles(title,meta)",
    "/tags?select=tag,article_tags(count())",
    "/article_tags",
    "/article_tags?select=*,articles(title)",
    "/notes?select=*,articles(title,members(name))",
    "/notes?select=note,articles!inner(title)",
    "/notes?select=count()",
    "/headlines?order=id",
    "/headlines?select=title,teams(team)",
    "/bylines?order=id",
    "/bylines?select=count()",
    "/bylines?email=like.a*",
    "/byline_titles?order=a",
    "/desk",
    "/private_acl",
    "/privat_acl",
    "/articles_fts",
    "/rpc/all_articles?order=id",
    "/rpc/all_articles?select=count()",
    "/rpc/count_articles",
    "/rpc/titles?word=finals",
    "/rpc/titles?word=%25",
    "/",
];

/// What is written: method, target, headers, body.
const WRITES: &[(&str, &str, &str)] = &[
    (
        "POST",
        "/articles  prefer: return=representation",
        r#"{"id":50,"author_id":7,"team_id":1,"title":"Fresh"}"#,
    ),
    ("POST", "/articles", r#"{"id":50,"author_id":9,"team_id":2,"title":"Scandal"}"#),
    ("POST", "/articles", r#"{"id":50,"author_id":7,"team_id":2,"title":"Scandal"}"#),
    ("POST", "/articles", r#"{"id":5,"author_id":7,"team_id":1,"title":"x"}"#),
    ("POST", "/articles", r#"{"id":5,"author_id":8,"team_id":1,"title":"x"}"#),
    ("POST", "/articles", r#"{"id":51,"author_id":7,"team_id":77,"title":"x"}"#),
    ("POST", "/articles", r#"{"id":51,"author_id":7,"title":"dead","status":"dead"}"#),
    (
        "POST",
        "/articles  prefer: resolution=merge-duplicates",
        r#"{"id":5,"author_id":7,"team_id":1,"title":"x"}"#,
    ),
    (
        "POST",
        "/articles  prefer: resolution=merge-duplicates,return=representation",
        r#"{"id":2,"author_id":7,"team_id":1,"title":"x"}"#,
    ),
    (
        "POST",
        "/articles  prefer: resolution=ignore-duplicates,return=representation",
        r#"[{"id":3,"author_id":7,"team_id":1,"title":"x"},{"id":52,"author_id":7,"team_id":1,"title":"y"}]"#,
    ),
    (
        "POST",
        "/articles?on_conflict=team_id,title  prefer: resolution=merge-duplicates",
        r#"{"id":53,"author_id":7,"team_id":2,"title":"Scandal"}"#,
    ),
    ("PUT", "/articles?id=eq.3", r#"{"id":3,"author_id":7,"team_id":1,"title":"x"}"#),
    ("PUT", "/articles?id=eq.2", r#"{"id":2,"author_id":7,"team_id":1,"title":"x"}"#),
    ("PATCH", "/articles?meta->words=gt.5  prefer: return=representation", r#"{"body":"changed"}"#),
    (
        "PATCH",
        "/articles?body=fts.finals  prefer: return=representation,count=exact",
        r#"{"status":"draft"}"#,
    ),
    ("PATCH", "/articles  prefer: count=exact", r#"{"status":"published"}"#),
    ("PATCH", "/articles?words=gt.1  prefer: return=representation", r#"{"status":"draft"}"#),
    ("PATCH", "/articles?id=eq.2", r#"{"team_id":2,"title":"Scandal"}"#),
    ("PATCH", "/articles?id=eq.2", r#"{"team_id":2,"title":"Scandal","author_id":8}"#),
    ("PATCH", "/articles?id=eq.2", r#"{"id":5}"#),
    ("PATCH", "/articles?id=eq.5", r#"{"title":"x"}"#),
    ("PATCH", "/articles?id=eq.1  if-match: *", r#"{"body":"changed"}"#),
    ("PATCH", "/articles?id=eq.5  if-match: *", r#"{"body":"changed"}"#),
    (
        "PATCH",
        "/articles?on_conflict=id  prefer: return=representation",
        r#"[{"id":2,"body":"b"},{"id":5,"body":"b"}]"#,
    ),
    ("PATCH", "/articles  prefer: handling=strict,max-affected=1", r#"{"body":"b"}"#),
    ("PATCH", "/members?id=eq.8", r#"{"name":"Bob"}"#),
    ("PATCH", "/members?email=like.a*  prefer: return=representation", r#"{"name":"Bob"}"#),
    ("PATCH", "/members", r#"{"salary":1}"#),
    ("PATCH", "/members?id=eq.8", r#"{"team_id":2}"#),
    ("DELETE", "/articles?id=eq.2  prefer: return=representation", ""),
    ("DELETE", "/articles?id=eq.5  prefer: return=representation", ""),
    ("DELETE", "/articles?meta->words=gt.1  prefer: return=representation", ""),
    ("DELETE", "/notes  prefer: count=exact", ""),
    ("POST", "/notes", r#"{"id":60,"article_id":5,"note":"n"}"#),
    ("POST", "/notes", r#"{"id":60,"article_id":5,"note":"n","by":8}"#),
    ("POST", "/notes", r#"{"id":2,"article_id":1,"note":"n"}"#),
    ("POST", "/article_tags", r#"{"article_id":3,"tag_id":1}"#),
    ("POST", "/article_tags", r#"{"article_id":4,"tag_id":1}"#),
    (
        "POST",
        "/articles",
        r#"{"id":54,"author_id":7,"team_id":1,"title":"with","notes":[{"id":61,"note":"n"}]}"#,
    ),
    ("PATCH", "/headlines?id=eq.1", r#"{"title":"By view"}"#),
    ("PATCH", "/headlines?id=eq.5", r#"{"title":"By view"}"#),
    (
        "POST",
        "/_batch",
        r#"[{"method":"PATCH","path":"/articles?id=eq.2","body":{"body":"x"}},{"method":"GET","path":"/articles?select=count()"}]"#,
    ),
    ("POST", "/rpc/titles", r#"{"word":"finals"}"#),
];

fn request(method: &str, line: &str, body: &str) -> Request {
    let mut parts = line.split("  ");
    let target = parts.next().unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let params = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut headers: Vec<(String, String)> = parts
        .filter_map(|field| field.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    headers.push(("content-type".to_owned(), "application/json".to_owned()));
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        params: params.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        headers,
        body: body.to_owned(),
        ..Request::default()
    }
}

fn newsroom() -> Connection {
    let path = sqlitrest_tests::root().join("tests/fixtures/newsroom.sql");
    open(&std::fs::read_to_string(path).unwrap())
}

fn disturbed(pristine: &Connection, changes: &[String]) -> Connection {
    let other = copy_of(pristine);
    other.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    for change in changes {
        other.execute_batch(change).unwrap_or_else(|error| panic!("{error}: {change}"));
    }
    other.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    other
}

fn differ(changes: &[String], request: &Request, a: &Reply, b: &Reply) -> Result<(), TestCaseError> {
    if a == b {
        return Ok(());
    }
    Err(TestCaseError::fail(format!(
        "\n=== what is hidden changed so\n{}\n=== request\n{} {} {:?}\n{}\n=== before\n{a:#?}\n=== after\n{b:#?}",
        changes.join(";\n"),
        request.method,
        request.target(),
        request.headers,
        request.body
    )))
}

#[test]
fn reads_do_not_tell_of_what_is_hidden() {
    let pristine = newsroom();
    let numbers = prop::collection::vec(any::<u16>(), 20..120);
    let mut first = Core::new(copy_of(&pristine), CONFIG);
    let misfits = first.misfits();
    assert!(misfits.is_empty(), "{misfits:?}");
    let wanted: Arc<Vec<(Request, Reply)>> = Arc::new(
        READS
            .iter()
            .flat_map(|line| [request("GET", line, ""), request("HEAD", line, "")])
            .map(|request| {
                let reply = first.send(&member(), &request);
                (request, reply)
            })
            .collect(),
    );
    // Most tell something.
    let good = wanted.iter().filter(|(_, reply)| reply.status < 300).count();
    assert!(good * 4 > wanted.len() * 3, "{good} of {} are answered", wanted.len());
    let result = runner(cases(150, 5_000)).run(&numbers, |numbers| {
        let changes = disturb(&mut Dice::new(&numbers), true);
        let mut other = Core::new(disturbed(&pristine, &changes), CONFIG);
        for (request, wanted) in wanted.iter() {
            let got = other.send(&member(), request);
            differ(&changes, request, wanted, &got)?;
        }
        Ok(())
    });
    passed(result);
}

#[test]
fn writes_do_not_tell_of_what_is_hidden() {
    let pristine = newsroom();
    let numbers = prop::collection::vec(any::<u16>(), 20..120);
    let result = runner(cases(60, 2_000)).run(&numbers, |numbers| {
        // That a key is there may be learned: keys stay.
        let changes = disturb(&mut Dice::new(&numbers), false);
        let changed = disturbed(&pristine, &changes);
        for (method, line, body) in WRITES {
            let request_of = request(method, line, body);
            let mut first = Core::new(copy_of(&pristine), CONFIG);
            let mut other = Core::new(copy_of(&changed), CONFIG);
            let (a, b) = (first.send(&member(), &request_of), other.send(&member(), &request_of));
            differ(&changes, &request_of, &a, &b)?;
            // What is there afterwards, as far as it can be seen.
            for line in
                ["/articles?order=id", "/members?order=id", "/notes?order=id", "/article_tags", "/headlines"]
            {
                let after = request("GET", line, "");
                let (a, b) = (first.send(&member(), &after), other.send(&member(), &after));
                differ(&changes, &request_of, &a, &b)?;
            }
        }
        Ok(())
    });
    passed(result);
}

/// SQL of the configuration may fail on some rows, and policies may be such that SQLite asks them last.
const FAILING: &str = r#"
[api]
aggregates = true
[[computed_column]]
table = "articles"
name = "words"
type = "integer"
sql = "json_extract({row}.meta, '$.words')"
[policies]
[[policies.policy]]
name = "by a list"
table = "articles"
using = "EXISTS (SELECT 1 FROM private_acl a WHERE a.member_id = current_user_id() AND a.article_id = articles.id)"
[[policies.policy]]
name = "teams"
table = "teams"
[databases.main]
hidden = ["private_*", "*_fts*"]
"#;

#[test]
fn what_fails_on_a_hidden_row_does_not_tell_of_it() {
    // Member 7 sees article 5; the JSON of article 3 is none.
    let pristine = newsroom();
    let mended = disturbed(&pristine, &["UPDATE articles SET meta = NULL WHERE id = 3".to_owned()]);
    for line in [
        "/articles?select=id,words&words=gt.1",
        "/articles?select=id&words=gt.1&order=id",
        "/articles?select=id&order=words",
        "/articles?select=words.sum()",
        "/articles?select=id&or=(words.gt.1,id.eq.5)",
        "/articles?select=id&words=not.is.null  prefer: count=exact",
        "/teams?select=team,articles(words)&articles.words=gt.1",
        "/teams?select=team,articles!inner(id)&articles.words=gt.1",
    ] {
        let asked = request("GET", line, "");
        let (mut first, mut other) =
            (Core::new(copy_of(&pristine), FAILING), Core::new(copy_of(&mended), FAILING));
        let (a, b) = (first.send(&member(), &asked), other.send(&member(), &asked));
        assert_eq!(a, b, "{line}");
        assert_eq!(a.status, 200, "{line}: {a:?}");
    }
    // By the table's own name.
    for (method, line, body) in [
        ("PATCH", "/articles?words=gt.1  prefer: return=representation", r#"{"body":"x"}"#),
        ("DELETE", "/articles?words=gt.99  prefer: return=representation,count=exact", ""),
    ] {
        let asked = request(method, line, body);
        let (mut first, mut other) =
            (Core::new(copy_of(&pristine), FAILING), Core::new(copy_of(&mended), FAILING));
        let (a, b) = (first.send(&member(), &asked), other.send(&member(), &asked));
        assert_eq!(a, b, "{line}");
        assert_eq!(a.status, 200, "{line}: {a:?}");
    }
}
