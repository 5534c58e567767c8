//! The load: `wrk` with a script made for a workload, and what it says. Every server is sent its requests by the same script, so
//! that making them costs the same.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::workloads::{Exchange, PLACEHOLDERS, Request};

/// From one key to the next: no multiple of 2 or 5, so that all keys of 10ⁿ come by, far apart.
const STRIDE: u64 = 61_803;

/// How long a request may take before wrk counts it as lost.
const TIMEOUT: &str = "20s";

/// What wrk's two threads begin with, far apart from each other.
const APART: u64 = 50_021;

/// More turns than a thread ever takes: its fresh numbers begin with a multiple of this.
const MANY_TURNS: u64 = 10_000_000;

/// What is sent, and for how long.
pub struct Load<'a> {
    /// The requests.
    pub exchange: &'a Exchange,
    /// Connections.
    pub connections: usize,
    /// Seconds.
    pub seconds: u64,
    /// Tracks and albums that there are.
    pub keys: (u64, u64),
    /// Which key comes first.
    pub seed: u64,
    /// A text which only the body of a failure has, where the status does not tell it.
    pub failure: Option<&'static str>,
}

/// One measurement.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Round {
    /// Requests answered.
    pub requests: u64,
    /// In so many microseconds.
    pub micros: u64,
    /// Bytes that came in, headers included.
    pub bytes: u64,
    /// Milliseconds within which half of the requests were answered.
    pub p50: f64,
    /// 95 in 100.
    pub p95: f64,
    /// 99 in 100.
    pub p99: f64,
    /// Answers that were not 2xx, or failures in their bodies.
    pub refused: u64,
    /// Connections that failed and requests that were not answered in time.
    pub lost: u64,
}

impl Round {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 * 1e6 / (self.micros.max(1) as f64)
    }

    /// Why it counts for nothing.
    pub fn invalid(&self) -> Option<String> {
        let problems = [(self.refused, "not 2xx"), (self.lost, "lost")];
        let told: Vec<String> =
            problems.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if !told.is_empty() {
            return Some(format!("{} of {}", told.join(", "), self.requests));
        }
        (self.requests == 0).then(|| "no answer".to_owned())
    }
}

/// Measures once. The script is written to `directory`.
///
/// # Errors
/// wrk cannot be started or says nothing.
pub fn run(address: &str, load: &Load<'_>, directory: &Path) -> Result<Round> {
    let script = directory.join(format!("load-{}.lua", address.replace([':', '.'], "-")));
    std::fs::write(&script, lua(address, load))?;
    let threads = load.connections.min(2);
    let output = Command::new("wrk")
        .args([&format!("-t{threads}"), &format!("-c{}", load.connections), &format!("-d{}s", load.seconds)])
        .args(["--timeout", TIMEOUT, "-s"])
        .arg(&script)
        .arg(format!("http://{address}/"))
        .output()
        .context("cannot start wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "wrk: {}{errors}", output.status);
    serde_json::from_str(found.with_context(|| format!("wrk gave no figures: {text}{errors}"))?)
        .context("wrk's figures")
}

/// The script: makes requests, and tells the figures as JSON at the end.
fn lua(address: &str, load: &Load<'_>) -> String {
    let requests = load.exchange.requests();
    let mut script = format!(
        "local threads = {{}}\n\
         function setup(thread)\n  thread:set('first', {seed} + #threads * {APART})\n  \
         thread:set('fresh', ({seed} * 2 + #threads + 1) * {MANY_TURNS})\n  table.insert(threads, thread)\nend\n\
         function init()\n  n = first\n  turn = 0\n  bad = 0\nend\n",
        seed = load.seed,
    );
    for (index, request) in requests.iter().enumerate() {
        script.push_str(&maker(index, request, address));
    }
    let (tracks, albums) = load.keys;
    script.push_str(&format!(
        "function request()\n  n = (n + {STRIDE}) % {tracks}\n  local k = n + 1\n  local a = n % {albums} + 1\n  fresh = fresh + 1\n"
    ));
    if requests.len() > 1 {
        script.push_str(
            "  turn = turn + 1\n  if turn == 10 then\n    turn = 0\n    return make1(k, a)\n  end\n",
        );
    }
    script.push_str("  return make0(k, a)\nend\n");
    if let Some(failure) = load.failure {
        script.push_str(&format!(
            "function response(status, headers, body)\n  if body:find({}, 1, true) then bad = bad + 1 end\nend\n",
            quoted(failure)
        ));
    }
    script.push_str(DONE);
    script
}

const DONE: &str = r#"function done(summary, latency, requests)
  local e = summary.errors
  local refused = e.status
  for _, thread in ipairs(threads) do refused = refused + thread:get('bad') end
  io.write(string.format(
    'RESULT {"requests":%d,"micros":%d,"bytes":%d,"p50":%.3f,"p95":%.3f,"p99":%.3f,"refused":%d,"lost":%d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50) / 1000, latency:percentile(95) / 1000,
    latency:percentile(99) / 1000, refused, e.connect + e.read + e.write + e.timeout))
end
"#;

/// A function that makes one request; what does not depend on the key is made once.
fn maker(index: usize, request: &Request, address: &str) -> String {
    let mut fields = format!("Host: {address}\r\n");
    for (name, value) in &request.headers {
        fields.push_str(&format!("{name}: {value}\r\n"));
    }
    let start = format!("{} {} HTTP/1.1\r\n{fields}", request.method, request.target);
    if request.body.is_empty() {
        return format!(
            "local function make{index}(k, a)\n  return {}\nend\n",
            parts(&format!("{start}\r\n"))
        );
    }
    format!(
        "local function make{index}(k, a)\n  local body = {}\n  return {} .. #body .. {} .. body\nend\n",
        parts(&request.body),
        parts(&format!("{start}Content-Length: ")),
        quoted("\r\n\r\n"),
    )
}

/// A template as an expression of Lua.
fn parts(template: &str) -> String {
    let mut rest = template;
    let mut parts = Vec::new();
    while let Some((at, placeholder, value)) = PLACEHOLDERS
        .iter()
        .filter_map(|(p, value)| Some((rest.find(p)?, p, value)))
        .min_by_key(|(at, ..)| *at)
    {
        let (before, after) = rest.split_at(at);
        if !before.is_empty() {
            parts.push(quoted(before));
        }
        parts.push((*value).to_owned());
        rest = &after[placeholder.len()..];
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(quoted(rest));
    }
    parts.join(" .. ")
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_lua() {
        assert_eq!(parts("GET /t?id=eq.{key}\r\n"), r#""GET /t?id=eq." .. k .. "\r\n""#);
        assert_eq!(parts("{album7}"), "(a + 1000000)");
        assert_eq!(parts(r#"{"k":"v"}"#), r#""{\"k\":\"v\"}""#);
    }

    #[test]
    fn what_is_invalid_says_why() {
        let round = Round { requests: 10, refused: 2, ..Round::default() };
        assert_eq!(round.invalid().as_deref(), Some("2 not 2xx of 10"));
        assert_eq!(Round { requests: 10, ..Round::default() }.invalid(), None);
    }
}
