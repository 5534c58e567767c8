//! `[mcp]`: whether agents are served, and how much they may have at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlitrest_runtime::config::{Size, Span};

/// The least that an answer may be limited to, in bytes: an error must fit.
const LEAST_BYTES: u64 = 1 << 10;

/// `[mcp]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether `/_mcp` is there. `sqlitrest mcp` asks nobody.
    pub enabled: bool,
    /// Whether there is a tool that writes, and functions that write may be called.
    pub write: bool,
    /// The most rows that one call reads or writes.
    pub max_rows: u64,
    /// The most bytes of rows in an answer.
    pub max_bytes: Size,
    /// How long a call that reads may take. One that writes has `middleware.request_timeout`, so that it is known what came of it.
    pub timeout: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            enabled: false,
            write: false,
            max_rows: 100,
            max_bytes: Size(256 << 10),
            timeout: Span(Duration::from_secs(30)),
        }
    }
}

impl Settings {
    /// Whether the values can be meant.
    ///
    /// # Errors
    /// One sentence with the key.
    pub fn check(&self) -> Result<(), String> {
        if self.max_rows == 0 {
            return Err("mcp.max_rows is 0: nothing could be read; write at least 1".to_owned());
        }
        if self.max_bytes.0 < LEAST_BYTES {
            return Err(format!("mcp.max_bytes is too small: write at least {LEAST_BYTES}"));
        }
        if self.timeout.0.is_zero() {
            return Err("mcp.timeout is 0: nothing could be done; write \"30s\"".to_owned());
        }
        Ok(())
    }
}
