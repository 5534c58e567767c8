//! The differential test: an answer under policies is the answer of an unrestricted server to a copy of the database that holds
//! no more than the role may see ([`Oracle`] makes it); a write does what is done to the rows that the role may write.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::test_runner::{Config as RunnerConfig, TestError, TestRunner};
use sqlitrest_runtime::identity::Identity;
use sqlitrest_tests::fixture::Fixture;

use super::dice::Dice;
use super::oracle::{Oracle, Sight, open};
use super::requests::{Asking, Request};
use super::rules::{Rules, identity};
use super::run::{Core, Reply};
use super::world::World;

/// What both servers have.
pub const SHARED: &str = "[api]\naggregates = true\nrequire_filter = false\n";

/// The numbers that a case is made of.
pub type Numbers = (Vec<u16>, Vec<u16>, Vec<u16>, Vec<Vec<u16>>);

pub fn numbers() -> impl Strategy<Value = Numbers> {
    let some = |most: usize| prop::collection::vec(any::<u16>(), 0..most);
    (
        prop::collection::vec(any::<u16>(), 120..300),
        prop::collection::vec(any::<u16>(), 60..300),
        prop::collection::vec(any::<u16>(), 6),
        prop::collection::vec(
            prop_oneof![1 => some(12), 9 => prop::collection::vec(any::<u16>(), 40..80)],
            1..9,
        ),
    )
}

/// How many cases: 20,000 where `SQLITREST_NIGHTLY` is set.
pub fn cases(normally: u32, nightly: u32) -> u32 {
    if std::env::var_os("SQLITREST_NIGHTLY").is_some() { nightly } else { normally }
}

pub fn runner(cases: u32) -> TestRunner {
    TestRunner::new(RunnerConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..RunnerConfig::default()
    })
}

/// Panics with the reason alone: the numbers say nothing to a person.
pub fn passed<T>(result: Result<(), TestError<T>>) {
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, _) | TestError::Abort(reason)) => panic!("{reason}"),
    }
}

/// A world under rules, as somebody sees it.
pub struct Case {
    pub world: World,
    pub rules: Rules,
    pub identity: Identity,
}

impl Case {
    pub fn new(world: &[u16], rules: &[u16], who: &[u16]) -> Case {
        let world = World::generate(&mut Dice::new(world));
        let identity = identity(&mut Dice::new(who));
        let rules = Rules::generate(&mut Dice::new(rules), &world, &identity);
        Case { world, rules, identity }
    }

    pub fn role(&self) -> &str {
        self.identity.role.as_deref().unwrap_or_default()
    }

    /// Functions that read every relation, for both servers.
    pub fn functions(&self) -> String {
        let mut out = String::new();
        for (name, columns) in self.world.relations() {
            let key = &columns[0].name;
            for (kind, sql, returns) in [
                ("all", format!("SELECT * FROM {name}"), "setof record"),
                (
                    "count",
                    format!("SELECT count(*) AS n FROM (SELECT {key} FROM \\\"{name}\\\" x)"),
                    "scalar integer",
                ),
            ] {
                let _ = write!(
                    out,
                    "[[udf]]\nname = \"{kind}_{name}\"\nexpose = true\nsql = \"{sql}\"\nreturns = \"{returns}\"\n"
                );
            }
        }
        out
    }

    pub fn restricted(&self) -> String {
        format!("{SHARED}{}{}", self.functions(), self.rules.toml())
    }

    pub fn unrestricted(&self) -> String {
        format!("{SHARED}{}[databases.main]\nhidden = [\"base_*\"]\n", self.functions())
    }

    /// Everything that a person needs to see why it failed.
    pub fn show(&self, request: &Request, got: &Reply, wanted: &str) -> String {
        let Identity { role, claims, is_anonymous } = &self.identity;
        format!(
            "\n=== database\n{}\n=== configuration\n{}\n=== identity\n{role:?}, anonymous {is_anonymous}, {}\n=== request\n{} {}\n({})\n{:?}\n{}\n\n=== answer\n{got:#?}\n=== expected\n{wanted}\n",
            self.world.sql(),
            self.rules.toml(),
            serde_json::Value::Object(claims.clone()),
            request.method,
            request.target(),
            request
                .params
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(" & "),
            request.headers,
            request.body,
        )
    }

    /// Whether the answer to a read is what the copy answers, or in words what is wrong.
    pub fn compare(
        &self,
        sights: &BTreeMap<String, Sight>,
        request: &Request,
        got: &Reply,
        wanted: &Reply,
    ) -> Result<(), String> {
        if got.log.is_some() {
            return Err("no internal error".to_owned());
        }
        let is_empty = |name: &String| !sights[name].refused && sights[name].columns.iter().all(|is| !is);
        if request.touches.iter().any(is_empty) && got.status < 300 {
            // There is no table without columns to compare with.
            return Ok(());
        }
        if got == wanted {
            let touches = self.touches(request);
            let refused: Vec<&String> = touches.iter().filter(|name| sights[*name].refused).collect();
            if got.status < 300 && !refused.is_empty() {
                return Err(format!("42501, because {refused:?} may not be read"));
            }
            return Ok(());
        }
        if self.is_refusal(sights, request, got, wanted) {
            return Ok(());
        }
        if !request.ordered && got.clone().unordered() == wanted.clone().unordered() {
            return Ok(());
        }
        Err(format!("{wanted:#?}"))
    }

