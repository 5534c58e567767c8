//! The `Prefer` header (RFC 7240): what is understood of it, and how it is answered.
//!
//! <https://docs.postgrest.org/en/stable/references/api/preferences.html>

/// The preferences of a request; what is not named is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// `return=`
    pub representation: Option<Return>,
    /// `count=exact`
    pub count: Option<Count>,
}

/// What a write answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// Nothing.
    Minimal,
    /// A `Location` header.
    HeadersOnly,
    /// The rows.
    Representation,
}

/// Whether the rows are counted beyond the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// `count=exact`
    Exact,
}

impl Preferences {
    /// Reads every `Prefer` field of the request. Of two values for one preference the first counts; what is not
    /// understood is passed over, as RFC 7240 says.
    pub fn parse<'a>(fields: impl Iterator<Item = &'a str>) -> Preferences {
        let mut preferences = Preferences::default();
        for preference in fields.flat_map(|field| field.split(',')) {
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            match (name.trim(), value.trim().trim_matches('"')) {
                ("return", value) if preferences.representation.is_none() => {
                    preferences.representation = match value {
                        "minimal" => Some(Return::Minimal),
                        "headers-only" => Some(Return::HeadersOnly),
                        "representation" => Some(Return::Representation),
                        _ => None,
                    };
                }
                ("count", "exact") => preferences.count = Some(Count::Exact),
                _ => {}
            }
        }
        preferences
    }

    /// The value of `Preference-Applied`, in PostgREST's order; `None` where nothing was applied.
    pub fn applied(&self) -> Option<String> {
        let mut applied = Vec::new();
        match self.representation {
            Some(Return::Minimal) => applied.push("return=minimal"),
            Some(Return::HeadersOnly) => applied.push("return=headers-only"),
            Some(Return::Representation) => applied.push("return=representation"),
            None => {}
        }
        if self.count == Some(Count::Exact) {
            applied.push("count=exact");
        }
        (!applied.is_empty()).then(|| applied.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_value_counts() {
        let fields = ["return=minimal, count=exact", "return=representation,  handling=strict;x"];
        let preferences = Preferences::parse(fields.into_iter());
        assert_eq!(preferences.representation, Some(Return::Minimal));
        assert_eq!(preferences.applied().as_deref(), Some("return=minimal, count=exact"));
        assert_eq!(Preferences::parse(["a;b=c,,=".to_owned()].iter().map(String::as_str)).applied(), None);
    }
}
