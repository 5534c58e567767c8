//! Policies as they are told to people: which are for a role and a relation, and where they stand.

use serde::Serialize;

use crate::config::Config;
use crate::policy::Rule;

/// A rule, with the place where it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// `policies.toml:7`
    pub place: String,
    /// The rule as it is written.
    pub rule: Rule,
}

impl Told {
    /// A rule.
    pub fn of(rule: &Rule) -> Told {
        Told { place: rule.place.of(""), rule: rule.clone() }
    }
}

/// The rules about a relation that are for a role.
pub fn for_role<'c>(config: &'c Config, role: Option<&str>, relation: &str) -> Vec<&'c Rule> {
    let Some(settings) = &config.policies else { return Vec::new() };
    let roles = config.roles_of(role);
    let is_for = |rule: &&Rule| {
        rule.names(relation) && (rule.roles.is_empty() || rule.roles.iter().any(|role| roles.contains(role)))
    };
    settings.policy.iter().filter(is_for).collect()
}
