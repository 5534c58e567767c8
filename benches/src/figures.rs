//! Figures of our server alone: how it starts, how it grows with its data, what a long answer costs, and what readings
//! suffer from writes.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Serialize;

use crate::client;
use crate::dataset::Dataset;
use crate::servers::{Means, Ours, Subject, remove_database};
use crate::statistics::Spread;
use crate::workloads::{USUAL, WRITERS, Workload, postgrest};
use crate::wrk::{self, Load, Round};

/// The engines.
pub const ENGINES: [&str; 2] = ["native", "component"];

/// From the start of the process to the whole first answer.
#[derive(Clone, Debug, Serialize)]
pub struct Start {
    /// The engine.
    pub engine: &'static str,
    /// How many tables there are.
    pub tables: u64,
    /// Milliseconds.
    pub millis: Spread,
}

/// Starts the server so many times.
///
/// # Errors
/// It does not start or answer.
pub fn starts(ours: &Ours, dataset: &Dataset, tables: u64, times: usize) -> Result<Vec<Start>> {
    let request = postgrest(Workload::ByKey, "").context("a request")?.of_key(1, dataset.albums, 1);
    let mut starts = Vec::new();
    for engine in ENGINES {
        let path = fresh(ours, dataset, "start")?;
        let mut millis = Vec::new();
        for _ in 0..times {
            let begin = Instant::now();
            let (process, address) = ours.start(engine, None, &path)?;
            client::get(&address, &request.target)?;
            millis.push(begin.elapsed().as_secs_f64() * 1e3);
            drop(process);
        }
        starts.push(Start { engine, tables, millis: Spread::of(millis).context("no start")? });
    }
    Ok(starts)
}

/// By key with more rows, and with more tables.
#[derive(Clone, Debug, Serialize)]
pub struct Growth {
    /// The engine.
    pub engine: &'static str,
    /// Tracks.
    pub rows: u64,
    /// Tables beside the five.
    pub tables: u64,
    /// Milliseconds of the middle request, one connection.
    pub p50: Spread,
    /// Requests a second, one connection.
    pub rate: Spread,
}

/// Measures by key over each of these databases, round by round.
///
/// # Errors
/// The server's, and wrk's.
pub fn growth(
    ours: &Ours,
    datasets: &[(Dataset, u64)],
    rounds: usize,
    seconds: u64,
    scratch: &Path,
) -> Result<Vec<Growth>> {
    let mut all = Vec::new();
    for engine in ENGINES {
        let mut running = Vec::new();
        for (index, (dataset, _)) in datasets.iter().enumerate() {
            let path = fresh(ours, dataset, &format!("growth-{index}"))?;
            running.push(ours.start(engine, None, &path)?);
        }
        let mut figures = vec![(Vec::new(), Vec::new()); datasets.len()];
        for round in 0..rounds {
            for (((dataset, _), (_, address)), (p50, rates)) in
                datasets.iter().zip(&running).zip(&mut figures)
            {
                let measured = by_key(address, 1, seconds, dataset, round, scratch)?;
                p50.push(measured.p50);
                rates.push(measured.rate());
            }
        }
        for ((dataset, tables), (p50, rates)) in datasets.iter().zip(figures) {
            all.push(Growth {
                engine,
                rows: dataset.tracks,
                tables: *tables,
                p50: Spread::of(p50).context("no round")?,
                rate: Spread::of(rates).context("no round")?,
            });
        }
    }
    Ok(all)
}

/// By key with and without policies on tables that are not asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Unrelated {
    /// The engine.
    pub engine: &'static str,
    /// Policies, each on a table of its own.
    pub policies: u64,
    /// Requests a second without them, of each round.
    pub without: Vec<f64>,
    /// The same with them.
    pub with: Vec<f64>,
}

/// Measures by key on a database of so many more tables, without and with a policy on each of these.
///
/// # Errors
/// The server's, and wrk's.
pub fn unrelated_policies(
    ours: &Ours,
    (dataset, tables): &(Dataset, u64),
    rounds: usize,
    seconds: u64,
    scratch: &Path,
) -> Result<Vec<Unrelated>> {
    let config = ours.policies_on_others(*tables)?;
    let mut all = Vec::new();
    for engine in ENGINES {
        let path = fresh(ours, dataset, "unrelated")?;
        let (_open, open) = ours.start(engine, None, &path)?;
        let (_held, held) = ours.start(engine, Some(&config), &path)?;
        let mut figures = Unrelated { engine, policies: *tables, without: Vec::new(), with: Vec::new() };
        for round in 0..rounds {
            figures.without.push(by_key(&open, USUAL, seconds, dataset, round, scratch)?.rate());
            figures.with.push(by_key(&held, USUAL, seconds, dataset, round, scratch)?.rate());
        }
        all.push(figures);
    }
    Ok(all)
}

fn by_key(
    address: &str,
    connections: usize,
    seconds: u64,
    dataset: &Dataset,
    round: usize,
    scratch: &Path,
) -> Result<Round> {
    let exchange = crate::workloads::exchange(Workload::ByKey, &|workload| postgrest(workload, ""));
    let exchange = exchange.context("a request")?;
    let load = Load {
        exchange: &exchange,
        connections,
        seconds,
        keys: dataset.keys(),
        seed: round as u64 * 7,
        failure: None,
    };
    let measured = wrk::run(address, &load, scratch)?;
    measured.invalid().map_or(Ok(measured), |why| Err(anyhow!("by key: {why}")))
}

