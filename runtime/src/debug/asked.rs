//! A request as a person writes it, `GET /posts?select=*`, and who is supposed to send it. Read as a server would read it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::api_request::ApiRequest;
use crate::config::Config;
use crate::http::{Request, Response};
use crate::identity::Identity;
use crate::parse;

/// A request as text.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// `GET /posts?select=*`
    pub request: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// Who asks.
    pub identity: Arc<Identity>,
}

/// Who is supposed to ask, as JSON says it. Nothing said: whoever really asks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Supposed {
    /// Their role; `api.anonymous_role` where there are only claims.
    pub role: Option<String>,
    /// The user's id (the claim `sub`).
    pub sub: Option<Json>,
    /// Other claims.
    pub claims: Map<String, Json>,
    /// Nobody who has signed in.
    pub anonymous: bool,
}

impl Supposed {
    /// Whether somebody is.
    pub fn is_any(&self) -> bool {
        self.anonymous || self.role.is_some() || self.sub.is_some() || !self.claims.is_empty()
    }

    /// That what is said of them does not contradict itself.
    ///
    /// # Errors
    /// A sentence on what does.
    pub fn fits(&self) -> Result<(), String> {
        let Supposed { role, sub, claims, anonymous } = self;
        let is_signed_in = role.is_some() || sub.is_some() || !claims.is_empty();
        if *anonymous && is_signed_in {
            return Err("anonymous: nobody who has not signed in has a role, sub or claims: leave these or \
                        anonymous out"
                .to_owned());
        }
        if role.as_deref() == Some("") {
            return Err("role: write its name, or leave it out".to_owned());
        }
        let role = role.as_deref().map(Json::from);
        for (name, said) in [("role", role.as_ref()), ("sub", sub.as_ref())] {
            let claimed = claims.get(name);
            if said.is_some_and(|said| claimed.is_some_and(|claimed| claimed != said)) {
                return Err(format!("{name}: claims.{name} says something else: write it once"));
            }
        }
        Ok(())
    }

    /// Who it is; nobody who has signed in where nothing is said of them.
    pub fn identity(self, config: &Config) -> Arc<Identity> {
        let Supposed { role, sub, mut claims, anonymous } = self;
        if anonymous || (role.is_none() && sub.is_none() && claims.is_empty()) {
            return Arc::new(Identity::anonymous(config));
        }
        let role = role.or_else(|| config.api.anonymous_role.clone());
        claims.extend(sub.map(|sub| ("sub".to_owned(), sub)));
        claims.extend(role.iter().map(|role| ("role".to_owned(), Json::from(role.as_str()))));
        Arc::new(Identity { role, claims, is_anonymous: false })
    }
}

impl Asked {
    /// The request as the core reads it, or its refusal.
    ///
    /// # Errors
    /// A sentence on text that is no request.
    pub fn parse(&self, config: &Config) -> Result<Result<ApiRequest, Response>, String> {
        let (method, target) = self
            .request
            .trim()
            .split_once(char::is_whitespace)
            .ok_or_else(|| format!("`{}` is no request: write 'GET /table?select=*'", self.request))?;
        let target = target.trim();
        if !target.starts_with('/') {
            return Err(format!("the path `{target}` begins with no slash: write 'GET /table?select=*'"));
        }
        let mut headers: Vec<(String, &[u8])> =
            self.headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.as_bytes())).collect();
        if !self.body.is_empty() && !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".to_owned(), b"application/json"));
        }
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        let method = method.to_ascii_uppercase();
        let base = config.api.base_path.as_str();
        // Whoever copies a whole path means the same.
        let below = target.strip_prefix(base).filter(|rest| rest.starts_with('/')).unwrap_or(target);
        let target = format!("{base}{}", encode(below));
        let request =
            Request { method: &method, target: &target, headers: &headers, body: self.body.as_bytes() };
        Ok(parse(config, &self.identity, &request))
    }
}

/// A target as a client would send it.
fn encode(target: &str) -> String {
    let raw = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'`');
    target.bytes().map(|b| if raw(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
