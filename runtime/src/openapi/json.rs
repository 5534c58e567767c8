//! JSON as text, put together in few words. Values would be moved about, each as large as an object, which is more code in the component
//! than all the rest of this module.

use serde_json::Value as Json;

/// The members of a JSON object that is being written.
#[derive(Default)]
pub(super) struct Members(String);

impl Members {
    /// Adds a member whose value is this JSON; nothing where it is empty.
    #[inline(never)]
    pub(super) fn json(&mut self, name: &str, json: &str) {
        if json.is_empty() {
            return;
        }
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        push_text(&mut self.0, name);
        self.0.push(':');
        self.0.push_str(json);
    }

    /// Adds a member whose value is this text; nothing where it is empty.
    #[inline(never)]
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.json(name, &some_text(text));
    }

    /// Adds a member whose value is this number, if there is one.
    #[inline(never)]
    pub(super) fn number(&mut self, name: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.json(name, &number.to_string());
        }
    }

    /// Adds the members of an object, if there is one.
    #[inline(never)]
    pub(super) fn all(&mut self, object: Option<&Json>) {
        self.spliced(&object.map(Json::to_string).unwrap_or_default());
    }

    /// Adds the members of an object that is text.
    #[inline(never)]
    pub(super) fn spliced(&mut self, object: &str) {
        let inner = object.strip_prefix('{').and_then(|object| object.strip_suffix('}')).unwrap_or_default();
        if !inner.is_empty() {
            self.0.push(if self.0.is_empty() { '{' } else { ',' });
            self.0.push_str(inner);
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object.
    #[inline(never)]
    pub(super) fn object(mut self) -> String {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        self.0
    }
}

/// Appends a text as JSON.
fn push_text(out: &mut String, text: &str) {
    out.push('"');
    push_inner(out, text);
    out.push('"');
}

/// Appends what stands between the quotes of a text.
pub(super) fn push_inner(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

/// A text.
#[inline(never)]
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_text(&mut out, text);
    out
}

/// A text; nothing where it is empty.
#[inline(never)]
pub(super) fn some_text(some: &str) -> String {
    if some.is_empty() { String::new() } else { text(some) }
}

/// A list of JSON.
#[inline(never)]
pub(super) fn list(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// A list of texts; nothing where it is empty.
#[inline(never)]
pub(super) fn texts(texts: &[String]) -> String {
    if texts.is_empty() {
        return String::new();
    }
    let texts: Vec<String> = texts.iter().map(|one| text(one)).collect();
    list(&texts)
}

/// A truth.
pub(super) fn truth(is: bool) -> String {
    if is { "true" } else { "false" }.to_owned()
}

/// A reference to what stands at a place of the document, as a URI fragment (RFC 6901 section 6).
#[inline(never)]
pub(super) fn reference(place: &[&str]) -> String {
    let mut pointer = String::from("{\"$ref\":\"#");
    for name in place {
        pointer.push('/');
        for byte in name.replace('~', "~0").replace('/', "~1").bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                pointer.push(byte.into());
            } else {
                pointer.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    pointer + "\"}"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_json(original in "\\PC{0,20}|[\\x00-\\x7f]{0,20}") {
            let json: Json = serde_json::from_str(&text(&original)).expect("JSON");
            prop_assert_eq!(json, Json::from(original));
        }
    }

    #[test]
    fn objects_and_references() {
        let mut members = Members::default();
        members.text("a\"", "b");
        members.text("none", "");
        members.json("c", "[1]");
        members.number("d", Some(2));
        members.number("e", None);
        assert_eq!(members.object(), r#"{"a\"":"b","c":[1],"d":2}"#);
        assert_eq!(Members::default().object(), "{}");
        assert_eq!(reference(&["a/b", "c~d e", "ä"]), r##"{"$ref":"#/a~1b/c~0d%20e/%C3%A4"}"##);
    }
}
