//! Where a request has its credentials, and which of them counts. Not whether it is right.

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::PAD;

use super::api_key::PREFIX;
use super::config::Auth;
use super::error::AuthError;
use crate::http::Request;

/// Clients write the padding or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    PAD.with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// Where credentials stand.
#[derive(Clone, Debug)]
pub struct Places {
    has_jwt: bool,
    has_basic: bool,
    cookie: Option<String>,
    /// In lower case.
    api_key: Option<String>,
    /// The origins whose pages may send the cookie.
    origins: Vec<String>,
}

/// The credential that counts.
#[derive(Debug)]
pub enum Credential<'a> {
    None,
    Token(&'a str),
    ApiKey(&'a str),
    Password { name: String, password: String },
}

impl Places {
    /// Those of the configuration.
    pub fn new(auth: &Auth, origins: &[String]) -> Places {
        Places {
            has_jwt: auth.jwt().is_some(),
            has_basic: auth.basic().is_some(),
            cookie: auth.jwt().and_then(|jwt| jwt.cookie.clone()),
            api_key: auth.apikey().map(|keys| keys.header.to_ascii_lowercase()),
            origins: origins.to_vec(),
        }
    }

    /// The credential that counts.
    pub fn find<'a>(&self, request: &Request<'a>) -> Result<Credential<'a>, AuthError> {
        let authorization = match only(request, "authorization")? {
            Some(value) => self.authorization(value)?,
            None => Credential::None,
        };
        if matches!(authorization, Credential::Token(_) | Credential::ApiKey(_)) {
            return Ok(authorization);
        }
        if let Some(name) = &self.cookie
            && let Some(token) = cookie(request, name)?
        {
            return match self.is_cross_site(request) {
                true => Err(AuthError::CrossSite),
                false => Ok(Credential::Token(token)),
            };
        }
        if let Some(name) = &self.api_key
            && let Some(key) = only(request, name)?
        {
            return Ok(Credential::ApiKey(key));
        }
        Ok(authorization)
    }

    fn authorization<'a>(&self, value: &'a str) -> Result<Credential<'a>, AuthError> {
        let value = value.trim();
        if value.is_empty() {
            return Ok(Credential::None);
        }
        let (scheme, rest) = value.split_once([' ', '\t']).unwrap_or((value, ""));
        let rest = rest.trim_start();
        if scheme.eq_ignore_ascii_case("bearer") {
            // Clients such as supabase-js send what they have as a key as a token, too.
            return match self.api_key.is_some() && rest.starts_with(PREFIX) {
                true => Ok(Credential::ApiKey(rest)),
                false if self.has_jwt => Ok(Credential::Token(rest)),
                false => Err(AuthError::Scheme),
            };
        }
        if self.has_basic && scheme.eq_ignore_ascii_case("basic") {
            let bytes = BASE64.decode(rest).map_err(|_| AuthError::Password)?;
            let text = String::from_utf8(bytes).map_err(|_| AuthError::Password)?;
            let (name, password) = text.split_once(':').ok_or(AuthError::Password)?;
            return Ok(Credential::Password { name: name.to_owned(), password: password.to_owned() });
        }
        Err(AuthError::Scheme)
    }

    /// Whether a page of another site has made a browser send the cookie (CSRF). Browsers say so by `Sec-Fetch-Site`.
    fn is_cross_site(&self, request: &Request<'_>) -> bool {
        let is_named = || {
            let origin = request.header("origin");
            origin.is_some_and(|origin| self.origins.iter().any(|own| own == origin))
        };
        request.header("sec-fetch-site").is_some_and(|site| site.eq_ignore_ascii_case("cross-site"))
            && !is_named()
    }
}

/// The value of the field, which must not be there twice.
fn only<'a>(request: &Request<'a>, name: &str) -> Result<Option<&'a str>, AuthError> {
    let mut values = request.headers.iter().filter(|(known, _)| *known == name).map(|(_, value)| *value);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(AuthError::Ambiguous);
    }
    // What is not text is no credential that anybody has been given.
    std::str::from_utf8(value).map(Some).map_err(|_| AuthError::Unreadable)
}

