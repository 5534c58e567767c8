//! What SQLite's message means for the client. Messages are all that `spin:sqlite` gives, so every engine goes by them.
//!
//! The texts are those of SQLite's `vdbe.c`, `insert.c`, `fkey.c` and `main.c` (`sqlite3ErrStr`). libSQL puts its own words
//! before them, hence `find` and not `starts_with`.

use crate::database::DbError;
use crate::encode::{MOST_BYTES, TOO_LARGE};
use crate::error::Error;
use crate::run::NOT_INSERTED;
use crate::schema::{Relation, RelationId, RelationKind, SchemaCache};

/// The error that a failed statement is to the client. `relation` is what the request wrote to or read from.
pub(crate) fn classify(error: &DbError, schema: &SchemaCache, relation: &str) -> Error {
    let message = error.message.as_str();
    let after = |marker: &str| message.split_once(marker).map(|(_, rest)| rest.trim());
    if let Some(columns) = after("UNIQUE constraint failed: ") {
        return unique(columns, schema, relation);
    }
    if let Some(column) = after("NOT NULL constraint failed: ") {
        let (table, column) = column.rsplit_once('.').unwrap_or((relation, column));
        if !may_be_named(schema, table, &[column]) {
            return constraint("23502", "null value violates not-null constraint".to_owned(), None);
        }
        return constraint(
            "23502",
            format!("null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"),
            None,
        );
    }
    if let Some(name) = after("CHECK constraint failed: ") {
        if !is_seen_whole(schema, relation, name) {
            // The constraint may be another table's, which a trigger writes, or tell of columns that are hidden.
            return constraint("23514", "new row violates a check constraint".to_owned(), None);
        }
        return constraint(
            "23514",
            format!("new row for relation \"{relation}\" violates check constraint \"{name}\""),
            None,
        );
    }
    if after("FOREIGN KEY constraint failed").is_some() {
        return constraint(
            "23503",
            format!("write to table \"{relation}\" violates a foreign key constraint"),
            Some("A row refers to a key that does not exist, or would after this write.".to_owned()),
        );
    }
    if let Some(rest) = after("cannot store ") {
        let named = rest.rsplit_once(" column ").and_then(|(_, column)| column.rsplit_once('.'));
        if !named.is_some_and(|(table, column)| may_be_named(schema, table, &[column])) {
            return constraint("22P02", "a value does not fit the type of its column".to_owned(), None);
        }
        return constraint("22P02", format!("cannot store {rest}"), None);
    }
    if message == NOT_INSERTED {
        return constraint("23503", NOT_INSERTED.to_owned(), None);
    }
    if after("malformed JSON").is_some() {
        return constraint("22P02", "invalid input syntax for type json".to_owned(), None);
    }
    if after("datatype mismatch").is_some() {
        return constraint("22P02", "invalid input syntax for type integer".to_owned(), None);
    }
    // Alone, or behind what libSQL puts before it.
    let is_raised = |raised: &&String| {
        message
            .strip_suffix(raised.as_str())
            .is_some_and(|before| before.is_empty() || before.ends_with(": "))
    };
    if let Some(raised) = schema.raise_messages.iter().find(is_raised) {
        return raised_error(raised);
    }
    let has = |part: &str| message.contains(part);
    // What a trigger raises may have such words in it, so SQLite's own sentences are wanted whole.
    let is = |sentence: &str| error.says(sentence);
    let begins = |sentence: &str| message.starts_with(sentence) || message.contains(&format!(": {sentence}"));
    if is("attempt to write a readonly database") {
        Error::ReadOnly
    } else if is("database is locked")
        || begins("database table is locked")
        || is("database schema is locked: main")
    {
        Error::Busy
    } else if is("database or disk is full") {
        Error::DiskFull
    } else if has("unable to open database") {
        Error::Unreachable(message.to_owned())
    } else if has("no such function: REGEXP") || has("no such function: regexp") {
        Error::NotImplemented(
            "match and imatch: this host gives SQLite no regular expressions, so it".to_owned(),
        )
    } else if is("'?' without operand") {
        // Those of sqld know no `(?i)`.
        Error::NotImplemented(
            "imatch, or `?` where it stands, in this database's regular expressions".to_owned(),
        )
    } else if is("integer overflow") {
        constraint("22003", "bigint out of range".to_owned(), None)
    } else if is("interrupted") {
        Error::Timeout
    } else if is(TOO_LARGE) {
        let most = MOST_BYTES >> 20;
        Error::TooComplex(format!("The answer is larger than {most} MiB: ask for fewer rows with limit"))
    } else if is("string or blob too big")
        || begins("too many ")
        || begins("Expression tree is too large")
        || begins("VIEWs and/or subqueries nested too deep")
        || is("parser stack overflow")
        // libSQL's server parses statements itself first.
        || begins("SQL string could not be parsed: parser overflowed its stack")
        || is("Recursion limit")
        || begins("at most ")
        || is("statement too long")
    {
        Error::TooComplex("The request is too large for one statement".to_owned())
    } else {
        Error::Internal(message.to_owned())
    }
}

