//! Every metric: its name, what it means, and where its numbers are. Names are those of OpenTelemetry's semantic conventions in
//! Prometheus' form (<https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>) where there are such.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::counters::{Counter, Histogram, SIZES, Totals};
use super::look::{Look, look_at};
use super::page::{Family, Labels, Sample};
use super::process;
use super::stats::{CHECKPOINTS, OPERATIONS, Stats};
use super::{errors, http, logging, names, records, slow};
use crate::engine::Engine;
use crate::serving::Serving;

/// All metrics at this moment.
pub async fn gather(serving: &Serving, engine: &Engine) -> Vec<Family> {
    let looks = look_at(engine.sources()).await;
    let mut families = requests();
    families.extend(connections(&looks));
    families.extend(statements(&looks));
    families.extend(writes(&looks));
    families.extend(files(&looks));
    families.extend(records::families(serving));
    families.extend(component(engine));
    families.extend(server(engine));
    families.extend(process::look().into_iter().flat_map(this_process));
    families
}

/// What is told of HTTP.
fn requests() -> Vec<Family> {
    let rows = http::rows();
    let mut sizes: BTreeMap<(u32, u8), (Totals, Totals)> = BTreeMap::new();
    let mut durations = Vec::new();
    let method = |method: u8| http::METHODS.get(usize::from(method)).copied().unwrap_or_default().to_owned();
    for (key, row) in &rows {
        let labels = vec![
            ("http_request_method", method(key.method)),
            ("http_route", names::route(key.route).to_string()),
            ("http_response_status_code", key.status.to_string()),
            ("role", names::role(key.role).to_string()),
        ];
        durations.push((labels, row.took.totals()));
        let none = || (Totals::none(SIZES), Totals::none(SIZES));
        let (received, sent) = sizes.entry((key.route, key.method)).or_insert_with(none);
        received.add(&row.received.totals());
        sent.add(&row.sent.totals());
    }
    let (mut received, mut sent) = (Vec::new(), Vec::new());
    for ((route, by), (of_requests, of_answers)) in sizes {
        let labels = || -> Labels {
            vec![("http_request_method", method(by)), ("http_route", names::route(route).to_string())]
        };
        received.push((labels(), of_requests));
        sent.push((labels(), of_answers));
    }
    let (open, taken) = http::connections();
    vec![
        Family::durations("http_server_request_duration", "Duration of HTTP server requests", durations),
        one(
            "http_server_active_requests",
            "Number of requests that are being answered",
            http::active() as f64,
        ),
        Family::histogram(
            "http_server_request_body_size",
            "Size of HTTP server request bodies",
            received,
            1.0,
        )
        .of(Unit::Bytes),
        Family::histogram("http_server_response_body_size", "Size of HTTP server response bodies", sent, 1.0)
            .of(Unit::Bytes),
        total(
            "sqlitrest_http_requests_abandoned",
            "Requests whose client left before the answer",
            http::abandoned(),
        ),
        one("sqlitrest_http_connections", "Connections that are open", open as f64),
        total("sqlitrest_http_connections_accepted", "Connections that were taken", taken),
    ]
}

/// What is told of the connections that read.
fn connections(looks: &[Look]) -> Vec<Family> {
    let pool = |look: &Look| -> Labels {
        vec![("db_client_connection_pool_name", "readers".to_owned()), ("db_namespace", look.name.clone())]
    };
    let gauge = |value: fn(&Look) -> f64| looks.iter().map(|look| (pool(look), value(look))).collect();
    let states = looks.iter().flat_map(|look| {
        let used = look.readers.saturating_sub(look.idle);
        [("idle", look.idle), ("used", used)].map(|(state, count)| {
            let mut labels = pool(look);
            labels.push(("db_client_connection_state", state.to_owned()));
            (labels, count as f64)
        })
    });
    let timeouts = looks.iter().map(|look| (pool(look), look.stats.in_vain.total()));
    let waits = looks.iter().map(|look| (pool(look), look.stats.waits.totals()));
    vec![
        Family::gauge(
            "db_client_connection_count",
            "The number of connections that are currently in state described by the state attribute",
            states.collect(),
        ),
        Family::gauge(
            "db_client_connection_max",
            "The maximum number of open connections allowed",
            gauge(|look| look.readers as f64),
        ),
        Family::gauge(
            "db_client_connection_pending_requests",
            "The number of current pending requests for an open connection",
            gauge(|look| look.waiting as f64),
        ),
        Family::counter(
            "db_client_connection_timeouts",
            "The number of connection timeouts that have occurred trying to obtain a connection from the pool",
            timeouts.collect(),
        ),
        Family::durations(
            "db_client_connection_wait_time",
            "The time it took to obtain an open connection from the pool",
            waits.collect(),
        ),
    ]
}

