//! The flat export (`sqlitrest:component/handler`): header fields as lines, no resources.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use sqlitrest_runtime::audit;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::http;
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::internal_error;
use sqlitrest_runtime::timing::Timing;

use crate::database::SpinDatabase;
use crate::{answer, finish, now, served, settings};
use bindings::exports::sqlitrest::component::handler::{Audits, Guest, Request, Response};

#[allow(missing_docs)]
mod bindings {
    // Through spin-sdk's own wit-bindgen, so that there is one version of it.
    spin_sdk::wit_bindgen::generate!({
        world: "flat",
        path: "../wit",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
    export!(Component with_types_in self);

    /// What the exports hang on.
    pub struct Component;
}

impl Guest for bindings::Component {
    fn handle(request: Request) -> Response {
        let schema_version = request.schema_version;
        let audits = match request.audits {
            Audits::None => audit::Audits::None,
            Audits::Writes => audit::Audits::Writes,
            Audits::All => audit::Audits::All,
        };
        let answer = settings::config().and_then(|config| {
            let identity = identity(config, request.identity.as_deref())?;
            let spent = Duration::from_nanos(request.identified_in);
            let timing = Timing::start_after(config, now, spent);
            let headers: Vec<(&str, &[u8])> = fields(&request.headers).collect();
            let request = http::Request {
                method: &request.method,
                target: &request.target,
                headers: &headers,
                body: &request.body,
            };
            let begun = SpinDatabase::of_our_host(schema_version);
            Ok(answer(begun, served::of_our_host(config), &identity, &timing, audits, &request))
        });
        let response = finish(answer);
        Response {
            status: response.status,
            headers: lines(&response.headers),
            body: response.body,
            content_length: response.content_length,
            tail: response.tail,
            acts: (!response.acts.is_empty()).then(|| audit::to_json(&response.acts)),
        }
    }
}

/// Who asks, as the host says. Where credentials are looked at, a host that says nothing has forgotten it.
fn identity(config: &Config, json: Option<&[u8]>) -> Result<Arc<Identity>, http::Response> {
    let identity = match json {
        Some(json) => Identity::from_json(json),
        None if config.signing_in().is_none() => Some(Identity::anonymous(config)),
        None => None,
    };
    identity.map(Arc::new).ok_or_else(|| internal_error("the host does not say who asks"))
}

/// Reads `name: value\n` lines; one of another form is passed over.
fn fields(lines: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    lines.split(|&b| b == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&b| b == b':')?;
        let name = std::str::from_utf8(line.get(..colon)?).ok()?;
        let value = line.get(colon + 1..)?;
        Some((name, value.strip_prefix(b" ").unwrap_or(value)))
    })
}

/// The inverse of [`fields`]. A line feed in a value, which HTTP does not allow, must not begin a field.
fn lines(headers: &[(Cow<'static, str>, String)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    for (name, value) in headers {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend(value.bytes().map(|b| if b == b'\n' { b' ' } else { b }));
        out.push(b'\n');
    }
    out
}
