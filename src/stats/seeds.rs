//! Several training seeds of one model: how far they scatter, and how little a few of them tell of
//! that. Tests between configurations are in [`super::pooled`].
use serde::{Deserialize, Serialize};

use super::{
    interval::{self, Interval},
    tail,
};
use crate::seed::Draws;

/// Seeds below which a bootstrap over seeds says nothing: of three seeds it spans smallest to
/// largest and covers three times in four.
pub const BOOTSTRAP_SEEDS: usize = 10;

/// The distribution of a score over seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedSummary {
    /// Number of seeds.
    pub seeds: usize,
    /// Mean score.
    pub mean: f64,
    /// Standard deviation, divisor n - 1; `None` with one seed.
    pub sd: Option<f64>,
    /// Smallest score.
    pub min: f64,
    /// Largest score.
    pub max: f64,
    /// Interquartile mean.
    pub iqm: f64,
    /// Student's interval of the mean; `None` with one seed.
    pub mean_interval: Option<Interval>,
    /// Bootstrap interval of the interquartile mean; `None` with fewer than [`BOOTSTRAP_SEEDS`].
    pub iqm_interval: Option<Interval>,
    /// What this number of seeds cannot show.
    pub cannot_show: String,
}

/// Two models over seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedDifference {
    /// Difference of the means.
    pub difference: f64,
    /// Chance that a random seed of the first beats one of the second, ties counted half.
    pub probability_of_improvement: f64,
    /// Its stratified bootstrap interval; `None` with fewer than [`BOOTSTRAP_SEEDS`] on a side.
    pub probability_interval: Option<Interval>,
}

/// Sums up `scores`, one per seed, in any order; `None` without scores. The interquartile mean
/// with bootstrap over seeds (within each task: here one) follows Agarwal et al. (2021), "Deep
/// reinforcement learning at the edge of the statistical precipice", NeurIPS 34.
pub fn summarize(scores: &[f64], draws: usize, seed: u64) -> Option<SeedSummary> {
    let n = scores.len();
    let iqm = interquartile_mean(scores)?;
    let sd = standard_deviation(scores);
    let half = interval::t_quantile(n - 1).zip(sd).map(|(t, sd)| t * sd / (n as f64).sqrt());
    let mean = mean(scores);
    let bootstrap = || {
        let mut stream = Draws::new(seed, "seed-bootstrap", "iqm");
        let one = |_| interquartile_mean(&redraw(scores, &mut stream));
        interval::percentile(&(0..draws).filter_map(one).collect::<Vec<_>>())
    };
    Some(SeedSummary {
        seeds: n,
        mean,
        sd,
        min: scores.iter().copied().fold(f64::INFINITY, f64::min),
        max: scores.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        iqm,
        mean_interval: half.map(|half| Interval { lo: mean - half, hi: mean + half }),
        iqm_interval: if n < BOOTSTRAP_SEEDS { None } else { bootstrap() },
        cannot_show: cannot_show(n),
    })
}

/// Compares the scores of two models over seeds, which are no pairs; `None` when a side is empty.
pub fn compare(a: &[f64], b: &[f64], draws: usize, seed: u64) -> Option<SeedDifference> {
    let improvement = probability_of_improvement(a, b)?;
    let bootstrap = || {
        let mut stream = Draws::new(seed, "seed-bootstrap", "improvement");
        let values: Vec<f64> = (0..draws)
            .filter_map(|_| {
                let resampled = (redraw(a, &mut stream), redraw(b, &mut stream));
                probability_of_improvement(&resampled.0, &resampled.1)
            })
            .collect();
        interval::percentile(&values)
    };
    let enough = a.len().min(b.len()) >= BOOTSTRAP_SEEDS;
    Some(SeedDifference {
        difference: mean(a) - mean(b),
        probability_of_improvement: improvement,
        probability_interval: if enough { bootstrap() } else { None },
    })
}

/// Mean of the middle half: `floor(n / 4)` scores are dropped at each end; `None` without scores.
pub fn interquartile_mean(scores: &[f64]) -> Option<f64> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    let middle = &sorted[cut..sorted.len() - cut];
    (!middle.is_empty()).then(|| mean(middle))
}

/// `P(a > b) + P(a = b) / 2` over all pairs; `None` when a side is empty. Vargha and Delaney
/// (2000), Journal of Educational and Behavioral Statistics 25:101-132.
pub fn probability_of_improvement(a: &[f64], b: &[f64]) -> Option<f64> {
    let wins: u64 = a
        .iter()
        .flat_map(|x| b.iter().map(move |y| u64::from(x > y) * 2 + u64::from(x == y)))
        .sum();
    let pairs = 2 * a.len() * b.len();
    (pairs > 0).then(|| wins as f64 / pairs as f64)
}

