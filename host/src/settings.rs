//! From flags, environment and file to one resolved configuration: flag > environment > file > default.

use std::env;
use std::fmt;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlitrest_runtime::config::{Config, ConfigError, DatabaseFile, Engine, Reference, Server, placed};

use crate::component::Guest;
use crate::sections::Sections;
use crate::static_files;

/// Read where no `--config` is given, if it is there.
const DEFAULT_FILE: &str = "sqlitrest.toml";

/// Variables that are no keys of the configuration: the environment's form of `--config` and `--guest`, and what
/// building and testing read.
const OWN_VARIABLES: [&str; 8] = [
    CONFIG_VARIABLE,
    GUEST_VARIABLE,
    "SQLITREST_BIN",
    "SQLITREST_COMPONENT",
    "SQLITREST_PROJ_DB",
    "SQLITREST_PROMTOOL",
    "SQLITREST_SQLD",
    "SQLITREST_WASM_TOOLCHAIN",
];
const CONFIG_VARIABLE: &str = "SQLITREST_CONFIG";
const GUEST_VARIABLE: &str = "SQLITREST_GUEST";

/// What `sqlitrest serve` can be told.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// The SQLite database to serve, a file or the URL of a libSQL server (or databases.main in the configuration file)
    pub path: Option<PathBuf>,
    /// What runs the core: the WebAssembly component, or the same code compiled into this program
    #[arg(long, value_enum)]
    pub engine: Option<EngineName>,
    /// Where to listen, by default 127.0.0.1:3000; port 0 lets the system choose; unix:PATH is a Unix socket
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// The configuration file, by default ./sqlitrest.toml if it is there
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print three requests to try, made for this database
    #[arg(long)]
    pub examples: bool,
    /// Another component than the one in this program (.wasm or .cwasm)
    #[arg(long, value_name = "FILE")]
    pub guest: Option<PathBuf>,
}

/// Which database a command is about.
#[derive(Args, Clone, Debug)]
pub struct Which {
    /// The SQLite database: a file, the URL of a libSQL server, or the name of one in the configuration file, by default its default one
    #[arg(long, value_name = "FILE|URL|NAME")]
    database: Option<PathBuf>,
    /// The configuration file, by default ./sqlitrest.toml if it is there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Which {
    /// What `serve` would be told of the database and the configuration file.
    pub fn flags(&self) -> Flags {
        Flags { path: self.database.clone(), config: self.config.clone(), ..Flags::default() }
    }

    /// What `serve` would be told, with the configuration of this database alone.
    ///
    /// # Errors
    /// As [`Settings::resolve`].
    pub fn settings(&self) -> Result<Settings> {
        if let Some((name, settings)) = self.named() {
            return Ok(Settings { config: settings.config.of_database(name), ..settings });
        }
        let settings = Settings::resolve(&self.flags())?;
        let name = settings.config.database().0.to_owned();
        Ok(Settings { config: settings.config.of_database(&name), ..settings })
    }

    /// The schema that requests have to name for it; none of the default one.
    pub fn profile(&self) -> Option<String> {
        let (name, settings) = self.named()?;
        (name != settings.config.database().0).then(|| name.to_owned())
    }

    /// The name of a database in the configuration file, if that is what was typed, with the settings.
    fn named(&self) -> Option<(&str, Settings)> {
        let name = self.database.as_deref()?.to_str().filter(|name| !name.contains(['/', '\\', '.']))?;
        let settings = Settings::resolve(&Flags { config: self.config.clone(), ..Flags::default() }).ok()?;
        settings.config.databases.contains_key(name).then_some((name, settings))
    }
}

