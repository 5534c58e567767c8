//! The newest of what there was, as data in memory.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// The newest of what there was, at most so many.
pub struct Recent<T> {
    most: usize,
    items: Mutex<VecDeque<T>>,
}

impl<T: Clone> Recent<T> {
    /// None yet.
    pub const fn new(most: usize) -> Recent<T> {
        Recent { most, items: Mutex::new(VecDeque::new()) }
    }

    /// One more; the oldest goes where there are too many.
    pub fn put(&self, item: T) {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if items.len() >= self.most {
            items.pop_front();
        }
        items.push_back(item);
    }

    /// All of them, the newest first.
    pub fn all(&self) -> Vec<T> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let recent = Recent::new(3);
        (0..5).for_each(|number| recent.put(number));
        assert_eq!(recent.all(), [4, 3, 2]);
    }
}
