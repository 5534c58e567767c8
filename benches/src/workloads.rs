//! What is measured: the requests, told as templates, and how many connections send them.
//!
//! A template holds placeholders where a key stands, which differs from request to request: `{key}` is a track, `{album}` an album,
//! `{key7}` and `{album7}` the same plus a million, for servers whose ids are text of a fixed length; `{fresh}` is a number that was not there
//! before, for SQLite does not write a row that an update leaves as it is.

use clap::ValueEnum;
use serde::Serialize;

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Workload {
    /// A track by its key.
    ByKey,
    /// The 10 tracks of an album, by an index.
    Filter,
    /// The first 100 tracks.
    List,
    /// 100 artists with their albums with their tracks.
    Embed,
    /// 10 tracks and the number of all.
    Count,
    /// One column of a track by its key.
    Update,
    /// Nine readings by key, then one insert.
    Mix,
    /// One track.
    InsertOne,
    /// 1,000 tracks in one request.
    InsertThousand,
}

/// How many rows [`Workload::InsertThousand`] sends.
pub const MANY: u64 = 1000;

/// The connections at which every workload is measured; figures of one round are compared at these.
pub const USUAL: usize = 32;

/// The connections of the durable inserts.
pub const WRITERS: usize = 64;

impl Workload {
    /// In the order of measuring: those that let tables grow come last.
    pub const ALL: [Workload; 9] = [
        Workload::ByKey,
        Workload::Filter,
        Workload::List,
        Workload::Embed,
        Workload::Count,
        Workload::Update,
        Workload::Mix,
        Workload::InsertOne,
        Workload::InsertThousand,
    ];

    /// What a reader of the results is told.
    pub fn title(self) -> &'static str {
        match self {
            Workload::ByKey => "by key",
            Workload::Filter => "indexed filter, 10 rows",
            Workload::List => "list of 100",
            Workload::Embed => "two levels below 100 rows",
            Workload::Count => "10 rows and the exact count",
            Workload::Update => "update by key",
            Workload::Mix => "90 % by key, 10 % inserts",
            Workload::InsertOne => "insert one",
            Workload::InsertThousand => "insert 1,000 in one request",
        }
    }

    /// How many connections send it, one figure for each.
    pub fn connections(self) -> &'static [usize] {
        match self {
            Workload::ByKey | Workload::List | Workload::Mix => &[1, USUAL, 256],
            Workload::InsertOne => &[1, USUAL, WRITERS, 256],
            _ => &[USUAL],
        }
    }

    /// Whether nothing is changed.
    pub fn only_reads(self) -> bool {
        matches!(
            self,
            Workload::ByKey | Workload::Filter | Workload::List | Workload::Embed | Workload::Count
        )
    }

    /// Rows that so many acknowledged requests have stored.
    pub fn stored_by(self, requests: u64) -> u64 {
        match self {
            Workload::InsertOne => requests,
            Workload::InsertThousand => requests * MANY,
            _ => 0,
        }
    }

    /// How many tracks the answer names, where it is a reading.
    pub fn tracks_told(self, artists: u64) -> Option<u64> {
        match self {
            Workload::ByKey | Workload::Mix => Some(1),
            Workload::Filter | Workload::Count => Some(10),
            Workload::List => Some(100),
            // Four albums with ten tracks each.
            Workload::Embed => Some(artists.min(100) * 40),
            Workload::Update | Workload::InsertOne | Workload::InsertThousand => None,
        }
    }
}

/// A request with placeholders.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// The target.
    pub target: String,
    /// Header fields beside `Host` and `Content-Length`.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for none.
    pub body: String,
}

/// The placeholders, with what they are in Lua.
pub const PLACEHOLDERS: [(&str, &str); 5] = [
    ("{key}", "k"),
    ("{album}", "a"),
    ("{key7}", "(k + 1000000)"),
    ("{album7}", "(a + 1000000)"),
    ("{fresh}", "fresh"),
];

/// Added to keys that stand for text of a fixed length.
const SEVEN_DIGITS: u64 = 1_000_000;

