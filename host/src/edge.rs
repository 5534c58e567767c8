//! What holds for every request on its way in and out, whatever it asks for: how many somebody may send, how much of each is taken, and
//! in which coding the answer leaves. It knows no path and no database.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use arc_swap::ArcSwap;
use hyper::header::{ACCESS_CONTROL_EXPOSE_HEADERS, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use serde_json::Value as Json;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::{http, mark};
use tokio::time::interval;

use crate::answer::Answer;
use crate::coding::Coder;
use crate::compression::{self, Tags};
use crate::forwarded::{Proxies, counted};
use crate::rate_limit::{Left, RateLimit, whole_seconds};
use crate::server::Peer;

/// How often those are forgotten who have sent nothing of late.
const FORGET: Duration = Duration::from_secs(10);

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The rules at the moment. They are replaced as a whole when the configuration changes.
pub struct Edge(ArcSwap<Rules>);

/// What the configuration says of every request.
pub struct Rules {
    config: Config,
    proxies: Proxies,
    by_address: Option<Arc<RateLimit>>,
    by_identity: Option<Arc<RateLimit>>,
}

impl Edge {
    /// By `[middleware]` and `[server]`.
    ///
    /// # Errors
    /// One sentence on what is wrong with which key.
    pub fn new(config: &Config) -> Result<Edge> {
        Ok(Edge(ArcSwap::from_pointee(Rules::new(config)?)))
    }

    /// The rules of another configuration. Limits that are as before go on counting.
    ///
    /// # Errors
    /// As [`Edge::new`].
    pub fn prepare(&self, config: &Config) -> Result<Rules> {
        let mut new = Rules::new(config)?;
        let old = self.rules();
        keep(&mut new.by_address, &old.by_address);
        keep(&mut new.by_identity, &old.by_identity);
        Ok(new)
    }

    /// Goes by other rules from the next request on.
    pub fn take(&self, rules: Rules) {
        self.0.store(Arc::new(rules));
    }

    /// The rules at the moment.
    pub fn rules(&self) -> Arc<Rules> {
        self.0.load_full()
    }

    /// Keeps what is remembered small, for ever.
    pub async fn forget(&self) {
        let mut time = interval(FORGET);
        loop {
            time.tick().await;
            let rules = self.rules();
            rules.by_address.iter().chain(&rules.by_identity).for_each(|limit| limit.forget());
        }
    }
}

fn keep(new: &mut Option<Arc<RateLimit>>, old: &Option<Arc<RateLimit>>) {
    if let (Some(limit), Some(old)) = (&new, old)
        && limit.is_like(old)
    {
        *new = Some(Arc::clone(old));
    }
}

impl Rules {
    fn new(config: &Config) -> Result<Rules> {
        let middleware = &config.middleware;
        let limit = |name, rate, burst| RateLimit::new(name, rate, burst).map(Arc::new);
        Ok(Rules {
            proxies: Proxies::new(&middleware.trusted_proxies)?,
            by_address: limit("ip", middleware.rate_limit_per_ip, middleware.rate_limit_per_ip_burst),
            by_identity: limit(
                "identity",
                middleware.rate_limit_per_identity,
                middleware.rate_limit_per_identity_burst,
            ),
            config: config.without_secrets(),
        })
    }

    /// The largest body of a request, in bytes.
    pub fn max_body(&self) -> u64 {
        self.config.server.max_body.0
    }
}

/// A request on its way.
pub struct Passage<'a> {
    rules: &'a Rules,
    head: &'a Parts,
    tags: &'a Tags,
    /// Where it comes from, whatever proxies there are.
    peer: Peer,
    /// How many header fields the client has sent.
    fields: usize,
    by_address: Option<Left>,
    by_identity: Option<Left>,
}

