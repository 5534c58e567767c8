//! The whole way of a request, over a database in memory that has every table of the fixtures.

use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use rusqlite::Connection;
use rusqlite::limits::Limit;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::http::{Request, Response};
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::media::MediaType;
use sqlitrest_runtime::{ApiRequest, SchemaCache};

use crate::double::Double;
use crate::steps::{self, Steps};

/// `view_keys` is not among them: its tables are named as those of `music`.
const FIXTURES: &[&str] = &[
    include_str!("../../examples/music.sql"),
    include_str!("../../tests/fixtures/grammar.sql"),
    include_str!("../../tests/fixtures/keys.sql"),
    include_str!("../../tests/fixtures/types.sql"),
    include_str!("../../tests/fixtures/names.sql"),
    include_str!("../../tests/fixtures/edges.sql"),
    include_str!("../../tests/fixtures/views.sql"),
    include_str!("../../tests/fixtures/shop.sql"),
];

/// The longest text or row, so that the same cannot fill the memory.
const LONGEST: i32 = 16 << 20;

static CONFIG: LazyLock<Config> =
    LazyLock::new(|| Config::load("sqlitrest.toml", include_str!("../sqlitrest.toml"), []).unwrap());

/// The first stage alone.
pub(crate) fn parse(request: &Request<'_>) -> Result<ApiRequest, Box<Response>> {
    sqlitrest_runtime::parse(&CONFIG, &Identity::anonymous(&CONFIG).into(), request).map_err(Box::new)
}

/// A database with its schema, as one thread uses it.
struct Served {
    db: Double,
    schema: Arc<SchemaCache>,
    steps: Steps,
}

thread_local! {
    static SERVED: RefCell<Served> = RefCell::new(Served::new());
}

impl Served {
    fn new() -> Served {
        let connection = Connection::open_in_memory().unwrap();
        for fixture in FIXTURES {
            connection.execute_batch(fixture).unwrap();
        }
        // This one makes its messages of values: those are for the log alone, and so are answered by a 500.
        connection.execute_batch("PRAGMA foreign_keys = ON; DROP TRIGGER raising_insert").unwrap();
        let mut db = Double::new(connection);
        let schema = sqlitrest_runtime::schema::read_configured(&CONFIG, &mut db).unwrap();
        db.connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST).unwrap();
        let steps = steps::limit(&mut db.connection);
        Served { db, schema: Arc::new(schema), steps }
    }
}

/// A request as text: `METHOD target`, header lines, an empty line, the body. It is answered, never by a 500, its
/// transaction is over, and an answer that says it is JSON is.
pub fn request(data: &[u8]) {
    let end = data.windows(2).position(|two| two == b"\n\n");
    let (head, body) = match end {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (data, &b""[..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let Some((method, target)) =
        lines.next().and_then(|line| std::str::from_utf8(line).ok()?.split_once(' '))
    else {
        return;
    };
    let fields: Vec<(String, &[u8])> = lines
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = std::str::from_utf8(&line[..colon]).ok()?.to_lowercase();
            Some((name, line[colon + 1..].trim_ascii()))
        })
        .collect();
    let headers: Vec<(&str, &[u8])> = fields.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let Ok(parsed) = parse(&Request { method, target, headers: &headers, body }) else { return };
    SERVED.with_borrow_mut(|served| served.answer(parsed));
}

impl Served {
    fn answer(&mut self, request: ApiRequest) {
        self.steps.store(0, Ordering::Relaxed);
        self.db.statements.clear();
        let before = Arc::clone(&self.schema);
        let is_own = matches!(request.media_type, MediaType::Other(_));
        let response = sqlitrest_runtime::respond(&CONFIG, &mut self.schema, request, &mut self.db);
        assert_ne!(response.status, 500, "{:?}", response.log);
        assert!(self.db.connection.is_autocommit(), "the transaction is still open");
        assert!(Arc::ptr_eq(&before, &self.schema), "the schema was read again");
        let is_json = response.headers.iter().filter(|(name, _)| name == "content-type").any(|(_, value)| {
            // A plan says behind the semicolon what it is the plan of.
            let essence = value.split(';').next().unwrap_or_default();
            essence == "application/json" || essence.ends_with("+json")
        });
        if is_json && !is_own && !response.body.is_empty() {
            let json = serde_json::from_slice::<&serde_json::value::RawValue>(&response.body);
            assert!(json.is_ok(), "{json:?}: {}", String::from_utf8_lossy(&response.body));
        }
    }
}
