//! What the server tells of itself, and what an administrator has it do. It is not part of the API, and stands beside it.

use sqlitrest_runtime::http::Request;

use crate::answer::Answer;
use crate::deeds::{self, From};
use crate::engine::Engine;
use crate::serving::Serving;

/// The answer, if the request is for the server itself and not for a database.
pub async fn answer(serving: &Serving, engine: &Engine, request: &Request<'_>) -> Option<Answer> {
    deeds::answer(serving, engine, request, From::Anybody).await
}
