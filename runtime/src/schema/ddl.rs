//! What PRAGMAs do not tell and only the DDL says: the names of constraints, and what a trigger is instead of.
//!
//! Works on tokens, never fails: DDL that it cannot follow yields no names. SQLite accepted the text before it came here.

use super::tokens::{Token, tokens};

/// A foreign key as the DDL of its table writes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NamedKey {
    /// The name after CONSTRAINT.
    pub(super) name: String,
    /// Its columns, in the order of the DDL.
    pub(super) columns: Vec<String>,
}

/// The foreign keys of a CREATE TABLE that have a name.
pub(super) fn named_foreign_keys(sql: &str) -> Vec<NamedKey> {
    let tokens = tokens(sql);
    let Some(open) = tokens.iter().position(|t| *t == Token::Symbol('(')) else {
        return Vec::new();
    };
    let body = tokens.get(open + 1..).unwrap_or_default();
    definitions(body).into_iter().flat_map(keys_of_definition).collect()
}

/// The comma-separated definitions between the outermost parentheses.
fn definitions<'a, 't>(body: &'a [Token<'t>]) -> Vec<&'a [Token<'t>]> {
    let mut found = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, token) in body.iter().enumerate() {
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') if depth == 0 => {
                found.extend(body.get(start..at));
                return found;
            }
            Token::Symbol(')') => depth -= 1,
            Token::Symbol(',') if depth == 0 => {
                found.extend(body.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.extend(body.get(start..));
    found
}

/// `CONSTRAINT n FOREIGN KEY (a, b) REFERENCES …` or `a TYPE … CONSTRAINT n REFERENCES …`.
fn keys_of_definition(definition: &[Token<'_>]) -> Vec<NamedKey> {
    let is_table_constraint = definition
        .first()
        .is_some_and(|t| ["constraint", "foreign", "primary", "unique", "check"].iter().any(|k| t.is(k)));
    let column = definition.first().and_then(Token::name);
    let mut keys = Vec::new();
    let (mut depth, mut name) = (0, None);
    for (at, token) in definition.iter().enumerate() {
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth -= 1,
            _ if depth > 0 => {}
            token if token.is("constraint") => {
                name = definition.get(at + 1).and_then(Token::name).map(str::to_owned);
            }
            token if token.is("references") => {
                let columns = if is_table_constraint {
                    columns_before(definition.get(..at).unwrap_or_default())
                } else {
                    column.map(str::to_owned).into_iter().collect()
                };
                keys.extend(name.take().map(|name| NamedKey { name, columns }));
            }
            // A name belongs to the constraint right after it.
            token
                if ["primary", "unique", "check", "default", "not", "null", "collate", "generated"]
                    .iter()
                    .any(|k| token.is(k)) =>
            {
                name = None;
            }
            _ => {}
        }
    }
    keys
}

/// The names in the last parentheses of these tokens.
fn columns_before(tokens: &[Token<'_>]) -> Vec<String> {
    let open = tokens.iter().rposition(|t| *t == Token::Symbol('(')).map_or(tokens.len(), |at| at + 1);
    tokens.get(open..).unwrap_or_default().iter().filter_map(Token::name).map(str::to_owned).collect()
}

/// What an INSTEAD OF trigger is instead of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InsteadOf {
    Insert,
    Update,
    Delete,
}

/// Reads the head of a CREATE TRIGGER; `None` where it is not an INSTEAD OF trigger.
pub(super) fn instead_of(sql: &str) -> Option<InsteadOf> {
    let tokens = tokens(sql);
    let at = tokens.windows(2).position(|pair| matches!(pair, [a, b] if a.is("instead") && b.is("of")))?;
    let event = tokens.get(at + 2)?;
    [("insert", InsteadOf::Insert), ("update", InsteadOf::Update), ("delete", InsteadOf::Delete)]
        .into_iter()
        .find_map(|(word, kind)| event.is(word).then_some(kind))
}

/// Whether a CREATE TRIGGER is run by inserts.
pub(crate) fn runs_by_insert(sql: &str) -> bool {
    let tokens = tokens(sql);
    let event = tokens.windows(2).find_map(|pair| match pair {
        [event, on] if on.is("on") && (event.is("insert") || event.is("delete") || event.is("update")) => {
            Some(event.is("insert"))
        }
        [event, of] if event.is("update") && of.is("of") => Some(false),
        _ => None,
    });
    event.unwrap_or_default()
}

/// The messages that a CREATE TRIGGER raises: `RAISE(ABORT, 'message')`.
pub(super) fn raise_messages(sql: &str) -> Vec<String> {
    let tokens = tokens(sql);
    tokens
        .windows(6)
        .filter_map(|window| match window {
            [raise, Token::Symbol('('), _, Token::Symbol(','), Token::Text(message), Token::Symbol(')')]
                if raise.is("raise") =>
            {
                Some(message.to_string())
            }
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn check(sql: &str, expected: Expect) {
        let shown: Vec<String> =
            named_foreign_keys(sql).iter().map(|k| format!("{}({})", k.name, k.columns.join(", "))).collect();
        expected.assert_eq(&shown.join("; "));
    }

    #[test]
    fn names_of_foreign_keys() {
        check(
            "CREATE TABLE t(a INT CONSTRAINT x REFERENCES u(id) ON DELETE SET NULL, b INT CONSTRAINT nn NOT NULL REFERENCES v,
             /* , ( */ \"c d\" CHECK (c IN ('a,b', ')')) -- CONSTRAINT z REFERENCES no
             , [e] DECIMAL(10,2) CONSTRAINT \"y\"\"z\" REFERENCES w,
             CONSTRAINT fk2 FOREIGN KEY (a, [c d]) REFERENCES w(p, q), FOREIGN KEY (b) REFERENCES v(id))",
            expect![[r#"x(a); y"z(e); fk2(a, c d)"#]],
        );
        check("CREATE TABLE t AS SELECT 1", expect![[r#""#]]);
        check("CREATE TABLE \"a(b\"(x CONSTRAINT k REFERENCES y", expect!["k(x)"]);
    }

    #[test]
    fn messages_of_raise() {
        let sql = "CREATE TRIGGER t BEFORE INSERT ON x BEGIN SELECT RAISE(ABORT, 'it''s full'), raise ( fail,'no'), RAISE(IGNORE); END";
        assert_eq!(raise_messages(sql), ["it's full", "no"]);
    }

    #[test]
    fn triggers_of_inserts() {
        for (sql, expected) in [
            ("CREATE TRIGGER t AFTER INSERT ON x BEGIN UPDATE x SET a = 1; END", true),
            ("create temp trigger if not exists \"update\" insert on x begin select 1; end", true),
            ("CREATE TRIGGER t BEFORE UPDATE OF a ON x BEGIN INSERT INTO y VALUES (1); END", false),
            ("CREATE TRIGGER t DELETE ON x BEGIN SELECT 1; END", false),
        ] {
            assert_eq!(runs_by_insert(sql), expected, "{sql}");
        }
    }

    #[test]
    fn instead_of_triggers() {
        assert_eq!(
            instead_of("CREATE TRIGGER \"insert\" INSTEAD OF UPDATE OF a ON v BEGIN SELECT 1; END"),
            Some(InsteadOf::Update)
        );
        assert_eq!(
            instead_of("create trigger t instead/**/of\ndelete on v begin select 1; end"),
            Some(InsteadOf::Delete)
        );
        assert_eq!(instead_of("CREATE TRIGGER t AFTER INSERT ON v BEGIN SELECT 'instead of'; END"), None);
    }

    proptest! {
        #[test]
        fn never_panics(sql in "(CREATE TABLE t)?[a-z(),'\"\\[\\]` é*/-]{0,60}") {
            let _ = named_foreign_keys(&sql);
            let _ = instead_of(&sql);
        }
    }
}
