//! Signing in: from the credentials of a request to who asks.
//!
//! The first credential of a request in this order is the one that counts: `Authorization`, the cookie of `auth.jwt.cookie`,
//! the header field of `auth.apikey.header`. Where it is wrong the request is refused, whatever else came with it.
//!
//! Pure: the shell hands in the time, random bytes, and the texts of files and of fetched keys. Nothing here is logged, and
//! no error has a part of a credential in it.

pub mod api_key;
pub mod basic;
pub mod cache;
pub mod config;
mod credential;
pub mod error;
pub mod jwt;
pub mod keys;
pub(crate) mod response;
pub mod role_claim;
pub mod signature;
mod unique_json;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jwt_simple::algorithms::{HS256Key, MACLike as _};
use sha2::{Digest as _, Sha256};

use crate::config::{Config, ConfigError};
use crate::cors;
use crate::error::Error;
use crate::http::Request;
use crate::identity::Identity;
use api_key::{Found, KeyList};
use basic::{PasswordCheck, Users};
use cache::Cache;
use config::{Auth, Jwt, Reader, reference};
use credential::{Credential, Places};
use error::AuthError;
use jwt::{Rules, Seconds, Token, Unsigned};
use keys::Key;

/// The most tokens that are remembered.
const MOST_TOKENS: usize = 2_000;

/// The most passwords that are remembered, and for how many seconds.
const MOST_PASSWORDS: usize = 1_000;
const PASSWORD_SECONDS: Seconds = 60;

/// The longest password or API key that is looked at, in bytes.
const MOST_PASSWORD: usize = 1_024;

/// Keys, lists and what was found out with them; one for a server.
pub struct Authenticator {
    /// Nobody in particular.
    anonymous: Arc<Identity>,
    /// Whether everybody must sign in.
    is_closed: bool,
    /// Where credentials stand; none where they are not looked at.
    places: Option<Places>,
    jwt: Option<JwtAuth>,
    api_keys: Option<RwLock<Arc<KeyList>>>,
    users: Option<RwLock<Arc<Users>>>,
    /// Right passwords, until when.
    passwords: Mutex<Cache<Seconds>>,
    /// Hides what the passwords are remembered by.
    random: HS256Key,
}

struct JwtAuth {
    rules: Rules,
    /// Those of `auth.jwt.secret`.
    configured: Vec<Key>,
    /// Whether there may be more at `auth.jwt.jwks_url`.
    fetches: bool,
    /// All of them.
    keys: RwLock<Arc<Vec<Key>>>,
    tokens: Mutex<Cache<Token>>,
}

/// What is known of who asks.
pub enum Verdict {
    /// It is this one.
    Is(Arc<Identity>),
    /// Nobody that could be let in.
    Refused(Error),
    /// The keys at `auth.jwt.jwks_url` are needed: hand them to [`Authenticator::take_keys`] and ask again. The error is the
    /// answer where they cannot be had, or were fetched a moment ago.
    FetchKeys(Error),
    /// A password is to be checked, which takes long: hand it to [`Authenticator::check_password`].
    CheckPassword(PasswordCheck),
}

impl From<Result<Arc<Identity>, AuthError>> for Verdict {
    fn from(result: Result<Arc<Identity>, AuthError>) -> Verdict {
        match result {
            Ok(identity) => Verdict::Is(identity),
            Err(error) => Verdict::Refused(Error::Auth(error)),
        }
    }
}

impl Authenticator {
    /// Reads what `[auth]` refers to. `random` is 32 bytes that nobody can guess.
    ///
    /// # Errors
    /// One sentence with the key of the configuration, and without the secret.
    pub fn new(
        config: &Config,
        random: [u8; 32],
        read: &mut Reader<'_>,
    ) -> Result<Authenticator, ConfigError> {
        let auth = config.signing_in();
        let places = auth.map(|auth| Places::new(auth, &config.middleware.cors_origins));
        let jwt = match auth.and_then(Auth::jwt) {
            Some(jwt) => {
                Some(JwtAuth::new(jwt, config.api.anonymous_role.as_deref(), read).map_err(ConfigError)?)
            }
            None => None,
        };
        let mut list = |key: &str, source: &str| {
            let text = reference(source).map_or_else(|| Err("it is no reference".to_owned()), &mut *read);
            text.map_err(|error| ConfigError(format!("{key}: {error}")))
        };
        let api_keys = match auth.and_then(Auth::apikey) {
            Some(keys) => Some(list("auth.apikey.source", &keys.source)?),
            None => None,
        };
        let users = match auth.and_then(Auth::basic) {
            Some(basic) => Some(list("auth.basic.source", &basic.source)?),
            None => None,
        };
        let authenticator = Authenticator {
            anonymous: Arc::new(Identity::anonymous(config)),
            is_closed: config.is_closed(),
            places,
            jwt,
            api_keys: api_keys.as_ref().map(|_| RwLock::default()),
            users: users.as_ref().map(|_| RwLock::default()),
            passwords: Mutex::new(Cache::new(MOST_PASSWORDS)),
            random: HS256Key::from_bytes(&random),
        };
        if let Some(text) = api_keys {
            authenticator.take_api_keys(&text)?;
        }
        if let Some(text) = users {
            authenticator.take_users(&text)?;
        }
        Ok(authenticator)
    }

