//! Who calls a tool, and the way of what a tool asks: a request of the API like any other, with the caller's identity.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sqlitrest_runtime::debug::{Standing, Viewer};
use sqlitrest_runtime::error::Error;
use sqlitrest_runtime::error_response;
use sqlitrest_runtime::http::Request;
use sqlitrest_runtime::identity::Identity;
use tokio::time::timeout;

use super::always_writes;
use super::settings::Settings;
use crate::answer::Answer;
use crate::audit::{Audit, Recording, to_the_end};
use crate::engine::{Asker, Engine};
use crate::observe::context::{self, Context};
use crate::served::Served;

/// Header fields that are about the agent's request, and not about what its tools ask. Others go on: policies may ask for them.
const NOT_HANDED_ON: [&str; 14] = [
    "accept",
    "accept-encoding",
    "accept-profile",
    "connection",
    "content-encoding",
    "content-length",
    "content-profile",
    "content-type",
    "if-match",
    "if-none-match",
    "origin",
    "prefer",
    "range",
    "transfer-encoding",
];

/// Who calls, of which engine.
pub struct Caller {
    /// What answers.
    pub engine: Arc<Engine>,
    /// What they may have.
    pub settings: Arc<Settings>,
    /// Who they are.
    pub identity: Arc<Identity>,
    audit: Option<Arc<Audit>>,
    remote: Option<IpAddr>,
    headers: Vec<(String, Vec<u8>)>,
    context: Option<Arc<Context>>,
}

/// What a tool asks of the API.
pub struct Asks {
    /// The method.
    pub method: &'static str,
    /// Path and query string.
    pub target: String,
    /// The database, where one is named.
    pub database: Option<String>,
    /// `Prefer`
    pub prefer: String,
    /// The body, JSON.
    pub body: String,
    /// Whether it may change anything, so that it is not to be given up half-way. By its method alone that is not known.
    pub writes: bool,
}

impl Caller {
    /// Whoever has this identity. `request` is that of the agent, where there is one, which came from the address `remote`.
    pub fn new(
        engine: &Arc<Engine>,
        settings: Arc<Settings>,
        identity: Arc<Identity>,
        audit: Option<&Arc<Audit>>,
        agent: Option<(&Request<'_>, Option<IpAddr>)>,
    ) -> Caller {
        let sent = agent.map_or(&[] as &[_], |(request, _)| request.headers);
        let is_handed_on = |name: &str| {
            !NOT_HANDED_ON.contains(&name) && !name.starts_with("mcp-") && !name.starts_with("x-http-method")
        };
        let headers = sent.iter().filter(|(name, _)| is_handed_on(name));
        Caller {
            engine: Arc::clone(engine),
            settings,
            identity,
            audit: audit.cloned(),
            remote: agent.and_then(|(_, remote)| remote),
            headers: headers.map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect(),
            context: context::current(),
        }
    }

    /// Has something answered, of which no more than `most` bytes are wanted; in time, or not at all. What writes goes to its end, also
    /// where the future is dropped: the agent has left, or does not want it any more.
    pub async fn ask(&self, asks: &Asks, most: usize) -> (Answer, bool) {
        let writes = asks.writes || always_writes(self.engine.config());
        let work = async {
            let answer = self.answer(asks, writes).await;
            answer.beginning(most).await
        };
        if writes {
            return work.await;
        }
        self.in_time(work).await.unwrap_or_else(|late| (late, true))
    }

    async fn answer(&self, asks: &Asks, writes: bool) -> Answer {
        // What is slow is found again by what was asked, and not by the agent's message.
        match context::current().map(|context| Arc::new(context.asking(asks.method, &asks.target))) {
            Some(context) => context::scope(context, self.answered(asks, writes)).await,
            None => self.answered(asks, writes).await,
        }
    }

    async fn answered(&self, asks: &Asks, writes: bool) -> Answer {
        let mut headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        headers.push(("accept", b"application/json"));
        if let Some(database) = &asks.database {
            headers
                .extend([("accept-profile", database.as_bytes()), ("content-profile", database.as_bytes())]);
        }
        if !asks.prefer.is_empty() {
            headers.push(("prefer", asks.prefer.as_bytes()));
        }
        if !asks.body.is_empty() {
            headers.push(("content-type", b"application/json"));
        }
        let request = Request {
            method: asks.method,
            target: &asks.target,
            headers: &headers,
            body: asks.body.as_bytes(),
        };
        let asker = Asker { identity: Arc::clone(&self.identity), identified_in: Duration::ZERO };
        let recording = match &self.audit {
            Some(audit) => match Recording::begin(audit, &request, self.remote).await {
                Ok(recording) => Some(recording),
                Err(refusal) => return refusal,
            },
            None => None,
        };
        match recording {
            recording if writes => to_the_end(recording, &self.engine, &request, asker).await,
            // A POST, too, holds a connection no longer than somebody waits for it.
            Some(recording) => recording.answer(&self.engine, &request, &asker).await,
            None => self.engine.answer(&request, &asker).await,
        }
    }

    /// What comes of work in the time that a call may take.
    ///
    /// # Errors
    /// The answer to what takes longer.
    pub async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Answer> {
        let limit = self.settings.timeout.0;
        timeout(limit, work).await.map_err(|_| {
            let message = format!("The call took longer than {} ms and was given up", limit.as_millis());
            Answer::problem(
                504,
                "57014",
                &message,
                "Narrow it by filters on indexed columns; explain_request tells which.",
            )
        })
    }

    /// Does work for the agent's request, so that what is logged of it has its name.
    pub async fn scope<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.context {
            Some(context) => context::scope(Arc::clone(context), work).await,
            None => work.await,
        }
    }

