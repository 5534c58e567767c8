//! The ratios that stand first: each of measurements of one run, round by round, beside what is to be reached.

use serde::Serialize;

use crate::measure::Cell;
use crate::report::Results;
use crate::servers::{BARE, Kind};
use crate::statistics::Spread;
use crate::workloads::{USUAL, WRITERS, Workload};

/// The loop over prepared statements, as it is called.
pub const STATEMENTS: &str = "in process: statements";

/// The loop through the core.
pub const CORE: &str = "in process: core";

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What it is of.
    pub what: String,
    /// The figure; none where it was not measured.
    pub value: Option<Spread>,
    /// `×`, `%`, `ms` or `MiB`.
    pub unit: &'static str,
    /// What is to be reached.
    pub to_reach: Reach,
    /// What it was compared with, where that is not said.
    pub note: String,
}

/// What a figure is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Figure {
    /// Whether the median is there.
    pub fn is_reached(&self) -> Option<bool> {
        let median = self.value?.median;
        Some(match self.to_reach {
            Reach::AtLeast(bound) => median >= bound,
            Reach::AtMost(bound) => median <= bound,
        })
    }
}

/// All of them.
pub fn figures(results: &Results) -> Vec<Figure> {
    let cells = Cells(&results.cells);
    let mut figures = speed(&cells);
    figures.extend(writes(&cells));
    figures.extend(results.contention.iter().map(|c| {
        Figure {
            what: format!("p99 of by key while the writer is saturated / alone, {}", c.engine),
            value: Spread::of_ratios(&c.saturated, &c.alone),
            unit: "×",
            to_reach: Reach::AtMost(3.0),
            note: Spread::of(c.inserts.iter().copied())
                .map(|rate| format!("{:.0} inserts/s beside", rate.median))
                .unwrap_or_default(),
        }
    }));
    figures.extend(policies(&cells));
    figures.extend(results.unrelated.iter().map(|u| Figure {
        what: format!("by key, cost of {} policies on other tables, {}", u.policies, u.engine),
        value: cost(&u.without, &u.with),
        unit: "%",
        to_reach: Reach::AtMost(5.0),
        note: String::new(),
    }));
    figures.extend(streams(results));
    figures.extend(starts(results));
    figures.extend(memory(results));
    figures.extend(growth(results));
    figures
}

struct Cells<'a>(&'a [Cell]);

impl Cells<'_> {
    fn rates(&self, subject: &str, workload: Workload, connections: usize) -> Vec<f64> {
        let is_it =
            |c: &&Cell| c.subject == subject && c.workload == workload && c.connections == connections;
        self.0.iter().find(is_it).map(Cell::rates).unwrap_or_default()
    }

    /// The peers, the one with the highest median first.
    fn peers(&self, workload: Workload, connections: usize) -> Vec<&Cell> {
        let median = |cell: &Cell| Spread::of(cell.rates()).map(|spread| spread.median).unwrap_or_default();
        let is_meant =
            |c: &&Cell| c.kind == Kind::Peer && c.workload == workload && c.connections == connections;
        let mut peers: Vec<&Cell> =
            self.0.iter().filter(is_meant).filter(|cell| !cell.rates().is_empty()).collect();
        peers.sort_by(|a, b| median(b).total_cmp(&median(a)));
        peers
    }

    fn ratio(&self, what: &str, over: &str, under: &str, workload: Workload, to_reach: f64) -> Figure {
        let value =
            Spread::of_ratios(&self.rates(over, workload, USUAL), &self.rates(under, workload, USUAL));
        Figure {
            what: what.to_owned(),
            value,
            unit: "×",
            to_reach: Reach::AtLeast(to_reach),
            note: String::new(),
        }
    }

    fn of_best_peer(&self, workload: Workload, connections: usize, what: &str, to_reach: f64) -> Figure {
        let ours = self.rates("native", workload, connections);
        let ratios: Vec<(&str, Spread)> = self
            .peers(workload, connections)
            .into_iter()
            .filter_map(|peer| Some((peer.subject.as_str(), Spread::of_ratios(&ours, &peer.rates())?)))
            .collect();
        let told: Vec<String> =
            ratios.iter().map(|(peer, ratio)| format!("{peer} {:.2}", ratio.median)).collect();
        Figure {
            what: what.to_owned(),
            value: ratios.first().map(|(_, ratio)| *ratio),
            unit: "×",
            to_reach: Reach::AtLeast(to_reach),
            note: told.join(", "),
        }
    }
}

fn speed(cells: &Cells<'_>) -> Vec<Figure> {
    use Workload::{ByKey, Embed, List};
    vec![
        cells.ratio("by key, native / bare hyper", "native", BARE, ByKey, 0.5),
        cells.ratio("list of 100, native / the loop in process", "native", STATEMENTS, List, 0.6),
        cells.ratio("by key, component / native", "component", "native", ByKey, 0.85),
        cells.ratio("list of 100, component / native", "component", "native", List, 0.9),
        cells.ratio("two levels below 100, component / native", "component", "native", Embed, 0.9),
        cells.of_best_peer(ByKey, USUAL, "by key, native / best peer", 5.0),
        cells.of_best_peer(List, USUAL, "list of 100, native / best peer", 3.0),
        cells.of_best_peer(Embed, USUAL, "two levels below 100, native / best peer", 3.0),
    ]
}

