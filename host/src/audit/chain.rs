//! The chain: each record has the hash of the one before and its own, so that none can be changed, removed or put in between
//! without all behind it being made anew. With a key only who has it can do that.
//!
//! A record is a line of JSON whose last members are `"prev":"…","hash":"…"`. The hash is of the bytes of the line in front of
//! `,"hash":`, by SHA-256 or, with a key, by HMAC-SHA-256, in hexadecimal.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How long a hash is, in hexadecimal digits.
pub const HASH: usize = 64;

/// What stands in front of the hash.
const MEMBER: &str = ",\"hash\":\"";

/// What stands in front of the hash of the record before.
const PREVIOUS: &str = ",\"prev\":\"";

/// What the first record of all has for the hash of the one before.
pub const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The secret of a chain.
#[derive(Clone)]
pub struct Key {
    secret: Vec<u8>,
    /// By what records name it: it tells keys apart, and nothing of them.
    pub id: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key {}", self.id)
    }
}

impl Key {
    /// Of these bytes.
    pub fn new(secret: &[u8]) -> Key {
        let mut id = hex(&hmac_sha256::HMAC::mac(b"the name of a key of SQLitREST's audit log", secret));
        id.truncate(16);
        Key { secret: secret.to_vec(), id }
    }
}

/// The hash of a record's bytes.
pub fn hash(key: Option<&Key>, bytes: &[u8]) -> String {
    match key {
        Some(key) => hex(&hmac_sha256::HMAC::mac(bytes, &key.secret)),
        None => hex(&Sha256::digest(bytes)),
    }
}

fn hex(bytes: &[u8]) -> String {
    crate::db::hex(bytes)
}

/// The last record of a log: what the next one goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 where there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Head { seq: 0, hash: NOTHING.to_owned() }
    }
}

/// A record of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number, its hash.
    pub head: Head,
    /// Its line, without the line feed.
    pub line: String,
}

/// Makes a record of its members: `json` is an object without its last brace.
pub fn seal(key: Option<&Key>, before: &Head, json: &str) -> Link {
    let mut line = format!("{json}{PREVIOUS}{}\"", before.hash);
    let hash = hash(key, line.as_bytes());
    line.push_str(MEMBER);
    line.push_str(&hash);
    line.push_str("\"}");
    Link { head: Head { seq: before.seq + 1, hash }, line }
}

/// A record as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// Its number.
    pub seq: u64,
    /// The hash that it says the one before has.
    pub previous: &'a str,
    /// Its own hash, as it says.
    pub hash: &'a str,
    /// What that is the hash of.
    pub bytes: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Reads a line; none where it is no record.
    pub fn read(line: &'a str) -> Option<Sealed<'a>> {
        let (body, hash) = line.strip_suffix("\"}")?.rsplit_once(MEMBER)?;
        let (_, previous) = body.strip_suffix('"')?.rsplit_once(PREVIOUS)?;
        let is_hash = |text: &str| text.len() == HASH && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = body.strip_prefix("{\"seq\":")?;
        let end = number.find(',')?;
        let seq = number.get(..end)?.parse().ok()?;
        (is_hash(hash) && is_hash(previous)).then_some(Sealed { seq, previous, hash, bytes: body.as_bytes() })
    }

    /// Whether its hash is that of its bytes.
    pub fn is_intact(&self, key: Option<&Key>) -> bool {
        bool::from(hash(key, self.bytes).as_bytes().ct_eq(self.hash.as_bytes()))
    }

    /// What the next record goes on from.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_made() {
        let key = Key::new(b"a key of some length");
        for key in [None, Some(&key)] {
            let first = seal(key, &Head::default(), "{\"seq\":1,\"path\":\"/a,\\\"hash\\\":\\\"\"");
            let read = Sealed::read(&first.line).expect("a record");
            assert_eq!((read.seq, read.previous, read.hash), (1, NOTHING, first.head.hash.as_str()));
            assert!(read.is_intact(key));
            let second = seal(key, &first.head, "{\"seq\":2,\"a\":1");
            let read = Sealed::read(&second.line).expect("a record");
            assert_eq!((read.head(), read.previous), (second.head.clone(), first.head.hash.as_str()));
            let changed = second.line.replace("\"a\":1", "\"a\":2");
            assert!(!Sealed::read(&changed).expect("a record").is_intact(key));
        }
        let line = seal(Some(&key), &Head::default(), "{\"seq\":1,\"a\":1").line;
        let keyed = Sealed::read(&line).expect("a record");
        assert!(!keyed.is_intact(None) && !keyed.is_intact(Some(&Key::new(b"another key of some length"))));
    }

    #[test]
    fn what_the_documents_tell_a_script() {
        // printf '%s' '{"seq":1,"event":"stop","prev":"0…0"' | sha256sum
        let link = seal(None, &Head::default(), "{\"seq\":1,\"event\":\"stop\"");
        assert_eq!(
            link.head.hash,
            hash(None, format!("{{\"seq\":1,\"event\":\"stop\",\"prev\":\"{NOTHING}\"").as_bytes())
        );
        assert_eq!(hash(None, b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn what_is_no_record() {
        let good = seal(None, &Head::default(), "{\"seq\":1,\"a\":1").line;
        for bad in [
            "",
            "{}",
            "null",
            &good[1..],
            &good[..good.len() - 1],
            &good.replace("prev", "perv"),
            &good.replace("\"seq\":1", "\"seq\":x"),
        ] {
            assert_eq!(Sealed::read(bad), None, "{bad}");
        }
    }
}
