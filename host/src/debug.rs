//! `/_schema` and `/_debug/*` of both engines: the core's pages, on a connection that only reads, and with what only a host has. What is
//! here an administrator is answered by HTTP; other shells of ours (an agent's) call [`schema`] and [`explain`] with an identity.

use std::sync::Arc;

use serde_json::Value as Json;
use sqlitrest_runtime::Access;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::database::Database;
pub use sqlitrest_runtime::debug::Page;
use sqlitrest_runtime::debug::asked::Asked;
use sqlitrest_runtime::debug::describe::Schema;
use sqlitrest_runtime::debug::explain::Report;
use sqlitrest_runtime::debug::rows::Wanted;
use sqlitrest_runtime::debug::{self, Standing, Topic, Viewer, effective};
use sqlitrest_runtime::error::Error;
use sqlitrest_runtime::http::{Request, Response};
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::{SchemaCache, error_response, refuse};
use tokio::task::spawn_blocking;

use crate::answer::Answer;
use crate::engine::Engine;
use crate::libsql::Session;
use crate::long;
use crate::observe::{self, context, errors};
use crate::open;
use crate::owned::Owned;
use crate::pool::Lane;
use crate::sections::Sections;
use crate::served::Served;
use crate::source::Source;
use crate::streaming::Streaming;

/// What a host tells beside the core's pages.
const TOPICS: [Topic; 5] = [
    Topic {
        method: "GET",
        path: "/_debug/slow-queries",
        about: "The newest statements that took long, with their query plans.",
    },
    Topic {
        method: "GET",
        path: "/_debug/pools",
        about: "Connections, who waits for them, and the write-ahead log of each database.",
    },
    Topic {
        method: "GET",
        path: "/_debug/errors",
        about: "The newest internal errors with their causes, of which clients are told nothing.",
    },
    Topic {
        method: "GET",
        path: "/_debug/databases",
        about: "The databases; POST attaches one, DELETE /_debug/databases/NAME detaches it.",
    },
    Topic {
        method: "POST",
        path: "/_debug/reload-schema",
        about: "Reads configuration, policies, keys and schema again.",
    },
];

/// The page of a request, where there are any.
pub fn page(config: &Config, request: &Request<'_>) -> Option<Page> {
    Page::of(config, request)
}

/// The answer to who has asked for a page by the API's listener.
pub async fn answer(engine: &Engine, page: Page, request: &Request<'_>, identity: &Arc<Identity>) -> Answer {
    match debug::admit(engine.config(), identity) {
        Ok(viewer) => told(engine, page, request, viewer).await,
        Err(refusal) => refuse(engine.config(), request, &refusal).into(),
    }
}

/// The answer to who may be told so much.
pub async fn told(engine: &Engine, page: Page, request: &Request<'_>, viewer: Viewer) -> Answer {
    if let Some(refusal) = debug::not_allowed(page, request) {
        return refusal.into();
    }
    let answer: Answer = match page {
        Page::Index => debug::index(&TOPICS).into(),
        Page::Config => debug::json_response(&configuration(engine.config())).into(),
        Page::Schema | Page::Explain | Page::PolicyCheck => match served(engine, page, request) {
            Ok(served) => return of_database(served, page, request, viewer).await,
            Err(error) => return refuse(engine.config(), request, &error).into(),
        },
    };
    match request.method {
        "HEAD" => Answer { content_length: Some(answer.body.len() as u64), body: Vec::new(), ..answer },
        _ => answer,
    }
}

/// The database that a request for a page is about.
fn served<'e>(engine: &'e Engine, page: Page, request: &Request<'_>) -> Result<&'e Arc<Served>, Error> {
    let name = page.database(engine.config(), request)?;
    let served = engine.served().iter().find(|served| served.name() == name);
    served.ok_or_else(|| Error::unknown_schema(engine.config(), request))
}

async fn of_database(served: &Arc<Served>, page: Page, request: &Request<'_>, viewer: Viewer) -> Answer {
    let owned = Owned::of(request);
    let work = move |config: &Config,
                     schema: &mut Arc<SchemaCache>,
                     db: &mut dyn Database,
                     shadow: Option<&mut dyn Database>| {
        owned.with(|request| debug::answer(page, config, schema, &viewer, request, db, shadow))
    };
    match with_database(served, page == Page::Explain, work).await {
        Ok(Some(response)) => logged(response),
        Ok(None) => Answer::internal(),
        Err(error) => error_response(&error).into(),
    }
}

/// An answer, what it is not to tell gone to the log.
pub fn logged(response: Response) -> Answer {
    if let Some(line) = &response.log {
        errors::internal(format_args!("{line}"));
    }
    response.into()
}

