//! One of the databases: its configuration, the label by which the host knows it, and the schema as it was last seen.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use sqlitrest_runtime::SchemaCache;
use sqlitrest_runtime::config::Config;

/// The label of the default database, and of whichever our own host lends.
pub const DEFAULT: &str = "default";

/// A database that is served.
pub struct Served {
    /// What is configured of it.
    pub config: Config,
    /// What `spin:sqlite` opens it by.
    pub label: String,
    /// The last schema seen. Taken while a request runs; one instance serves one request at a time.
    pub schema: Cell<Arc<SchemaCache>>,
}

thread_local! {
    /// Those that were asked so far; an instance lives about as long as they do.
    static SERVED: RefCell<Vec<&'static Served>> = const { RefCell::new(Vec::new()) };
}

/// The database of a host of ours, whose configuration this is.
pub fn of_our_host(config: &'static Config) -> &'static Served {
    find(config.database().0, || (config.clone(), DEFAULT.to_owned()))
}

/// The database `name` of a configuration. Its label is its name, unless it is the default one.
pub fn of(config: &'static Config, name: &str) -> &'static Served {
    find(name, || {
        let is_default = config.schemas().first() == Some(&name);
        let label = if is_default { DEFAULT } else { name };
        (config.of_database(name), label.to_owned())
    })
}

fn find(name: &str, new: impl FnOnce() -> (Config, String)) -> &'static Served {
    SERVED.with_borrow_mut(|all| {
        if let Some(known) = all.iter().find(|served| served.config.database().0 == name) {
            return *known;
        }
        let (config, label) = new();
        let served: &'static Served = Box::leak(Box::new(Served { config, label, schema: Cell::default() }));
        all.push(served);
        served
    })
}
