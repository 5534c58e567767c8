//! Signing in under Spin, with the core's code: its lists are mounted files, and keys that are published come over HTTP.

use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use sqlitrest_runtime::auth::{Authenticator, Verdict};
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::http::{Request, Response};
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::{internal_error, refuse};
use wasi::random::random::get_random_bytes;

use crate::{key_set, log, settings};

static AUTHENTICATOR: OnceLock<Result<Authenticator, String>> = OnceLock::new();

/// Who asks.
///
/// # Errors
/// The answer to credentials that are refused, or to every request while the configuration is wrong.
pub fn identity(config: &Config, request: &Request<'_>) -> Result<Arc<Identity>, Response> {
    let authenticator = AUTHENTICATOR.get_or_init(|| {
        let random = get_random_bytes(32).try_into().map_err(|_| "no random bytes".to_owned())?;
        Authenticator::new(config, random, &mut settings::read).map_err(|error| error.to_string())
    });
    let authenticator = authenticator.as_ref().map_err(|reason| internal_error(reason))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let mut verdict = authenticator.authenticate(request, now);
    if let Verdict::FetchKeys(error) = verdict {
        verdict = Verdict::Refused(error);
        match fetch(config).and_then(|text| authenticator.take_keys(&text).map_err(|error| error.to_string()))
        {
            Ok(()) => verdict = authenticator.authenticate(request, now),
            Err(reason) => log(&reason),
        }
    }
    let result = match verdict {
        Verdict::Is(identity) => Ok(identity),
        Verdict::CheckPassword(check) => authenticator.check_password(&check, now),
        Verdict::Refused(error) | Verdict::FetchKeys(error) => Err(error),
    };
    result.map_err(|error| refuse(config, request, &error))
}

/// The set of keys. One instance serves one request under Spin, so this is once for a token of a key that is not configured.
fn fetch(config: &Config) -> Result<String, String> {
    let url = config.signing_in().and_then(|auth| auth.jwt()).and_then(|jwt| jwt.jwks_url.as_deref());
    let url = url.ok_or("no auth.jwt.jwks_url")?;
    key_set::get(url).map_err(|reason| format!("auth.jwt.jwks_url: {url} gives no keys: {reason}"))
}
