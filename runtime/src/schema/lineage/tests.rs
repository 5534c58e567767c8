use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::schema::{Column, ColumnType, ForeignKey, Relation, RelationKind, RowKey, Writable};

/// Tables as `name(column* column>target.column)`, where `*` marks the primary key and `>` a foreign key.
const TABLES: &[&str] = &[
    "clients(id* name)",
    "projects(id* name client_id>clients.id)",
    "tasks(id* Name project_id>projects.id parent_id>tasks.id)",
    "users(id* name)",
    "memberships(user_id*>users.id project_id*>projects.id role)",
    "Odd \"Table\"(id* a,b)",
];

fn schema() -> SchemaCache {
    let mut schema = SchemaCache::default();
    for table in TABLES {
        let (name, columns) = table.trim_end_matches(')').rsplit_once('(').unwrap();
        let marks: Vec<&str> = columns.split(' ').collect();
        let names: Vec<&str> = marks.iter().map(|c| c.split(['*', '>']).next().unwrap()).collect();
        let id = add(&mut schema, name, RelationKind::Table, &names);
        for (at, mark) in marks.iter().enumerate() {
            if mark.contains('*') {
                schema.relations[id].primary_key.push(at);
            }
            if let Some((_, target)) = mark.split_once('>') {
                let (target, column) = target.split_once('.').unwrap();
                let target_id = schema.names[target];
                let target_columns = vec![schema.relations[target_id].column(column).unwrap()];
                let name = format!("{name}_{}_fkey", names[at]);
                schema.referrers[target_id].push((id, schema.relations[id].foreign_keys.len()));
                let (target, columns) = (target_id, vec![at]);
                let key = ForeignKey {
                    name,
                    columns,
                    target,
                    target_columns,
                    unique: false,
                    derived: false,
                    hidden: false,
                };
                schema.relations[id].foreign_keys.push(key);
            }
        }
        if let [only] = schema.relations[id].primary_key[..] {
            schema.relations[id].columns[only].is_rowid = true;
        }
    }
    schema
}

fn add(schema: &mut SchemaCache, name: &str, kind: RelationKind, columns: &[&str]) -> RelationId {
    let column = |name: &&str| Column {
        name: (*name).to_owned(),
        declared_type: String::new(),
        column_type: ColumnType::Any,
        not_null: false,
        default: None,
        generated: false,
        computed: None,
        representation: None,
        is_rowid: false,
        hidden: false,
        masked: false,
        writable: true,
    };
    let id = schema.relations.len();
    schema.names.insert(name.to_owned(), id);
    schema.referrers.push(Vec::new());
    schema.relations.push(Relation {
        name: name.to_owned(),
        kind,
        columns: columns.iter().map(column).collect(),
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        foreign_keys: Vec::new(),
        computed: Vec::new(),
        full_text: None,
        row_key: RowKey::None,
        strict: false,
        writable: Writable::default(),
        key_is_sure: false,
        rewrite: None,
        access: None,
    });
    id
}

/// Adds views, each with the names of its columns as SQLite would tell them: `columns: CREATE VIEW name AS …`.
fn add_views(schema: &mut SchemaCache, views: &[&str]) -> Vec<(RelationId, String)> {
    let mut texts = Vec::new();
    for view in views {
        let (columns, sql) = view.split_once(": ").unwrap();
        let name = sql.split([' ', '(']).nth(2).unwrap();
        let id = add(schema, name, RelationKind::View, &columns.split(' ').collect::<Vec<_>>());
        texts.push((id, sql.to_owned()));
    }
    texts
}

/// The origins of the last of these views.
fn check(views: &[&str], expected: Expect) {
    let mut schema = schema();
    let texts = add_views(&mut schema, views);
    let last = texts.last().unwrap().0;
    let origins = view_origins(&schema, &texts).remove(&last).unwrap();
    let shown = |origin: &Option<Origin>| match origin {
        Some(Origin { relation, column }) => {
            let table = &schema.relations[*relation];
            format!("{}.{}", table.name, table.columns[*column].name)
        }
        None => "-".to_owned(),
    };
    expected.assert_eq(&origins.iter().map(shown).collect::<Vec<_>>().join(" "));
}