impl Request {
    /// A request without a body.
    pub fn get(target: impl Into<String>) -> Request {
        Request { method: "GET", target: target.into(), ..Request::default() }
    }

    /// A request with JSON.
    pub fn json(method: &'static str, target: impl Into<String>, body: impl Into<String>) -> Request {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Request { method, target: target.into(), headers, body: body.into() }
    }

    /// The same with one more header field.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.headers.push((name, value.into()));
        self
    }

    /// The request of one key, with a number that is not there yet.
    pub fn of_key(&self, key: u64, albums: u64, fresh: u64) -> Request {
        let fill = |text: &str| fill(text, key, albums, fresh);
        Request { target: fill(&self.target), body: fill(&self.body), ..self.clone() }
    }
}

fn fill(text: &str, key: u64, albums: u64, fresh: u64) -> String {
    let album = (key - 1) % albums + 1;
    let values = [key, album, key + SEVEN_DIGITS, album + SEVEN_DIGITS, fresh];
    let mut filled = text.to_owned();
    for ((placeholder, _), value) in PLACEHOLDERS.iter().zip(values) {
        filled = filled.replace(placeholder, &value.to_string());
    }
    filled
}

/// What is sent for a workload.
#[derive(Clone, Debug)]
pub enum Exchange {
    /// The same request with another key each time.
    One(Request),
    /// The second after each nine of the first.
    Mix(Request, Request),
}

impl Exchange {
    /// Its requests.
    pub fn requests(&self) -> Vec<&Request> {
        match self {
            Exchange::One(request) => vec![request],
            Exchange::Mix(read, write) => vec![read, write],
        }
    }
}

/// What a server is asked for a workload, if it can do that: `one` knows all but the mix.
pub fn exchange(workload: Workload, one: &dyn Fn(Workload) -> Option<Request>) -> Option<Exchange> {
    if workload == Workload::Mix {
        return Some(Exchange::Mix(one(Workload::ByKey)?, one(Workload::InsertOne)?));
    }
    one(workload).map(Exchange::One)
}

/// What an update sets.
pub const UPDATED_JSON: &str = r#"{"milliseconds":{fresh}}"#;

/// The members of a new track; `album` is whatever the server takes for it.
pub fn new_track(album: &str, name: &str) -> String {
    format!(r#"{{"album_id":{album},"name":"{name}","milliseconds":200000,"price":0.99,"published":true}}"#)
}

/// The array of [`MANY`] new tracks, each in an album of its own, as `write` writes one of them.
pub fn many(write: impl Fn(u64) -> String) -> String {
    let rows: Vec<String> = (1..=MANY).map(write).collect();
    format!("[{}]", rows.join(","))
}

/// The requests in PostgREST's language.
pub fn postgrest(workload: Workload, base: &str) -> Option<Request> {
    Some(match workload {
        Workload::ByKey => Request::get(format!("{base}/tracks?id=eq.{{key}}")),
        Workload::Filter => Request::get(format!("{base}/tracks?album_id=eq.{{album}}")),
        Workload::List => Request::get(format!("{base}/tracks?order=id&limit=100")),
        Workload::Embed => Request::get(format!(
            "{base}/artists?select=id,name,albums(id,title,tracks(id,name))&order=id&limit=100"
        )),
        Workload::Count => {
            Request::get(format!("{base}/tracks?order=id&limit=10")).with("Prefer", "count=exact")
        }
        Workload::Update => Request::json("PATCH", format!("{base}/tracks?id=eq.{{key}}"), UPDATED_JSON),
        Workload::InsertOne => {
            Request::json("POST", format!("{base}/tracks"), new_track("{album}", "New {key}"))
        }
        Workload::InsertThousand => Request::json(
            "POST",
            format!("{base}/tracks"),
            many(|n| new_track(&n.to_string(), &format!("New {n}"))),
        ),
        Workload::Mix => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_take_their_places() {
        let request = Request::json("PATCH", "/t/{key7}?a={album}", r#"{"k":{fresh}}"#).of_key(23, 10, 4);
        assert_eq!((request.target.as_str(), request.body.as_str()), ("/t/1000023?a=3", r#"{"k":4}"#));
    }
}
