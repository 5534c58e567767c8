//! What was found out about a credential, by a hash of it: bounded, and about the least recently used goes first.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A SHA-256 or HMAC-SHA-256 of the whole credential: no two have the same.
pub type Key = [u8; 32];

/// Entries in two halves: those used since the halves were last changed about, and those before.
#[derive(Debug)]
pub struct Cache<V> {
    young: HashMap<Key, V, BuildHasherDefault<FirstBytes>>,
    old: HashMap<Key, V, BuildHasherDefault<FirstBytes>>,
    /// The most entries of a half.
    half: usize,
    /// How often all was dropped.
    generation: u64,
}

impl<V: Clone> Cache<V> {
    /// With room for so many entries.
    pub fn new(most: usize) -> Self {
        Cache { young: HashMap::default(), old: HashMap::default(), half: (most / 2).max(1), generation: 0 }
    }

    /// What is known by this key.
    pub fn get(&mut self, key: &Key) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.put(*key, value.clone());
        Some(value)
    }

    /// Counts up when all is dropped. What was found out before must not come in after.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Remembers what was found out in this generation.
    pub fn insert(&mut self, generation: u64, key: Key, value: V) {
        if generation == self.generation {
            self.put(key, value);
        }
    }

    /// Forgets an entry.
    pub fn remove(&mut self, key: &Key) {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.generation += 1;
    }

    fn put(&mut self, key: Key, value: V) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

/// The key is a hash already: its first bytes are as good as any.
#[derive(Default, Debug)]
pub struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // The length of the array, which is written before it.
    fn write_usize(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn bounded_and_what_is_used_stays() {
        let mut cache = Cache::new(100);
        for number in 0..10_000 {
            cache.insert(0, key(number), number);
            assert_eq!(cache.get(&key(0)), Some(0), "{number}");
            assert!(cache.young.len() + cache.old.len() <= 101);
        }
        assert_eq!(cache.get(&key(5)), None);
        assert_eq!(cache.get(&key(9_999)), Some(9_999));
        cache.remove(&key(9_999));
        assert_eq!(cache.get(&key(9_999)), None);
    }

    #[test]
    fn what_was_found_out_before_all_was_dropped_stays_out() {
        let mut cache = Cache::new(4);
        let before = cache.generation();
        cache.clear();
        cache.insert(before, key(1), 1);
        assert_eq!(cache.get(&key(1)), None);
        cache.insert(cache.generation(), key(1), 2);
        assert_eq!(cache.get(&key(1)), Some(2));
    }
}
