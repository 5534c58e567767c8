//! See `sqlitrest_fuzz::query_string`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sqlitrest_fuzz::query_string(data));
