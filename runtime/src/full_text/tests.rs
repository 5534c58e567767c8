//! What each grammar makes of a text. `tests/tests/full_text.rs` says which rows the expressions find.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{Found, FullText, FullTextError, MAX_DEPTH, MAX_WORDS, match_expression};

fn line(found: Result<Found, FullTextError>) -> String {
    match found {
        Ok(Found::Nothing) => "nothing".to_owned(),
        Ok(Found::Matching(expression)) => expression,
        Ok(Found::NotMatching(expression)) => format!("all but {expression}"),
        Err(error) => format!("{}: {error}", error.code()),
    }
}

fn check(operator: FullText, queries: &[&str], expected: Expect) {
    let width = queries.iter().map(|query| query.chars().count()).max().unwrap_or(0);
    let lines = queries.iter().map(|query| {
        let found = line(match_expression(operator, None, query, &[]));
        format!("{query:width$} → {found}\n")
    });
    expected.assert_eq(&lines.collect::<String>());
}

#[test]
fn fts_operators() {
    check(
        FullText::Fts,
        &[
            "cat",
            "Cats:*",
            "cat:A",
            "cat:*ab",
            "cat:",
            "cat & dog",
            "cat|dog",
            "cat | dog & rat",
            "(cat | dog) & rat",
            "(cat & dog) & rat",
            "((cat))",
            "cat & (dog | rat & (fat | bat))",
            "'fat cats'",
            "'fat cats':*",
            "'it''s' & 'o''clock'",
            "fat\\ cat",
            "\\!cat",
            "cat\\&dog",
            "\"cat\"",
            "",
            "  ",
            "' '",
        ],
        expect![[r#"
            cat                             → "cat"
            Cats:*                          → "Cats"*
            cat:A                           → "cat"
            cat:*ab                         → "cat"*
            cat:                            → "cat"
            cat & dog                       → "cat" AND "dog"
            cat|dog                         → "cat" OR "dog"
            cat | dog & rat                 → "cat" OR ("dog" AND "rat")
            (cat | dog) & rat               → ("cat" OR "dog") AND "rat"
            (cat & dog) & rat               → "cat" AND "dog" AND "rat"
            ((cat))                         → "cat"
            cat & (dog | rat & (fat | bat)) → "cat" AND ("dog" OR ("rat" AND ("fat" OR "bat")))
            'fat cats'                      → "fat cats"
            'fat cats':*                    → NEAR("fat"* "cats"*, 0)
            'it''s' & 'o''clock'            → "o clock"
            fat\ cat                        → "fat cat"
            \!cat                           → "cat"
            cat\&dog                        → "cat dog"
            "cat"                           → "cat"
                                            → nothing
                                            → nothing
            ' '                             → nothing
        "#]],
    );
}

#[test]
fn fts_negation() {
    check(
        FullText::Fts,
        &[
            "!cat",
            "! cat",
            "!!cat",
            "cat & !dog",
            "!cat & dog",
            "!cat & !dog",
            "cat & !dog & rat & !bat",
            "cat | !dog",
            "!cat | !dog",
            "cat | rat | !dog | !bat",
            "!(cat | dog)",
            "!(cat & !dog)",
            "(cat | !dog) & rat",
            "(cat | !dog) & !rat",
            "!the",
            "cat & !the",
            "cat | !the",
        ],
        expect![[r#"
            !cat                    → all but "cat"
            ! cat                   → all but "cat"
            !!cat                   → "cat"
            cat & !dog              → "cat" NOT "dog"
            !cat & dog              → "dog" NOT "cat"
            !cat & !dog             → all but "cat" OR "dog"
            cat & !dog & rat & !bat → ("cat" AND "rat") NOT ("dog" OR "bat")
            cat | !dog              → all but "dog" NOT "cat"
            !cat | !dog             → all but "cat" AND "dog"
            cat | rat | !dog | !bat → all but ("dog" AND "bat") NOT ("cat" OR "rat")
            !(cat | dog)            → all but "cat" OR "dog"
            !(cat & !dog)           → all but "cat" NOT "dog"
            (cat | !dog) & rat      → "rat" NOT ("dog" NOT "cat")
            (cat | !dog) & !rat     → all but ("dog" NOT "cat") OR "rat"
            !the                    → nothing
            cat & !the              → "cat"
            cat | !the              → "cat"
        "#]],
    );
}

#[test]
fn fts_phrases() {
    check(
        FullText::Fts,
        &[
            "fat <-> cat",
            "fat<->cat",
            "fat <1> cat",
            "fat <-> cat <-> rat",
            "fat <-> (cat <-> rat)",
            "fat <3> cat",
            "fat <-> cat <2> ate <-> rat",
            "fat <-> cat & rat",
            "fat:* <-> cat",
            "fat <-> cat:*",
            "(fat | thin) <-> cat",
            "(fat | thin) <-> (cat | dog)",
            "(fat | quite <-> thin) <-> cat",
            "!(fat <-> cat)",
            "fat <-> the <-> cat",
            "fat <-> (the | cat)",
            "fat <-> the <-> the",
            "the <-> fat <-> cat",
            "(fat <3> the) <2> cat",
            "fat <3> (the <2> cat)",
            "fat <-> (the <-> the) <-> cat",
            "fat <-> (the | in <2> the) <-> cat",
            "!the <-> cat",
            "'fat in the cat' <-> rat",
            "'fat in' <-> rat",
            "fat <0> cat",
            "!fat <-> cat",
            "fat <-> !cat",
            "(fat & thin) <-> cat",
        ],
        expect![[r#"
            fat <-> cat                        → "fat cat"
            fat<->cat                          → "fat cat"
            fat <1> cat                        → "fat cat"
            fat <-> cat <-> rat                → "fat cat rat"
            fat <-> (cat <-> rat)              → "fat cat rat"
            fat <3> cat                        → NEAR("fat" "cat", 2)
            fat <-> cat <2> ate <-> rat        → NEAR("fat cat" "ate rat", 1)
            fat <-> cat & rat                  → "fat cat" AND "rat"
            fat:* <-> cat                      → NEAR("fat"* "cat", 0)
            fat <-> cat:*                      → "fat cat"*
            (fat | thin) <-> cat               → "fat cat" OR "thin cat"
            (fat | thin) <-> (cat | dog)       → "fat cat" OR "fat dog" OR "thin cat" OR "thin dog"
            (fat | quite <-> thin) <-> cat     → NEAR("fat" "cat", 1) OR "quite thin cat"
            !(fat <-> cat)                     → all but "fat cat"
            fat <-> the <-> cat                → NEAR("fat" "cat", 1)
            fat <-> (the | cat)                → "fat cat"
            fat <-> the <-> the                → "fat"
            the <-> fat <-> cat                → "fat cat"
            (fat <3> the) <2> cat              → NEAR("fat" "cat", 4)
            fat <3> (the <2> cat)              → NEAR("fat" "cat", 4)
            fat <-> (the <-> the) <-> cat      → NEAR("fat" "cat", 2)
            fat <-> (the | in <2> the) <-> cat → NEAR("fat" "cat", 3)
            !the <-> cat                       → "cat"
            'fat in the cat' <-> rat           → NEAR("fat" "cat rat", 2)
            'fat in' <-> rat                   → "fat rat"
            fat <0> cat                        → PGRST127: "<0>" in a full text query is not implemented
            !fat <-> cat                       → PGRST127: "!" within a phrase of a full text query is not implemented
            fat <-> !cat                       → PGRST127: "!" within a phrase of a full text query is not implemented
            (fat & thin) <-> cat               → PGRST127: "&" within a phrase of a full text query is not implemented
        "#]],
    );
}

#[test]
fn fts_words() {
    check(
        FullText::Fts,
        &[
            "foo-bar",
            "foo-bar:*",
            "up-to-date",
            "to-do",
            "-foo-",
            "foo--bar",
            "foo_bar",
            "l'impossible",
            "don't",
            "1.5",
            "1,000",
            "a.b@c.org",
            "and/or",
            "c++",
            "$5",
            "ÉTÉ",
            "e\u{301}te\u{301}",
            "日本語",
            "😀",
            "cat & 😀",
            "\u{301}",
            "x\"y",
            "NEAR",
        ],
        expect![[r#"
            foo-bar      → "foo bar"
            foo-bar:*    → "foo bar"*
            up-to-date   → "up to date"
            to-do        → "to do"
            -foo-        → "foo"
            foo--bar     → "foo bar"
            foo_bar      → "foo bar"
            l'impossible → "l impossible"
            don't        → nothing
            1.5          → "1 5"
            1,000        → "1 000"
            a.b@c.org    → "a b c org"
            and/or       → "and or"
            c++          → "c"
            $5           → "5"
            ÉTÉ          → "ÉTÉ"
            été        → "été"
            日本語          → "日本語"
            😀            → nothing
            cat & 😀      → "cat"
            ́            → nothing
            x"y          → "x y"
            NEAR         → "NEAR"
        "#]],
    );
}

#[test]
fn fts_errors() {
    check(
        FullText::Fts,
        &[
            "fat cat",
            "fat !cat",
            "& cat",
            "cat &",
            "cat & & dog",
            "cat && dog",
            "(cat",
            "(cat & dog",
            "(",
            "()",
            "cat & ()",
            "cat)",
            ")",
            "!",
            "! & cat",
            "''",
            "'cat",
            "'cat''",
            "'fat'cat",
            "cat\\",
            "cat:X",
            "cat : *",
            ":cat",
            "cat <->",
            "cat <-> ",
            "<-> cat",
            "cat < dog",
            "cat <> dog",
            "cat <-1> dog",
            "cat < 2> dog",
            "cat <2x> dog",
            "cat <16384> dog",
            "cat <16385> dog",
            "cat <99999999999> dog",
        ],
        expect![[r#"
            fat cat               → 42601: syntax error in tsquery: "fat cat"
            fat !cat              → 42601: syntax error in tsquery: "fat !cat"
            & cat                 → 42601: syntax error in tsquery: "& cat"
            cat &                 → 42601: no operand in tsquery: "cat &"
            cat & & dog           → 42601: syntax error in tsquery: "cat & & dog"
            cat && dog            → 42601: syntax error in tsquery: "cat && dog"
            (cat                  → 42601: syntax error in tsquery: "(cat"
            (cat & dog            → 42601: syntax error in tsquery: "(cat & dog"
            (                     → 42601: no operand in tsquery: "("
            ()                    → 42601: syntax error in tsquery: "()"
            cat & ()              → 42601: syntax error in tsquery: "cat & ()"
            cat)                  → 42601: syntax error in tsquery: "cat)"
            )                     → 42601: syntax error in tsquery: ")"
            !                     → 42601: no operand in tsquery: "!"
            ! & cat               → 42601: syntax error in tsquery: "! & cat"
            ''                    → 42601: syntax error in tsquery: "''"
            'cat                  → 42601: syntax error in tsquery: "'cat"
            'cat''                → 42601: syntax error in tsquery: "'cat''"
            'fat'cat              → 42601: syntax error in tsquery: "'fat'cat"
            cat\                  → 42601: there is no escaped character: "cat\"
            cat:X                 → 42601: syntax error in tsquery: "cat:X"
            cat : *               → 42601: syntax error in tsquery: "cat : *"
            :cat                  → 42601: syntax error in tsquery: ":cat"
            cat <->               → 42601: syntax error in tsquery: "cat <->"
            cat <->               → 42601: no operand in tsquery: "cat <-> "
            <-> cat               → 42601: syntax error in tsquery: "<-> cat"
            cat < dog             → 42601: syntax error in tsquery: "cat < dog"
            cat <> dog            → 42601: syntax error in tsquery: "cat <> dog"
            cat <-1> dog          → 42601: syntax error in tsquery: "cat <-1> dog"
            cat < 2> dog          → 42601: syntax error in tsquery: "cat < 2> dog"
            cat <2x> dog          → 42601: syntax error in tsquery: "cat <2x> dog"
            cat <16384> dog       → NEAR("cat" "dog", 16383)
            cat <16385> dog       → 22023: distance in phrase operator must be an integer value between zero and 16384 inclusive
            cat <99999999999> dog → 22023: distance in phrase operator must be an integer value between zero and 16384 inclusive
        "#]],
    );
}

#[test]
fn plain() {
    check(
        FullText::Plain,
        &[
            "The Fat Rats",
            "fat, & rats!",
            "fat | !rats:*",
            "it's kind",
            "up-to-date news",
            "foo_bar",
            "the",
            "",
            "\" OR \"\"",
        ],
        expect![[r#"
            The Fat Rats    → "Fat" AND "Rats"
            fat, & rats!    → "fat" AND "rats"
            fat | !rats:*   → "fat" AND "rats"
            it's kind       → "kind"
            up-to-date news → "up to date" AND "news"
            foo_bar         → "foo" AND "bar"
            the             → nothing
                            → nothing
            " OR ""         → nothing
        "#]],
    );
}

#[test]
fn phrase() {
    check(
        FullText::Phrase,
        &[
            "The Fat Cats",
            "fat, cats!",
            "the cat in the hat",
            "quality of life",
            "fat up-to-date cats",
            "cat",
            "in the",
            "",
        ],
        expect![[r#"
            The Fat Cats        → "Fat Cats"
            fat, cats!          → "fat cats"
            the cat in the hat  → NEAR("cat" "hat", 2)
            quality of life     → NEAR("quality" "life", 1)
            fat up-to-date cats → "fat up to date cats"
            cat                 → "cat"
            in the              → nothing
                                → nothing
        "#]],
    );
}

#[test]
fn web() {
    check(
        FullText::Web,
        &[
            "The Fat Rats",
            "fun and possible",
            "fun and -possible",
            "-fat",
            "- fat",
            "--fat",
            "-the",
            "\"fat rats\" cats",
            "\"fat rats",
            "fat\"rats\"",
            "-\"fat rats\"",
            "\"fat the rats\"",
            "\"-fat or\" rats",
            "\"\"",
            "fat or rats",
            "fat OR rats and cats",
            "-fat or rats",
            "fat or -rats",
            "or fat",
            "fat or",
            "fat or or rats",
            "fat or, rats",
            "fat or-rats",
            "fat or_rats",
            "fat orange",
            "fat or \"rats\"",
            "fat or (rats)",
            "fat)or)rats",
            "\"fat\"or rats",
            "fat or the",
            "the or fat",
            "fat -",
            "fat -(rats cats)",
            "fat | rats",
            "!fat",
            "fat:rats",
            "fat:*",
            "fat <-> rats",
            "'fat rats'",
            "fat \\rats",
            "fat-rats",
            "-foo_bar",
            "-",
            "",
        ],
        expect![[r#"
            The Fat Rats         → "Fat" AND "Rats"
            fun and possible     → "fun" AND "possible"
            fun and -possible    → "fun" NOT "possible"
            -fat                 → all but "fat"
            - fat                → all but "fat"
            --fat                → "fat"
            -the                 → nothing
            "fat rats" cats      → "fat rats" AND "cats"
            "fat rats            → "fat rats"
            fat"rats"            → "fat" AND "rats"
            -"fat rats"          → all but "fat rats"
            "fat the rats"       → NEAR("fat" "rats", 1)
            "-fat or" rats       → "fat" AND "rats"
            ""                   → nothing
            fat or rats          → "fat" OR "rats"
            fat OR rats and cats → "fat" OR ("rats" AND "cats")
            -fat or rats         → all but "fat" NOT "rats"
            fat or -rats         → all but "rats" NOT "fat"
            or fat               → "fat"
            fat or               → "fat"
            fat or or rats       → "fat" OR "rats"
            fat or, rats         → "fat" OR "rats"
            fat or-rats          → "fat" AND "or rats"
            fat or_rats          → "fat" AND "rats"
            fat orange           → "fat" AND "orange"
            fat or "rats"        → "fat" OR "rats"
            fat or (rats)        → "fat" OR "rats"
            fat)or)rats          → "fat" OR "rats"
            "fat"or rats         → "fat" OR "rats"
            fat or the           → "fat"
            the or fat           → "fat"
            fat -                → "fat"
            fat -(rats cats)     → ("fat" AND "cats") NOT "rats"
            fat | rats           → "fat" AND "rats"
            !fat                 → "fat"
            fat:rats             → "fat" AND "rats"
            fat:*                → "fat"
            fat <-> rats         → "fat" AND "rats"
            'fat rats'           → "fat" AND "rats"
            fat \rats            → "fat" AND "rats"
            fat-rats             → "fat rats"
            -foo_bar             → all but "foo bar"
            -                    → nothing
                                 → nothing
        "#]],
    );
}

#[test]
fn languages() {
    let found = [
        (Some("english"), "il the cat"),
        (Some("French"), "le chat the été"),
        (Some("simple"), "the cat"),
        (Some("catalan"), "the cat"),
        (Some("german"), "Spaß für alle"),
        (Some("german"), "STRASSE zur-Gasse"),
        (Some("russian"), "the кот и ещё"),
        (Some("hindi"), "the बिल्ली"),
        (Some("nepali"), "गर्न बिराला।"),
        (Some("turkish"), "kedi ile"),
        (Some("klingon"), "the cat"),
        (Some("pg_catalog.english"), "the cat"),
        (Some(""), "the cat"),
    ]
    .map(|(language, query)| {
        let found = line(match_expression(FullText::Plain, language, query, &[]));
        format!("{}: {query} → {found}\n", language.unwrap_or("-"))
    });
    expect![[r#"
        english: il the cat → "il" AND "cat"
        French: le chat the été → "chat" AND "the"
        simple: the cat → "the" AND "cat"
        catalan: the cat → "the" AND "cat"
        german: Spaß für alle → "Spaß" OR "spass"
        german: STRASSE zur-Gasse → ("STRASSE" OR "straße") AND ("zur Gasse" OR "zur gaße")
        russian: the кот и ещё → "кот" AND "ещё"
        hindi: the बिल्ली → "बिल्ली"
        nepali: गर्न बिराला। → "गर्न" AND "बिराला"
        turkish: kedi ile → "kedi"
        klingon: the cat → 42704: text search configuration "klingon" does not exist
        pg_catalog.english: the cat → 42704: text search configuration "pg_catalog.english" does not exist
        : the cat → 42704: text search configuration "" does not exist
    "#]]
    .assert_eq(&found.concat());
}

#[test]
fn other_spellings_of_a_phrase() {
    let phrase = |words: &str| line(match_expression(FullText::Phrase, Some("german"), words, &[]));
    expect![[r#""Art Spass" OR "Art spaß""#]].assert_eq(&phrase("Art Spass"));
    assert_eq!(phrase(&"Fuß ".repeat(100)).matches(" OR ").count(), 15);
}

#[test]
fn columns() {
    let found = |query, columns: &[&str]| line(match_expression(FullText::Fts, None, query, columns));
    expect![[r#"
        {"title"} : ("cat")
        all but {"title" "body text"} : ("dog" NOT "cat")
        {"a""b"} : ("cat")"#]]
    .assert_eq(&format!(
        "{}\n{}\n{}",
        found("cat", &["title"]),
        found("cat | !dog", &["title", "body text"]),
        found("cat", &["a\"b"]),
    ));
}

#[test]
fn limits() {
    let fts = |query: String| line(match_expression(FullText::Fts, None, &query, &[]));
    let parentheses = |depth: usize| format!("{}cat{}", "(".repeat(depth), ")".repeat(depth));
    let nested = |depth: usize| format!("{}cat{}", "x & (y | ".repeat(depth), ")".repeat(depth));
    let words = |count: usize| vec!["x"; count].join(" & ");
    let readings = |count: usize| vec!["(x | y)"; count].join(" <-> ");
    assert_eq!(fts(parentheses(MAX_DEPTH)), "\"cat\"");
    assert!(fts(nested(MAX_DEPTH / 2)).starts_with("\"x\" AND (\"y\" OR ("));
    assert!(fts(words(MAX_WORDS)).starts_with("\"x\" AND "));
    assert!(fts(readings(5)).starts_with("\"x x x x x\" OR "));
    assert_eq!(fts("!".repeat(10_000) + "cat"), "\"cat\"");
    expect![[r#"
        54001: the full text query nests deeper than 28 levels
        54001: the full text query nests deeper than 28 levels
        54001: the full text query has more than 1024 words
        54001: the full text query has a phrase of more than 32 readings
        54001: the full text query is longer than 65536 bytes"#]]
    .assert_eq(&format!(
        "{}\n{}\n{}\n{}\n{}",
        fts(parentheses(MAX_DEPTH + 1)),
        fts(nested(MAX_DEPTH / 2 + 1)),
        fts(words(MAX_WORDS + 1)),
        fts(readings(6)),
        fts("x".repeat(65 * 1024)),
    ));
}

/// Text of the pieces that the grammars know, and of any others.
fn text() -> impl Strategy<Value = String> {
    let pieces = vec![
        "cat", "the", "or", "é", "\u{301}", "_", "-", ".", "'", "\"", "\\", "&", "|", "!", "(", ")", ":",
        ":*", "<->", "<2>", "<", "<0>", "*", " ", "\0", "\u{93e}", "NEAR", "AND",
    ];
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(pieces), 0..24).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

proptest! {
    /// Every text has an answer; none but `fts` calls a text an error.
    #[test]
    fn total(text in text(), language in prop::sample::select(vec!["english", "simple", "russian"])) {
        for operator in [FullText::Fts, FullText::Plain, FullText::Phrase, FullText::Web] {
            let found = match_expression(operator, Some(language), &text, &["c"]);
            prop_assert!(operator == FullText::Fts || found.is_ok(), "{operator:?} {text:?}: {found:?}");
        }
    }
}