/// What the commands about a database share: which one, and how their answer is told.
#[derive(Args, Clone, Debug)]
pub struct Of {
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Of {
    /// As [`Which::flags`].
    pub fn flags(&self) -> Flags {
        self.which.flags()
    }

    /// As [`Which::settings`].
    ///
    /// # Errors
    /// As [`Settings::resolve`].
    pub fn settings(&self) -> Result<Settings> {
        self.which.settings()
    }

    /// What of the configuration only this host reads; a database need not be named.
    ///
    /// # Errors
    /// One sentence on what is wrong with the configuration.
    pub fn sections(&self) -> Result<Sections> {
        Ok(configuration(self.which.config.clone())?.sections)
    }

    /// Whether answers are JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints an answer.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn tell(&self, answer: &(impl Serialize + ?Sized), text: impl FnOnce() -> String) -> Result<()> {
        tell(self.json, answer, text)
    }
}

/// Prints an answer, as JSON or as a person reads it.
///
/// # Errors
/// Standard output is closed.
pub fn tell(json: bool, answer: &(impl Serialize + ?Sized), text: impl FnOnce() -> String) -> Result<()> {
    let mut text = match json {
        true => serde_json::to_string_pretty(answer)?,
        false => text(),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    std::io::stdout().write_all(text.as_bytes()).context("standard output is closed")
}

/// The engines by the names that the configuration uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// The guest component in wasmtime.
    Component,
    /// The core as native code.
    Native,
}

/// What was read.
pub struct Configuration {
    /// Of the file and the environment, with paths relative to the working directory.
    pub config: Config,
    /// What of it only this host reads.
    pub sections: Sections,
    /// What it was read of.
    pub found: Found,
}

/// By which it is seen whether a file has changed.
pub type Digest = [u8; 32];

/// That of the contents of a file.
pub fn digest(contents: &[u8]) -> Digest {
    Sha256::digest(contents).into()
}

/// What a server needs to begin.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The configuration, with paths relative to the working directory.
    pub config: Config,
    /// What of it only this host reads.
    pub sections: Sections,
    /// The configuration file that was read.
    pub file: Option<PathBuf>,
    /// The component.
    pub guest: Guest,
    /// What was typed.
    pub flags: Flags,
    /// The configuration file and those that it names, with the digests of what was read.
    pub read: Vec<(PathBuf, Digest)>,
    /// What it was read of: where its keys stand.
    pub found: Found,
}

impl Settings {
    /// Resolves the flags with this process's environment and the configuration file.
    ///
    /// # Errors
    /// One sentence on what is wrong and what to type.
    pub fn resolve(flags: &Flags) -> Result<Settings> {
        let Configuration { mut config, mut sections, found } = configuration(flags.config.clone())?;
        let file = found.file.clone();
        if let Some(engine) = flags.engine {
            config.server.engine = match engine {
                EngineName::Component => Engine::Component,
                EngineName::Native => Engine::Native,
            };
        }
        if let Some(listen) = &flags.listen {
            set_address(&mut config.server, listen)?;
        }
        set_paths(&mut config, flags.path.as_deref(), file.as_deref())?;
        let mut read: Vec<_> =
            file.iter().map(|file| (file.clone(), digest(found.text.as_bytes()))).collect();
        let wrong = found.read_references(&mut config, &mut sections, &mut read);
        let place = |error: ConfigError| ConfigError(found.placed(&error.0));
        ConfigError::all(wrong.into_iter().map(place).collect())?;
        static_files::refuse_what_is_private(&config, &sections, &read)?;
        let guest = flags.guest.clone().or_else(|| env::var_os(GUEST_VARIABLE).map(PathBuf::from));
        Ok(Settings {
            config,
            sections,
            file,
            guest: guest.map_or(Guest::Embedded, Guest::File),
            flags: flags.clone(),
            read,
            found,
        })
    }
}

