//! The differential test of writes. What a write may do is read off docs/policies.md ([`Prediction`]); what it does is done by
//! an unrestricted server to the rows that the role may write, in a copy of the whole database.

use std::cell::Cell;
use std::collections::BTreeSet;

use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::Value as Json;

use super::dice::Dice;
use super::differential::{Case, cases, numbers, passed, runner};
use super::oracle::{Key, Oracle, copy_of, open};
use super::prediction::{Prediction, contents};
use super::requests::Request;
use super::run::Core;
use super::writing::{Told, Verb, Write, generate};

/// What a role is told of rows, by a server over the copy that it sees, each row by itself.
fn told_rows(
    case: &Case,
    oracle: &Oracle<'_>,
    write: &Write,
    db: &Connection,
    keys: &BTreeSet<Key>,
) -> Vec<Json> {
    let sights = oracle.sights(db);
    let sight = &sights[&write.table.name];
    let select =
        write.request.params.iter().find(|(name, _)| name == "select").map(|(_, value)| value.clone());
    let mut rows = Vec::new();
    for key in keys {
        let mut alone = sights.clone();
        if !sight.rows.contains_key(key) {
            continue;
        }
        if let Some(own) = alone.get_mut(&write.table.name) {
            own.rows.retain(|known, _| known == key);
        }
        let mut core = Core::new(oracle.filtered(db, &alone), &case.unrestricted());
        let mut request =
            Request { method: "GET".to_owned(), path: write.request.path.clone(), ..Request::default() };
        request.params.extend(select.clone().map(|select| ("select".to_owned(), select)));
        let reply = core.send(&case.identity, &request);
        let found: Vec<Json> =
            serde_json::from_str(&reply.body).unwrap_or_else(|error| panic!("{error}: {reply:?}"));
        rows.extend(found);
    }
    rows
}

#[test]
fn what_is_written_is_what_may_be_written() {
    let (done, refused, open_ended) = (Cell::new(0_u32), Cell::new(0_u32), Cell::new(0_u32));
    let result = runner(cases(500, 20_000)).run(&numbers(), |(world, rules, who, requests)| {
        let case = Case::new(&world, &rules, &who);
        let oracle = Oracle { world: &case.world, rules: &case.rules, role: case.role() };
        let before = open(&case.world.sql());
        let sights = oracle.sights(&before);
        for numbers in requests.iter().take(5) {
            let write = generate(&mut Dice::new(numbers), &case.world, &sights);
            let mut real = Core::new(copy_of(&before), &case.restricted());
            real.db.connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
            let got = real.send(&case.identity, &write.request);
            let fail = |wanted: String| {
                let wanted = format!(
                    "{:?}: {wanted}\nafter:\n{}",
                    write.verb,
                    contents(&case.world, &real.db.connection)
                );
                Err(TestCaseError::fail(case.show(&write.request, &got, &wanted)))
            };
            if got.log.is_some() {
                return fail("no internal error".to_owned());
            }
            let is_denied = got.error().is_some_and(|(code, _)| code == "42501");
            if got.status >= 300
                && contents(&case.world, &real.db.connection) != contents(&case.world, &before)
            {
                return fail("an error that changes nothing".to_owned());
            }
            match write.predict(&case, &oracle, &sights, &before) {
                Prediction::Open => open_ended.set(open_ended.get() + 1),
                Prediction::Refused(why) => {
                    refused.set(refused.get() + 1);
                    let status = if case.identity.is_anonymous { 401 } else { 403 };
                    // A request may be wrong in other ways, too.
                    let is_wrong = matches!(got.status, 400 | 405)
                        && got.error().is_none_or(|(code, _)| !code.starts_with("23"));
                    let is_refused = is_denied && got.status == status || is_wrong;
                    if !is_refused {
                        return fail(format!("42501: {why}"));
                    }
                }
                Prediction::Done { reply, .. } if reply.status >= 300 => {
                    let hidden = is_denied && sights[&write.table.name].columns.contains(&false);
                    if got.error().map(|(code, _)| code) != reply.error().map(|(code, _)| code) && !hidden {
                        return fail(format!("{reply:#?}"));
                    }
                }
                Prediction::Done { reply, after, written } => {
                    done.set(done.get() + 1);
                    if got.status != reply.status
                        || got.header("content-range") != reply.header("content-range")
                        || got.header("preference-applied") != reply.header("preference-applied")
                    {
                        return fail(format!("{reply:#?}"));
                    }
                    let wanted = contents(&case.world, &after);
                    if contents(&case.world, &real.db.connection) != wanted {
                        return fail(format!("{reply:#?}\n{wanted}"));
                    }
                    let width = write.table.key.width();
                    let sight = &sights[&write.table.name];
                    let tells_key =
                        !sight.refused && (0..width).all(|at| sight.columns[at] && sight.plain[at]);
                    let location = reply.header("location").filter(|_| tells_key);
                    if !sight.refused && got.header("location") != location {
                        return fail(format!("location {location:?}"));
                    }
                    // (There is no table without columns to compare with.)
                    if write.told == Told::Rows && sight.columns.contains(&true) {
                        // Of rows that are deleted is told what they were.
                        let db = if write.verb == Verb::Delete { &before } else { &after };
                        let mut wanted: Vec<String> = told_rows(&case, &oracle, &write, db, &written)
                            .iter()
                            .map(Json::to_string)
                            .collect();
                        let rows: Vec<Json> = match serde_json::from_str(&got.body) {
                            Ok(rows) => rows,
                            Err(_) => return fail("rows".to_owned()),
                        };
                        let mut rows: Vec<String> = rows.iter().map(Json::to_string).collect();
                        rows.sort();
                        wanted.sort();
                        if rows != wanted {
                            return fail(format!("{wanted:#?}"));
                        }
                    }
                }
            }
        }
        Ok(())
    });
    passed(result);
    println!("{} writes done, {} refused, {} left open", done.get(), refused.get(), open_ended.get());
    assert!(done.get() > 200 && refused.get() > 200, "{} done, {} refused", done.get(), refused.get());
}
