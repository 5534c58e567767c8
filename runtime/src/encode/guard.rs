//! Text that is not UTF-8, past interfaces that hand text over as UTF-8 alone: it crosses as bytes. Spin breaks its connection at
//! such text, and a libSQL server gives no answer.

use crate::value::ValueRef;

/// Wraps a page: text becomes bytes behind a `t`, and bytes move behind a `b`.
pub fn guard(sql: &str, columns: usize) -> String {
    let list = |item: fn(usize) -> String| (0..columns).map(item).collect::<Vec<_>>().join(", ");
    let names = list(|i| format!("c{i}"));
    let values = list(|i| {
        format!(
            "CASE typeof(c{i}) WHEN 'text' THEN CAST('t' || c{i} AS BLOB) WHEN 'blob' THEN CAST('b' || c{i} AS BLOB) \
             ELSE c{i} END"
        )
    });
    format!("WITH page ({names}) AS ({sql}) SELECT {values} FROM page")
}

/// The value that [`guard`] has marked.
pub fn unguard(value: ValueRef<'_>) -> ValueRef<'_> {
    match value {
        ValueRef::Blob([b't', text @ ..]) => ValueRef::Text(text),
        ValueRef::Blob([b'b', bytes @ ..]) => ValueRef::Blob(bytes),
        other => other,
    }
}
