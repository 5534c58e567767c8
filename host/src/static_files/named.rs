//! From the path of a target to a file's name. It says no to whatever could be understood in two ways, on any system.

use sqlitrest_runtime::query_params::decode_path;

/// What a path that ends in a slash means.
pub const INDEX: &str = "index.html";

/// A file below the directory, by its name.
#[derive(Debug, PartialEq)]
pub struct Named {
    /// Segments with slashes between them.
    pub path: String,
    /// Whether the target has named the directory that it is in.
    pub is_index: bool,
}

impl Named {
    /// Of a path as it was sent; none where it names nothing that may be served.
    pub fn of(path: &str) -> Option<Named> {
        let rest = path.strip_prefix('/')?;
        let (directories, last) = rest.rsplit_once('/').map_or((None, rest), |(all, last)| (Some(all), last));
        let is_index = last.is_empty();
        let last = if is_index { INDEX } else { last };
        let segments = directories.into_iter().flat_map(|all| all.split('/')).chain([last]);
        let segments: Option<Vec<String>> = segments.map(segment).collect();
        Some(Named { path: segments?.join("/"), is_index })
    }
}

/// The name of a file or a directory; none for what is hidden, leads elsewhere, or is a name on some systems and a path on others.
fn segment(text: &str) -> Option<String> {
    let name = decode_path(text).ok()?;
    let is_odd = |c: char| c.is_control() || matches!(c, '/' | '\\' | ':');
    // Windows takes the end away.
    let is_plain = !name.is_empty() && !name.starts_with('.') && !name.ends_with(['.', ' ']);
    (is_plain && !name.contains(is_odd)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (path, expected) in [
            ("/", "index.html"),
            ("/docs/", "docs/index.html"),
            ("/app.js", "app.js"),
            ("/a/b/c.css", "a/b/c.css"),
            ("/Stra%C3%9Fe%20%2B1+1.txt", "Straße +1+1.txt"),
            ("/100%", "100%"),
            ("/a..b/c...d", "a..b/c...d"),
        ] {
            assert_eq!(Named::of(path).expect(path).path, expected);
        }
        assert!(Named::of("/docs/").expect("an index").is_index);
        assert!(!Named::of("/docs/index.html").expect("a file").is_index);
    }

    #[test]
    fn what_is_no_name() {
        for path in [
            "",
            "x",
            "*",
            "//",
            "//x",
            "/x//y",
            "/./x",
            "/../x",
            "/x/..",
            "/x/../y",
            "/%2e%2e/x",
            "/.%2E/x",
            "/%2e/x",
            "/..%2fx",
            "/x%2fy",
            "/x%2F..%2Fy",
            "/x%5cy",
            "/..%5cx",
            "/..\\x",
            "/x%00",
            "/x%00.html",
            "/.env",
            "/.git/config",
            "/%2eenv",
            "/x/.hidden/y",
            "/c:/x",
            "/C%3A/x",
            "/x:stream",
            "/x.",
            "/x%20",
            "/x%0d%0ay",
            "/x%7f",
            "/%ff",
            "/.well-known/x",
            "/%252e./%00",
        ] {
            assert_eq!(Named::of(path), None, "{path}");
        }
        // Decoded once, and no more.
        assert_eq!(Named::of("/%252e%252e/x").expect("a name").path, "%2e%2e/x");
    }
}
