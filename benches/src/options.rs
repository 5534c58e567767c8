//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::measure::Extent;
use crate::workloads::Workload;

/// Measures SQLitREST beside its yardsticks and its peers.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
pub struct Options {
    /// One round of one second each: whether everything works, not how fast it is
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    pub quick: bool,
    /// How often each measurement is made
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// How long each takes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Only those servers whose names contain one of these (`native`, `bare`, `in process`, `PostgREST`, …)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these workloads
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    workload: Vec<Workload>,
    /// Nobody else's servers
    #[arg(long)]
    pub no_peers: bool,
    /// Only the comparison: no starts, no growth, no streams
    #[arg(long)]
    pub no_figures: bool,
    /// Growth up to 10⁷ rows (about 1 GB of disk for each engine)
    #[arg(long)]
    pub large: bool,
    /// Another binary of our server than target/release/sqlitrest
    #[arg(long, value_name = "PATH")]
    pub server: Option<PathBuf>,
    /// Where the results go, by default benches/results
    #[arg(long, value_name = "DIRECTORY")]
    pub results: Option<PathBuf>,
    /// What the results are called
    #[arg(long, default_value = "latest")]
    pub name: String,
    /// One's own database: both engines with GETs of these targets, nothing else
    #[arg(long, value_name = "DB", requires = "targets")]
    pub database: Option<PathBuf>,
    /// A configuration with which each engine is measured, too
    #[arg(long, value_name = "FILE", requires = "database")]
    pub config: Option<PathBuf>,
    /// For example '/Album?AlbumId=eq.5'
    #[arg(value_name = "TARGET", requires = "database")]
    pub targets: Vec<String>,
}

impl Options {
    /// What is measured, and how long.
    pub fn extent(&self) -> Extent {
        let (rounds, seconds) = if self.quick { (1, 1) } else { (self.rounds, self.seconds) };
        let is_wanted = |w: &Workload| self.workload.is_empty() || self.workload.contains(w);
        Extent {
            rounds: usize::try_from(rounds).unwrap_or(usize::MAX),
            seconds,
            workloads: Workload::ALL.into_iter().filter(is_wanted).collect(),
        }
    }

    /// Whether the server of this name takes part.
    pub fn wants(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.only.is_empty() || self.only.iter().any(|only| name.contains(&only.to_lowercase()))
    }
}
