//! What answers requests: the core as a WebAssembly component or as native code, behind one door, for every database.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hyper::header::{HeaderName, HeaderValue};
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::error::Error;
use sqlitrest_runtime::http::Request;
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::refuse;

use crate::answer::Answer;
use crate::component::{Counts, Guest, Guests};
use crate::debug;
use crate::observe::errors;
use crate::served::{Kind, Served};
use crate::sign_in::SignIn;
use crate::source::Source;

/// The databases, who may ask, and what runs the core. It never changes: what is to be otherwise is another engine
/// ([`Engine::changed`]). Both kinds give the same bytes for the same request.
pub struct Engine {
    config: Box<Config>,
    sign_in: Arc<SignIn>,
    kind: Kind,
    /// The default one first.
    served: Vec<Arc<Served>>,
}

/// Who asks.
pub struct Asker {
    /// Role and claims.
    pub identity: Arc<Identity>,
    /// How long it took to find out; 0 where nobody asks for timings.
    pub identified_in: Duration,
}

impl Engine {
    /// The core as native code, over the configured databases.
    ///
    /// # Errors
    /// One sentence on what is wrong with a file and what to do.
    pub fn native(config: &Config) -> Result<Engine> {
        Engine::open(config, Kind::Native, None)
    }

    /// The guest component, over the configured databases. Needs a tokio runtime to be used, not to be made.
    ///
    /// # Errors
    /// One sentence on what is wrong with a file or the component and what to do.
    pub fn component(config: &Config, guest: &Guest) -> Result<Engine> {
        Engine::open(config, Kind::Component(Guests::load(guest)?), None)
    }

    /// The engine with another configuration. What of it is the same is not opened again, and goes on in both.
    ///
    /// # Errors
    /// One sentence on what is wrong with a file or the configuration and what to do. This engine is as it was.
    pub fn changed(&self, config: &Config) -> Result<Engine> {
        Engine::open(config, self.kind.clone(), Some(self))
    }

    fn open(config: &Config, kind: Kind, before: Option<&Engine>) -> Result<Engine> {
        let sign_in = match before.map(|before| &before.sign_in) {
            Some(sign_in) if sign_in.is_of(config) => Arc::clone(sign_in),
            _ => Arc::new(SignIn::new(config)?),
        };
        let several = config.databases.len() > 1;
        let open = |name: &str| {
            let before = before.and_then(|before| before.served.iter().find(|served| served.name() == name));
            let served = Served::open(config, name, &kind, before);
            if several { served.with_context(|| format!("databases.{name}")) } else { served }
        };
        let served = config.schemas().into_iter().map(open).collect::<Result<_>>()?;
        Ok(Engine { config: Box::new(config.clone()), sign_in, kind, served })
    }

