//! Medians with their spread.

use serde::Serialize;

/// The median of several measurements, the least and the most of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one; of an even number what lies between the two.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of these measurements; none of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (lower, upper) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
        Some(Spread { median: lower.midpoint(*upper), least: *sorted.first()?, most: *sorted.last()? })
    }

    /// Of the quotients of measurements that were made one after the other, round by round.
    pub fn of_ratios(over: &[f64], under: &[f64]) -> Option<Spread> {
        Spread::of(
            over.iter().zip(under).filter(|(_, under)| **under > 0.0).map(|(over, under)| over / under),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_ends() {
        let spread = Spread::of([3.0, 1.0, 2.0]).expect("three values");
        assert_eq!((spread.median, spread.least, spread.most), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of([4.0, 2.0]).map(|spread| spread.median), Some(3.0));
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of_ratios(&[4.0, 9.0], &[2.0, 3.0]).map(|s| s.least), Some(2.0));
    }
}
