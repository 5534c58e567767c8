//! `traceparent` (W3C Trace Context, <https://www.w3.org/TR/trace-context/#traceparent-header>): which trace a request belongs to.

use hyper::header::HeaderMap;

/// The name of the header field.
pub const FIELD: &str = "traceparent";

/// How long the field is in the version that we know.
const LENGTH: usize = 55;

/// The trace of whoever asks, and their span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Never 0.
    pub trace_id: u128,
    /// Never 0.
    pub span_id: u64,
    /// Whether whoever asks records it.
    pub is_sampled: bool,
}

/// The trace that the header fields name. One that is not written by the letter, or named twice, is none.
pub fn of(headers: &HeaderMap) -> Option<TraceParent> {
    let mut fields = headers.get_all(FIELD).iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => parse(field.as_bytes()),
        _ => None,
    }
}

/// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`. Of versions to come the same places are read.
fn parse(text: &[u8]) -> Option<TraceParent> {
    let known = text.get(..LENGTH)?;
    let is_separated = [2, 35, 52].iter().all(|at| known.get(*at) == Some(&b'-'));
    let version = hex(known.get(..2)?)?;
    let ends = match version {
        0 => text.len() == LENGTH,
        0xff => false,
        _ => matches!(text.get(LENGTH), None | Some(b'-')),
    };
    let trace_id = hex(known.get(3..35)?)?;
    let span_id = u64::try_from(hex(known.get(36..52)?)?).ok()?;
    let flags = hex(known.get(53..)?)?;
    let is_valid = is_separated && ends && trace_id != 0 && span_id != 0;
    is_valid.then_some(TraceParent { trace_id, span_id, is_sampled: flags & 1 == 1 })
}

/// A number of at most 32 digits, with small letters alone.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const TRACE: u128 = 0x4bf92f3577b34da6a3ce929d0e0e4736;

    #[test]
    fn by_the_letter() {
        let good = |flags: &str| parse(format!("00-{TRACE:032x}-00f067aa0ba902b7-{flags}").as_bytes());
        let parent = TraceParent { trace_id: TRACE, span_id: 0xf067aa0ba902b7, is_sampled: true };
        assert_eq!(good("01"), Some(parent));
        assert_eq!(good("03"), Some(parent));
        assert_eq!(good("00"), Some(TraceParent { is_sampled: false, ..parent }));
        let later = format!("cc-{TRACE:032x}-00f067aa0ba902b7-01-what-comes");
        assert_eq!(parse(later.as_bytes()), Some(parent));
        assert_eq!(parse(&later.as_bytes()[..LENGTH]), Some(parent));
    }

    #[test]
    fn anything_else_is_none() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-010",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-zz",
            " 0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn named_twice() {
        let field = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let mut headers = HeaderMap::new();
        headers.append(FIELD, field.clone());
        assert!(of(&headers).is_some());
        headers.append(FIELD, field);
        assert_eq!(of(&headers), None);
    }
}
