//! The `Prefer` header (RFC 7240): what is understood of it, and how it is answered.
//!
//! <https://docs.postgrest.org/en/stable/references/api/preferences.html>

use crate::error::Error;
use crate::timezone::Zone;

/// The preferences of a request; what is not named is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// `resolution=`
    pub resolution: Option<Resolution>,
    /// `missing=`
    pub missing: Option<Missing>,
    /// `return=`
    pub representation: Option<Return>,
    /// `count=`
    pub count: Option<Count>,
    /// `tx=`
    pub transaction: Option<TransactionEnd>,
    /// `handling=`
    pub handling: Option<Handling>,
    /// `timezone=`
    pub timezone: Option<TimeZone>,
    /// `max-affected=`: rows that a write may touch.
    pub max_affected: Option<u64>,
    /// `links=keyset`: a `Link` to the next page. Beyond PostgREST.
    pub links: bool,
    /// What is not understood.
    pub unknown: Vec<String>,
}

/// `timezone=`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZone {
    /// As it was written, for `Preference-Applied`.
    pub written: String,
    /// The zone.
    pub zone: Zone,
}

/// What becomes of rows whose key is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// They are updated.
    Merge,
    /// They stay as they are.
    Ignore,
}

/// What a column gets that a row of the body does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Its default.
    Default,
    /// Null.
    Null,
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

/// Whether the rows are counted beyond the page. SQLite has no estimate; all three count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// `count=exact`
    Exact,
    /// `count=planned`
    Planned,
    /// `count=estimated`
    Estimated,
}

/// How the transaction ends, where `api.tx_end` lets a request say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionEnd {
    /// What was written stays.
    Commit,
    /// It is answered and undone.
    Rollback,
}

/// What becomes of preferences that are not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// An error.
    Strict,
    /// They are passed over.
    Lenient,
}

