//! Which answers are compressed, and how: by what the client accepts (RFC 9110 section 12.5.3), what the answer is, and what must
//! not be. The coded bytes come of `coding`.
//!
//! A strong tag is of one coding (RFC 9110 section 8.8.3), so that of a coded answer has the coding's name at its end: `"…-gzip"`. A
//! client's conditions are read without it: it names the rows, whatever they were sent in.

use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    IF_NONE_MATCH, SET_COOKIE, VARY,
};

use crate::answer::Answer;
use crate::coding::{Coder, Coding};

/// What is coded at once, with its length told; what is more is coded while it is sent.
const WHOLE: usize = 1 << 20;

/// What a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The coding that it likes best of ours; none where it likes none, or the plain body better.
    pub coding: Option<Coding>,
    /// Whether it takes the plain body.
    pub plain: bool,
}

impl Accepted {
    /// Reads `Accept-Encoding`.
    pub fn of(headers: &HeaderMap) -> Accepted {
        let mut qualities: [Option<u16>; 3] = [None; 3];
        let (mut identity, mut others) = (None, None);
        let fields = headers.get_all(hyper::header::ACCEPT_ENCODING).iter();
        for item in fields.filter_map(|field| field.to_str().ok()).flat_map(|field| field.split(',')) {
            let (name, quality) = item.split_once(';').unwrap_or((item, ""));
            let Some(quality) = quality_of(quality) else { continue };
            let name = name.trim();
            let is = |token: &str| name.eq_ignore_ascii_case(token);
            let named = Coding::ALL.iter().zip(&mut qualities);
            match named.into_iter().find(|(coding, _)| is(coding.token())) {
                Some((_, known)) => *known = Some(quality),
                None if is("x-gzip") => qualities[2] = Some(quality),
                None if is("identity") => identity = Some(quality),
                None if name == "*" => others = Some(quality),
                None => {}
            }
        }
        // What is not named is not accepted, but for the plain body, which is the least of all then.
        let best =
            Coding::ALL.into_iter().zip(qualities).map(|(coding, quality)| (coding, quality.or(others)));
        let best =
            best.filter_map(|(coding, quality)| Some((coding, quality.filter(|quality| *quality > 0)?)));
        // Of equals the first.
        let best = best.reduce(|best, next| if next.1 > best.1 { next } else { best });
        let is_plain_better = |quality: u16| identity.is_some_and(|identity| identity > quality);
        Accepted {
            coding: best.filter(|(_, quality)| !is_plain_better(*quality)).map(|(coding, _)| coding),
            plain: identity.or(others) != Some(0),
        }
    }
}

/// Whether a client takes a coding, which it names.
pub fn takes(headers: &HeaderMap, wanted: Coding) -> bool {
    let fields = headers.get_all(hyper::header::ACCEPT_ENCODING).iter();
    fields.filter_map(|field| field.to_str().ok()).flat_map(|field| field.split(',')).any(|item| {
        let (name, quality) = item.split_once(';').unwrap_or((item, ""));
        name.trim().eq_ignore_ascii_case(wanted.token()) && quality_of(quality).is_some_and(|of| of > 0)
    })
}

/// The weight behind a name, in thousandths; none where it cannot be read.
fn quality_of(parameters: &str) -> Option<u16> {
    let Some((name, value)) = parameters.split_once('=') else { return Some(1000) };
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value: f32 = value.trim().parse().ok()?;
    // The product is between 0 and 1000.
    (0.0..=1.0).contains(&value).then_some((value * 1000.0) as u16)
}

