//! What a server tells of itself to who builds on it, and to their language models: `/_schema` and `/_debug/*`.
//!
//! What is here knows a configuration, a schema and a connection, so that every shell answers it. What only a host has (its pools,
//! its slow queries, its errors) the host adds. Each answer says in words what to do next.

mod advice;
pub mod asked;
mod candidates;
pub mod check;
pub mod describe;
pub mod effective;
pub mod explain;
mod judge;
mod next;
mod page;
mod planned;
pub mod rows;
pub mod rules;
pub mod text;
mod told;
mod trial;

use std::sync::Arc;

pub use page::{Page, Topic, answer, index, json_response, not_allowed, reading};
pub use told::schema_of;

use crate::config::Config;
use crate::error::Error;
use crate::identity::Identity;

/// Who wants to be told, and how much they may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Viewer {
    /// Who they are: rows are read as theirs.
    pub identity: Arc<Identity>,
    /// How much they may be told.
    pub standing: Standing,
}

/// How much somebody may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// What their own role knows, and no rule, plan or SQL of what policies restrict.
    Own,
    /// What any role knows, and the rules. Rows are theirs alone: they have not shown that they are the administrator.
    Reader,
    /// What any role knows, and rows as anybody sees them.
    Administrator,
}

/// Who asks, if they may be told anything (`debug.require_admin`).
///
/// # Errors
/// 42501 for who is not the administrator.
pub fn admit(config: &Config, identity: &Arc<Identity>) -> Result<Viewer, Error> {
    let standing = match config.is_administrator(identity) {
        true => Standing::Administrator,
        false if config.debug.require_admin => return Err(refused(identity)),
        false => Standing::Reader,
    };
    Ok(Viewer { identity: Arc::clone(identity), standing })
}

/// What who is not the administrator is told.
pub fn refused(identity: &Identity) -> Error {
    let message = "permission denied: this is for the administrator".to_owned();
    Error::Forbidden { message, anonymous: identity.is_anonymous }
}

impl Config {
    /// Whether who asks is the administrator. Where nobody signs in, nobody is.
    pub fn is_administrator(&self, identity: &Identity) -> bool {
        self.signing_in().is_some()
            && !identity.is_anonymous
            && self.roles_of(identity.role.as_deref()).contains(&self.debug.admin_role)
    }
}

#[cfg(test)]
mod tests;