impl Preferences {
    /// Reads every `Prefer` field of the request. Of two values for one preference the first counts.
    ///
    /// # Errors
    /// PGRST122 with `handling=strict` for what is not understood; without, it is passed over, as RFC 7240 says. A timezone
    /// that there is none of is 22023 in any case, as in PostgREST, where the database refuses it.
    pub fn parse<'a>(fields: impl Iterator<Item = &'a str>) -> Result<Preferences, Error> {
        let mut preferences = Preferences::default();
        for preference in fields.flat_map(|field| field.split(',')).map(str::trim) {
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.split(';').next().unwrap_or_default().trim().trim_matches('"');
            if name.trim() == "timezone" && preferences.timezone.is_none() {
                let zone = Zone::of_preference(value).ok_or_else(|| Error::TimeZone(value.to_owned()))?;
                preferences.timezone = Some(TimeZone { written: value.to_owned(), zone });
            } else if !preference.is_empty() && !preferences.take(name.trim(), value) {
                preferences.unknown.push(preference.to_owned());
            }
        }
        if preferences.handling == Some(Handling::Strict) && !preferences.unknown.is_empty() {
            return Err(Error::Preferences(preferences.unknown.join(", ")));
        }
        Ok(preferences)
    }

    /// Whether a preference is understood. A second one of its name changes nothing.
    fn take(&mut self, name: &str, value: &str) -> bool {
        match name {
            "resolution" => set(
                &mut self.resolution,
                match value {
                    "merge-duplicates" => Some(Resolution::Merge),
                    "ignore-duplicates" => Some(Resolution::Ignore),
                    _ => None,
                },
            ),
            "missing" => set(
                &mut self.missing,
                match value {
                    "default" => Some(Missing::Default),
                    "null" => Some(Missing::Null),
                    _ => None,
                },
            ),
            "return" => set(
                &mut self.representation,
                match value {
                    "minimal" => Some(Return::Minimal),
                    "headers-only" => Some(Return::HeadersOnly),
                    "representation" => Some(Return::Representation),
                    _ => None,
                },
            ),
            "count" => set(
                &mut self.count,
                match value {
                    "exact" => Some(Count::Exact),
                    "planned" => Some(Count::Planned),
                    "estimated" => Some(Count::Estimated),
                    // Explicitly nothing.
                    "none" => return true,
                    _ => None,
                },
            ),
            "tx" => set(
                &mut self.transaction,
                match value {
                    "commit" => Some(TransactionEnd::Commit),
                    "rollback" => Some(TransactionEnd::Rollback),
                    _ => None,
                },
            ),
            "handling" => set(
                &mut self.handling,
                match value {
                    "strict" => Some(Handling::Strict),
                    "lenient" => Some(Handling::Lenient),
                    _ => None,
                },
            ),
            "timezone" => self.timezone.is_some(),
            "links" if value == "keyset" => {
                self.links = true;
                true
            }
            "max-affected" => set(&mut self.max_affected, value.parse().ok()),
            _ => false,
        }
    }

    /// The rows that a write may touch: `max-affected` counts with `handling=strict` alone.
    pub fn limit(&self) -> Option<u64> {
        self.max_affected.filter(|_| self.handling == Some(Handling::Strict))
    }

    /// The value of `Preference-Applied`, in PostgREST's order; `None` where nothing was applied.
    pub fn applied(&self) -> Option<String> {
        let words: [Option<String>; 9] = [
            self.resolution.map(|r| match r {
                Resolution::Merge => "resolution=merge-duplicates".to_owned(),
                Resolution::Ignore => "resolution=ignore-duplicates".to_owned(),
            }),
            self.missing.map(|m| match m {
                Missing::Default => "missing=default".to_owned(),
                Missing::Null => "missing=null".to_owned(),
            }),
            self.representation.map(|r| match r {
                Return::Minimal => "return=minimal".to_owned(),
                Return::HeadersOnly => "return=headers-only".to_owned(),
                Return::Representation => "return=representation".to_owned(),
            }),
            self.count.map(|c| match c {
                Count::Exact => "count=exact".to_owned(),
                Count::Planned => "count=planned".to_owned(),
                Count::Estimated => "count=estimated".to_owned(),
            }),
            self.transaction.map(|t| match t {
                TransactionEnd::Commit => "tx=commit".to_owned(),
                TransactionEnd::Rollback => "tx=rollback".to_owned(),
            }),
            self.handling.map(|h| match h {
                Handling::Strict => "handling=strict".to_owned(),
                Handling::Lenient => "handling=lenient".to_owned(),
            }),
            self.timezone.as_ref().map(|zone| format!("timezone={}", zone.written)),
            self.limit().map(|rows| format!("max-affected={rows}")),
            self.links.then(|| "links=keyset".to_owned()),
        ];
        let applied: Vec<String> = words.into_iter().flatten().collect();
        (!applied.is_empty()).then(|| applied.join(", "))
    }
}

/// Takes a value for a preference that has none yet. `false`: it is not one that is understood.
fn set<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let understood = value.is_some();
    if slot.is_none() {
        *slot = value;
    }
    understood
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(fields: &[&str], expected: Expect) {
        let shown = match Preferences::parse(fields.iter().copied()) {
            Ok(preferences) => format!("{:?} {:?}", preferences.applied(), preferences.unknown),
            Err(error) => error.problem().details.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn preferences() {
        check(
            &["return=minimal, count=exact", "return=representation,  handling=lenient;x"],
            expect![[r#"Some("return=minimal, count=exact, handling=lenient") []"#]],
        );
        check(
            &[
                "links=keyset, links=x, max-affected=3, timezone=Europe/Paris, tx=rollback, missing=default, resolution=merge-duplicates, count=planned",
            ],
            expect![[
                r#"Some("resolution=merge-duplicates, missing=default, count=planned, tx=rollback, timezone=Europe/Paris, links=keyset") ["links=x"]"#
            ]],
        );
        check(
            &["handling=strict, max-affected=10"],
            expect![[r#"Some("handling=strict, max-affected=10") []"#]],
        );
        check(&["a;b=c,,=, count=none, return=all"], expect![[r#"None ["a;b=c", "=", "return=all"]"#]]);
        check(
            &["handling=strict", "anything, return=minimal, max-affected=x"],
            expect![[r#""Invalid preferences: anything, max-affected=x""#]],
        );
    }
}