/// Compresses an answer, if that is worth it, allowed and wanted: a whole body at once, any other by the coder that comes back. Of
/// bodies below `least` bytes nothing is changed, unless a client takes no other.
pub fn compress(answer: &mut Answer, headers: &HeaderMap, least: u64) -> Option<Coder> {
    let length = answer.content_length.unwrap_or(answer.body.len() as u64);
    let is_streamed = answer.rest.is_some();
    if length == 0 && !is_streamed || !may_be_coded(answer) {
        return None;
    }
    let is_large = is_streamed || length >= least;
    if is_large {
        vary(answer);
    }
    let accepted = Accepted::of(headers);
    let coding = accepted.coding.filter(|_| is_large || !accepted.plain)?;
    let is_head = answer.content_length.is_some();
    let mut coder = None;
    if is_head {
        // How long it would be is not known without doing it, and need not be told (RFC 9110 section 9.3.2).
        answer.content_length = None;
    } else if is_streamed || answer.body.len() > WHOLE {
        coder = Some(Coder::new(coding).ok()?);
    } else {
        let coded = coding.encode(&answer.body).ok()?;
        if coded.len() >= answer.body.len() && accepted.plain {
            return None;
        }
        answer.body = coded;
    }
    answer.headers.push((CONTENT_ENCODING, HeaderValue::from_static(coding.token())));
    mark(answer, coding);
    coder
}

/// Whether an answer may be coded at all. Not those that set cookies or are to be stored nowhere, which is what answers with
/// credentials are: how well a secret is compressed beside what an attacker sends tells of it (BREACH).
fn may_be_coded(answer: &Answer) -> bool {
    if matches!(answer.status, 100..200 | 204 | 205 | 304) {
        return false;
    }
    let mut is_text = false;
    for (name, value) in &answer.headers {
        let value = value.to_str().unwrap_or_default();
        match *name {
            CONTENT_TYPE => is_text = is_compressible(value),
            CONTENT_ENCODING | SET_COOKIE => return false,
            CACHE_CONTROL if ["no-transform", "no-store"].iter().any(|word| has(value, word)) => {
                return false;
            }
            _ => {}
        }
    }
    is_text
}

/// Whether one of the items of a list is this word.
fn has(list: &str, word: &str) -> bool {
    list.split(',').any(|item| item.trim().eq_ignore_ascii_case(word))
}

/// Whether a media type is that of text, which is worth it. Others have mostly been compressed by their own format.
fn is_compressible(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, subtype) = essence.split_once('/').unwrap_or_default();
    let (base, suffix) = subtype.rsplit_once('+').unwrap_or((subtype, ""));
    let is_format =
        |name: &str| matches!(name, "json" | "x-ndjson" | "xml" | "yaml" | "javascript" | "sql" | "text");
    kind == "text" || is_format(base) || is_format(suffix)
}

/// Tells caches that the answer goes by `Accept-Encoding`.
fn vary(answer: &mut Answer) {
    const NAME: &str = "Accept-Encoding";
    let found = answer.headers.iter_mut().find(|(name, _)| *name == VARY);
    let Some((_, value)) = found else {
        return answer.headers.push((VARY, HeaderValue::from_static(NAME)));
    };
    let old = value.to_str().unwrap_or_default();
    if old.trim() != "*"
        && !has(old, NAME)
        && let Ok(both) = HeaderValue::try_from(format!("{old}, {NAME}"))
    {
        *value = both;
    }
}

/// Gives the tag of an answer the name of its coding. A weak one is of all of them.
fn mark(answer: &mut Answer, coding: Coding) {
    let Some((_, value)) = answer.headers.iter_mut().find(|(name, _)| *name == ETAG) else { return };
    let Some(bare) = value.to_str().ok().and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"')) else {
        return;
    };
    if let Ok(marked) = HeaderValue::try_from(format!("\"{bare}-{}\"", coding.token())) {
        *value = marked;
    }
}

/// The tags that a client knows answers by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tags(Vec<u8>);

impl Tags {
    /// Takes the names of codings off the tags of conditions.
    pub fn take(headers: &mut HeaderMap) -> Tags {
        let mut known = Vec::new();
        for name in [IF_MATCH, IF_NONE_MATCH] {
            known.append(&mut plain_tags(headers, name));
        }
        Tags(known)
    }

