//! A hasher for small keys of integers.
//!
//! The one of the standard library withstands keys chosen by an attacker and takes about 15 ns for
//! an integer, several times in each decision. The keys in here are numbers of jobs, which the
//! gateway counts up itself, and what the kernel says of pipes.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map that is asked in every decision.
pub(super) type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<IntegerHasher>>;

/// Multiplies and mixes, word by word.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IntegerHasher(u64);

/// Odd, and without a pattern in its bits: 2⁶⁴ divided by the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for IntegerHasher {
    /// Arrays of integers come as the bytes that they are in memory.
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for &word in words {
            self.write_u64(u64::from_ne_bytes(word));
        }
        for &byte in rest {
            self.write_u64(byte.into());
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(26) ^ number).wrapping_mul(FACTOR);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    /// The table takes its buckets from the low bits, a product is well mixed in its high ones.
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
