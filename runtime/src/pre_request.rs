//! `api.pre_request`: a function of the configuration that is run before every request, in its transaction and as who asks. What
//! it raises is the answer (<https://docs.postgrest.org/en/stable/references/transactions.html#pre-request>).
//!
//! SQLite has RAISE in triggers alone, so that a function which only reads raises by what it gives: a value that is not NULL is
//! what a trigger would have raised.

use std::sync::Arc;

use crate::api_request::{Action, ApiRequest, CallRequest};
use crate::asker::{Asker, Said};
use crate::audit::Audits;
use crate::config::{Config, Udf};
use crate::cors::Asked;
use crate::database::Database;
use crate::database_error::raised_error;
use crate::error::Error;
use crate::etag::Conditional;
use crate::function::{self, Returns};
use crate::http::Request;
use crate::identity::Identity;
use crate::media::MediaType;
use crate::plan;
use crate::preferences::Preferences;
use crate::query_params::QueryParams;
use crate::run::run;
use crate::schema::{ColumnType, SchemaCache};
use crate::timing::Timing;
use crate::{failed, plan_for_role};

/// What is wrong with a function that is to be run before every request, if anything is.
pub(crate) fn misfit(udf: &Udf) -> Option<&'static str> {
    if !function::needs_nothing(udf) {
        return Some("it has parameters without a default, and nobody gives it arguments");
    }
    let fits = match Returns::parse(&udf.returns) {
        Some(Returns::Void) => true,
        Some(Returns::Value { declared, set: false }) => {
            matches!(ColumnType::of(&declared), ColumnType::Text | ColumnType::Json)
        }
        _ => false,
    };
    let wanted =
        "it must return void, scalar text or scalar json, where a value that is not NULL refuses the request";
    (!fits).then_some(wanted)
}

/// The call that is made before a request, if one is configured: a request of its own.
///
/// # Errors
/// None where the configuration was checked.
pub(crate) fn of(
    config: &Config,
    identity: &Arc<Identity>,
    request: &Request<'_>,
) -> Result<Option<Box<ApiRequest>>, Error> {
    let name = config.api.pre_request.as_str();
    if name.is_empty() {
        return Ok(None);
    }
    let said = Said::of(request);
    let ask = |asked: &plan::Asked| Asker { identity, said: Some(&said) }.value(asked);
    let call = function::without_arguments(&config.udf, name, &ask)?;
    Ok(Some(Box::new(ApiRequest {
        identity: Arc::clone(identity),
        relation: name.to_owned(),
        action: Action::Call(CallRequest { call, head: false, is_safe: true }),
        params: QueryParams::default(),
        range: None,
        preferences: Preferences::default(),
        media_type: MediaType::Json,
        conditional: Conditional::default(),
        timing: Timing::default(),
        trace: None,
        origin: Asked::default(),
        content_location: String::new(),
        by_body: false,
        pre_request: None,
        audits: Audits::None,
        said: Some(said),
    })))
}

/// Makes the call. `schema` is that of the role.
///
/// # Errors
/// What the function raises, and whatever the stages refuse.
pub(crate) fn call(
    config: &Config,
    schema: &SchemaCache,
    call: &ApiRequest,
    db: &mut dyn Database,
) -> Result<(), Error> {
    let (_, program) = plan_for_role(config, schema, call)?;
    let outcome = run(program, db).map_err(|failure| failed(failure, schema, call))?;
    raised(&outcome.body)?.map_or(Ok(()), |text| Err(raised_error(&text)))
}

/// The first value that is not NULL of those that a function gave.
///
/// # Errors
/// A value that cannot be read: it is not NULL either.
fn raised(values: &[u8]) -> Result<Option<String>, Error> {
    let list = [b"[", values, b"]"].concat();
    let values: Vec<serde_json::Value> = serde_json::from_slice(&list)
        .map_err(|error| Error::Internal(format!("api.pre_request gave what is no JSON: {error}")))?;
    let value = values.into_iter().find(|value| !value.is_null());
    Ok(value.map(|value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_null_is_raised() {
        for nothing in ["", "null", "null,null"] {
            assert_eq!(raised(nothing.as_bytes()), Ok(None), "{nothing}");
        }
        for (given, text) in [
            (r#"null,"no""#, "no"),
            (r#"{"code":"PT402","message":"Pay"}"#, r#"{"code":"PT402","message":"Pay"}"#),
            ("false", "false"),
        ] {
            assert_eq!(raised(given.as_bytes()), Ok(Some(text.to_owned())), "{given}");
        }
        assert!(raised(b"{").is_err());
    }
}
