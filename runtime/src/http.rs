//! A request and a response as plain records, the same for every shell (hyper, Spin, tests).

use std::borrow::Cow;

use crate::audit::Act;

/// A request as it stood on the wire, borrowed from the shell.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The request target, still percent-encoded: `/tracks?select=name`.
    pub target: &'a str,
    /// Header fields; names in lower case.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The whole body.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The first field of this (lower-case) name that is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(n, _)| *n == name).and_then(|(_, v)| std::str::from_utf8(v).ok())
    }

    /// Every field of this (lower-case) name that is text.
    pub fn texts<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + Clone + use<'a, 'n> {
        self.headers.iter().filter(move |(n, _)| *n == name).filter_map(|(_, v)| std::str::from_utf8(v).ok())
    }
}

/// What the shell sends back. The shell adds `content-length`, `date` and the like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header fields, names in lower case, in the order to send.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The body; empty for HEAD and 204.
    pub body: Vec<u8>,
    /// The length that a GET would have had, where the body is left out (HEAD).
    pub content_length: Option<u64>,
    /// Where the shell sends rows behind the body ([`Paged::Streams`]): what it sends behind the last of them.
    ///
    /// [`Paged::Streams`]: crate::database::Paged::Streams
    pub tail: Option<Vec<u8>>,
    /// A line for the log, where something failed that the client is not told of. Never sent.
    pub log: Option<String>,
    /// What the request did, where the shell has asked for it ([`Audits`]). Never sent.
    ///
    /// [`Audits`]: crate::audit::Audits
    pub acts: Vec<Act>,
}
