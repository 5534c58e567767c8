//! What the server tells of itself, and what an administrator has it do. It is not part of the API, and stands beside it: at paths of its
//! own on the API's listener, and on a listener where there is nothing else ([`admin_listener`](crate::admin_listener)).

use hyper::Method;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use serde::Serialize;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::debug::asked::Supposed;
use sqlitrest_runtime::debug::{Standing, Viewer};
use sqlitrest_runtime::http::Request;

use crate::answer::Answer;
use crate::debug;
use crate::deeds::{self, From};
use crate::engine::Engine;
use crate::observe::health::{self, Short, Status};
use crate::observe::page::{self, Format};
use crate::observe::{self, errors, gather, names, pools, slow};
use crate::serving::Serving;

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By the API's listener, from anybody.
    Api,
    /// By the administrator's port: whoever reaches it may read. Deeds are the administrator's.
    AdminPort,
    /// By the administrator's unix socket: whoever may open it is the administrator.
    AdminSocket,
}

impl Origin {
    /// Who a request with this method comes from.
    fn of(self, method: &str) -> From {
        match self {
            Origin::AdminSocket => From::Administrator,
            Origin::AdminPort if method == "GET" => From::Administrator,
            Origin::AdminPort | Origin::Api => From::Anybody,
        }
    }
}

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// `/health`: whether it can serve; with all that is known of it for the administrator.
    Health,
    /// `/health/live`: that it answers at all.
    Live,
    /// `/health/ready`: whether it can serve.
    Ready,
    /// `/metrics`
    Metrics,
    /// `/_debug/slow-queries`: the newest statements that took long, with their plans.
    SlowQueries,
    /// `/_debug/errors`: the newest internal errors, with their causes.
    Errors,
    /// `/_debug/pools`: connections, and who waits for them.
    Pools,
}

impl Page {
    fn of(path: &str) -> Option<Page> {
        match path {
            "/health" => Some(Page::Health),
            "/health/live" => Some(Page::Live),
            "/health/ready" => Some(Page::Ready),
            "/metrics" => Some(Page::Metrics),
            "/_debug/slow-queries" => Some(Page::SlowQueries),
            "/_debug/errors" => Some(Page::Errors),
            "/_debug/pools" => Some(Page::Pools),
            _ => None,
        }
    }

    /// Its path.
    fn path(self) -> &'static str {
        match self {
            Page::Health => "/health",
            Page::Live => "/health/live",
            Page::Ready => "/health/ready",
            Page::Metrics => "/metrics",
            Page::SlowQueries => "/_debug/slow-queries",
            Page::Errors => "/_debug/errors",
            Page::Pools => "/_debug/pools",
        }
    }

    /// Whether it is to be had where the request came in.
    fn is_at(self, origin: Origin, config: &Config) -> bool {
        match self {
            Page::Metrics => observe::counts(),
            Page::SlowQueries | Page::Errors | Page::Pools => config.debug.enabled,
            Page::Health | Page::Live | Page::Ready => origin != Origin::Api || observe::tells_health(),
        }
    }

    /// Whether the API has a relation at its path.
    fn is_relation(self) -> bool {
        self.relation().is_some_and(|relation| names::now().has_at_root(relation))
    }

    /// The relation that has the same path, if it has one that the API could take for a relation.
    fn relation(self) -> Option<&'static str> {
        match self {
            Page::Health => Some("health"),
            Page::Metrics => Some("metrics"),
            Page::Live | Page::Ready | Page::SlowQueries | Page::Errors | Page::Pools => None,
        }
    }
}

/// Whether a request by the API's listener asks whether the server lives or can serve: often, from one address, and without credentials.
pub fn is_probe(head: &Parts) -> bool {
    let page = Page::of(head.uri.path());
    matches!(page, Some(Page::Live | Page::Ready))
        && matches!(head.method, Method::GET | Method::HEAD)
        && observe::tells_health()
}

/// Whether it is a request of which no record is kept in the audit log: whoever asks what is wrong is answered, whether or not there is
/// room for one.
pub fn is_unrecorded(engine: &Engine, request: &Request<'_>, origin: Origin) -> bool {
    let path = request.target.split('?').next().unwrap_or_default();
    let page = Page::of(path).filter(|page| page.is_at(origin, engine.config()));
    matches!(request.method, "GET" | "HEAD")
        && page.is_some_and(|page| match page {
            _ if origin != Origin::Api => true,
            Page::Live | Page::Ready | Page::Health => !page.is_relation(),
            // Who is refused these is recorded.
            Page::Metrics | Page::SlowQueries | Page::Errors | Page::Pools => false,
        })
}

/// The pages that are hidden by relations of the same name on the API's listener.
pub fn hidden_pages(config: &Config) -> Vec<&'static str> {
    let pages = [Page::Health, Page::Metrics].into_iter().filter(|page| page.is_at(Origin::Api, config));
    let hidden = pages.filter(|page| page.is_relation());
    hidden.map(Page::path).collect()
}