/// What somebody knows of a database: as their role, or with a standing that allows it the whole; rows are those that they see, and no
/// record of them is handed on.
///
/// # Errors
/// What the core refuses, and what the database says.
pub async fn schema(
    served: &Arc<Served>,
    viewer: &Viewer,
    tables: Vec<String>,
    wanted: Wanted,
) -> Result<Schema, Error> {
    let viewer = viewer.clone();
    let work = move |config: &Config,
                     schema: &mut Arc<SchemaCache>,
                     db: &mut dyn Database,
                     _: Option<&mut dyn Database>| {
        let is_whole = viewer.standing != Standing::Own;
        debug::reading(config, schema, db, |schema, db| {
            debug::schema_of(config, schema, &viewer.identity, is_whole, &tables, wanted, db)
        })
    };
    let (schema, _) = with_database(served, false, work).await?.unwrap_or_else(|| Err(broken()))?;
    Ok(schema)
}

/// What a request becomes for who is said to send it. Nothing is run.
///
/// # Errors
/// What the core refuses, and what the database says.
pub async fn explain(served: &Arc<Served>, standing: Standing, asked: Asked) -> Result<Report, Error> {
    let work = move |config: &Config,
                     schema: &mut Arc<SchemaCache>,
                     db: &mut dyn Database,
                     shadow: Option<&mut dyn Database>| {
        debug::reading(config, schema, db, |schema: &mut Arc<SchemaCache>, db| {
            debug::explain::report(config, schema, &asked, standing, db, shadow).map_err(Error::Body)
        })
    };
    with_database(served, true, work).await?.unwrap_or_else(|| Err(broken()))
}

fn broken() -> Error {
    Error::Internal("the page broke the engine".to_owned())
}

/// Has `work` done with a connection that reads and the schema that was told of before, on a thread where it keeps nobody waiting; with
/// `tries` an empty database in memory beside it. None where it panicked.
async fn with_database<T: Send + 'static>(
    served: &Arc<Served>,
    tries: bool,
    work: impl FnOnce(&Config, &mut Arc<SchemaCache>, &mut dyn Database, Option<&mut dyn Database>) -> T
    + Send
    + 'static,
) -> Result<Option<T>, Error> {
    let of_whom = Arc::clone(served);
    let limit = served.config().middleware.request_timeout.0;
    let work = move |db: &mut dyn Database| {
        let mut shadow = tries.then(|| open::in_memory(limit)).and_then(Result::ok);
        let shadow = shadow.as_mut().map(|shadow| shadow as &mut dyn Database);
        let mut schema = of_whom.told();
        let done = work(of_whom.config(), &mut schema, db, shadow);
        of_whom.keep_told(schema);
        done
    };
    match served.source() {
        Source::File(pool) => {
            let loan = pool.take(Lane::Long).await.map_err(|_| Error::Busy)?;
            let done = long::run(Streaming::new(loan), move |db| work(db));
            Ok(done.await.map(|(_, done)| done))
        }
        Source::Server(server) => {
            let permit = server.enter(Access::Read).await.map_err(|_| Error::Busy)?;
            let (server, context) = (Arc::clone(server), context::current());
            let done = spawn_blocking(move || {
                let _permit = permit;
                context::within(&context, || work(&mut Session::new(&server)))
            });
            Ok(done.await.ok())
        }
    }
}

/// The configuration as it is in effect, with the sections that only this host reads.
fn configuration(config: &Config) -> Json {
    let sections = observe::sections().unwrap_or_default();
    let tree = |sections: &Sections| serde_json::to_value(sections).unwrap_or_default();
    effective::told(config, &tree(&sections), &tree(&sections.defaults()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::tests::Scratch;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_schema_is_read_again_only_where_it_has_changed() {
        let scratch = Scratch::new("told", "CREATE TABLE t(id INTEGER PRIMARY KEY)");
        let engine = Engine::native(&scratch.config()).expect("native");
        let served = engine.served().first().expect("a database");
        let viewer = Viewer { identity: Arc::default(), standing: Standing::Administrator };
        let names = async || {
            let told = schema(served, &viewer, Vec::new(), Wanted::default()).await.expect("a schema");
            told.relations.into_iter().map(|own| own.name).collect::<Vec<String>>()
        };
        assert_eq!(names().await, ["t"]);
        let first = served.told();
        assert_eq!(names().await, ["t"]);
        assert!(Arc::ptr_eq(&first, &served.told()), "it is read for every page");
        let sql = rusqlite::Connection::open(scratch.path()).expect("database");
        sql.execute_batch("CREATE TABLE u(id INTEGER PRIMARY KEY)").expect("a table");
        assert_eq!(names().await, ["t", "u"]);
        assert!(!Arc::ptr_eq(&first, &served.told()));
        drop(sql);
        engine.close(std::time::Duration::from_secs(1)).await.expect("closed");
    }
}
