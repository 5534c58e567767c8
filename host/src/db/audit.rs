//! `sqlitrest db check --audit`: whether audit logs are as they were written.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, ensure};
use clap::Args;
use serde::Serialize;

use super::check::{Finding, Level, tell_findings};
use super::number;
use crate::audit::chain::HASH;
use crate::audit::settings::{Settings, key};
use crate::audit::verify::{Against, Verified, compare, verify};
use crate::cli::Failure;
use crate::settings::Of;

/// What is told of audit logs.
#[derive(Args, Debug)]
pub struct AuditFlags {
    /// Look at this audit log and not at the database. Can be given twice, for both forms of one log; without it the database is looked
    /// at, and the log of the configuration
    #[arg(long, value_name = "FILE")]
    audit: Vec<PathBuf>,
    /// The key of the log, beside that of the configuration: env:NAME or file:PATH. Can be given several times
    #[arg(long, value_name = "KEY")]
    audit_key: Vec<String>,
    /// A record that must be there, as an earlier check has printed it
    #[arg(long, value_name = "NUMBER:HASH")]
    expect: Option<String>,
}

/// What was found.
#[derive(Serialize)]
struct Checked {
    /// Whether they are as they were written.
    ok: bool,
    logs: Vec<Verified>,
    found: Vec<Finding>,
}

impl AuditFlags {
    /// Whether it is logs that are to be looked at, and nothing else.
    pub fn is_all(&self) -> bool {
        !self.audit.is_empty()
    }

    /// What logs are looked at with.
    fn against(&self, settings: Option<&Settings>) -> Result<Against> {
        let mut against = Against::default();
        for text in &self.audit_key {
            ensure!(
                text.starts_with("env:") || text.starts_with("file:"),
                "--audit-key names where the key is: env:NAME or file:PATH"
            );
            against.keys.push(key("--audit-key", text)?);
        }
        against.keys.extend(settings.map(Settings::key).transpose()?.flatten());
        against.expect = self.expect.as_deref().map(expected).transpose()?;
        Ok(against)
    }
}

/// `17:af03…`, or the hash alone.
fn expected(text: &str) -> Result<(Option<u64>, String)> {
    let wrong = || anyhow!("--expect {text} is not NUMBER:HASH, as a check prints it");
    let (number, hash) = match text.split_once(':') {
        Some((number, hash)) => (Some(number.parse().map_err(|_| wrong())?), hash),
        None => (None, text),
    };
    ensure!(hash.len() == HASH && hash.bytes().all(|b| b.is_ascii_hexdigit()), wrong());
    Ok((number, hash.to_ascii_lowercase()))
}

/// Looks at logs alone, and prints what it found.
///
/// # Errors
/// A log that is not there or cannot be read; one that is not as it was written.
pub fn check(of: &Of, flags: &AuditFlags) -> Result<(), Failure> {
    let looked = || {
        let settings = of.sections()?.audit;
        look(&flags.audit, &flags.against(settings.as_ref())?)
    };
    let (logs, found) = looked().map_err(Failure::Start)?;
    let damages = found.iter().filter(|finding| finding.level == Level::Damage).count();
    let checked = Checked { ok: damages == 0, logs, found };
    let text = || tell_findings(&checked.found) + &checked.logs.iter().map(told).collect::<String>();
    of.tell(&checked, text).map_err(Failure::Run)?;
    match damages {
        0 => Ok(()),
        _ => Err(Failure::Run(anyhow!("the audit log is not as it was written"))),
    }
}

/// What there is to say of the log of the configuration, if there is one.
///
/// # Errors
/// A log that cannot be read; a key that is not there.
pub fn configured(of: &Of, flags: &AuditFlags) -> Result<(Vec<Verified>, Vec<Finding>)> {
    let Some(settings) = of.sections()?.audit else { return Ok((Vec::new(), Vec::new())) };
    let (there, absent): (Vec<PathBuf>, Vec<PathBuf>) =
        settings.paths().map(PathBuf::from).partition(|path| path.exists());
    let (logs, mut found) = look(&there, &flags.against(Some(&settings))?)?;
    found.extend(absent.iter().map(|path| Finding {
        level: Level::Advice,
        what: format!("there is no audit log {}", path.display()),
        mend: "the next start of the server makes it; if there was one, put it back".to_owned(),
    }));
    Ok((logs, found))
}

fn look(paths: &[PathBuf], against: &Against) -> Result<(Vec<Verified>, Vec<Finding>)> {
    let logs = paths.iter().map(|path| verify(path, against)).collect::<Result<Vec<_>>>()?;
    let mut found = Vec::new();
    for log in &logs {
        if let Some(broken) = &log.broken {
            let line = broken.line.map(|line| format!(":{line}")).unwrap_or_default();
            found.push(damage(format!("{}{line}: {}", broken.file.display(), broken.what)));
        }
        found.extend(log.advice.iter().map(|what| advice(&log.log, what)));
    }
    if let [one, other] = logs.as_slice()
        && one.broken.is_none()
        && other.broken.is_none()
    {
        found.extend(compare(one, other)?.map(damage));
    }
    Ok((logs, found))
}

fn damage(what: String) -> Finding {
    let mend = "compare it with a copy that is kept elsewhere; records behind it prove nothing. To go on, move its files away: \
                the next start begins another";
    Finding { level: Level::Damage, what, mend: mend.to_owned() }
}

fn advice(log: &Path, what: &str) -> Finding {
    let mend = "keep the number and the hash of the last record elsewhere, and give them with --expect the next time";
    Finding { level: Level::Advice, what: format!("{}: {what}", log.display()), mend: mend.to_owned() }
}

/// A log in a line.
pub fn told(log: &Verified) -> String {
    let Verified { files, records, first, last, hash, keyed, .. } = log;
    let how = if *keyed > 0 { ", hashed with a key" } else { "" };
    let is_whole = if log.broken.is_none() { "unbroken" } else { "broken behind it" };
    let path = log.log.display();
    if *records == 0 {
        return format!("{path}: no records\n");
    }
    format!(
        "{path}: {records} records ({first} to {last}) in {}{how}, {is_whole}; the last is {last}:{hash}\n",
        number(*files, "file")
    )
}
