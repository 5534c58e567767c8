//! Lists of texts, and where they may be instead: each may be written `["a", "b"]`, `"a, b"`, `"env:NAME"` with commas between the
//! entries, or `"file:PATH"` with each entry on a line of its own.

use std::fmt;

use serde::Deserializer;
use serde::de::{SeqAccess, Visitor};

use super::{Config, OneOrMore, Reader, Reference, reference};

/// Reads a list in any of its forms. References stay what they are until [`Config::read_files`], or [`expand`] where a host reads them.
///
/// # Errors
/// What stands there is neither a text nor a list of texts.
pub fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(match from.deserialize_any(Texts)? {
        OneOrMore::More(texts) => texts,
        OneOrMore::One(text) if reference(&text).is_some() => vec![text],
        OneOrMore::One(text) => split(&text, ','),
    })
}

/// A text or several, as they are written.
pub(crate) struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = OneOrMore;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E>(self, text: &str) -> Result<OneOrMore, E> {
        Ok(OneOrMore::One(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element()? {
            texts.push(text);
        }
        Ok(OneOrMore::More(texts))
    }
}

fn split(text: &str, at: char) -> Vec<String> {
    text.split(at).map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

impl Config {
    /// The lists that may be elsewhere, with their keys.
    fn lists(&mut self) -> impl Iterator<Item = (String, &mut Vec<String>)> {
        let databases = self.databases.iter_mut().flat_map(|(name, file)| {
            let key = |key: &str| format!("databases.{name}.{key}");
            [(key("hidden"), &mut file.hidden), (key("attach"), &mut file.attach)]
        });
        let functions =
            self.udf.iter_mut().map(|udf| (format!("function {}: roles", udf.name), &mut udf.roles));
        let origins = [
            ("middleware.cors_origins".to_owned(), &mut self.middleware.cors_origins),
            ("middleware.trusted_proxies".to_owned(), &mut self.middleware.trusted_proxies),
        ];
        let policies = self.policies.iter_mut();
        let bypass =
            policies.map(|policies| ("policies.bypass_roles".to_owned(), &mut policies.bypass_roles));
        let attach = [("attach.paths".to_owned(), &mut self.attach.paths)];
        databases.chain(functions).chain(origins).chain(bypass).chain(attach)
    }

    /// Whether it is said elsewhere which databases are attached to others.
    pub(super) fn attaches_by_reference(&self) -> bool {
        let mut attached = self.databases.values().flat_map(|file| &file.attach);
        attached.any(|text| reference(text).is_some())
    }

    /// Puts what is referred to in the place of the references; a sentence for each that cannot be read.
    pub(super) fn read_lists(&mut self, read: &mut Reader<'_>) -> Vec<String> {
        let mut wrong = Vec::new();
        for (key, list) in self.lists() {
            expand(&key, list, read, &mut wrong);
        }
        let jwt = self.auth.iter_mut().filter_map(|auth| auth.jwt.as_mut());
        let claims = jwt.flat_map(|jwt| {
            let lists = [
                ("algorithm", &mut jwt.algorithm),
                ("audience", &mut jwt.audience),
                ("issuer", &mut jwt.issuer),
            ];
            lists.into_iter().filter_map(|(key, list)| Some((key, list.as_mut()?)))
        });
        for (key, list) in claims {
            if list.texts().iter().any(|text| reference(text).is_some()) {
                let mut texts = list.texts().to_vec();
                expand(&format!("auth.jwt.{key}"), &mut texts, read, &mut wrong);
                *list = OneOrMore::More(texts);
            }
        }
        wrong
    }
}

/// Puts what is referred to in the place of the references in a list, which is that of `key`; a sentence for each that cannot be read is
/// added to `wrong`.
pub fn expand(key: &str, list: &mut Vec<String>, read: &mut Reader<'_>, wrong: &mut Vec<String>) {
    if !list.iter().any(|text| reference(text).is_some()) {
        return;
    }
    let mut texts = Vec::new();
    for text in std::mem::take(list) {
        let Some(place) = reference(&text) else {
            texts.push(text);
            continue;
        };
        let separator = if matches!(place, Reference::File(_)) { '\n' } else { ',' };
        match read(place) {
            Ok(found) => {
                texts.extend(split(&found, separator).into_iter().filter(|text| !text.starts_with('#')))
            }
            Err(reason) => wrong.push(format!("{key}: {reason}")),
        }
    }
    *list = texts;
}
