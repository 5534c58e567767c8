//! The chart: for each workload a group of bars, requests a second of every subject, as parts of the fastest server. The bars
//! of yardsticks that are faster still are cut.

use std::fmt::Write as _;

use crate::measure::Cell;
use crate::servers::Kind;
use crate::statistics::Spread;
use crate::workloads::{USUAL, WRITERS, Workload};

const WIDTH: usize = 860;
/// Where names end and bars begin.
const LEFT: usize = 220;
/// The longest bar.
const LONGEST: f64 = 400.0;
/// Where bars are cut, as a part of the longest of a server.
const CUT: f64 = 1.15;
const BAR: usize = 15;
const STEP: usize = 19;
const TITLE: usize = 34;

const STYLE: &str = "
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 13px }
  .note { fill: #59636e }
  .yardstick { fill: #afb8c1 } .ours { fill: #0969da } .peer { fill: #bf8700 }
  .line { stroke: #d1d9e0 }
  .ground { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .note { fill: #9198a1 } .ground { fill: #0d1117 } .line { stroke: #3d444d }
    .yardstick { fill: #656c76 } .ours { fill: #4493f8 } .peer { fill: #d29922 }
  }
";

/// The chart of the figures at the usual number of connections, inserts of one also at that of the durable ones.
pub fn chart(cells: &[Cell], commit: &str) -> String {
    let mut body = String::new();
    let mut y = 50;
    for workload in Workload::ALL {
        let connections = if workload == Workload::InsertOne { WRITERS } else { USUAL };
        let mut bars: Vec<(&Cell, Spread)> = cells
            .iter()
            .filter(|cell| cell.workload == workload && cell.connections == connections)
            .filter_map(|cell| Some((cell, cell.spread(|round| round.rate())?)))
            .collect();
        bars.sort_by(|(_, a), (_, b)| b.median.total_cmp(&a.median));
        if !bars.is_empty() {
            y = group(&mut body, y, &format!("{}, {connections} connections", workload.title()), &bars);
        }
    }
    let height = y + 10;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>Requests a second</title>\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         <text class=\"title\" x=\"16\" y=\"26\">Requests a second, commit {}</text>\n{}{body}</svg>\n",
        escaped(commit),
        legend(),
    )
}

fn legend() -> String {
    let mut legend = String::new();
    for (index, (class, text)) in
        [("ours", "SQLitREST"), ("peer", "others"), ("yardstick", "yardsticks")].iter().enumerate()
    {
        let x = 560 + index * 100;
        let _ = writeln!(
            legend,
            "<rect class=\"{class}\" x=\"{x}\" y=\"16\" width=\"12\" height=\"12\" rx=\"2\"/>\
             <text x=\"{}\" y=\"26\">{text}</text>",
            x + 18
        );
    }
    legend
}

/// Draws one group and gives the place of the next.
fn group(body: &mut String, mut y: usize, title: &str, bars: &[(&Cell, Spread)]) -> usize {
    let all = |of_servers: bool| {
        let meant = bars.iter().filter(|(cell, _)| !of_servers || cell.kind != Kind::Yardstick);
        meant.map(|(_, rate)| rate.most).fold(0.0, f64::max)
    };
    let most = if all(true) > 0.0 { all(true) } else { all(false).max(1.0) };
    let best_peer = bars.iter().find(|(cell, _)| cell.kind == Kind::Peer).map(|(_, rate)| rate.median);
    let _ = writeln!(
        body,
        "<line class=\"line\" x1=\"16\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/>\
         <text class=\"title\" x=\"16\" y=\"{}\">{}</text>",
        WIDTH - 16,
        y + 22,
        escaped(title)
    );
    y += TITLE;
    for (cell, rate) in bars {
        let class = match cell.kind {
            Kind::Yardstick => "yardstick",
            Kind::Ours => "ours",
            Kind::Peer => "peer",
        };
        let length = |value: f64| LEFT as f64 + (value / most).min(CUT) * LONGEST;
        let end = length(rate.median);
        let (least, greatest) = (length(rate.least), length(rate.most));
        let middle = y + BAR / 2;
        let against = match best_peer {
            Some(best) if cell.kind == Kind::Ours => format!(", {:.1} × the best peer", rate.median / best),
            _ if rate.median / most > CUT => " (cut)".to_owned(),
            _ => String::new(),
        };
        let _ = writeln!(
            body,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>\
             <line class=\"line\" x1=\"{least:.1}\" x2=\"{greatest:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>\
             <text class=\"note\" x=\"{:.1}\" y=\"{}\">{:.0}{against}</text>",
            LEFT - 8,
            y + 12,
            escaped(&cell.subject),
            end - LEFT as f64,
            end.max(greatest) + 8.0,
            y + 12,
            rate.median
        );
        y += STEP;
    }
    y + 12
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
