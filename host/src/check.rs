//! `sqlitrest check`: everything that is wrong with a configuration, at once and against the real databases. Nothing is changed and nothing
//! is served.

mod mend;
mod trial;

use std::fmt::{Display, Write as _};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;
use sqlitrest_runtime::auth::Authenticator;
use sqlitrest_runtime::config::{Config, Mode};
use sqlitrest_runtime::policy;
use sqlitrest_runtime::schema::read_configured;

use crate::audit::settings::refuse_served;
use crate::cli::Failure;
use crate::front;
use crate::progress;
use crate::sections::Sections;
use crate::settings::{self, Of};
use crate::source::Own;
use crate::static_files;
use crate::terminal::{ERROR, To, WARNING, WELL};

/// What `sqlitrest check` can be told.
#[derive(Args, Debug)]
pub struct CheckFlags {
    #[command(flatten)]
    of: Of,
    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
}

/// What was found.
#[derive(Default, Serialize)]
struct Report {
    /// Whether `serve` would begin.
    ok: bool,
    /// The configuration file, if one was read.
    config: Option<PathBuf>,
    databases: Vec<Database>,
    policies: usize,
    functions: usize,
    /// What stops the start.
    errors: Vec<Finding>,
    /// What is said at the start, and what will be an error when it is asked for.
    warnings: Vec<Finding>,
}

/// A database that can be opened.
#[derive(Serialize)]
struct Database {
    name: String,
    file: PathBuf,
    tables: u64,
    views: u64,
}

/// One thing that is wrong.
#[derive(PartialEq, Serialize)]
struct Finding {
    /// The file in which it stands, and the line, from 1, where they are known.
    file: Option<String>,
    line: Option<usize>,
    message: String,
}

impl Finding {
    /// Of a sentence that may begin with its place: `sqlitrest.toml:3:1: …`.
    fn of(sentence: impl Display) -> Finding {
        let sentence = sentence.to_string();
        let parts = || {
            let (place, message) = sentence.split_once(": ")?;
            let mut words = place.rsplitn(3, ':');
            let (last, before) = (words.next()?, words.next()?);
            let is_line = |text: &str| text.parse::<usize>().ok().filter(|line| *line > 0);
            let (file, line) = match (is_line(before), words.next()) {
                (Some(line), Some(file)) if is_line(last).is_some() => (file.to_owned(), line),
                _ => (place.strip_suffix(last)?.strip_suffix(':')?.to_owned(), is_line(last)?),
            };
            Some(Finding { file: Some(file), line: Some(line), message: message.to_owned() })
        };
        parts().unwrap_or_else(|| Finding { file: None, line: None, message: sentence.clone() })
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: {}", self.message),
            _ => f.write_str(&self.message),
        }
    }
}

/// Prints what it found.
///
/// # Errors
/// A configuration with errors.
pub fn check(flags: &CheckFlags) -> Result<(), Failure> {
    progress::show();
    let mut report = Report::default();
    look(&flags.of, &mut report);
    if flags.strict {
        let warnings = std::mem::take(&mut report.warnings);
        report.errors.extend(warnings);
    }
    report.ok = report.errors.is_empty();
    flags.of.tell(&report, || text(&report)).map_err(Failure::Run)?;
    match report.errors.len() {
        0 => Ok(()),
        1 => Err(Failure::Start(anyhow!("1 error"))),
        many => Err(Failure::Start(anyhow!("{many} errors"))),
    }
}

