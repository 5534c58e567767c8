//! A line of the log: of an event, with the request that it is about, as text or as JSON.

use std::fmt::{Debug, Write as _};

use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context as LayerContext, Layer};

use super::context;
use super::logging::{self, Format, OURS};

/// The longest text of a line, and of each of its fields, in bytes.
const LONGEST: usize = 16 << 10;

/// Makes lines of events.
pub struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        let metadata: &Metadata<'_> = event.metadata();
        let mut line = Line::of(*metadata.level(), metadata.target());
        event.record(&mut line);
        context::with(|context| {
            line.ids.push(("request_id", context.id().to_owned()));
            if let Some(trace) = &context.trace {
                line.ids.push(("trace_id", context::trace_id(trace)));
                line.ids.push(("span_id", context::span_id(trace)));
            }
        });
        logging::put(line);
    }
}

/// What is said.
pub struct Line {
    /// How bad it is.
    pub level: Level,
    /// Which part of the program says it.
    pub target: String,
    /// The sentence.
    pub message: String,
    /// What belongs to it.
    pub fields: Vec<(&'static str, Json)>,
    /// Which request it is about.
    pub ids: Vec<(&'static str, String)>,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => {
                let _ = write!(self.message, "{value:?}");
            }
            name => self.fields.push((name, Json::from(cut(format!("{value:?}"))))),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            // Of a line that is about a request, but made elsewhere.
            name @ ("request_id" | "trace_id" | "span_id") => self.ids.push((name, value.to_owned())),
            name => self.fields.push((name, Json::from(beginning(value)))),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push((field.name(), Json::from(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), Json::from(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), Json::from(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), Json::from(value)));
    }
}

impl Line {
    /// Nothing yet.
    pub fn of(level: Level, target: &str) -> Line {
        Line { level, target: target.to_owned(), message: String::new(), fields: Vec::new(), ids: Vec::new() }
    }

    /// With its end of line.
    pub fn written(mut self, format: Format) -> Vec<u8> {
        self.message = cut(self.message);
        let mut text = match format {
            Format::Human => self.human(),
            Format::Json => self.json(),
        };
        text.push('\n');
        text.into_bytes()
    }

    /// `sqlitrest: what there is to say status=200 request_id=7b1c`
    fn human(&self) -> String {
        let mut text = String::with_capacity(self.message.len() + 64);
        let is_ours = self.target.split("::").next() == Some(OURS);
        text.push_str(if is_ours { OURS } else { &self.target });
        text.push_str(": ");
        printable(&self.message, &mut text);
        for (name, value) in &self.fields {
            let _ = write!(text, " {name}=");
            match value.as_str().filter(|word| is_word(word)) {
                Some(word) => text.push_str(word),
                None => printable(&value.to_string(), &mut text),
            }
        }
        for (name, value) in self.ids.iter().filter(|(name, _)| *name != "span_id") {
            let _ = write!(text, " {name}={value}");
        }
        text
    }

    fn json(self) -> String {
        let mut object = Map::new();
        let mut put = |name: &str, value: Json| object.insert(name.to_owned(), value);
        put("timestamp", Json::from(format!("{:.6}", Timestamp::now())));
        put("level", Json::from(self.level.as_str()));
        put("target", Json::from(self.target));
        put("message", Json::from(self.message));
        for (name, value) in self.ids {
            put(name, Json::from(value));
        }
        for (name, value) in self.fields {
            put(name, value);
        }
        Json::Object(object).to_string()
    }
}

/// As much of a text as a line may have: it may be of who asks.
fn cut(mut text: String) -> String {
    text.truncate(beginning(&text).len());
    text
}

fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default()
}

/// Whether a value can stand without quotes.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:".contains(&b))
}

/// Writes text so that it stays on its line, and no terminal takes a part of it for a command.
fn printable(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if c.is_control() => {
                let _ = write!(out, "{}", c.escape_default());
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    fn line(message: &str) -> Line {
        let fields = vec![("status", Json::from(200))];
        let ids = vec![("request_id", "7b1c".to_owned())];
        Line { message: message.to_owned(), fields, ids, ..Line::of(Level::WARN, "sqlitrest::request") }
    }

    #[test]
    fn a_line_is_a_line() {
        let text = line("a\nb\u{1b}[31m\"c\"").human();
        assert_eq!(text, "sqlitrest: a b\\u{1b}[31m\"c\" status=200 request_id=7b1c");
        let foreign = Line { target: "hyper::proto".to_owned(), ..line("x") };
        assert_eq!(foreign.human(), "hyper::proto: x status=200 request_id=7b1c");
        let json: Json = serde_json::from_str(&line("a\nb").json()).expect("JSON");
        assert_eq!(json["message"], "a\nb");
        assert_eq!(json["status"], 200);
        assert_eq!((&json["level"], &json["request_id"]), (&Json::from("WARN"), &Json::from("7b1c")));
        assert!(json["timestamp"].as_str().is_some_and(|time| time.parse::<Timestamp>().is_ok()), "{json}");
        let long = line(&"ß".repeat(LONGEST)).written(Format::Json);
        assert!(long.len() < LONGEST + 300 && long.ends_with(b"\n"));
    }

    #[test]
    fn a_field_is_no_longer_than_a_line() {
        /// Takes the first event.
        struct Taken(Arc<Mutex<Option<Line>>>);
        impl<S: Subscriber> Layer<S> for Taken {
            fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
                let mut line = Line::of(*event.metadata().level(), event.metadata().target());
                event.record(&mut line);
                *self.0.lock().expect("unpoisoned") = Some(line);
            }
        }
        let taken: Arc<Mutex<Option<Line>>> = Arc::default();
        let lines = tracing_subscriber::registry().with(Taken(Arc::clone(&taken)));
        let long = "ß".repeat(LONGEST);
        tracing::subscriber::with_default(lines, || tracing::warn!(said = long.as_str(), shown = ?long, "x"));
        let line = taken.lock().expect("unpoisoned").take().expect("an event");
        let lengths: Vec<usize> =
            line.fields.iter().map(|(_, value)| value.as_str().expect("text").len()).collect();
        assert!(lengths.len() == 2 && lengths.iter().all(|length| *length <= LONGEST), "{lengths:?}");
        assert!(line.written(Format::Human).len() < 3 * LONGEST);
    }
}
