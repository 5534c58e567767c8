//! What is told of the audit log and of backups: in `/health` and as metrics. Both fail beside the requests, where nobody would see it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::registry::Unit;
use serde::Serialize;

use super::gather::{one, total};
use super::health::Status;
use super::page::{Family, Labels};
use crate::audit::Snapshot;
use crate::backup::State;
use crate::serving::Serving;

/// What anybody is told while the audit log cannot be written.
const NO_RECORDS: &str = "the audit log cannot be written";

/// The audit log, for the administrator.
#[derive(Debug, Serialize)]
pub struct Audit {
    status: Status,
    /// Why it cannot be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<Timestamp>,
    /// Whether requests that need a record are refused.
    refuses: bool,
    queue: Queue,
    written: u64,
    dropped: u64,
    refused: u64,
    /// The number of the last record, and its hash.
    seq: u64,
    hash: String,
}

#[derive(Debug, Serialize)]
struct Queue {
    size: usize,
    waiting: u64,
}

/// The backups of a database, for the administrator.
#[derive(Debug, Serialize)]
pub struct Backup {
    status: Status,
    /// Why the last one has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_at: Option<Timestamp>,
    failures: u64,
    /// When the newest was begun, and where it is.
    newest_at: Option<Timestamp>,
    newest: Option<String>,
    /// Of those that this server has made.
    size_bytes: Option<u64>,
    duration_seconds: Option<f64>,
    kept: usize,
    due_at: Option<Timestamp>,
}

/// What anybody is told who asks whether requests can be served, where not all of them can.
pub fn concern(serving: &Serving) -> Option<String> {
    let audit = serving.audit().filter(|audit| audit.is_failing())?;
    let refuses = if audit.snapshot().is_refusing { ", and what needs a record is refused" } else { "" };
    Some(format!("{NO_RECORDS}{refuses}"))
}

/// The audit log, where one is kept.
pub fn audit(serving: &Serving) -> Option<Audit> {
    let Snapshot { waiting, written, dropped, refused, seq, hash, failure, room, is_refusing } =
        serving.audit()?.snapshot();
    let (failing_since, output) = failure.unzip();
    Some(Audit {
        status: if output.is_some() { Status::Warn } else { Status::Pass },
        output,
        failing_since,
        refuses: is_refusing,
        queue: Queue { size: room, waiting },
        written,
        dropped,
        refused,
        seq,
        hash,
    })
}

/// The backups of each database, where they are made.
pub fn backups(serving: &Serving) -> Option<BTreeMap<String, Backup>> {
    let of = |State { newest, made, kept, failure, failures, due, .. }: State| {
        let ((failed_at, output), (newest_at, newest)) = (failure.unzip(), newest.unzip());
        let (size_bytes, took) = made.unzip();
        Backup {
            status: if output.is_some() { Status::Warn } else { Status::Pass },
            output,
            failed_at,
            failures,
            newest_at,
            newest: newest.map(|path| path.display().to_string()),
            size_bytes,
            duration_seconds: took.map(|took: Duration| took.as_secs_f64()),
            kept,
            due_at: due,
        }
    };
    let all = serving.backups()?.snapshot();
    Some(all.into_iter().map(|(name, state)| (name, of(state))).collect())
}

/// Whether any of them is not as it is to be.
pub fn is_well(audit: Option<&Audit>, backups: Option<&BTreeMap<String, Backup>>) -> bool {
    let mut backups = backups.into_iter().flat_map(BTreeMap::values);
    audit.is_none_or(|audit| audit.status == Status::Pass) && backups.all(|own| own.status == Status::Pass)
}

/// The metrics of both.
pub fn families(serving: &Serving) -> Vec<Family> {
    let audit = serving.audit().map(|audit| of_audit(&audit.snapshot()));
    let backups = serving.backups().map(|backups| of_backups(&backups.snapshot()));
    audit.into_iter().chain(backups).flatten().collect()
}

fn of_audit(audit: &Snapshot) -> Vec<Family> {
    let yes = |is_so: bool| if is_so { 1.0 } else { 0.0 };
    vec![
        one("sqlitrest_audit_up", "Whether the audit log can be written", yes(audit.failure.is_none())),
        one(
            "sqlitrest_audit_refusing",
            "Whether requests are refused because the audit log has no room for their records",
            yes(audit.is_refusing),
        ),
        one("sqlitrest_audit_queue_length", "Records that wait to be written", audit.waiting as f64),
        one("sqlitrest_audit_queue_max", "The most records that may wait", audit.room as f64),
        total("sqlitrest_audit_records_written", "Records of requests that were written", audit.written),
        total(
            "sqlitrest_audit_records_dropped",
            "Requests for whose records there was no room",
            audit.dropped,
        ),
        total(
            "sqlitrest_audit_requests_refused",
            "Requests that were refused because there was no room for their records",
            audit.refused,
        ),
    ]
}

fn of_backups(backups: &BTreeMap<String, State>) -> Vec<Family> {
    let gauge = |name, help, value: fn(&State) -> Option<f64>| {
        let samples = backups.iter().filter_map(|(name, state)| Some((label(name), value(state)?)));
        Family::gauge(name, help, samples.collect())
    };
    let seconds = |time: Timestamp| time.as_millisecond() as f64 / 1e3;
    let newest =
        backups.iter().filter_map(|(name, state)| Some((label(name), seconds(state.newest.as_ref()?.0))));
    vec![
        gauge("sqlitrest_backup_up", "Whether the last backup on a schedule was made", |state| {
            Some(if state.failure.is_none() { 1.0 } else { 0.0 })
        }),
        Family::gauge(
            "sqlitrest_backup_newest_timestamp",
            "When the newest backup was begun",
            newest.collect(),
        )
        .of(Unit::Seconds),
        gauge("sqlitrest_backup_size", "Size of the newest backup that this server has made", |state| {
            state.made.map(|(bytes, _)| bytes as f64)
        })
        .of(Unit::Bytes),
        gauge("sqlitrest_backup_duration", "How long that backup took", |state| {
            state.made.map(|(_, took)| took.as_secs_f64())
        })
        .of(Unit::Seconds),
        gauge("sqlitrest_backups_kept", "Backups that are there", |state| Some(state.kept as f64)),
        Family::counter(
            "sqlitrest_backup_failures",
            "Backups on a schedule that failed",
            backups.iter().map(|(name, state)| (label(name), state.failures)).collect(),
        ),
    ]
}

fn label(database: &str) -> Labels {
    vec![("db_namespace", database.to_owned())]
}
