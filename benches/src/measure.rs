//! The measuring: every workload of every subject, round by round, one subject after the other within each round.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::client;
use crate::dataset::Dataset;
use crate::machine::busy_cores;
use crate::servers::{self, Kind, Means, Server, Subject};
use crate::statistics::Spread;
use crate::workloads::{Exchange, MANY, USUAL, WRITERS, Workload};
use crate::wrk::{self, Load, Round};

/// What is measured and how long.
#[derive(Clone, Debug, Serialize)]
pub struct Extent {
    /// Rounds.
    pub rounds: usize,
    /// Seconds of each measurement.
    pub seconds: u64,
    /// The workloads.
    pub workloads: Vec<Workload>,
}

/// The measurements of one subject under one load.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// What was asked.
    pub workload: Workload,
    /// By so many connections.
    pub connections: usize,
    /// Of whom.
    pub subject: String,
    /// What the subject is.
    pub kind: Kind,
    /// Bytes of an answer's body.
    pub bytes: Option<usize>,
    /// One for each round.
    pub rounds: Vec<Round>,
    /// Why the measurements count for nothing.
    pub invalid: Option<String>,
}

impl Cell {
    /// Requests a second of each round; none where they count for nothing.
    pub fn rates(&self) -> Vec<f64> {
        if self.invalid.is_some() { Vec::new() } else { self.rounds.iter().map(Round::rate).collect() }
    }

    /// The median of a figure with its spread.
    pub fn spread(&self, figure: impl Fn(&Round) -> f64) -> Option<Spread> {
        if self.invalid.is_some() { None } else { Spread::of(self.rounds.iter().map(figure)) }
    }
}

/// Which key a probe asks for.
const PROBED: u64 = 17;

/// What a probe sets. The load begins with more.
const FRESH: u64 = 9_900_017;

/// How often a number of rows that changes is looked at again, at most.
const SETTLING: u32 = 100;

