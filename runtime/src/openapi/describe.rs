//! The requests for the document: `GET /` and `HEAD /`, where no function answers them.

use std::sync::Arc;

use super::{Described, document, host_of};
use crate::api_request::{ApiRequest, may_call};
use crate::config::{Config, OpenApi, OpenApiVersion, Udf};
use crate::error::Error;
use crate::grammar::Cursor;
use crate::http::{Request, Response};
use crate::media::{Accept, MediaType};
use crate::query_params::decode;
use crate::reply;
use crate::schema::SchemaCache;

/// The media type of the document. <https://www.iana.org/assignments/media-types/application/openapi+json>
pub(super) const MEDIA_TYPE: &str = "application/openapi+json";

/// A request for the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whether the body of the answer is left out.
    pub head: bool,
    /// The version of OpenAPI.
    version: OpenApiVersion,
    /// The host that the request was sent to.
    host: Option<String>,
    /// The schema that it names.
    profile: Option<String>,
}

impl Asked {
    /// Reads a request, and what its answer is made as. The version is that of the parameter `openapi`, of `version` in `Accept`, or of
    /// `api.openapi_version`.
    ///
    /// # Errors
    /// PGRST126 where there is no document, PGRST117 for other methods, PGRST107 for other media types and versions, PGRST100 for a
    /// parameter that is no version.
    pub(crate) fn parse(
        config: &Config,
        request: &Request<'_>,
        query: &str,
        accept: &Accept,
    ) -> Result<(Asked, MediaType), Error> {
        if config.api.openapi == OpenApi::Disabled {
            return Err(Error::NoRoot);
        }
        if !matches!(request.method, "GET" | "HEAD") {
            return Err(Error::Method(request.method.to_owned()));
        }
        let (accepted, media_type) = choose(accept)?;
        let asked = asked_version(query)?.or(accepted);
        let asked = Asked {
            head: request.method == "HEAD",
            version: asked.unwrap_or(config.api.openapi_version),
            host: host_of(request).map(str::to_owned),
            profile: request.header("accept-profile").map(|_| config.database().0.to_owned()),
        };
        Ok((asked, media_type))
    }
}

/// The version in the query string. Other parameters are passed over, as by PostgREST: clients put keys of gateways there.
fn asked_version(query: &str) -> Result<Option<OpenApiVersion>, Error> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let Some((_, value)) = pairs.into_iter().find(|(name, _)| *name == "openapi") else { return Ok(None) };
    let value = decode(value)?;
    let wrong = || Cursor::new("openapi parameter", &value).error("3.1, 3.0 or 2.0");
    version(&value).map(Some).ok_or_else(wrong)
}

/// `3.1`, or with the number of a correction, which changes nothing: `3.1.1`.
fn version(text: &str) -> Option<OpenApiVersion> {
    let (minor, patch) = match text.match_indices('.').nth(1) {
        Some((at, _)) => (text.get(..at)?, text.get(at + 1..)?),
        None => (text, "0"),
    };
    if patch.is_empty() || !patch.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match minor {
        "3.1" => Some(OpenApiVersion::V3_1),
        "3.0" => Some(OpenApiVersion::V3_0),
        "2.0" => Some(OpenApiVersion::V2_0),
        _ => None,
    }
}

/// The most welcome of what the document can be made as, with the version that is wanted.
fn choose(accept: &Accept) -> Result<(Option<OpenApiVersion>, MediaType), Error> {
    let own = || MediaType::Other(MEDIA_TYPE.to_owned());
    if accept.0.is_empty() {
        return Ok((None, own()));
    }
    let made = |item: &crate::media::Accepted| match &item.media_type {
        None => Some((None, own())),
        Some(MediaType::Json) => Some((None, MediaType::Json)),
        Some(MediaType::Other(name)) if name == MEDIA_TYPE => {
            let parameter = |part: &str| part.trim().strip_prefix("version=").map(str::to_owned);
            match item.written.split(';').find_map(parameter) {
                None => Some((None, own())),
                Some(wanted) => version(wanted.trim_matches('"')).map(|version| (Some(version), own())),
            }
        }
        Some(_) => None,
    };
    let written = || accept.0.iter().map(|item| item.written.as_str()).collect::<Vec<_>>().join(", ");
    accept.0.iter().find_map(made).ok_or_else(|| Error::NotAcceptable(written()))
}

