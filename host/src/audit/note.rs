//! A request of which a record is kept: the place that it has before anything is done, and what is recorded of it.

use std::net::IpAddr;
use std::sync::Arc;

use sqlitrest_runtime::http::Request;

use super::entry::{Entry, Event, Sent};
use super::{Audit, Place};
use crate::admin;
use crate::answer::Answer;
use crate::engine::Engine;
use crate::owned::Owned;
use crate::serving::Serving;

/// Answers one request, and records what is to be recorded of it. `remote` is the address that it came from.
pub async fn answer(
    audit: &Arc<Audit>,
    (serving, engine): (&Arc<Serving>, &Arc<Engine>),
    request: &Request<'_>,
    remote: Option<IpAddr>,
) -> Answer {
    if !may_write(request.method) {
        return audit.answer(serving, engine, request, remote).await;
    }
    // On a task of its own: what is written is recorded, whether or not its client waits for the answer.
    let (audit, serving, engine) = (Arc::clone(audit), Arc::clone(serving), Arc::clone(engine));
    let owned = Owned::of(request);
    let task = tokio::spawn(async move {
        let headers = owned.headers();
        audit.answer(&serving, &engine, &owned.request(&headers), remote).await
    });
    task.await.unwrap_or_else(|_| Answer::internal())
}

/// Whether a request of this method may write.
fn may_write(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS" | "QUERY")
}

impl Audit {
    async fn answer(
        &self,
        serving: &Serving,
        engine: &Arc<Engine>,
        request: &Request<'_>,
        remote: Option<IpAddr>,
    ) -> Answer {
        // Where there is no room for a record, nothing is done.
        let place = match may_write(request.method) || self.settings.reads {
            true => match self.place().await {
                Ok(place) => Some(place),
                Err(refusal) => return refusal,
            },
            false => None,
        };
        let (asker, mut answer, event) = match admin::answer(serving, engine, request).await {
            Some(answer) => {
                let event = self.event_of_administrator(request, &answer);
                // Once more, for the record.
                let asker = if event.is_some() { engine.identify(request).await.ok() } else { None };
                (asker, answer, event)
            }
            None => match engine.identify(request).await {
                Ok(asker) => {
                    let answer = engine.answer(request, &asker).await;
                    let event = self.event(&answer);
                    (Some(asker), answer, event)
                }
                Err(refusal) => {
                    let event = self.event(&refusal);
                    (None, refusal, event)
                }
            },
        };
        let Some(event) = event else { return answer };
        let place = match place {
            Some(place) => place,
            None => match self.late_place().await {
                Ok(place) => place,
                Err(refusal) => return refusal,
            },
        };
        let mut entry = Entry::new(event, request, asker.as_ref().map(|asker| &*asker.identity), &answer);
        entry.remote = remote.map(|remote| remote.to_string());
        entry.database =
            engine.config().database_of(request).filter(|_| event != Event::Admin).map(str::to_owned);
        entry.sent = self.settings.values.then(|| Sent::of(request));
        entry.acts = std::mem::take(&mut answer.acts);
        if self.record(place, entry).await { answer } else { unrecorded(event) }
    }

    /// What is recorded of a request, by its answer.
    fn event(&self, answer: &Answer) -> Option<Event> {
        match answer.status {
            401 | 403 => self.settings.denied.then_some(Event::Denied),
            _ if answer.acts.iter().any(|act| act.operation.writes()) => Some(Event::Write),
            _ => (self.settings.reads && !answer.acts.is_empty()).then_some(Event::Read),
        }
    }

    /// What is recorded of what an administrator has the server do.
    fn event_of_administrator(&self, request: &Request<'_>, answer: &Answer) -> Option<Event> {
        match answer.status {
            200..300 if may_write(request.method) => Some(Event::Admin),
            _ => self.event(answer),
        }
    }

    /// A place for a record of what has come to nothing. Who leaves meanwhile is counted.
    async fn late_place(&self) -> Result<Place, Answer> {
        struct Leaves<'a>(Option<&'a Audit>);
        impl Drop for Leaves<'_> {
            fn drop(&mut self) {
                if let Some(audit) = self.0 {
                    audit.state.drops();
                }
            }
        }
        let mut leaves = Leaves(Some(self));
        let place = self.place().await;
        leaves.0 = None;
        place
    }
}

/// The answer to a request that was carried out, and whose record is not written in time.
fn unrecorded(event: Event) -> Answer {
    let hint = "The server's log says more.";
    match event {
        Event::Write | Event::Admin => {
            let message = "The request was carried out, but its record in the audit log is not written yet";
            Answer::problem(500, "58030", message, hint)
        }
        Event::Read | Event::Denied => {
            let message = "The record of this request in the audit log is not written yet";
            Answer::problem(503, "53000", message, hint)
        }
    }
}