    /// Who asks.
    pub fn authenticate(&self, request: &Request<'_>, now: Seconds) -> Verdict {
        let Some(places) = &self.places else { return self.nobody() };
        if cors::is_preflight(request) {
            // It comes without credentials always; what follows it has them.
            return Verdict::Is(Arc::clone(&self.anonymous));
        }
        match places.find(request) {
            Ok(Credential::None) => self.nobody(),
            Ok(Credential::Token(token)) => self.token(token, now),
            Ok(Credential::ApiKey(key)) => self.api_key(key, now),
            Ok(Credential::Password { name, password }) => self.password(&name, &password, now),
            Err(error) => Verdict::Refused(Error::Auth(error)),
        }
    }

    /// Nobody in particular, where a request comes without credentials: for what nobody need sign in for, even where the API lets in
    /// nobody else.
    pub fn without_credentials(&self, request: &Request<'_>) -> Option<Arc<Identity>> {
        let is_none =
            self.places.as_ref().is_none_or(|places| matches!(places.find(request), Ok(Credential::None)));
        is_none.then(|| Arc::clone(&self.anonymous))
    }

    fn nobody(&self) -> Verdict {
        match self.is_closed {
            true => Verdict::Refused(Error::Auth(AuthError::Anonymous)),
            false => Verdict::Is(Arc::clone(&self.anonymous)),
        }
    }

    fn token(&self, token: &str, now: Seconds) -> Verdict {
        let Some(jwt) = &self.jwt else { return Verdict::Refused(Error::Auth(AuthError::Scheme)) };
        let key = Sha256::digest(token.as_bytes()).into();
        let (known, generation) = {
            let mut tokens = lock(&jwt.tokens);
            (tokens.get(&key), tokens.generation())
        };
        if let Some(token) = known {
            return jwt.rules.admit(&token, now).into();
        }
        let keys = Arc::clone(&jwt.keys.read().unwrap_or_else(PoisonError::into_inner));
        match jwt.rules.signed(token, &keys) {
            Ok(token) => {
                lock(&jwt.tokens).insert(generation, key, token.clone());
                jwt.rules.admit(&token, now).into()
            }
            Err(Unsigned::Wrong(error)) => Verdict::Refused(Error::Auth(error)),
            Err(Unsigned::NoCandidate) => {
                let error = match keys.is_empty() {
                    true => AuthError::NoKeys,
                    false => AuthError::NoKey("No suitable key was found to decode the JWT"),
                };
                match jwt.fetches {
                    true => Verdict::FetchKeys(Error::Auth(error)),
                    false => Verdict::Refused(Error::Auth(error)),
                }
            }
        }
    }

    fn api_key(&self, key: &str, now: Seconds) -> Verdict {
        let refused = || Verdict::Refused(Error::Auth(AuthError::ApiKey));
        let Some(list) = &self.api_keys else { return refused() };
        if key.len() > MOST_PASSWORD {
            return refused();
        }
        let list = Arc::clone(&list.read().unwrap_or_else(PoisonError::into_inner));
        match list.find(key, now) {
            Found::Is(identity) => Verdict::Is(identity),
            Found::Wrong(error) => Verdict::Refused(Error::Auth(error)),
            Found::Hashed(hash, identity) => {
                self.hashed(Some(hash), Some(identity), ["", key], AuthError::ApiKey, now)
            }
        }
    }

