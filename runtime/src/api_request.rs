//! The first stage: what a request asks for, before any name is looked up.
//!
//! Knows HTTP and the URL grammar; must not know the schema.

use crate::config::Config;
use crate::error::Error;
use crate::http::Request;
use crate::media::MediaType;
use crate::payload::Payload;
use crate::preferences::Preferences;
use crate::query_params::{QueryParams, decode, decode_path};

/// A request that fits the grammar.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiRequest {
    /// The relation named by the path.
    pub relation: String,
    /// What is done to it.
    pub action: Action,
    /// The query string.
    pub params: QueryParams,
    /// The rows that the `Range` header asks for.
    pub range: Option<HeaderRange>,
    /// The `Prefer` header.
    pub preferences: Preferences,
    /// What the answer is made as.
    pub media_type: MediaType,
    /// The path with its parameters sorted, for `Content-Location`.
    pub content_location: String,
}

/// What a request does to its relation.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// GET, and HEAD which leaves the body out.
    Read {
        /// Whether the body is left out.
        head: bool,
    },
    /// POST
    Insert(Payload),
    /// PATCH
    Update(Payload),
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
}

/// Whether a request writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// SELECT only: any reader will do.
    Read,
    /// Takes the writer (`BEGIN IMMEDIATE`).
    Write,
}

/// `Range: 0-24`, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderRange {
    /// The first row, from 0.
    pub first: u64,
    /// The last row; none means to the end.
    pub last: Option<u64>,
}

impl ApiRequest {
    /// Reads the request.
    ///
    /// # Errors
    /// PGRST1xx for what does not fit, PGRST202 for functions, which this version has none of.
    pub fn parse(config: &Config, request: &Request<'_>) -> Result<ApiRequest, Error> {
        let limit = config.server.max_body.0;
        if request.body.len() as u64 > limit {
            return Err(Error::BodyTooLarge(limit));
        }
        let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
        let relation = relation(path, query)?;
        let params = QueryParams::parse(query)?;
        let action = action(request, &params)?;
        let is_get = request.method == "GET";
        Ok(ApiRequest {
            relation,
            action,
            range: if is_get { range(request)? } else { None },
            preferences: Preferences::parse(request.texts("prefer")),
            media_type: MediaType::negotiate(request.texts("accept"))?,
            params,
            content_location: content_location(path, query),
        })
    }

    /// Whether the request writes, known before any SQL exists.
    pub fn access(&self) -> Access {
        match self.action {
            Action::Read { .. } | Action::Options => Access::Read,
            Action::Insert(_) | Action::Update(_) | Action::Delete => Access::Write,
        }
    }
}

fn relation(path: &str, query: &str) -> Result<String, Error> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        [""] => Err(Error::NoRoot),
        ["rpc", name] => {
            let arguments = query
                .split('&')
                .filter_map(|pair| pair.split('=').next())
                .filter(|key| !key.is_empty())
                .map(decode)
                .collect::<Result<_, _>>()?;
            Err(Error::NoFunction { name: decode_path(name)?, arguments })
        }
        [name] => decode_path(name),
        _ => Err(Error::Path),
    }
}

/// Equal requests get equal locations, whatever the order of their parameters.
fn content_location(path: &str, query: &str) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    format!("{path}?{}", pairs.join("&"))
}

fn action(request: &Request<'_>, params: &QueryParams) -> Result<Action, Error> {
    match request.method {
        "GET" => Ok(Action::Read { head: false }),
        "HEAD" => Ok(Action::Read { head: true }),
        "POST" => Ok(Action::Insert(payload(request, params)?)),
        "PATCH" => Ok(Action::Update(payload(request, params)?)),
        "DELETE" => Ok(Action::Delete),
        "OPTIONS" => Ok(Action::Options),
        other => Err(Error::Method(other.to_owned())),
    }
}

fn payload(request: &Request<'_>, params: &QueryParams) -> Result<Payload, Error> {
    let content_type = request.header("content-type").unwrap_or("application/json");
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Error::Body(format!("Content-Type not acceptable: {essence}")));
    }
    Payload::parse(request.body, params.columns.as_deref())
}

/// `Range: 0-24`. What does not look like it is passed over, as RFC 9110 section 14.2 says of unknown units.
fn range(request: &Request<'_>) -> Result<Option<HeaderRange>, Error> {
    let Some((first, last)) = request.header("range").and_then(|text| text.trim().split_once('-')) else {
        return Ok(None);
    };
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if first.is_empty() || !is_number(first) || !is_number(last) {
        return Ok(None);
    }
    let most = i64::MAX as u64 - 1;
    let number = |text: &str| text.parse::<u64>().unwrap_or(most).min(most);
    let range = HeaderRange { first: number(first), last: (!last.is_empty()).then(|| number(last)) };
    if range.last.is_some_and(|last| last < range.first) {
        return Err(Error::Range(
            "The lower boundary must be lower than or equal to the upper boundary in the Range header."
                .to_owned(),
        ));
    }
    Ok(Some(range))
}
