//! Measures, in one run and interleaved, requests a second and p99 of both engines beside a bare hyper server that returns
//! the same bytes; then the cold start of each. See `README.md` beside this crate.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

const ROUNDS: usize = 5;
const CONNECTIONS: &str = "32";
const SECONDS: &str = "5s";
const STARTS: usize = 20;

/// A server under test, ended by its process id.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1).peekable();
    let mut config = None;
    if args.next_if_eq("--config").is_some() {
        config = Some(PathBuf::from(args.next().context(USAGE)?));
    }
    let database = args.next().context(USAGE)?;
    let workloads: Vec<String> = args.collect();
    ensure!(!workloads.is_empty(), USAGE);
    ensure!(Command::new("wrk").arg("-v").output().is_ok(), "wrk is not installed: apt-get install wrk");
    let directory = std::env::temp_dir().join(format!("sqlitrest-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let result = measure(Path::new(&database), config.as_deref(), &workloads, &directory);
    std::fs::remove_dir_all(&directory)?;
    result
}

const USAGE: &str = "usage: cargo xtask bench [--config FILE] DATABASE TARGET…   (for example chinook.db '/Album?AlbumId=eq.5')";

fn measure(database: &Path, config: Option<&Path>, workloads: &[String], directory: &Path) -> Result<()> {
    let mut servers = Vec::new();
    for engine in ["native", "component"] {
        let copy = directory.join(format!("{engine}.db"));
        std::fs::copy(database, &copy).with_context(|| format!("cannot copy {}", database.display()))?;
        servers.push((engine.to_owned(), sqlitrest(&copy, engine, None)?));
        if config.is_some() {
            servers.push((format!("{engine}, configured"), sqlitrest(&copy, engine, config)?));
        }
    }
    println!("wrk -t2 -c{CONNECTIONS} -d{SECONDS}, {ROUNDS} rounds interleaved, median (least to most)\n");
    println!("| target | bytes | server | requests/s | of bare | p99 ms |");
    println!("|---|--:|---|--:|--:|--:|");
    for target in workloads {
        let body = get(&servers[0].1.address, target)?;
        for (name, server) in &servers {
            ensure!(body == get(&server.address, target)?, "{target}: {name} answers otherwise");
        }
        let file = directory.join("body");
        std::fs::write(&file, &body)?;
        let bare = start(Command::new(sibling("bare")?).arg(&file))?;
        let all: Vec<(&str, &str)> = std::iter::once(("bare hyper", bare.address.as_str()))
            .chain(servers.iter().map(|(name, server)| (name.as_str(), server.address.as_str())))
            .collect();
        let figures = rounds(&all, target)?;
        let floor = median(&figures["bare hyper"].0);
        for (name, _) in &all {
            let (rates, p99) = &figures[name];
            println!(
                "| `{target}` | {} | {name} | {:.0} ({:.0} to {:.0}) | {:.2} | {:.2} |",
                body.len(),
                median(rates),
                rates.iter().copied().fold(f64::MAX, f64::min),
                rates.iter().copied().fold(0.0, f64::max),
                median(rates) / floor,
                median(p99)
            );
        }
    }
    drop(servers);
    cold_starts(directory, &workloads[0])
}

type Figures<'a> = BTreeMap<&'a str, (Vec<f64>, Vec<f64>)>;

fn rounds<'a>(servers: &[(&'a str, &str)], target: &str) -> Result<Figures<'a>> {
    let mut figures = Figures::new();
    for _ in 0..ROUNDS {
        for (name, address) in servers {
            let (rate, p99) = wrk(address, target)?;
            let entry = figures.entry(name).or_default();
            entry.0.push(rate);
            entry.1.push(p99);
        }
    }
    Ok(figures)
}

/// From the start of the process to the whole first answer.
fn cold_starts(directory: &Path, target: &str) -> Result<()> {
    println!("\n| cold start to the first answer, {STARTS} times | median ms | most ms |\n|---|--:|--:|");
    for engine in ["native", "component"] {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let begin = Instant::now();
            let server = sqlitrest(&directory.join(format!("{engine}.db")), engine, None)?;
            get(&server.address, target)?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        let most = times.iter().copied().fold(0.0, f64::max);
        println!("| {engine} | {:.1} | {most:.1} |", median(&times));
    }
    Ok(())
}

fn sqlitrest(database: &Path, engine: &str, config: Option<&Path>) -> Result<Server> {
    let mut command = Command::new(sibling("sqlitrest")?);
    command.arg("serve").arg(database).args(["--engine", engine, "--listen", "127.0.0.1:0"]);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    start(&mut command)
}

/// A binary that stands beside this one.
fn sibling(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{} is not there: cargo xtask bench builds it", path.display());
    Ok(path)
}

/// Starts a server and waits for the line with its address, on either stream.
fn start(command: &mut Command) -> Result<Server> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
    for line in lines.by_ref() {
        if let Some((_, rest)) = line?.split_once("http://") {
            let address = rest.split([',', ' ']).next().unwrap_or_default().to_owned();
            // What else it prints must not fill the pipe.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(Server { child, address });
        }
    }
    bail!("the server ended before it said its address")
}

/// The body of a GET.
fn get(address: &str, target: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = answer.windows(4).position(|w| w == b"\r\n\r\n").context("no end of the headers")?;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{target}: {}", String::from_utf8_lossy(&answer));
    Ok(answer.split_off(text + 4))
}

/// Requests a second, and the 99th percentile in milliseconds.
fn wrk(address: &str, target: &str) -> Result<(f64, f64)> {
    let output = Command::new("wrk")
        .args(["-t2", &format!("-c{CONNECTIONS}"), &format!("-d{SECONDS}"), "--latency"])
        .arg(format!("http://{address}{target}"))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let after = |label: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(label))?;
        line.split_whitespace().last().map(str::to_owned)
    };
    ensure!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{target}: {text}");
    let rate = after("Requests/sec:").and_then(|rate| rate.parse().ok());
    let p99 = after("99%").and_then(|time| milliseconds(&time));
    Ok((rate.context("wrk gave no rate")?, p99.context("wrk gave no p99")?))
}

/// `1.23ms`, `456.00us` or `1.20s`
fn milliseconds(text: &str) -> Option<f64> {
    let (number, factor) = if let Some(number) = text.strip_suffix("us") {
        (number, 1e-3)
    } else if let Some(number) = text.strip_suffix("ms") {
        (number, 1.0)
    } else {
        (text.strip_suffix('s')?, 1e3)
    };
    number.parse::<f64>().ok().map(|n| n * factor)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
