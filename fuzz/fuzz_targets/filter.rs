//! See `sqlitrest_fuzz::filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sqlitrest_fuzz::filter(data));
