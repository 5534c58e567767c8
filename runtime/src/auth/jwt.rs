//! JSON Web Tokens (RFC 7515, 7519): whether a key has signed one, whether its claims hold, and whose it is.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value as Json};

use super::config::{Jwt, OneOrMore};
use super::error::{AuthError, ClaimError};
use super::keys::Key;
use super::role_claim::RoleClaim;
use super::signature::Algorithm;
use super::unique_json;
use crate::identity::Identity;

/// The longest token that is looked at, in bytes.
pub const MOST_BYTES: usize = 16 << 10;

/// Seconds since 1970-01-01T00:00:00Z, by the clock of the shell.
pub type Seconds = i64;

/// What a signed token must be like.
#[derive(Clone, Debug)]
pub struct Rules {
    pinned: Option<Vec<Algorithm>>,
    role: RoleClaim,
    anonymous_role: Option<String>,
    leeway: f64,
    exp: bool,
    nbf: bool,
    audience: Option<Vec<String>>,
    issuer: Option<Vec<String>>,
    checks_aud: bool,
}

/// A token that a key has signed. What its claims say of time holds from and until the bounds.
#[derive(Clone, Debug)]
pub struct Token {
    identity: Arc<Identity>,
    from: Seconds,
    until: Seconds,
}

/// Why no key has been found to have signed a token.
pub enum Unsigned {
    /// There is none that could have; others may have been published since.
    NoCandidate,
    /// It is wrong, whatever keys there are.
    Wrong(AuthError),
}

impl Rules {
    /// Those of the configuration.
    ///
    /// # Errors
    /// In words, with the key.
    pub fn new(jwt: &Jwt, anonymous_role: Option<&str>) -> Result<Rules, String> {
        let texts = |list: &Option<OneOrMore>| list.as_ref().map(|list| list.texts().to_vec());
        let role =
            RoleClaim::parse(&jwt.role_claim).map_err(|error| format!("auth.jwt.role_claim: {error}"))?;
        Ok(Rules {
            pinned: super::config::algorithms(jwt)?,
            role,
            anonymous_role: anonymous_role.map(str::to_owned),
            leeway: jwt.leeway.0.as_secs_f64(),
            exp: jwt.validate_exp,
            nbf: jwt.validate_nbf,
            audience: texts(&jwt.audience),
            issuer: texts(&jwt.issuer).filter(|_| jwt.validate_iss),
            checks_aud: jwt.validate_aud,
        })
    }

    /// The algorithms that are pinned.
    pub fn pinned(&self) -> Option<&[Algorithm]> {
        self.pinned.as_deref()
    }