/// What is told of statements.
fn statements(looks: &[Look]) -> Vec<Family> {
    let durations = looks.iter().flat_map(|look| {
        let of = OPERATIONS.iter().zip(&look.stats.statements);
        of.map(|(operation, histogram)| (operation, histogram.totals()))
            .filter(|(_, totals)| totals.count() > 0)
            .map(|(operation, totals)| {
                let mut labels = vec![("db_system_name", "sqlite".to_owned())];
                labels.extend(of_database(look));
                labels.push(("db_operation_name", (*operation).to_owned()));
                (labels, totals)
            })
    });
    vec![
        Family::durations(
            "db_client_operation_duration",
            "Duration of database client operations",
            durations.collect(),
        ),
        counter(looks, "sqlitrest_statement_cache_hits", "Statements that were prepared already", |s| {
            &s.prepared
        }),
        counter(looks, "sqlitrest_statement_cache_misses", "Statements that had to be prepared", |s| {
            &s.unprepared
        }),
    ]
}

/// What is told of the one that writes.
fn writes(looks: &[Look]) -> Vec<Family> {
    vec![
        gauge(looks, "sqlitrest_writer_queue_length", "Requests that wait for their turn to write", |look| {
            Some(look.queue as f64)
        }),
        histogram(looks, "sqlitrest_writer_wait", "How long requests waited for their turn to write", |s| {
            &s.turns
        })
        .of(Unit::Seconds),
        histogram(
            looks,
            "sqlitrest_writer_transaction_duration",
            "Duration of transactions that write, with their commit",
            |s| &s.transactions,
        )
        .of(Unit::Seconds),
        Family::histogram(
            "sqlitrest_writer_group_size",
            "Requests that shared a transaction (group commit)",
            looks.iter().map(|look| (of_database(look), look.stats.groups.totals())).collect(),
            1.0,
        ),
        counter(
            looks,
            "sqlitrest_writer_repeated",
            "Writes that were done again, because another of their transaction failed",
            |s| &s.repeated,
        ),
    ]
}