/// What a trigger RAISEs: a sentence, or an error in PostgREST's own form, as JSON:
/// `{"code": "PT402", "message": "Payment required", "details": null, "hint": "Pay."}`. `PT` and a status give that status.
pub(crate) fn raised_error(text: &str) -> Error {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raised {
        code: String,
        message: String,
        #[serde(default)]
        details: Option<String>,
        #[serde(default)]
        hint: Option<String>,
    }
    let Ok(Raised { code, message, details, hint }) = serde_json::from_str(text) else {
        return constraint("P0001", text.to_owned(), None);
    };
    // It goes into a header field.
    let is_code = (1..=32).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    if !is_code {
        return constraint("P0001", text.to_owned(), None);
    }
    let status = code.strip_prefix("PT").and_then(|status| status.parse().ok());
    let status = status.filter(|status| (400..=599).contains(status)).unwrap_or(400);
    Error::Raised { status, code, message, details, hint }
}

/// Whether a client may be told of these columns of a table: that it is exposed, and that its role sees them.
fn may_be_named(schema: &SchemaCache, table: &str, columns: &[&str]) -> bool {
    let found = schema.exposed().find(|(_, relation)| relation.name.eq_ignore_ascii_case(table));
    let is_seen = |relation: &Relation, name: &str| {
        relation.columns.iter().any(|c| c.name.eq_ignore_ascii_case(name) && (!c.hidden || c.writable))
    };
    found.is_some_and(|(_, relation)| columns.iter().all(|column| is_seen(relation, column)))
}

/// Whether a role sees all columns of a table, in the definition of which a name stands.
fn is_seen_whole(schema: &SchemaCache, relation: &str, name: &str) -> bool {
    let is_own = |id: &RelationId| schema.definitions.get(id).is_some_and(|sql| sql.contains(name));
    !schema.is_narrowed
        || schema.relation(relation).is_some_and(|(id, relation)| {
            relation.kind == RelationKind::Table && relation.columns.iter().all(|c| !c.hidden) && is_own(&id)
        })
}

/// `t.a, t.b`, or `index 'name'` for an index on expressions.
fn unique(columns: &str, schema: &SchemaCache, relation: &str) -> Error {
    if let Some(index) = columns.strip_prefix("index '").and_then(|rest| rest.strip_suffix('\'')) {
        return match is_seen_whole(schema, relation, index) {
            true => constraint("23505", duplicate(index), None),
            false => constraint("23505", NAMELESS_DUPLICATE.to_owned(), None),
        };
    }
    let table = columns.split_once('.').map_or(relation, |(table, _)| table);
    let names: Vec<&str> = columns
        .split(", ")
        .map(|column| column.strip_prefix(table).and_then(|rest| rest.strip_prefix('.')).unwrap_or(column))
        .collect();
    if !may_be_named(schema, table, &names) {
        return constraint("23505", NAMELESS_DUPLICATE.to_owned(), None);
    }
    let is_primary = schema.relation(table).is_some_and(|(_, relation)| {
        let mut key: Vec<&str> = relation.column_names(&relation.primary_key).collect();
        let mut given = names.clone();
        key.sort_unstable();
        given.sort_unstable();
        key == given
    });
    // As PostgreSQL names the constraints that have no name.
    let name = if is_primary { format!("{table}_pkey") } else { format!("{table}_{}_key", names.join("_")) };
    constraint("23505", duplicate(&name), Some(format!("Key ({}) already exists.", names.join(", "))))
}