/// Goes on behind every mistake for as long as there is something to look at.
fn look(of: &Of, report: &mut Report) {
    let flags = of.flags();
    let found = match settings::Found::read(flags.config.clone()) {
        Ok(found) => found,
        Err(error) => return report.error(format!("{error:#}")),
    };
    report.config.clone_from(&found.file);
    let origin = found.origin();
    let (text, mistakes) = mend::mended(&origin, &found.text);
    mistakes.into_iter().for_each(|mistake| report.error(mistake));
    let mut config = match Config::read(&origin, &text, found.variables()) {
        Ok((config, mistakes)) => {
            mistakes.into_iter().for_each(|mistake| report.error(mistake));
            config
        }
        Err(error) => return report.error(error),
    };
    let environment: Vec<_> = found.variables().collect();
    let mut sections = match Sections::read(&origin, &text, &environment) {
        Ok((sections, mistakes)) => {
            mistakes.into_iter().for_each(|mistake| report.error(mistake));
            sections
        }
        Err(error) => {
            report.error(error);
            Sections::default()
        }
    };
    let placed = |sentence: &str| found.placed(sentence);
    found.relocate(&mut config, &mut sections);
    // `--database` is a file, or the name of one of them.
    let typed = flags.path.as_deref();
    let named = typed.and_then(Path::to_str).filter(|name| config.databases.contains_key(*name));
    let typed = typed.filter(|_| named.is_none());
    if let Err(error) = settings::set_paths(&mut config, typed, found.file.as_deref()) {
        report.error(format!("{error:#}"));
    }
    let mut read = Vec::new();
    for wrong in found.read_references(&mut config, &mut sections, &mut read) {
        report.error(placed(&wrong.0));
    }
    report.policies = config.policies.as_ref().map_or(0, |policies| policies.policy.len());
    report.functions = config.udf.len();
    for wrong in secrets(&config) {
        report.error(placed(&wrong));
    }
    let doubtful = config.auth_warnings().into_iter().chain(config.awaited_databases());
    doubtful.for_each(|warning| report.warn(placed(&warning)));
    for wrong in front::mistakes(&config, &sections) {
        report.error(placed(&wrong));
    }
    if let Err(error) = static_files::refuse_what_is_private(&config, &sections, &read) {
        report.error(placed(&format!("{error:#}")));
    }
    if let Some(audit) = &sections.audit {
        let refused = refuse_served(audit, &config).and_then(|()| audit.key().map(drop));
        refused.err().into_iter().for_each(|error| report.error(placed(&format!("{error:#}"))));
    }
    if let Some(backup) = &sections.backup {
        let directory = Path::new(&backup.directory);
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        if !parent.is_none_or(Path::exists) {
            let shown = directory.display();
            report.error(placed(&format!("backup.directory {shown} is not there and cannot be made")));
        }
    }
    address(&config, report, &placed);
    if let Some(listen) = sections.admin.listen.as_ref().filter(|_| sections.admin.mistakes().is_empty()) {
        admin_address(listen, report, &placed);
    }
    for name in config.schemas().into_iter().filter(|name| named.is_none_or(|named| *name == named)) {
        // Nobody is asked by an address that was refused, which may hold a secret.
        if config.databases.get(name).is_none_or(|database| database.misplaced().is_none()) {
            database(&config, name, &origin, &text, report);
        }
    }
}

impl Report {
    fn error(&mut self, sentence: impl Display) {
        let finding = Finding::of(sentence);
        if !self.errors.contains(&finding) {
            self.errors.push(finding);
        }
    }

    fn warn(&mut self, sentence: impl Display) {
        let finding = Finding::of(sentence);
        if !self.warnings.contains(&finding) {
            self.warnings.push(finding);
        }
    }
}

/// What of `[auth]` refers to something that is not there or not right. Keys that are published are not fetched.
fn secrets(config: &Config) -> Vec<String> {
    let Some(auth) = config.signing_in() else { return Vec::new() };
    let mut wrong = Vec::new();
    // Each by itself, as the first that is wrong hides the others.
    for part in 0..3 {
        let mut alone = auth.clone();
        if part != 0 {
            alone.jwt = None;
        }
        if part != 1 {
            alone.apikey = None;
        }
        if part != 2 {
            alone.basic = None;
        }
        let config = Config { auth: Some(alone), ..config.clone() };
        let made = Authenticator::new(&config, [0; 32], &mut settings::refer);
        wrong.extend(made.err().map(|error| error.to_string()));
    }
    wrong
}

