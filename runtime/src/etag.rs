//! Entity tags and the requests that depend on them (RFC 9110 sections 8.8.3 and 13.1). Beyond PostgREST.
//!
//! A tag is a hash of the rows as they are told, with a letter for the media type: one of a JSON answer serves `If-Match` on a
//! write of the same URL.

use twox_hash::XxHash3_64;

use crate::http::Request;
use crate::media::MediaType;

/// `If-Match` and `If-None-Match`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditional {
    /// `If-Match`
    pub if_match: Option<Tags>,
    /// `If-None-Match`
    pub if_none_match: Option<Tags>,
}

/// What the field of a condition names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: anything that is there.
    Any,
    /// These tags, with their quotes and, where they are weak, `W/`.
    List(Vec<String>),
}

/// The tag of rows in a media type, and of what is told beside them, if anything is.
pub fn etag(rows: &[u8], beside: &str, media_type: &MediaType) -> String {
    let letter = match media_type {
        MediaType::Json => 'j',
        MediaType::Object => 'o',
        MediaType::JsonStripped => 's',
        MediaType::ObjectStripped => 't',
        MediaType::Csv => 'c',
        MediaType::Lines => 'l',
        MediaType::Plan { .. } => 'p',
        MediaType::Other(_) => 'x',
    };
    let seed = if beside.is_empty() { 0 } else { XxHash3_64::oneshot(beside.as_bytes()) };
    format!("\"{:016x}{letter}\"", XxHash3_64::oneshot_with_seed(seed, rows))
}

impl Conditional {
    /// Reads a request.
    pub fn of(request: &Request<'_>) -> Conditional {
        let tags = |name: &str| {
            let list: Vec<String> = request
                .texts(name)
                .flat_map(|field| field.split(','))
                .map(|tag| tag.trim().to_owned())
                .filter(|tag| !tag.is_empty())
                .collect();
            match list.as_slice() {
                [] => None,
                [one] if one == "*" => Some(Tags::Any),
                _ => Some(Tags::List(list)),
            }
        };
        Conditional { if_match: tags("if-match"), if_none_match: tags("if-none-match") }
    }

    /// Whether a request has any.
    pub fn is_none(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// Whether a client that reads has what it would be told.
    pub fn has(&self, etag: &str) -> bool {
        match &self.if_none_match {
            None => false,
            Some(Tags::Any) => true,
            // A weak tag is good enough to read by.
            Some(Tags::List(list)) => list.iter().any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == etag),
        }
    }

    /// Whether a client may be told at all of this many rows with this tag (`If-Match`).
    pub fn allow_read(&self, etag: &str, rows: u64) -> bool {
        match &self.if_match {
            None => true,
            Some(Tags::Any) => rows > 0,
            Some(Tags::List(list)) => list.iter().any(|tag| tag == etag),
        }
    }

    /// Whether a write may go on, of these rows as JSON objects.
    pub fn allow_write(&self, rows: &[u8], count: u64) -> bool {
        let is_one_of = |tags: &Tags| match tags {
            Tags::Any => count > 0,
            Tags::List(list) => [MediaType::Json, MediaType::Object]
                .iter()
                .any(|media_type| list.contains(&etag(rows, "", media_type))),
        };
        self.if_match.as_ref().is_none_or(is_one_of) && !self.if_none_match.as_ref().is_some_and(is_one_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditional(headers: &[(&str, &[u8])]) -> Conditional {
        Conditional::of(&Request { method: "GET", target: "/", headers, body: b"" })
    }

    #[test]
    fn reads_and_writes() {
        let tag = etag(b"{}", "", &MediaType::Json);
        assert_eq!(tag, etag(b"{}", "", &MediaType::Json));
        assert_ne!(tag, etag(b"{}", "", &MediaType::Csv));
        assert_ne!(tag, etag(b"{}", "0-0/3", &MediaType::Json));
        assert!(
            conditional(&[]).allow_read(&tag, 0)
                && conditional(&[("if-match", tag.as_bytes())]).allow_read(&tag, 1)
        );
        assert!(!conditional(&[("if-match", b"\"a\"")]).allow_read(&tag, 1));
        let weak = format!("\"a\", W/{tag}");
        let none = conditional(&[("if-none-match", weak.as_bytes())]);
        assert!(none.has(&tag) && !none.has(&etag(b"{ }", "", &MediaType::Json)));
        assert!(none.allow_write(b"{}", 1), "a weak tag is never strongly equal");
        let strong = conditional(&[("if-match", b"\"a\""), ("if-match", tag.as_bytes())]);
        assert!(strong.allow_write(b"{}", 1) && !strong.allow_write(b"{ }", 1) && !strong.has(&tag));
        let any = conditional(&[("if-match", b"*")]);
        assert!(any.allow_write(b"", 1) && !any.allow_write(b"", 0));
        let missing = conditional(&[("if-none-match", b" * ")]);
        assert!(missing.allow_write(b"", 0) && !missing.allow_write(b"", 1));
        assert!(conditional(&[("if-match", b" , ")]).is_none());
    }
}
