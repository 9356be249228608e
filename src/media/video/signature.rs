//! A clip's signature: a 64-bit perceptual hash of a frame every 0.5 s.
//!
//! The hash is the sign pattern of the 64 lowest spatial frequencies of a 32 x 32 thumbnail
//! (DCT-II, zigzag order, without the mean) against their median, after Zauner, "Implementation
//! and benchmarking of perceptual image hash functions" (2010). It survives re-encoding, scaling
//! and any change of brightness and contrast, and is computed in whole numbers, so that it is the
//! same everywhere.
use std::sync::LazyLock;

/// Seconds between two hashes.
const GRID_SECONDS: f64 = 0.5;

/// Edge of the thumbnail.
pub(super) const EDGE: usize = 32;

/// Mean grey levels, rows from the top, in 1/16 of a level.
pub(super) type Thumbnail = [u16; EDGE * EDGE];

/// Stands for a frame that says nothing: flat, or not convertible. No picture hashes to it, since
/// at least one frequency is below the median of 64 that differ.
pub(super) const NO_HASH: u64 = 0;

/// Span of grey, in 1/16 of a level, below which a picture counts as flat.
const FLAT: u16 = 12 * 16;

/// Collects hashes on the grid: frame round half up(k * 0.5 s * fps) for k = 0, 1, ...
pub(super) struct Signature {
    fps: f64,
    hashes: Vec<u64>,
}

impl Signature {
    pub(super) fn new(fps: f64) -> Self {
        Signature { fps, hashes: Vec::new() }
    }

    /// Whether frame `index` is the next on the grid.
    pub(super) fn wants(&self, index: u64) -> bool {
        let at = self.hashes.len() as f64 * GRID_SECONDS * self.fps;
        index >= (at + 0.5).floor() as u64
    }

    pub(super) fn push(&mut self, hash: u64) {
        self.hashes.push(hash);
    }

    pub(super) fn hashes(self) -> Vec<u64> {
        self.hashes
    }
}

/// Frequencies that are looked at per axis; the 64 lowest lie within.
const LOW: usize = 11;

/// cos(pi (2x + 1) u / 64) in 1/4096, rounded, which hides the last digits of any libm.
static COSINES: LazyLock<[[i64; EDGE]; LOW]> = LazyLock::new(|| {
    std::array::from_fn(|u| {
        std::array::from_fn(|x| {
            let angle = std::f64::consts::PI * ((2 * x + 1) * u) as f64 / (2 * EDGE) as f64;
            (angle.cos() * 4096.0).round() as i64
        })
    })
});

/// The hash of a thumbnail; [`NO_HASH`] for a flat one.
pub(super) fn hash(thumbnail: &Thumbnail) -> u64 {
    let (least, most) = thumbnail.iter().fold((u16::MAX, 0), |(a, b), &p| (a.min(p), b.max(p)));
    if most - least < FLAT {
        return NO_HASH;
    }
    let levels = frequencies(thumbnail);
    let mut sorted = levels;
    sorted.sort_unstable();
    // The upper median: 32 bits at most are set, and at least one unless half are equal.
    let median = sorted[31];
    let bits = levels.iter().rev().fold(0, |bits, &level| bits << 1 | u64::from(level > median));
    bits.max(1)
}

/// The 64 lowest frequencies in zigzag order, the mean left out.
fn frequencies(thumbnail: &Thumbnail) -> [i64; 64] {
    let mut rows = [[0i64; EDGE]; LOW];
    for (y, line) in thumbnail.chunks_exact(EDGE).enumerate() {
        for (u, cosines) in COSINES.iter().enumerate() {
            rows[u][y] = line.iter().zip(cosines).map(|(&p, c)| i64::from(p) * c).sum();
        }
    }
    let at = |u: usize, v: usize| -> i64 {
        rows[u].iter().zip(&COSINES[v]).map(|(row, c)| row * c).sum()
    };
    let mut zigzag = (1..LOW).flat_map(|sum| (0..=sum).map(move |u| (u, sum - u)));
    std::array::from_fn(|_| {
        let (u, v) = zigzag.next().expect("65 frequencies up to the tenth diagonal");
        at(u, v)
    })
}

