//! The languages: PostgreSQL's text search configurations, which are the stop words of each.
//!
//! The lists in `stop/` are PostgreSQL's own; `stop/README.md` says where they come from. Stemming is the index's affair.

use super::FullTextError;

/// The stop words of a language, a word on each line.
#[derive(Clone, Copy)]
pub(super) struct Language {
    /// Those among words of ASCII letters: the English ones, in languages that are written in other letters.
    ascii: &'static str,
    /// Those among all other words.
    other: &'static str,
    /// `ß` and `ss` are the same, as in PostgreSQL's German stemmer. FTS5 folds accents, but not this.
    eszett: bool,
}

macro_rules! stop_words {
    ($name:literal) => {
        include_str!(concat!("stop/", $name, ".stop"))
    };
}

impl Language {
    /// The configuration of this name, upper or lower case.
    pub(super) fn named(name: &str) -> Result<Language, FullTextError> {
        const ENGLISH: &str = stop_words!("english");
        let of = |words| Language { ascii: words, other: words, eszett: false };
        Ok(match name.to_ascii_lowercase().as_str() {
            "danish" => of(stop_words!("danish")),
            "dutch" => of(stop_words!("dutch")),
            "english" => of(ENGLISH),
            "finnish" => of(stop_words!("finnish")),
            "french" => of(stop_words!("french")),
            "german" => Language { eszett: true, ..of(stop_words!("german")) },
            "hindi" => Language { ascii: ENGLISH, ..of("") },
            "hungarian" => of(stop_words!("hungarian")),
            "italian" => of(stop_words!("italian")),
            "nepali" => of(stop_words!("nepali")),
            "norwegian" => of(stop_words!("norwegian")),
            "portuguese" => of(stop_words!("portuguese")),
            "russian" => Language { ascii: ENGLISH, ..of(stop_words!("russian")) },
            "spanish" => of(stop_words!("spanish")),
            "swedish" => of(stop_words!("swedish")),
            "turkish" => of(stop_words!("turkish")),
            // PostgreSQL has no stop words for these.
            "simple" | "arabic" | "armenian" | "basque" | "catalan" | "greek" | "indonesian" | "irish"
            | "lithuanian" | "romanian" | "serbian" | "tamil" | "yiddish" => of(""),
            _ => return Err(FullTextError::Language(name.to_owned())),
        })
    }

    /// Whether this word is too common to be looked for.
    pub(super) fn is_stop(self, word: &str) -> bool {
        let stop_words = if word.is_ascii() { self.ascii } else { self.other };
        let word = word.to_lowercase();
        stop_words.lines().any(|stop| stop == word)
    }
    /// How else a word may stand in a text.
    pub(super) fn other_spelling(self, word: &str) -> Option<String> {
        let word = word.to_lowercase();
        match (self.eszett, word.contains('ß'), word.contains("ss")) {
            (true, true, _) => Some(word.replace('ß', "ss")),
            (true, false, true) => Some(word.replace("ss", "ß")),
            _ => None,
        }
    }
}
