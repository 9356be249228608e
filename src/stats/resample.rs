//! Sign flips and cluster bootstrap for many columns of counts at once.
//!
//! All models of a comparison share the signs (or the drawn clusters) of a draw, so the sums are
//! taken once per model instead of once per pair: the cost grows with the rows and the models,
//! not with the pairs. Everything is integer arithmetic in fixed chunks with a stream of their
//! own: the number of threads changes nothing.
use rayon::prelude::*;

use crate::seed::Draws;

/// Draws that share one stream (and one thread).
const CHUNK: usize = 1024;
/// Clusters that share one table of partial sums.
const BLOCK: usize = 8;

/// Sums of counts per draw, `[draws, width]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    width: usize,
    sums: Vec<i32>,
}

impl Sums {
    /// The sums of every draw, `[width]` each.
    pub fn rows(&self) -> impl Iterator<Item = &[i32]> {
        self.sums.chunks_exact(self.width.max(1))
    }

    fn of_chunks(
        width: usize,
        draws: usize,
        one: impl Fn(usize, usize) -> Vec<i32> + Sync,
    ) -> Self {
        let chunks = draws.div_ceil(CHUNK);
        let size = |chunk: usize| CHUNK.min(draws - chunk * CHUNK);
        let sums: Vec<Vec<i32>> =
            (0..chunks).into_par_iter().map(|chunk| one(chunk, size(chunk))).collect();
        Sums { width, sums: sums.concat() }
    }
}

/// For every draw one sign per cluster, and the signed sums of `counts` `[clusters, width]`. One
/// random word gives 64 signs; the sums over eight clusters come from a table of their 256
/// combinations.
pub fn flip_signs(counts: &[i32], width: usize, draws: usize, seed: u64) -> Sums {
    let total =
        (0..width).map(|j| counts.iter().skip(j).step_by(width).sum()).collect::<Vec<i32>>();
    Sums::of_chunks(width, draws, |chunk, size| {
        let mut stream = Draws::new(seed, "sign-flip", &chunk.to_string());
        let mut positive = vec![0; size * width];
        let mut words = vec![0; size];
        for word in counts.chunks(64 * width.max(1)) {
            words.iter_mut().for_each(|bits| *bits = stream.bits());
            for (shift, block) in word.chunks(BLOCK * width).enumerate() {
                let table = combinations(block, width);
                for (sums, bits) in positive.chunks_exact_mut(width).zip(&words) {
                    let byte = (bits >> (BLOCK * shift)) as usize & 0xff;
                    add(sums, &table[byte * width..][..width]);
                }
            }
        }
        for sums in positive.chunks_exact_mut(width.max(1)) {
            sums.iter_mut().zip(&total).for_each(|(s, t)| *s = 2 * *s - t);
        }
        positive
    })
}

/// The sums of every subset of up to eight rows, `[256, width]`; absent rows count as 0.
fn combinations(block: &[i32], width: usize) -> Vec<i32> {
    let mut table = vec![0; 256 * width];
    for (bit, row) in block.chunks_exact(width).enumerate() {
        let (done, fresh) = table.split_at_mut(width << bit);
        fresh[..width << bit].copy_from_slice(done);
        fresh[..width << bit].chunks_exact_mut(width).for_each(|sums| add(sums, row));
    }
    let filled = (block.len() / width.max(1)).min(BLOCK);
    for bit in filled..BLOCK {
        let (done, fresh) = table.split_at_mut(width << bit);
        fresh[..width << bit].copy_from_slice(done);
    }
    table
}

/// For every draw as many clusters as there are, with replacement, and the sums of their
/// `counts` `[clusters, width]`. Field and Welsh (2007), Journal of the Royal Statistical Society
/// B 69:369-390.
pub fn bootstrap(counts: &[i32], width: usize, draws: usize, seed: u64) -> Sums {
    let clusters = counts.len() / width.max(1);
    Sums::of_chunks(width, draws, |chunk, size| {
        let mut stream = Draws::new(seed, "bootstrap", &chunk.to_string());
        let mut sums = vec![0; size * width];
        for row in sums.chunks_exact_mut(width.max(1)) {
            for _ in 0..clusters {
                let drawn = stream.below(clusters as u64) as usize;
                add(row, &counts[drawn * width..][..width]);
            }
        }
        sums
    })
}

/// Wrapping, so that it becomes vector instructions; sums are bounded by the number of rows.
fn add(sums: &mut [i32], row: &[i32]) {
    sums.iter_mut().zip(row).for_each(|(s, x)| *s = s.wrapping_add(*x));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_sums_are_sums_with_signs() {
        // Powers of two identify the signs from the sum: every pattern of 5 clusters occurs, and
        // the second column, a copy, always has the same signs.
        let counts: Vec<i32> = (0..5).flat_map(|c| [1 << c, 3 << c]).collect();
        let sums = flip_signs(&counts, 2, 3000, 1);
        let mut seen = [0; 32];
        for row in sums.rows() {
            assert_eq!(row[1], 3 * row[0]);
            seen[(row[0] + 31) as usize / 2] += 1;
        }
        assert!(seen.iter().all(|&n| (50..150).contains(&n)), "{seen:?}");
    }

    #[test]
    fn signs_of_distant_clusters_are_independent() {
        // 200 clusters: of 20,000 products of the signs of clusters i and j the mean is near 0.
        let sums: Vec<Vec<i32>> = {
            let mut counts = vec![0; 200 * 3];
            for (column, cluster) in [0, 70, 199].into_iter().enumerate() {
                counts[cluster * 3 + column] = 1;
            }
            flip_signs(&counts, 3, 20_000, 9).rows().map(<[i32]>::to_vec).collect()
        };
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            let mean = sums.iter().map(|s| s[i] * s[j]).sum::<i32>() as f64 / 20_000.0;
            assert!(mean.abs() < 0.03, "{mean}");
        }
    }

    #[test]
    fn bootstrap_draws_as_many_clusters_as_there_are() {
        let counts: Vec<i32> = (0..10).flat_map(|c| [1, c]).collect();
        let sums = bootstrap(&counts, 2, 4000, 3);
        assert!(sums.rows().all(|row| row[0] == 10));
        let mean = sums.rows().map(|row| f64::from(row[1])).sum::<f64>() / 4000.0;
        assert!((mean - 45.0).abs() < 0.6, "{mean}");
        assert_eq!(sums, bootstrap(&counts, 2, 4000, 3));
    }

    #[test]
    fn nothing_in_nothing_out() {
        assert_eq!(flip_signs(&[], 3, 10, 1).rows().count(), 10);
        assert!(bootstrap(&[], 3, 10, 1).rows().all(|row| row == [0, 0, 0]));
        assert_eq!(flip_signs(&[1], 1, 0, 1).rows().count(), 0);
    }
}
