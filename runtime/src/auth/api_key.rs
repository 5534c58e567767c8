//! API keys (`[auth.apikey]`): long random texts that are listed with a hash of each.
//!
//! Ours are `sqr_ID_SECRET`, so that one hash is compared. Any other text is compared with all, each in the same time.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::basic::{check_hash, identity, in_list};
use super::error::AuthError;
use super::jwt::Seconds;
use crate::identity::Identity;

/// What our keys begin with.
pub const PREFIX: &str = "sqr_";

/// The keys of a list.
#[derive(Default)]
pub struct KeyList {
    keys: Vec<ApiKey>,
    by_id: HashMap<String, usize>,
}

pub(super) struct ApiKey {
    hash: Hash,
    identity: Arc<Identity>,
    /// The first second in which it is not valid any more.
    expires: Seconds,
    disabled: bool,
}

enum Hash {
    Sha256([u8; 32]),
    Argon2(Arc<str>),
}

/// What is known of a key that came.
pub(super) enum Found {
    Is(Arc<Identity>),
    Wrong(AuthError),
    /// It is right if its hash is this one.
    Hashed(Arc<str>, Arc<Identity>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    key: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    hash: String,
    role: String,
    subject: Option<String>,
    expires: Option<toml::Value>,
    #[serde(default)]
    claims: Map<String, Json>,
    #[serde(default)]
    disabled: bool,
}

// Without the hashes.
impl fmt::Debug for KeyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.keys.len())
    }
}

impl KeyList {
    /// Reads `[[key]]` tables.
    ///
    /// # Errors
    /// In words without a hash, which key is wrong and why.
    pub fn read(text: &str) -> Result<KeyList, String> {
        let list: List = toml::from_str(text).map_err(|error| in_list(text, &error))?;
        let mut keys = KeyList::default();
        for entry in list.key {
            let id = entry.id;
            let about = |what: &str| format!("key \"{id}\": {what}");
            if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                return Err(about("an id has letters, digits and hyphens"));
            }
            let hash = match entry.hash.strip_prefix("sha256:") {
                Some(hex) => {
                    Hash::Sha256(hex32(hex).ok_or_else(|| about("sha256: is not followed by 64 digits"))?)
                }
                None => {
                    check_hash(&entry.hash)
                        .map_err(|_| about("hash is neither sha256:HEX nor one of argon2id"))?;
                    Hash::Argon2(entry.hash.into())
                }
            };
            let expires = match &entry.expires {
                None => Seconds::MAX,
                Some(value) => seconds(value)
                    .ok_or_else(|| about("expires is no time with its offset: write 2027-01-31T00:00:00Z"))?,
            };
            let identity = identity(entry.role, entry.subject, entry.claims);
            if keys.by_id.insert(id.clone(), keys.keys.len()).is_some() {
                return Err(about("is there twice"));
            }
            keys.keys.push(ApiKey { hash, identity, expires, disabled: entry.disabled });
        }
        Ok(keys)
    }

    /// What is known of a key that came.
    pub(super) fn find(&self, key: &str, now: Seconds) -> Found {
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let found = match key.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')) {
            Some((id, _)) => self.by_id.get(id).and_then(|place| self.keys.get(*place)),
            None => self.by_hash(&digest),
        };
        let wrong = || Found::Wrong(AuthError::ApiKey);
        let Some(found) = found else { return wrong() };
        match &found.hash {
            Hash::Argon2(hash) if !found.disabled && now < found.expires => {
                Found::Hashed(Arc::clone(hash), Arc::clone(&found.identity))
            }
            Hash::Argon2(_) => wrong(),
            Hash::Sha256(hash) if !bool::from(hash.ct_eq(&digest)) || found.disabled => wrong(),
            Hash::Sha256(_) if now >= found.expires => Found::Wrong(AuthError::ApiKeyExpired),
            Hash::Sha256(_) => Found::Is(Arc::clone(&found.identity)),
        }
    }

    /// Compares with every key, so that the time does not tell how far it came.
    fn by_hash(&self, digest: &[u8; 32]) -> Option<&ApiKey> {
        let mut found = None;
        for key in &self.keys {
            let is_it = match &key.hash {
                Hash::Sha256(hash) => hash.ct_eq(digest),
                Hash::Argon2(_) => Choice::from(0),
            };
            if bool::from(is_it) {
                found = Some(key);
            }
        }
        found
    }
}