/// The thumbnail of a grey picture of which `row(y)` is a line of `width` pixels: the mean over
/// each cell of a 32 x 32 grid.
pub(super) fn thumbnail<'a>(
    width: usize,
    height: usize,
    row: impl Fn(usize) -> &'a [u8],
) -> Thumbnail {
    let cell = |i: usize, n: usize| {
        let begin = i * n / EDGE;
        begin..((i + 1) * n / EDGE).max(begin + 1)
    };
    let columns: Vec<_> = (0..EDGE).map(|i| cell(i, width)).collect();
    let mut out = [0; EDGE * EDGE];
    for i in 0..EDGE {
        let mut sums = [0u64; EDGE];
        let rows = cell(i, height);
        for y in rows.clone() {
            let line = row(y);
            for (sum, column) in sums.iter_mut().zip(&columns) {
                *sum += line[column.clone()].iter().map(|&p| u64::from(p)).sum::<u64>();
            }
        }
        for (j, (sum, column)) in sums.iter().zip(&columns).enumerate() {
            out[i * EDGE + j] = (sum * 16 / (rows.len() * column.len()) as u64) as u16;
        }
    }
    out
}

/// The thumbnail turned clockwise by quarter turns, as the picture will be.
pub(super) fn turned(thumbnail: &Thumbnail, rotation: i32) -> Thumbnail {
    let last = EDGE - 1;
    std::array::from_fn(|i| {
        let (y, x) = (i / EDGE, i % EDGE);
        let (from_y, from_x) = match rotation {
            90 => (last - x, y),
            180 => (last - y, last - x),
            270 => (x, last - y),
            _ => (y, x),
        };
        thumbnail[from_y * EDGE + from_x]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, level: impl Fn(f64, f64) -> f64) -> Thumbnail {
        let pixels: Vec<u8> = (0..width * height)
            .map(|i| {
                let (x, y) = ((i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
                level(x / width as f64, y / height as f64).clamp(0.0, 255.0) as u8
            })
            .collect();
        thumbnail(width, height, |y| &pixels[y * width..][..width])
    }

    fn scene(x: f64, y: f64) -> f64 {
        120.0 + 60.0 * (9.0 * x + 4.0 * y * y).sin() + 40.0 * (7.0 * y - 3.0 * x).cos()
    }

    fn distance(a: u64, b: u64) -> u32 {
        (a ^ b).count_ones()
    }

    #[test]
    fn size_brightness_and_contrast_change_little() {
        let whole = hash(&picture(720, 480, scene));
        assert!(distance(whole, hash(&picture(400, 300, scene))) <= 4);
        assert!(distance(whole, hash(&picture(333, 251, |x, y| scene(x, y) * 0.9))) <= 4);
        assert!(distance(whole, hash(&picture(720, 480, |x, y| scene(x, y) * 0.8 + 20.0))) <= 4);
    }

    #[test]
    fn other_pictures_are_far_and_mirrors_too() {
        let whole = hash(&picture(720, 480, scene));
        assert!(distance(whole, hash(&picture(720, 480, |x, y| scene(1.0 - x, y)))) > 16);
        let other = |x: f64, y: f64| 128.0 + 90.0 * (13.0 * x * y).sin();
        assert!(distance(whole, hash(&picture(720, 480, other))) > 16);
    }

    #[test]
    fn flat_and_tiny_pictures_have_no_hash_or_some() {
        assert_eq!(hash(&picture(720, 480, |_, _| 77.0)), NO_HASH);
        assert_ne!(hash(&picture(3, 2, |x, _| 255.0 * x)), NO_HASH);
    }

    #[test]
    fn four_quarter_turns_are_none() {
        let whole = picture(64, 64, scene);
        let quarter = turned(&whole, 90);
        assert_eq!(quarter[EDGE - 1], whole[0], "the top left corner goes to the top right");
        assert_eq!(turned(&quarter, 270), whole);
        assert_eq!(turned(&turned(&quarter, 90), 180), whole);
    }

    #[test]
    fn the_grid_is_half_a_second() {
        let mut signature = Signature::new(24000.0 / 1001.0);
        let on_grid: Vec<u64> = (0..60)
            .filter(|&i| {
                let wanted = signature.wants(i);
                if wanted {
                    signature.push(1);
                }
                wanted
            })
            .collect();
        assert_eq!(on_grid, [0, 12, 24, 36, 48]);
    }
}
