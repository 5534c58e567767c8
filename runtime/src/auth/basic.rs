//! Names and passwords (`[auth.basic]`, RFC 7617), and the checking of what is stored as argon2id.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::cache::Key;
use super::error::AuthError;
use crate::identity::Identity;

/// The most memory that a hash may want, in KiB.
const MOST_MEMORY: u32 = 1 << 20;

/// The users of a list, by name.
#[derive(Default)]
pub struct Users {
    users: HashMap<String, User>,
    /// What an unknown name is checked against, so that it takes as long as a known one.
    dummy: Option<Arc<str>>,
}

struct User {
    hash: Arc<str>,
    identity: Arc<Identity>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    user: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    password: String,
    role: String,
    subject: Option<String>,
    #[serde(default)]
    claims: Map<String, Json>,
}

// Without the hashes.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users", self.users.len())
    }
}

impl Users {
    /// Reads `[[user]]` tables.
    ///
    /// # Errors
    /// In words without a hash, which user is wrong and why.
    pub fn read(text: &str) -> Result<Users, String> {
        let list: List = toml::from_str(text).map_err(|error| in_list(text, &error))?;
        let mut users = Users::default();
        for entry in list.user {
            let name = entry.name;
            if name.is_empty() || name.contains(':') {
                return Err(format!("user \"{name}\": a name is not empty and has no colon"));
            }
            check_hash(&entry.password).map_err(|error| format!("user \"{name}\": password {error}"))?;
            let hash: Arc<str> = entry.password.into();
            users.dummy.get_or_insert_with(|| Arc::clone(&hash));
            let subject = entry.subject.unwrap_or_else(|| name.clone());
            let identity = identity(entry.role, Some(subject), entry.claims);
            if users.users.insert(name.clone(), User { hash, identity }).is_some() {
                return Err(format!("user \"{name}\" is there twice"));
            }
        }
        Ok(users)
    }

    /// The hash that the name's password has, and who it is; of an unknown name a hash and nobody.
    pub(super) fn find(&self, name: &str) -> (Option<Arc<str>>, Option<Arc<Identity>>) {
        match self.users.get(name) {
            Some(user) => (Some(Arc::clone(&user.hash)), Some(Arc::clone(&user.identity))),
            None => (self.dummy.clone(), None),
        }
    }
}

/// A password, or a key, with what is stored of it. Checking takes tens of milliseconds and megabytes, so a shell chooses where
/// and how many at a time.
pub struct PasswordCheck {
    pub(super) password: Vec<u8>,
    /// None costs as much as one by default.
    pub(super) hash: Option<Arc<str>>,
    /// Who it is, if it is right.
    pub(super) identity: Option<Arc<Identity>>,
    /// By what a right one is remembered.
    pub(super) key: Key,
    pub(super) generation: u64,
    pub(super) error: AuthError,
}

impl PasswordCheck {
    /// Who it is, where the password is right.
    pub(super) fn run(&self) -> Option<Arc<Identity>> {
        let is_right = match &self.hash {
            Some(hash) => is_right(&self.password, hash),
            None => {
                let mut out = [0; 32];
                // For the time that it takes.
                let _ =
                    Argon2::default().hash_password_into(&self.password, b"nobody is called so", &mut out);
                false
            }
        };
        self.identity.clone().filter(|_| is_right)
    }
}

/// What is stored of a password; `salt` is 16 random bytes. None where it cannot be hashed.
pub fn stored_password(password: &[u8], salt: &[u8]) -> Option<String> {
    Argon2::default().hash_password_with_salt(password, salt).ok().map(|hash| hash.to_string())
}

fn is_right(password: &[u8], hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

/// That a text is the hash of a password as it must be stored.
pub(super) fn check_hash(text: &str) -> Result<(), String> {
    let wrong =
        "is not the hash of a password: `sqlitrest user add` makes one ($argon2id$v=19$m=19456,t=2,p=1$…)";
    let hash = PasswordHash::new(text).map_err(|_| wrong.to_owned())?;
    if hash.algorithm.as_str() != "argon2id" || hash.hash.is_none() || hash.salt.is_none() {
        return Err(wrong.to_owned());
    }
    let params = argon2::Params::try_from(&hash).map_err(|_| wrong.to_owned())?;
    match params.m_cost() > MOST_MEMORY || params.t_cost() > 100 {
        true => Err("takes more memory or time than a request may have".to_owned()),
        false => Ok(()),
    }
}

/// Who is meant by an entry of a list.
pub(super) fn identity(
    role: String,
    subject: Option<String>,
    mut claims: Map<String, Json>,
) -> Arc<Identity> {
    claims.insert("role".to_owned(), Json::from(role.as_str()));
    if let Some(subject) = subject {
        claims.insert("sub".to_owned(), Json::from(subject));
    }
    Arc::new(Identity { role: Some(role), claims, is_anonymous: false })
}

/// What toml says, with the line. The line itself may have a hash in it and is not shown.
pub(super) fn in_list(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
    format!("line {line}: {}", error.message())
}
