//! `[auth]`: who may sign in and how. Secrets stand here as they are written; what `env:` and `file:` refer to is read by
//! [`Authenticator::new`](super::Authenticator::new), and stays there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::role_claim::RoleClaim;
use super::signature::Algorithm;
use crate::config::{Config, Span, Texts, without_userinfo};

/// `[auth]`. Where it is absent, or not `enabled`, credentials are not looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Whether credentials are looked at.
    pub enabled: bool,
    /// `[auth.jwt]`: tokens in `Authorization: Bearer` or a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// `[auth.apikey]`: keys in a header field of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apikey: Option<ApiKeys>,
    /// `[auth.basic]`: names and passwords.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// `[auth.roles]`: the roles that a role has beside itself.
    pub roles: BTreeMap<String, Vec<String>>,
}

impl Default for Auth {
    fn default() -> Self {
        Auth { enabled: true, jwt: None, apikey: None, basic: None, roles: BTreeMap::new() }
    }
}

/// `[auth.jwt]`: JSON Web Tokens (RFC 7519).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jwt {
    /// Whether tokens are taken.
    pub enabled: bool,
    /// The algorithms that are accepted; none: those that the keys are for, `HS256` of a secret that is plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<OneOrMore>,
    /// Plain text, PEM, JWK or JWKS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// Whether `secret` is the base64 of the secret.
    pub secret_is_base64: bool,
    /// The audiences of which a token must name one, if it names any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<OneOrMore>,
    /// The issuers of which a token must name one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<OneOrMore>,
    /// The name of the claim that is the role, or a path to it.
    pub role_claim: String,
    /// Whether `exp` is checked.
    pub validate_exp: bool,
    /// Whether `nbf` is checked.
    pub validate_nbf: bool,
    /// Whether `iss` is checked.
    pub validate_iss: bool,
    /// Whether `aud` is checked.
    pub validate_aud: bool,
    /// How far clocks may be apart.
    pub leeway: Span,
    /// Where the keys are published, as JWKS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// How often they are fetched again.
    pub jwks_refresh_interval: Span,
    /// The cookie that has the token where `Authorization` has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
}

impl Default for Jwt {
    fn default() -> Self {
        Jwt {
            enabled: true,
            algorithm: None,
            secret: None,
            secret_is_base64: false,
            audience: None,
            issuer: None,
            role_claim: "role".to_owned(),
            validate_exp: true,
            validate_nbf: true,
            validate_iss: true,
            validate_aud: true,
            leeway: Span(Duration::from_secs(30)),
            jwks_url: None,
            jwks_refresh_interval: Span(Duration::from_secs(3600)),
            cookie: None,
        }
    }
}

/// `[auth.apikey]`: keys that are listed in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiKeys {
    /// Whether keys are taken.
    pub enabled: bool,
    /// The header field.
    pub header: String,
    /// `file:PATH` or `env:NAME` of the list.
    pub source: String,
}

impl Default for ApiKeys {
    fn default() -> Self {
        ApiKeys { enabled: true, header: "X-API-Key".to_owned(), source: String::new() }
    }
}

/// `[auth.basic]`: names and passwords that are listed in a file (RFC 7617).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Basic {
    /// Whether passwords are taken.
    pub enabled: bool,
    /// `file:PATH` or `env:NAME` of the list.
    pub source: String,
}

impl Default for Basic {
    fn default() -> Self {
        Basic { enabled: true, source: String::new() }
    }
}

/// A text, or a list of texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// `"a"`
    One(String),
    /// `["a", "b"]`
    More(Vec<String>),
}

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<OneOrMore, D::Error> {
        from.deserialize_any(Texts)
    }
}

impl OneOrMore {
    /// The texts.
    pub fn texts(&self) -> &[String] {
        match self {
            OneOrMore::One(text) => std::slice::from_ref(text),
            OneOrMore::More(texts) => texts,
        }
    }
}

/// A text that no log shows: the secret itself, or where it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if reference(&self.0).is_some() { &self.0 } else { "(secret)" })
    }
}

/// Where a value is that does not stand in the configuration itself. A shell reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// `env:NAME`: a variable of the environment, or of Spin.
    Env(&'a str),
    /// `file:PATH`
    File(&'a str),
}

/// What a shell reads references with; an error is one sentence.
pub type Reader<'a> = dyn FnMut(Reference<'_>) -> Result<String, String> + 'a;

/// The reference that a value of the configuration is, if it is one.
pub fn reference(text: &str) -> Option<Reference<'_>> {
    let env = text.strip_prefix("env:").map(Reference::Env);
    env.or_else(|| text.strip_prefix("file:").map(Reference::File))
}

