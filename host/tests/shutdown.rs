//! Stopping: what was taken is finished, what was acknowledged is in the file, nothing is left beside it.

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;

use support::{Client, ENGINES, Scratch, Server, assert_no_log, count, get, serve, serve_with};

/// Stops a server under load. Every reply is whole, and the file holds exactly the rows that were acknowledged.
fn stop_under_load(server: Server, database: &Path, keep_alive: bool) {
    let begun = AtomicI64::new(0);
    let acknowledged = AtomicI64::new(0);
    let (address, signal) = (server.address.clone(), || {
        if acknowledged.load(Ordering::Relaxed) == 100 {
            server.signal("TERM");
        }
    });
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Ok(mut client) = Client::try_connect(&address) {
                    loop {
                        let number = begun.fetch_add(1, Ordering::Relaxed);
                        let row = format!(r#"{{"name":"load {number}"}}"#);
                        client.request("POST", "/tracks", &row);
                        let Some(reply) = client.reply(false) else { break };
                        assert_eq!(reply.status, 201, "{reply:?}");
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                        signal();
                        if !keep_alive || reply.header("connection") == Some("close") {
                            break;
                        }
                    }
                }
            });
        }
    });
    let ended = server.wait();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    assert_no_log(database);
    assert!(acknowledged.load(Ordering::Relaxed) >= 100);
    assert_eq!(count(database, "tracks WHERE name LIKE 'load%'"), acknowledged.load(Ordering::Relaxed));
}

#[test]
fn under_load_nothing_is_lost() {
    for engine in ENGINES {
        for keep_alive in [true, false] {
            let scratch = Scratch::new();
            let database = scratch.database("a.db");
            stop_under_load(serve(engine, &database, &[]), &database, keep_alive);
        }
    }
}

#[test]
fn both_signals_stop_and_idle_connections_do_not_hold_it() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for engine in ENGINES {
        for name in ["TERM", "INT"] {
            let server = serve(engine, &database, &[]);
            let mut idle = Client::connect(&server.address);
            assert!(idle.request("GET", "/tracks", ""));
            assert_eq!(idle.reply(false).expect("a reply").status, 200);
            let mut silent = Client::connect(&server.address);
            assert_eq!(get(&server.address, "/tracks").status, 200);
            server.signal(name);
            assert!(idle.is_closed());
            assert!(silent.is_closed());
            let ended = server.wait();
            assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
            assert_no_log(&database);
        }
    }
}

#[test]
fn a_request_in_the_middle_of_its_body_is_finished() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    for engine in ENGINES {
        let server = serve(engine, &database, &[]);
        let mut half = Client::connect(&server.address);
        let head = "POST /albums HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 20\r\nexpect: 100-continue\r\n\r\n";
        assert!(half.send(head.as_bytes()));
        // The server has read the head.
        assert_eq!(half.reply(false).expect("continue").status, 100);
        let mut idle = Client::connect(&server.address);
        assert!(idle.request("GET", "/tracks", ""));
        assert_eq!(idle.reply(false).expect("a reply").status, 200);
        server.signal("TERM");
        // The shutdown has begun.
        assert!(idle.is_closed());
        assert!(half.send(br#"{"id":9,"title":"x"}"#));
        assert_eq!(half.reply(false).expect("a reply").status, 201);
        assert!(half.is_closed());
        assert_eq!(server.wait().code, Some(0));
        assert_no_log(&database);
        assert_eq!(count(&database, "albums WHERE id = 9"), 1);
        rusqlite::Connection::open(&database)
            .expect("database")
            .execute("DELETE FROM albums WHERE id = 9", [])
            .expect("delete");
    }
}

#[test]
fn what_does_not_end_is_cut_after_the_timeout() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let server = serve_with("native", &database, &[], &[("SQLITREST_SERVER_SHUTDOWN_TIMEOUT", "100ms")]);
    let mut half = Client::connect(&server.address);
    assert!(half.send(b"POST /albums HTTP/1.1\r\ncontent-length: 20\r\nexpect: 100-continue\r\n\r\n"));
    assert_eq!(half.reply(false).expect("continue").status, 100);
    server.signal("TERM");
    let ended = server.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("1 connections were still open"), "{ended:?}");
    assert!(half.is_closed());
    assert_no_log(&database);
}

#[test]
fn a_second_signal_ends_at_once() {
    let scratch = Scratch::new();
    let server = serve("native", &scratch.database("a.db"), &[]);
    let mut half = Client::connect(&server.address);
    assert!(half.send(b"POST /albums HTTP/1.1\r\ncontent-length: 20\r\nexpect: 100-continue\r\n\r\n"));
    assert_eq!(half.reply(false).expect("continue").status, 100);
    let mut idle = Client::connect(&server.address);
    assert!(idle.request("GET", "/tracks", ""));
    assert_eq!(idle.reply(false).expect("a reply").status, 200);
    server.signal("TERM");
    assert!(idle.is_closed());
    server.signal("INT");
    let ended = server.wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("stopped by a second signal"), "{ended:?}");
}

#[test]
fn a_killed_server_loses_nothing_acknowledged() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let server = serve("component", &database, &[]);
    for number in 0..50 {
        let reply =
            support::reply_to(&server.address, "POST", "/tracks", &format!(r#"{{"name":"kill {number}"}}"#));
        assert_eq!(reply.status, 201);
    }
    server.signal("KILL");
    assert_eq!(server.wait().code, None);
    assert_eq!(count(&database, "tracks WHERE name LIKE 'kill%'"), 50);
    serve("native", &database, &[]).stop();
    assert_no_log(&database);
}

#[test]
fn a_log_that_is_anothers_to_move_stays_as_it_is() {
    for engine in ENGINES {
        let scratch = Scratch::new();
        let database = scratch.database("a.db");
        let never = [("SQLITREST_POOL_WAL_CHECKPOINT_INTERVAL", "0s")];
        // The file is in WAL mode from now on.
        serve_with(engine, &database, &[], &never).stop();
        let before = std::fs::read(&database).expect("database");
        let server = serve_with(engine, &database, &[], &never);
        // More than what is moved at once elsewhere.
        let row = format!(r#"{{"title":"{}"}}"#, "long ".repeat(250_000));
        for _ in 0..5 {
            assert_eq!(support::reply_to(&server.address, "POST", "/albums", &row).status, 201);
        }
        assert_eq!(get(&server.address, "/albums?select=id").status, 200);
        let ended = server.stop();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
        assert_eq!(std::fs::read(&database).expect("database"), before, "{engine}: the log was moved");
        let log = std::fs::metadata(format!("{}-wal", database.display())).expect("a log");
        assert!(log.len() > 6_000_000, "{} bytes", log.len());
        // Once nobody else moves it, it is ours again.
        serve(engine, &database, &[]).stop();
        assert_no_log(&database);
        assert_eq!(count(&database, "albums WHERE title LIKE 'long%'"), 5);
    }
}
