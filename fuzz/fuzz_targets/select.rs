//! See `sqlitrest_fuzz::select`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sqlitrest_fuzz::select(data));
