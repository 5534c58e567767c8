//! Faults: the process killed, the disk full, the file gone, locked or replaced. Each is answered clearly, nothing that was
//! acknowledged is lost, and the server recovers by itself.
//!
//! A few rounds of each run normally, and many where `SQLITREST_NIGHTLY` is set.

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod disk;
mod kill;
mod lock;
#[cfg(unix)]
mod read_only;
#[cfg(unix)]
mod replaced;

/// How many rounds: more where `SQLITREST_NIGHTLY` is set.
fn rounds(normally: u64, nightly: u64) -> u64 {
    if std::env::var_os("SQLITREST_NIGHTLY").is_some() { nightly } else { normally }
}

/// Numbers that look random, the same for each seed (SplitMix64).
struct Dice(u64);

impl Dice {
    /// One of `0..sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}