impl Auth {
    /// `[auth.jwt]`, where tokens are taken.
    pub fn jwt(&self) -> Option<&Jwt> {
        self.jwt.as_ref().filter(|jwt| jwt.enabled)
    }

    /// `[auth.apikey]`, where keys are taken.
    pub fn apikey(&self) -> Option<&ApiKeys> {
        self.apikey.as_ref().filter(|keys| keys.enabled)
    }

    /// `[auth.basic]`, where passwords are taken.
    pub fn basic(&self) -> Option<&Basic> {
        self.basic.as_ref().filter(|basic| basic.enabled)
    }

    /// The values that may be references.
    pub fn references(&mut self) -> impl Iterator<Item = &mut String> {
        let secret = self.jwt.iter_mut().filter_map(|jwt| jwt.secret.as_mut()).map(|secret| &mut secret.0);
        let keys = self.apikey.iter_mut().map(|keys| &mut keys.source);
        secret.chain(keys).chain(self.basic.iter_mut().map(|basic| &mut basic.source))
    }

    /// What is wrong of what can be said without reading what is referred to: sentences that begin with the key.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(jwt) = self.jwt() {
            found.extend(jwt.mistakes());
        }
        if let Some(keys) = self.apikey() {
            if !is_token(&keys.header) || keys.header.eq_ignore_ascii_case("authorization") {
                found.push(format!("auth.apikey.header = \"{}\" is no header field for a key", keys.header));
            }
            found.extend(no_reference("auth.apikey.source", &keys.source, "apikeys.toml"));
        }
        if let Some(basic) = self.basic() {
            found.extend(no_reference("auth.basic.source", &basic.source, "users.toml"));
        }
        let cycle = cycle(&self.roles);
        found.extend(
            cycle.map(|role| format!("auth.roles: {role} has itself, by way of the roles that it has")),
        );
        found
    }
}

impl Jwt {
    fn mistakes(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Err(error) = RoleClaim::parse(&self.role_claim) {
            found.push(format!("auth.jwt.role_claim: {error}"));
        }
        let listed = self.algorithm.iter().flat_map(OneOrMore::texts);
        let is_elsewhere = listed.into_iter().any(|text| reference(text).is_some());
        found.extend(algorithms(self).err().filter(|_| !is_elsewhere));
        if let Some(url) = self.jwks_url.as_ref().filter(|url| !is_trusted_url(url)) {
            let what = "is not https://HOST… (http:// is for 127.0.0.1, [::1] and localhost)";
            found.push(format!("auth.jwt.jwks_url = \"{}\" {what}", without_userinfo(url)));
        }
        if self.jwks_refresh_interval.0 < Duration::from_secs(1) {
            found.push("auth.jwt.jwks_refresh_interval must be at least 1s".to_owned());
        }
        if self.cookie.as_ref().is_some_and(|name| !is_token(name)) {
            found.push("auth.jwt.cookie is no name that a cookie can have".to_owned());
        }
        found
    }
}

/// The algorithms that are pinned.
pub(crate) fn algorithms(jwt: &Jwt) -> Result<Option<Vec<Algorithm>>, String> {
    let Some(names) = &jwt.algorithm else { return Ok(None) };
    let known = |name: &String| {
        Algorithm::named(name).ok_or_else(|| {
            let names: Vec<_> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
            format!("auth.jwt.algorithm: `{name}` is none of {}", names.join(", "))
        })
    };
    let algorithms = names.texts().iter().map(known).collect::<Result<Vec<_>, _>>()?;
    if algorithms.is_empty() {
        return Err("auth.jwt.algorithm is an empty list".to_owned());
    }
    Ok(Some(algorithms))
}

/// By TLS, or on this machine; without a password, which the log would show.
fn is_trusted_url(url: &str) -> bool {
    authority(url).is_some_and(|(is_secure, is_here)| is_secure || is_here)
}

/// Whether a URL is one of HTTP over TLS, and whether its host is this machine; none where it is no URL of HTTP with a host, or has a
/// user in it.
pub(crate) fn authority(url: &str) -> Option<(bool, bool)> {
    let (is_secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return None,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') {
        return None;
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(host, _)| host),
        None => authority.split(':').next().unwrap_or_default(),
    };
    Some((is_secure, matches!(host, "127.0.0.1" | "::1" | "localhost")))
}

fn no_reference(key: &str, value: &str, example: &str) -> Option<String> {
    let is_one = reference(value).is_some();
    (!is_one).then(|| format!("{key} must be \"file:./{example}\", or \"env:NAME\""))
}

/// A token in the sense of RFC 9110 section 5.6.2: the names of fields and cookies.
pub(crate) fn is_token(text: &str) -> bool {
    let is_sign = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_sign)
}

