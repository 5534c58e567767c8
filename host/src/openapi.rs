//! `sqlitrest openapi` and `sqlitrest types typescript`: what a role may see and do, as a document and as types.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use sqlitrest_runtime::SchemaCache;
use sqlitrest_runtime::config::{Config, Mode, OpenApiVersion, Udf};
use sqlitrest_runtime::openapi::{self, Described, typescript};

use crate::asking::Opened;
use crate::settings::Which;

/// What `sqlitrest openapi` can be told.
#[derive(Args, Debug)]
pub struct OpenApiFlags {
    /// As this role may see it; without, the whole of what is exposed
    #[arg(long)]
    role: Option<String>,
    /// The version of OpenAPI, by default that of the configuration
    #[arg(long, value_enum)]
    version: Option<Version>,
    #[command(flatten)]
    of: Which,
}

/// `sqlitrest types …`
#[derive(Subcommand, Debug)]
pub enum TypesCommand {
    /// Print the type Database of supabase-js
    #[command(after_help = crate::help::TYPES)]
    Typescript(TypescriptFlags),
}

/// What `sqlitrest types typescript` can be told.
#[derive(Args, Debug)]
pub struct TypescriptFlags {
    /// As this role may see it; without, the whole of what is exposed
    #[arg(long)]
    role: Option<String>,
    /// What the client calls the schema
    #[arg(long, value_name = "NAME", default_value = "public")]
    schema: String,
    #[command(flatten)]
    of: Which,
}

/// The versions of OpenAPI as they are typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Version {
    /// The newest
    #[value(name = "3.1")]
    V3_1,
    /// For programs that do not know 3.1
    #[value(name = "3.0")]
    V3_0,
    /// PostgREST's
    #[value(name = "2.0")]
    V2_0,
}

/// What a role knows of a database.
struct Known {
    config: Config,
    schema: Arc<SchemaCache>,
    role: Option<String>,
    /// What requests have to name for this database, where it is not the default one.
    profile: Option<String>,
}

/// Prints the document.
///
/// # Errors
/// A database that cannot be opened; a configuration that does not fit it.
pub fn openapi(flags: &OpenApiFlags) -> Result<()> {
    let known = Known::read(&flags.of, flags.role.as_deref())?;
    let version = match flags.version {
        Some(Version::V3_1) => OpenApiVersion::V3_1,
        Some(Version::V3_0) => OpenApiVersion::V3_0,
        Some(Version::V2_0) => OpenApiVersion::V2_0,
        None => known.config.api.openapi_version,
    };
    let may_call = |udf: &Udf| known.may_call(udf);
    let described = Described { version, may_call: &may_call, host: None, profile: known.profile.as_deref() };
    let document = openapi::document(&known.config, &known.schema, &described);
    // For people: a member to a line.
    let document: serde_json::Value = serde_json::from_str(&document)?;
    print(&serde_json::to_string_pretty(&document)?)
}

/// Prints the types.
///
/// # Errors
/// As [`openapi`].
pub fn types(command: &TypesCommand) -> Result<()> {
    let TypesCommand::Typescript(flags) = command;
    let known = Known::read(&flags.of, flags.role.as_deref())?;
    print(&typescript::database(&known.config, &known.schema, &|udf| known.may_call(udf), &flags.schema))
}

impl Known {
    fn read(of: &Which, role: Option<&str>) -> Result<Known> {
        let mut config = of.settings()?.config;
        let name = config.database().0.to_owned();
        let writes = config.database().1.mode;
        // The file stays as it is, and what is said goes by how it is served.
        let set = |config: &mut Config, mode: Mode| {
            if let Some(file) = config.databases.get_mut(&name) {
                file.mode = mode;
            }
        };
        set(&mut config, Mode::ReadOnly);
        let whole = Opened::new(&config)?.schema;
        set(&mut config, writes);
        let schema = if role.is_some() { whole.for_role(&config, role) } else { whole };
        Ok(Known { config, schema, role: role.map(str::to_owned), profile: of.profile() })
    }

    /// Whether the role has one of a function's.
    fn may_call(&self, udf: &Udf) -> bool {
        let Some(role) = self.role.as_deref() else { return true };
        let roles = self.config.roles_of(Some(role));
        udf.roles.iter().any(|own| own == "*" || roles.contains(own))
    }
}

fn print(text: &str) -> Result<()> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.write_all(end.as_bytes()))
        .context("standard output is closed")
}
