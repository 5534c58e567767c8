//! How many rows of a relation somebody sees, and some of them: by the same way as any GET of theirs, policies, masks and
//! `api.pre_request` included.

use std::sync::Arc;

use serde_json::Value as Json;

use super::asked::Asked;
use super::describe::Relation;
use crate::api_request::Access;
use crate::audit::{Act, Audits};
use crate::config::Config;
use crate::database::Database;
use crate::error::Error;
use crate::identity::Identity;
use crate::query_params::percent_encode;
use crate::schema::SchemaCache;
use crate::timing::Timing;

/// The most examples of a relation.
pub const MOST_EXAMPLES: u64 = 10;

/// The longest text in an example, in characters; what is longer is cut.
const LONGEST: usize = 120;

/// Why there are none where a function that writes is run before every request.
const WRITES: &str =
    "api.pre_request writes, and what reads rows for this page may not: a GET of them is answered";

/// What is wanted of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How many there are.
    pub count: bool,
    /// So many of them.
    pub examples: u64,
}

impl Wanted {
    /// Whether anything is.
    pub fn is_any(self) -> bool {
        self.count || self.examples > 0
    }
}

/// What was read.
struct Found {
    /// How many there are, where that was wanted.
    count: Option<u64>,
    examples: Vec<Json>,
    acts: Vec<Act>,
}

/// Reads what is wanted of the rows that `identity` sees, inside the transaction that the caller has begun. What comes back is what was
/// done, for a record.
///
/// # Errors
/// That the time is over, which it then is for other relations, too.
pub fn read(
    config: &Config,
    schema: &mut Arc<SchemaCache>,
    identity: &Arc<Identity>,
    wanted: Wanted,
    relation: &mut Relation,
    db: &mut dyn Database,
) -> Result<Vec<Act>, Error> {
    match rows(config, schema, identity, wanted, &relation.name, db) {
        Ok(Found { count, examples, acts }) => {
            relation.rows = count.filter(|_| wanted.count);
            relation.examples = Some(examples).filter(|_| wanted.examples > 0);
            Ok(acts)
        }
        Err(Error::Timeout) => Err(Error::Timeout),
        Err(error) => {
            relation.unread = Some(error.problem().message);
            Ok(Vec::new())
        }
    }
}

/// The rows, or why there are none.
fn rows(
    config: &Config,
    schema: &mut Arc<SchemaCache>,
    identity: &Arc<Identity>,
    wanted: Wanted,
    name: &str,
    db: &mut dyn Database,
) -> Result<Found, Error> {
    let limit = wanted.examples.min(MOST_EXAMPLES);
    let asked = Asked {
        request: format!("GET /{}?limit={limit}", percent_encode(name)),
        headers: Vec::from_iter(wanted.count.then(|| ("prefer".to_owned(), "count=exact".to_owned()))),
        body: String::new(),
        identity: Arc::clone(identity),
    };
    let words = |body: &[u8]| {
        let told: Option<Json> = serde_json::from_slice(body).ok();
        let message = told.as_ref().and_then(|told| told.get("message")).and_then(Json::as_str);
        message.unwrap_or("they cannot be read").to_owned()
    };
    let parsed = asked.parse(config).map_err(Error::Body)?;
    let mut request = parsed.map_err(|refusal| Error::Body(words(&refusal.body)))?;
    if request.access() == Access::Write {
        return Err(Error::Body(WRITES.to_owned()));
    }
    request.audit(Audits::All);
    let response = crate::answer(config, schema, &request, db, &mut Timing::default(), false)?;
    let range = response.headers.iter().find(|(name, _)| name == "content-range");
    let count = range.and_then(|(_, range)| range.rsplit_once('/')?.1.parse().ok());
    let examples: Vec<Json> =
        serde_json::from_slice(&response.body).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Found { count, examples: examples.into_iter().map(cut).collect(), acts: response.acts })
}

/// The same with its long texts cut.
fn cut(json: Json) -> Json {
    match json {
        Json::String(text) if text.chars().count() > LONGEST => {
            Json::String(text.chars().take(LONGEST).chain(['…']).collect())
        }
        Json::Array(items) => Json::Array(items.into_iter().map(cut).collect()),
        Json::Object(members) => {
            Json::Object(members.into_iter().map(|(name, value)| (name, cut(value))).collect())
        }
        other => other,
    }
}
