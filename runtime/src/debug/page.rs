//! The pages that any shell has: which there are, what they are asked with, and what they answer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Viewer, effective, told};
use crate::config::Config;
use crate::database::Database;
use crate::database_error::classify;
use crate::error::Error;
use crate::http::{Request, Response};
use crate::schema::{SchemaCache, read_configured, schema_version};

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/_debug`: what there is.
    Index,
    /// `/_schema`
    Schema,
    /// `/_debug/explain`
    Explain,
    /// `/_debug/policy-check`
    PolicyCheck,
    /// `/_debug/config`
    Config,
}

/// What stands in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Topic {
    /// `GET` or `POST`
    pub method: &'static str,
    /// Where it is.
    pub path: &'static str,
    /// What it tells, in a sentence.
    pub about: &'static str,
}

/// What every shell tells.
const TOPICS: [Topic; 5] = [
    Topic {
        method: "GET",
        path: "/_schema",
        about: "Tables, columns, keys, relationships, comments and functions; ?format=text for a prompt, ?role= as a role knows it, ?counts=true and ?examples=3 for rows, ?table= for some tables.",
    },
    Topic {
        method: "POST",
        path: "/_debug/explain",
        about: "What a request becomes, and which index would help: {\"request\": \"GET /posts?author_id=eq.1\", \"role\": \"author\", \"sub\": \"7\"}. Nothing is run.",
    },
    Topic {
        method: "POST",
        path: "/_debug/policy-check",
        about: "Which policy allows or denies, and why: {\"table\": \"posts\", \"operation\": \"update\", \"role\": \"author\", \"filter\": \"id=eq.1\"}.",
    },
    Topic {
        method: "GET",
        path: "/_debug/config",
        about: "The configuration as it is in effect, without secrets.",
    },
    Topic { method: "GET", path: "/_debug", about: "This list." },
];

impl Page {
    /// The page of a request, where there are any.
    pub fn of(config: &Config, request: &Request<'_>) -> Option<Page> {
        if !config.debug.enabled || !request.target.starts_with("/_") {
            return None;
        }
        match request.target.split('?').next()? {
            "/_schema" => Some(Page::Schema),
            "/_debug" | "/_debug/" => Some(Page::Index),
            "/_debug/explain" => Some(Page::Explain),
            "/_debug/policy-check" => Some(Page::PolicyCheck),
            "/_debug/config" => Some(Page::Config),
            _ => None,
        }
    }

    /// Its path.
    pub fn path(self) -> &'static str {
        match self {
            Page::Index => "/_debug",
            Page::Schema => "/_schema",
            Page::Explain => "/_debug/explain",
            Page::PolicyCheck => "/_debug/policy-check",
            Page::Config => "/_debug/config",
        }
    }

    /// The methods that it takes.
    pub fn methods(self) -> &'static str {
        match self {
            Page::Index | Page::Schema | Page::Config => "GET, HEAD",
            Page::Explain | Page::PolicyCheck => "POST",
        }
    }

    /// Whether it is one that needs a connection.
    pub fn needs_database(self) -> bool {
        matches!(self, Page::Schema | Page::Explain | Page::PolicyCheck)
    }

    /// The name of the database that a request for it is about: by its body or query string, or by the header fields of any request. Of a
    /// page that is about none it is the default one, whatever the request names.
    ///
    /// # Errors
    /// PGRST106 where there is no such database.
    pub fn database<'c>(self, config: &'c Config, request: &Request<'_>) -> Result<&'c str, Error> {
        #[derive(Deserialize)]
        struct Named {
            database: Option<String>,
        }
        if !self.needs_database() {
            return Ok(config.database().0);
        }
        let named = match self {
            Page::Schema => {
                told::parameters(request)?.into_iter().find(|(name, _)| name == "database").map(|own| own.1)
            }
            _ => serde_json::from_slice::<Named>(request.body).ok().and_then(|named| named.database),
        };
        match named {
            Some(name) => config
                .schemas()
                .into_iter()
                .find(|own| *own == name)
                .ok_or_else(|| Error::Schema { name, served: config.schemas().join(", ") }),
            None => config.database_of(request).ok_or_else(|| Error::unknown_schema(config, request)),
        }
    }
}

/// The index, with what a shell has beside this.
pub fn index(own: &[Topic]) -> Response {
    let all: Vec<&Topic> = TOPICS.iter().chain(own).collect();
    let next = [
        "Begin with GET /_schema?format=text; send a request that is slow or refused to POST /_debug/explain.",
    ];
    json_response(&json!({ "topics": all, "next": next }))
}

/// The answer to a request for a page. `config` is that of the database which it is about, but for [`Page::Config`], which tells of the
/// whole one; `sections` are those of a host. Nothing is written. In `shadow`, an empty database in memory, indexes are tried.
pub fn answer(
    page: Page,
    config: &Config,
    schema: &mut Arc<SchemaCache>,
    viewer: &Viewer,
    request: &Request<'_>,
    db: &mut dyn Database,
    shadow: Option<&mut dyn Database>,
) -> Response {
    if let Some(refusal) = not_allowed(page, request) {
        return refusal;
    }
    let answered = match page {
        Page::Index => Ok(index(&[])),
        Page::Config => Ok(json_response(&effective::told(config, &Json::Null, &Json::Null))),
        Page::Schema => {
            reading(config, schema, db, |schema, db| told::schema(config, schema, viewer, request, db))
        }
        Page::Explain => reading(config, schema, db, |schema, db| {
            told::explain(config, schema, viewer, request, db, shadow)
        }),
        Page::PolicyCheck => {
            reading(config, schema, db, |schema, db| told::check(config, schema, viewer, request, db))
        }
    };
    let mut response = answered.unwrap_or_else(|error| crate::refuse(config, request, &error));
    if request.method == "HEAD" {
        response.content_length = Some(response.body.len() as u64);
        response.body.clear();
    }
    response
}

/// The answer to a method that a page does not take.
pub fn not_allowed(page: Page, request: &Request<'_>) -> Option<Response> {
    if page.methods().split(", ").any(|method| method == request.method) {
        return None;
    }
    let mut response = crate::error_response(&Error::Method(request.method.to_owned()));
    response.headers.push(("allow".into(), page.methods().to_owned()));
    Some(response)
}

/// Has `work` done in a transaction that is undone, with the schema as it is then.
///
/// # Errors
/// What the work refuses, and what the database says.
pub fn reading<T>(
    config: &Config,
    schema: &mut Arc<SchemaCache>,
    db: &mut dyn Database,
    work: impl FnOnce(&mut Arc<SchemaCache>, &mut dyn Database) -> Result<T, Error>,
) -> Result<T, Error> {
    crate::statement(db, "BEGIN").map_err(|error| classify(&error, schema, ""))?;
    let done = refresh(config, schema, db).and_then(|()| work(schema, db));
    let _ = crate::statement(db, "ROLLBACK");
    done
}

/// Reads the schema again, if it is not that of the database any more.
fn refresh(config: &Config, schema: &mut Arc<SchemaCache>, db: &mut dyn Database) -> Result<(), Error> {
    let version = schema_version(db, &config.database().1.attach);
    let version = version.map_err(|error| classify(&error, schema, ""))?;
    if schema.version != Some(version) {
        let read = read_configured(config, db);
        *schema = Arc::new(read.map_err(|error| classify(&error, schema, ""))?);
    }
    Ok(())
}

/// A document that nobody keeps.
pub fn json_response(body: &impl Serialize) -> Response {
    Response {
        status: 200,
        headers: vec![
            ("content-type".into(), "application/json; charset=utf-8".to_owned()),
            ("cache-control".into(), "no-store".to_owned()),
        ],
        body: serde_json::to_vec(body).unwrap_or_default(),
        ..Response::default()
    }
}
