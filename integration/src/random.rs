//! Chance that can be repeated.

/// Numbers that look random and are the same for the same seed: Marsaglia's xorshift generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of `seed`.
    pub fn new(seed: u64) -> Self {
        // Mixed, so that small seeds begin with large numbers too; zero would give zeroes only.
        Self((seed ^ 0x9e37_79b9_7f4a_7c15).max(1))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
