//! `[api]`: PostgREST's settings of the same meaning.

use serde::{Deserialize, Serialize};

/// `[api]`: PostgREST's settings of the same meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// The most rows of an answer, at every level; 0 = no cap (`db-max-rows`).
    pub max_rows: u64,
    /// Whether `select` may aggregate: `count()`, `amount.sum()` (`db-aggregates-enabled`).
    pub aggregates: bool,
    /// Whether a client may ask how the database goes about a request (`db-plan-enabled`).
    pub plan: bool,
    /// Whether PATCH and DELETE must have a filter (pg-safeupdate); without, 400 and 21000.
    pub require_filter: bool,
    /// How transactions end (`db-tx-end`).
    pub tx_end: TxEnd,
    /// Whether an embed with an alias also goes by its relation's name in filters and orders (`url-use-legacy-target-names`).
    pub legacy_target_names: bool,
    /// The header field of a request that its answer repeats; empty: none (`server-trace-header`).
    pub trace_header: String,
    /// The function that answers `GET /`; empty: none (`db-root-spec`).
    pub root: String,
    /// The function that is run before every request and may refuse it; empty: none (`db-pre-request`).
    pub pre_request: String,
    /// How much is told of an error (`client-error-verbosity`).
    pub error_verbosity: Verbosity,
    /// Whether answers say how long each stage took (`server-timing-enabled`).
    pub server_timing: bool,
    /// The role of who does not sign in; none: where `[auth]` is on, everybody must (`db-anon-role`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous_role: Option<String>,
    /// Whom the OpenAPI document tells what (`openapi-mode`).
    pub openapi: OpenApi,
    /// The version of OpenAPI that it follows.
    pub openapi_version: OpenApiVersion,
    /// Whether that of version 2.0 says how to sign in (`openapi-security-active`). Later versions do where one can.
    pub openapi_security_active: bool,
    /// Where clients reach the API, for the OpenAPI document; empty: where they asked for it (`openapi-server-proxy-uri`).
    pub proxy_uri: String,
    /// Whether the native host shows the document at `/_docs`.
    pub docs: bool,
    /// The path under which the API is served: `/rest/v1`. Empty: at the root.
    pub base_path: String,
}

impl Default for Api {
    fn default() -> Self {
        Api {
            max_rows: 0,
            aggregates: false,
            plan: false,
            require_filter: true,
            tx_end: TxEnd::default(),
            legacy_target_names: true,
            trace_header: String::new(),
            root: String::new(),
            pre_request: String::new(),
            error_verbosity: Verbosity::default(),
            server_timing: false,
            anonymous_role: None,
            openapi: OpenApi::default(),
            openapi_version: OpenApiVersion::default(),
            openapi_security_active: false,
            proxy_uri: String::new(),
            docs: true,
            base_path: String::new(),
        }
    }
}

impl Api {
    /// Whether `proxy_uri` is empty, or an absolute URL.
    pub(super) fn has_proxy_uri(&self) -> bool {
        let rest = ["https://", "http://"].iter().find_map(|scheme| self.proxy_uri.strip_prefix(scheme));
        let is_url = rest.is_some_and(|rest| {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let is_plain = rest.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}?#".contains(&b));
            // A password would be published.
            !host.is_empty() && !host.starts_with(':') && !host.contains('@') && is_plain
        });
        self.proxy_uri.is_empty() || is_url
    }
}

/// Whom the OpenAPI document tells what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpenApi {
    /// Everybody what their role may do.
    #[default]
    FollowPrivileges,
    /// Everybody everything that is exposed.
    IgnorePrivileges,
    /// There is none.
    Disabled,
}

/// The version of OpenAPI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenApiVersion {
    /// 3.1
    #[default]
    #[serde(rename = "3.1")]
    V3_1,
    /// 3.0
    #[serde(rename = "3.0")]
    V3_0,
    /// 2.0, which was called Swagger.
    #[serde(rename = "2.0")]
    V2_0,
}

/// How much is told of an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verbosity {
    /// Details and a hint.
    #[default]
    Verbose,
    /// Neither.
    Minimal,
}

/// How transactions end, and whether a request may say otherwise with `Prefer: tx=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TxEnd {
    /// They commit.
    #[default]
    Commit,
    /// They commit unless the request says `tx=rollback`.
    CommitAllowOverride,
    /// They are answered and undone.
    Rollback,
    /// They are undone unless the request says `tx=commit`.
    RollbackAllowOverride,
}
