//! What a label of a metric may be: the routes and roles that the configuration and the schema know. What a client makes up has a fixed
//! word in its place, so that nobody can fill the memory with labels. Relations that are hidden are unknown.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use sqlitrest_runtime::batch;
use sqlitrest_runtime::config::Config;
use sqlitrest_runtime::query_params::decode_path;
use sqlitrest_runtime::schema::read_configured;

use crate::engine::Engine;
use crate::serving::Serving;

/// A route, by its place among all that there have been since the start.
pub type RouteId = u32;

/// A role, likewise.
pub type RoleId = u16;

/// The route of what is none of the API's.
pub const OTHER_ROUTE: RouteId = 0;

/// The role of those that the configuration does not name.
pub const OTHER_ROLE: RoleId = 0;

/// What stands for any other route or role, and for who has no role.
const OTHER: &str = "other";
const NO_ROLE: &str = "none";

/// The most names of either kind.
const MOST: usize = 4_096;

/// What is known now.
#[derive(Debug, Default)]
pub struct Names {
    base_path: String,
    relations: HashMap<String, RouteId>,
    functions: HashMap<String, RouteId>,
    roles: HashMap<String, RoleId>,
    no_role: RoleId,
    root: RouteId,
    batch: RouteId,
    no_relation: RouteId,
    no_function: RouteId,
}

/// Every name that there has been, each with its number for good: numbers that are counted keep their names when the configuration
/// is read again.
#[derive(Default)]
struct Known {
    names: Vec<Arc<str>>,
    places: HashMap<Arc<str>, usize>,
}

static NOW: LazyLock<ArcSwap<Names>> = LazyLock::new(ArcSwap::default);
static ROUTES: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
static ROLES: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// Whether a schema has changed since the names were read.
static IS_STALE: AtomicBool = AtomicBool::new(true);

impl Known {
    /// The place of a name; that of others where there are too many.
    fn place(&mut self, name: &str) -> usize {
        if self.names.is_empty() {
            self.add(OTHER);
        }
        match self.places.get(name) {
            Some(place) => *place,
            None if self.names.len() < MOST => self.add(name),
            None => 0,
        }
    }

    fn add(&mut self, name: &str) -> usize {
        let (name, place) = (Arc::from(name), self.names.len());
        self.names.push(Arc::clone(&name));
        self.places.insert(name, place);
        place
    }
}

fn route_id(name: &str) -> RouteId {
    RouteId::try_from(lock(&ROUTES).place(name)).unwrap_or(OTHER_ROUTE)
}

fn role_id(name: &str) -> RoleId {
    RoleId::try_from(lock(&ROLES).place(name)).unwrap_or(OTHER_ROLE)
}

/// The route of a path of the server itself.
pub fn page(path: &'static str) -> RouteId {
    route_id(path)
}

/// The label of a route.
pub fn route(id: RouteId) -> Arc<str> {
    name(&ROUTES, id as usize)
}

/// The label of a role.
pub fn role(id: RoleId) -> Arc<str> {
    name(&ROLES, id.into())
}

