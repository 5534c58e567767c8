//! What the fuzz targets call: each takes any bytes and must not panic. The tests replay the kept corpus through the same
//! functions.

#[path = "../../tests/src/double.rs"]
#[allow(dead_code)]
mod double;
mod served;
mod steps;
mod view;

use std::path::{Path, PathBuf};

use sqlitrest_runtime::field::Field;
use sqlitrest_runtime::filter::{Connective, parse_filter, parse_logic};
use sqlitrest_runtime::http::Request;
use sqlitrest_runtime::order::parse_order;
use sqlitrest_runtime::payload::Payload;
use sqlitrest_runtime::query_params::{QueryParams, Unfiltered};
use sqlitrest_runtime::select::{parse_columns, parse_select};

pub use served::request;
pub use view::view;

/// A fuzz target: what it is called, and what it does with its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("query_string", query_string),
    ("select", select),
    ("filter", filter),
    ("body", body),
    ("view", view),
    ("request", request),
];

/// The kept inputs of a target.
pub fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// A query string by itself, and in a GET on a table and on a function.
pub fn query_string(data: &[u8]) {
    let Ok(query) = std::str::from_utf8(data) else { return };
    for unfiltered in [Unfiltered::Refused, Unfiltered::Arguments] {
        let _ = QueryParams::parse(query, unfiltered);
    }
    for path in ["/tracks", "/rpc/add"] {
        let target = format!("{path}?{query}");
        let request = Request { method: "GET", target: &target, headers: &[], body: b"" };
        let _ = served::parse(&request);
    }
}

/// `select`, `columns` and `order`.
pub fn select(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = parse_select(text);
    let _ = parse_columns("columns parameter", text);
    let _ = parse_order(text);
}

/// One filter, and logic trees.
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = parse_filter(Field { name: "c".to_owned(), path: Vec::new() }, text);
    let _ = parse_logic(Connective::Or, false, text);
    let _ = sqlitrest_runtime::array::parse_array(text);
}

/// A body as JSON, CSV and a form, with all its columns and with some.
pub fn body(data: &[u8]) {
    let some = ["a".to_owned(), "id".to_owned(), "name".to_owned()];
    for columns in [None, Some(some.as_slice())] {
        for read in [Payload::parse, Payload::parse_csv, Payload::parse_form] {
            let Ok(payload) = read(data, columns) else { continue };
            let width = payload.columns.len();
            assert!(payload.rows.iter().all(|row| row.len() == width), "{payload:?}");
        }
    }
}