/// Standard deviation with divisor n - 1; `None` with fewer than two scores.
pub fn standard_deviation(scores: &[f64]) -> Option<f64> {
    let mean = mean(scores);
    let squares: f64 = scores.iter().map(|x| (x - mean).powi(2)).sum();
    (scores.len() > 1).then(|| (squares / (scores.len() - 1) as f64).sqrt())
}

/// Two-sided sign-flip p-value of the mean of paired differences over all sign patterns. Fisher
/// (1935), The Design of Experiments, section 21. At most 20 differences are sensible. Seeds of
/// different networks are no pairs; this is for what is.
pub fn exact_sign_flip(differences: &[f64]) -> f64 {
    let observed = differences.iter().sum::<f64>().abs();
    let slack = 1e-12 * differences.iter().map(|d| d.abs()).sum::<f64>();
    let patterns = 1u64 << differences.len();
    let at_least = |pattern: &u64| {
        let signed = |(i, d): (usize, &f64)| if pattern >> i & 1 == 1 { -d } else { *d };
        differences.iter().enumerate().map(signed).sum::<f64>().abs() >= observed - slack
    };
    (0..patterns).filter(at_least).count() as f64 / patterns as f64
}

/// 95 % interval of a standard deviation over `n` seeds, as factors of the one that was found, if
/// the scores are normal; `None` with one seed.
pub fn sd_factors(n: usize) -> Option<(f64, f64)> {
    let df = u32::try_from(n).ok()?.checked_sub(1).filter(|&df| df > 0)?;
    let factor = |upper: f64| (f64::from(df) / chi_square_quantile(upper, df)).sqrt();
    Some((factor(0.025), factor(0.975)))
}

/// The point above which a share `upper` of the chi-square distribution lies.
fn chi_square_quantile(upper: f64, df: u32) -> f64 {
    let (mut low, mut high) = (0.0, 100.0 + 10.0 * f64::from(df));
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if tail::chi_square(middle, df).p() > upper {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

fn cannot_show(n: usize) -> String {
    match sd_factors(n) {
        None => {
            "one seed shows no spread: nothing can be said of the configuration, only of these \
                 weights"
                .to_owned()
        }
        Some((low, high)) => format!(
            "with {n} seeds the true standard deviation over seeds may be {low:.2} to {high:.1} \
             times the one shown"
        ),
    }
}

fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len() as f64
}

fn redraw(scores: &[f64], stream: &mut Draws) -> Vec<f64> {
    scores.iter().map(|_| scores[stream.below(scores.len() as u64) as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_seeds_know_little_of_their_spread() {
        // sqrt(4 / 11.1433) and sqrt(4 / 0.4844) of the chi-square table.
        let (low, high) = sd_factors(5).expect("five");
        assert!((low - 0.5991).abs() < 1e-4 && (high - 2.8736).abs() < 1e-3, "{low} {high}");
        let summary = summarize(&[46.9, 46.2, 47.3, 46.5, 47.0], 999, 1).expect("five");
        assert!(summary.cannot_show.contains("0.60 to 2.9"), "{}", summary.cannot_show);
        assert_eq!(summary.iqm_interval, None, "five seeds are no bootstrap sample");
        let clear = compare(&[5.0, 6.0, 7.0, 8.0, 9.0], &[1.0; 5], 999, 1).expect("five");
        assert_eq!((clear.probability_of_improvement, clear.probability_interval), (1.0, None));
        assert_eq!(exact_sign_flip(&[4.0, 5.0, 6.0, 7.0, 8.0]), 0.0625);
    }

    #[test]
    fn one_seed_has_no_spread() {
        let one = summarize(&[0.5], 99, 1).expect("one");
        assert_eq!((one.sd, one.mean_interval, one.iqm_interval), (None, None, None));
        assert_eq!(summarize(&[], 99, 1), None);
        assert_eq!(compare(&[], &[1.0], 99, 1), None);
    }

    #[test]
    fn intervals_hold_their_estimate() {
        let scores = [0.41, 0.44, 0.43, 0.47, 0.42, 0.45, 0.46, 0.40, 0.43, 0.44];
        let summary = summarize(&scores, 2000, 1).expect("ten");
        let interval = summary.iqm_interval.expect("ten");
        assert!(interval.lo < summary.iqm && summary.iqm < interval.hi);
        assert!(interval.lo >= summary.min && interval.hi <= summary.max);
    }
}
