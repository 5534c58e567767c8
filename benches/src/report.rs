//! The results as JSON and as a page of Markdown, ratios first.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::figures::{Contention, Growth, Size, Start, Streamed, Unrelated};
use crate::headline::{Figure, Reach, figures};
use crate::machine::Machine;
use crate::measure::{Cell, Extent};
use crate::servers::{Kind, Subject};
use crate::statistics::Spread;
use crate::svg;
use crate::workloads::Workload;

/// Cores that may be busy with something else.
const QUIET: f64 = 0.2;

/// One that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its version.
    pub version: String,
    /// What a write survives.
    pub durability: String,
    /// The command that started it.
    pub command: String,
    /// Resident memory before the load, in KiB.
    pub resident_idle: Option<u64>,
    /// The same after it.
    pub resident_loaded: Option<u64>,
}

impl Told {
    /// Of a subject, paths told without these directories. Its memory is looked at at other times.
    pub fn of(subject: &Subject, directories: &[&Path]) -> Told {
        let mut command = subject.command();
        for directory in directories {
            command = command.replace(&format!("{}/", directory.display()), "");
        }
        Told {
            name: subject.name.clone(),
            kind: subject.kind,
            version: subject.version.clone(),
            durability: subject.durability.clone(),
            command,
            resident_idle: None,
            resident_loaded: None,
        }
    }
}

/// Everything that a run found out.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Where.
    pub machine: Machine,
    /// What was measured.
    pub extent: Extent,
    /// The most cores that were busy with something else before a workload.
    pub busy_cores: f64,
    /// Tracks of the database.
    pub tracks: u64,
    /// The ratios.
    pub headline: Vec<Figure>,
    /// Who took part.
    pub subjects: Vec<Told>,
    /// Who did not, and why.
    pub missing: Vec<(String, String)>,
    /// The measurements.
    pub cells: Vec<Cell>,
    /// Starts.
    pub starts: Vec<Start>,
    /// By key over more rows and tables.
    pub growth: Vec<Growth>,
    /// By key beside policies on other tables.
    pub unrelated: Vec<Unrelated>,
    /// All rows in one answer.
    pub streams: Vec<Streamed>,
    /// Readings beside writes.
    pub contention: Vec<Contention>,
    /// Sizes of files.
    pub sizes: Vec<Size>,
}

impl Results {
    /// Works the ratios out and writes `NAME.json`, `NAME.md` and `NAME.svg`; gives the page.
    ///
    /// # Errors
    /// Of the files.
    pub fn write(mut self, directory: &Path, name: &str) -> Result<String> {
        self.headline = figures(&self);
        fs::create_dir_all(directory)?;
        let page = self.markdown(name);
        let write = |ending: &str, text: &str| {
            let path = directory.join(format!("{name}.{ending}"));
            fs::write(&path, text).with_context(|| path.display().to_string())
        };
        write("json", &(serde_json::to_string_pretty(&self)? + "\n"))?;
        write("md", &page)?;
        write("svg", &svg::chart(&self.cells, &self.machine.commit))?;
        Ok(page)
    }