/// Whether somebody can listen there.
fn address(config: &Config, report: &mut Report, placed: &dyn Fn(&str) -> String) {
    let (host, port) = (config.server.host.as_str(), config.server.port);
    if !config.server.unix_socket.is_empty() {
        return;
    }
    let Err(error) = TcpListener::bind((host, port)) else { return };
    match error.kind() {
        // It may well be the server whose configuration this is.
        ErrorKind::AddrInUse => {
            let what = "while it is, another server cannot begin";
            report.warn(placed(&format!("server.port: port {port} of {host} is in use; {what}")));
        }
        ErrorKind::PermissionDenied => {
            let what = "is not allowed to this user; choose one above 1023";
            report.error(placed(&format!("server.port: port {port} of {host} {what}")));
        }
        _ => report.error(placed(&format!("server.host: cannot listen on {host}, port {port}: {error}"))),
    }
}

/// Whether the administrator's listener can have its address.
fn admin_address(listen: &str, report: &mut Report, placed: &dyn Fn(&str) -> String) {
    let Err(error) = TcpListener::bind(listen) else { return };
    let sentence = placed(&format!("admin.listen = \"{listen}\": {error}"));
    match error.kind() {
        ErrorKind::AddrInUse => report.warn(sentence),
        _ => report.error(sentence),
    }
}

/// One of the databases, with what is configured of it.
fn database(config: &Config, name: &str, origin: &str, text: &str, report: &mut Report) {
    let mut config = config.of_database(name);
    // So that it is not put into WAL mode.
    if let Some(file) = config.databases.get_mut(name) {
        if !file.is_somewhere() {
            return;
        }
        file.mode = Mode::ReadOnly;
    }
    let path = config.database().1.place().to_owned();
    let _shown = progress::spinner(format!("looking at {path}"));
    let (about, mut connection) = match Own::open(&config) {
        Ok(opened) => opened,
        Err(error) => return report.error(format!("{error:#}")),
    };
    let (tables, views) = (about.tables, about.views);
    report.databases.push(Database { name: name.to_owned(), file: path.into(), tables, views });
    let schema = match read_configured(&config, connection.database()) {
        Ok(schema) => schema,
        Err(error) => return report.error(format!("the schema cannot be read: {}", error.message)),
    };
    policy::check(&config, &schema).iter().for_each(|misfit| report.error(misfit));
    let warnings = schema.warnings.iter().cloned();
    for warning in warnings.chain(trial::trial(&config, &schema, &mut connection)) {
        let place = mend::place_of(origin, text, warning.section, &warning.name);
        report.warn(place.map_or_else(|| warning.to_string(), |place| format!("{place}: {warning}")));
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let file = report.config.as_ref().map(|file| file.display().to_string());
    let file = file.unwrap_or_else(|| "no configuration file".to_owned());
    let databases: Vec<String> = report
        .databases
        .iter()
        .map(|own| format!("{}, {} tables, {} views", own.file.display(), own.tables, own.views))
        .collect();
    let Report { policies, functions, .. } = report;
    let databases = if databases.is_empty() { "no database".to_owned() } else { databases.join(", ") };
    let _ = write!(text, "{file}: {databases}, {policies} policies, {functions} functions");
    for error in &report.errors {
        let _ = write!(text, "\n{} {error}", To::Output.paint(ERROR, "error:"));
    }
    for warning in &report.warnings {
        let _ = write!(text, "\n{} {warning}", To::Output.paint(WARNING, "warning:"));
    }
    if report.ok {
        let _ = write!(text, "\n{}", To::Output.paint(WELL, "it can be served"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let of = |sentence: &str| {
            let Finding { file, line, message } = Finding::of(sentence);
            (file.unwrap_or_default(), line.unwrap_or_default(), message)
        };
        let whole = |file: &str, line, message: &str| (file.to_owned(), line, message.to_owned());
        assert_eq!(of("a/s.toml:3:1: no: good"), whole("a/s.toml", 3, "no: good"));
        assert_eq!(of("p.toml:12: policy"), whole("p.toml", 12, "policy"));
        assert_eq!(of("c:7:p.toml:12: policy"), whole("c:7:p.toml", 12, "policy"));
        assert_eq!(of("environment: SQLITREST_X sets"), whole("", 0, "environment: SQLITREST_X sets"));
        assert_eq!(of("no place at all"), whole("", 0, "no place at all"));
        assert_eq!(Finding::of("p.toml:12:3: policy").to_string(), "p.toml:12: policy");
    }
}
