//! The flat export (`sqlitrest:component/handler`): header fields as lines, no resources.

use std::borrow::Cow;

use sqlitrest_runtime::http;

use crate::{answer, finish, settings};
use bindings::exports::sqlitrest::component::handler::{Guest, Request, Response};

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
        let answer = settings::config().map(|config| {
            let headers: Vec<(&str, &[u8])> = fields(&request.headers).collect();
            let request = http::Request {
                method: &request.method,
                target: &request.target,
                headers: &headers,
                body: &request.body,
            };
            answer(config, &request)
        });
        let response = finish(answer);
        Response {
            status: response.status,
            headers: lines(&response.headers),
            body: response.body,
            content_length: response.content_length,
        }
    }
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