/// Measures all of it, and gives the most cores that others kept busy before a workload. Servers are looked at once before, so that what they cannot do or do wrong is told and not measured.
///
/// # Errors
/// wrk's; the bare server's.
pub fn all(
    subjects: &[Subject],
    extent: &Extent,
    dataset: &Dataset,
    directory: &Path,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<(Vec<Cell>, f64)> {
    let mut cells = Vec::new();
    let mut busy: f64 = 0.0;
    for &workload in &extent.workloads {
        busy = busy.max(busy_cores());
        let bare = if is_wanted(servers::BARE) { bare(subjects, workload, directory)? } else { None };
        let taking_part: Vec<&Subject> = bare.iter().chain(subjects).collect();
        let probes: Vec<Option<Result<usize>>> =
            taking_part.iter().map(|subject| probe(subject, workload, dataset)).collect();
        for (subject, probe) in taking_part.iter().zip(&probes) {
            if let Some(Err(error)) = probe {
                eprintln!("{}: {} {error:#}", workload.title(), subject.name);
            }
        }
        for &connections in workload.connections() {
            eprintln!("{}, {connections} connections", workload.title());
            let mut row: Vec<Option<Cell>> = taking_part
                .iter()
                .zip(&probes)
                .map(|(subject, probe)| new_cell(subject, workload, connections, probe.as_ref()))
                .collect();
            for round in 0..extent.rounds {
                for (subject, cell) in taking_part.iter().zip(&mut row) {
                    let Some(cell) = cell else { continue };
                    if cell.invalid.is_none() {
                        measure(subject, cell, round, extent.seconds, dataset, directory);
                    }
                }
            }
            cells.extend(row.into_iter().flatten());
        }
    }
    Ok((cells, busy))
}

/// The bare server with the bytes that ours answers, for readings.
fn bare(subjects: &[Subject], workload: Workload, directory: &Path) -> Result<Option<Subject>> {
    let ours = subjects.iter().find(|subject| subject.kind == Kind::Ours);
    let Some(Subject { means: Means::Http(server), .. }) = ours.filter(|_| workload.only_reads()) else {
        return Ok(None);
    };
    let Some(Exchange::One(request)) = server.exchange(workload) else { return Ok(None) };
    let body = client::send(&server.address, &request.of_key(PROBED, PROBED, FRESH))?.good()?.body;
    servers::bare(&body, directory, move |asked| (asked == workload).then(|| request.clone())).map(Some)
}

/// A cell to be filled, if the subject has that workload.
fn new_cell(
    subject: &Subject,
    workload: Workload,
    connections: usize,
    probe: Option<&Result<usize>>,
) -> Option<Cell> {
    // The loop has no connections: it stands once beside those figures that are compared with it.
    let has_load = matches!(subject.means, Means::Http(_))
        || connections == USUAL
        || (connections == WRITERS && workload == Workload::InsertOne);
    let probe = probe.filter(|_| has_load)?;
    Some(Cell {
        workload,
        connections,
        subject: subject.name.clone(),
        kind: subject.kind,
        bytes: probe.as_ref().ok().copied().filter(|bytes| *bytes > 0),
        rounds: Vec::new(),
        invalid: probe.as_ref().err().map(|error| format!("{error:#}")),
    })
}

/// Whether a subject does what is asked for, and the bytes of its answer; none where it has no such request.
fn probe(subject: &Subject, workload: Workload, dataset: &Dataset) -> Option<Result<usize>> {
    match &subject.means {
        Means::Loop(_) => Some(Ok(0)),
        Means::Http(server) => {
            let exchange = server.exchange(workload)?;
            Some(probe_server(server, workload, &exchange, subject.name == servers::BARE, dataset))
        }
    }
}

fn probe_server(
    server: &Server,
    workload: Workload,
    exchange: &Exchange,
    is_bare: bool,
    dataset: &Dataset,
) -> Result<usize> {
    let requests = exchange.requests();
    let request = requests.first().context("a request")?.of_key(PROBED, dataset.albums, FRESH);
    let before = settled(server)?;
    let answer = client::send(&server.address, &request)?.good()?;
    let text = String::from_utf8_lossy(&answer.body);
    if let Some(failure) = server.failure {
        ensure!(!text.contains(failure), "{text}");
    }
    if let Some(tracks) = workload.tracks_told(dataset.artists) {
        let told = text.matches("Track ").count() as u64;
        ensure!(told == tracks, "the answer has {told} tracks and not {tracks}");
    }
    if workload == Workload::Count && !is_bare {
        let total = server.store.tracks()?.context("a store")?.to_string();
        ensure!(
            answer.head.contains(&total) || text.contains(&total),
            "the answer does not tell of all {total}"
        );
    }
    if workload == Workload::Update {
        let read = (server.requests)(Workload::ByKey).context("no reading by key")?;
        let read = client::send(&server.address, &read.of_key(PROBED, dataset.albums, FRESH))?.good()?.body;
        ensure!(String::from_utf8_lossy(&read).contains(&FRESH.to_string()), "the update did nothing");
    }
    let wanted = match workload {
        Workload::InsertOne => 1,
        Workload::InsertThousand => MANY,
        _ => 0,
    };
    if let (Some(before), Some(after)) = (before, server.store.tracks()?) {
        ensure!(after == before + wanted, "{} rows were stored and not {wanted}", after - before);
    }
    Ok(answer.body.len())
}

/// The number of tracks, once the requests that were under way when the load before ended have come to their ends.
fn settled(server: &Server) -> Result<Option<u64>> {
    let mut before = server.store.tracks()?;
    for _ in 0..SETTLING {
        thread::sleep(Duration::from_millis(100));
        let now = server.store.tracks()?;
        if now == before {
            break;
        }
        before = now;
    }
    Ok(before)
}

/// One more round.
fn measure(
    subject: &Subject,
    cell: &mut Cell,
    round: usize,
    seconds: u64,
    dataset: &Dataset,
    directory: &Path,
) {
    let measured = match &subject.means {
        Means::Loop(own) => own.run(cell.workload, seconds),
        Means::Http(server) => load(server, cell, round, seconds, dataset, directory),
    };
    match measured {
        Ok(measured) => {
            cell.invalid = measured.invalid();
            eprintln!(
                "  {:<32} {:>9.0}/s  p99 {:>8.2} ms {}",
                subject.name,
                measured.rate(),
                measured.p99,
                cell.invalid.as_deref().unwrap_or_default()
            );
            cell.rounds.push(measured);
        }
        Err(error) => {
            eprintln!("  {:<32} {error:#}", subject.name);
            cell.invalid = Some(format!("{error:#}"));
        }
    }
}

fn load(
    server: &Server,
    cell: &Cell,
    round: usize,
    seconds: u64,
    dataset: &Dataset,
    directory: &Path,
) -> Result<Round> {
    let exchange = server.exchange(cell.workload).context("no such request")?;
    let looked_at = if cell.workload.only_reads() { None } else { server.failure };
    let load = Load {
        exchange: &exchange,
        connections: cell.connections,
        seconds,
        keys: dataset.keys(),
        seed: round as u64 * 7,
        failure: looked_at,
    };
    let before = if cell.workload.only_reads() { None } else { settled(server)? };
    let measured = wrk::run(&server.address, &load, directory)?;
    let acknowledged = cell.workload.stored_by(measured.requests.saturating_sub(measured.refused));
    if let (Some(before), Some(after)) = (before, server.store.tracks()?) {
        let stored = after.saturating_sub(before);
        ensure!(stored >= acknowledged, "{acknowledged} rows were acknowledged and {stored} stored");
    }
    Ok(measured)
}
