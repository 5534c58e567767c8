//! A request of one's own, for work that goes on on another thread.

use sqlitrest_runtime::http::Request;

/// The parts of a [`Request`].
pub struct Owned {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Owned {
    /// A copy.
    pub fn of(request: &Request<'_>) -> Owned {
        Owned {
            method: request.method.to_owned(),
            target: request.target.to_owned(),
            headers: request.headers.iter().map(|(name, v)| ((*name).to_owned(), v.to_vec())).collect(),
            body: request.body.to_vec(),
        }
    }

    /// What `f` makes of it.
    pub fn with<T>(&self, f: impl FnOnce(&Request<'_>) -> T) -> T {
        f(&self.request(&self.headers()))
    }

    /// Its header fields.
    pub fn headers(&self) -> Vec<(&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
    }

    /// The request, with its own header fields.
    pub fn request<'a>(&'a self, headers: &'a [(&'a str, &'a [u8])]) -> Request<'a> {
        Request { method: &self.method, target: &self.target, headers, body: &self.body }
    }
}
