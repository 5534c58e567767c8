//! Why credentials are refused: PostgREST's codes and words where it has them.

use crate::config::Config;
use crate::error::Problem;

/// A request that is refused for its credentials.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthError {
    /// A JWT came, and there is no key to check it with.
    NoKeys,
    /// `Authorization: Bearer` with nothing behind it.
    EmptyToken,
    /// Not three parts between dots, but so many.
    Parts(usize),
    /// A JWT whose header cannot be read.
    Unreadable,
    /// A JWT that no key has signed; what was looked for.
    NoKey(&'static str),
    /// A JWT by an algorithm that is not accepted; why.
    Algorithm(&'static str),
    /// A signed JWT whose claims do not hold.
    Claim(ClaimError),
    /// Nobody has signed in, or somebody without a role, and there is no `api.anonymous_role`.
    Anonymous,
    /// An `Authorization` by a scheme that is not enabled.
    Scheme,
    /// Two credentials of one kind.
    Ambiguous,
    /// A cookie that came with a request of another site.
    CrossSite,
    /// An API key that there is none of.
    ApiKey,
    /// An API key whose time is over.
    ApiKeyExpired,
    /// A wrong name or a wrong password.
    Password,
    /// More passwords to check than can be checked.
    Busy,
}

/// What does not hold of the claims of a JWT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// They are no JSON object, or one that says something twice.
    Unreadable,
    /// `exp` has passed.
    Expired,
    /// `nbf` is to come.
    NotYetValid,
    /// `iat` is to come.
    IssuedInFuture,
    /// `aud` names others.
    Audience,
    /// `iss` names another, or nobody.
    Issuer,
    /// `exp` is no number.
    ExpNotNumber,
    /// `nbf` is no number.
    NbfNotNumber,
    /// `iat` is no number.
    IatNotNumber,
    /// `aud` is neither a string nor an array of strings.
    AudNotStrings,
}

impl ClaimError {
    fn message(self) -> &'static str {
        match self {
            ClaimError::Unreadable => "Parsing claims failed",
            ClaimError::Expired => "JWT expired",
            ClaimError::NotYetValid => "JWT not yet valid",
            ClaimError::IssuedInFuture => "JWT issued at future",
            ClaimError::Audience => "JWT not in audience",
            ClaimError::Issuer => "JWT not from an accepted issuer",
            ClaimError::ExpNotNumber => "The JWT 'exp' claim must be a number",
            ClaimError::NbfNotNumber => "The JWT 'nbf' claim must be a number",
            ClaimError::IatNotNumber => "The JWT 'iat' claim must be a number",
            ClaimError::AudNotStrings => "The JWT 'aud' claim must be a string or an array of strings",
        }
    }
}

impl AuthError {
    /// What the client is told. No part of a credential is in it.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            AuthError::NoKeys => Problem::new(500, "PGRST300", "Server lacks JWT secret"),
            AuthError::EmptyToken => {
                Problem::new(401, "PGRST301", "Empty JWT is sent in Authorization header")
            }
            AuthError::Parts(parts) => {
                Problem::new(401, "PGRST301", format!("Expected 3 parts in JWT; got {parts}"))
            }
            AuthError::Unreadable => Problem::new(401, "PGRST301", "JWT cryptographic operation failed"),
            AuthError::NoKey(details) => {
                Problem::new(401, "PGRST301", "No suitable key or wrong key type").details(*details)
            }
            AuthError::Algorithm(details) => {
                Problem::new(401, "PGRST301", "Wrong or unsupported encoding algorithm").details(*details)
            }
            AuthError::Claim(claim) => Problem::new(401, "PGRST303", claim.message()),
            AuthError::Anonymous => Problem::new(401, "PGRST302", "Anonymous access is disabled"),
            AuthError::Scheme => {
                Problem::new(401, "PGRST301", "The scheme of the Authorization header is not enabled")
            }
            AuthError::Ambiguous => {
                Problem::new(401, "PGRST301", "Several credentials of one kind in one request")
            }
            AuthError::CrossSite => {
                Problem::new(401, "PGRST301", "Cookies are not taken with requests of other sites").hint(
                    "Name the site in middleware.cors_origins, or send Authorization: Bearer.".to_owned(),
                )
            }
            AuthError::ApiKey => Problem::new(401, "PGRST301", "The API key is not valid"),
            AuthError::ApiKeyExpired => Problem::new(401, "PGRST303", "The API key has expired"),
            AuthError::Password => Problem::new(401, "PGRST301", "The user name or the password is wrong"),
            AuthError::Busy => Problem::new(503, "PGRST003", "Too many passwords to check at once")
                .hint("Try again.".to_owned()),
        }
    }

    /// The values of `WWW-Authenticate` (RFC 9110 section 11.6.1), which every 401 has.
    pub(crate) fn challenges(&self, config: &Config) -> Vec<String> {
        let problem = self.problem();
        if problem.status != 401 {
            return Vec::new();
        }
        let auth = config.signing_in();
        let basic = auth.is_some_and(|auth| auth.basic().is_some());
        let bearer = auth.is_some_and(|auth| auth.jwt().is_some() || auth.apikey().is_some());
        let mut challenges = Vec::new();
        if bearer || !basic {
            challenges.push(match self {
                AuthError::Anonymous | AuthError::Password | AuthError::ApiKey => "Bearer".to_owned(),
                _ => format!("Bearer error=\"invalid_token\", error_description=\"{}\"", problem.message),
            });
        }
        if basic {
            challenges.push("Basic realm=\"sqlitrest\", charset=\"UTF-8\"".to_owned());
        }
        challenges
    }
}
