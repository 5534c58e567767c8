//! Full text queries on a real FTS5 table: the rows that PostgreSQL 15 finds, and where ours differ.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rusqlite::Connection;
use sqlitrest_runtime::full_text::{Found, FullText, match_expression};

use FullText::{Fts, Phrase, Plain, Web};

/// The texts, by rowid from 1.
const TEXTS: [&str; 11] = [
    "It's kind of fun to do the impossible",
    "But also fun to do what is possible",
    "Fat cats ate rats",
    "The cat in the hat",
    "The hat of a cat",
    "A fat dog; the rats ran",
    "Up-to-date news",
    "Catalog of hats",
    "Rats and dogs ate the fat",
    "",
    "Es ist eine Art Spaß, das Unmögliche zu machen",
];

/// Grammar, language, query, and the rows that `to_tsvector(language, text) @@ query` finds.
#[rustfmt::skip]
const SAME: &[(FullText, &str, &str, &str)] = &[
    (Fts, "english", "cat", "3 4 5"),
    (Fts, "english", "cats", "3 4 5"),
    (Fts, "english", "CAT:*", "3 4 5 8"),
    (Fts, "english", "hat:*", "4 5 8"),
    (Fts, "english", "impossible", "1"),
    (Fts, "english", "impossible & fun", "1"),
    (Fts, "english", "impossible | possible", "1 2"),
    (Fts, "english", "possible & !fun", ""),
    (Fts, "english", "fat & rats", "3 6 9"),
    (Fts, "english", "fat & !dog", "3"),
    (Fts, "english", "!fat", "1 2 4 5 7 8 10 11"),
    (Fts, "english", "!fat & !fun", "4 5 7 8 10 11"),
    (Fts, "english", "!!fat", "3 6 9"),
    (Fts, "english", "cat | dog & rat", "3 4 5 6 9"),
    (Fts, "english", "(cat | dog) & rat", "3 6 9"),
    (Fts, "english", "cat | !fun", "3 4 5 6 7 8 9 10 11"),
    (Fts, "english", "!cat | fat", "1 2 3 6 7 8 9 10 11"),
    (Fts, "english", "(fat | !fun) & rat", "3 6 9"),
    (Fts, "english", "fat <-> cats", "3"),
    (Fts, "english", "fat<->cats", "3"),
    (Fts, "english", "fat <-> dog", "6"),
    (Fts, "english", "'fat cats'", "3"),
    (Fts, "english", "'fat rats'", ""),
    (Fts, "english", "cats <-> ate <-> rats", "3"),
    (Fts, "english", "fat <-> cat:*", "3"),
    (Fts, "english", "fat:* <-> cat", "3"),
    (Fts, "english", "(fat | hat) <-> (dog | cats)", "3 6"),
    (Fts, "english", "!(fat <-> cats)", "1 2 4 5 6 7 8 9 10 11"),
    (Fts, "english", "ate <-> (rats | the <-> fat)", "3"),
    (Fts, "english", "the", ""),
    (Fts, "english", "!the", ""),
    (Fts, "english", "the & cat", "3 4 5"),
    (Fts, "english", "the | cat", "3 4 5"),
    (Fts, "english", "cat & !the", "3 4 5"),
    (Fts, "english", "cat & (dog | (fat & rats))", "3"),
    (Fts, "english", "'it''s' & kind", "1"),
    (Fts, "english", "up-to-date", "7"),
    (Fts, "english", "news:* & up-to-date", "7"),
    (Fts, "english", "'up' & news", "7"),
    (Plain, "english", "The Fat Rats", "3 6 9"),
    (Plain, "english", "fat, rats!", "3 6 9"),
    (Plain, "english", "rats fat", "3 6 9"),
    (Plain, "english", "it's fun", "1 2"),
    (Plain, "english", "fat | dog", "6 9"),
    (Plain, "english", "the", ""),
    (Plain, "english", "up-to-date news", "7"),
    (Plain, "english", "cat hat", "4 5"),
    (Phrase, "english", "The Fat Cats", "3"),
    (Phrase, "english", "fat cats, ate rats", "3"),
    (Phrase, "english", "cats fat", ""),
    (Phrase, "english", "fun to do", "1 2"),
    (Phrase, "english", "rats ate", ""),
    (Phrase, "english", "the", ""),
    (Phrase, "english", "kind of fun", "1"),
    (Web, "english", "The Fat Rats", "3 6 9"),
    (Web, "english", "fun and possible", "2"),
    (Web, "english", "fun and -possible", "1"),
    (Web, "english", "-fat", "1 2 4 5 7 8 10 11"),
    (Web, "english", "-fat -fun", "4 5 7 8 10 11"),
    (Web, "english", "\"fat cats\"", "3"),
    (Web, "english", "\"fat rats\"", ""),
    (Web, "english", "-\"fat cats\" rats", "6 9"),
    (Web, "english", "impossible or fat or fun", "1 2 3 6 9"),
    (Web, "english", "cat or dog rats", "3 4 5 6 9"),
    (Web, "english", "fat or -fun", "3 4 5 6 7 8 9 10 11"),
    (Web, "english", "-fat or cat", "1 2 3 4 5 7 8 10 11"),
    (Web, "english", "cat or", "3 4 5"),
    (Web, "english", "the or cat", "3 4 5"),
    (Web, "english", "or", ""),
    (Web, "english", "\"cat", "3 4 5"),
    (Web, "english", "fat -rats", ""),
    (Web, "english", "fat & !rats", "3 6 9"),
    (Web, "english", "up-to-date or dog", "6 7 9"),
    (Web, "english", "fun -the", "1 2"),
    (Plain, "french", "l'impossible", "1"),
    (Plain, "simple", "the cat", "4 5"),
    (Fts, "simple", "the & !in", "1 5 6 9"),
    (Phrase, "simple", "in the hat", "4"),
    (Plain, "german", "fat und der", "3 6 9"),
    (Phrase, "german", "Art Spass", "11"),
    (Phrase, "german", "Art Spaß", "11"),
    (Fts, "german", "spass:* & !fun & unmögliche", "11"),
    (Web, "german", "-Spass -the -fun", "3 7 8 10"),
    (Phrase, "german", "die Art Spaß", "11"),
];