/// The keys of the last of these views, and those of others to it.
fn check_keys(views: &[&str], expected: Expect) {
    let mut schema = schema();
    let texts = add_views(&mut schema, views);
    add_view_relationships(&mut schema, &texts, &[]);
    let view = texts.last().unwrap().0;
    let names = |relation: RelationId, places: &[usize]| {
        let relation = &schema.relations[relation];
        format!("{}({})", relation.name, relation.column_names(places).collect::<Vec<_>>().join(", "))
    };
    let mut shown = vec![format!("key {}", names(view, &schema.relations[view].primary_key))];
    for (owner, key) in schema.foreign_keys().filter(|(owner, key)| *owner == view || key.target == view) {
        assert!(key.derived);
        shown.push(format!(
            "{}: {} > {}",
            key.name,
            names(owner, &key.columns),
            names(key.target, &key.target_columns)
        ));
    }
    expected.assert_eq(&shown.join("\n"));
}

#[test]
fn plain_columns() {
    check(
        &["a b c: CREATE VIEW v AS SELECT id, name AS title, client_id + 0 FROM projects"],
        expect![["projects.id projects.name -"]],
    );
    check(
        &["a b: CREATE VIEW v(a, b) AS SELECT p.id, (P.Name) FROM PROJECTS p"],
        expect![["projects.id projects.name"]],
    );
    check(
        &["a b c: CREATE VIEW v AS SELECT * FROM projects"],
        expect![["projects.id projects.name projects.client_id"]],
    );
    check(
        &["a b c d: CREATE VIEW v AS SELECT 1, p.* FROM main.projects AS p"],
        expect![["- projects.id projects.name projects.client_id"]],
    );
    check(
        &["a b: CREATE VIEW v AS SELECT main.projects.id, projects.rowid FROM projects"],
        expect![["projects.id projects.id"]],
    );
    check(
        &["a b c: CREATE VIEW v AS SELECT [id], `NAME` x, \"client_id\" FROM \"Projects\" [p q]"],
        expect![["projects.id projects.name projects.client_id"]],
    );
    check(
        &["a b c: CREATE VIEW v AS SELECT ID, \"a,b\", 'id' FROM \"odd \"\"table\"\"\""],
        expect![[r#"Odd "Table".id Odd "Table".a,b -"#]],
    );
    check(
        &["a: CREATE VIEW v AS SELECT DISTINCT id FROM projects WHERE name LIKE 'x%' ORDER BY 1 LIMIT 5"],
        expect!["projects.id"],
    );
    check(
        &["a b: CREATE VIEW v AS SELECT id, \"nothing of this name\" FROM projects;"],
        expect!["projects.id -"],
    );
}

#[test]
fn expressions_show_nothing() {
    check(
        &[
            "a b: CREATE VIEW v AS SELECT client_id, count(*) FROM projects GROUP BY client_id HAVING count(*) > 1",
        ],
        expect!["projects.client_id -"],
    );
    check(
        &[
            "a b c d: CREATE VIEW v AS SELECT max(id), CASE WHEN id THEN id END, CAST(id AS TEXT), -id FROM projects",
        ],
        expect!["- - - -"],
    );
    check(
        &["a b: CREATE VIEW v AS SELECT id, (SELECT client_id FROM projects) FROM projects"],
        expect!["projects.id -"],
    );
}

#[test]
fn joins() {
    check(
        &[
            "a b c: CREATE VIEW v AS SELECT c.id, p.id, name FROM clients c LEFT JOIN projects p ON p.client_id = c.id",
        ],
        expect!["clients.id projects.id clients.name"],
    );
    check(
        &["a b c d e f: CREATE VIEW v AS SELECT * FROM clients, projects JOIN users USING (id)"],
        expect!["clients.id clients.name projects.id projects.name projects.client_id users.name"],
    );
    check(
        &["a b c: CREATE VIEW v AS SELECT * FROM clients NATURAL JOIN projects"],
        expect!["clients.id clients.name projects.client_id"],
    );
    check(
        &[
            "a b c: CREATE VIEW v AS SELECT id, projects.id, clients.id FROM clients RIGHT JOIN projects USING (id)",
        ],
        expect!["projects.id projects.id clients.id"],
    );
    check(
        &["a b c: CREATE VIEW v AS SELECT * FROM clients FULL JOIN projects USING (id, name)"],
        expect!["- - projects.client_id"],
    );
    check(
        &[
            "a b: CREATE VIEW v AS SELECT p.id, u.name FROM (projects p JOIN memberships m ON m.project_id = p.id) JOIN users u ON u.id = m.user_id",
        ],
        expect!["projects.id users.name"],
    );
    check(
        &[
            "a b: CREATE VIEW v AS SELECT x.client_id, x.role FROM (projects p JOIN memberships m ON m.project_id = p.id) AS x",
        ],
        expect!["projects.client_id memberships.role"],
    );
    check(
        &[
            "a b: CREATE VIEW v AS SELECT x.id, y.id FROM (projects JOIN users x ON 1) AS x, clients y, users y",
        ],
        expect!["- -"],
    );
    check(
        &["a b: CREATE VIEW v AS SELECT t.id, e.value FROM tasks t, json_each(t.name) e"],
        expect!["tasks.id -"],
    );
    check(&["a b: CREATE VIEW v AS SELECT * FROM users, json_each(name) e"], expect!["- -"]);
    check(
        &["a b: CREATE VIEW v AS SELECT a.name, b.name FROM other.projects a, projects b"],
        expect!["- projects.name"],
    );
}

#[test]
fn subselects_and_with() {
    check(
        &[
            "a b: CREATE VIEW v AS SELECT x.i, x.name FROM (SELECT id AS i, name FROM (SELECT * FROM projects WHERE id > 1)) x",
        ],
        expect!["projects.id projects.name"],
    );
    check(
        &[
            "a b: CREATE VIEW v AS WITH x AS (SELECT * FROM projects), y(p, q) AS (SELECT id, name FROM x) SELECT q, p FROM y AS z",
        ],
        expect!["projects.name projects.id"],
    );
    check(
        &["a: CREATE VIEW v AS WITH b AS (SELECT * FROM a), a AS (SELECT id FROM projects) SELECT id FROM b"],
        expect!["projects.id"],
    );
    check(
        &["a: CREATE VIEW v AS WITH projects AS (SELECT id FROM users) SELECT id FROM projects"],
        expect!["users.id"],
    );
    check(
        &[
            "a b: CREATE VIEW v AS WITH x AS (SELECT id FROM users) SELECT * FROM (WITH y AS (SELECT id AS i FROM x) SELECT y.i FROM y), x",
        ],
        expect!["users.id users.id"],
    );
    check(
        &["a: CREATE VIEW v AS WITH a AS (SELECT id FROM b), b AS (SELECT id FROM a) SELECT id FROM a"],
        expect!["-"],
    );
    check(
        &[
            "a b c: CREATE VIEW v AS WITH RECURSIVE t(i, p, depth) AS (SELECT id, parent_id, 0 FROM tasks WHERE parent_id IS NULL UNION ALL SELECT tasks.id, t.i, depth + 1 FROM tasks JOIN t ON tasks.parent_id = t.i) SELECT * FROM t",
        ],
        expect!["tasks.id - -"],
    );
}

#[test]
fn compounds() {
    check(
        &["a b: CREATE VIEW v AS SELECT id, name FROM projects UNION SELECT id, client_id FROM projects"],
        expect!["projects.id -"],
    );
    check(&["a: CREATE VIEW v AS SELECT id FROM projects UNION ALL SELECT id FROM clients"], expect!["-"]);
    check(
        &[
            "a: CREATE VIEW v AS SELECT id FROM projects EXCEPT SELECT client_id FROM projects INTERSECT SELECT id FROM clients",
        ],
        expect!["projects.id"],
    );
    check(
        &[
            "a: CREATE VIEW v AS SELECT id FROM projects UNION SELECT id FROM projects INTERSECT SELECT id FROM clients",
        ],
        expect!["projects.id"],
    );
    check(&["a: CREATE VIEW v AS VALUES (1), (2)"], expect!["-"]);
    check(&["a: CREATE VIEW v AS SELECT column1 FROM (VALUES (1))"], expect!["-"]);
}

/// Whatever stands in the clauses that do not matter: `id` is shown.
#[test]
fn syntax_of_sqlite() {
    for rest in [
        "id FROM projects",
        "id 'x' FROM projects AS 'projects'",
        "id FROM projects INDEXED BY i",
        "id FROM projects NOT INDEXED, users u",
        "id FROM (projects)",
        "id FROM (projects, tasks t)",
        "projects.id FROM users LEFT NATURAL JOIN projects",
        "id FROM projects WHERE id IS 1 AND name IS NOT 2 AND name IS NOT DISTINCT FROM 3",
        "projects.id FROM users u JOIN projects ON u.name IS DISTINCT FROM 'FROM' AND u.id = (SELECT 1 FROM a)",
        "id FROM projects WHERE id IN users AND name NOT GLOB 'a' AND id << 1 NOT IN ()",
        "id FROM projects WHERE id ISNULL OR name NOT NULL ORDER BY 1 COLLATE NOCASE DESC NULLS LAST LIMIT 1, 2",
        "id FROM projects WHERE (id, name) IN (SELECT 1, ')') GROUP BY id HAVING count(*) FILTER (WHERE id) > 1",
        "id, sum(id) OVER w FROM projects WINDOW w AS (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES), x AS ()",
        "id, CAST(id AS UNSIGNED BIG INT), x'00', 1.5e-3, .5, 0xff, id->>'$.a', ~id, group_concat(id, ',' ORDER BY id) FROM projects",
        "id, CASE id WHEN 1 THEN 2 ELSE 3 END, name ISNULL, NOT name, EXISTS (SELECT 1), null, current_date FROM projects",
        "id /* FROM a */ -- FROM b\n FROM projects",
        "id FROM projects, json_each(projects.name, '$.a') AS j, generate_series(1, 2)",
        "id FROM (WITH a AS NOT MATERIALIZED (SELECT 1), b AS MATERIALIZED (SELECT id FROM projects) SELECT id FROM b)",
        "id FROM (SELECT t.id, t.\"from\", t.union FROM projects t)",
    ] {
        let mut schema = schema();
        let id = add(&mut schema, "v", RelationKind::View, &["id"]);
        let mut columns = 1;
        // The number of columns is not what is tried here.
        let shown = loop {
            let sql = format!("CREATE VIEW v AS SELECT {rest};");
            let origins = view_origins(&schema, &[(id, sql)]);
            if origins[&id][0].is_some() || columns == 20 {
                break origins[&id][0];
            }
            columns += 1;
            let column = schema.relations[id].columns[0].clone();
            schema.relations[id].columns.push(column);
        };
        assert_eq!(shown, Some(Origin { relation: schema.names["projects"], column: 0 }), "{rest}");
    }
}

#[test]
fn views_of_views() {
    let (v, w) = (
        "i n: CREATE VIEW v AS SELECT id AS i, name AS n FROM projects",
        "x y: CREATE VIEW w(x, y) AS SELECT N, I FROM V",
    );
    check(&[v, w], expect!["projects.name projects.id"]);
    check(&[w, v, "a b: CREATE VIEW z AS SELECT * FROM w"], expect!["projects.name projects.id"]);
    check(
        &[
            "a b: CREATE VIEW broken AS SELECT not sql at all",
            "a b: CREATE VIEW v AS SELECT a, id FROM broken, users",
        ],
        expect!["- users.id"],
    );
    check(&["a: CREATE VIEW v AS SELECT a FROM w", "a: CREATE VIEW w AS SELECT a FROM v"], expect!["-"]);
    check(&["a: CREATE VIEW v AS SELECT a FROM v"], expect!["-"]);
    // What is misread is not trusted.
    check(&["a: CREATE VIEW v AS SELECT * FROM projects"], expect!["-"]);
}

#[test]
fn keys_of_views() {
    check_keys(
        &["id name: CREATE VIEW v AS SELECT id, name FROM clients"],
        expect![[r#"
        key v(id)
        projects_client_id_fkey: projects(client_id) > v(id)"#]],
    );
    check_keys(
        &["i c d: CREATE VIEW v AS SELECT id AS i, client_id AS c, client_id AS d FROM projects"],
        expect![[r#"
            key v(i)
            tasks_project_id_fkey: tasks(project_id) > v(i)
            memberships_project_id_fkey: memberships(project_id) > v(i)
            projects_client_id_fkey: v(c) > clients(id)
            projects_client_id_fkey: v(d) > clients(id)"#]],
    );
    check_keys(
        &[
            "i: CREATE VIEW c AS SELECT id AS i FROM clients",
            "p c: CREATE VIEW v AS SELECT c.id AS c, p.id AS p FROM projects p JOIN clients c ON p.client_id = c.id",
        ],
        expect![[r#"
            key v(p, c)
            projects_client_id_fkey: projects(client_id) > v(p)
            tasks_project_id_fkey: tasks(project_id) > v(c)
            memberships_project_id_fkey: memberships(project_id) > v(c)"#]],
    );
    check_keys(
        &["i p: CREATE VIEW v AS SELECT id AS i, parent_id AS p FROM tasks"],
        expect![[r#"
            key v(i)
            tasks_parent_id_fkey: tasks(parent_id) > v(i)
            tasks_parent_id_fkey: v(p) > tasks(id)
            tasks_parent_id_fkey: v(p) > v(i)"#]],
    );
    check_keys(
        &["p role: CREATE VIEW v AS SELECT project_id AS p, role FROM memberships"],
        expect![[r#"
        key v()
        memberships_project_id_fkey: v(p) > projects(id)"#]],
    );
}

#[test]
fn views_are_junctions() {
    let mut schema = schema();
    let texts = add_views(
        &mut schema,
        &[
            "u p: CREATE VIEW members AS SELECT user_id AS u, project_id AS p FROM memberships",
            "u: CREATE VIEW half AS SELECT user_id AS u FROM memberships",
        ],
    );
    // The table is hidden, and only its view relates users to projects.
    let hidden: Vec<bool> = schema.relations.iter().map(|r| r.name == "memberships").collect();
    add_view_relationships(&mut schema, &texts, &hidden);
    crate::schema::hidden::remove(&mut schema, &hidden);
    assert!(!schema.names.contains_key("memberships"));
    let users = schema.names["users"];
    let found = schema.relationships(users, "projects", None);
    let shown: Vec<String> = found.iter().map(|r| schema.candidate(users, r).relationship).collect();
    expect!["members using memberships_user_id_fkey(u) and memberships_project_id_fkey(p)"]
        .assert_eq(&shown.join("\n"));
    // Of the key's name and its column's, the table is meant and not the views of it.
    let members = schema.names["members"];
    for target in ["users", "u", "memberships_user_id_fkey"] {
        let found = schema.relationships(members, target, None);
        assert_eq!(found.iter().map(|r| r.target).collect::<Vec<_>>(), [users], "{target}");
    }
    assert_eq!(schema.relationships(users, "memberships_user_id_fkey", None), []);
    assert_eq!(schema.relationships(users, "half", None).len(), 1);
}

/// Texts that are long, deep or wide: whatever they give, they give it soon and on a small stack.
#[test]
fn hostile_texts_end_soon() {
    let around = |open: &str, middle: &str, close: &str| {
        let n = 10_000 / (open.len() + close.len());
        format!("CREATE VIEW v AS SELECT {}{middle}{}", open.repeat(n), close.repeat(n))
    };
    let ctes: String =
        (0..200).map(|n| format!("a{n} AS (SELECT * FROM a{m} x, a{m} y), ", m = n + 1)).collect();
    let texts = [
        around("(", "id", ")"),
        around("* FROM (SELECT ", "id FROM projects", ")"),
        around("* FROM (", "projects", ")"),
        around("(SELECT ", "id", ")"),
        around("f(", "id", ")"),
        around("CASE WHEN ", "id", " THEN 1 END"),
        around("id IN (", "id", ")"),
        around("NOT ", "id", ""),
        around("- ", "id", ""),
        around("1 + ", "id", ""),
        around("1 GLOB ", "id", ""),
        around("id UNION SELECT ", "id", ""),
        around("id, ", "id", " FROM projects"),
        around("[", "id", "]"),
        around("\"", "id", ""),
        around("/*", "", "*/"),
        format!("CREATE VIEW v AS WITH {ctes} a200 AS (SELECT * FROM projects) SELECT * FROM a0"),
        format!("CREATE VIEW v AS SELECT * FROM {} projects", "projects NATURAL JOIN ".repeat(400)),
    ];
    for text in texts {
        let mut schema = schema();
        let id = add(&mut schema, "v", RelationKind::View, &["id"]);
        let started = std::time::Instant::now();
        view_origins(&schema, &[(id, text.clone())]);
        let start: String = text.chars().take(80).collect();
        assert!(started.elapsed().as_secs() < 2, "{:?} {start}", started.elapsed());
    }
}

#[test]
fn long_chains_of_views_end_soon() {
    let mut schema = schema();
    let mut views: Vec<String> =
        (0..300).map(|n| format!("id: CREATE VIEW v{n} AS SELECT id FROM v{}", n + 1)).collect();
    views.push("id: CREATE VIEW v300 AS SELECT id FROM projects".to_owned());
    let mut texts = add_views(&mut schema, &views.iter().map(String::as_str).collect::<Vec<_>>());
    // From the outermost on, the chain is too deep; from the innermost on, as views are made, each step is short.
    assert_eq!(view_origins(&schema, &texts)[&texts[0].0], [None]);
    texts.reverse();
    assert!(view_origins(&schema, &texts)[&texts[300].0][0].is_some());
}

proptest! {
    #[test]
    fn never_panics(words in prop::collection::vec(prop::sample::select(vec![
        "SELECT", "FROM", "WITH", "RECURSIVE", "AS", "(", ")", ",", "*", ".", "id", "projects", "v", "w", "x", "JOIN", "NATURAL",
        "LEFT", "FULL", "USING", "ON", "UNION", "ALL", "EXCEPT", "VALUES", "1", "'s'", "\"q\"", "[b", "`t`", "WHERE", "GROUP BY",
        "ORDER BY", "CASE", "END", "NOT", "IN", "GLOB", "--", "/*", "é", ";", "count(*)", "SELECT * FROM projects",
    ]), 0..30)) {
        let mut schema = schema();
        let sql = format!("id: CREATE VIEW v AS SELECT {}", words.join(" "));
        let texts = add_views(&mut schema, &[&sql, "id name: CREATE VIEW w AS SELECT id, name FROM users"]);
        add_view_relationships(&mut schema, &texts, &[]);
    }

    #[test]
    fn never_panics_on_any_text(sql in "(CREATE VIEW v AS )?\\PC{0,80}") {
        let mut schema = schema();
        let id = add(&mut schema, "v", RelationKind::View, &["id"]);
        view_origins(&schema, &[(id, sql)]);
    }
}