/// The configuration of this file (or that of the environment's `SQLITREST_CONFIG`, or the default one) and of the environment,
/// what of it only this host reads, and the file. Paths of files that it refers to are relative to it.
///
/// # Errors
/// One sentence on what is wrong with it.
pub fn configuration(named: Option<PathBuf>) -> Result<Configuration> {
    let found = Found::read(named)?;
    let (origin, text) = (found.origin(), &found.text);
    let mut config = Config::load(&origin, text, found.variables())?;
    let environment: Vec<_> = found.variables().collect();
    let mut sections = Sections::load(&origin, text, &environment)?;
    found.relocate(&mut config, &mut sections);
    Ok(Configuration { config, sections, found })
}

/// The configuration file and the environment as they are, not yet understood.
#[derive(Clone)]
pub struct Found {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// Its text.
    pub text: String,
    environment: Vec<(String, String)>,
}

/// Without what may be secret.
impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Found {
    /// This file, or that of the environment's `SQLITREST_CONFIG`, or the default one.
    ///
    /// # Errors
    /// One sentence on what cannot be read.
    pub fn read(named: Option<PathBuf>) -> Result<Found> {
        let environment = environment()?;
        let by_environment = environment.iter().find(|(name, _)| name == CONFIG_VARIABLE);
        let named = named.or_else(|| by_environment.map(|(_, value)| PathBuf::from(value)));
        let (file, text) = read(named)?;
        Ok(Found { file, text, environment })
    }

    /// What the file is called in messages.
    pub fn origin(&self) -> String {
        self.file.as_ref().map_or_else(String::new, |file| file.display().to_string())
    }

    /// The variables that set keys.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let keys = self.environment.iter().filter(|(name, _)| !OWN_VARIABLES.contains(&name.as_str()));
        keys.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Where files lie that are named relative to this one.
    pub fn directory(&self) -> &Path {
        self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""))
    }

    /// A sentence that begins with its key, behind where that is set: the variable, or the file and the line.
    pub fn placed(&self, sentence: &str) -> String {
        let environment: Vec<_> = self.variables().collect();
        placed(&self.origin(), &self.text, &environment, sentence)
    }

    /// Makes paths in the configuration relative to the working directory.
    pub fn relocate(&self, config: &mut Config, sections: &mut Sections) {
        if self.file.is_some() {
            sections.relocate(&|path| self.place(path));
            config.relocate(|path| self.place(path));
        }
    }

    /// Reads what the configuration refers to: the policy file, and lists that are elsewhere. Notes which files were read; returns what is
    /// wrong.
    pub fn read_references(
        &self,
        config: &mut Config,
        sections: &mut Sections,
        read: &mut Vec<(PathBuf, Digest)>,
    ) -> Vec<ConfigError> {
        let mut reader = |reference: Reference<'_>| beside(self.directory(), reference, read);
        let mut wrong = config.read_files(&mut reader);
        wrong.extend(sections.read_lists(config, &mut reader));
        if self.file.is_some() {
            config.relocate_attach(|path| self.place(path));
        }
        wrong
    }

    /// Where a file lies that is named relative to this one.
    fn place(&self, path: &str) -> String {
        self.directory().join(path).display().to_string()
    }
}

/// The variables that begin with `SQLITREST_`.
fn environment() -> Result<Vec<(String, String)>> {
    let ours = env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        name.starts_with("SQLITREST_").then_some((name, value))
    });
    ours.map(|(name, value)| match value.into_string() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(anyhow!("environment: {name} is not UTF-8")),
    })
    .collect()
}

/// The configuration file and its text; no text where there is none and none was asked for.
fn read(named: Option<PathBuf>) -> Result<(Option<PathBuf>, String)> {
    let asked = named.is_some();
    let path = named.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    match fs::read_to_string(&path) {
        Ok(text) => Ok((Some(path), text)),
        Err(error) if error.kind() == ErrorKind::NotFound && !asked => Ok((None, String::new())),
        Err(error) => {
            Err(error).with_context(|| format!("the configuration file {} cannot be read", path.display()))
        }
    }
}

