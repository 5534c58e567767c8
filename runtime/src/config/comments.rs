//! `[comments]`: what tables and columns are for, in words. SQLite has no comments of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `[comments]`, for documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Comments {
    /// What the API is called; behind a first line, what it is for.
    pub schema: String,
    /// By the name of a table, a view or a function.
    pub table: BTreeMap<String, String>,
    /// By `TABLE.COLUMN`.
    pub column: BTreeMap<String, String>,
}