    /// `component` or `native`, as in the configuration.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Native => "native",
            Kind::Component(_) => "component",
        }
    }

    /// The configuration, of all databases.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The databases, the default one first.
    pub fn served(&self) -> &[Arc<Served>] {
        &self.served
    }

    /// The connections, or the server, of every database.
    pub fn sources(&self) -> Vec<Source> {
        self.served.iter().map(|served| served.source().clone()).collect()
    }

    /// How many instances of the component there are, where it is the engine.
    pub fn instances(&self) -> Option<Counts> {
        match &self.kind {
            Kind::Native => None,
            Kind::Component(guests) => Some(guests.counts()),
        }
    }

    /// Answers one request; a panic on the way is a 500.
    pub async fn handle(&self, request: &Request<'_>) -> Answer {
        match self.identify(request).await {
            Ok(asker) => self.answer(request, &asker).await,
            Err(refusal) => refusal,
        }
    }

    /// Finds out who asks.
    ///
    /// # Errors
    /// The answer to credentials that are refused.
    pub async fn identify(&self, request: &Request<'_>) -> Result<Asker, Answer> {
        let begin = self.config.api.server_timing.then(Instant::now);
        let identified = async {
            match self.sign_in.identify(request).await {
                Ok(identity) => {
                    let identified_in = begin.map(|begin| begin.elapsed()).unwrap_or_default();
                    Ok(Asker { identity, identified_in })
                }
                Err(error) => Err(refuse(&self.config, request, &error).into()),
            }
        };
        guarded(identified).await.unwrap_or_else(|| Err(Answer::internal()))
    }

    /// The same where nobody need sign in, whatever holds for the API: who comes without credentials is nobody in particular.
    ///
    /// # Errors
    /// The answer to credentials that are refused.
    pub async fn identify_anybody(&self, request: &Request<'_>) -> Result<Asker, Answer> {
        match self.sign_in.without_credentials(request) {
            Some(identity) => Ok(Asker { identity, identified_in: Duration::ZERO }),
            None => self.identify(request).await,
        }
    }

    /// Answers a request of who asks; a panic on the way is a 500.
    pub async fn answer(&self, request: &Request<'_>, asker: &Asker) -> Answer {
        if let Some(page) = debug::page(&self.config, request) {
            let told = debug::answer(self, page, request, &asker.identity);
            return guarded(told).await.unwrap_or_else(Answer::internal);
        }
        let [served] = self.served.as_slice() else { return self.answer_of_several(request, asker).await };
        guarded(served.answer(request, asker)).await.unwrap_or_else(Answer::internal)
    }

    /// The database is that of the schema which the request names.
    async fn answer_of_several(&self, request: &Request<'_>, asker: &Asker) -> Answer {
        let name = self.config.database_of(request);
        let Some(served) = name.and_then(|name| self.served.iter().find(|served| served.name() == name))
        else {
            return refuse(&self.config, request, &Error::unknown_schema(&self.config, request)).into();
        };
        let answer = guarded(served.answer(request, asker)).await;
        let mut answer = answer.unwrap_or_else(Answer::internal);
        if answer.status < 400
            && let Ok(name) = HeaderValue::try_from(served.name())
        {
            answer.headers.push((HeaderName::from_static("content-profile"), name));
        }
        answer
    }

    /// What the configuration and the databases do not agree on.
    ///
    /// # Errors
    /// A sentence for each policy that does not fit a schema.
    pub async fn warnings(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for served in &self.served {
            all.extend(served.warnings().await?);
        }
        Ok(all)
    }

    /// Ends statements that still run.
    pub fn interrupt(&self) {
        self.served.iter().for_each(|served| served.source().interrupt());
    }

    /// Gives the connections up, with the write-ahead logs moved into the files.
    ///
    /// # Errors
    /// One sentence on what could not be done within `wait`.
    pub async fn close(&self, wait: Duration) -> Result<()> {
        self.close_but(wait, &[]).await
    }

    /// [`Engine::close`], but for the connections of those that go on.
    ///
    /// # Errors
    /// One sentence on what could not be done within `wait`.
    pub async fn close_but(&self, wait: Duration, kept: &[Arc<Served>]) -> Result<()> {
        let mut result = Ok(());
        for served in &self.served {
            let source = served.source();
            if kept.iter().any(|kept| kept.source().is(source)) {
                continue;
            }
            let closed = match kept.iter().any(|kept| kept.source().shares_file(source)) {
                true => source.leave(wait).await,
                false => source.close(wait).await,
            };
            result = result.and(closed.with_context(|| format!("databases.{}", served.name())));
        }
        result
    }
}

