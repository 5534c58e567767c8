//! One's own database and one's own requests: both engines beside a bare server that returns the same bytes, then their
//! cold starts.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::client::get;
use crate::figures::ENGINES;
use crate::process::Process;
use crate::servers::sibling;
use crate::statistics::Spread;
use crate::workloads::{Exchange, Request, USUAL};
use crate::wrk::{self, Load, Round};

/// How often each engine is started.
const STARTS: usize = 20;

/// What is measured.
pub struct Wanted<'a> {
    /// The server.
    pub binary: &'a Path,
    /// The database; a copy is served.
    pub database: &'a Path,
    /// A configuration with which each engine is measured, too.
    pub config: Option<&'a Path>,
    /// The targets of GET.
    pub targets: &'a [String],
    /// Rounds.
    pub rounds: usize,
    /// Seconds of each.
    pub seconds: u64,
}

/// Measures and prints.
///
/// # Errors
/// A server's, wrk's; answers that differ.
pub fn measure(wanted: &Wanted<'_>, directory: &Path) -> Result<()> {
    let mut servers: Vec<(String, Process, String)> = Vec::new();
    for engine in ENGINES {
        let copy = directory.join(format!("{engine}.db"));
        std::fs::copy(wanted.database, &copy)
            .with_context(|| format!("cannot copy {}", wanted.database.display()))?;
        let (process, address) = serve(wanted.binary, engine, &copy, None)?;
        servers.push((engine.to_owned(), process, address));
        if wanted.config.is_some() {
            let (process, address) = serve(wanted.binary, engine, &copy, wanted.config)?;
            servers.push((format!("{engine}, configured"), process, address));
        }
    }
    println!(
        "{USUAL} connections, {} s, {} rounds interleaved, median (least to most)\n",
        wanted.seconds, wanted.rounds
    );
    println!("| target | bytes | server | requests/s | of bare | p99 ms |");
    println!("|---|--:|---|--:|--:|--:|");
    for target in wanted.targets {
        one_target(wanted, target, &servers, directory)?;
    }
    drop(servers);
    cold_starts(wanted, directory)
}

fn one_target(
    wanted: &Wanted<'_>,
    target: &str,
    servers: &[(String, Process, String)],
    directory: &Path,
) -> Result<()> {
    let (_, _, first) = servers.first().context("no server")?;
    let body = get(first, target)?;
    for (name, _, address) in servers {
        ensure!(body == get(address, target)?, "{target}: {name} answers otherwise");
    }
    let file = directory.join("body");
    std::fs::write(&file, &body)?;
    let (_bare, bare) = Process::telling_address(Command::new(sibling("bare")?).arg(&file))?;
    let mut all = vec![("bare hyper", bare.as_str(), Vec::new())];
    all.extend(servers.iter().map(|(name, _, address)| (name.as_str(), address.as_str(), Vec::new())));
    let exchange = Exchange::One(Request::get(target));
    for _ in 0..wanted.rounds {
        for (name, address, rounds) in &mut all {
            let load = Load {
                exchange: &exchange,
                connections: USUAL,
                seconds: wanted.seconds,
                keys: (1000, 100),
                seed: 0,
                failure: None,
            };
            let round = wrk::run(address, &load, directory)?;
            if let Some(why) = round.invalid() {
                anyhow::bail!("{target}, {name}: {why}");
            }
            rounds.push(round);
        }
    }
    let rates = |rounds: &[Round]| Spread::of(rounds.iter().map(Round::rate)).context("no round");
    let floor = rates(&all.first().context("no server")?.2)?.median;
    for (name, _, rounds) in &all {
        let rate = rates(rounds)?;
        let p99 = Spread::of(rounds.iter().map(|round| round.p99)).context("no round")?.median;
        println!(
            "| `{target}` | {} | {name} | {:.0} ({:.0} to {:.0}) | {:.2} | {p99:.2} |",
            body.len(),
            rate.median,
            rate.least,
            rate.most,
            rate.median / floor,
        );
    }
    Ok(())
}

/// From the start of the process to the whole first answer.
fn cold_starts(wanted: &Wanted<'_>, directory: &Path) -> Result<()> {
    let Some(target) = wanted.targets.first() else { return Ok(()) };
    println!("\n| cold start to the first answer, {STARTS} times | median ms | most ms |\n|---|--:|--:|");
    for engine in ENGINES {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let begin = Instant::now();
            let (_process, address) =
                serve(wanted.binary, engine, &directory.join(format!("{engine}.db")), None)?;
            get(&address, target)?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        let times = Spread::of(times).context("no start")?;
        println!("| {engine} | {:.1} | {:.1} |", times.median, times.most);
    }
    Ok(())
}

fn serve(binary: &Path, engine: &str, database: &Path, config: Option<&Path>) -> Result<(Process, String)> {
    let mut command = Command::new(binary);
    command.arg("serve").arg(database).args(["--engine", engine, "--listen", "127.0.0.1:0"]);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    Process::telling_address(&mut command)
}
