//! The third stage: policies. The only maker of [`Authorized`], and the compile stage takes nothing else, so that no SQL
//! exists that a policy has not seen.

use crate::error::Error;
use crate::plan::Plan;

/// The rules of who may see and do what.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Policies {
    /// Everything is allowed to everyone: nothing else can be configured yet.
    #[default]
    AllowAll,
}

/// A plan that the policies allow, narrowed to what they allow of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorized(Plan);

impl Authorized {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.0
    }

    /// The plan, for the reply stage.
    pub fn into_plan(self) -> Plan {
        self.0
    }
}

/// Lets the policies see a plan.
///
/// # Errors
/// 42501 where they refuse it; the set of today refuses nothing.
pub fn authorize(policies: &Policies, plan: Plan) -> Result<Authorized, Error> {
    match policies {
        Policies::AllowAll => Ok(Authorized(plan)),
    }
}
