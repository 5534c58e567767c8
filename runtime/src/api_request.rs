//! The first stage: what a request asks for, before any name is looked up.
//!
//! Knows HTTP and the URL grammar; must not know the schema.

use std::borrow::Cow;
use std::sync::Arc;

use crate::asker::{Asker, Said};
use crate::audit::Audits;
use crate::batch;
use crate::config::{Config, TxEnd, Udf};
use crate::cors::Asked;
use crate::error::Error;
use crate::etag::Conditional;
use crate::function::{self, Arguments, Call, RawBody};
use crate::http::Request;
use crate::identity::Identity;
use crate::media::{Accept, MediaType, is_lines};
use crate::openapi;
use crate::payload::{Payload, form_pairs};
use crate::plan;
use crate::pre_request;
use crate::preferences::Preferences;
use crate::query_params::{QueryParams, Unfiltered, decode_path};
use crate::timing::Timing;

/// A request that fits the grammar.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiRequest {
    /// Who asks.
    pub identity: Arc<Identity>,
    /// What policies may ask of the request, if any does.
    pub said: Option<Said>,
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
    /// What must hold for it to be answered or done.
    pub conditional: Conditional,
    /// How long its stages take. The shell hands in one that has measured the first.
    pub timing: Timing,
    /// The header field that the answer repeats, with its value.
    pub trace: Option<(Cow<'static, str>, String)>,
    /// Whether a page of another origin asks.
    pub origin: Asked,
    /// The path with its parameters sorted, for `Content-Location` and `Link`.
    pub content_location: String,
    /// Whether the parameters stood in the body, so that there is no such location.
    pub by_body: bool,
    /// The call that is made before, if one is configured.
    pub pre_request: Option<Box<ApiRequest>>,
    /// Whether the shell wants to be told what it does. Set by [`ApiRequest::audit`].
    pub audits: Audits,
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
    /// PUT
    Put(Payload),
    /// PATCH
    Update(Payload),
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// `/rpc/NAME`
    Call(CallRequest),
    /// `/_batch`: several requests in one transaction.
    Batch(Vec<ApiRequest>),
    /// `/`: the description of the API.
    Describe(openapi::Asked),
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRequest {
    /// The function, its arguments bound.
    pub call: Call,
    /// Whether the body of the answer is left out.
    pub head: bool,
    /// Whether it came by GET or HEAD.
    pub is_safe: bool,
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

/// The request as the API sees it: its target below `api.base_path`.
///
/// # Errors
/// PGRST125 for a target that is not below it.
pub(crate) fn below_base_path<'a>(config: &Config, request: &Request<'a>) -> Result<Request<'a>, Error> {
    let target = request.target.strip_prefix(config.api.base_path.as_str());
    let target = target.filter(|target| target.is_empty() || target.starts_with(['/', '?']));
    Ok(Request { target: target.ok_or(Error::Path)?, ..*request })
}

/// The header field that the answer repeats (`api.trace_header`).
pub(crate) fn trace(config: &Config, request: &Request<'_>) -> Option<(Cow<'static, str>, String)> {
    let name = config.api.trace_header.to_ascii_lowercase();
    let value = if name.is_empty() { None } else { request.header(&name) };
    value.map(|value| (Cow::Owned(name), value.to_owned()))
}

/// The schema that a client names is that of the database which is asked. (The shell finds the database by it.)
fn check_schema(config: &Config, request: &Request<'_>) -> Result<(), Error> {
    if config.database_of(request) == Some(config.database().0) {
        return Ok(());
    }
    Err(Error::unknown_schema(config, request))
}

impl ApiRequest {
    /// Reads the request, whose target is below `api.base_path`.
    ///
    /// # Errors
    /// PGRST1xx for what does not fit, PGRST2xx for a function that is not there or not the one.
    pub fn parse(
        config: &Config,
        identity: &Arc<Identity>,
        request: &Request<'_>,
    ) -> Result<ApiRequest, Error> {
        let limit = config.server.max_body.0;
        if request.body.len() as u64 > limit {
            return Err(Error::BodyTooLarge(limit));
        }
        match read_by_body(request)? {
            Some(target) => {
                let read = Request { method: "GET", target: &target, body: b"", ..*request };
                ApiRequest::parse_plain(config, identity, &read)
                    .map(|read| ApiRequest { by_body: true, ..read })
            }
            None => ApiRequest::parse_plain(config, identity, request),
        }
    }