/// What a value of the configuration refers to; paths of files are those of [`Settings::resolve`].
///
/// # Errors
/// One sentence.
pub fn refer(reference: Reference<'_>) -> Result<String, String> {
    match reference {
        Reference::File(path) => {
            fs::read_to_string(path).map_err(|error| format!("{path} cannot be read: {error}"))
        }
        Reference::Env(name) => match env::var(name) {
            Ok(value) => Ok(value),
            Err(env::VarError::NotPresent) => Err(format!("the environment has no variable {name}")),
            Err(env::VarError::NotUnicode(_)) => {
                Err(format!("the environment's variable {name} is not UTF-8"))
            }
        },
    }
}

/// [`refer`], of paths that are relative to a directory; notes which files were read.
///
/// # Errors
/// One sentence.
fn beside(
    directory: &Path,
    reference: Reference<'_>,
    read: &mut Vec<(PathBuf, Digest)>,
) -> Result<String, String> {
    let Reference::File(path) = reference else { return refer(reference) };
    let path = directory.join(path);
    let text = refer(Reference::File(&path.display().to_string()))?;
    read.push((path, digest(text.as_bytes())));
    Ok(text)
}

/// The path on the command line is the default database's and wins; those in the file are relative to the file. One that the
/// environment says is relative to the working directory.
pub fn set_paths(config: &mut Config, typed: Option<&Path>, file: Option<&Path>) -> Result<()> {
    let by_environment = env::var_os("SQLITREST_DATABASES_MAIN_PATH").is_some();
    let directory = file.and_then(Path::parent).unwrap_or(Path::new(""));
    for (name, database) in &mut config.databases {
        let is_of_environment = by_environment && name == "main";
        if !database.path.is_empty() && !is_of_environment {
            database.path = directory.join(&database.path).display().to_string();
        }
    }
    let name = config.database().0.to_owned();
    let database = config.databases.entry(name).or_insert(DatabaseFile::at(String::new()));
    if let Some(typed) = typed {
        let Some(typed) = typed.to_str() else {
            bail!("the path {} is not UTF-8; rename the file", typed.display());
        };
        if is_url(typed) {
            // What one server knows us by is no other's business.
            let is_other = database.url.trim_end_matches('/') != typed.trim_end_matches('/');
            let by_environment = env::var_os("SQLITREST_DATABASES_MAIN_AUTH_TOKEN").is_some();
            if database.is_on_server() && is_other && !by_environment {
                database.auth_token = None;
            }
            (database.url, database.path) = (typed.to_owned(), String::new());
        } else {
            (database.path, database.url, database.auth_token) = (typed.to_owned(), String::new(), None);
        }
    }
    // What is typed was not looked at with the file.
    if let (Some(_), Some((key, what))) = (typed, database.misplaced()) {
        bail!("{key} {what}");
    }
    if !database.is_somewhere() {
        bail!(
            "no database is named: type `sqlitrest serve FILE.db` (or `sqlitrest mcp FILE.db`), or write path = \"FILE.db\" under [databases.main] in {DEFAULT_FILE}"
        );
    }
    if let Some((name, _)) = config.databases.iter().find(|(_, database)| !database.is_somewhere()) {
        bail!("databases.{name} has no path and no url: write path = \"{name}.db\" under [databases.{name}]");
    }
    Ok(())
}

/// Whether what is typed is a server.
fn is_url(typed: &str) -> bool {
    ["libsql://", "https://", "http://"].iter().any(|scheme| typed.starts_with(scheme))
}

/// `unix:PATH`, or an address with its port, which then counts and not the configuration's Unix socket.
fn set_address(server: &mut Server, text: &str) -> Result<()> {
    if let Some(path) = text.strip_prefix("unix:") {
        if path.is_empty() {
            bail!("--listen {text} names no socket; write unix:./sqlitrest.sock");
        }
        server.unix_socket = path.to_owned();
        return Ok(());
    }
    (server.host, server.port) = address(text)?;
    server.unix_socket.clear();
    Ok(())
}