    /// The database of this name, or the default one.
    ///
    /// # Errors
    /// The answer where there is none.
    pub fn served(&self, name: Option<&str>) -> Result<&Arc<Served>, Answer> {
        let served = self.engine.served();
        let found =
            name.map_or_else(|| served.first(), |name| served.iter().find(|served| served.name() == name));
        found.ok_or_else(|| {
            let names: Vec<&str> = served.iter().map(|served| served.name()).collect();
            let unknown =
                Error::Schema { name: name.unwrap_or_default().to_owned(), served: names.join(", ") };
            error_response(&unknown).into()
        })
    }

    /// What the caller may be told of a schema: what their own role knows.
    pub fn viewer(&self) -> Viewer {
        Viewer { identity: Arc::clone(&self.identity), standing: Standing::Own }
    }

    /// How much an explanation may tell: the administrator has it all, as at `/_debug/explain`.
    pub fn standing(&self) -> Standing {
        let config = self.engine.config();
        match config.debug.enabled && config.is_administrator(&self.identity) {
            true => Standing::Administrator,
            false => Standing::Own,
        }
    }
}

#[cfg(test)]
pub mod tests {
    use std::task::{Context, Poll, Waker};

    use serde_json::Map;
    use tokio::task::yield_now;

    use super::*;
    use crate::asking::identity;
    use crate::engine::tests::{Fixture, handle, occupy};
    use crate::open::tests::Scratch;

    /// The longest that anything here is waited for.
    const LIMIT: Duration = Duration::from_secs(30);

    /// Nobody, with the settings by default.
    fn of(engine: &Arc<Engine>) -> Caller {
        let nobody = identity(engine.config(), None, None, Map::new());
        Caller::new(engine, Arc::default(), nobody, None, None)
    }

    /// The same over a database in a directory that goes with it.
    pub fn caller(name: &str) -> (Scratch, Caller) {
        let scratch = Scratch::new(name, "CREATE TABLE t (id INTEGER PRIMARY KEY)");
        let engine = Arc::new(Engine::native(&scratch.config()).expect("an engine"));
        (scratch, of(&engine))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_writes_goes_to_its_end_though_nobody_waits() {
        let fixture = Fixture::new("mcp-leaves");
        for engine in fixture.engines_with(|config| config.pool.busy_timeout.0 = LIMIT) {
            let engine = Arc::new(engine);
            let caller = of(&engine);
            let asks = Asks {
                method: "POST",
                target: "/t".to_owned(),
                database: None,
                prefer: String::new(),
                body: r#"{"id":1}"#.to_owned(),
                writes: true,
            };
            let other = occupy(&engine).await;
            let mut call = Box::pin(caller.ask(&asks, 1_000));
            assert!(matches!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
            drop(call);
            drop(other);
            let written = async {
                while handle(&engine, "GET", "/t?select=id", "").await.1 != r#"[{"id":1}]"# {
                    yield_now().await;
                }
            };
            timeout(LIMIT, written).await.expect("it is written");
            assert_eq!(handle(&engine, "DELETE", "/t?id=eq.1", "").await.0, 204);
            engine.close(Duration::from_secs(1)).await.expect("closed");
        }
    }
}