    fn parse_plain(
        config: &Config,
        identity: &Arc<Identity>,
        request: &Request<'_>,
    ) -> Result<ApiRequest, Error> {
        let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
        let preferences = preferences(config, request)?;
        let accept = Accept::parse(request.texts("accept"));
        let is_get = request.method == "GET";
        let range = if is_get { range(request)? } else { None };
        check_schema(config, request)?;
        let (relation, action, params, media_type) = match target(config, path)? {
            Target::Relation(relation) => {
                let params = QueryParams::parse(query, Unfiltered::Refused)?;
                let action = action(request, &params)?;
                let media_type = accept.choose(|m| m.is_common(config.api.plan), MediaType::Json)?;
                (relation, action, params, media_type)
            }
            Target::Description => {
                let (asked, media_type) = openapi::Asked::parse(config, request, query, &accept)?;
                (String::new(), Action::Describe(asked), QueryParams::default(), media_type)
            }
            Target::Batch => {
                let action = Action::Batch(batch::operations(config, identity, request)?);
                let media_type = accept.choose(|m| *m == MediaType::Json, MediaType::Json)?;
                (String::new(), action, QueryParams::default(), media_type)
            }
            Target::Function(name) => {
                let (action, params) = call(config, identity, request, &name, query)?;
                let media_type = call_media_type(config, &action, &accept)?;
                (name, action, params, media_type)
            }
        };
        let pre_request = match action {
            // Operations have their own.
            Action::Options | Action::Batch(_) => None,
            _ => pre_request::of(config, identity, request)?,
        };
        Ok(ApiRequest {
            identity: Arc::clone(identity),
            said: config.asks_request.then(|| Said::of(request)),
            relation,
            action,
            params,
            range,
            preferences,
            media_type,
            conditional: Conditional::of(request),
            timing: Timing::default(),
            trace: trace(config, request),
            origin: Asked::of(request),
            content_location: config.api.base_path.clone() + &content_location(path, query),
            by_body: false,
            pre_request,
            audits: Audits::None,
        })
    }

    /// Has what it does told to the shell, in [`Response::acts`](crate::http::Response::acts).
    pub fn audit(&mut self, audits: Audits) {
        self.audits = audits;
        if let Action::Batch(operations) = &mut self.action {
            operations.iter_mut().for_each(|operation| operation.audits = audits);
        }
    }

    /// Whether the body of the answer is left out.
    pub fn is_head(&self) -> bool {
        match &self.action {
            Action::Read { head } | Action::Call(CallRequest { head, .. }) => *head,
            Action::Describe(asked) => asked.head,
            _ => false,
        }
    }

    /// Whether the request is a GET or HEAD, or a QUERY, which stands for one.
    pub fn is_safe(&self) -> bool {
        matches!(self.action, Action::Read { .. } | Action::Call(CallRequest { is_safe: true, .. }))
    }

    /// Whether the request writes, known before any SQL exists.
    pub fn access(&self) -> Access {
        if self.pre_request.as_ref().is_some_and(|call| call.access() == Access::Write) {
            return Access::Write;
        }
        match &self.action {
            Action::Batch(operations) => {
                let writes = operations.iter().any(|operation| operation.access() == Access::Write);
                if writes { Access::Write } else { Access::Read }
            }
            Action::Call(CallRequest { call: Call { readonly: true, .. }, .. })
            | Action::Read { .. }
            | Action::Describe(_)
            | Action::Options => Access::Read,
            Action::Call(_) => Access::Write,
            Action::Insert(_) | Action::Put(_) | Action::Update(_) | Action::Delete => Access::Write,
        }
    }
}

/// The target of the GET that a read with its parameters in the body stands for: QUERY
/// (<https://datatracker.ietf.org/doc/draft-ietf-httpbis-safe-method-w-body/>), or POST that says so in
/// `X-HTTP-Method-Override`. For filters that are too long for a URL.
fn read_by_body(request: &Request<'_>) -> Result<Option<String>, Error> {
    let overrides = || {
        let name = request.header("x-http-method-override").unwrap_or_default();
        name.eq_ignore_ascii_case("QUERY") || name.eq_ignore_ascii_case("GET")
    };
    if request.method != "QUERY" && !(request.method == "POST" && overrides()) {
        return Ok(None);
    }
    let content_type = request.header("content-type").unwrap_or("application/x-www-form-urlencoded");
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Error::Body(format!("Content-Type not acceptable: {essence}")));
    }
    let form =
        std::str::from_utf8(request.body).map_err(|_| Error::Body("The form is not in UTF-8".to_owned()))?;
    let separator = if request.target.contains('?') { '&' } else { '?' };
    Ok(Some(format!("{}{separator}{}", request.target, form.trim())))
}

/// The preferences; `tx=` is one only where the configuration lets a request say how its transaction ends.
fn preferences(config: &Config, request: &Request<'_>) -> Result<Preferences, Error> {
    let mut preferences = Preferences::parse(request.texts("prefer"))?;
    if matches!(config.api.tx_end, TxEnd::Commit | TxEnd::Rollback) {
        preferences.transaction = None;
    }
    Ok(preferences)
}

/// What a path names.
enum Target {
    Relation(String),
    Function(String),
    Batch,
    Description,
}

fn target(config: &Config, path: &str) -> Result<Target, Error> {
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    if path == batch::PATH {
        return Ok(Target::Batch);
    }
    match segments.as_slice() {
        [""] if config.api.root.is_empty() => Ok(Target::Description),
        [""] => Ok(Target::Function(config.api.root.clone())),
        ["rpc", name] => decode_path(name).map(Target::Function),
        [name] => decode_path(name).map(Target::Relation),
        _ => Err(Error::Path),
    }
}

