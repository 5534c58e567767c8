//! Numbers as text, in Prometheus' own format and in OpenMetrics.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::counters::Totals;

/// What tells samples of a metric apart: names and values.
pub type Labels = Vec<(&'static str, String)>;

/// A metric with all of its samples.
#[derive(Debug)]
pub struct Family {
    /// Its name, without its unit and what counters end with.
    pub name: &'static str,
    /// What it is, in one sentence without its full stop.
    pub help: &'static str,
    /// What it is measured in.
    pub unit: Option<Unit>,
    /// What it is.
    pub kind: MetricType,
    /// Its samples.
    pub samples: Vec<(Labels, Sample)>,
}

/// A value at this moment.
#[derive(Debug)]
pub enum Sample {
    /// A number that only grows.
    Count(u64),
    /// One that is not whole.
    Sum(f64),
    /// A number that goes up and down.
    Gauge(f64),
    /// A histogram, whose unit is so many of what it has counted.
    Histogram(Totals, f64),
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
    Prometheus,
    /// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
    OpenMetrics,
}

impl Format {
    /// What the `Accept` of a request asks for.
    pub fn of(accept: Option<&str>) -> Format {
        let asks = |part: &str| {
            let mut parts = part.split(';').map(str::trim);
            let is_it = parts.next() == Some("application/openmetrics-text");
            is_it && !parts.any(|parameter| matches!(parameter, "q=0" | "q=0.0"))
        };
        match accept.is_some_and(|accept| accept.split(',').any(asks)) {
            true => Format::OpenMetrics,
            false => Format::Prometheus,
        }
    }

    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => prometheus_text::CONTENT_TYPE,
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Family {
    /// A number that only grows.
    pub fn counter(name: &'static str, help: &'static str, samples: Vec<(Labels, u64)>) -> Family {
        let samples = samples.into_iter().map(|(labels, count)| (labels, Sample::Count(count))).collect();
        Family { name, help, unit: None, kind: MetricType::Counter, samples }
    }

    /// A number that goes up and down.
    pub fn gauge(name: &'static str, help: &'static str, samples: Vec<(Labels, f64)>) -> Family {
        let samples = samples.into_iter().map(|(labels, value)| (labels, Sample::Gauge(value))).collect();
        Family { name, help, unit: None, kind: MetricType::Gauge, samples }
    }

    /// Durations, counted in nanoseconds.
    pub fn durations(name: &'static str, help: &'static str, samples: Vec<(Labels, Totals)>) -> Family {
        Family::histogram(name, help, samples, 1e9).of(Unit::Seconds)
    }

    /// How often values were below bounds; `scale` of what was counted are one of its unit.
    pub fn histogram(
        name: &'static str,
        help: &'static str,
        samples: Vec<(Labels, Totals)>,
        scale: f64,
    ) -> Family {
        let samples =
            samples.into_iter().map(|(labels, totals)| (labels, Sample::Histogram(totals, scale))).collect();
        Family { name, help, unit: None, kind: MetricType::Histogram, samples }
    }

    /// The same in this unit.
    pub fn of(self, unit: Unit) -> Family {
        Family { unit: Some(unit), ..self }
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        if self.samples.is_empty() {
            return Ok(());
        }
        let mut metric = encoder.encode_descriptor(self.name, self.help, self.unit.as_ref(), self.kind)?;
        for (labels, sample) in &self.samples {
            match labels.as_slice() {
                [] => sample.encode(&mut metric)?,
                _ => sample.encode(&mut metric.encode_family(labels)?)?,
            }
        }
        Ok(())
    }
}

impl Sample {
    fn encode(&self, metric: &mut MetricEncoder<'_>) -> std::fmt::Result {
        match self {
            Sample::Count(count) => metric.encode_counter::<NoLabelSet, _, f64>(count, None),
            Sample::Sum(sum) => metric.encode_counter::<NoLabelSet, _, f64>(sum, None),
            Sample::Gauge(value) => metric.encode_gauge(value),
            Sample::Histogram(totals, scale) => {
                let bound = |bound: u64| if bound == u64::MAX { f64::INFINITY } else { bound as f64 / scale };
                let buckets: Vec<(f64, u64)> =
                    totals.buckets.iter().map(|(upper, count)| (bound(*upper), *count)).collect();
                let (sum, count) = (totals.sum as f64 / scale, totals.count());
                metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
            }
        }
    }
}

/// The metrics of one moment, in the form that the library asks for.
#[derive(Debug)]
struct Moment(Vec<Family>);

impl Collector for Moment {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|family| family.encode(&mut encoder))
    }
}

/// These metrics as text.
pub fn write(families: Vec<Family>, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Moment(families)));
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = match format {
        Format::Prometheus => prometheus_text::encode(&mut page, &registry),
        Format::OpenMetrics => text::encode(&mut page, &registry),
    };
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::counters::{DURATIONS, Histogram};

    fn families() -> Vec<Family> {
        let took = Histogram::new(DURATIONS.get(..2).expect("bounds"));
        took.record(200_000);
        let label = |value: &str| vec![("a", value.to_owned())];
        vec![
            Family::counter("things", "Things", vec![(label("x\"\\\ny"), 3)]),
            Family::gauge("size", "Size", vec![(Vec::new(), 1.5)]).of(Unit::Bytes),
            Family::durations("wait", "Waits", vec![(label("b"), took.totals())]),
            Family::counter("nothing", "Nothing", Vec::new()),
        ]
    }

    #[test]
    fn in_both_formats() {
        let text = write(families(), Format::Prometheus);
        for line in [
            "# TYPE things_total counter",
            "things_total{a=\"x\\\"\\\\\\ny\"} 3",
            "# TYPE size_bytes gauge",
            "size_bytes 1.5",
            "# TYPE wait_seconds histogram",
            "wait_seconds_sum{a=\"b\"} 0.0002",
            "wait_seconds_count{a=\"b\"} 1",
            "wait_seconds_bucket{a=\"b\",le=\"0.0001\"} 0",
            "wait_seconds_bucket{a=\"b\",le=\"0.00025\"} 1",
            "wait_seconds_bucket{a=\"b\",le=\"+Inf\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("nothing") && !text.contains("EOF"), "{text}");
        let text = write(families(), Format::OpenMetrics);
        assert!(text.contains("# UNIT wait_seconds seconds\n") && text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn what_is_asked_for() {
        let of = |accept| Format::of(Some(accept));
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert_eq!(of(prometheus), Format::OpenMetrics);
        assert_eq!(of("application/openmetrics-text"), Format::OpenMetrics);
        for plain in
            ["text/plain", "*/*", "", "application/openmetrics-text;q=0", "application/openmetrics-text-x"]
        {
            assert_eq!(of(plain), Format::Prometheus, "{plain}");
        }
        assert_eq!(Format::of(None), Format::Prometheus);
    }
}
