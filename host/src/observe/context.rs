//! Which request it is that something is done for. It is with the task that answers the request, and goes with its work to other threads,
//! so that whoever has a line for the log need not be told.

use std::sync::Arc;

use hyper::Method;
use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;

use super::telemetry::Parent;
use super::trace_parent::TraceParent;

tokio::task_local! {
    static CURRENT: Arc<Context>;
}

/// The longest path that a line of the log has, in bytes.
const LONGEST_PATH: usize = 256;

/// A request, as logs and traces know it.
#[derive(Debug)]
pub struct Context {
    /// Its name.
    pub id: HeaderValue,
    /// Its method.
    pub method: Method,
    /// Its target. No line of the log has what stands behind `?`, but at the level of `debug`.
    pub target: Option<PathAndQuery>,
    /// Its place in a trace: the span of ours where there is one, else that of who asks.
    pub trace: Option<TraceParent>,
    /// What spans of its stages are children of; none where it is not recorded.
    pub parent: Option<Parent>,
}

/// The request that this task is about.
pub fn current() -> Option<Arc<Context>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// What `look` makes of the request that this task is about.
pub fn with<T>(look: impl FnOnce(&Context) -> T) -> Option<T> {
    CURRENT.try_with(|context| look(context)).ok()
}

/// Does `work` for this request.
pub async fn scope<F: Future>(context: Arc<Context>, work: F) -> F::Output {
    CURRENT.scope(context, work).await
}

/// `work` as a task of its own, for the request that this task is about.
pub fn carry<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let context = current();
    async move {
        match context {
            Some(context) => scope(context, work).await,
            None => work.await,
        }
    }
}

/// Does `work` for this request, on a thread that is told of it.
pub fn within<T>(context: &Option<Arc<Context>>, work: impl FnOnce() -> T) -> T {
    match context {
        Some(context) => CURRENT.sync_scope(Arc::clone(context), work),
        None => work(),
    }
}

impl Context {
    /// Its name as text.
    pub fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// Its path, without what is asked of it; not more than a line of a log can have.
    pub fn path(&self) -> &str {
        let path = self.target.as_ref().map_or("", PathAndQuery::path);
        let end = path.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= LONGEST_PATH);
        path.get(..end.last().unwrap_or_default()).unwrap_or_default()
    }

    /// What is asked of the path, with values of filters in it.
    pub fn query(&self) -> &str {
        self.target.as_ref().and_then(PathAndQuery::query).unwrap_or_default()
    }

    /// The same request, where it asks something else of the API (an agent's message does).
    pub fn asking(&self, method: &str, target: &str) -> Context {
        Context {
            id: self.id.clone(),
            method: Method::from_bytes(method.as_bytes()).unwrap_or_default(),
            target: target.parse().ok(),
            trace: self.trace,
            parent: self.parent.clone(),
        }
    }

    /// `GET /tracks`
    pub fn title(&self) -> String {
        format!("{} {}", self.method, self.path())
    }
}

/// The 32 digits of a trace.
pub fn trace_id(trace: &TraceParent) -> String {
    format!("{:032x}", trace.trace_id)
}

/// The 16 digits of a span.
pub fn span_id(trace: &TraceParent) -> String {
    format!("{:016x}", trace.span_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(target: &str) -> Context {
        Context {
            id: HeaderValue::from_static("a"),
            method: Method::GET,
            target: target.parse().ok(),
            trace: None,
            parent: None,
        }
    }

    #[tokio::test]
    async fn it_goes_with_the_work() {
        assert!(current().is_none());
        scope(Arc::new(context("/t?secret=eq.1")), async {
            assert_eq!(with(Context::title).as_deref(), Some("GET /t"));
            let other = with(|context| context.asking("POST", "/rpc/f?a=1")).expect("a request");
            assert_eq!((other.title().as_str(), other.id()), ("POST /rpc/f", "a"));
            let task = tokio::spawn(carry(async { with(Context::title) }));
            assert_eq!(task.await.expect("no panic").as_deref(), Some("GET /t"));
            let context = current();
            let told =
                std::thread::spawn(move || within(&context, || with(|context| context.id().to_owned())));
            assert_eq!(told.join().expect("no panic").as_deref(), Some("a"));
        })
        .await;
        assert!(current().is_none());
        assert_eq!(within(&None, || with(Context::title)), None);
    }

    #[test]
    fn a_long_path_is_cut() {
        assert_eq!(context(&format!("/{}", "x".repeat(1_000))).path().len(), LONGEST_PATH);
        assert_eq!(context("/t").path(), "/t");
    }
}
