//! What policies and functions can ask of who asks and of the request.

use crate::http::Request;
use crate::identity::Identity;
use crate::plan::Asked;
use crate::value::Value;

/// Who asks, and what of the request there is to ask for.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Who asks.
    pub identity: &'a Identity,
    /// What the request says, where anything may want to know.
    pub said: Option<&'a Said>,
}

/// What of a request can be asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
}

impl Said {
    /// Of a request.
    pub fn of(request: &Request<'_>) -> Said {
        let text = |(name, value): &(&str, &[u8])| {
            Some(((*name).to_owned(), std::str::from_utf8(value).ok()?.to_owned()))
        };
        Said {
            method: request.method.to_owned(),
            path: decoded(request.target.split('?').next().unwrap_or_default()),
            headers: request.headers.iter().filter_map(text).collect(),
        }
    }

    fn value(&self, kind: &str, name: &str) -> Option<&str> {
        let fields = |wanted: &str| {
            let wanted = wanted.to_ascii_lowercase();
            self.headers.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| value.as_str())
        };
        match kind {
            "request.method" => Some(&self.method),
            "request.path" => Some(&self.path),
            "request.headers" => fields(name).next(),
            "request.cookies" => fields("cookie")
                .flat_map(|field| field.split(';'))
                .filter_map(|cookie| cookie.trim().split_once('='))
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

/// A path as it is meant, whatever of it is percent-encoded.
fn decoded(path: &str) -> String {
    crate::query_params::decode_path(path).unwrap_or_else(|_| path.to_owned())
}

impl Asker<'_> {
    /// The value, or NULL. The kinds of requests' values are PostgREST's settings of the same names.
    pub fn value(&self, asked: &Asked) -> Value {
        match asked {
            Asked::Role => self.identity.role.clone().map_or(Value::Null, Value::Text),
            Asked::Claim(path) => self.identity.claim(path),
            Asked::Request { kind, name } => {
                let value = self.said.and_then(|said| said.value(kind, name));
                value.map_or(Value::Null, |text| Value::Text(text.to_owned()))
            }
        }
    }
}