/// What comes of work for a request; none where it panicked.
pub async fn guarded<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let guarded = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => std::task::Poll::Ready(None),
    });
    let result = guarded.await;
    if result.is_none() {
        errors::internal(format_args!("the request broke the engine"));
    }
    result
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::path::{Path, PathBuf};
    use std::task::{Context, Poll, Waker};

    use crate::open::tests::Scratch;

    /// Keeps the one that writes busy until it is dropped.
    pub struct Occupied {
        _end: std::sync::mpsc::Sender<()>,
    }

    /// Waits until the one that writes is busy.
    pub async fn occupy(engine: &Engine) -> Occupied {
        let Source::File(pool) = engine.served()[0].source().clone() else { panic!("a file") };
        let ((end, ended), (began, begun)) =
            (std::sync::mpsc::channel::<()>(), tokio::sync::oneshot::channel());
        let mut began = Some(began);
        let ended = std::sync::Mutex::new(ended);
        let work = move |turn| {
            let _ = began.take().map(|began| began.send(()));
            let _ = ended.lock().expect("unpoisoned").recv();
            ((), Some(turn))
        };
        tokio::spawn(async move { drop(pool.write(work).await) });
        begun.await.expect("begun");
        Occupied { _end: end }
    }

    /// A database in a directory that goes with it.
    pub struct Fixture(Scratch);

    impl Fixture {
        /// A new one, with one table.
        pub fn new(name: &str) -> Self {
            Fixture(Scratch::new(name, "CREATE TABLE t(id INTEGER PRIMARY KEY, n INT)"))
        }

        fn engines(&self) -> [Engine; 2] {
            self.engines_with(|config| config.pool.busy_timeout.0 = Duration::from_millis(100))
        }

        /// Both engines, with another configuration.
        pub fn engines_with(&self, set: impl FnOnce(&mut Config)) -> [Engine; 2] {
            let mut config = self.0.config();
            set(&mut config);
            let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/sqlitrest-guest.wasm");
            let guest = std::env::var_os("SQLITREST_GUEST").map_or(built, PathBuf::from);
            assert!(guest.exists(), "no component at {}: run cargo xtask build first", guest.display());
            let component = Engine::component(&config, &Guest::File(guest)).expect("component");
            [Engine::native(&config).expect("native"), component]
        }
    }

    /// What a request comes to.
    pub async fn handle(engine: &Engine, method: &str, target: &str, body: &str) -> (u16, String) {
        let headers: &[(&str, &[u8])] = &[("content-type", b"application/json")];
        let answer = engine.handle(&Request { method, target, headers, body: body.as_bytes() }).await;
        (answer.status, String::from_utf8(answer.body).expect("UTF-8"))
    }

    const ROWS: &str = "/t?select=id&order=id";

    #[tokio::test(flavor = "multi_thread")]
    async fn waiting_for_the_writer_blocks_nobody_and_can_be_given_up() {
        let fixture = Fixture::new("waiting");
        for engine in fixture.engines() {
            let other = occupy(&engine).await;
            let mut given_up = Box::pin(handle(&engine, "POST", "/t", r#"{"id":1}"#));
            let mut waits = Box::pin(handle(&engine, "POST", "/t", r#"{"id":2}"#));
            let mut context = Context::from_waker(Waker::noop());
            assert!(matches!(given_up.as_mut().poll(&mut context), Poll::Pending));
            assert!(matches!(waits.as_mut().poll(&mut context), Poll::Pending));
            assert_eq!(handle(&engine, "GET", ROWS, "").await, (200, "[]".to_owned()));
            drop(given_up);
            drop(other);
            assert_eq!(waits.await.0, 201);
            assert_eq!(handle(&engine, "GET", ROWS, "").await.1, r#"[{"id":2}]"#);
            assert_eq!(handle(&engine, "DELETE", "/t?id=eq.2", "").await.0, 204);
            engine.close(Duration::from_secs(1)).await.expect("closed");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_writer_that_does_not_come_free_in_time() {
        let fixture = Fixture::new("busy");
        let mut answers = Vec::new();
        for engine in fixture.engines() {
            let other = occupy(&engine).await;
            answers.push(handle(&engine, "POST", "/t", r#"{"id":1}"#).await);
            drop(other);
            assert_eq!(handle(&engine, "GET", ROWS, "").await.1, "[]");
        }
        assert_eq!(answers[0].0, 503, "{answers:?}");
        assert_eq!(answers[0], answers[1]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_is_long_keeps_nobody_waiting() {
        let endless = "CREATE VIEW endless AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) AS n FROM c;";
        let fixture =
            Fixture(Scratch::new("long", &format!("CREATE TABLE t (id INTEGER PRIMARY KEY); {endless}")));
        for engine in
            fixture.engines_with(|config| config.middleware.request_timeout.0 = Duration::from_secs(5))
        {
            let engine = Arc::new(engine);
            let running: Vec<_> = (0..5)
                .map(|_| {
                    let engine = Arc::clone(&engine);
                    tokio::spawn(async move { handle(&engine, "GET", "/endless", "").await.0 })
                })
                .collect();
            for _ in 0..50 {
                assert_eq!(handle(&engine, "GET", ROWS, "").await, (200, "[]".to_owned()));
                assert!(running.iter().all(|long| !long.is_finished()), "{}", engine.name());
            }
            for long in running {
                // Few run at a time; who waits for longer than the busy timeout is told so.
                assert!(matches!(long.await.expect("no panic"), 503 | 504));
            }
            engine.close(Duration::from_secs(1)).await.expect("closed");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_at_a_time_lose_nothing() {
        let fixture = Fixture::new("many");
        for engine in fixture.engines() {
            let engine = Arc::new(engine);
            let mut tasks = tokio::task::JoinSet::new();
            for id in 0..200 {
                let engine = Arc::clone(&engine);
                tasks.spawn(async move {
                    let row = format!(r#"{{"id":{id},"n":{id}}}"#);
                    // With a busy timeout of 100 ms a writer may have to come again.
                    loop {
                        match handle(&engine, "POST", "/t", &row).await {
                            (201, _) => break,
                            (503, _) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                    let found = handle(&engine, "GET", &format!("/t?id=eq.{id}"), "").await;
                    assert_eq!(found, (200, format!("[{row}]")));
                });
            }
            while let Some(task) = tasks.join_next().await {
                task.expect("a task");
            }
            let headers: &[(&str, &[u8])] = &[("prefer", b"count=exact")];
            let request = Request { method: "HEAD", target: "/t", headers, body: b"" };
            let answer = engine.handle(&request).await;
            assert_eq!(answer.header("content-range"), Some("0-199/200"));
            assert_eq!(handle(&engine, "DELETE", "/t?id=gte.0", "").await.0, 204);
            engine.close(Duration::from_secs(1)).await.expect("closed");
        }
    }
}
