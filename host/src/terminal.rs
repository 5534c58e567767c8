//! What only a person at a terminal gets: colours. In a pipe, and with `NO_COLOR`, every byte is as it was without them.

use std::io::{stderr, stdout};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

/// What is wrong.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// What may be wrong.
pub const WARNING: Style = AnsiColor::Yellow.on_default();
/// What is well.
pub const WELL: Style = AnsiColor::Green.on_default();
/// What a person looks for.
pub const NAME: Style = Style::new().bold();

/// Where words go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

impl To {
    /// The words in a style, where a person sees them.
    pub fn paint(self, style: Style, words: &str) -> String {
        let choice = match self {
            To::Output => AutoStream::choice(&stdout()),
            To::Error => AutoStream::choice(&stderr()),
        };
        match choice {
            ColorChoice::Never => words.to_owned(),
            _ => format!("{style}{words}{style:#}"),
        }
    }
}
