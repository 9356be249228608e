//! Every random draw of the crate that must be repeatable: one ChaCha8 stream per seed, purpose
//! and id, so that adding or removing a clip never changes another clip's draw.
//!
//! No generator's convenience method is used, since their algorithms change between versions:
//! the few that we need are written here, once, over the raw 64-bit words, and tested with
//! golden values.
use rand_chacha::{
    rand_core::{Rng, SeedableRng},
    ChaCha8Rng,
};
use sha2::{Digest, Sha256};

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// The stream of `seed` for a `purpose` (what is drawn, such as `frame`) and an `id` (for
    /// what, such as a sample_id): ChaCha8 keyed by
    /// SHA-256(`ncaers1`, 0, seed as u64 little-endian, 0, purpose, 0, id).
    pub fn new(seed: u64, purpose: &str, id: &str) -> Self {
        let mut key = Sha256::new();
        key.update(b"ncaers1\0");
        key.update(seed.to_le_bytes());
        key.update(b"\0");
        key.update(purpose.as_bytes());
        key.update(b"\0");
        key.update(id.as_bytes());
        Draws(ChaCha8Rng::from_seed(key.finalize().into()))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// An integer in `0..n`, exactly uniform: words at or above the largest multiple of `n` are
    /// rejected. 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        let rest = (u64::MAX % n + 1) % n;
        loop {
            let word = self.bits();
            if word <= u64::MAX - rest {
                return word % n;
            }
        }
    }

    /// A number in `[0, 1)`: the upper 53 bits of a word times 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A number in `[lo, hi)`.
    pub fn between(&mut self, lo: f64, hi: f64) -> f64 {
        lo + (hi - lo) * self.uniform()
    }

    /// A standard normal number (Box and Muller 1958, the cosine branch).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Fisher-Yates from the end, in place.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i as u64 + 1) as usize;
            items.swap(i, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of an independent ChaCha8 and SHA-256 in another language.
    #[test]
    fn golden_values() {
        let mut frame = Draws::new(1, "frame", "train/Anger/0001/000");
        let words = [frame.bits(), frame.bits(), frame.bits()];
        assert_eq!(words, [0x846b_2e17_88f5_0aa8, 0x25a8_f28f_ecca_e4b3, 0xc28e_f367_06b8_a0dd]);
        let mut split = Draws::new(42, "split", "");
        let digits: Vec<_> = (0..10).map(|_| split.below(10)).collect();
        assert_eq!(digits, [1, 2, 6, 9, 2, 7, 2, 7, 8, 2]);
        // Half of all words are rejected here; taking them modulo n would give other numbers.
        let mut split = Draws::new(42, "split", "");
        let large: Vec<_> = (0..3).map(|_| split.below((1 << 63) + 1)).collect();
        assert_eq!(large, [8439483387979471991, 5262278886296573619, 2625910433016208067]);
        assert_eq!(Draws::new(42, "split", "").uniform(), 0.4575053111951334);
    }

    #[test]
    fn streams_differ_in_seed_purpose_and_id() {
        let first = |seed, purpose, id| Draws::new(seed, purpose, id).bits();
        let base = first(1, "frame", "a");
        assert_eq!(base, first(1, "frame", "a"));
        for other in [first(2, "frame", "a"), first(1, "split", "a"), first(1, "frame", "b")] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn below_is_in_range_and_reaches_every_value() {
        let mut draws = Draws::new(3, "test", "");
        let mut seen = [0u32; 7];
        for _ in 0..7000 {
            seen[draws.below(7) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
        assert_eq!(draws.below(1), 0);
        assert_eq!(draws.below(0), 0);
    }

    #[test]
    fn shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..50).collect();
        Draws::new(1, "test", "").shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
