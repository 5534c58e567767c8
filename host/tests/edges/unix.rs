//! Unix sockets.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::net::UnixStream;

use crate::client::{Connection, VERSIONS, Version};
use crate::support::{ENGINES, Ended, Scratch, Server, command, guest, path, run_command};

const FIRST: &str = "/tracks?id=eq.1&select=id";

/// What serves a database on a socket.
fn serving(engine: &str, database: &Path, socket: &str, more: &[&str]) -> std::process::Command {
    let mut arguments = vec!["serve", path(database), "--engine", engine, "--guest", path(guest())];
    let listen = format!("unix:{socket}");
    if !socket.is_empty() {
        arguments.extend(["--listen", &listen]);
    }
    arguments.extend(more);
    command(&arguments, &[])
}

async fn ask(socket: &Path, version: Version) -> String {
    let stream = UnixStream::connect(socket).await.expect("a connection");
    let mut connection = Connection::over(stream, version).await;
    connection.get(FIRST, &[]).await.text().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_made_served_and_removed() {
    let scratch = Scratch::new();
    let (database, socket) = (scratch.database("a.db"), scratch.path("s.sock"));
    for engine in ENGINES {
        let server = Server::start(serving(engine, &database, path(&socket), &[]));
        assert_eq!(server.address, path(&socket), "{}", server.line);
        let mode = fs::metadata(&socket).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        for version in VERSIONS {
            assert_eq!(ask(&socket, version).await, "[{\"id\":1}]", "{engine} {version:?}");
        }
        // It is one that is alive.
        let ended: Ended = run_command(serving(engine, &database, path(&socket), &[]));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(
            ended.stderr.contains("a server listens on unix:") && ended.stderr.lines().count() == 1,
            "{ended:?}"
        );
        let mut idle =
            Connection::over(UnixStream::connect(&socket).await.expect("a connection"), Version::Http1).await;
        assert_eq!(idle.get(FIRST, &[]).await.status, 200);
        let ended = server.stop();
        assert_eq!(ended.stderr, "");
        idle.closed().await;
        assert!(!socket.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_server_has_left_is_replaced_and_nothing_else() {
    let scratch = Scratch::new();
    let (database, socket) = (scratch.database("a.db"), scratch.path("s.sock"));
    Server::start(serving("native", &database, path(&socket), &[])).kill();
    assert!(socket.exists());
    let server = Server::start(serving("native", &database, path(&socket), &[]));
    assert_eq!(ask(&socket, Version::Http1).await, "[{\"id\":1}]");
    // A successor's file is not removed.
    fs::rename(&socket, scratch.path("moved.sock")).expect("moved");
    fs::write(&socket, "another one's").expect("a file");
    server.stop();
    assert_eq!(fs::read_to_string(&socket).expect("a file"), "another one's");

    let ended = run_command(serving("native", &database, path(&socket), &[]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("is there and is no socket"), "{ended:?}");
    assert_eq!(fs::read_to_string(&socket).expect("a file"), "another one's");
    let nowhere = scratch.path("none/s.sock");
    let ended = run_command(serving("native", &database, path(&nowhere), &[]));
    assert!(ended.code == Some(2) && ended.stderr.contains("the directory is not there"), "{ended:?}");
    let long = scratch.path(&"x".repeat(200));
    let ended = run_command(serving("native", &database, path(&long), &[]));
    assert!(ended.code == Some(2) && ended.stderr.contains("cannot listen on unix:"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_configuration() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let text = "[server]\nunix_socket = \"./run.sock\"\nunix_socket_mode = \"600\"\n";
    let config = scratch.file("s.toml", text);
    // Its path is relative to the file.
    let server = Server::start(serving("native", &database, "", &["--config", path(&config)]));
    let socket = scratch.path("run.sock");
    assert_eq!(ask(&socket, Version::Http1).await, "[{\"id\":1}]");
    assert_eq!(fs::metadata(&socket).expect("a socket").permissions().mode() & 0o777, 0o600);
    server.stop();
    // An address beats it.
    let server = Server::start(serving(
        "native",
        &database,
        "",
        &["--config", path(&config), "--listen", "127.0.0.1:0"],
    ));
    assert!(server.line.contains(" on http://127.0.0.1:"), "{}", server.line);
    server.stop();
    for mode in ["\"999\"", "\"400\"", "\"rw\"", "\"6666\""] {
        let config = scratch.file("w.toml", format!("[server]\nunix_socket_mode = {mode}\n"));
        let ended = run_command(serving("native", &database, "", &["--config", path(&config)]));
        assert!(ended.code == Some(2) && ended.stderr.contains("w.toml:2:20: "), "{ended:?}");
        assert!(ended.stderr.contains("is no mode of a file: write \"660\""), "{ended:?}");
    }
}
