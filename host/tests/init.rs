//! `sqlitrest init`: what it makes is whole, can be served, and answers what its README says; nothing is overwritten. And what a person at
//! a terminal gets that a pipe does not.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;
use support::{Client, ENGINES, Ended, Reply, Scratch, Server, command, get, guest, path, run, run_command};

const EXAMPLES: [&str; 3] = ["blog", "todo", "multi-tenant"];

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

/// Runs a command in a directory.
fn inside(directory: &Path, arguments: &[&str]) -> Ended {
    let mut command = command(arguments, &[]);
    command.current_dir(directory);
    run_command(command)
}

fn made(at: &Path, example: &str) {
    let ended = run(&["init", "--example", example, path(at)], &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let config = at.join("sqlitrest.toml");
    let next =
        format!("now type:\n  sqlitrest check --config {0}\n  sqlitrest serve --config {0}\n", path(&config));
    assert!(ended.stdout.ends_with(&next), "{ended:?}");
}

#[test]
fn examples_fit_together() {
    let scratch = Scratch::new();
    for example in EXAMPLES {
        let project = scratch.path(example);
        made(&project, example);
        let config = project.join("sqlitrest.toml");
        let ended = run(&["check", "--strict", "--config", path(&config)], &[("SQLITREST_SERVER_PORT", "0")]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
        assert!(ended.stdout.ends_with("\nit can be served\n"), "{ended:?}");
        let tests = project.join("policy_tests.toml");
        let ended = run(&["policy", "test", path(&tests), "--config", path(&config)], &[]);
        assert!(ended.stdout.ends_with(" tests, 0 failed\n"), "{ended:?}");
        let ended = run(&["db", "check", "--config", path(&config)], &[]);
        assert!(ended.stdout.ends_with("no damage\n"), "{example}: {ended:?}");
    }
}

/// No two have the same secret, and nobody else reads it.
#[test]
fn secrets_are_ones_own() {
    let scratch = Scratch::new();
    let secrets = ["a", "b"].map(|name| {
        let project = scratch.path(name);
        made(&project, "todo");
        let ignored = fs::read_to_string(project.join(".gitignore")).expect("text");
        for secret in ["jwt.secret", "apikeys.toml", "users.toml"] {
            assert!(ignored.lines().any(|line| line == secret), "{ignored}");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                let mode = fs::metadata(project.join(secret)).expect("a file").permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{secret}");
            }
        }
        fs::read_to_string(project.join("jwt.secret")).expect("text")
    });
    assert_ne!(secrets[0], secrets[1]);
    assert!(secrets[0].trim().len() >= 43, "32 bytes at the least");
}

#[test]
fn nothing_is_overwritten() {
    let scratch = Scratch::new();
    let project = scratch.path("blog");
    fs::create_dir(&project).expect("a directory");
    fs::write(project.join("README.md"), "mine").expect("written");
    fs::write(project.join("jwt.secret"), "mine").expect("written");
    let ended = run(&["init", "--example", "blog", path(&project)], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("blog has README.md, jwt.secret already"), "{ended:?}");
    assert!(ended.stderr.contains("`sqlitrest init --example blog DIR`"), "{ended:?}");
    assert_eq!(names(&project), ["README.md", "jwt.secret"]);
    assert_eq!(fs::read_to_string(project.join("README.md")).expect("text"), "mine");

    // A folder that is there is somebody's, whatever is in it.
    let pages = scratch.path("pages");
    fs::create_dir_all(pages.join("public")).expect("a directory");
    let ended = run(&["init", "--example", "blog", path(&pages)], &[]);
    assert!(ended.code == Some(2) && ended.stderr.contains("pages has public already"), "{ended:?}");
    assert_eq!(names(&pages), ["public"]);

    // A second time is in its own way.
    let other = scratch.path("other");
    made(&other, "blog");
    let before = names(&other);
    assert_eq!(run(&["init", "--example", "blog", path(&other)], &[]).code, Some(2));
    assert_eq!(names(&other), before);

    // What cannot be written leaves nothing behind.
    let file = scratch.file("file", "");
    let ended = run(&["init", path(&file.join("below"))], &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let wrong = scratch.file("text.db", "no database, whatever its name says");
    let ended = run(&["init", path(&wrong)], &[]);
    assert!(ended.code == Some(2) && ended.stderr.contains("is not a SQLite database"), "{ended:?}");
    let database = scratch.database("a.db");
    let ended = run(&["init", "--example", "todo", path(&database)], &[]);
    assert!(ended.code == Some(2) && ended.stderr.contains("name a directory"), "{ended:?}");
}

#[test]
fn a_new_database_here_and_around_one_that_is_there() {
    let scratch = Scratch::new();
    let here = scratch.path("here");
    fs::create_dir(&here).expect("a directory");
    let ended = inside(&here, &["init"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.ends_with("now type:\n  sqlitrest check\n  sqlitrest serve\n"), "{ended:?}");
    assert_eq!(
        names(&here),
        [".gitignore", "README.md", "jwt.secret", "main.db", "policies.toml", "schema.sql", "sqlitrest.toml"]
    );
    let mut check = command(&["check", "--strict"], &[("SQLITREST_SERVER_PORT", "0")]);
    check.current_dir(&here);
    let ended = run_command(check);
    assert_eq!(ended.code, Some(0), "{ended:?}");

    let there = scratch.path("there");
    fs::create_dir(&there).expect("a directory");
    fs::rename(scratch.database("mu sic.db"), there.join("mu sic.db")).expect("moved");
    let before = fs::read(there.join("mu sic.db")).expect("a file");
    let ended = run(&["init", path(&there.join("mu sic.db")), "--json"], &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told: Json = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(told["database"], path(&there.join("mu sic.db")));
    assert_eq!(told["next"].as_array().expect("a list").len(), 2);
    assert_eq!(fs::read(there.join("mu sic.db")).expect("a file"), before, "it is left as it is");
    assert!(!there.join("schema.sql").exists());
    let readme = fs::read_to_string(there.join("README.md")).expect("text");
    assert!(readme.contains("curl 'localhost:3000/tracks?limit=3'"), "{readme}");
    answers_its_readme(&there, "native");
}

#[test]
fn what_the_readmes_say() {
    let scratch = Scratch::new();
    for example in EXAMPLES {
        for engine in ENGINES {
            let project = scratch.path(&format!("{example}-{engine}"));
            made(&project, example);
            answers_its_readme(&project, engine);
        }
    }
    let minimal = scratch.path("minimal");
    assert_eq!(run(&["init", path(&minimal)], &[]).code, Some(0));
    answers_its_readme(&minimal, "component");
}

/// Serves a project and sends every request of its README, each of which must do well.
fn answers_its_readme(project: &Path, engine: &str) {
    let readme = fs::read_to_string(project.join("README.md")).expect("text");
    let lines: Vec<&str> = readme.lines().filter(|line| line.starts_with("curl ")).collect();
    assert!(lines.len() >= 2, "{readme}");
    if lines.iter().any(|line| line.contains(" -u ida")) {
        add_user(project);
    }
    let mut arguments = vec!["serve", "--engine", engine, "--listen", "127.0.0.1:0"];
    if engine == "component" {
        arguments.extend(["--guest", path(guest())]);
    }
    let mut serve = command(&arguments, &[]);
    serve.current_dir(project);
    let server = Server::start(serve);
    for line in lines {
        let reply = send(&server.address, &words(project, line));
        assert!((200..300).contains(&reply.status), "{engine}: {line}\n{reply:?}");
        let is_write = line.contains(" -d ");
        assert!(is_write || reply.body.len() > "[]".len(), "{engine}: {line}\n{reply:?}");
    }
    serves_its_page(project, &server.address);
    server.stop();
}

/// Every file of it, with all that it names.
fn serves_its_page(project: &Path, address: &str) {
    if !project.join("public").exists() {
        return;
    }
    for name in names(&project.join("public")) {
        let reply = get(address, &format!("/{name}"));
        let text = fs::read_to_string(project.join("public").join(&name)).expect("text");
        assert!(reply.status == 200 && reply.body == text, "{name}: {}", reply.status);
    }
    let page = get(address, "/").body;
    let named: Vec<&str> = ["src=\"", "href=\""].iter().flat_map(|name| page.split(name).skip(1)).collect();
    for name in
        named.iter().filter_map(|rest| rest.split('"').next()).filter(|name| !name.starts_with("data:"))
    {
        assert_eq!(get(address, &format!("/{name}")).status, 200, "{name}");
    }
    assert!(named.len() >= 3, "{page}");
}

fn add_user(project: &Path) {
    let password = project.join("password");
    fs::write(&password, "sesame\n").expect("written");
    let mut add = command(&["user", "add", "ida", "--role", "authenticated"], &[]);
    add.current_dir(project).stdin(fs::File::open(&password).expect("a file"));
    let ended = run_command(add);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// The words of a line as a shell has them; of `$(…)` what the command prints.
fn words(project: &Path, line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match (c, quote) {
            (' ', None) => words.push(std::mem::take(&mut word)),
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('$', Some('"')) if rest.starts_with('(') => {
                let (inside, after) = rest[1..].split_once(')').expect("an end");
                let arguments: Vec<&str> = inside.split(' ').collect();
                assert_eq!(arguments[0], "sqlitrest", "{line}");
                let ended = self::inside(project, &arguments[1..]);
                assert_eq!(ended.code, Some(0), "{ended:?}");
                word.push_str(ended.stdout.trim());
                rest = after;
            }
            (c, _) => word.push(c),
        }
    }
    words.push(word);
    words
}

/// What `curl` would send.
fn send(address: &str, words: &[String]) -> Reply {
    let (mut target, mut fields, mut body) = (String::new(), vec!["host: x".to_owned()], None);
    let mut words = words[1..].iter();
    while let Some(word) = words.next() {
        let mut next = || words.next().expect("a value").clone();
        match word.as_str() {
            "-H" => fields.push(next()),
            "-d" => body = Some(next()),
            "-u" => fields.push(format!("authorization: Basic {}", base64(&format!("{}:sesame", next())))),
            url => target = url.strip_prefix("localhost:3000").expect("an address").to_owned(),
        }
    }
    let method = if body.is_some() { "POST" } else { "GET" };
    let body = body.unwrap_or_default();
    fields.push(format!("content-length: {}", body.len()));
    let mut client = Client::connect(address);
    assert!(
        client
            .send(format!("{method} {target} HTTP/1.1\r\n{}\r\n\r\n{body}", fields.join("\r\n")).as_bytes())
    );
    client.reply(false).expect("a reply")
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// On a terminal there are colours, unless `NO_COLOR` is set; in a pipe no byte is another. `script` is the terminal, where there is one.
#[test]
fn colours_are_for_terminals() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let config = scratch.file("s.toml", "[pool]\nreaders_per_db = 0\n");
    let arguments = ["check", "--config", path(&config), "--database", path(&database)];
    let in_pipe = run(&arguments, &[]);
    assert!(!in_pipe.stdout.contains('\u{1b}') && !in_pipe.stderr.contains('\u{1b}'), "{in_pipe:?}");
    let typed = format!("{} {}", env!("CARGO_BIN_EXE_sqlitrest"), arguments.join(" "));
    let at_terminal = |no_color: Option<&str>| {
        let mut script = Command::new("script");
        script.args(["-qec", &typed, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
        script.envs(no_color.map(|value| ("NO_COLOR", value)));
        script.output().ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(shown) = at_terminal(None) else {
        eprintln!("there is no `script` here");
        return;
    };
    assert!(shown.contains("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m"), "{shown:?}");
    let plain = at_terminal(Some("1")).expect("once more");
    let coloured = ["\u{1b}[1m", "\u{1b}[31m"].iter().any(|code| plain.contains(code));
    assert!(!coloured && plain.contains("error: "), "{plain:?}");
}

/// Progress is drawn for who sits at a terminal, and for nobody else.
#[test]
fn progress_is_for_terminals() {
    let scratch = Scratch::new();
    let database = scratch.database("a.db");
    let backup = scratch.path("pipe.bak");
    let in_pipe = run(&["db", "backup", path(&backup), "--database", path(&database)], &[]);
    assert_eq!((in_pipe.code, in_pipe.stderr.as_str()), (Some(0), ""), "{in_pipe:?}");
    let backup = scratch.path("terminal.bak");
    let typed = format!(
        "{} db backup {} --database {}",
        env!("CARGO_BIN_EXE_sqlitrest"),
        path(&backup),
        path(&database)
    );
    let mut script = Command::new("script");
    let Ok(output) = script.args(["-qec", &typed, "/dev/null"]).env("TERM", "xterm").output() else {
        eprintln!("there is no `script` here");
        return;
    };
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(backup.exists() && shown.contains("copying "), "{shown:?}");
}
