//! Whether SQLite takes the SQL of the configuration: each function, computed column, computed relationship and full-text index is asked
//! for as a client would, and SQLite asked how it would go about it. Nothing is run.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use sqlitrest_runtime::config::{Config, Udf};
use sqlitrest_runtime::debug::asked::Asked;
use sqlitrest_runtime::error_response;
use sqlitrest_runtime::function::Returns;
use sqlitrest_runtime::identity::Identity;
use sqlitrest_runtime::schema::{ColumnType, SchemaCache, Warning, read_configured};

use crate::source::Own;

/// What SQLite does not take and `known`, the schema, does not tell of.
pub fn trial(config: &Config, known: &SchemaCache, connection: &mut Own) -> Vec<Warning> {
    let config = for_trial(config);
    let Ok(schema) = read_configured(&config, connection.database()) else { return Vec::new() };
    let mut try_out = Trial { schema: Arc::new(schema), connection, found: Vec::new(), config: &config };
    for (place, udf) in config.udf.iter().enumerate() {
        let is_known = known.functions.get(place).is_some_and(Option::is_some);
        // Of others it is told why their columns are not known.
        if is_known || Returns::parse(&udf.returns) == Some(Returns::Void) {
            try_out.function(udf, place);
        }
    }
    for own in &config.computed_column {
        let request = format!("GET /{}?select={}&limit=1", word(&own.table), quoted(&own.name));
        try_out.ask("computed_column", &own.name, request, "computed_column");
    }
    for own in &config.computed_relationship {
        let request = format!("GET /{}?select={}(*)&limit=1", word(&own.table), quoted(&own.name));
        try_out.ask("computed_relationship", &own.name, request, "computed_relationship");
    }
    for (table, index) in &config.fts {
        // A word that no language passes over: what is searched for nothing is not looked up.
        for column in &index.columns {
            let request = format!("GET /{}?{}=fts.word&limit=1", word(table), quoted(column));
            try_out.ask("fts", table, request, "fts");
        }
    }
    // What is not there at all is known already.
    try_out.found.retain(|found| {
        !known.warnings.iter().any(|own| own.section == found.section && own.name == found.name)
    });
    try_out.found
}

/// The same for whom everything is allowed, and every function by a name of its own.
fn for_trial(config: &Config) -> Config {
    let mut config = config.clone();
    config.policies = None;
    config.auth = None;
    config.api.pre_request.clear();
    config.api.base_path.clear();
    for (place, udf) in config.udf.iter_mut().enumerate() {
        udf.description = std::mem::replace(&mut udf.name, format!("function{place}"));
        udf.expose = true;
        udf.roles = vec!["*".to_owned()];
    }
    config
}

struct Trial<'a> {
    config: &'a Config,
    schema: Arc<SchemaCache>,
    connection: &'a mut Own,
    found: Vec<Warning>,
}

impl Trial<'_> {
    /// `description` is the function's name.
    fn function(&mut self, udf: &Udf, place: usize) {
        let body = match udf.params.as_slice() {
            [only] if only.name == "$" => String::new(),
            params => {
                let nulls = params.iter().map(|param| (param.name.clone(), Json::Null));
                Json::Object(Map::from_iter(nulls)).to_string()
            }
        };
        let content_type = match udf.params.first().map(|param| ColumnType::of(&param.declared)) {
            Some(ColumnType::Text) if body.is_empty() => "text/plain",
            Some(ColumnType::Blob) if body.is_empty() => "application/octet-stream",
            _ => "application/json",
        };
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        self.asked(
            "udf",
            &udf.description,
            "function",
            Asked {
                request: format!("POST /rpc/function{place}"),
                headers,
                body,
                identity: Arc::new(Identity::default()),
            },
        );
    }

    fn ask(&mut self, section: &'static str, name: &str, request: String, kind: &str) {
        let identity = Arc::new(Identity::default());
        self.asked(
            section,
            name,
            kind,
            Asked { request, headers: Vec::new(), body: String::new(), identity },
        );
    }

    fn asked(&mut self, section: &'static str, name: &str, kind: &str, asked: Asked) {
        let Ok(parsed) = asked.parse(self.config) else { return };
        let response = match parsed {
            Err(response) => response,
            Ok(request) => {
                self.connection.restart_clock();
                let db = self.connection.database();
                match sqlitrest_runtime::explain(self.config, &self.schema, &request, db) {
                    Ok(_) => return,
                    Err(error) => error_response(&error),
                }
            }
        };
        let told: Json = serde_json::from_slice(&response.body).unwrap_or_else(|_| json!({}));
        let told = told.get("message").and_then(Json::as_str).unwrap_or_default().to_owned();
        // What SQLite says is for the log alone.
        let message = format!("{kind} {name}: {}", response.log.unwrap_or(told));
        self.found.push(Warning { section, name: name.to_owned(), message });
    }
}

/// A name in a path.
fn word(name: &str) -> String {
    name.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// A name in the grammar of `select` and filters.
fn quoted(name: &str) -> String {
    word(&format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")))
}
