//! What answers say of credentials: to clients that lack them, and to caches.

use super::error::AuthError;
use crate::config::Config;
use crate::error::Error;
use crate::http::Response;
use crate::identity::Identity;

/// Tells a client that is refused how to sign in, and why.
pub(crate) fn challenge(config: &Config, error: &Error, response: &mut Response) {
    if let Error::Auth(error) = error {
        let challenges = error.challenges(config).into_iter();
        response.headers.extend(challenges.map(|challenge| ("www-authenticate".into(), challenge)));
    }
}

/// Keeps a cache from giving one client the answer of another: an answer to who has signed in is for nobody else and is asked for
/// again, unless a function says otherwise by a `Cache-Control` of its own. (`Vary` is PostgREST's, without `Authorization`, whose
/// answers no shared cache keeps anyway: RFC 9111 section 3.5.)
pub(crate) fn mark(config: &Config, identity: Option<&Identity>, response: &mut Response) {
    let Some(auth) = config.signing_in() else { return };
    // What nobody may do, somebody may: every 401 says how to sign in.
    if response.status == 401 && !response.headers.iter().any(|(name, _)| name == "www-authenticate") {
        challenge(config, &Error::Auth(AuthError::Anonymous), response);
    }
    let cookie = auth.jwt().and_then(|jwt| jwt.cookie.as_ref()).map(|_| "Cookie");
    let fields: Vec<&str> =
        cookie.into_iter().chain(auth.apikey().map(|keys| keys.header.as_str())).collect();
    let fields = fields.join(", ");
    match response.headers.iter_mut().find(|(name, _)| name == "vary") {
        _ if fields.is_empty() => {}
        Some((_, value)) => {
            value.push_str(", ");
            value.push_str(&fields);
        }
        None => response.headers.push(("vary".into(), fields)),
    }
    let is_own = identity.is_some_and(|identity| !identity.is_anonymous);
    if is_own && !response.headers.iter().any(|(name, _)| name == "cache-control") {
        response.headers.push(("cache-control".into(), "private, no-cache".to_owned()));
    }
}
