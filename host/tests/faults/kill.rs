//! `kill -9` in the middle of group commits: what was acknowledged is there, what was refused is not, nothing is half there.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use super::support::{Client, ENGINES, LIMIT, Scratch, assert_no_log, path, serve};
use super::{Dice, rounds};

/// Rows know how many they came with. One with a negative number is refused; -2 takes with it the transaction that it shares with others.
const SCHEMA: &str = "
    CREATE TABLE rows (id INTEGER PRIMARY KEY, request INTEGER NOT NULL, of INTEGER NOT NULL, body TEXT, n INTEGER CHECK (n >= -2));
    CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
    CREATE TRIGGER refuses BEFORE INSERT ON rows WHEN new.n = -1 BEGIN SELECT RAISE(ABORT, 'refused'); END;
    CREATE TRIGGER rolls_back BEFORE INSERT ON rows WHEN new.n = -2 BEGIN SELECT RAISE(ROLLBACK, 'rolled back'); END;";

/// The most clients at a time.
const CLIENTS: u64 = 32;

/// What one client was told, and what it does not know because the server was gone.
#[derive(Default)]
struct Told {
    client: u64,
    acknowledged: Vec<u64>,
    refused: Vec<u64>,
    /// The last number of its counter that was acknowledged, and that which it sent last.
    counted: u64,
    sent: u64,
}

/// A client that writes until the server is gone.
struct Load<'a> {
    address: &'a str,
    /// The next request's number, of all clients.
    next: &'a AtomicU64,
    dice: Dice,
    /// Which counter is its own.
    client: u64,
    acknowledgements: Sender<()>,
}

