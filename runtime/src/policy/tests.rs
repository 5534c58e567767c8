//! Expressions of policies: what is taken, what is refused, and with which words.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::expression::expression;
use crate::plan::{Expr, SqlExpr};
use crate::schema::{Relation, RelationKind, SchemaCache};

fn schema() -> SchemaCache {
    let mut schema = SchemaCache::default();
    for (name, columns) in
        [("posts", ["id", "author_id", "title", "meta"].as_slice()), ("members", &["id", "team", "title"])]
    {
        schema.names.insert(name.to_owned(), schema.relations.len());
        schema.relations.push(Relation::of_columns(name, columns));
    }
    schema
}

fn check(text: &str, expected: Expect) {
    let error = expression(&schema(), 0, text).err().unwrap_or_else(|| "taken".to_owned());
    expected.assert_eq(&error);
}

#[test]
fn what_is_taken() {
    for text in [
        "1",
        "author_id = current_user_id()",
        "posts.author_id = 7 AND \"title\" <> 'x' OR NOT id IN (1, 2)",
        "author_id IN (SELECT id FROM members WHERE team = current_claim('team'))",
        "EXISTS (SELECT 1 FROM members AS m LEFT JOIN members n ON n.id = m.id WHERE m.id = posts.author_id)",
        "EXISTS (SELECT * FROM json_each(meta) WHERE value = current_role())",
        "(SELECT count(*) FROM members WHERE members.id = author_id) > 0",
        "(SELECT max(id) FROM members GROUP BY team HAVING count(DISTINCT id) > 1 ORDER BY team DESC LIMIT 1) = 1",
        "json_extract(meta, '$.a') = 1 AND meta ->> '$.b' LIKE 'x%'",
        "CASE WHEN id > 1 THEN 1 ELSE 0 END",
        "CASE id WHEN 1 THEN 'a' END = 'a'",
        "title COLLATE NOCASE = 'X' AND CAST(id AS TEXT) GLOB '1*'",
        "request_value('request.headers', 'x-tenant') = title AND request_value('request.method') = 'GET'",
        "date(title) < date(now()) AND datetime(title, '+1 day') IS NOT NULL",
        "substr(title, 1, 1) || '***'",
        "(SELECT count(*) AS n FROM members) > 1 AND (SELECT max(team) FROM members WHERE members.id = posts.id) = 1",
        &vec!["id = 1"; 1_000].join(" OR "),
        "id IN () OR id << 2 >> 1 = 1",
        "EXISTS (SELECT DISTINCT m.id n FROM members m, json_tree(meta) t CROSS JOIN posts p ON p.id = m.id WHERE t.key = 'it''s')",
        "(SELECT ALL count(*) FROM members INNER JOIN posts LEFT OUTER JOIN posts \"p q\" ON 1 WHERE \"p q\".id = members.id ORDER BY count(*) ASC) = 1",
        "id BETWEEN -1 AND 1.5 AND title IS NOT DISTINCT FROM NULL AND trim(title, 'x') = '' AND TRUE",
    ] {
        assert!(expression(&schema(), 0, text).is_ok(), "{text}: {:?}", expression(&schema(), 0, text));
    }
}

