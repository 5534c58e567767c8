//! Where the API is: what `api.proxy_uri` says, else the host that a request was sent to, with `api.base_path`.

use crate::config::Config;
use crate::http::Request;

/// Where clients reach the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// `https`, where it is known.
    pub(super) scheme: Option<&'a str>,
    /// `api.example.com:8443`, where it is known.
    pub(super) host: Option<&'a str>,
    /// `/rest/v1`; empty: the root.
    pub(super) path: &'a str,
}

impl<'a> Place<'a> {
    /// By the configuration and, where that does not say, the `host` of a request. A `proxy_uri` without a path stands for scheme and host
    /// alone.
    pub(super) fn of(config: &'a Config, host: Option<&'a str>) -> Place<'a> {
        let base = config.api.base_path.as_str();
        let Some((scheme, rest)) = config.api.proxy_uri.split_once("://") else {
            return Place { scheme: None, host, path: base };
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        Place { scheme: Some(scheme), host: Some(host), path: if path.is_empty() { base } else { path } }
    }

    /// As a URL: absolute where the configuration says so, else relative to where the document is, so that it does not go by what a
    /// request says of itself.
    pub(super) fn url(&self) -> String {
        match (self.scheme, self.host) {
            (Some(scheme), Some(host)) => format!("{scheme}://{host}{}", self.path),
            _ if self.path.is_empty() => "/".to_owned(),
            _ => self.path.to_owned(),
        }
    }
}

/// The host that a request says it was sent to, where it is of the characters that hosts and ports have. Anybody may say anything there.
pub fn host_of<'r>(request: &Request<'r>) -> Option<&'r str> {
    const LONGEST: usize = 255;
    let host = request.header("host")?.trim();
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let is_address = |b: u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
            if address.is_empty() || !address.bytes().all(is_address) {
                return None;
            }
            ("ip", port)
        }
        None => host.split_at_checked(host.find(':').unwrap_or(host.len()))?,
    };
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    let is_port = match port.strip_prefix(':') {
        Some(digits) => (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()),
        None => port.is_empty(),
    };
    (!name.is_empty() && is_name && is_port && host.len() <= LONGEST).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(host: &str) -> Option<String> {
        let headers: &[(&str, &[u8])] = &[("host", host.as_bytes())];
        host_of(&Request { method: "GET", target: "/", headers, body: b"" }).map(str::to_owned)
    }

    #[test]
    fn hosts() {
        for good in
            ["localhost", "127.0.0.1:3000", "a-b.example.com", "[::1]", "[2001:db8::1]:8080", "db_1:80"]
        {
            assert_eq!(of(good).as_deref(), Some(good));
        }
        assert_eq!(of(" a.example ").as_deref(), Some("a.example"));
        for bad in [
            "",
            ":80",
            "a:",
            "a:b",
            "a:123456",
            "a/b",
            "a b",
            "a\"b",
            "u@a",
            "[::1",
            "[]",
            "[x]",
            "[::1]x",
            "a,b",
            "ä.example",
            "a?b",
            "<script>",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(of(&"a".repeat(256)), None);
    }

    #[test]
    fn places() {
        let url = |proxy: &str, base: &str, host| {
            let text = format!("[api]\nproxy_uri = \"{proxy}\"\nbase_path = \"{base}\"\n");
            let config = Config::load("", &text, []).expect("valid");
            let place = Place::of(&config, host);
            (place.url(), place.host.map(str::to_owned))
        };
        let host = |host: &str| Some(host.to_owned());
        assert_eq!(url("", "", None), ("/".to_owned(), None));
        assert_eq!(url("", "/rest/v1", Some("a:1")), ("/rest/v1".to_owned(), host("a:1")));
        assert_eq!(url("https://a.b:1", "", Some("c")), ("https://a.b:1".to_owned(), host("a.b:1")));
        assert_eq!(url("https://a.b/", "/v1", None), ("https://a.b/v1".to_owned(), host("a.b")));
        assert_eq!(url("http://a.b/x/", "/v1", None), ("http://a.b/x".to_owned(), host("a.b")));
    }
}