/// Reads a call: arguments from the query string, or from the body.
fn call(
    config: &Config,
    identity: &Identity,
    request: &Request<'_>,
    name: &str,
    query: &str,
) -> Result<(Action, QueryParams), Error> {
    let reads = match request.method {
        "GET" | "HEAD" => true,
        "POST" => false,
        "OPTIONS" => return Ok((Action::Options, QueryParams::default())),
        other => return Err(Error::CallMethod(other.to_owned())),
    };
    let unfiltered = if reads { Unfiltered::Arguments } else { Unfiltered::Refused };
    let params = QueryParams::parse(query, unfiltered)?;
    let (arguments, raw) = if reads {
        (Arguments::Texts(params.arguments.clone()), None)
    } else {
        let (arguments, raw) = body_arguments(request, params.columns.as_deref())?;
        (arguments, Some(raw))
    };
    let ask = |asked: &plan::Asked| {
        let said = matches!(asked, plan::Asked::Request { .. }).then(|| Said::of(request));
        Asker { identity, said: said.as_ref() }.value(asked)
    };
    let call = function::resolve(&config.udf, name, &arguments, raw.as_ref(), &ask)?;
    let udf = config.udf.get(call.function);
    if !udf.is_some_and(|udf| may_call(config, udf, identity)) {
        let message = format!("permission denied for function {name}");
        return Err(Error::Forbidden { message, anonymous: identity.is_anonymous });
    }
    if reads && !call.readonly {
        return Err(Error::CallWrites(name.to_owned()));
    }
    Ok((Action::Call(CallRequest { call, head: request.method == "HEAD", is_safe: reads }), params))
}

/// Whether who asks has one of a function's roles.
pub(crate) fn may_call(config: &Config, udf: &Udf, identity: &Identity) -> bool {
    udf.roles.iter().any(|role| role == "*") || {
        let roles = config.roles_of(identity.role.as_deref());
        udf.roles.iter().any(|role| roles.contains(role))
    }
}

/// The arguments in a body, and the body itself, which may be one.
fn body_arguments(request: &Request<'_>, columns: Option<&[String]>) -> Result<(Arguments, RawBody), Error> {
    let content_type = request.header("content-type").unwrap_or("application/json");
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_empty = request.body.iter().all(u8::is_ascii_whitespace);
    let arguments = match essence.as_str() {
        "application/x-www-form-urlencoded" => Arguments::Texts(form_pairs(request.body)?),
        "application/json" if !is_empty => {
            let payload = Payload::parse(request.body, columns);
            let rows = payload.map(|payload| (payload.columns, payload.rows, payload.array));
            match rows {
                Ok((names, rows, false)) => {
                    let values = rows.into_iter().next().unwrap_or_default();
                    let pairs = names.into_iter().zip(values);
                    Arguments::Json(pairs.filter_map(|(name, value)| Some((name, value?))).collect())
                }
                // Not an object: only a function of the whole body can take it.
                Ok(_) => Arguments::Json(Vec::new()),
                Err(error) if serde_json::from_slice::<serde::de::IgnoredAny>(request.body).is_err() => {
                    return Err(error);
                }
                Err(_) => Arguments::Json(Vec::new()),
            }
        }
        "application/json" | "text/plain" | "application/octet-stream" => Arguments::Json(Vec::new()),
        _ => return Err(Error::Body(format!("Content-Type not acceptable: {essence}"))),
    };
    // A call without a body is one without arguments.
    let content_type = if is_empty && request.header("content-type").is_none() {
        "application/json".to_owned()
    } else {
        essence
    };
    Ok((arguments, RawBody { bytes: request.body.to_vec(), content_type }))
}

/// A function may make a media type of its own beside the common ones; `*/*` is any.
fn call_media_type(config: &Config, action: &Action, accept: &Accept) -> Result<MediaType, Error> {
    let Action::Call(CallRequest { call, .. }) = action else { return Ok(MediaType::Json) };
    let own = config.udf.get(call.function).and_then(|udf| udf.media_type.as_deref());
    accept.choose(
        |media_type| match (media_type, own) {
            (MediaType::Other(name), Some(own)) => own == name || own == "*/*",
            _ => media_type.is_common(config.api.plan),
        },
        MediaType::Json,
    )
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
        "PUT" => Ok(Action::Put(payload(request, params)?)),
        "PATCH" => Ok(Action::Update(payload(request, params)?)),
        "DELETE" => Ok(Action::Delete),
        "OPTIONS" => Ok(Action::Options),
        other => Err(Error::Method(other.to_owned())),
    }
}

fn payload(request: &Request<'_>, params: &QueryParams) -> Result<Payload, Error> {
    let content_type = request.header("content-type").unwrap_or("application/json");
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let columns = params.columns.as_deref();
    match essence.to_ascii_lowercase().as_str() {
        "application/json" => Payload::parse(request.body, columns),
        "text/csv" => Payload::parse_csv(request.body, columns),
        name if is_lines(name) => Payload::parse_lines(request.body, columns),
        "application/x-www-form-urlencoded" => Payload::parse_form(request.body, columns),
        _ => Err(Error::Body(format!("Content-Type not acceptable: {essence}"))),
    }
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