/// The value of the cookie, which must not be there twice: a neighbouring domain can set one of the same name. An empty one is
/// none.
fn cookie<'a>(request: &Request<'a>, name: &str) -> Result<Option<&'a str>, AuthError> {
    let pairs =
        request.texts("cookie").flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(known, _)| known.trim() == name).map(|(_, value)| value.trim());
    let found = values.next();
    if values.next().is_some() {
        return Err(AuthError::Ambiguous);
    }
    Ok(found
        .map(|value| value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value))
        .filter(|v| !v.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use expect_test::{Expect, expect};

    const ALL: &str = "[middleware]\ncors_origins = [\"https://app.example\"]\n[auth.jwt]\ncookie = \"token\"\n\
                       [auth.apikey]\nsource = \"file:a\"\n[auth.basic]\nsource = \"file:b\"\n";

    fn check_with(config: &str, method: &str, headers: &[(&str, &str)], expected: Expect) {
        let config = Config::load("", config, []).expect("valid");
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        let request = Request { method, target: "/", headers: &headers, body: b"" };
        let places = Places::new(config.signing_in().expect("auth"), &config.middleware.cors_origins);
        let found = match places.find(&request) {
            Ok(found) => format!("{found:?}"),
            Err(error) => format!("{error:?}"),
        };
        expected.assert_eq(&found);
    }

    fn check(headers: &[(&str, &str)], expected: Expect) {
        check_with(ALL, "GET", headers, expected);
    }

    #[test]
    fn which_counts() {
        let basic = ("authorization", "Basic YTpiOmM=");
        let (bearer, cookie, key) =
            (("authorization", "Bearer a.b.c"), ("cookie", "x=1; token=d.e.f"), ("x-api-key", "k"));
        check(&[], expect!["None"]);
        check(&[key, cookie, bearer], expect![[r#"Token("a.b.c")"#]]);
        check(&[key, cookie, basic], expect![[r#"Token("d.e.f")"#]]);
        check(&[key, basic], expect![[r#"ApiKey("k")"#]]);
        check(&[basic], expect![[r#"Password { name: "a", password: "b:c" }"#]]);
        check(&[("authorization", "bearer \t a.b.c")], expect![[r#"Token("a.b.c")"#]]);
        check(&[("authorization", "Bearer sqr_a_b")], expect![[r#"ApiKey("sqr_a_b")"#]]);
        check(&[("authorization", "Bearer")], expect![[r#"Token("")"#]]);
        check(&[("authorization", "")], expect!["None"]);
        check(&[("cookie", "token=")], expect!["None"]);
        check(&[("cookie", "token=\"a\"; other=token")], expect![[r#"Token("a")"#]]);
    }

    #[test]
    fn what_is_refused() {
        check(&[("authorization", "Bearer a"), ("authorization", "Bearer a")], expect!["Ambiguous"]);
        check(&[("x-api-key", "a"), ("x-api-key", "b")], expect!["Ambiguous"]);
        check(&[("cookie", "token=a; token=b")], expect!["Ambiguous"]);
        check(&[("authorization", "Digest a"), ("x-api-key", "k")], expect!["Scheme"]);
        check(&[("authorization", "Basic !"), ("x-api-key", "k")], expect!["Password"]);
        check(&[("authorization", "Basic YQ==")], expect!["Password"]);
        check_with("[auth]\n", "GET", &[("authorization", "Bearer a.b.c")], expect!["Scheme"]);
        check_with("[auth]\n", "GET", &[("authorization", "Basic YTpi")], expect!["Scheme"]);
    }

    #[test]
    fn pages_of_other_sites() {
        let cookie = ("cookie", "token=a");
        check(&[cookie, ("sec-fetch-site", "same-site")], expect![[r#"Token("a")"#]]);
        check(&[cookie, ("sec-fetch-site", "cross-site")], expect!["CrossSite"]);
        let cross = ("sec-fetch-site", "cross-site");
        check(&[cookie, cross, ("origin", "https://app.example")], expect![[r#"Token("a")"#]]);
        check(&[cookie, cross, ("origin", "https://evil.example")], expect!["CrossSite"]);
    }
}