    /// Reads a token and finds the key that has signed it. Nothing of its claims is looked at before.
    pub fn signed(&self, token: &str, keys: &[Key]) -> Result<Token, Unsigned> {
        let wrong = |error| Err(Unsigned::Wrong(error));
        if token.is_empty() {
            return wrong(AuthError::EmptyToken);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return wrong(AuthError::Parts(token.split('.').count()));
        };
        if token.len() > MOST_BYTES {
            return wrong(AuthError::Unreadable);
        }
        let (algorithm, kid) = self.header(header).map_err(Unsigned::Wrong)?;
        let fits = |key: &&Key| {
            let is_named = kid.is_none() || key.any_kid || key.kid == kid;
            is_named && key.algorithms.contains(&algorithm)
        };
        let mut candidates = keys.iter().filter(fits).peekable();
        if candidates.peek().is_none() {
            return Err(Unsigned::NoCandidate);
        }
        let text = token.get(..header.len() + 1 + claims.len()).unwrap_or_default();
        let is_signed = URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| {
            candidates.any(|key| key.material.has_signed(algorithm, text.as_bytes(), &signature))
        });
        if !is_signed {
            return wrong(AuthError::NoKey("None of the keys was able to decode the JWT"));
        }
        let claims = URL_SAFE_NO_PAD.decode(claims).ok().and_then(|json| unique_json::object(&json));
        match claims {
            Some(claims) => Ok(self.token(claims)),
            None => wrong(AuthError::Claim(ClaimError::Unreadable)),
        }
    }

    /// `alg` and `kid`. Keys and addresses of keys that a header brings along (`jwk`, `jku`, `x5c`, `x5u`) are not looked at.
    fn header(&self, text: &str) -> Result<(Algorithm, Option<String>), AuthError> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| AuthError::Unreadable)?;
        let header = unique_json::object(&json).ok_or(AuthError::Unreadable)?;
        let name = header.get("alg").and_then(Json::as_str).ok_or(AuthError::Unreadable)?;
        if name.eq_ignore_ascii_case("none") {
            return Err(AuthError::Algorithm("JWT is unsecured but expected 'alg' was not 'none'"));
        }
        let algorithm = Algorithm::named(name)
            .ok_or(AuthError::Algorithm("JWT is signed by an 'alg' that is not known"))?;
        if self.pinned.as_ref().is_some_and(|pinned| !pinned.contains(&algorithm)) {
            return Err(AuthError::Algorithm("JWT is signed but not by the 'alg' that was expected"));
        }
        // No extension is understood, and one that is critical must be (RFC 7515 section 4.1.11).
        if header.contains_key("crit") {
            return Err(AuthError::Unreadable);
        }
        match header.get("kid") {
            None => Ok((algorithm, None)),
            Some(Json::String(kid)) => Ok((algorithm, Some(kid.clone()))),
            Some(_) => Err(AuthError::Unreadable),
        }
    }

    fn token(&self, mut claims: Map<String, Json>) -> Token {
        let times = self.times(&claims);
        let role = self.role.of(&claims).or_else(|| self.anonymous_role.clone());
        let (from, until) = match (times, self.parties(&claims)) {
            (Ok(times), Ok(())) => times,
            // Never right: the whole check says why.
            _ => (Seconds::MAX, Seconds::MIN),
        };
        if let Some(role) = &role {
            claims.insert("role".to_owned(), Json::from(role.as_str()));
        }
        Token { identity: Arc::new(Identity { role, claims, is_anonymous: false }), from, until }
    }

    /// Whose the token is, now.
    ///
    /// # Errors
    /// PGRST303 of claims that do not hold, PGRST302 of a token without a role where nobody may be without.
    pub fn admit(&self, token: &Token, now: Seconds) -> Result<Arc<Identity>, AuthError> {
        if now < token.from || now > token.until {
            self.check(&token.identity.claims, now).map_err(AuthError::Claim)?;
        }
        match token.identity.role {
            Some(_) => Ok(Arc::clone(&token.identity)),
            None => Err(AuthError::Anonymous),
        }
    }

    /// The whole check, in PostgREST's order.
    fn check(&self, claims: &Map<String, Json>, now: Seconds) -> Result<(), ClaimError> {
        let times = self.dates(claims)?;
        let now = now as f64;
        if times.exp.is_some_and(|exp| now - self.leeway > exp) {
            return Err(ClaimError::Expired);
        }
        if times.nbf.is_some_and(|nbf| now + self.leeway < nbf) {
            return Err(ClaimError::NotYetValid);
        }
        if times.iat.is_some_and(|iat| now + self.leeway < iat) {
            return Err(ClaimError::IssuedInFuture);
        }
        self.parties(claims)
    }

    /// From when and until when the check of times succeeds.
    fn times(&self, claims: &Map<String, Json>) -> Result<(Seconds, Seconds), ClaimError> {
        let times = self.dates(claims)?;
        let from =
            |date: Option<f64>| date.map_or(Seconds::MIN, |date| (date - self.leeway).ceil() as Seconds);
        let until = times.exp.map_or(Seconds::MAX, |exp| (exp + self.leeway).floor() as Seconds);
        Ok((from(times.nbf).max(from(times.iat)), until))
    }

    fn dates(&self, claims: &Map<String, Json>) -> Result<Dates, ClaimError> {
        Ok(Dates {
            exp: date(claims, "exp", self.exp, ClaimError::ExpNotNumber)?,
            nbf: date(claims, "nbf", self.nbf, ClaimError::NbfNotNumber)?,
            iat: date(claims, "iat", true, ClaimError::IatNotNumber)?,
        })
    }

    /// `aud` and `iss`.
    fn parties(&self, claims: &Map<String, Json>) -> Result<(), ClaimError> {
        if self.checks_aud {
            let wanted =
                |name: &str| self.audience.as_ref().is_none_or(|own| own.iter().any(|own| own == name));
            let is_for_us = match claims.get("aud") {
                None | Some(Json::Null) => true,
                Some(Json::String(name)) => wanted(name),
                Some(Json::Array(names)) => {
                    let names = names.iter().map(Json::as_str).collect::<Option<Vec<_>>>();
                    let names = names.ok_or(ClaimError::AudNotStrings)?;
                    names.is_empty() || names.into_iter().any(wanted)
                }
                Some(_) => return Err(ClaimError::AudNotStrings),
            };
            if !is_for_us {
                return Err(ClaimError::Audience);
            }
        }
        let issuer = claims.get("iss").and_then(Json::as_str);
        match &self.issuer {
            Some(known) if !issuer.is_some_and(|issuer| known.iter().any(|known| known == issuer)) => {
                Err(ClaimError::Issuer)
            }
            _ => Ok(()),
        }
    }
}

struct Dates {
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
}

/// A claim that is a time; null is none.
fn date(
    claims: &Map<String, Json>,
    name: &str,
    is_checked: bool,
    error: ClaimError,
) -> Result<Option<f64>, ClaimError> {
    match claims.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(_) if !is_checked => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(error),
    }
}
