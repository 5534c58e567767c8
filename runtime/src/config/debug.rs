//! `[debug]`: what is told of the server itself, and to whom.

use serde::{Deserialize, Serialize};

/// `[debug]`: `/_debug/*`, for people and language models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Debug {
    /// Whether there is any of it.
    pub enabled: bool,
    /// Whether only the administrator is told. Without, whoever reaches the server is.
    pub require_admin: bool,
    /// The role of the administrator, who may also reload and attach.
    pub admin_role: String,
}

impl Default for Debug {
    fn default() -> Self {
        Debug { enabled: false, require_admin: true, admin_role: "admin".to_owned() }
    }
}