    fn markdown(&self, name: &str) -> String {
        let mut page = String::from("# Benchmark\n\n");
        let machine = &self.machine;
        let _ = writeln!(
            page,
            "Commit {}, {} UTC, {} ({} cores, {} MiB), {}, {}, {}. {} tracks; {} rounds of {} s, interleaved; \
             median (least to most).\n\n![requests a second]({name}.svg)\n\n## Ratios\n",
            machine.commit,
            machine.date,
            machine.processor,
            machine.cores,
            machine.memory,
            machine.kernel,
            machine.compiler,
            machine.wrk,
            self.tracks,
            self.extent.rounds,
            self.extent.seconds
        );
        if self.busy_cores > QUIET {
            let _ = writeln!(
                page,
                "**The machine was not quiet: up to {:.1} cores were busy with something else.**\n",
                self.busy_cores
            );
        }
        page.push_str("| what | measured | to reach | |\n|---|--:|--:|---|\n");
        for figure in &self.headline {
            page.push_str(&row(figure));
        }
        page.push_str("\n## Who took part\n\n| | version | durability | idle | loaded | command |\n|---|---|---|--:|--:|---|\n");
        for told in &self.subjects {
            let mib = |kib: Option<u64>| {
                kib.map_or("—".to_owned(), |kib| format!("{:.0} MiB", kib as f64 / 1024.0))
            };
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} | `{}` |",
                told.name,
                told.version,
                told.durability,
                mib(told.resident_idle),
                mib(told.resident_loaded),
                told.command
            );
        }
        for (peer, why) in &self.missing {
            let _ = writeln!(page, "\n{peer} did not take part: {}.", why.replace('\n', " "));
        }
        for &workload in &self.extent.workloads {
            self.workload(workload, &mut page);
        }
        self.growth(&mut page);
        page
    }

    fn workload(&self, workload: Workload, page: &mut String) {
        let _ = writeln!(page, "\n## {}\n", capital(workload.title()));
        page.push_str("| connections | | requests/s | p50 ms | p95 ms | p99 ms | bytes |\n|--:|---|--:|--:|--:|--:|--:|\n");
        for &connections in workload.connections() {
            let is_meant = |c: &&Cell| c.workload == workload && c.connections == connections;
            for cell in self.cells.iter().filter(is_meant) {
                if let Some(why) = &cell.invalid {
                    let why = why.replace(['\n', '|'], " ");
                    let _ = writeln!(page, "| {connections} | {} | invalid: {why} | | | | |", cell.subject);
                    continue;
                }
                let rate = cell.spread(|round| round.rate());
                let _ = writeln!(
                    page,
                    "| {connections} | {} | {} | {} | {} | {} | {} |",
                    cell.subject,
                    rate.map_or("—".to_owned(), |rate| spread(rate, 0)),
                    number(cell.spread(|round| round.p50)),
                    number(cell.spread(|round| round.p95)),
                    number(cell.spread(|round| round.p99)),
                    cell.bytes.map_or("—".to_owned(), |bytes| bytes.to_string())
                );
            }
        }
        let silent: Vec<&str> = self
            .subjects
            .iter()
            .filter(|told| !self.cells.iter().any(|c| c.workload == workload && c.subject == told.name))
            .map(|told| told.name.as_str())
            .collect();
        if !silent.is_empty() {
            let _ = writeln!(page, "\n— (has no such request): {}", silent.join(", "));
        }
    }

    fn growth(&self, page: &mut String) {
        if self.growth.is_empty() {
            return;
        }
        page.push_str("\n## Growth: by key, one connection\n\n| engine | rows | more tables | p50 ms | requests/s |\n|---|--:|--:|--:|--:|\n");
        for g in &self.growth {
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} |",
                g.engine,
                g.rows,
                g.tables,
                spread(g.p50, 3),
                spread(g.rate, 0)
            );
        }
    }
}

fn row(figure: &Figure) -> String {
    let places = match figure.unit {
        "×" => 2,
        _ => 1,
    };
    let value = figure
        .value
        .map_or("not measured".to_owned(), |value| format!("**{}** {}", spread(value, places), figure.unit));
    let (sign, bound) = match figure.to_reach {
        Reach::AtLeast(bound) => ("≥", bound),
        Reach::AtMost(bound) => ("≤", bound),
    };
    let mark = match figure.is_reached() {
        Some(true) => "✓",
        Some(false) => "✗",
        None => "",
    };
    format!("| {} | {value} | {sign} {bound} {} {mark} | {} |\n", figure.what, figure.unit, figure.note)
}

/// `5.20 (5.01 to 5.55)`, the ends left out where there is nothing between them.
fn spread(value: Spread, places: usize) -> String {
    let Spread { median, least, most } = value;
    if least == most {
        return format!("{median:.places$}");
    }
    format!("{median:.places$} ({least:.places$} to {most:.places$})")
}

fn number(value: Option<Spread>) -> String {
    value.map_or("—".to_owned(), |value| format!("{:.2}", value.median))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