/// A role that it can come back to, if there is one.
fn cycle(roles: &BTreeMap<String, Vec<String>>) -> Option<&str> {
    let all = |role: &str| {
        let inherited = roles.get(role).map(Vec::as_slice).unwrap_or_default();
        reached(roles, inherited.iter().map(String::as_str).collect())
    };
    roles.keys().map(String::as_str).find(|role| all(role).contains(role))
}

/// These roles and all that they have.
fn reached<'a>(roles: &'a BTreeMap<String, Vec<String>>, mut next: Vec<&'a str>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    while let Some(role) = next.pop() {
        if found.insert(role) {
            next.extend(roles.get(role).into_iter().flatten().map(String::as_str));
        }
    }
    found
}

impl Config {
    /// `[auth]`, where credentials are looked at.
    pub fn signing_in(&self) -> Option<&Auth> {
        self.auth.as_ref().filter(|auth| auth.enabled)
    }

    /// Whether everybody must sign in: there is `[auth]`, and no `api.anonymous_role`.
    pub fn is_closed(&self) -> bool {
        self.signing_in().is_some() && self.api.anonymous_role.is_none()
    }

    /// The role and all that it has by `[auth.roles]`. None where there is no role.
    pub fn roles_of(&self, role: Option<&str>) -> BTreeSet<String> {
        static NONE: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let roles = self.auth.as_ref().map_or(&NONE, |auth| &auth.roles);
        let mut all: BTreeSet<String> = role.iter().map(|role| (*role).to_owned()).collect();
        let inherited =
            role.and_then(|role| roles.get(role)).into_iter().flatten().map(String::as_str).collect();
        all.extend(reached(roles, inherited).into_iter().map(str::to_owned));
        all
    }

    /// Lets a shell say where files lie that are named relative to the configuration file.
    pub fn relocate(&mut self, place: impl Fn(&str) -> String) {
        if !self.server.unix_socket.is_empty() {
            self.server.unix_socket = place(&self.server.unix_socket);
        }
        let tokens = self.databases.values_mut().filter_map(|database| database.auth_token.as_mut());
        let tokens = tokens.map(|token| &mut token.0);
        for text in self.auth.iter_mut().flat_map(Auth::references).chain(tokens) {
            if let Some(path) = text.strip_prefix("file:") {
                *text = format!("file:{}", place(path));
            }
        }
    }

    /// The same of the directories of `[attach]`, when [`Config::read_files`] has read where they are named.
    pub fn relocate_attach(&mut self, place: impl Fn(&str) -> String) {
        for path in &mut self.attach.paths {
            *path = place(path);
        }
    }

    /// This configuration for a core that is told who asks: without the secrets.
    pub fn without_secrets(&self) -> Config {
        let mut config = self.clone();
        config.databases.values_mut().for_each(|database| database.auth_token = None);
        if let Some(auth) = &mut config.auth {
            auth.references().for_each(|text| "env:NONE".clone_into(text));
            if let Some(jwt) = &mut auth.jwt {
                jwt.secret = None;
            }
        }
        config
    }

