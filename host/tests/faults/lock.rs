//! Another process holds the lock: who writes is told so in time, who reads does not notice, and then all goes on.

use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::support::{Client, ENGINES, Reply, Scratch, assert_no_log, count, get, reply_to, serve_with};

/// How long a request waits for the lock.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// How many come while it is held.
const WAITING: u32 = 24;

fn insert(address: &str) -> Reply {
    reply_to(address, "POST", "/albums", r#"{"title":"locked"}"#)
}

#[test]
fn all_who_wait_are_told_in_their_time() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let patience = format!("{}ms", PATIENCE.as_millis());
    for (engine, lock) in ENGINES.into_iter().zip(["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"]) {
        let server = serve_with(engine, &database, &[], &[("SQLITREST_POOL_BUSY_TIMEOUT", &patience)]);
        let address = server.address.as_str();
        let other = Connection::open(&database).expect("database");
        other.execute_batch(lock).expect("lock");
        thread::scope(|scope| {
            for number in 0..WAITING {
                scope.spawn(move || {
                    // One after another, until the first is answered.
                    thread::sleep(PATIENCE * number / WAITING);
                    let begun = Instant::now();
                    let reply = insert(address);
                    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{reply:?}");
                    assert!(reply.body.contains("PGRST003"), "{reply:?}");
                    // Whose wait begins where the wait before it ends takes twice as long.
                    assert!(begun.elapsed() < PATIENCE * 7 / 4, "{engine}: {:?}", begun.elapsed());
                });
            }
            // Nobody who reads waits.
            let mut reader = Client::connect(address);
            for _ in 0..20 {
                assert!(reader.request("GET", "/tracks?id=eq.1&select=name", ""));
                assert_eq!(reader.reply(false).expect("a reply").body, r#"[{"name":"a"}]"#);
            }
        });
        other.execute_batch("ROLLBACK").expect("unlock");
        assert_eq!(insert(address).status, 201);
        drop(other);
        server.stop();
        assert_no_log(&database);
    }
    assert_eq!(count(&database, "albums WHERE title = 'locked'"), 2);
}

#[test]
fn who_waits_gets_a_lock_that_is_let_go() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for engine in ENGINES {
        let server = serve_with(engine, &database, &[], &[("SQLITREST_POOL_BUSY_TIMEOUT", "30s")]);
        let other = Connection::open(&database).expect("database");
        other.execute_batch("BEGIN IMMEDIATE").expect("lock");
        thread::scope(|scope| {
            let asked: Vec<_> =
                (0..WAITING).map(|_| scope.spawn(|| insert(&server.address).status)).collect();
            // They have come as far as they get when a read that came after them is answered.
            assert_eq!(get(&server.address, "/albums?select=id").status, 200);
            other.execute_batch("INSERT INTO albums (title) VALUES ('other'); COMMIT").expect("commit");
            for status in asked {
                assert_eq!(status.join().expect("a client"), 201);
            }
        });
        server.stop();
    }
    assert_eq!(count(&database, "albums WHERE title = 'locked'"), 2 * i64::from(WAITING));
    assert_eq!(count(&database, "albums WHERE title = 'other'"), 2);
}
