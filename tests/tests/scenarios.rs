//! Every scenario file: the program is compared once, the reply on every engine. `UPDATE_EXPECT=1` writes what came out.

use std::path::{Path, PathBuf};

use sqlitrest_runtime::schema::read_configured;
use sqlitrest_tests::double::Double;
use sqlitrest_tests::fixture::Fixture;
use sqlitrest_tests::scenario::{Exchange, File, show_answer, show_program};
use sqlitrest_tests::spin::Spin;

fn case_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            case_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "case") {
            found.push(path);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenarios() {
    let mut files = Vec::new();
    case_files(&sqlitrest_tests::root().join("tests/cases"), &mut files);
    files.sort();
    assert!(!files.is_empty());
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let only = std::env::var("CASE").unwrap_or_default();
    let (mut count, mut failures) = (0, Vec::new());
    for path in files.iter().filter(|path| path.to_string_lossy().contains(&only)) {
        let mut file = File::parse(&std::fs::read_to_string(path).unwrap());
        count += file.scenarios.iter().map(|s| s.exchanges.len()).sum::<usize>();
        let failed = run_file(&mut file).await;
        for failure in failed {
            failures.push(format!("{}: {failure}", path.display()));
        }
        if update {
            std::fs::write(path, file.write()).unwrap();
        }
    }
    println!("{count} scenarios in {} files", files.len());
    assert!(update || failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

/// Runs a file's scenarios; what came out takes the place of what was expected. Gives the differences.
async fn run_file(file: &mut File) -> Vec<String> {
    let fixture = Fixture::new(&file.fixture);
    let engines = fixture.engines(&file.config);
    let spin = Spin::new(&fixture.path("spin"), &fixture.config_text("spin", &file.config));
    let mut failures = Vec::new();
    for scenario in &mut file.scenarios {
        fixture.restore(&fixture.path("double"));
        for engine in ["native", "component", "spin"] {
            fixture.restore(&fixture.path(engine));
        }
        for exchange in &mut scenario.exchanges {
            let mut answers = Vec::new();
            for engine in &engines {
                let answer = exchange.with_request(|request| block_on(engine.handle(request)));
                answers.push((engine.name(), show_answer(&answer, &file.hidden)));
            }
            let in_spin = exchange.with_request(|request| block_on(spin.handle(request)));
            let program = program(&fixture, &file.config, exchange);
            let title =
                format!("{} › {}", scenario.title, exchange.request.lines().next().unwrap_or_default());
            for (name, answer) in &answers {
                if *answer != exchange.reply {
                    failures
                        .push(format!("{title} ({name})\nexpected {}\ngot      {answer}", exchange.reply));
                }
            }
            let (first, second) = (&answers[0].1, &answers[1].1);
            assert_eq!(first, second, "{title}: the engines do not agree");
            let in_spin = show_answer(&in_spin, &file.hidden);
            // What only a host of ours has, Spin refuses and never answers wrongly.
            let refused = in_spin.contains("this host gives SQLite no regular expressions");
            // There is no second database there, in which an index could be tried.
            let advised = first.contains(r#""advice":[{"#);
            if !refused && !advised && without_location(&in_spin) != without_location(first) {
                failures.push(format!("{title} (spin)\nexpected {first}\ngot      {in_spin}"));
            }
            if program != exchange.program {
                failures
                    .push(format!("{title} (program)\nexpected {}\ngot      {program}", exchange.program));
            }
            exchange.program = program;
            exchange.reply = first.clone();
        }
    }
    failures
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

/// Spin's HTTP library wants targets percent-encoded, which shows in the location alone.
fn without_location(answer: &str) -> String {
    answer.lines().filter(|line| !line.starts_with("content-location")).collect::<Vec<_>>().join("\n")
}

/// The SQL that a request becomes; nothing where it does not come so far.
fn program(fixture: &Fixture, extra: &str, exchange: &Exchange) -> String {
    let config = fixture.config("double", extra);
    let mut db = Double::new(rusqlite::Connection::open(fixture.path("double")).unwrap());
    let schema = std::sync::Arc::new(read_configured(&config, &mut db).unwrap());
    exchange.with_request(|request| {
        sqlitrest_tests::identify(&config, request)
            .and_then(|identity| sqlitrest_runtime::parse(&config, &identity, request).ok())
            .and_then(|request| sqlitrest_runtime::plan(&config, &schema, &request).ok())
            .map(|(_, program)| show_program(&program))
            .unwrap_or_default()
    })
}
