//! See `sqlitrest_fuzz::view`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sqlitrest_fuzz::view(data));
