//! The core over a connection in memory, and answers to compare.

use std::sync::Arc;

use rusqlite::Connection;
use sqlitrest::Config;
use sqlitrest_runtime::SchemaCache;
use sqlitrest_runtime::http::Response;
use sqlitrest_runtime::identity::Identity;
use sqlitrest_tests::double::Double;

use super::requests::Request;

/// A database, a configuration and what is known of the schema.
pub struct Core {
    pub config: Config,
    pub db: Double,
    schema: Arc<SchemaCache>,
}

/// An answer, its headers in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub length: Option<u64>,
    /// What only the log is told: of a bug.
    pub log: Option<String>,
}

impl From<Response> for Reply {
    fn from(response: Response) -> Reply {
        let headers = response.headers.into_iter().map(|(name, value)| (name.into_owned(), value));
        Reply {
            status: response.status,
            headers: headers.collect(),
            body: String::from_utf8_lossy(&response.body).into_owned(),
            length: response.content_length,
            log: None,
        }
    }
}

impl From<sqlitrest::Answer> for Reply {
    fn from(answer: sqlitrest::Answer) -> Reply {
        let text =
            |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Reply {
            status: answer.status,
            headers: answer
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
            body: String::from_utf8_lossy(&answer.body).into_owned(),
            length: answer.content_length,
            log: None,
        }
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The code and the message of an error.
    pub fn error(&self) -> Option<(String, String)> {
        if self.status < 300 {
            return None;
        }
        let json: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        Some((json["code"].as_str()?.to_owned(), json["message"].as_str().unwrap_or_default().to_owned()))
    }

    /// Without what goes by the order of rows, where a request says none.
    pub fn unordered(mut self) -> Reply {
        self.headers.retain(|(name, _)| name != "etag");
        self.body = match serde_json::from_str::<serde_json::Value>(&self.body) {
            Ok(mut json) => {
                sort(&mut json);
                json.to_string()
            }
            Err(_) => {
                let mut lines: Vec<&str> = self.body.lines().collect();
                lines.sort_unstable();
                lines.join("\n")
            }
        };
        self
    }
}

fn sort(json: &mut serde_json::Value) {
    match json {
        serde_json::Value::Array(items) => {
            items.iter_mut().for_each(sort);
            items.sort_by_cached_key(ToString::to_string);
        }
        serde_json::Value::Object(members) => members.values_mut().for_each(sort),
        _ => {}
    }
}

impl Core {
    pub fn new(connection: Connection, config: &str) -> Core {
        let config = Config::load("test", config, []).unwrap_or_else(|error| panic!("{error}\n{config}"));
        sqlitrest::functions::register(&connection).unwrap();
        Core { config, db: Double::new(connection), schema: Arc::default() }
    }

    pub fn send(&mut self, identity: &Identity, request: &Request) -> Reply {
        self.db.statements.clear();
        let identity = Arc::new(identity.clone());
        request.send(|request| match sqlitrest_runtime::parse(&self.config, &identity, request) {
            Ok(parsed) => {
                let response =
                    sqlitrest_runtime::respond(&self.config, &mut self.schema, parsed, &mut self.db);
                let log = response.log.clone();
                let mut reply = Reply::from(response);
                reply.log = log;
                reply
            }
            Err(response) => response.into(),
        })
    }

    /// The rules that do not fit.
    pub fn misfits(&mut self) -> Vec<String> {
        let schema = sqlitrest_runtime::schema::read_configured(&self.config, &mut self.db).unwrap();
        sqlitrest_runtime::policy::check(&self.config, &schema).into_iter().map(|m| m.message).collect()
    }
}
