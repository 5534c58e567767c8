//! See `sqlitrest_fuzz::request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sqlitrest_fuzz::request(data));
