//! See `sqlitrest_fuzz::body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sqlitrest_fuzz::body(data));