/// What is told of files.
fn files(looks: &[Look]) -> Vec<Family> {
    let checkpoints = looks.iter().flat_map(|look| {
        CHECKPOINTS.iter().zip(&look.stats.checkpoints).flat_map(|(mode, (done, not_done))| {
            [("done", done), ("incomplete", not_done)].map(|(outcome, counter)| {
                let mut labels = of_database(look);
                labels.extend([("mode", mode.to_ascii_lowercase()), ("outcome", outcome.to_owned())]);
                (labels, counter.total())
            })
        })
    });
    vec![
        gauge(looks, "sqlitrest_database_up", "Whether the database file is the one that is open", |look| {
            look.is_there.map(|is_there| if is_there { 1.0 } else { 0.0 })
        }),
        gauge(looks, "sqlitrest_database_size", "Size of the database file", |look| {
            look.size.map(|n| n as f64)
        })
        .of(Unit::Bytes),
        gauge(looks, "sqlitrest_wal_size", "Size of the write-ahead log", |look| {
            look.log_size.map(|n| n as f64)
        })
        .of(Unit::Bytes),
        gauge(
            looks,
            "sqlitrest_wal_pages",
            "Pages of the write-ahead log that are not in the database file",
            |look| look.log_pages.map(|n| n as f64),
        ),
        Family::counter(
            "sqlitrest_wal_checkpoints",
            "How often the write-ahead log was moved into the database file",
            checkpoints.collect(),
        ),
        histogram(looks, "sqlitrest_wal_checkpoint_duration", "Duration of checkpoints", |s| {
            &s.checkpoint_times
        })
        .of(Unit::Seconds),
        gauge(looks, "sqlitrest_schema_version", "PRAGMA schema_version, as requests saw it last", |look| {
            look.schema.map(|(version, _)| version as f64)
        }),
        gauge(
            looks,
            "sqlitrest_schema_seen_timestamp",
            "When this version of the schema was first seen",
            |look| {
                let (_, since) = look.schema?;
                Some(since.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
            },
        )
        .of(Unit::Seconds),
        gauge(looks, "sqlitrest_disk_free", "Free space where the database is", |look| {
            look.free.map(|n| n as f64)
        })
        .of(Unit::Bytes),
    ]
}

/// What is told of the component, where it is the engine.
fn component(engine: &Engine) -> Vec<Family> {
    let Some(instances) = engine.instances() else { return Vec::new() };
    let label = |name: &'static str, value: &str| vec![(name, value.to_owned())];
    vec![
        Family::gauge(
            "sqlitrest_component_instances",
            "Instances of the component",
            vec![
                (label("state", "idle"), instances.idle as f64),
                (label("state", "used"), instances.used as f64),
            ],
        ),
        total("sqlitrest_component_instances_created", "Instances that were made", instances.made),
        Family::counter(
            "sqlitrest_component_instances_dropped",
            "Instances that were given up: after a trap, or because they had served long or grown large",
            vec![
                (label("reason", "trap"), instances.trapped),
                (label("reason", "replaced"), instances.replaced),
            ],
        ),
    ]
}

/// What is told of the server itself.
fn server(engine: &Engine) -> Vec<Family> {
    let about = vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("engine", engine.name().to_owned())];
    vec![
        total("sqlitrest_internal_errors", "Errors that clients are told nothing of", errors::count()),
        total("sqlitrest_slow_queries", "Statements that took longer than log.slow_query", slow::count()),
        total("sqlitrest_log_lines_dropped", "Lines of the log that were lost", logging::lost()),
        Family::gauge("sqlitrest_build_info", "The version of this server", vec![(about, 1.0)]),
    ]
}

fn this_process(process: process::Process) -> Vec<Family> {
    let cpu = vec![(Vec::new(), Sample::Sum(process.cpu_seconds))];
    let help = "Total user and system CPU time spent in seconds";
    let mut families = vec![
        Family {
            name: "process_cpu",
            help,
            unit: Some(Unit::Seconds),
            kind: MetricType::Counter,
            samples: cpu,
        },
        one("process_resident_memory", "Resident memory size in bytes", process.resident_bytes as f64)
            .of(Unit::Bytes),
        one("process_virtual_memory", "Virtual memory size in bytes", process.virtual_bytes as f64)
            .of(Unit::Bytes),
        one("process_open_fds", "Number of open file descriptors", process.open_fds as f64),
        one("process_threads", "Number of OS threads in the process", process.threads as f64),
        one(
            "process_start_time",
            "Start time of the process since unix epoch in seconds",
            process.start_seconds,
        )
        .of(Unit::Seconds),
    ];
    families.extend(
        process
            .max_fds
            .map(|most| one("process_max_fds", "Maximum number of open file descriptors", most as f64)),
    );
    families
}

fn of_database(look: &Look) -> Labels {
    vec![("db_namespace", look.name.clone())]
}

/// A number that goes up and down, without labels.
pub(super) fn one(name: &'static str, help: &'static str, value: f64) -> Family {
    Family::gauge(name, help, vec![(Vec::new(), value)])
}

/// A number that only grows, without labels.
pub(super) fn total(name: &'static str, help: &'static str, count: u64) -> Family {
    Family::counter(name, help, vec![(Vec::new(), count)])
}

fn gauge(looks: &[Look], name: &'static str, help: &'static str, value: fn(&Look) -> Option<f64>) -> Family {
    let samples = looks.iter().filter_map(|look| Some((of_database(look), value(look)?)));
    Family::gauge(name, help, samples.collect())
}

fn counter(looks: &[Look], name: &'static str, help: &'static str, of: fn(&Stats) -> &Counter) -> Family {
    Family::counter(
        name,
        help,
        looks.iter().map(|look| (of_database(look), of(&look.stats).total())).collect(),
    )
}

fn histogram(looks: &[Look], name: &'static str, help: &'static str, of: fn(&Stats) -> &Histogram) -> Family {
    let samples = looks.iter().map(|look| (of_database(look), of(&look.stats).totals()));
    Family::histogram(name, help, samples.collect(), 1e9)
}