/// All rows in one answer.
#[derive(Clone, Debug, Serialize)]
pub struct Streamed {
    /// The engine.
    pub engine: &'static str,
    /// The status: not every server can.
    pub status: u16,
    /// Rows asked for.
    pub rows: u64,
    /// Bytes that came.
    pub bytes: u64,
    /// Milliseconds to the first byte of the body.
    pub first_byte: Spread,
    /// Milliseconds to its end.
    pub whole: Spread,
    /// Resident memory before, in KiB.
    pub idle: u64,
    /// The most of it beyond that, in KiB.
    pub above_idle: u64,
}

/// Reads all tracks, so many times.
///
/// # Errors
/// The server does not answer, or the system does not tell the most memory that a process had.
pub fn streams(ours: &Ours, dataset: &Dataset, times: usize) -> Result<Vec<Streamed>> {
    let mut all = Vec::new();
    let path = fresh(ours, dataset, "stream")?;
    for engine in ENGINES {
        let (process, address) = ours.start(engine, None, &path)?;
        client::get(&address, "/tracks?id=eq.1")?;
        thread::sleep(Duration::from_millis(200));
        let idle = process.resident();
        ensure!(process.forget_peak(), "/proc/PID/clear_refs cannot be written");
        let request = crate::workloads::Request::get("/tracks");
        let (mut first, mut whole, mut last) = (Vec::new(), Vec::new(), None);
        for _ in 0..times {
            let answer = client::stream(&address, &request)?;
            first.push(answer.first_byte.as_secs_f64() * 1e3);
            whole.push(answer.whole.as_secs_f64() * 1e3);
            last = Some(answer);
        }
        let last = last.context("no answer")?;
        all.push(Streamed {
            engine,
            status: last.status,
            rows: dataset.tracks,
            bytes: last.bytes,
            first_byte: Spread::of(first).context("no answer")?,
            whole: Spread::of(whole).context("no answer")?,
            idle,
            above_idle: process.peak().context("no VmHWM")?.saturating_sub(idle),
        });
    }
    Ok(all)
}

/// Readings by key alone, and while others insert without a pause.
#[derive(Clone, Debug, Serialize)]
pub struct Contention {
    /// The engine.
    pub engine: &'static str,
    /// The 99th percentile alone, in milliseconds, of each round.
    pub alone: Vec<f64>,
    /// The same with the writer saturated.
    pub saturated: Vec<f64>,
    /// Inserts a second meanwhile.
    pub inserts: Vec<f64>,
}

/// Measures the p99 of readings with and without inserts beside them.
///
/// # Errors
/// The server's, and wrk's.
pub fn contention(
    ours: &Ours,
    dataset: &Dataset,
    rounds: usize,
    seconds: u64,
    scratch: &Path,
) -> Result<Vec<Contention>> {
    let mut all = Vec::new();
    for engine in ENGINES {
        let path = fresh(ours, dataset, "contention")?;
        let (_process, address) = ours.start(engine, None, &path)?;
        let mut figures =
            Contention { engine, alone: Vec::new(), saturated: Vec::new(), inserts: Vec::new() };
        let inserts = crate::workloads::exchange(Workload::InsertOne, &|workload| postgrest(workload, ""));
        let inserts = inserts.context("a request")?;
        let writers = scratch.join("writers");
        fs::create_dir_all(&writers)?;
        for round in 0..rounds {
            figures.alone.push(by_key(&address, USUAL, seconds, dataset, round, scratch)?.p99);
            let load = Load {
                exchange: &inserts,
                connections: WRITERS,
                seconds: seconds + 1,
                keys: dataset.keys(),
                seed: round as u64 * 7,
                failure: None,
            };
            let (written, read) = thread::scope(|scope| {
                let written = scope.spawn(|| wrk::run(&address, &load, &writers));
                thread::sleep(Duration::from_millis(500));
                let read = by_key(&address, USUAL, seconds, dataset, round, scratch);
                (written.join(), read)
            });
            let written = written.map_err(|_| anyhow!("the writing thread panicked"))??;
            if let Some(why) = written.invalid() {
                return Err(anyhow!("inserts beside readings: {why}"));
            }
            figures.saturated.push(read?.p99);
            figures.inserts.push(written.rate());
        }
        all.push(figures);
    }
    Ok(all)
}

/// What is shipped.
#[derive(Clone, Debug, Serialize)]
pub struct Size {
    /// Which file.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
}

/// The sizes of the binary (the one that a release ships, if it was built) and of the component.
pub fn sizes(ours: &Ours, target: &Path) -> Vec<Size> {
    let shipped = target.join("dist/sqlitrest");
    let binary = if shipped.exists() { shipped } else { ours.binary.clone() };
    [binary, target.join("sqlitrest-guest.wasm")]
        .into_iter()
        .filter_map(|path| {
            let bytes = fs::metadata(&path).ok()?.len();
            let file = path.strip_prefix(target.parent().unwrap_or(target)).unwrap_or(&path);
            Some(Size { file: file.display().to_string(), bytes })
        })
        .collect()
}

/// A copy of the database that nobody has written to.
fn fresh(ours: &Ours, dataset: &Dataset, name: &str) -> Result<std::path::PathBuf> {
    let path = ours.directory.join(format!("{name}.db"));
    remove_database(&path)?;
    dataset.copy_to(&path)?;
    Ok(path)
}

/// Resident memory of every server now, in KiB, by its name.
pub fn resident(subjects: &[Subject]) -> Vec<(String, u64)> {
    let of = |subject: &Subject| match &subject.means {
        Means::Http(server) => Some((subject.name.clone(), server.resident())),
        Means::Loop(_) => None,
    };
    subjects.iter().filter_map(of).collect()
}
