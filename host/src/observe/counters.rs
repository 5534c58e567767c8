//! Numbers that many threads add to at once. Each has a place for every processor, on a cache line of its own, so that adding costs a few
//! nanoseconds however many do; who reads them adds the places up.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

/// The most places of a number.
const MOST_PLACES: usize = 16;

/// The most bounds that a histogram can have.
const MOST_BOUNDS: usize = 18;

/// Bounds of durations, in nanoseconds: 100 µs to 10 s. The field's own begin at 5 ms, below which nearly all is that is done here.
pub const DURATIONS: &[u64] = &[
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Bounds of sizes, in bytes.
pub const SIZES: &[u64] =
    &[256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 16 << 20, 256 << 20];

/// Bounds of how many do something together.
pub const COUNTS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256];

/// A number that only grows.
#[derive(Debug)]
pub struct Counter(Box<[Place<AtomicU64>]>);

/// How often values were below each of some bounds, and their sum.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    places: Box<[Place<Cells>]>,
}

#[derive(Debug, Default)]
struct Cells {
    /// Not yet summed up; the last are those beyond every bound.
    counts: [AtomicU64; MOST_BOUNDS + 1],
    sum: AtomicU64,
}

/// What a histogram holds at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// The bounds, and how many values are in the bucket below each and above the one before; beyond the last bound `u64::MAX`.
    pub buckets: Vec<(u64, u64)>,
    /// The sum of all values.
    pub sum: u64,
}

/// On cache lines of its own; processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place<T>(T);

fn places<T: Default>() -> Box<[Place<T>]> {
    static COUNT: LazyLock<usize> =
        LazyLock::new(|| available_parallelism().map_or(1, usize::from).next_power_of_two().min(MOST_PLACES));
    (0..*COUNT).map(|_| Place::default()).collect()
}

/// The place that this thread adds to.
fn mine<T>(places: &[Place<T>]) -> Option<&T> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // There is a power of two of them.
    places.get(MINE.with(|mine| *mine) & (places.len().wrapping_sub(1))).map(|Place(place)| place)
}

impl Default for Counter {
    fn default() -> Self {
        Counter(places())
    }
}

impl Counter {
    /// Adds so many.
    pub fn add(&self, count: u64) {
        if let Some(place) = mine(&self.0) {
            place.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// All that was added.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|Place(place)| place.load(Ordering::Relaxed)).sum()
    }
}

impl Histogram {
    /// With these bounds, in order; those beyond [`MOST_BOUNDS`] are left out.
    pub fn new(bounds: &'static [u64]) -> Histogram {
        Histogram { bounds: bounds.get(..MOST_BOUNDS).unwrap_or(bounds), places: places() }
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        if let Some(cells) = mine(&self.places)
            && let Some(count) = cells.counts.get(at)
        {
            count.fetch_add(1, Ordering::Relaxed);
            cells.sum.fetch_add(value, Ordering::Relaxed);
        }
    }

    /// Counts a duration, in nanoseconds.
    pub fn took(&self, duration: Duration) {
        self.record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// All that was counted.
    pub fn totals(&self) -> Totals {
        let bounds = self.bounds.iter().copied().chain([u64::MAX]);
        let count = |at: usize| {
            let counts = self.places.iter().filter_map(|Place(cells)| cells.counts.get(at));
            counts.map(|count| count.load(Ordering::Relaxed)).sum()
        };
        Totals {
            buckets: bounds.enumerate().map(|(at, bound)| (bound, count(at))).collect(),
            sum: self.places.iter().map(|Place(cells)| cells.sum.load(Ordering::Relaxed)).sum(),
        }
    }
}

impl Totals {
    /// Nothing yet.
    pub fn none(bounds: &'static [u64]) -> Totals {
        Totals { buckets: bounds.iter().copied().chain([u64::MAX]).map(|bound| (bound, 0)).collect(), sum: 0 }
    }

    /// Adds those of another with the same bounds.
    pub fn add(&mut self, other: &Totals) {
        for ((_, count), (_, more)) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
        self.sum += other.sum;
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_threads() {
        let (counter, histogram) = (Counter::default(), Histogram::new(COUNTS));
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for value in 1..=1_000 {
                        counter.add(2);
                        histogram.record(value);
                    }
                });
            }
        });
        assert_eq!(counter.total(), 40_000);
        let totals = histogram.totals();
        assert_eq!((totals.count(), totals.sum), (20_000, 20 * 500_500));
        let expected = [1, 1, 2, 4, 8, 16, 32, 64, 128, 744].map(|count| count * 20);
        assert_eq!(totals.buckets.iter().map(|(_, count)| *count).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_bound_is_in_the_bucket_below_it() {
        let histogram = Histogram::new(DURATIONS);
        for nanos in [0, 100_000, 100_001, 20_000_000_000] {
            histogram.took(Duration::from_nanos(nanos));
        }
        let totals = histogram.totals();
        assert_eq!(totals.buckets[..2], [(100_000, 2), (250_000, 1)]);
        assert_eq!(totals.buckets.last(), Some(&(u64::MAX, 1)));
        let mut sum = Totals::none(DURATIONS);
        sum.add(&totals);
        sum.add(&totals);
        assert_eq!((sum.count(), sum.sum), (8, totals.sum * 2));
    }
}