    fn password(&self, name: &str, password: &str, now: Seconds) -> Verdict {
        let Some(users) = &self.users else { return Verdict::Refused(Error::Auth(AuthError::Scheme)) };
        if password.len() > MOST_PASSWORD {
            return Verdict::Refused(Error::Auth(AuthError::Password));
        }
        let (hash, identity) = users.read().unwrap_or_else(PoisonError::into_inner).find(name);
        self.hashed(hash, identity, [name, password], AuthError::Password, now)
    }

    /// Whether the name and password are remembered, or are to be checked.
    fn hashed(
        &self,
        hash: Option<Arc<str>>,
        identity: Option<Arc<Identity>>,
        [name, password]: [&str; 2],
        error: AuthError,
        now: Seconds,
    ) -> Verdict {
        // The lengths keep the parts apart. With the hash in it, another password of the same name is something else.
        let stored = hash.as_deref().unwrap_or_default();
        let text = format!("{} {} {stored}{name}{password}", stored.len(), name.len());
        let key = self.random.authentication_tag(text.as_bytes()).try_into().unwrap_or_default();
        let (until, generation) = {
            let mut passwords = lock(&self.passwords);
            (passwords.get(&key), passwords.generation())
        };
        match (until, identity) {
            (Some(until), Some(identity)) if now < until => Verdict::Is(identity),
            (_, identity) => {
                let password = password.as_bytes().to_vec();
                Verdict::CheckPassword(PasswordCheck { password, hash, identity, key, generation, error })
            }
        }
    }

    /// Whether a password is right. Takes tens of milliseconds, and as much memory as its hash wants (19 MiB by default).
    ///
    /// # Errors
    /// It is not.
    pub fn check_password(&self, check: &PasswordCheck, now: Seconds) -> Result<Arc<Identity>, Error> {
        let identity = check.run().ok_or_else(|| Error::Auth(check.error.clone()))?;
        lock(&self.passwords).insert(check.generation, check.key, now.saturating_add(PASSWORD_SECONDS));
        Ok(identity)
    }

    /// Takes the text of the JWKS at `auth.jwt.jwks_url`. What is no set of keys leaves those that there are.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn take_keys(&self, text: &str) -> Result<(), ConfigError> {
        let Some(jwt) = &self.jwt else { return Ok(()) };
        let fetched = keys::fetched(text, jwt.rules.pinned())
            .map_err(|error| ConfigError(format!("auth.jwt.jwks_url: {error}")))?;
        let all = jwt.configured.iter().cloned().chain(fetched).collect();
        *jwt.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(all);
        // A token of a key that is gone is not right any more.
        lock(&jwt.tokens).clear();
        Ok(())
    }

    /// Whether there is any key for tokens.
    pub fn has_keys(&self) -> bool {
        let has = |jwt: &JwtAuth| !jwt.keys.read().unwrap_or_else(PoisonError::into_inner).is_empty();
        self.jwt.as_ref().is_some_and(has)
    }

    /// Takes the text of the list of API keys, as it is now. A broken one leaves the list that there is.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn take_api_keys(&self, text: &str) -> Result<(), ConfigError> {
        let list =
            KeyList::read(text).map_err(|error| ConfigError(format!("auth.apikey.source: {error}")))?;
        if let Some(keys) = &self.api_keys {
            *keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
            lock(&self.passwords).clear();
        }
        Ok(())
    }

    /// Takes the text of the list of users, as it is now. A broken one leaves the list that there is.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn take_users(&self, text: &str) -> Result<(), ConfigError> {
        let list = Users::read(text).map_err(|error| ConfigError(format!("auth.basic.source: {error}")))?;
        if let Some(users) = &self.users {
            *users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
            lock(&self.passwords).clear();
        }
        Ok(())
    }
}

impl JwtAuth {
    fn new(jwt: &Jwt, anonymous_role: Option<&str>, read: &mut Reader<'_>) -> Result<JwtAuth, String> {
        let rules = Rules::new(jwt, anonymous_role)?;
        let configured = match &jwt.secret {
            Some(secret) => {
                let about = |error: String| format!("auth.jwt.secret: {error}");
                let text = match reference(&secret.0) {
                    Some(reference) => read(reference).map_err(about)?,
                    None => secret.0.clone(),
                };
                keys::configured(jwt, &text, rules.pinned()).map_err(about)?
            }
            None => Vec::new(),
        };
        Ok(JwtAuth {
            rules,
            keys: RwLock::new(Arc::new(configured.clone())),
            configured,
            fetches: jwt.jwks_url.is_some(),
            tokens: Mutex::new(Cache::new(MOST_TOKENS)),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
