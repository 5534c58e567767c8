//! The name of a request in logs: that which whoever asks has given it, or one of ours.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// The name of the header field, of requests and of answers.
pub const FIELD: HeaderName = HeaderName::from_static("x-request-id");

/// The longest that is taken over, in bytes.
const LONGEST: usize = 128;

thread_local! {
    /// Where this thread is in its numbers; each thread begins elsewhere.
    static STATE: Cell<u64> = Cell::new(seed());
}

/// The request's own, if it is one that can stand in a line of a log; else a new one.
pub fn of(headers: &HeaderMap) -> HeaderValue {
    headers.get(&FIELD).filter(|id| is_sane(id.as_bytes())).cloned().unwrap_or_else(make)
}

/// Letters, digits and what stands in the identifiers that people use (UUIDs, ULIDs, base64, paths); nothing that a log would have to
/// quote.
fn is_sane(id: &[u8]) -> bool {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.~:/+=@".contains(b);
    (1..=LONGEST).contains(&id.len()) && id.iter().all(is_plain)
}

/// 32 hexadecimal digits that no other request has. They are no secret: whoever sees one may guess the next.
fn make() -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut bytes = [0; 32];
    let number = u128::from(next()) << 64 | u128::from(next());
    for (at, byte) in bytes.iter_mut().enumerate() {
        let digit = usize::try_from(number >> (4 * at) & 15).unwrap_or_default();
        *byte = DIGITS.get(digit).copied().unwrap_or(b'0');
    }
    HeaderValue::from_bytes(&bytes).unwrap_or(HeaderValue::from_static("none"))
}

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>).
fn next() -> u64 {
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn seed() -> u64 {
    let mut bytes = [0; 8];
    if getrandom::fill(&mut bytes).is_ok() {
        return u64::from_le_bytes(bytes);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_one_is_taken_over() {
        for good in
            ["a", "7b1c", "018f3c1e-7c1a-7b3e-9f60-0a1b2c3d4e5f", "Root=1-67891233-abcdef012345678912345678"]
        {
            let headers = HeaderMap::from_iter([(FIELD, HeaderValue::from_static(good))]);
            assert_eq!(of(&headers), good);
        }
    }

    #[test]
    fn any_other_is_replaced() {
        let long = "x".repeat(LONGEST + 1);
        for bad in ["", "a b", "a\"b", "a,b", "a;b", "{}", "a\tb", &long] {
            let value = HeaderValue::from_bytes(bad.as_bytes()).expect("a field");
            let id = of(&HeaderMap::from_iter([(FIELD, value)]));
            assert_eq!(id.len(), 32, "{bad:?}");
        }
        let made: Vec<HeaderValue> = (0..1_000).map(|_| of(&HeaderMap::new())).collect();
        assert!(made.iter().all(|id| id.as_bytes().iter().all(u8::is_ascii_hexdigit)));
        let different: std::collections::HashSet<&[u8]> = made.iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(different.len(), made.len());
    }
}
