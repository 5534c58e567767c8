//! Calls of functions: what is selected of their rows.

use super::build::Build;
use super::value::whole_column;
use super::{Call, Field, FieldValue};
use crate::error::Error;
use crate::function::{self, Returns};
use crate::policy::Security;

impl Build<'_> {
    pub(super) fn call(&mut self, call: &function::Call) -> Result<Call, Error> {
        let relation = self.schema.functions.get(call.function).copied().flatten();
        let read = match (&call.returns, relation) {
            (Returns::Void, _) => None,
            (_, None) => {
                let reason = "its columns are not known: see the warnings at the start";
                return Err(Error::Internal(format!("function {}: {reason}", call.function)));
            }
            (Returns::Value { .. }, Some(relation)) => {
                let mut read = self.root(relation)?;
                let name = self.relation(relation)?.name.clone();
                // A scalar is what it is, whatever is selected.
                read.fields = vec![Field { name, value: FieldValue::Column(whole_column(read.source, 0)) }];
                Some(read)
            }
            (_, Some(relation)) => Some(self.root(relation)?),
        };
        let security = self.config.udf.get(call.function).map_or(Security::Invoker, |udf| udf.security);
        Ok(Call { sql: call.sql.clone(), returns: call.returns.clone(), read, security })
    }
}
