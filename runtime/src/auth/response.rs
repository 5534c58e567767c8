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

/// Keeps a cache from giving one client the answer of another: the answer depends on the credentials, and one to who has
/// signed in is for nobody else, unless a function says otherwise by a `Cache-Control` of its own.
pub(crate) fn mark(config: &Config, identity: Option<&Identity>, response: &mut Response) {
    let Some(auth) = config.signing_in() else { return };
    // What nobody may do, somebody may: every 401 says how to sign in.
    if response.status == 401 && !response.headers.iter().any(|(name, _)| name == "www-authenticate") {
        challenge(config, &Error::Auth(AuthError::Anonymous), response);
    }
    let mut fields = "Authorization".to_owned();
    if auth.jwt().is_some_and(|jwt| jwt.cookie.is_some()) {
        fields.push_str(", Cookie");
    }
    if let Some(keys) = auth.apikey() {
        fields.push_str(", ");
        fields.push_str(&keys.header);
    }
    match response.headers.iter_mut().find(|(name, _)| name == "vary") {
        Some((_, value)) => {
            value.push_str(", ");
            value.push_str(&fields);
        }
        None => response.headers.push(("vary".into(), fields)),
    }
    let is_own = identity.is_some_and(|identity| !identity.is_anonymous);
    if is_own && !response.headers.iter().any(|(name, _)| name == "cache-control") {
        response.headers.push(("cache-control".into(), "private".to_owned()));
    }
}