/// The answer, if the request is for the server itself and not for a database, and the path that it is for.
pub async fn answer(
    serving: &Serving,
    engine: &Engine,
    request: &Request<'_>,
    origin: Origin,
) -> Option<(Answer, &'static str)> {
    let path = request.target.split('?').next().unwrap_or_default();
    let page = Page::of(path).filter(|page| page.is_at(origin, engine.config()));
    let Some(page) = page else {
        if origin != Origin::Api
            && let Some(page) = debug::page(engine.config(), request)
        {
            return Some((of_core(engine, page, request, origin).await, page.path()));
        }
        if let Some(answer) = deeds::answer(serving, engine, request, origin.of(request.method)).await {
            return Some((answer, deeds::PREFIX));
        }
        return (origin != Origin::Api).then(|| (nothing(), "other"));
    };
    if origin == Origin::Api && page.is_relation() {
        // The relation was there first: whoever serves it has not asked for the page.
        return None;
    }
    let answer = match request.method {
        "GET" => read(serving, engine, request, origin, page).await,
        "HEAD" => read(serving, engine, request, origin, page).await.without_body(),
        _ => Answer::not_allowed("GET, HEAD", "It can be read: GET or HEAD."),
    };
    Some((answer, page.path()))
}

/// A page of the core, for who has come by a listener of the administrator's: the port's own may read what is not a row, the socket's is
/// the administrator, and neither need sign in. Rows are those of who has signed in, or of the administrator's role.
async fn of_core(engine: &Engine, page: debug::Page, request: &Request<'_>, origin: Origin) -> Answer {
    let asker = match engine.identify_anybody(request).await {
        Ok(asker) => asker,
        Err(refusal) => return refusal,
    };
    let config = engine.config();
    let is_administrator = origin == Origin::AdminSocket || config.is_administrator(&asker.identity);
    let standing = if is_administrator { Standing::Administrator } else { Standing::Reader };
    let identity = match origin == Origin::AdminSocket && asker.identity.is_anonymous {
        true => {
            let role = Some(config.debug.admin_role.clone());
            Supposed { role, ..Supposed::default() }.identity(config)
        }
        false => asker.identity,
    };
    debug::told(engine, page, request, Viewer { identity, standing }).await
}

async fn read(
    serving: &Serving,
    engine: &Engine,
    request: &Request<'_>,
    origin: Origin,
    page: Page,
) -> Answer {
    match page {
        Page::Live => short(&Short { status: Status::Pass, output: None }),
        Page::Ready => short(&health::short(serving, engine).await),
        Page::SlowQueries => match may_read(engine, request, origin).await {
            Ok(()) => json(Status::Pass, &slow::page()),
            Err(refusal) => refusal,
        },
        Page::Errors => match may_read(engine, request, origin).await {
            Ok(()) => json(Status::Pass, &errors::page()),
            Err(refusal) => refusal,
        },
        Page::Pools => match may_read(engine, request, origin).await {
            Ok(()) => json(Status::Pass, &pools::page(engine).await),
            Err(refusal) => refusal,
        },
        // Whoever has the wrong credentials is told what anybody is.
        Page::Health => match may_read(engine, request, origin).await {
            Ok(()) => {
                let report = health::report(serving, engine).await;
                json(report.status(), &report)
            }
            Err(_) => short(&health::short(serving, engine).await),
        },
        Page::Metrics => match may_read(engine, request, origin).await {
            Ok(()) => {
                let format = Format::of(request.header("accept"));
                text(
                    page::write(gather::gather(serving, engine).await, format).into_bytes(),
                    format.content_type(),
                )
            }
            Err(refusal) => refusal,
        },
    }
}

/// Whether who asks may be told everything.
///
/// # Errors
/// The refusal.
async fn may_read(engine: &Engine, request: &Request<'_>, origin: Origin) -> Result<(), Answer> {
    if origin != Origin::Api || !engine.config().debug.require_admin {
        return Ok(());
    }
    deeds::is_administrator(engine, request).await
}

fn short(short: &Short) -> Answer {
    json(short.status, short)
}

fn json(status: Status, about: &impl Serialize) -> Answer {
    let mut answer = text(serde_json::to_vec(about).unwrap_or_default(), "application/json; charset=utf-8");
    answer.status = if status == Status::Fail { 503 } else { 200 };
    answer
}

fn text(body: Vec<u8>, content_type: &'static str) -> Answer {
    let headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Answer::of(200, headers, body)
}

fn nothing() -> Answer {
    let hint = "On this listener there are /health, /health/live, /health/ready and, where they are switched on, /metrics, /_schema and /_debug, which lists others.";
    Answer::problem(404, "PGRST125", "Invalid path specified in request URL", hint)
}
