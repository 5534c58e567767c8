//! Durations, sizes and modes of files as they are written.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration, written `250ms`, `30s`, `5m` or `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a duration: write 250ms, 30s, 5m or 1h");
        let (number, unit) = split_number(&text).ok_or_else(wrong)?;
        let millis = match unit {
            "ms" => number,
            "s" => number.saturating_mul(1_000),
            "m" => number.saturating_mul(60_000),
            "h" => number.saturating_mul(3_600_000),
            _ => return Err(wrong()),
        };
        Ok(Span(Duration::from_millis(millis)))
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        format!("{}ms", span.0.as_millis())
    }
}

/// A number of bytes, written `512`, `64KiB`, `10MiB`, `1GiB` (or with `KB`, `MB`, `GB`, powers of ten).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "String")]
pub struct Size(pub u64);

impl TryFrom<toml::Value> for Size {
    type Error = String;
    fn try_from(value: toml::Value) -> Result<Self, String> {
        // A bare number needs no quotes.
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let wrong = || format!("`{text}` is not a size: write 512, 64KiB, 10MiB or 1GiB");
        let (number, unit) = split_number(&text).ok_or_else(wrong)?;
        let factor = match unit {
            "" | "B" => 1,
            "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        Ok(Size(number.saturating_mul(factor)))
    }
}

impl From<Size> for String {
    fn from(size: Size) -> String {
        size.0.to_string()
    }
}

/// Who may do what with a file, written in octal as `"660"`. Its owner may always read and write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "String")]
pub struct FileMode(pub u32);

impl TryFrom<toml::Value> for FileMode {
    type Error = String;
    fn try_from(value: toml::Value) -> Result<Self, String> {
        // The digits of a bare number are meant as such: the environment has no quotes.
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| (0o600..=0o777).contains(mode));
        mode.map(FileMode)
            .ok_or_else(|| format!("`{text}` is no mode of a file: write \"660\", from \"600\" to \"777\""))
    }
}

impl From<FileMode> for String {
    fn from(mode: FileMode) -> String {
        format!("{:o}", mode.0)
    }
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim()))
}