/// The same, with our answer before PostgreSQL's. The documentation of `full_text` gives the reasons.
#[rustfmt::skip]
const DIFFERENT: &[(FullText, &str, &str, &str, &str)] = &[
    (Fts, "english", "dog <-> the <-> rats", "6 9", "6"),
    (Fts, "english", "cat <3> hat", "4 5", "4"),
    (Fts, "english", "fat <2> ate", "3 9", "3"),
    (Fts, "english", "fat <3> cats", "3", ""),
    (Fts, "english", "fat <0> fat", "PGRST127", "3 6 9"),
    (Fts, "english", "!fat <-> dog", "PGRST127", "9"),
    (Fts, "english", "fat <-> !cats", "PGRST127", "6 9"),
    (Fts, "english", "(fat & cat) <-> ate", "PGRST127", ""),
    (Fts, "english", "cat:A", "3 4 5", ""),
    (Phrase, "english", "the cat in the hat", "4 5", "4"),
    (Phrase, "english", "hat of a cat", "4 5", "5"),
    (Plain, "english", "to-do", "1 2", ""),
    (Plain, "english", "<b>news</b>", "", "7"),
];

/// A table of these texts, beside a column that a query for the texts must not find.
fn table<'a>(texts: impl IntoIterator<Item = &'a str>) -> Connection {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(
        "CREATE VIRTUAL TABLE texts USING fts5(text, \"other \"\"text\"\"\", tokenize='porter unicode61')",
    )
    .unwrap();
    for text in texts {
        db.execute("INSERT INTO texts VALUES (?1, 'fat cat rat dog impossible news hat x y')", [text])
            .unwrap();
    }
    db
}

/// The rows that a query finds, or the code of its error.
fn rows(db: &Connection, operator: FullText, language: &str, query: &str) -> Result<Vec<i64>, String> {
    let found = match_expression(operator, Some(language), query, &["text"]);
    let (operator, expression) = match found.map_err(|error| error.code().to_owned())? {
        Found::Nothing => return Ok(Vec::new()),
        Found::Matching(expression) => ("IN", expression),
        Found::NotMatching(expression) => ("NOT IN", expression),
    };
    let sql = format!(
        "SELECT rowid FROM texts WHERE rowid {operator} (SELECT rowid FROM texts WHERE texts MATCH ?1) ORDER BY rowid"
    );
    let mut statement = db.prepare(&sql).unwrap();
    let rows = statement.query_map([&expression], |row| row.get(0)).and_then(Iterator::collect);
    Ok(rows.unwrap_or_else(|error| panic!("{query:?} became {expression:?}: {error}")))
}

fn line(rows: Result<Vec<i64>, String>) -> String {
    match rows {
        Ok(rows) => rows.iter().map(i64::to_string).collect::<Vec<_>>().join(" "),
        Err(code) => code,
    }
}

#[test]
fn rows_are_those_of_postgresql() {
    let db = table(TEXTS);
    for (operator, language, query, expected) in SAME {
        assert_eq!(
            line(rows(&db, *operator, language, query)),
            *expected,
            "{operator:?}({language}) {query}"
        );
    }
}