/// The hash that is stored of a key, as `sha256:HEX`.
pub fn stored_hash(key: &str) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(key.as_bytes()) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn hex32(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// A time of TOML, or RFC 3339 in a text. It must say of which zone it is.
fn seconds(value: &toml::Value) -> Option<Seconds> {
    let text = value
        .as_datetime()
        .map_or_else(|| value.as_str().map(str::to_owned), |time| Some(time.to_string()))?;
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn list() -> KeyList {
        let own = |id: &str| stored_hash(&format!("sqr_{id}_the-secret_of-it"));
        let text = format!(
            r#"
[[key]]
id = "ci"
hash = "{}"
role = "editor"
subject = "7"
claims = {{ team = "a", sub = "overridden" }}
[[key]]
id = "old"
hash = "{}"
role = "editor"
expires = 2026-01-01T00:00:00Z
[[key]]
id = "off"
hash = "{}"
role = "editor"
disabled = true
[[key]]
id = "foreign"
hash = "{}"
role = "viewer"
expires = "2026-01-01T01:00:00+01:00"
"#,
            own("ci"),
            own("old"),
            own("off"),
            stored_hash("a key of somebody else"),
        );
        KeyList::read(&text).expect("a list")
    }

    fn find(key: &str, now: Seconds) -> Result<String, AuthError> {
        match list().find(key, now) {
            Found::Is(identity) => Ok(serde_json::Value::Object(identity.claims.clone()).to_string()),
            Found::Wrong(error) => Err(error),
            Found::Hashed(..) => panic!("no such key"),
        }
    }

    #[test]
    fn keys() {
        let start = 1_767_225_600;
        assert_eq!(
            find("sqr_ci_the-secret_of-it", start),
            Ok(r#"{"sub":"7","team":"a","role":"editor"}"#.to_owned())
        );
        assert_eq!(find("sqr_old_the-secret_of-it", start - 1), Ok(r#"{"role":"editor"}"#.to_owned()));
        assert_eq!(find("sqr_old_the-secret_of-it", start), Err(AuthError::ApiKeyExpired));
        assert_eq!(find("a key of somebody else", start - 1), Ok(r#"{"role":"viewer"}"#.to_owned()));
        assert_eq!(find("a key of somebody else", start), Err(AuthError::ApiKeyExpired));
        for wrong in [
            "",
            "sqr_",
            "sqr_ci",
            "sqr_ci_",
            "sqr_ci_the-secret_of-iT",
            "sqr_ci_the-secret_of-it ",
            "sqr_none_x",
            "sqr_off_the-secret_of-it",
            "sqr_old_the-secret_of-i",
            "ci",
            "a key of somebody els",
        ] {
            assert_eq!(find(wrong, start), Err(AuthError::ApiKey), "{wrong}");
        }
    }

    fn check_error(text: &str, expected: Expect) {
        expected.assert_eq(&KeyList::read(text).expect_err(text));
    }

    #[test]
    fn mistakes() {
        let key = |rest: &str| {
            format!("[[key]]\nid = \"a\"\nrole = \"r\"\nhash = \"sha256:{}\"\n{rest}", "0".repeat(64))
        };
        check_error(
            "[[key]]\nid = \"a\"\nrole = \"r\"\nhash = \"x\"\n",
            expect![[r#"key "a": hash is neither sha256:HEX nor one of argon2id"#]],
        );
        check_error(
            "[[key]]\nid = \"a\"\nrole = \"r\"\nhash = \"sha256:x\"\n",
            expect![[r#"key "a": sha256: is not followed by 64 digits"#]],
        );
        check_error(
            "[[key]]\nid = \"a_b\"\nrole = \"r\"\nhash = \"x\"\n",
            expect![[r#"key "a_b": an id has letters, digits and hyphens"#]],
        );
        check_error(
            &key("expires = 2026-01-01\n"),
            expect![[r#"key "a": expires is no time with its offset: write 2027-01-31T00:00:00Z"#]],
        );
        check_error(
            &key("expires = \"soon\"\n"),
            expect![[r#"key "a": expires is no time with its offset: write 2027-01-31T00:00:00Z"#]],
        );
        check_error(
            &key("expire = \"soon\"\n"),
            expect![
                "line 5: unknown field `expire`, expected one of `id`, `hash`, `role`, `subject`, `expires`, `claims`, `disabled`"
            ],
        );
        check_error(&(key("") + &key("")), expect![[r#"key "a": is there twice"#]]);
        assert!(KeyList::read("").expect("none").keys.is_empty());
    }
}
