//! `cargo xtask bench`: our server beside its yardsticks and its peers, all over one database, in one run. See `README.md`
//! beside this crate.

mod ad_hoc;
mod client;
mod dataset;
mod figures;
mod headline;
mod in_process;
mod machine;
mod measure;
mod options;
mod peers;
mod process;
mod report;
mod servers;
mod statistics;
mod svg;
mod workloads;
mod wrk;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser as _;

use dataset::Dataset;
use figures::ENGINES;
use in_process::{Loop, Way};
use options::Options;
use report::{Results, Told};
use servers::{Access, Kind, Means, Ours, Subject};

/// Tracks of the database that every server serves.
const TRACKS: u64 = 100_000;

/// Tables beside the five where starts with many tables are measured.
const MANY_TABLES: u64 = 1000;

/// Tables beside the five that policies name, each by one.
const NAMED_TABLES: u64 = 200;

fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(Command::new("wrk").arg("-v").output().is_ok(), "wrk is not installed: apt-get install wrk");
    let target = target()?;
    // Not below /tmp: where that is memory, nothing is durable.
    let home = target.join("bench");
    sweep(&home)?;
    let directory = home.join(std::process::id().to_string());
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    let result = run(&options, &target, &directory);
    fs::remove_dir_all(&directory)?;
    result
}

/// Removes what runs have left that were ended from outside.
fn sweep(home: &Path) -> Result<()> {
    for entry in fs::read_dir(home).into_iter().flatten() {
        let entry = entry?;
        if !Path::new("/proc").join(entry.file_name()).exists() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// `target/`, where this program lies in `target/release/`.
fn target() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    own.ancestors().nth(2).map(Path::to_owned).context("not in target/release")
}

fn run(options: &Options, target: &Path, directory: &Path) -> Result<()> {
    let binary = match &options.server {
        Some(path) => path.canonicalize().with_context(|| path.display().to_string())?,
        None => servers::sibling("sqlitrest")?,
    };
    let extent = options.extent();
    if let Some(database) = &options.database {
        let wanted = ad_hoc::Wanted {
            binary: &binary,
            database,
            config: options.config.as_deref(),
            targets: &options.targets,
            rounds: extent.rounds,
            seconds: extent.seconds,
        };
        return ad_hoc::measure(&wanted, directory);
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ours = Ours { binary, directory: directory.to_owned() };
    let dataset = Dataset::make(directory, TRACKS)?;
    let mut results = Results {
        machine: machine::Machine::this(sources),
        extent: extent.clone(),
        busy_cores: 0.0,
        tracks: TRACKS,
        headline: Vec::new(),
        subjects: Vec::new(),
        missing: Vec::new(),
        cells: Vec::new(),
        starts: Vec::new(),
        growth: Vec::new(),
        unrelated: Vec::new(),
        streams: Vec::new(),
        contention: Vec::new(),
        sizes: figures::sizes(&ours, target),
    };
    compare(options, target, &ours, &dataset, &mut results)?;
    if !options.no_figures {
        ours_alone(options, &ours, &dataset, &mut results)?;
    }
    let place = options.results.clone().unwrap_or_else(|| sources.join("results"));
    println!("{}", results.write(&place, &options.name)?);
    eprintln!("written to {}/{}.{{md,json,svg}}", place.display(), options.name);
    Ok(())
}

/// All subjects, every workload.
fn compare(
    options: &Options,
    target: &Path,
    ours: &Ours,
    dataset: &Dataset,
    results: &mut Results,
) -> Result<()> {
    let mut subjects = loops(&ours.directory, dataset)?;
    subjects.retain(|subject| options.wants(&subject.name));
    for access in [Access::Open, Access::Policies] {
        for engine in ENGINES {
            if options.wants(&servers::name(engine, access)) {
                subjects.push(ours.serve(engine, access, dataset)?);
            }
        }
    }
    for (name, start) in peers::ALL {
        if options.no_peers || !options.wants(name) {
            continue;
        }
        let place = peers::Place::of(name, target, &ours.directory);
        match place.and_then(|place| start(&place, dataset)) {
            Ok(subject) => {
                eprintln!("{name}: {}: {} ({})", subject.version, subject.command(), subject.durability);
                subjects.push(subject);
            }
            Err(error) => {
                eprintln!("{name} does not take part: {error:#}");
                results.missing.push((name.to_owned(), format!("{error:#}")));
            }
        }
    }
    thread::sleep(Duration::from_secs(1));
    let told = |subject| Told::of(subject, &[&ours.directory, target]);
    results.subjects = subjects.iter().map(told).collect();
    let idle = figures::resident(&subjects);
    let is_wanted = |name: &str| options.wants(name);
    (results.cells, results.busy_cores) =
        measure::all(&subjects, &results.extent, dataset, &ours.directory, &is_wanted)?;
    let loaded = figures::resident(&subjects);
    for told in &mut results.subjects {
        let of = |all: &[(String, u64)]| all.iter().find(|(name, _)| *name == told.name).map(|(_, kib)| *kib);
        (told.resident_idle, told.resident_loaded) = (of(&idle), of(&loaded));
    }
    Ok(())
}

/// The loops in this process, each over a copy of the database.
fn loops(directory: &Path, dataset: &Dataset) -> Result<Vec<Subject>> {
    let one = |(name, way): (&str, Way)| {
        let database = directory.join(format!("{way:?}.db"));
        dataset.copy_to(&database)?;
        let threads = in_process::readers();
        Ok(Subject {
            name: name.to_owned(),
            kind: Kind::Yardstick,
            version: format!("SQLite {}, {threads} threads, writes by 1", rusqlite::version()),
            durability: "SQLite, WAL, synchronous=full, a transaction each".to_owned(),
            means: Means::Loop(Loop { way, database, keys: dataset.keys() }),
        })
    };
    [(headline::STATEMENTS, Way::Statements), (headline::CORE, Way::Core)].into_iter().map(one).collect()
}

/// The figures of our server alone.
fn ours_alone(options: &Options, ours: &Ours, dataset: &Dataset, results: &mut Results) -> Result<()> {
    let (directory, extent) = (&ours.directory, &results.extent);
    let (rounds, seconds) = (extent.rounds, extent.seconds);
    let times = if options.quick { 3 } else { 20 };
    eprintln!("starts");
    results.starts = figures::starts(ours, dataset, 0, times)?;
    let small = Dataset::make(directory, 1000)?;
    let many = small.with_tables(MANY_TABLES)?;
    results.starts.extend(figures::starts(ours, &many, MANY_TABLES, times)?);
    eprintln!("readings beside writes");
    results.contention = figures::contention(ours, dataset, rounds, seconds, directory)?;
    eprintln!("growth");
    let million = Dataset::make(directory, 1_000_000)?;
    let mut series = vec![(small.clone(), 0), (Dataset::make(directory, 10_000)?, 0), (dataset.clone(), 0)];
    series.push((million.clone(), 0));
    if options.large {
        series.push((Dataset::make(directory, 10_000_000)?, 0));
    }
    let named = (small.with_tables(NAMED_TABLES)?, NAMED_TABLES);
    series.extend([(small.with_tables(10)?, 10), named.clone(), (small.with_tables(2000)?, 2000)]);
    results.growth = figures::growth(ours, &series, rounds, seconds, directory)?;
    eprintln!("policies on other tables");
    results.unrelated = figures::unrelated_policies(ours, &named, rounds, seconds, directory)?;
    eprintln!("a million rows in one answer");
    results.streams = figures::streams(ours, &million, if options.quick { 1 } else { 5 })?;
    Ok(())
}
