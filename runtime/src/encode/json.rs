//! Values as JSON text and as fields of comma-separated lines, whatever they mean.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::value::Value;

pub(super) fn write_integer(i: i64, out: &mut Vec<u8>) {
    // Digits from the right; i64::MIN has no positive twin, so the absolute value is taken unsigned.
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = i.unsigned_abs();
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if i < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Infinities, which JSON has no number for, become strings as in PostgreSQL; SQLite stores NaN as NULL.
pub(super) fn write_real(r: f64, out: &mut Vec<u8>) {
    if r == 0.0 {
        // SQLite does not tell -0.0 from 0.0 in its text forms; neither do we.
        out.extend_from_slice(b"0.0");
    } else if r.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(r).as_bytes());
    } else if r.is_nan() {
        out.extend_from_slice(b"null");
    } else if r > 0.0 {
        out.extend_from_slice(b"\"Infinity\"");
    } else {
        out.extend_from_slice(b"\"-Infinity\"");
    }
}

pub(super) fn write_blob(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.push(b'"');
}

/// Appends a JSON string. Escapes only what RFC 8259 section 7 requires, as SQLite's `json_quote` does.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\') {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let (byte, tail) = match tail.split_first() {
            Some((byte, tail)) => (*byte, tail),
            None => break,
        };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend(HEX.get(usize::from(byte >> 4)));
                out.extend(HEX.get(usize::from(byte & 15)));
            }
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

pub(super) fn write_csv_text(text: &[u8], out: &mut Vec<u8>) {
    let plain = !text.is_empty() && !text.iter().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r'));
    if plain {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for byte in text {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Appends JSON without the members of objects that are null, like PostgreSQL's `json_strip_nulls`. What is not JSON is
/// appended as it is.
pub(super) fn strip_nulls(json: &[u8], out: &mut Vec<u8>) {
    use serde_json::value::RawValue;
    match json.first() {
        Some(b'{') => {
            let Ok(members) = serde_json::from_slice::<Members<'_>>(json) else {
                return out.extend_from_slice(json);
            };
            out.push(b'{');
            let kept = members.0.iter().filter(|(_, value)| value.get() != "null");
            for (i, (name, value)) in kept.enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_text(name, out);
                out.push(b':');
                strip_nulls(value.get().as_bytes(), out);
            }
            out.push(b'}');
        }
        Some(b'[') => {
            let Ok(items) = serde_json::from_slice::<Vec<&RawValue>>(json) else {
                return out.extend_from_slice(json);
            };
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                strip_nulls(item.get().as_bytes(), out);
            }
            out.push(b']');
        }
        _ => out.extend_from_slice(json),
    }
}

/// An object's members in their order.
struct Members<'a>(Vec<(String, &'a serde_json::value::RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Keys as a JSON array of arrays: `[["a",1],["b",2]]`. JSON has no BLOB; it becomes `{"b":"00FF"}`, which the compile stage reads again (`Compiler::same_key`).
pub fn keys_json(keys: &[Vec<Value>]) -> String {
    let mut out = vec![b'['];
    for (i, key) in keys.iter().enumerate() {
        out.extend_from_slice(if i > 0 { b",[" } else { b"[" });
        for (j, value) in key.iter().enumerate() {
            if j > 0 {
                out.push(b',');
            }
            match value {
                Value::Null => out.extend_from_slice(b"null"),
                Value::Integer(i) => out.extend_from_slice(i.to_string().as_bytes()),
                Value::Real(r) => out.extend_from_slice(format!("{r:e}").as_bytes()),
                Value::Text(text) => write_text(text, &mut out),
                Value::Blob(bytes) => {
                    out.extend_from_slice(b"{\"b\":\"");
                    out.extend(bytes.iter().flat_map(|byte| format!("{byte:02X}").into_bytes()));
                    out.extend_from_slice(b"\"}");
                }
            }
        }
        out.push(b']');
    }
    out.push(b']');
    String::from_utf8_lossy(&out).into_owned()
}

pub(super) fn from_hex(hex: &[u8]) -> Vec<u8> {
    let digit = |b: u8| (b as char).to_digit(16).unwrap_or(0) as u8;
    hex.chunks(2).map(|pair| pair.iter().fold(0, |byte, b| byte << 4 | digit(*b))).collect()
}
