//! A hash for maps keyed by our own ids.

use std::hash::{BuildHasherDefault, Hasher};

/// Hashes ids that are sequential or random already: one multiplication (Fibonacci hashing).
/// Not for keys that somebody else chooses: they could be made to collide.
#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        self.write_u64(u64::from(id));
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0.rotate_left(5) ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u128(&mut self, id: u128) {
        self.write_u64((id as u64) ^ ((id >> 64) as u64));
    }
}

/// Builds [`IdHasher`]s: the third parameter of a `HashMap` keyed by ids.
pub type IdHash = BuildHasherDefault<IdHasher>;
