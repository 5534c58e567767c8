//! A request of which a record is kept: the place that it has before anything is done, and what is recorded of it.

use std::net::IpAddr;
use std::sync::Arc;

use sqlitrest_runtime::http::Request;
use sqlitrest_runtime::identity::Identity;

use super::entry::{Entry, Event, Sent};
use super::{Audit, Place};
use crate::answer::Answer;
use crate::debug;
use crate::engine::{Asker, Engine};
use crate::observe::context;
use crate::owned::Owned;

/// A request on its way whose record is to be kept.
pub struct Recording {
    audit: Arc<Audit>,
    /// The record's place, where the request may write.
    place: Option<Place>,
    /// The address that it came from.
    remote: Option<IpAddr>,
}

/// Whether a request of this method may write.
fn may_write(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS" | "QUERY")
}

impl Recording {
    /// Begins it, before anything is done: for the record of what may write there is a place then.
    ///
    /// # Errors
    /// The answer to a request for which there is none. Nothing is to be done.
    pub async fn begin(
        audit: &Arc<Audit>,
        request: &Request<'_>,
        remote: Option<IpAddr>,
    ) -> Result<Recording, Answer> {
        let place = match may_write(request.method) || audit.settings.reads {
            true => Some(audit.place().await?),
            false => None,
        };
        Ok(Recording { audit: Arc::clone(audit), place, remote })
    }

    /// Has the request of who asks answered, and records it.
    pub async fn carry_out(self, engine: &Arc<Engine>, request: &Request<'_>, asker: Asker) -> Answer {
        if !may_write(request.method) {
            return self.answer(engine, request, &asker).await;
        }
        // What is written is recorded, whether or not its client waits for the answer.
        to_the_end(Some(self), engine, request, asker).await
    }

    /// The same of a request that may be given up at any time, whatever its method.
    pub async fn answer(self, engine: &Engine, request: &Request<'_>, asker: &Asker) -> Answer {
        let answer = engine.answer(request, asker).await;
        match self.event(&answer) {
            Some(event) => self.note(event, engine, request, Some(&*asker.identity), answer).await,
            None => answer,
        }
    }

    /// The same without the place, for who does nothing but have others do it: they take places of their own, and there may be but one.
    pub fn without_place(self) -> Recording {
        Recording { place: None, ..self }
    }

    /// Records that who asks was refused before anything was done, if they were; `identity` is who they are, where that is known.
    pub async fn refused(
        self,
        engine: &Engine,
        request: &Request<'_>,
        identity: Option<&Identity>,
        answer: Answer,
    ) -> Answer {
        match self.event(&answer) {
            Some(event) => self.note(event, engine, request, identity, answer).await,
            None => answer,
        }
    }

    /// Records what an administrator had the server do, or was refused.
    pub async fn administered(self, engine: &Engine, request: &Request<'_>, answer: Answer) -> Answer {
        match answer.status {
            200..300 if may_write(request.method) => {
                self.by_administrator(Event::Admin, engine, request, answer).await
            }
            _ => self.told(engine, request, answer).await,
        }
    }

    /// Records what was read for a page that tells of the server, or that it was refused.
    pub async fn told(self, engine: &Engine, request: &Request<'_>, answer: Answer) -> Answer {
        match self.event(&answer) {
            Some(event) => self.by_administrator(event, engine, request, answer).await,
            None => answer,
        }
    }

    async fn by_administrator(
        self,
        event: Event,
        engine: &Engine,
        request: &Request<'_>,
        answer: Answer,
    ) -> Answer {
        // Once more, for the record.
        let asker = engine.identify(request).await.ok();
        let identity = asker.as_ref().map(|asker| &*asker.identity);
        self.note(event, engine, request, identity, answer).await
    }

    /// What is recorded of a request, by its answer.
    fn event(&self, answer: &Answer) -> Option<Event> {
        let settings = &self.audit.settings;
        match answer.status {
            401 | 403 => settings.denied.then_some(Event::Denied),
            _ if answer.acts.iter().any(|act| act.operation.writes()) => Some(Event::Write),
            _ => (settings.reads && !answer.acts.is_empty()).then_some(Event::Read),
        }
    }

    /// Records it. The answer is another where there is no room for the record, or it had to be written and is not.
    async fn note(
        self,
        event: Event,
        engine: &Engine,
        request: &Request<'_>,
        identity: Option<&Identity>,
        mut answer: Answer,
    ) -> Answer {
        let Recording { audit, place, remote } = self;
        let place = match place {
            Some(place) => place,
            None => match late_place(&audit).await {
                Ok(place) => place,
                Err(refusal) => return refusal,
            },
        };
        let mut entry = Entry::new(event, request, identity, &answer);
        entry.remote = remote.map(|remote| remote.to_canonical().to_string());
        let config = engine.config();
        // A page may name its database elsewhere than other requests do.
        let database = match debug::page(config, request) {
            Some(page) => page.database(config, request).ok(),
            None => config.database_of(request),
        };
        entry.database = database.filter(|_| event != Event::Admin).map(str::to_owned);
        entry.sent = audit.settings.values.then(|| Sent::of(request));
        entry.acts = std::mem::take(&mut answer.acts);
        if audit.record(place, entry).await { answer } else { unrecorded(event) }
    }
}

/// Has a request answered on a task of its own: it goes to its end, whether or not whoever asks waits for that.
pub async fn to_the_end(
    recording: Option<Recording>,
    engine: &Arc<Engine>,
    request: &Request<'_>,
    asker: Asker,
) -> Answer {
    let (engine, owned) = (Arc::clone(engine), Owned::of(request));
    let work = async move {
        let headers = owned.headers();
        let request = owned.request(&headers);
        match recording {
            Some(recording) => recording.answer(&engine, &request, &asker).await,
            None => engine.answer(&request, &asker).await,
        }
    };
    let task = tokio::spawn(context::carry(work));
    task.await.unwrap_or_else(|_| Answer::internal())
}

/// A place for a record of what has come to nothing. Who leaves meanwhile is counted.
async fn late_place(audit: &Audit) -> Result<Place, Answer> {
    struct Leaves<'a>(Option<&'a Audit>);
    impl Drop for Leaves<'_> {
        fn drop(&mut self) {
            if let Some(audit) = self.0 {
                audit.state.drops();
            }
        }
    }
    let mut leaves = Leaves(Some(audit));
    let place = audit.place().await;
    leaves.0 = None;
    place
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
