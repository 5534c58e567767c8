//! Adds to the corpus what tests/cases asks: `cargo run --no-default-features --example seed`, here in fuzz/.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Inputs are short, so that what libFuzzer makes of them is too.
const LONGEST: usize = 1_000;

/// Views of the tables that the target `view` has.
const VIEWS: &[&str] = &[
    "SELECT id, name FROM a",
    "SELECT a.id AS x, b.name y FROM a LEFT JOIN b ON a.b_id = b.id",
    "SELECT * FROM a JOIN ab ON a.id = ab.a_id NATURAL JOIN b",
    "SELECT id, a.* FROM a RIGHT JOIN b USING (id)",
    "SELECT id FROM a FULL OUTER JOIN b USING (id, name)",
    "SELECT id FROM a UNION ALL SELECT b_id FROM a ORDER BY 1 LIMIT 2",
    "SELECT id FROM b EXCEPT SELECT b_id FROM ab",
    "WITH x (p, q) AS (SELECT id, b_id FROM a), y AS NOT MATERIALIZED (SELECT * FROM x) SELECT q, p FROM y",
    "WITH RECURSIVE r AS (SELECT id, b_id FROM a UNION SELECT b_id, id FROM r) SELECT * FROM r",
    "SELECT n, id FROM w AS z WHERE b_id IN (SELECT id FROM b) GROUP BY id HAVING count(*) > 0 WINDOW o AS (ORDER BY id)",
    "SELECT max(id), (SELECT name FROM b), name FROM a",
    "SELECT (id) AS \"i\", [name], `b_id` FROM (SELECT * FROM a) AS s, (b JOIN ab USING (b_id))",
    "VALUES (1, 2), (3, 4)",
];

fn main() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
    let mut cases = Vec::new();
    files(&tests.join("cases"), &mut cases);
    let mut seeds: Vec<(&str, BTreeSet<String>)> =
        sqlitrest_fuzz::TARGETS.iter().map(|(name, _)| (*name, BTreeSet::new())).collect();
    let mut add = |target: &str, text: &str| {
        for (_, texts) in seeds.iter_mut().filter(|(name, _)| *name == target && text.len() <= LONGEST) {
            texts.insert(text.to_owned());
        }
    };
    for case in &cases {
        let text = std::fs::read_to_string(case).unwrap();
        for part in text.split("\n=== ").skip(1) {
            let (_, exchanges) = part.split_once('\n').unwrap_or_default();
            for exchange in exchanges.split("--- request\n") {
                let request = exchange.split("--- program\n").next().unwrap_or_default().trim_end();
                add("request", request);
                let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
                add("body", body);
                let target = head.lines().next().and_then(|line| line.split_once(' ')).unwrap_or_default().1;
                let query = target.split_once('?').unwrap_or_default().1;
                add("query_string", query);
                for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
                    let value = sqlitrest_runtime::query_params::decode(value).unwrap_or_default();
                    let is_select =
                        ["select", "columns", "order", "on_conflict"].iter().any(|k| key.ends_with(k));
                    add(if is_select { "select" } else { "filter" }, &value);
                }
            }
        }
    }
    for view in views(&tests) {
        add("view", &view);
    }
    VIEWS.iter().for_each(|view| add("view", view));
    for (target, texts) in seeds {
        let directory = sqlitrest_fuzz::corpus(target);
        std::fs::create_dir_all(&directory).unwrap();
        println!("{target}: {}", texts.len());
        for (i, text) in texts.iter().enumerate() {
            std::fs::write(directory.join(format!("seed-{i:04}")), text).unwrap();
        }
    }
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The queries of the views in the fixtures and in the tests of the view parser.
fn views(tests: &Path) -> Vec<String> {
    let lineage = tests.join("../runtime/src/schema/lineage");
    let mut places = Vec::new();
    files(&tests.join("fixtures"), &mut places);
    files(&lineage, &mut places);
    let texts = places.iter().map(|place| std::fs::read_to_string(place).unwrap());
    texts
        .flat_map(|text| {
            text.split("CREATE VIEW ")
                .skip(1)
                .filter_map(|view| view.split_once(" AS ")?.1.split([';', '\\']).next().map(str::to_owned))
                .collect::<Vec<_>>()
        })
        .collect()
}
