//! A stand-in for Spin: the component behind `wasi:http`, in a fresh instance for every request, over a `spin:sqlite` that
//! behaves as Spin's does. Rows cross one value at a time, each `open` is a connection of its own, text that is not UTF-8
//! breaks the connection, and the configuration is a mounted file.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use rusqlite::types::ValueRef as SqlRef;
use sqlitrest::{Answer, Request};
use sqlitrest_runtime::value::Value;
use tempfile::TempDir;
use wasmtime::component::{Component, HasSelf, Linker, Resource, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::double::Bound;
use bindings::fermyon::spin::variables;
use bindings::spin::sqlite::sqlite::{
    Error, Host, HostConnection, QueryResult, RowResult, Value as WitValue,
};

#[allow(missing_docs)]
mod bindings {
    wasmtime::component::bindgen!({
        world: "sqlitrest:component/native",
        path: "../wit",
        with: { "spin:sqlite/sqlite.connection": super::Session },
    });
}

/// A connection that the guest has opened.
pub struct Session {
    sqlite: rusqlite::Connection,
    broken: bool,
}

/// The component, and where its files are.
pub struct Spin {
    component: ProxyPre<State>,
    database: PathBuf,
    /// Databases beside it, by their labels.
    pub others: Vec<(&'static str, PathBuf)>,
    files: TempDir,
    /// The variables that the application hands on, with their values.
    pub variables: Vec<(&'static str, String)>,
    /// The one host, with its port, that it may send requests to.
    pub allowed: Option<String>,
}

/// What the host knows of one instance.
pub struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    hooks: Hooks,
    databases: Vec<(&'static str, PathBuf)>,
    variables: Vec<(&'static str, String)>,
}

/// The hosts that the guest may send requests to, as in `allowed_outbound_hosts`.
struct Hooks {
    allowed: Option<String>,
}

type Sent = (hyper::Response<WasiBody>, Box<dyn Future<Output = Result<(), HttpError>> + Send>);

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: hyper::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, HttpError>> + Send> {
        let uri = request.uri().clone();
        if uri.authority().map(|authority| authority.as_str()) != self.allowed.as_deref() {
            panic!("the guest may send no requests: {uri}");
        }
        let path = uri.path().to_owned();
        let authority = self.allowed.clone().unwrap_or_default();
        Box::new(async move {
            let got = tokio::task::spawn_blocking(move || crate::issuer::get(&authority, &path)).await;
            let Ok(Some((status, body))) = got else { return Err(HttpError::ConnectionRefused) };
            let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
            let done: Box<dyn Future<Output = Result<(), HttpError>> + Send> = Box::new(async { Ok(()) });
            Ok((hyper::Response::builder().status(status).body(body).unwrap(), done))
        })
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

impl Spin {
    /// Loads the component; `config` is the text of the mounted `sqlitrest.toml`.
    ///
    /// # Panics
    /// Where the component is not there or wants what Spin does not offer.
    pub fn new(database: &Path, config: &str) -> Spin {
        // Compiled once for all tests of a process: that takes seconds.
        static COMPONENT: OnceLock<ProxyPre<State>> = OnceLock::new();
        let component = COMPONENT.get_or_init(load).clone();
        let files = TempDir::new().unwrap();
        std::fs::write(files.path().join("sqlitrest.toml"), config).unwrap();
        Spin {
            component,
            database: database.to_owned(),
            others: Vec::new(),
            files,
            variables: Vec::new(),
            allowed: None,
        }
    }

    /// Mounts a file.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn mount(&self, name: &str, text: &str) {
        std::fs::write(self.files.path().join(name), text).unwrap();
    }

    /// Answers one request in an instance of its own.
    ///
    /// # Panics
    /// Where the guest traps or sends what is not HTTP.
    pub async fn handle(&self, request: &Request<'_>) -> Answer {
        let mut wasi = WasiCtx::builder();
        wasi.inherit_stderr().preopened_dir(self.files.path(), "/", FsPerms::ReadOnly).unwrap();
        let mut databases = self.others.clone();
        databases.push(("default", self.database.clone()));
        let state = State {
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
            hooks: Hooks { allowed: self.allowed.clone() },
            databases,
            variables: self.variables.clone(),
        };
        let mut store = Store::new(self.component.engine(), state);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let incoming =
            store.data_mut().http().new_incoming_request(Scheme::Http, hyper_request(request)).unwrap();
        let out = store.data_mut().http().new_response_outparam(sender).unwrap();
        let component = self.component.clone();
        let task = tokio::task::spawn(async move {
            let proxy = component.instantiate_async(&mut store).await.unwrap();
            proxy.wasi_http_incoming_handler().call_handle(&mut store, incoming, out).await.unwrap();
        });
        let response = receiver.await.expect("an answer").expect("no error");
        let (head, body) = response.into_parts();
        let is_head = request.method == "HEAD";
        // A HEAD announces the length of a body that it does not send.
        let body = if is_head { Bytes::new() } else { body.collect().await.expect("a body").to_bytes() };
        task.await.expect("the guest ends");
        let length = head.headers.get("content-length").map(|l| l.to_str().unwrap().parse().unwrap());
        if !is_head {
            assert_eq!(length.unwrap_or(0), body.len() as u64, "content-length");
        }
        let headers = head.headers.iter().filter(|(name, _)| *name != "content-length");
        Answer {
            status: head.status.as_u16(),
            headers: headers.map(|(name, value)| (name.clone(), value.clone())).collect(),
            body: body.to_vec(),
            content_length: length.filter(|_| is_head),
            rest: None,
            acts: Vec::new(),
        }
    }
}

fn load() -> ProxyPre<State> {
    let engine = Engine::default();
    let component = Component::from_file(&engine, crate::guest_file()).unwrap();
    let mut linker = Linker::<State>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).unwrap();
    bindings::Native::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state).unwrap();
    ProxyPre::new(linker.instantiate_pre(&component).unwrap()).unwrap()
}

/// Spin's HTTP library takes no target with characters that a URI cannot have; clients of it percent-encode them.
fn hyper_request(
    request: &Request<'_>,
) -> hyper::Request<http_body_util::combinators::BoxBody<Bytes, ErrorCode>> {
    let target: String = request
        .target
        .bytes()
        .map(|b| {
            if b > 0x7e || b <= b' ' || b"\"<>\\^`{|}".contains(&b) {
                format!("%{b:02X}")
            } else {
                (b as char).to_string()
            }
        })
        .collect();
    let mut builder =
        hyper::Request::builder().method(request.method).uri(format!("http://localhost{target}"));
    for (name, value) in request.headers {
        builder = builder.header(*name, *value);
    }
    let body = Full::new(Bytes::copy_from_slice(request.body)).map_err(|never| match never {});
    builder.body(body.boxed()).unwrap()
}

impl Host for State {}

impl HostConnection for State {
    fn open(&mut self, database: String) -> Result<Resource<Session>, Error> {
        let Some((_, path)) = self.databases.iter().find(|(label, _)| *label == database) else {
            return Err(Error::AccessDenied);
        };
        let sqlite = rusqlite::Connection::open(path).unwrap();
        sqlite.pragma_update(None, "foreign_keys", true).unwrap();
        Ok(self.table.push(Session { sqlite, broken: false }).unwrap())
    }

    fn execute(
        &mut self,
        this: Resource<Session>,
        statement: String,
        parameters: Vec<WitValue>,
    ) -> Result<QueryResult, Error> {
        let session = self.table.get_mut(&this).unwrap();
        if session.broken {
            return Err(Error::Io("poisoned lock: another task failed inside".to_owned()));
        }
        match query(&session.sqlite, &statement, parameters) {
            Ok(Some(result)) => Ok(result),
            Ok(None) => {
                session.broken = true;
                Err(Error::Io("task 7 panicked".to_owned()))
            }
            Err(rusqlite::Error::SqliteFailure(_, Some(message))) => Err(Error::Io(message)),
            Err(other) => Err(Error::Io(other.to_string())),
        }
    }

    fn last_insert_rowid(&mut self, this: Resource<Session>) -> i64 {
        self.table.get(&this).unwrap().sqlite.last_insert_rowid()
    }

    fn changes(&mut self, this: Resource<Session>) -> u64 {
        self.table.get(&this).unwrap().sqlite.changes()
    }

    fn drop(&mut self, this: Resource<Session>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl variables::Host for State {
    fn get(&mut self, name: String) -> Result<String, variables::Error> {
        let found = self.variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone()).ok_or(variables::Error::Undefined(name))
    }
}

/// The rows, or nothing where a text is not UTF-8.
fn query(
    sqlite: &rusqlite::Connection,
    sql: &str,
    parameters: Vec<WitValue>,
) -> rusqlite::Result<Option<QueryResult>> {
    let mut statement = sqlite.prepare(sql)?;
    assert_eq!(statement.parameter_count(), parameters.len(), "Spin wants the exact number: {sql}");
    let values: Vec<Value> = parameters.into_iter().map(from_wit).collect();
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query(rusqlite::params_from_iter(values.iter().map(Bound)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut values = Vec::with_capacity(columns.len());
        for i in 0..columns.len() {
            values.push(match row.get_ref(i)? {
                SqlRef::Null => WitValue::Null,
                SqlRef::Integer(i) => WitValue::Integer(i),
                SqlRef::Real(r) => WitValue::Real(r),
                SqlRef::Text(t) => match String::from_utf8(t.to_vec()) {
                    Ok(text) => WitValue::Text(text),
                    Err(_) => return Ok(None),
                },
                SqlRef::Blob(b) => WitValue::Blob(b.to_vec()),
            });
        }
        found.push(RowResult { values });
    }
    Ok(Some(QueryResult { columns, rows: found }))
}

fn from_wit(value: WitValue) -> Value {
    match value {
        WitValue::Null => Value::Null,
        WitValue::Integer(i) => Value::Integer(i),
        WitValue::Real(r) => Value::Real(r),
        WitValue::Text(t) => Value::Text(t),
        WitValue::Blob(b) => Value::Blob(b),
    }
}