fn name(known: &Mutex<Known>, place: usize) -> Arc<str> {
    lock(known).names.get(place).map_or_else(|| Arc::from(OTHER), Arc::clone)
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known now.
pub fn now() -> Arc<Names> {
    NOW.load_full()
}

/// A schema has changed.
pub fn outdate() {
    IS_STALE.store(true, Ordering::Release);
}

/// Reads the names of what is served, if they may have changed since they were read last.
pub async fn refresh(serving: &Serving) {
    // One after the other, so that the last has the last word.
    static READING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _alone = READING.lock().await;
    if IS_STALE.swap(false, Ordering::AcqRel) {
        read(&serving.engine()).await;
    }
}

/// [`refresh`], beside whoever asks.
pub fn refresh_later(serving: &Arc<Serving>) {
    if IS_STALE.load(Ordering::Acquire) {
        let serving = Arc::clone(serving);
        tokio::spawn(async move { refresh(&serving).await });
    }
}

/// Reads the names of what this engine serves. What cannot be read now is read after the next change.
async fn read(engine: &Engine) {
    let mut relations = BTreeSet::new();
    for served in engine.served() {
        let read = served.source().look(|db| read_configured(served.config(), db)).await;
        if let Ok(Ok(schema)) = read {
            relations.extend(schema.names.into_keys());
        }
    }
    NOW.store(Arc::new(Names::new(engine.config(), &relations)));
}

impl Names {
    /// Of a configuration and the relations that it exposes.
    fn new(config: &Config, relations: &BTreeSet<String>) -> Names {
        let base = config.api.base_path.as_str();
        let id = |path: &str| route_id(&format!("{base}{path}"));
        let functions = config.udf.iter().filter(|udf| udf.expose);
        Names {
            base_path: base.to_owned(),
            relations: relations.iter().map(|name| (name.clone(), id(&format!("/{name}")))).collect(),
            functions: functions.map(|udf| (udf.name.clone(), id(&format!("/rpc/{}", udf.name)))).collect(),
            roles: roles(config).into_iter().map(|role| (role.to_owned(), role_id(role))).collect(),
            no_role: role_id(NO_ROLE),
            root: id("/"),
            batch: id(batch::PATH),
            no_relation: id("/{relation}"),
            no_function: id("/rpc/{function}"),
        }
    }

    /// The route of a path.
    pub fn route(&self, path: &str) -> RouteId {
        let Some(path) = path.strip_prefix(self.base_path.as_str()) else { return OTHER_ROUTE };
        let Some(name) = path.strip_prefix('/') else {
            return if path.is_empty() { self.root } else { OTHER_ROUTE };
        };
        if path == batch::PATH {
            return self.batch;
        }
        let (known, none, name) = match name.strip_prefix("rpc/") {
            Some(function) => (&self.functions, self.no_function, function),
            None => (&self.relations, self.no_relation, name),
        };
        match name {
            "" => self.root,
            _ if name.contains('/') => OTHER_ROUTE,
            _ if name.contains('%') => {
                decode_path(name).ok().and_then(|name| known.get(&name).copied()).unwrap_or(none)
            }
            _ => known.get(name).copied().unwrap_or(none),
        }
    }

    /// A role.
    pub fn role(&self, name: Option<&str>) -> RoleId {
        name.map_or(self.no_role, |name| self.roles.get(name).copied().unwrap_or(OTHER_ROLE))
    }

    /// Whether a relation of this name is exposed.
    pub fn has(&self, relation: &str) -> bool {
        self.relations.contains_key(relation)
    }

    /// Whether a relation of this name is exposed where the paths of the server itself are.
    pub fn has_at_root(&self, relation: &str) -> bool {
        self.base_path.is_empty() && self.relations.contains_key(relation)
    }
}

/// Every role that the configuration names.
fn roles(config: &Config) -> BTreeSet<&str> {
    let by_auth = config.auth.iter().flat_map(|auth| &auth.roles);
    let inherited = by_auth.flat_map(|(role, others)| std::iter::once(role).chain(others));
    let rules = config.policies.iter();
    let by_rules = rules.flat_map(|policies| {
        policies.bypass_roles.iter().chain(policies.policy.iter().flat_map(|rule| &rule.roles))
    });
    let by_functions = config.udf.iter().flat_map(|udf| &udf.roles);
    let named = inherited.chain(by_rules).chain(by_functions).map(String::as_str).filter(|role| *role != "*");
    let own = [config.api.anonymous_role.as_deref(), Some(config.debug.admin_role.as_str())];
    named.chain(own.into_iter().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Names {
        let config = Config::load("", text, []).expect("valid");
        Names::new(&config, &["tracks", "größe", "a/b"].map(str::to_owned).into())
    }

    #[test]
    fn what_a_client_makes_up_has_a_fixed_word() {
        let udf = "[[udf]]\nname = \"f\"\nexpose = true\nsql = \"SELECT 1\"\n[[udf]]\nname = \"g\"\nsql = \"SELECT 1\"\n";
        let names = names(udf);
        let of = |path| route(names.route(path)).to_string();
        for (path, expected) in [
            ("/tracks", "/tracks"),
            ("/tr%61cks", "/tracks"),
            ("/gr%C3%B6%C3%9Fe", "/größe"),
            ("/nope", "/{relation}"),
            ("/%ff", "/{relation}"),
            ("/rpc/f", "/rpc/f"),
            ("/rpc/g", "/rpc/{function}"),
            ("/rpc/tracks", "/rpc/{function}"),
            ("/", "/"),
            ("", "/"),
            ("/_batch", "/_batch"),
            ("/a/b", "other"),
            ("/rpc/a/b", "other"),
            ("tracks", "other"),
        ] {
            assert_eq!(of(path), expected, "{path}");
        }
        assert!(names.has_at_root("tracks") && !names.has_at_root("nope"));
    }

    #[test]
    fn below_a_base_path() {
        let names = names("[api]\nbase_path = \"/rest/v1\"\n");
        let of = |path| route(names.route(path)).to_string();
        assert_eq!(of("/rest/v1/tracks"), "/rest/v1/tracks");
        assert_eq!(of("/rest/v1/x"), "/rest/v1/{relation}");
        assert_eq!(of("/rest/v1"), "/rest/v1/");
        assert_eq!(of("/tracks"), "other");
        assert!(!names.has_at_root("tracks"));
    }

    #[test]
    fn roles_are_those_of_the_configuration() {
        let names = names(
            "[api]\nanonymous_role = \"anon\"\n[auth.roles]\neditor = [\"viewer\"]\n[policies]\n[[policies.policy]]\nname = \"p\"\ntable = \"t\"\nroles = [\"author\"]\n",
        );
        for known in ["anon", "editor", "viewer", "author", "admin"] {
            assert_eq!(&*role(names.role(Some(known))), known);
        }
        assert_eq!(&*role(names.role(Some("made-up"))), "other");
        assert_eq!(&*role(names.role(None)), "none");
    }
}