#[test]
fn what_is_refused() {
    check("auhtor_id = 1", expect!["there is no column auhtor_id; perhaps author_id"]);
    check("members.id = 1", expect!["there is no table members to have a column id here"]);
    check("posts.nothing", expect!["there is no column nothing of posts"]);
    check(
        "author_id = 1; DROP TABLE posts",
        expect![[r#"it must be one expression, and ";" stands behind one"#]],
    );
    check("SELECT 1", expect![[r#"it must be one expression, and "1" stands behind one"#]]);
    check("DELETE FROM posts", expect![[r#"it must be one expression, and "FROM" stands behind one"#]]);
    check("(DELETE FROM posts)", expect![[r#"")" is expected, not "FROM" (line 1, column 9)"#]]);
    check("id = ", expect!["an expression is missing at the end"]);
    check("", expect!["an expression is missing at the end"]);
    check(
        "id = ?",
        expect![
            "?: a policy has no parameters; current_user_id(), current_role() and current_claim('name') say who asks"
        ],
    );
    check(
        "id = :user",
        expect![
            ":user: a policy has no parameters; current_user_id(), current_role() and current_claim('name') say who asks"
        ],
    );
    check(
        "id = $1",
        expect![
            "$1: a policy has no parameters; current_user_id(), current_role() and current_claim('name') say who asks"
        ],
    );
    check("random() > 0", expect!["random gives another result each time"]);
    check(
        "CURRENT_TIMESTAMP > title",
        expect!["current_timestamp gives another result each time; now() is the time in UTC"],
    );
    check(
        "date('now') > title",
        expect!["date with 'now' gives another result each time; now() is the time in UTC"],
    );
    check("lowr(title) = 'x'", expect!["there is no function lowr for policies; perhaps lower"]);
    check("load_extension('x')", expect!["there is no function load_extension for policies"]);
    check("count(*) > 1", expect!["count(*): this is not taken in a policy"]);
    check("max(id) = 1", expect!["max of several rows: only a subquery has several"]);
    check("id IN (SELECT id, team FROM members)", expect!["a subquery here selects one value, not 2"]);
    check("id IN (SELECT id FROM membrs)", expect!["there is no table membrs; perhaps members"]);
    check("id IN (SELECT id FROM main.members)", expect!["main.members: write the table's name alone"]);
    check(
        "id IN (SELECT id FROM members UNION SELECT 1)",
        expect!["a subquery is one SELECT, without WITH, UNION, INTERSECT and EXCEPT"],
    );
    check(
        "id IN (WITH x AS (SELECT 1) SELECT * FROM x)",
        expect!["a subquery is one SELECT, without WITH, UNION, INTERSECT and EXCEPT"],
    );
    check(
        "id IN (SELECT id FROM (SELECT 1 AS id))",
        expect!["(SELECT 1 AS id): a subquery reads tables, views, json_each and json_tree"],
    );
    check(
        "EXISTS (SELECT 1 FROM members, posts WHERE id = 1)",
        expect!["id could be a column of several tables: write TABLE.id"],
    );
    check(
        "sum(id) OVER () > 1",
        expect!["sum(id) OVER: FILTER, OVER and the like are not taken in a policy"],
    );
    check(
        "(id, title) = (1, 'x')",
        expect!["rows of values ((a, b) = …) are not taken: compare the values one by one"],
    );
    check("title REGEXP 'x'", expect!["REGEXP: not every host has it; LIKE and GLOB are taken"]);
    check("title MATCH 'x'", expect!["MATCH: not every host has it; LIKE and GLOB are taken"]);
    check("current_claim(title) = 1", expect!["current_claim: its arguments are texts in single quotes"]);
    check(
        "request_value('request.body', 'x') = 1",
        expect![
            "request_value: request.jwt.claims, request.headers and request.cookies with a name, request.method or request.path"
        ],
    );
    check(
        "json_extract(meta, title) = 1",
        expect!["json_extract: a path is a text that begins with $, of plain names ($.a.b[0])"],
    );
    check(
        "id IS author_id",
        expect![[
            r#"NULL, TRUE, FALSE or DISTINCT FROM is expected, not "author_id" (line 1, column 7): a IS b is written a IS NOT DISTINCT FROM b"#
        ]],
    );
    check("title LIKE 'x' ESCAPE '!'", expect!["LIKE … ESCAPE is not taken in a policy"]);
    check("id = x'00'", expect!["x'00': this is not taken in a policy"]);
    check("id = 0x1F", expect!["0x1F is no number"]);
    check("id = 1e999", expect!["1e999 is no number"]);
    check("title = 'x", expect!["a ' is not closed"]);
    check("\"title = 1", expect![[r#"a " is not closed"#]]);
    check("[title = 1", expect!["a [ is not closed"]);
    check("id = 1 /* one", expect!["a /* is not closed"]);
    check("id = 1 ! 2", expect![[r#""!" has no meaning in an expression"#]]);
    check("id\u{a0}= 1", expect!["there is no column id ; perhaps id"]);
    check("a.b.c", expect!["a.b.c: a column is named by itself or with its table"]);
    check("main.lower(title)", expect!["there is no function main.lower for policies"]);
    check("id = 1 AND\n  (title = 'é' 'x'", expect![[r#"")" is expected, not "'x'" (line 2, column 16)"#]]);
    check("CASE id END", expect![[r#"WHEN is expected, not "END" (line 1, column 9)"#]]);
    check("id BETWEEN 1", expect!["AND is missing at the end"]);
    check("id IN members", expect![[r#""(" is expected, not "members" (line 1, column 7)"#]]);
    check("EXISTS (SELECT m.* FROM members m)", expect!["m.*: name the columns"]);
    check("id IN (SELECT *, 1 FROM members)", expect!["SELECT *: name the columns"]);
    check("id IN (SELECT id FROM members LIMIT 1 OFFSET 1)", expect!["LIMIT is taken without OFFSET"]);
    check(
        "id IN (SELECT id FROM members ORDER BY id NULLS LAST)",
        expect!["NULLS FIRST and NULLS LAST are not taken in a policy"],
    );
    check(
        "id IN (SELECT id FROM members NATURAL JOIN posts)",
        expect!["tables are joined by JOIN and LEFT JOIN"],
    );
    check(
        "id IN (SELECT id FROM members JOIN posts USING (id))",
        expect!["tables are joined ON a condition, not USING columns"],
    );
    check(
        "id IN (SELECT id FROM members LIMIT 1 WHERE id = 1)",
        expect![[
            r#"a subquery has SELECT, FROM, WHERE, GROUP BY, HAVING, ORDER BY and LIMIT, in this order; ")" is expected, not "WHERE" (line 1, column 39)"#
        ]],
    );
    check(
        "id IN (VALUES (1))",
        expect!["a subquery is one SELECT, without WITH, UNION, INTERSECT and EXCEPT"],
    );
    check("id IN (SELECT id FROM members", expect![[r#"")" is missing at the end"#]]);
    check(
        "id IN (SELECT m.id FROM members m, members m2, json_each(meta, '$') WHERE 1)",
        expect!["json_each of one JSON"],
    );
    check(
        "id IN (SELECT value FROM generate_series(1))",
        expect!["there is no table-valued function generate_series for policies"],
    );
    check(
        "sum(id) FILTER (WHERE id > 1) > 1",
        expect!["sum(id) FILTER: FILTER, OVER and the like are not taken in a policy"],
    );
    check("id COLLATE german = 'x'", expect!["there is no collation german"]);
    check("id IS NOT NULL + 1", expect!["id IS NOT NULL +: write parentheses around what stands before +"]);
    check(
        "id IS NULL || 'x' = 'y'",
        expect!["id IS NULL ||: write parentheses around what stands before ||"],
    );
    check(
        "id IS NOT DISTINCT FROM TRUE",
        expect!["id IS NOT DISTINCT FROM TRUE: write IS TRUE, IS NOT TRUE, IS FALSE or IS NOT FALSE"],
    );
    check(
        "(SELECT max(posts.id) FROM members) > 1",
        expect!["max of columns of a query around: it would be an aggregate of that one"],
    );
    check(
        "(SELECT -m.id AS i FROM members m ORDER BY i LIMIT 1) > 1",
        expect!["i is what a subquery calls something that it selects: write the thing itself"],
    );
    check(
        "printf(title) = 'x'",
        expect!["printf: its format is a text without * and without numbers of more than two digits"],
    );
    check(
        "printf('%2000000000d', id) = 'x'",
        expect!["printf: its format is a text without * and without numbers of more than two digits"],
    );
    check(
        "replace(title, 'a', title) = 'x'",
        expect!["replace: what it puts in the place is a text of at most 100 bytes"],
    );
    check("meta ->> title = 'x'", expect!["a path is a text that begins with $, of plain names ($.a.b[0])"]);
    check(&vec!["id"; 300].join(" || "), expect!["it nests deeper than 100 levels"]);
    check(&vec!["id = 1"; 3_000].join(" OR "), expect!["it is longer than 16384 bytes"]);
    check("CAST(id AS JSON)", expect!["CAST AS JSON: TEXT, INTEGER, REAL, NUMERIC and BLOB are taken"]);
    check(&format!("{}id{}", "(".repeat(200), ")".repeat(200)), expect!["it nests deeper than 50 levels"]);
}

/// The precedence is SQLite's: `||` and `->` before `*`, `<` before `=`, NOT behind them.
#[test]
fn precedence() {
    let same = |a: &str, b: &str| {
        assert!(expression(&schema(), 0, a).is_ok(), "{a}: {:?}", expression(&schema(), 0, a));
        assert_eq!(expression(&schema(), 0, a), expression(&schema(), 0, b), "{a}  {b}");
    };
    same("id || 1 + 2 = 3", "((id || 1) + 2) = 3");
    same("id + 1 || 2 * 3", "id + ((1 || 2) * 3)");
    same("meta ->> '$.a' = 'x' AND id = 1", "((meta ->> '$.a') = 'x') AND (id = 1)");
    same("id = 1 < 2", "id = (1 < 2)");
    same("NOT id = 1", "NOT (id = 1)");
    same("id = 1 OR id = 2 AND title = 'x'", "(id = 1) OR ((id = 2) AND (title = 'x'))");
    same("id & 1 = 1", "(id & 1) = 1");
    same("id << 1 + 2", "id << (1 + 2)");
    same("id IN (1) = 1", "(id IN (1)) = 1");
    same("title LIKE 'a' || 'b'", "title LIKE ('a' || 'b')");
    same("title COLLATE NOCASE = 'X'", "(title COLLATE NOCASE) = 'X'");
    same("id = 1 IS NOT NULL", "(id = 1) IS NOT NULL");
    same("title NOT LIKE 'x%' IS TRUE", "(title NOT LIKE 'x%') IS TRUE");
    same("title NOT LIKE 'x%' = id", "(title NOT LIKE 'x%') = id");
    same("title LIKE 'x%' IN (1)", "(title LIKE 'x%') IN (1)");
    same("title LIKE 'x%' LIKE 'y'", "(title LIKE 'x%') LIKE 'y'");
    same("id BETWEEN 1 AND 2 = 1", "(id BETWEEN 1 AND 2) = 1");
    same("id = -9223372036854775808", "id = (-9223372036854775808)");
    same("- id || 'x' = 'y'", "((-id) || 'x') = 'y'");
    same("NOT title COLLATE NOCASE = 'X'", "NOT ((title COLLATE NOCASE) = 'X')");
    same("title || 'x' COLLATE NOCASE", "title || ('x' COLLATE NOCASE)");
    same("NOT EXISTS (SELECT 1) = 1", "NOT ((EXISTS (SELECT 1)) = 1)");
    same("1 + NOT id = 2 AND 3", "(1 + (NOT (id = 2))) AND 3");
    same("title NOT GLOB 'x*'", "NOT (title GLOB 'x*')");
    same("id NOTNULL + 1", "(id IS NOT NULL) + 1");
    same("id NOT NULL", "id IS NOT NULL");
    same("id ISNULL", "id IS NULL");
    same("id BETWEEN 1 AND 2 AND title = 'x'", "(id BETWEEN 1 AND 2) AND (title = 'x')");
    same("id BETWEEN 1 AND 2 OR title = 'x'", "(id BETWEEN 1 AND 2) OR (title = 'x')");
    same("id == 1 AND id != 2", "id = 1 AND id <> 2");
    same("id-1--1\n=/* one */.5e1", "id - 1 = 5.0");
    same("[title]=`title`", "\"title\" = title");
}

/// JSON functions fail on what is no JSON; in a policy they are NULL.
#[test]
fn json_is_guarded() {
    for text in ["json_extract(meta, '$.a')", "meta -> 'a'", "meta ->> 'a'", "json_type(meta)", "json(meta)"]
    {
        let guarded = matches!(
            expression(&schema(), 0, text),
            Ok(Expr::Sql(SqlExpr::Case { operand: None, otherwise: None, .. }))
        );
        assert!(guarded, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is written, the answer is an expression or a sentence.
    #[test]
    fn any_text_is_answered(
        words in prop::collection::vec(
            prop::sample::select(&[
                "id", "title", "members", "(", ")", "SELECT", "FROM", "WHERE", "AS", "JOIN", "ON", "LEFT", ",", ".", "*", "NOT",
                "IS", "NULL", "IN", "BETWEEN", "AND", "OR", "LIKE", "=", "->>", "-", "~", "||", "1", "1.5e", ".5", "'a", "'", "\"",
                "[", "]", "`", "x'", "/*", "*/", "--", "\n", "CASE", "WHEN", "THEN", "ELSE", "END", "CAST", "COLLATE", "NOCASE",
                "EXISTS", "count", "lower", "é", "\u{a0}", "?", ":", "$", "ORDER", "BY", "LIMIT", "GROUP", "TEXT",
            ][..]),
            0..24,
        ),
        between in prop::sample::select(&["", " "][..]),
    ) {
        let text = words.join(between);
        if let Err(sentence) = expression(&schema(), 0, &text) {
            prop_assert!(!sentence.is_empty());
        }
    }
}

#[test]
fn a_name_that_may_be_of_an_inner_table_is_not_taken_for_an_outer_one() {
    let mut schema = schema();
    schema.names.insert("found".to_owned(), schema.relations.len());
    let found = Relation { kind: RelationKind::Virtual, ..Relation::of_columns("found", &["title"]) };
    schema.relations.push(found);
    for text in [
        "id IN (SELECT rowid FROM found WHERE found.title = 'public')",
        "EXISTS (SELECT 1 FROM found WHERE rank < 1)",
        "EXISTS (SELECT 1 FROM found WHERE title = 'x' AND author_id = 1)",
        "EXISTS (SELECT 1 FROM json_each(meta) WHERE root = 1 OR json = 1)",
        "EXISTS (SELECT 1 FROM json_tree(meta) WHERE rowid = id)",
        "EXISTS (SELECT 1 FROM members WHERE oid = 1)",
    ] {
        let error = expression(&schema, 0, text).expect_err(text);
        assert!(error.ends_with("write TABLE.rowid") || error.contains("could be of "), "{text}: {error}");
    }
    let named = "EXISTS (SELECT 1 FROM found WHERE title = 'x' AND posts.author_id = 1)";
    assert!(expression(&schema, 0, named).is_ok());
}

#[test]
fn what_joins_sees_all_tables() {
    let text = |name: &str| {
        format!(
            "EXISTS (SELECT 1 FROM json_each(posts.meta) j JOIN json_each(posts.meta) k ON k.value = {name} JOIN members m ON 1)"
        )
    };
    let read = |name| expression(&schema(), 0, &text(name)).expect("taken");
    assert_eq!(read("title"), read("m.title"));
    assert_ne!(read("title"), read("posts.title"));
}

#[test]
fn places_are_no_names() {
    for by in [
        "GROUP BY 1 HAVING count(*) > 1",
        "GROUP BY TRUE",
        "ORDER BY 1",
        "ORDER BY -1",
        "ORDER BY +FALSE COLLATE NOCASE",
    ] {
        check(
            &format!("EXISTS (SELECT id FROM members {by})"),
            expect!["GROUP BY and ORDER BY name what they go by, not its place"],
        );
    }
}

#[test]
fn what_is_written_once_and_stands_there_twice_has_an_end() {
    for (first, more) in [("meta", " -> 'a'"), ("id", " BETWEEN 0 AND 1"), ("meta", " ->> '$.a'")] {
        let text = |times: usize| format!("({first}{}) = 1", more.repeat(times));
        assert!(expression(&schema(), 0, &text(5)).is_ok());
        for times in [30, 90] {
            let error = expression(&schema(), 0, &text(times)).expect_err("too long");
            assert!(error.starts_with("it becomes too long"), "{error}");
        }
    }
    let nested = (0..40).fold("title".to_owned(), |pattern, _| format!("(title LIKE {pattern})"));
    assert!(expression(&schema(), 0, &nested).is_err());
}

#[test]
fn what_nests_in_parentheses_and_to_the_left_has_an_end() {
    let added = (0..40).fold("id".to_owned(), |text, _| format!("({text}{})", "+1".repeat(100)));
    check(&added, expect!["it nests deeper than 100 levels"]);
    let queries =
        (0..20).fold("id".to_owned(), |text, _| format!("(SELECT {text}{} FROM members)", "+1".repeat(50)));
    check(&queries, expect!["it nests deeper than 100 levels"]);
}

#[test]
fn what_sqlite_takes_for_something_else() {
    check("current_claim(DISTINCT 'x') = 1", expect!["current_claim(DISTINCT …) is for aggregates"]);
    check(
        "id IS NOT DISTINCT FROM TRUE COLLATE NOCASE",
        expect![
            "id IS NOT DISTINCT FROM TRUE COLLATE NOCASE: write IS TRUE, IS NOT TRUE, IS FALSE or IS NOT FALSE"
        ],
    );
    let mut with_true = schema();
    with_true.relations.push(Relation::of_columns("flags", &["true", "id"]));
    with_true.names.insert("flags".to_owned(), 2);
    let error = expression(&with_true, 0, "EXISTS (SELECT 1 FROM flags WHERE TRUE)").expect_err("a column");
    assert_eq!(error, "TRUE is also a column: write it in quotes, or 1 or 0");
    assert!(expression(&with_true, 0, "EXISTS (SELECT 1 FROM flags WHERE \"true\")").is_ok());
    assert!(expression(&schema(), 0, "id = - -9223372036854775808").is_ok());
}