    /// What is likely not meant so, in sentences for the log.
    pub fn auth_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (name, _) in self.databases.iter().filter(|(_, database)| database.tells_its_token()) {
            let what = "sends auth_token in clear over the network: use libsql:// or https://";
            warnings.push(format!("databases.{name}.url {what}"));
        }
        if self.api.anonymous_role.is_some() && self.policies.is_none() {
            let what = "api.anonymous_role is set, but there are no [policies] that tell roles apart";
            warnings.push(what.to_owned());
        }
        let Some(auth) = self.signing_in() else { return warnings };
        if auth.jwt().is_some_and(|jwt| jwt.secret.is_none() && jwt.jwks_url.is_none()) {
            let what =
                "[auth.jwt] has neither secret nor jwks_url: every token is answered by a 500, PGRST300";
            warnings.push(what.to_owned());
        }
        let nobody = auth.jwt().is_none() && auth.apikey().is_none() && auth.basic().is_none();
        if nobody && self.api.anonymous_role.is_none() {
            let what = "[auth] lets nobody sign in, and there is no api.anonymous_role: every request is answered by a 401";
            warnings.push(what.to_owned());
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check_error(text: &str, expected: Expect) {
        let error = Config::load("sqlitrest.toml", text, []).expect_err(text);
        expected.assert_eq(&error.to_string());
    }

    #[test]
    fn roles() {
        let text = "[auth.roles]\nadmin = [\"editor\", \"x\"]\neditor = [\"viewer\"]\nviewer = []\n";
        let config = Config::load("", text, []).expect("valid");
        let of = |role| config.roles_of(role).into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(of(Some("admin")), "admin editor viewer x");
        assert_eq!(of(Some("editor")), "editor viewer");
        assert_eq!(of(Some("stranger")), "stranger");
        assert_eq!(of(None), "");
        assert_eq!(Config::default().roles_of(Some("a")).len(), 1);
        // Even where nobody has checked.
        let mut config = config;
        let auth = config.auth.as_mut().expect("auth");
        auth.roles.insert("viewer".to_owned(), vec!["admin".to_owned()]);
        assert_eq!(config.roles_of(Some("x")).len(), 1);
        assert_eq!(config.roles_of(Some("viewer")).len(), 4);
    }

    #[test]
    fn mistakes() {
        check_error(
            "[auth.roles]\na = [\"b\"]\nb = [\"c\"]\nc = [\"b\"]\n",
            expect!["sqlitrest.toml:1:7: auth.roles: b has itself, by way of the roles that it has"],
        );
        check_error(
            "[auth.jwt]\nalgorithm = \"none\"\n",
            expect![
                "sqlitrest.toml:2:1: auth.jwt.algorithm: `none` is none of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"
            ],
        );
        check_error(
            "[auth.jwt]\nalgorithm = []\n",
            expect!["sqlitrest.toml:2:1: auth.jwt.algorithm is an empty list"],
        );
        check_error(
            "[auth.jwt]\nrole_claim = \".a[\"\n",
            expect![[
                r#"sqlitrest.toml:2:1: auth.jwt.role_claim: `.a[` is no role claim from `[` on: write role, .app_metadata.role, ."a.b"[0] or .roles[?(@ == "x")]"#
            ]],
        );
        check_error(
            "[auth.jwt]\njwks_url = \"http://example.com/keys\"\n",
            expect![[
                r#"sqlitrest.toml:2:1: auth.jwt.jwks_url = "http://example.com/keys" is not https://HOST… (http:// is for 127.0.0.1, [::1] and localhost)"#
            ]],
        );
        check_error(
            "[auth.jwt]\njwks_url = \"http://127.0.0.1@example.com/keys\"\n",
            expect![[
                r#"sqlitrest.toml:2:1: auth.jwt.jwks_url = "http://***@example.com/keys" is not https://HOST… (http:// is for 127.0.0.1, [::1] and localhost)"#
            ]],
        );
        check_error(
            "[auth.jwt]\nsecrets = \"\"\n",
            expect![
                "sqlitrest.toml:2:1: unknown field `secrets`, expected one of `enabled`, `algorithm`, `secret`, `secret_is_base64`, `audience`, `issuer`, `role_claim`, `validate_exp`, `validate_nbf`, `validate_iss`, `validate_aud`, `leeway`, `jwks_url`, `jwks_refresh_interval`, `cookie`; perhaps `secret`"
            ],
        );
        check_error(
            "[auth.apikey]\nheader = \"Authorization\"\nsource = \"file:a\"\n",
            expect![[
                r#"sqlitrest.toml:2:1: auth.apikey.header = "Authorization" is no header field for a key"#
            ]],
        );
        check_error(
            "[auth.apikey]\n",
            expect![[
                r#"sqlitrest.toml:1:7: auth.apikey.source must be "file:./apikeys.toml", or "env:NAME""#
            ]],
        );
        check_error(
            "[auth.basic]\nsource = \"users.toml\"\n",
            expect![[r#"sqlitrest.toml:2:1: auth.basic.source must be "file:./users.toml", or "env:NAME""#]],
        );
    }

    #[test]
    fn secrets_are_not_shown_and_not_handed_on() {
        let text =
            "[auth.jwt]\nsecret = \"a very secret text\"\n[auth.apikey]\nsource = \"file:keys.toml\"\n";
        let mut config = Config::load("", text, []).expect("valid");
        assert!(!format!("{config:?}").contains("very"));
        config.relocate(|path| format!("/etc/{path}"));
        let auth = config.auth.as_ref().expect("auth");
        assert_eq!(auth.apikey().expect("keys").source, "file:/etc/keys.toml");
        let stripped = config.without_secrets().to_text().expect("text");
        assert!(!stripped.contains("very") && !stripped.contains("keys.toml"), "{stripped}");
        assert!(Config::load("", &stripped, []).expect("valid").signing_in().is_some());
    }

    #[test]
    fn urls_and_references() {
        for good in ["https://a.b/c", "http://127.0.0.1:80/x", "http://[::1]:80/", "http://localhost"] {
            assert!(is_trusted_url(good), "{good}");
        }
        for bad in [
            "",
            "https://",
            "https://a:b@c",
            "ftp://a",
            "http://127.0.0.1.example.com",
            "http://example.com/127.0.0.1",
        ] {
            assert!(!is_trusted_url(bad), "{bad}");
        }
        assert_eq!(reference("env:A"), Some(Reference::Env("A")));
        assert_eq!(reference("file:./a"), Some(Reference::File("./a")));
        assert_eq!(reference("plain"), None);
    }
}