impl Load<'_> {
    fn run(mut self) -> Told {
        let mut told = Told { client: self.client, ..Told::default() };
        let Ok(mut client) = Client::try_connect(self.address) else { return told };
        loop {
            let is_known = match self.dice.roll(5) {
                0 => self.count(&mut client, &mut told),
                _ => self.insert(&mut client, &mut told),
            };
            if is_known.is_none() {
                return told;
            }
            let _ = self.acknowledgements.send(());
        }
    }

    /// Sets its counter to a higher number.
    fn count(&mut self, client: &mut Client, told: &mut Told) -> Option<()> {
        let id = self.client;
        told.sent = self.next.fetch_add(1, Ordering::Relaxed);
        let body = format!(r#"{{"n":{}}}"#, told.sent);
        if !client.request("PATCH", &format!("/counters?id=eq.{id}"), &body) {
            return None;
        }
        let reply = client.reply_if_whole()?;
        assert_eq!(reply.status, 204, "{reply:?}");
        told.counted = told.sent;
        Some(())
    }

    /// A row or an array of them, of which one may be refused.
    fn insert(&mut self, client: &mut Client, told: &mut Told) -> Option<()> {
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let of = if self.dice.roll(2) == 0 { 1 } else { 2 + self.dice.roll(20) };
        let refusal = match self.dice.roll(12) {
            0 => Some((-3, "23514")),
            1 => Some((-1, "P0001")),
            2 => Some((-2, "P0001")),
            _ => None,
        };
        let refused_row = self.dice.roll(of);
        let text = "x".repeat(usize::try_from(self.dice.roll(1_500)).expect("small"));
        let row = |index| {
            let n = refusal.filter(|_| index == refused_row).map_or(1, |(n, _)| n);
            let id = request * 100 + index;
            format!(r#"{{"id":{id},"request":{request},"of":{of},"n":{n},"body":"{text}"}}"#)
        };
        let rows: Vec<_> = (0..of).map(row).collect();
        let body = if of == 1 { rows.concat() } else { format!("[{}]", rows.join(",")) };
        if !client.request("POST", "/rows", &body) {
            return None;
        }
        let reply = client.reply_if_whole()?;
        match refusal {
            None => {
                assert_eq!(reply.status, 201, "{reply:?}");
                told.acknowledged.push(request);
            }
            Some((_, code)) => {
                assert!(reply.status == 400 && reply.body.contains(code), "{reply:?}");
                told.refused.push(request);
            }
        }
        Some(())
    }
}

/// Rounds on one file, each ended by SIGKILL, so that each server finds what the one before has left.
fn rounds_on_one_file(engine: &str, seeds: Range<u64>) {
    let scratch = Scratch::new();
    let database = scratch.path("a.db");
    let sql = Connection::open(&database).expect("database");
    sql.execute_batch(SCHEMA).expect("schema");
    for client in 0..CLIENTS {
        sql.execute(&format!("INSERT INTO counters VALUES ({client}, 0)"), []).expect("counter");
    }
    drop(sql);
    let (next, mut all) = (AtomicU64::new(1), Vec::new());
    for seed in seeds {
        let told = round(engine, &database, &next, seed);
        all.extend(told);
        // A copy is looked at, so that the next server has to recover what is there.
        let copy = scratch.path("copy.db");
        for end in ["", "-wal"] {
            let _ = fs::remove_file(with_end(&copy, end));
            let _ = fs::copy(with_end(&database, end), with_end(&copy, end));
        }
        check(&copy, &all, seed);
    }
    serve(engine, &database, &[]).stop();
    assert_no_log(&database);
    check(&database, &all, 0);
    let (acknowledged, refused) =
        all.iter().fold((0, 0), |(a, r), told| (a + told.acknowledged.len(), r + told.refused.len()));
    println!("{engine}: {acknowledged} inserts acknowledged, {refused} refused");
}

/// Writes by many, until the server is killed.
fn round(engine: &str, database: &Path, next: &AtomicU64, seed: u64) -> Vec<Told> {
    let mut dice = Dice(seed);
    let server = serve(engine, database, &[]);
    let address = server.address.clone();
    let clients = 8 + dice.roll(CLIENTS - 7);
    let (acknowledge, acknowledgements) = channel();
    thread::scope(|scope| {
        let running: Vec<_> = (0..clients)
            .map(|client| {
                let (address, acknowledgements) = (&address, acknowledge.clone());
                let dice = Dice(dice.roll(u64::MAX));
                let load = Load { address, next, dice, client, acknowledgements };
                scope.spawn(move || load.run())
            })
            .collect();
        for _ in 0..1 + dice.roll(300) {
            acknowledgements.recv_timeout(LIMIT).expect("an answer");
        }
        // Somewhere between one commit and the next.
        thread::sleep(Duration::from_micros(dice.roll(5_000)));
        server.kill();
        running.into_iter().map(|client| client.join().expect("a client")).collect()
    })
}

/// Compares what clients were told with what is there.
fn check(database: &Path, all: &[Told], seed: u64) {
    let sql = Connection::open(database).expect("database");
    let text = |query: &str| sql.query_row(query, [], |row| row.get::<_, String>(0)).expect("integrity");
    assert_eq!(text("PRAGMA integrity_check"), "ok", "seed {seed}");
    let half = "SELECT request FROM rows GROUP BY request HAVING count(*) <> max(of)";
    assert_eq!(numbers(&sql, half), [], "half there, seed {seed}");
    let there: HashSet<u64> = numbers(&sql, "SELECT DISTINCT request FROM rows").into_iter().collect();
    let mut counted: HashMap<u64, (u64, u64)> = HashMap::new();
    for told in all {
        let lost: Vec<_> = told.acknowledged.iter().filter(|request| !there.contains(request)).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}, seed {seed}");
        let unwanted: Vec<_> = told.refused.iter().filter(|request| there.contains(request)).collect();
        assert!(unwanted.is_empty(), "refused and there: {unwanted:?}, seed {seed}");
        // What a round before has left open is open until the client is told something again.
        let (least, most) = counted.entry(told.client).or_insert((0, 0));
        (*least, *most) = ((*least).max(told.counted), (*most).max(told.sent));
    }
    for (client, (least, most)) in counted {
        let n = numbers(&sql, &format!("SELECT n FROM counters WHERE id = {client}"))[0];
        assert!((least..=most).contains(&n), "counter {client} is {n}, not in {least}..={most}, seed {seed}");
    }
}

fn numbers(sql: &Connection, query: &str) -> Vec<u64> {
    let mut statement = sql.prepare(query).expect("a statement");
    let rows = statement.query_map([], |row| row.get::<_, i64>(0)).expect("rows");
    rows.map(|number| number.expect("a number").unsigned_abs()).collect()
}

fn with_end(file: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path(file)))
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_there() {
    for engine in ENGINES {
        let (mut seed, end) = (0, rounds(3, 100));
        while seed < end {
            rounds_on_one_file(engine, seed..end.min(seed + 10));
            seed += 10;
        }
    }
}
