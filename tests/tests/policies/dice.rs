//! Choices out of a list of numbers. What proptest shrinks are the numbers: with none left every choice is the first one,
//! so that the simplest must stand first.

/// A list of numbers, used up one by one.
pub struct Dice<'a> {
    numbers: std::slice::Iter<'a, u16>,
}

impl<'a> Dice<'a> {
    pub fn new(numbers: &'a [u16]) -> Self {
        Dice { numbers: numbers.iter() }
    }

    fn next(&mut self) -> usize {
        self.numbers.next().copied().unwrap_or(0).into()
    }

    /// One of `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.next() * n.max(1) / (usize::from(u16::MAX) + 1)
    }

    /// One of `low..=high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high + 1 - low)
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent.min(100)
    }

    /// One of these.
    pub fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// Some of these, in their order.
    pub fn some<T: Clone>(&mut self, of: &[T], percent: usize) -> Vec<T> {
        of.iter().filter(|_| self.chance(percent)).cloned().collect()
    }
}
