//! `/_docs`: a page that shows the OpenAPI document of who looks at it. It stands below the API's base path, its viewer is part of
//! this program (`host/assets/`), and it may load nothing from elsewhere. It knows nothing itself: the document is a request of its own.

use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use sqlitrest_runtime::config::{Config, OpenApi};
use sqlitrest_runtime::http::Request;

use crate::answer::Answer;
use crate::coding::Coding;
use crate::compression::takes;
use crate::db::hex;
use crate::observe::names;
use crate::settings::digest;

/// Where the page is, below the API.
pub const PATH: &str = "/_docs";

/// The relation that could have the same path.
const RELATION: &str = "_docs";

const PAGE: &str = include_str!("../assets/docs/page.html");

/// What the page loads.
struct Asset {
    /// Below the page.
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
    /// Whether that is gzip.
    is_coded: bool,
}

const ASSETS: [Asset; 4] = [
    Asset {
        name: "page.js",
        media_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../assets/docs/page.js"),
        is_coded: false,
    },
    Asset {
        name: "page.css",
        media_type: "text/css; charset=utf-8",
        bytes: include_bytes!("../assets/docs/page.css"),
        is_coded: false,
    },
    Asset {
        name: "swagger-ui.js",
        media_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../assets/swagger-ui/swagger-ui-bundle.js.gz"),
        is_coded: true,
    },
    Asset {
        name: "swagger-ui.css",
        media_type: "text/css; charset=utf-8",
        bytes: include_bytes!("../assets/swagger-ui/swagger-ui.css.gz"),
        is_coded: true,
    },
];

/// Whether the page is served at all.
fn is_on(config: &Config) -> bool {
    config.api.docs && config.api.openapi != OpenApi::Disabled
}

/// Whether a relation has the path of the page: it was there first.
pub fn is_hidden(config: &Config) -> bool {
    is_on(config) && names::now().has(RELATION)
}

/// The answer, if the request is for the page or for what it loads.
pub fn answer(config: &Config, request: &Request<'_>, headers: &HeaderMap) -> Option<Answer> {
    let path = request.target.split('?').next().unwrap_or_default();
    let below = path.strip_prefix(config.api.base_path.as_str())?.strip_prefix(PATH)?;
    if !(below.is_empty() || below.starts_with('/')) || !is_on(config) || names::now().has(RELATION) {
        return None;
    }
    if !matches!(request.method, "GET" | "HEAD") {
        return Some(Answer::not_allowed("GET, HEAD", "It can be read: GET or HEAD."));
    }
    let found = match below.strip_prefix('/') {
        None => page(config),
        Some(name) => {
            let (asset, tag) = ASSETS.iter().zip(TAGS.iter()).find(|(asset, _)| asset.name == name)?;
            self::asset(asset, tag, headers)
        }
    };
    let is_head = request.method == "HEAD";
    Some(if is_head { found.without_body() } else { found })
}

/// The entity tags of [`ASSETS`]: weak, because each is the same whatever the bytes are coded in.
static TAGS: LazyLock<[String; ASSETS.len()]> = LazyLock::new(|| {
    ASSETS.each_ref().map(|asset| {
        let sum = hex(&digest(asset.bytes));
        format!("W/\"{}\"", sum.get(..16).unwrap_or_default())
    })
});