fn writes(cells: &Cells<'_>) -> Vec<Figure> {
    let ours = cells.rates("native", Workload::InsertOne, WRITERS);
    let each = cells.rates(STATEMENTS, Workload::InsertOne, WRITERS);
    vec![
        Figure {
            what: format!("durable inserts, {WRITERS} connections, native / one transaction each in process"),
            value: Spread::of_ratios(&ours, &each),
            unit: "×",
            to_reach: Reach::AtLeast(10.0),
            note: String::new(),
        },
        cells.of_best_peer(
            Workload::InsertOne,
            WRITERS,
            &format!("durable inserts, {WRITERS} connections, native / best peer at its own durability"),
            1.0,
        ),
    ]
}

fn policies(cells: &Cells<'_>) -> Vec<Figure> {
    let of = |engine: &str| {
        let open = cells.rates(engine, Workload::ByKey, USUAL);
        let held = cells.rates(&format!("{engine}, JWT and 3 policies"), Workload::ByKey, USUAL);
        Figure {
            what: format!("by key, cost of a JWT and three policies, {engine}"),
            value: cost(&open, &held),
            unit: "%",
            to_reach: Reach::AtMost(25.0),
            note: String::new(),
        }
    };
    vec![of("native"), of("component")]
}

/// How much less there is with something than without it, in percent.
fn cost(without: &[f64], with: &[f64]) -> Option<Spread> {
    Spread::of(without.iter().zip(with).map(|(without, with)| (1.0 - with / without) * 100.0))
}

fn single(value: f64) -> Option<Spread> {
    Spread::of([value])
}

fn streams(results: &Results) -> Vec<Figure> {
    let mut figures = Vec::new();
    for stream in &results.streams {
        let note = format!("status {}, {:.0} MB", stream.status, stream.bytes as f64 / 1e6);
        figures.push(Figure {
            what: format!("{} rows in one answer, memory above idle, {}", stream.rows, stream.engine),
            value: single(stream.above_idle as f64 / 1024.0),
            unit: "MiB",
            to_reach: Reach::AtMost(64.0),
            note: note.clone(),
        });
        figures.push(Figure {
            what: format!("{} rows in one answer, to the first byte, {}", stream.rows, stream.engine),
            value: Some(stream.first_byte),
            unit: "ms",
            to_reach: Reach::AtMost(20.0),
            note,
        });
    }
    figures
}

fn starts(results: &Results) -> Vec<Figure> {
    let figure = |start: &crate::figures::Start| Figure {
        what: match start.tables {
            0 => format!("start to first answer, {}", start.engine),
            tables => format!("start to first answer with {tables} tables, {}", start.engine),
        },
        value: Some(start.millis),
        unit: "ms",
        to_reach: Reach::AtMost(match (start.tables, start.engine) {
            (0, "native") => 30.0,
            (0, _) => 80.0,
            _ => 500.0,
        }),
        note: String::new(),
    };
    results.starts.iter().map(figure).collect()
}

fn memory(results: &Results) -> Vec<Figure> {
    let mib = |what: String, value: Option<f64>, bound: f64| Figure {
        what,
        value: value.and_then(single),
        unit: "MiB",
        to_reach: Reach::AtMost(bound),
        note: String::new(),
    };
    let mut figures = Vec::new();
    for subject in results.subjects.iter().filter(|s| crate::figures::ENGINES.contains(&s.name.as_str())) {
        let idle = subject.resident_idle.map(|kib| kib as f64 / 1024.0);
        figures.push(mib(format!("resident memory idle, {}", subject.name), idle, 40.0));
    }
    for size in &results.sizes {
        let bound = if size.file.ends_with(".wasm") { 3.0 } else { 40.0 };
        figures.push(mib(format!("size of `{}`", size.file), Some(size.bytes as f64 / 1048576.0), bound));
    }
    figures
}

/// The slowest of a series of databases against the smallest.
fn growth(results: &Results) -> Vec<Figure> {
    let mut figures = Vec::new();
    for engine in crate::figures::ENGINES {
        for (what, by_rows) in [("rows", true), ("tables", false)] {
            let series: Vec<_> = results
                .growth
                .iter()
                .filter(|g| g.engine == engine && (g.tables == 0) == by_rows)
                .map(|g| (if by_rows { g.rows } else { g.tables }, g.p50.median))
                .collect();
            let (Some(first), Some(last)) = (series.first(), series.last()) else { continue };
            let slowest = series.iter().map(|(_, p50)| *p50).fold(0.0, f64::max);
            figures.push(Figure {
                what: format!(
                    "by key, slowest p50 from {} to {} {what} / the smallest, {engine}",
                    first.0, last.0
                ),
                value: single(slowest / first.1.max(1e-6)),
                unit: "×",
                to_reach: Reach::AtMost(1.25),
                note: "one connection".to_owned(),
            });
        }
    }
    figures
}
