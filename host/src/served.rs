//! One database with what answers for it.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use sqlitrest_runtime::SchemaCache;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::http::Request;

use crate::answer::Answer;
use crate::component::{Component, Guests};
use crate::engine::Asker;
use crate::native::Native;
use crate::pool::Wanted;
use crate::source::Source;
use crate::warnings::warnings;

/// What runs the core.
#[derive(Clone)]
pub enum Kind {
    /// It is compiled in.
    Native,
    /// As a component, in instances of these guests.
    Component(Arc<Guests>),
}

/// A database, where it is, and the core that answers for it.
pub struct Served {
    /// Its configuration: the whole one's of this database ([`Config::of_database`]).
    config: Config,
    source: Source,
    core: Core,
    /// The newest schema that was told of. What answers requests has one of its own.
    told: Mutex<Arc<SchemaCache>>,
}

enum Core {
    Native(Native),
    Component(Component),
}

impl Served {
    /// Opens the database `name` of a configuration. From `before`, which was served until now, is taken what is the same.
    ///
    /// # Errors
    /// One sentence on what is wrong with the file and what to do.
    pub fn open(
        config: &Config,
        name: &str,
        kind: &Kind,
        before: Option<&Arc<Served>>,
    ) -> Result<Arc<Served>> {
        let config = config.of_database(name);
        let source = match before {
            Some(before) if before.config == config => return Ok(Arc::clone(before)),
            Some(before) if *before.source.wanted() == Wanted::of(&config) => before.source.clone(),
            _ => Source::open(&config)?,
        };
        let core = match kind {
            Kind::Native => Core::Native(Native::new(&config, source.clone())),
            Kind::Component(guests) => {
                Core::Component(Component::new(&config, Arc::clone(guests), source.clone())?)
            }
        };
        Ok(Arc::new(Served { config, source, core, told: Mutex::default() }))
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        self.config.database().0
    }

    /// What is configured of it.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The connections, or the server.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The schema that was told of last (`/_schema`, `/_debug`, agents); an empty one before that. Whoever uses it looks whether it is
    /// still that of the file.
    pub fn told(&self) -> Arc<SchemaCache> {
        Arc::clone(&self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps what [`Served::told`] gives from now on.
    pub fn keep_told(&self, schema: Arc<SchemaCache>) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = schema;
    }

    /// Answers a request of who asks.
    pub async fn answer(&self, request: &Request<'_>, asker: &Asker) -> Answer {
        let Asker { identity, identified_in } = asker;
        match &self.core {
            Core::Native(native) => native.handle(request, identity, *identified_in).await,
            Core::Component(component) => component.handle(request, identity, *identified_in).await,
        }
    }

    /// What the configuration and the database do not agree on.
    ///
    /// # Errors
    /// A sentence for each policy that does not fit the schema.
    pub async fn warnings(&self) -> Result<Vec<String>> {
        warnings(&self.source, &self.config).await
    }
}