/// Where the key may not be named.
const NAMELESS_DUPLICATE: &str = "duplicate key value violates unique constraint";

fn duplicate(name: &str) -> String {
    format!("duplicate key value violates unique constraint \"{name}\"")
}

fn constraint(code: &'static str, message: String, details: Option<String>) -> Error {
    Error::Constraint { code, message, details }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(message: &str, expected: Expect) {
        let mut schema = SchemaCache::default();
        schema.raise_messages.insert("no more seats".to_owned());
        for (name, columns) in [("t", ["a", "b c"].as_slice()), ("t.a", &["b"])] {
            schema.names.insert(name.to_owned(), schema.relations.len());
            schema.relations.push(Relation::of_columns(name, columns));
        }
        let problem = classify(&DbError { message: message.to_owned() }, &schema, "t").problem();
        expected.assert_eq(&format!(
            "{} {} {} {}",
            problem.status, problem.code, problem.message, problem.details
        ));
    }

    #[test]
    fn messages_of_sqlite() {
        check(
            "UNIQUE constraint failed: t.a, t.b c",
            expect![[
                r#"409 23505 duplicate key value violates unique constraint "t_a_b c_key" "Key (a, b c) already exists.""#
            ]],
        );
        check(
            "SQLite error: UNIQUE constraint failed: t.a",
            expect![[
                r#"409 23505 duplicate key value violates unique constraint "t_a_key" "Key (a) already exists.""#
            ]],
        );
        check(
            "UNIQUE constraint failed: index 'lower_name'",
            expect![[r#"409 23505 duplicate key value violates unique constraint "lower_name" null"#]],
        );
        check(
            "NOT NULL constraint failed: t.a.b",
            expect![[
                r#"400 23502 null value in column "b" of relation "t.a" violates not-null constraint null"#
            ]],
        );
        check(
            "CHECK constraint failed: price > 0",
            expect![[r#"400 23514 new row for relation "t" violates check constraint "price > 0" null"#]],
        );
        check(
            "FOREIGN KEY constraint failed",
            expect![[
                r#"409 23503 write to table "t" violates a foreign key constraint "A row refers to a key that does not exist, or would after this write.""#
            ]],
        );
        check(
            "UNIQUE constraint failed: private.secret",
            expect!["409 23505 duplicate key value violates unique constraint null"],
        );
        check(
            "NOT NULL constraint failed: private.secret",
            expect!["400 23502 null value violates not-null constraint null"],
        );
        check("datatype mismatch", expect!["400 22P02 invalid input syntax for type integer null"]);
        check(
            "cannot store TEXT value in INTEGER column t.a",
            expect!["400 22P02 cannot store TEXT value in INTEGER column t.a null"],
        );
        check("no more seats", expect!["400 P0001 no more seats null"]);
        check(
            "attempt to write a readonly database",
            expect!["405 25006 cannot execute a write in a read-only database null"],
        );
        check(
            "database is locked",
            expect![[
                r#"503 PGRST003 The database is busy "No connection was free, or another process held its lock, for longer than pool.busy_timeout.""#
            ]],
        );
        check(
            "database table is locked: t",
            expect![[
                r#"503 PGRST003 The database is busy "No connection was free, or another process held its lock, for longer than pool.busy_timeout.""#
            ]],
        );
        check("database or disk is full", expect!["503 53100 The disk is full null"]);
        check(
            "unable to open database: the host has none named \"default\"",
            expect!["503 PGRST000 Could not connect with the database null"],
        );
        check("interrupted", expect!["504 57014 canceling statement due to statement timeout null"]);
        check(
            "SQLite error: '?' without operand",
            expect![
                r#"400 PGRST127 Feature not implemented "imatch, or `?` where it stands, in this database's regular expressions is not implemented""#
            ],
        );
        check(
            "SQL string could not be parsed: parser overflowed its stack at (1, 272)",
            expect!["400 54001 The request is too large for one statement null"],
        );
        check("string or blob too big", expect!["400 54001 The request is too large for one statement null"]);
        check("Recursion limit", expect!["400 54001 The request is too large for one statement null"]);
        check("disk I/O error", expect!["500 PGRSTX00 Internal error null"]);
        check("no such column: t0.secret", expect!["500 PGRSTX00 Internal error null"]);
    }
}