fn asset(asset: &Asset, tag: &str, headers: &HeaderMap) -> Answer {
    let known = headers.get_all(hyper::header::IF_NONE_MATCH).iter();
    let is_known = known.filter_map(|field| field.to_str().ok()).any(|field| field.contains(tag));
    let mut fields = vec![(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"))];
    fields.extend(HeaderValue::try_from(tag).ok().map(|tag| (ETAG, tag)));
    if is_known {
        return Answer::of(304, fields, Vec::new());
    }
    fields.push((CONTENT_TYPE, HeaderValue::from_static(asset.media_type)));
    fields.push((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
    if !asset.is_coded {
        return Answer::of(200, fields, asset.bytes.to_vec());
    }
    fields.push((VARY, HeaderValue::from_static("Accept-Encoding")));
    if takes(headers, Coding::Gzip) {
        fields.push((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        return Answer::of(200, fields, asset.bytes.to_vec());
    }
    match decoded(asset.bytes) {
        Ok(bytes) => Answer::of(200, fields, bytes),
        Err(_) => Answer::internal(),
    }
}

fn decoded(coded: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    GzDecoder::new(coded).read_to_end(&mut plain)?;
    Ok(plain)
}

fn page(config: &Config) -> Answer {
    let body = PAGE.replace("<!--schemas-->", &schemas(config));
    let body = body.replace("<!--credentials-->", &credentials(config));
    let mut fields = vec![
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    let policy = HeaderValue::try_from(security_policy(&config.api.proxy_uri));
    fields.extend(policy.ok().map(|policy| (CONTENT_SECURITY_POLICY, policy)));
    Answer::of(200, fields, body.into_bytes())
}

/// What the page may do: load what is served beside it, and ask the API. A form that is sent would have a secret in the URL.
fn security_policy(proxy_uri: &str) -> String {
    let elsewhere = origin(proxy_uri).map(|origin| format!(" {origin}")).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{elsewhere}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// `https://api.example.com:8443` of a URL, where nothing in it would end a directive.
fn origin(url: &str) -> Option<&str> {
    let host = url.find("://")? + "://".len();
    let end = url.get(host..)?.find('/').map_or(url.len(), |at| host + at);
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':' | b'[' | b']' | b'/');
    url.get(..end).filter(|origin| origin.bytes().all(is_plain))
}

/// Which schema is shown, where there are several.
fn schemas(config: &Config) -> String {
    let names = config.schemas();
    if names.len() < 2 {
        return String::new();
    }
    let mut options = String::new();
    for name in names {
        let _ = write!(options, "<option>{}</option>", escaped(name));
    }
    format!("<label>Schema <select name=\"schema\">{options}</select></label>")
}

/// How one signs in, where one can.
fn credentials(config: &Config) -> String {
    let Some(auth) = config.signing_in() else { return String::new() };
    let all = [
        auth.jwt().map(|_| ("Authorization", "Bearer", "token")),
        auth.apikey().map(|keys| (keys.header.as_str(), "", "API key")),
        auth.basic().map(|_| ("Authorization", "Basic", "name:password")),
    ];
    // Who has signed in by a cookie is who looks at it.
    let has_cookie = auth.jwt().is_some_and(|jwt| jwt.cookie.is_some());
    let cookie = if has_cookie { "<input name=\"cookie\" type=\"hidden\">" } else { "" };
    let mut options = String::new();
    for (field, scheme, words) in all.into_iter().flatten() {
        let field = escaped(field);
        let _ = write!(options, "<option data-field=\"{field}\" data-scheme=\"{scheme}\">{words}</option>");
    }
    format!(
        "<label>As <select name=\"kind\">{options}</select></label>\
         <input name=\"credential\" type=\"password\" autocomplete=\"off\" aria-label=\"What to sign in with\">\
         {cookie}<button>Show</button>"
    )
}

/// A text in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::load("", text, []).expect("a configuration")
    }

    fn ask(
        text: &str,
        method: &str,
        target: &str,
        fields: &[(&'static str, &'static str)],
    ) -> Option<Answer> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        answer(&config(text), &Request { method, target, headers: &[], body: b"" }, &headers)
    }

    fn get(text: &str, target: &str) -> Option<(u16, String)> {
        let answer = ask(text, "GET", target, &[])?;
        Some((answer.status, String::from_utf8(answer.body).expect("UTF-8")))
    }

    #[test]
    fn vendored_files_are_those_that_are_written_down() {
        let readme = include_str!("../assets/swagger-ui/README.md");
        let coded: Vec<&Asset> = ASSETS.iter().filter(|asset| asset.is_coded).collect();
        assert_eq!(coded.len(), 2);
        for asset in coded {
            let sum = hex(&digest(&decoded(asset.bytes).expect("gzip")));
            assert!(readme.contains(&sum), "{} has the sum {sum}", asset.name);
        }
    }

    #[test]
    fn the_page_and_what_it_loads() {
        for (text, base) in [("", ""), ("[api]\nbase_path = \"/rest/v1\"\n", "/rest/v1")] {
            let (status, page) = get(text, &format!("{base}/_docs?x")).expect("a page");
            assert_eq!(status, 200);
            let loaded = page.match_indices("\"_docs/");
            let loaded: Vec<&str> = loaded.filter_map(|(at, _)| page[at + 1..].split('"').next()).collect();
            assert_eq!(loaded.len(), ASSETS.len(), "{page}");
            for name in loaded {
                let (status, body) = get(text, &format!("{base}/{name}")).expect("a file");
                assert_eq!(status, 200);
                assert!(body.len() > 100, "{name}");
            }
        }
        assert_eq!(get("[api]\nbase_path = \"/rest/v1\"\n", "/_docs"), None);
        assert_eq!(get("[api]\ndocs = false\n", "/_docs"), None);
        assert_eq!(get("[api]\nopenapi = \"disabled\"\n", "/_docs"), None);
        assert_eq!(get("", "/_docs/nothing"), None);
        assert_eq!(get("", "/_docsx"), None);
        assert_eq!(get("", "/docs"), None);
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        let text = "[api]\nproxy_uri = \"https://api.example.com:8443/v1\"\n";
        let answer = ask(text, "GET", "/_docs", &[]).expect("a page");
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(policy.contains("connect-src 'self' https://api.example.com:8443;"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let page = String::from_utf8(answer.body).expect("UTF-8");
        for inline in ["<script>", "<style", "style=", "onclick", "onload", "http:", "https:"] {
            assert!(!page.contains(inline), "{inline}");
        }
        assert_eq!(origin("https://a;script-src *"), None);
        assert_eq!(origin("http://[::1]:80/x"), Some("http://[::1]:80"));
    }

    #[test]
    fn what_one_can_say_of_oneself() {
        let page = |text: &str| get(text, "/_docs").expect("a page").1;
        assert!(!page("").contains("<select"));
        let auth = "[auth.jwt]\nsecret = \"reallyreallyreallyreallyverysafe\"\n[auth.apikey]\nheader = \"X-Key\"\nsource = \"file:keys.toml\"\n";
        let shown = page(auth);
        assert!(shown.contains("data-field=\"Authorization\" data-scheme=\"Bearer\""), "{shown}");
        assert!(shown.contains("data-field=\"X-Key\" data-scheme=\"\""), "{shown}");
        assert!(!shown.contains("Basic") && !shown.contains("really"), "{shown}");
        assert!(!shown.contains("cookie"), "{shown}");
        assert!(
            page(&auth.replace("[auth.jwt]", "[auth.jwt]\ncookie = \"session\"")).contains("name=\"cookie\"")
        );
        let several = "[databases.main]\npath = \"a\"\n[databases.logs]\npath = \"b\"\n";
        assert!(page(several).contains("<option>main</option><option>logs</option>"));
    }

    #[test]
    fn methods_codings_and_tags() {
        let posted = ask("", "POST", "/_docs", &[]).expect("an answer");
        assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
        let head = ask("", "HEAD", "/_docs", &[]).expect("an answer");
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert!(head.content_length.is_some_and(|length| length > 500));
        let target = "/_docs/swagger-ui.css";
        let coded = ask("", "GET", target, &[("accept-encoding", "br, gzip;q=0.5")]).expect("an answer");
        assert_eq!(coded.header("content-encoding"), Some("gzip"));
        let plain = ask("", "GET", target, &[("accept-encoding", "gzip;q=0")]).expect("an answer");
        assert_eq!(plain.header("content-encoding"), None);
        assert_eq!(decoded(&coded.body).expect("gzip"), plain.body);
        let again = ask("", "GET", target, &[("if-none-match", "W/\"5cb\", *")]).expect("an answer");
        assert_eq!(again.status, 200);
        let tag: &'static str = Box::leak(plain.header("etag").expect("a tag").to_owned().into_boxed_str());
        let again = ask("", "GET", target, &[("if-none-match", tag)]).expect("an answer");
        assert_eq!((again.status, again.body.len()), (304, 0));
    }
}