impl<'a> Passage<'a> {
    /// Of a request with this head, from which its `tags` have been taken, and which came with so many header fields.
    pub fn new(rules: &'a Rules, peer: Peer, head: &'a Parts, tags: &'a Tags, fields: usize) -> Passage<'a> {
        Passage { rules, head, tags, peer, fields, by_address: None, by_identity: None }
    }

    /// The client's address, behind trusted proxies; none at the other end of a Unix socket.
    pub fn client(&self) -> Option<IpAddr> {
        self.rules.proxies.client(self.peer.address, &self.head.headers)
    }

    /// Lets the request in, before anything is known of it but its head; with a place in the limits if it `counts`.
    ///
    /// # Errors
    /// The answer to one with too many header fields, or from where too many come.
    pub fn enter(&mut self, counts: bool) -> Result<(), Answer> {
        let most = usize::try_from(self.rules.config.server.max_headers).unwrap_or(usize::MAX);
        if self.fields > most {
            let hint = "Send fewer, or raise server.max_headers.";
            return Err(Answer::problem(
                431,
                "54001",
                &format!("The request has more than {most} header fields"),
                hint,
            ));
        }
        let Some(limit) = self.rules.by_address.as_ref().filter(|_| counts) else { return Ok(()) };
        let counted = limit.count(&self.client().map(counted));
        self.by_address = Some(counted.unwrap_or_else(|left| left));
        counted.map(drop).map_err(|left| too_many("this address", left))
    }

    /// Lets the request of who has signed in go on.
    ///
    /// # Errors
    /// The answer to one too many of them.
    pub fn identify(&mut self, identity: &Identity) -> Result<(), Answer> {
        let Some(limit) = self.rules.by_identity.as_ref().filter(|_| !identity.is_anonymous) else {
            return Ok(());
        };
        let counted = match identity.claims.get("sub") {
            None | Some(Json::Null) => limit.count(&("role", &identity.role)),
            Some(Json::String(subject)) => limit.count(&("sub", subject)),
            // A number is another one than its digits.
            Some(other) => limit.count(&("other sub", other.to_string())),
        };
        self.by_identity = Some(counted.unwrap_or_else(|left| left));
        counted.map(drop).map_err(|left| too_many("this user", left))
    }

    /// An answer that no engine has made, a refusal or another: pages of other origins may read it all the same.
    pub fn refuse(&self, mut refusal: Answer) -> Answer {
        let headers: Vec<(&str, &[u8])> =
            self.head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let target = self.head.uri.path_and_query().map_or("/", |target| target.as_str());
        let request =
            http::Request { method: self.head.method.as_str(), target, headers: &headers, body: &[] };
        let mut marks = http::Response::default();
        mark(&self.rules.config, &request, &mut marks);
        refusal.headers.extend(Answer::from(marks).headers);
        refusal
    }

    /// Gives an answer the fields and the coding that it leaves with. What is to be coded while it is sent, is so by what comes back.
    pub fn leave(&self, answer: &mut Answer) -> Option<Coder> {
        self.tell_limits(answer);
        let middleware = &self.rules.config.middleware;
        if !middleware.compression {
            return None;
        }
        self.tags.put_back(answer);
        // Of HTTP/1.0 it cannot be said where a body ends that is coded as it is sent.
        let may = self.head.version >= hyper::Version::HTTP_11;
        may.then(|| compression::compress(answer, &self.head.headers, middleware.compression_min_size.0))?
    }

    fn tell_limits(&self, answer: &mut Answer) {
        let by_address = self.rules.by_address.as_ref().zip(self.by_address);
        let by_identity = self.rules.by_identity.as_ref().zip(self.by_identity);
        if by_address.is_none() && by_identity.is_none() {
            return;
        }
        let told = || by_address.iter().chain(&by_identity);
        let policies: Vec<String> = told().map(|(limit, _)| limit.policy()).collect();
        let left: Vec<String> = told().map(|(limit, left)| limit.left(*left)).collect();
        for (name, list) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, left)] {
            answer.headers.extend(HeaderValue::try_from(list.join(", ")).ok().map(|value| (name, value)));
        }
        let exposed = answer.headers.iter_mut().find(|(name, _)| *name == ACCESS_CONTROL_EXPOSE_HEADERS);
        if let Some((_, exposed)) = exposed {
            let more = exposed.to_str().map(|old| format!("{old}, RateLimit-Policy, RateLimit, Retry-After"));
            *exposed = more.ok().and_then(|more| more.try_into().ok()).unwrap_or_else(|| exposed.clone());
        }
    }
}

/// The answer to one request too many of somebody.
fn too_many(whose: &str, left: Left) -> Answer {
    let wait = whole_seconds(left.wait).max(1);
    let message = format!("There are too many requests of {whose}");
    let mut answer = Answer::problem(429, "53400", &message, &format!("Try again in {wait} s."));
    answer.headers.push((RETRY_AFTER, HeaderValue::from(wait)));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(middleware: &str) -> Result<Edge> {
        Edge::new(&Config::load("", &format!("[middleware]\n{middleware}"), []).expect("valid"))
    }

    #[test]
    fn limits_that_stay_go_on_counting() {
        let edge = edge("rate_limit_per_ip = 5\nrate_limit_per_identity = 5").expect("rules");
        let old = edge.rules();
        let config = Config::load("", "[middleware]\nrate_limit_per_ip = 5\nrate_limit_per_identity = 6", []);
        edge.take(edge.prepare(&config.expect("valid")).expect("rules"));
        let new = edge.rules();
        let is_same = |a: &Option<Arc<RateLimit>>, b: &Option<Arc<RateLimit>>| {
            a.as_ref().zip(b.as_ref()).is_some_and(|(a, b)| Arc::ptr_eq(a, b))
        };
        assert!(is_same(&old.by_address, &new.by_address) && !is_same(&old.by_identity, &new.by_identity));
        let wrong = Config::load("", "[middleware]\ntrusted_proxies = [\"x\"]", []).expect("valid");
        assert!(edge.prepare(&wrong).is_err());
    }

    #[test]
    fn who_is_counted() {
        let rules = edge("rate_limit_per_identity = 1").expect("rules").rules();
        let (head, ()) = hyper::Request::new(()).into_parts();
        let tags = Tags::default();
        let comes = |role: &str, sub: Json, is_anonymous: bool| {
            let claims = [("sub".to_owned(), sub)].into_iter().collect();
            let identity = Identity { role: Some(role.to_owned()), claims, is_anonymous };
            Passage::new(&rules, Peer { address: None }, &head, &tags, 0)
                .identify(&identity)
                .map_err(|a| a.status)
        };
        assert_eq!(comes("a", "7".into(), false), Ok(()));
        assert_eq!(comes("b", "7".into(), false), Err(429), "the same subject in another role");
        assert_eq!(comes("a", 7.into(), false), Ok(()), "a number is another one");
        assert_eq!(comes("a", Json::Null, false), Ok(()));
        assert_eq!(comes("a", Json::Null, false), Err(429), "who has no subject is the role");
        assert_eq!(comes("a", "7".into(), true), Ok(()), "nobody is counted by address alone");
    }
}