    /// The relations that a request reads, that behind a view with the rights of who asks among them.
    fn touches(&self, request: &Request) -> BTreeSet<String> {
        let mut touches = request.touches.clone();
        if let Some(view) = &self.world.view
            && touches.contains(&view.name)
            && self.rules.rules.iter().any(|rule| rule.invoker)
        {
            touches.insert(self.world.tables[view.table].name.clone());
        }
        touches
    }

    /// Whether 42501 is right where the copy gives rows or another error: a relation is refused, or a column hidden.
    fn is_refusal(
        &self,
        sights: &BTreeMap<String, Sight>,
        request: &Request,
        got: &Reply,
        wanted: &Reply,
    ) -> bool {
        let Some((code, message)) = got.error() else { return false };
        let status = if self.identity.is_anonymous { 401 } else { 403 };
        if code != "42501" || got.status != status {
            return false;
        }
        let Some(relation) =
            message.strip_prefix("permission denied for ").and_then(|rest| rest.split(' ').nth(1))
        else {
            return false;
        };
        let sight = &sights[relation];
        let names_hidden = || {
            let (_, columns) = self.world.relations().into_iter().find(|(name, _)| name == relation).unwrap();
            columns.iter().zip(&sight.columns).any(|(column, is_there)| {
                !is_there && request.names.contains(&(relation.to_owned(), column.name.clone()))
            })
        };
        (self.touches(request).contains(relation) || request.may_touch.contains(relation)) && sight.refused
            || wanted.status >= 400 && names_hidden()
    }
}

#[test]
fn what_is_read_is_what_a_filtered_copy_answers() {
    let (reads, told) = (Cell::new(0_u32), Cell::new(0_u32));
    let cases = cases(500, 20_000);
    let result = runner(cases).run(&numbers(), |(world, rules, who, requests)| {
        let case = Case::new(&world, &rules, &who);
        let oracle = Oracle { world: &case.world, rules: &case.rules, role: case.role() };
        let original = open(&case.world.sql());
        let sights = oracle.sights(&original);
        let mut filtered = Core::new(oracle.filtered(&original, &sights), &case.unrestricted());
        let mut nulls = Core::new(oracle.with_nulls(&sights), &case.unrestricted());
        let mut real = Core::new(original, &case.restricted());
        let misfits = real.misfits();
        prop_assert!(misfits.is_empty(), "{misfits:?}\n{}", case.rules.toml());
        for numbers in &requests {
            let mut dice = Dice::new(numbers);
            let request = Asking { dice: &mut dice, world: &case.world, sights: &sights }.read();
            let got = real.send(&case.identity, &request);
            let other = if request.path.starts_with("/rpc") { &mut nulls } else { &mut filtered };
            let wanted = other.send(&case.identity, &request);
            if let Err(wrong) = case.compare(&sights, &request, &got, &wanted) {
                return Err(TestCaseError::fail(case.show(&request, &got, &wrong)));
            }
            reads.set(reads.get() + 1);
            let length = got.length.unwrap_or(got.body.len() as u64);
            told.set(told.get() + u32::from(got.status < 300 && length > 2));
        }
        Ok(())
    });
    passed(result);
    println!("{} reads, {} of which told rows", reads.get(), told.get());
    // The property says little where most requests are errors or find nothing.
    assert!(told.get() * 3 > reads.get(), "only {} of {} reads told rows", told.get(), reads.get());
}

#[test]
fn engines_answer_as_the_core_does() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let result = runner(cases(20, 400)).run(&numbers(), |(world, rules, who, requests)| {
        let mut case = Case::new(&world, &rules, &who);
        // Engines know who asks by `api.anonymous_role`; the claims are that role alone.
        let claims = case.identity.claims.iter().filter(|(name, _)| *name == "role");
        case.identity.claims = claims.map(|(name, value)| (name.clone(), value.clone())).collect();
        case.identity.is_anonymous = true;
        let config =
            format!("{SHARED}anonymous_role = {:?}\n{}{}", case.role(), case.functions(), case.rules.toml());
        let sql = format!("PRAGMA foreign_keys = OFF; {} PRAGMA foreign_keys = ON;", case.world.sql());
        let fixture = Fixture::of_sql(&sql);
        let engines = fixture.engines(&config);
        let original = open(&case.world.sql());
        let sights = Oracle { world: &case.world, rules: &case.rules, role: case.role() }.sights(&original);
        let mut core = Core::new(original, &config);
        for numbers in &requests {
            let request =
                Asking { dice: &mut Dice::new(numbers), world: &case.world, sights: &sights }.read();
            let writes = super::writing::random(numbers, &case.world, &sights);
            for request in [request, writes] {
                let wanted = core.send(&case.identity, &request);
                for engine in &engines {
                    let answer = request.send(|request| runtime.block_on(engine.handle(request)));
                    let got = Reply::from(answer);
                    if (&got.body, got.status, got.length) != (&wanted.body, wanted.status, wanted.length)
                        || sorted(&got.headers) != sorted(&wanted.headers)
                    {
                        let shown = case.show(&request, &got, &format!("{wanted:#?}"));
                        return Err(TestCaseError::fail(format!("{}{shown}", engine.name())));
                    }
                }
            }
        }
        Ok(())
    });
    passed(result);
}

fn sorted(headers: &[(String, String)]) -> Vec<&(String, String)> {
    let mut headers: Vec<&(String, String)> = headers.iter().collect();
    headers.sort();
    headers
}