/// `127.0.0.1:3000`, `[::1]:3000`, `localhost:0`
fn address(text: &str) -> Result<(String, u16)> {
    let parsed = text.rsplit_once(':').and_then(|(host, port)| {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        // An address of IPv6 needs its brackets, or its end is taken for the port.
        let whole = !host.is_empty() && (bare.is_some() || !host.contains(':'));
        Some((host.to_owned(), port.parse().ok()?)).filter(|_| whole)
    });
    parsed.with_context(|| {
        format!("--listen {text} is not ADDR:PORT; write 127.0.0.1:3000, [::1]:3000, 0.0.0.0:80 or unix:PATH")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let good = |text| address(text).expect(text);
        assert_eq!(good("127.0.0.1:0"), ("127.0.0.1".to_owned(), 0));
        assert_eq!(good("[::1]:3000"), ("::1".to_owned(), 3000));
        assert_eq!(good("localhost:80"), ("localhost".to_owned(), 80));
        for bad in ["", "3000", ":3000", "::1", "a:b", "a:70000", "a:"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_socket_or_an_address() {
        let mut server = Server::default();
        set_address(&mut server, "unix:./s.sock").expect("a path");
        assert_eq!(server.unix_socket, "./s.sock");
        set_address(&mut server, "localhost:80").expect("an address");
        assert_eq!((server.host.as_str(), server.port, server.unix_socket.as_str()), ("localhost", 80, ""));
        assert!(set_address(&mut server, "unix:").is_err());
    }

    #[test]
    fn where_a_path_is_relative_to() {
        let path = |text: &str, typed: Option<&str>, file: Option<&str>| {
            let mut config = Config::load("", text, []).expect("valid");
            set_paths(&mut config, typed.map(Path::new), file.map(Path::new))
                .map(|()| config.database().1.path.clone())
        };
        let named = "[databases.music]\npath = \"m.db\"\n";
        assert_eq!(path(named, None, Some("etc/s.toml")).expect("path"), "etc/m.db");
        assert_eq!(path(named, None, Some("s.toml")).expect("path"), "m.db");
        assert_eq!(path(named, None, None).expect("path"), "m.db");
        assert_eq!(path(named, Some("x.db"), Some("etc/s.toml")).expect("path"), "x.db");
        assert_eq!(path("", Some("x.db"), None).expect("path"), "x.db");
        let error = path("", None, Some("s.toml")).expect_err("none named");
        assert!(error.to_string().contains("sqlitrest serve FILE.db"));
    }

    #[test]
    fn a_server_that_is_typed_takes_the_place_of_a_file() {
        let place = |text: &str, typed: &str| {
            let mut config = Config::load("", text, []).expect("valid");
            set_paths(&mut config, Some(Path::new(typed)), Some(Path::new("etc/s.toml")))?;
            let (_, database) = config.database();
            let token = database.auth_token.as_ref().map(|token| token.0.clone());
            anyhow::Ok((database.path.clone(), database.url.clone(), token))
        };
        let file = "[databases.main]\npath = \"m.db\"\n";
        let server = "[databases.main]\nurl = \"libsql://a.b\"\nauth_token = \"t\"\n";
        let is = |path: &str, url: &str, token: Option<&str>| {
            (path.to_owned(), url.to_owned(), token.map(str::to_owned))
        };
        assert_eq!(place(file, "http://127.0.0.1:1").expect("a server"), is("", "http://127.0.0.1:1", None));
        assert_eq!(place(server, "libsql://c").expect("a server"), is("", "libsql://c", None));
        assert_eq!(place(server, "libsql://a.b").expect("a server"), is("", "libsql://a.b", Some("t")));
        assert_eq!(place(server, "x.db").expect("a file"), is("x.db", "", None));
        let error = place(file, "https://u:p@a").expect_err("with a password").to_string();
        assert!(error.contains("auth_token") && !error.contains("u:p"), "{error}");
    }
}