    /// Has an answer that says only that nothing has changed say it of the tag that the client knows.
    pub fn put_back(&self, answer: &mut Answer) {
        if answer.status != 304 {
            return;
        }
        vary(answer);
        let coding = Coding::ALL.into_iter().find(|coding| {
            let tag = answer.header("etag").and_then(|tag| tag.strip_suffix('"'));
            let marked = tag.map(|tag| format!("{tag}-{}\"", coding.token()));
            marked.is_some_and(|marked| memchr::memmem::find(&self.0, marked.as_bytes()).is_some())
        });
        if let Some(coding) = coding {
            mark(answer, coding);
        }
    }
}

/// Takes the names of codings off the tags of one field, whose old values come back if there were any.
fn plain_tags(headers: &mut HeaderMap, name: HeaderName) -> Vec<u8> {
    let mut old = Vec::new();
    if !headers.contains_key(&name) {
        return old;
    }
    let hyper::header::Entry::Occupied(mut values) = headers.entry(name) else { return old };
    for value in values.iter_mut() {
        let Ok(text) = value.to_str() else { continue };
        let plain = Coding::ALL
            .iter()
            .fold(text.to_owned(), |text, coding| text.replace(&format!("-{}\"", coding.token()), "\""));
        if plain != text {
            old.extend_from_slice(text.as_bytes());
            *value = HeaderValue::try_from(plain).unwrap_or_else(|_| value.clone());
        }
    }
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(fields: &[&str]) -> (Option<&'static str>, bool) {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append("accept-encoding", field.parse().expect("a field"));
        }
        let accepted = Accepted::of(&headers);
        (accepted.coding.map(Coding::token), accepted.plain)
    }

    #[test]
    fn what_a_client_accepts() {
        assert_eq!(accepted(&[]), (None, true));
        assert_eq!(accepted(&[""]), (None, true));
        assert_eq!(accepted(&["gzip, deflate, br, zstd"]), (Some("zstd"), true));
        assert_eq!(accepted(&["gzip, deflate", "br"]), (Some("br"), true));
        assert_eq!(accepted(&["deflate, compress"]), (None, true));
        assert_eq!(accepted(&["GZIP;Q=0.5 , br;q=0.4"]), (Some("gzip"), true));
        assert_eq!(accepted(&["x-gzip"]), (Some("gzip"), true));
        assert_eq!(accepted(&["gzip;q=0, *;q=0.1"]), (Some("zstd"), true));
        assert_eq!(accepted(&["*"]), (Some("zstd"), true));
        assert_eq!(accepted(&["*;q=0"]), (None, false));
        assert_eq!(accepted(&["identity;q=0, gzip"]), (Some("gzip"), false));
        assert_eq!(accepted(&["*;q=0, identity"]), (None, true));
        assert_eq!(accepted(&["gzip;q=0.5, identity"]), (None, true));
        assert_eq!(accepted(&["gzip;q=0.5, identity;q=0.5"]), (Some("gzip"), true));
        assert_eq!(accepted(&["br;q=nonsense, zstd;q=2, gzip;q=-1"]), (None, true));
        assert_eq!(accepted(&["gzip;q=0.001"]), (Some("gzip"), true));
    }

    #[test]
    fn text_is_compressed() {
        for text in [
            "application/json; charset=utf-8",
            "application/vnd.pgrst.object+json",
            "text/csv",
            "application/openapi+json; charset=utf-8",
            "application/x-ndjson",
            "image/svg+xml",
            "application/vnd.pgrst.plan+text; for=\"application/json\"",
        ] {
            assert!(is_compressible(text), "{text}");
        }
        for other in ["image/png", "application/octet-stream", "application/zip", "", "json"] {
            assert!(!is_compressible(other), "{other}");
        }
    }

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        Answer {
            status,
            headers: headers.collect(),
            body: body.into(),
            content_length: None,
            rest: None,
            acts: Vec::new(),
        }
    }

    fn gzip() -> HeaderMap {
        HeaderMap::from_iter([(hyper::header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))])
    }

    #[test]
    fn what_is_compressed_and_what_is_not() {
        let (text, long) = (("content-type", "text/csv"), "abc,".repeat(1000));
        let coding = |status, headers: &[(&str, &str)], body: &str| {
            let mut answer = answer(status, headers, body);
            assert!(compress(&mut answer, &gzip(), 1024).is_none());
            answer.header("content-encoding").map(str::to_owned)
        };
        let coded = Some("gzip".to_owned());
        assert_eq!(coding(200, &[text], &long), coded);
        assert_eq!(coding(206, &[text], &long), coded, "a range of rows is no range of bytes");
        assert_eq!(coding(400, &[text], &long), coded);
        assert_eq!(coding(200, &[text], &long[..1000]), None);
        assert_eq!(coding(200, &[("content-type", "image/png")], &long), None);
        assert_eq!(coding(200, &[], &long), None);
        for header in [
            ("content-encoding", "br"),
            ("set-cookie", "a=b"),
            ("cache-control", "private, No-Store"),
            ("cache-control", "no-transform"),
        ] {
            assert_ne!(coding(200, &[text, header], &long), coded, "{header:?}");
        }
        let mut random = answer(200, &[text], "");
        getrandom_into(&mut random.body);
        assert!(compress(&mut random, &gzip(), 1).is_none());
        assert_eq!(random.header("content-encoding"), None, "what gets no smaller is sent as it is");
        assert_eq!(random.header("vary"), Some("Accept-Encoding"));
    }

    fn getrandom_into(body: &mut Vec<u8>) {
        body.resize(2000, 0);
        getrandom::fill(body).expect("random bytes");
    }

    #[test]
    fn who_takes_no_plain_body_gets_none() {
        let mut headers = gzip();
        headers.append("accept-encoding", HeaderValue::from_static("identity;q=0"));
        let mut short = answer(200, &[("content-type", "text/csv")], "a");
        assert!(compress(&mut short, &headers, 1024).is_none());
        assert_eq!(short.header("content-encoding"), Some("gzip"));
        assert_ne!(short.body, b"a");
    }

    #[test]
    fn tags_are_of_one_coding() {
        let long = "abc,".repeat(1000);
        let fields = [("content-type", "text/csv"), ("etag", "\"1j\""), ("vary", "X-API-Key")];
        let mut coded = answer(200, &fields, &long);
        assert!(compress(&mut coded, &gzip(), 1024).is_none());
        assert_eq!(coded.header("etag"), Some("\"1j-gzip\""));
        assert_eq!(coded.header("vary"), Some("X-API-Key, Accept-Encoding"));
        let mut plain = answer(200, &fields, &long);
        assert!(compress(&mut plain, &HeaderMap::new(), 1024).is_none());
        assert_eq!(
            (plain.header("etag"), plain.header("vary")),
            (Some("\"1j\""), Some("X-API-Key, Accept-Encoding"))
        );

        let list = "\"0j\", W/\"1j-gzip\", \"2j-zstd\",\"3-brr\"";
        let mut headers = HeaderMap::from_iter([
            (IF_NONE_MATCH, HeaderValue::from_static(list)),
            (IF_MATCH, HeaderValue::from_static("\"4j-br\"")),
        ]);
        let tags = Tags::take(&mut headers);
        assert_eq!(headers[IF_NONE_MATCH], "\"0j\", W/\"1j\", \"2j\",\"3-brr\"");
        assert_eq!(headers[IF_MATCH], "\"4j\"");
        let told = |tag: &str| {
            let mut unchanged = answer(304, &[("etag", tag)], "");
            tags.put_back(&mut unchanged);
            unchanged.header("etag").map(str::to_owned)
        };
        assert_eq!(told("\"1j\"").as_deref(), Some("\"1j-gzip\""));
        assert_eq!(told("\"0j\"").as_deref(), Some("\"0j\""));
    }

    #[test]
    fn head_tells_what_get_would_but_for_the_length() {
        let mut head = answer(200, &[("content-type", "text/csv"), ("etag", "\"1\"")], "");
        head.content_length = Some(4000);
        assert!(compress(&mut head, &gzip(), 1024).is_none());
        assert_eq!((head.content_length, head.header("content-encoding")), (None, Some("gzip")));
        assert_eq!(head.header("etag"), Some("\"1-gzip\""));
    }
}