#[test]
fn rows_differ_as_documented() {
    let db = table(TEXTS);
    for (operator, language, query, ours, postgresql) in DIFFERENT {
        assert_ne!(ours, postgresql);
        assert_eq!(line(rows(&db, *operator, language, query)), *ours, "{operator:?}({language}) {query}");
    }
}

#[test]
fn every_column_and_chosen_columns() {
    let db = table(["cat", "bird"]);
    let count = |columns: &[&str]| -> i64 {
        let Ok(Found::Matching(expression)) = match_expression(Fts, None, "cat", columns) else { panic!() };
        db.query_row("SELECT count(*) FROM texts WHERE texts MATCH ?1", [expression], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(count(&[]), 2);
    assert_eq!(count(&["text"]), 1);
    assert_eq!(count(&["other \"text\""]), 2);
    assert_eq!(count(&["text", "other \"text\""]), 2);
}

/// FTS5's parser has a stack of fixed size: what the core lets pass must fit, with the largest operand innermost.
#[test]
fn the_deepest_query_fits() {
    let db = table(["x fat rat"]);
    let deepest = ["x & (y | ", "x & !("].map(|level| {
        let query = |depth| format!("{}x:* & fat:* <3> rat:*{}", level.repeat(depth), ")".repeat(depth));
        (1..40).take_while(|depth| rows(&db, Fts, "english", &query(*depth)).is_ok()).count()
    });
    assert_eq!(deepest, [14, 28]);
}

/// What PostgreSQL's own evaluation would do for a query of words, `&`, `|` and `!`.
#[derive(Clone, Debug)]
enum Boolean {
    Word(&'static str),
    Not(Box<Boolean>),
    And(Box<Boolean>, Box<Boolean>),
    Or(Box<Boolean>, Box<Boolean>),
}

impl Boolean {
    fn query(&self) -> String {
        match self {
            Boolean::Word(word) => (*word).to_owned(),
            Boolean::Not(part) => format!("!({})", part.query()),
            Boolean::And(left, right) => format!("({} & {})", left.query(), right.query()),
            Boolean::Or(left, right) => format!("({} | {})", left.query(), right.query()),
        }
    }

    fn finds(&self, words: &BTreeSet<&str>) -> bool {
        match self {
            Boolean::Word(word) => words.contains(word),
            Boolean::Not(part) => !part.finds(words),
            Boolean::And(left, right) => left.finds(words) && right.finds(words),
            Boolean::Or(left, right) => left.finds(words) || right.finds(words),
        }
    }
}

fn boolean() -> impl Strategy<Value = Boolean> {
    let word = prop::sample::select(vec!["fat", "cat", "rat", "dog"]).prop_map(Boolean::Word);
    word.prop_recursive(5, 24, 2, |part| {
        let part = move || part.clone().prop_map(Box::new);
        prop_oneof![
            part().prop_map(Boolean::Not),
            (part(), part()).prop_map(|(left, right)| Boolean::And(left, right)),
            (part(), part()).prop_map(|(left, right)| Boolean::Or(left, right)),
        ]
    })
}

/// All sets of four words.
fn sets() -> Vec<String> {
    (0..16)
        .map(|set| {
            let words = ["fat", "cat", "rat", "dog"];
            let chosen = words.iter().enumerate().filter(|(place, _)| set >> place & 1 == 1);
            chosen.map(|(_, word)| *word).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

/// Text with all that is syntax in PostgreSQL or FTS5.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = vec![
        "cat", "the", "or", "é", "\u{301}", "\u{93e}", "\u{e000}", "😀", "_", "-", ".", "'", "\"", "\\", "&",
        "|", "!", "(", ")", ":", ":*", "<->", "<2>", "<", "*", "^", "+", "{", "}", ",", " ", "\0", "NEAR(",
        " AND ", " NOT ", "text :",
    ];
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(pieces), 0..24).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

#[test]
fn logic_of_any_shape() {
    let sets = sets();
    let db = table(sets.iter().map(String::as_str));
    proptest!(|(boolean in boolean())| {
        let words = sets.iter().map(|set| set.split(' ').collect::<BTreeSet<_>>());
        let expected = words.zip(1..).filter(|(words, _)| boolean.finds(words)).map(|(_, row)| row).collect();
        prop_assert_eq!(rows(&db, Fts, "english", &boolean.query()), Ok(expected));
    });
}

/// Whatever is asked for, FTS5 takes the expression: `rows` panics where it does not.
#[test]
fn fts5_takes_every_expression() {
    let db = table(TEXTS);
    proptest!(|(query in hostile())| {
        for operator in [Fts, Plain, Phrase, Web] {
            let _ = rows(&db, operator, "english", &query);
            let _ = rows(&db, operator, "simple", &query);
        }
    });
}