/// The answer. `schema` is the whole one.
///
/// # Errors
/// PT412 where `If-Match` does not hold.
pub(crate) fn answer(
    config: &Config,
    schema: &Arc<SchemaCache>,
    request: &ApiRequest,
    asked: &Asked,
) -> Result<Response, Error> {
    let follows = config.api.openapi != OpenApi::IgnorePrivileges;
    let identity = &request.identity;
    let schema = match follows {
        true => schema.for_role(config, identity.role.as_deref()),
        false => Arc::clone(schema),
    };
    let described = Described {
        version: asked.version,
        may_call: &|udf: &Udf| !follows || may_call(config, udf, identity),
        host: asked.host.as_deref(),
        profile: asked.profile.as_deref(),
    };
    let body = document(config, &schema, &described).into_bytes();
    let content_type = match &request.media_type {
        MediaType::Json => MediaType::Json.content_type(),
        _ => format!("{MEDIA_TYPE}; charset=utf-8"),
    };
    reply::whole(request, content_type, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(target: &str, accept: &str, text: &str) -> String {
        let config = Config::load("", text, []).expect("valid");
        let headers: &[(&str, &[u8])] = &[("accept", accept.as_bytes())];
        let (method, target) = target.split_once(' ').expect("a method");
        let request = Request { method, target, headers, body: b"" };
        let accept = Accept::parse(request.texts("accept"));
        let query = target.split_once('?').map_or("", |(_, query)| query);
        match Asked::parse(&config, &request, query, &accept) {
            Ok((asked, media_type)) => format!("{:?} {}", asked.version, media_type.content_type()),
            Err(error) => {
                let problem = error.problem();
                format!("{} {} {}", problem.status, problem.code, problem.message)
            }
        }
    }

    #[test]
    fn versions_and_media_types() {
        for (target, accept, expected) in [
            ("GET /", "", "V3_1 application/openapi+json"),
            ("HEAD /", "*/*", "V3_1 application/openapi+json"),
            ("GET /", "text/html, */*;q=0.1", "V3_1 application/openapi+json"),
            ("GET /", "application/json", "V3_1 application/json; charset=utf-8"),
            ("GET /?apikey=x&openapi=2.0", "application/json", "V2_0 application/json; charset=utf-8"),
            ("GET /", "application/openapi+json;version=3.0", "V3_0 application/openapi+json"),
            ("GET /", "application/openapi+json; version=\"2.0\"", "V2_0 application/openapi+json"),
            (
                "GET /?openapi=3.1.1",
                "application/openapi+json;version=3.0.3",
                "V3_1 application/openapi+json",
            ),
            (
                "GET /",
                "application/openapi+json;version=4.0, application/json;q=0.1",
                "V3_1 application/json; charset=utf-8",
            ),
            (
                "GET /",
                "application/openapi+json;version=4.0",
                "406 PGRST107 None of these media types are available: application/openapi+json;version=4.0",
            ),
            ("GET /", "text/csv", "406 PGRST107 None of these media types are available: text/csv"),
            (
                "GET /?openapi=3",
                "",
                "400 PGRST100 \"failed to parse openapi parameter (3)\" (line 1, column 1)",
            ),
            ("POST /", "", "405 PGRST117 Unsupported HTTP method: POST"),
        ] {
            assert_eq!(asked(target, accept, ""), expected, "{target} {accept}");
        }
        let text = "[api]\nopenapi_version = \"2.0\"\n";
        assert_eq!(asked("GET /", "", text), "V2_0 application/openapi+json");
        let text = "[api]\nopenapi = \"disabled\"\n";
        assert_eq!(asked("POST /", "", text), "404 PGRST126 Root endpoint metadata is disabled");
        for wrong in ["3", "3.2", "3.1.", "3.1.x", "v3.1", "3.1.0.0", ""] {
            assert_eq!(version(wrong), None, "{wrong}");
        }
    }
}
