//! How often a table's best row is bold when it should not be, and when it should.
//!
//! Two configurations answer the same videos. An answer is right when a normal variable is above
//! 0: a mean, plus what the video adds for everybody, for the configuration, for the seed, for this
//! seed on this video, and for the frame alone. Means are equal (or a stated number of points
//! apart), so every bold row of the first kind is false.
use ncaers::internals::{
    seed::Draws,
    stats::{
        pooled::{Pool, PoolEntry, PoolSettings},
        signflip::SignFlip,
        student::normal_quantile,
    },
};

/// Simulated studies per line.
const STUDIES: usize = 2_000;
/// Random signs of the sign-flip test in a simulated study.
const FLIPS: usize = 199;
/// Accuracy of both configurations where they are equal.
const ACCURACY: f64 = 0.7;
/// Points between the configurations where they are not.
const LEAD: f64 = 0.10;
/// Standard deviations of the latent effects: a video's for everybody, a video's for one
/// configuration, a video's for one seed; a frame's own is 1.
const EFFECTS: [f64; 3] = [0.7, 0.4, 0.4];

/// One line of the table.
#[derive(Clone, Copy)]
struct Setting {
    videos: usize,
    seeds: [usize; 2],
    /// Standard deviation of the accuracy over seeds, a share.
    sd: f64,
}

/// What a line counts.
#[derive(Default)]
struct Counts {
    bold: usize,
    old_bold: usize,
    covered: usize,
    mean_covered: usize,
    intervals: usize,
}

pub fn verdicts() {
    println!("{STUDIES} studies per line; one standard error of 5 %: {:.2}", error(0.05));
    println!("| seeds | videos | sd over seeds | bold, equal | old rule | difference covered | mean covered | bold, {:.0} points | old rule |", 100.0 * LEAD);
    println!("|---|---|---|---|---|---|---|---|---|");
    for seeds in [[1, 1], [3, 3], [5, 5], [3, 5]] {
        for videos in [30, 143] {
            for sd in [0.0, 0.04, 0.08] {
                line(&Setting { videos, seeds, sd });
            }
        }
    }
}

/// Standard error of a share of all studies, in percent.
fn error(share: f64) -> f64 {
    100.0 * (share * (1.0 - share) / STUDIES as f64).sqrt()
}

fn line(setting: &Setting) {
    let equal = counts(setting, 0.0);
    let apart = counts(setting, LEAD);
    let percent = |n: usize, of: usize| match of {
        0 => "-".to_owned(),
        of => format!("{:.1}", 100.0 * n as f64 / of as f64),
    };
    let [a, b] = setting.seeds;
    println!(
        "| {a} and {b} | {} | {:.0} | {} | {} | {} | {} | {} | {} |",
        setting.videos,
        100.0 * setting.sd,
        percent(equal.bold, STUDIES),
        percent(equal.old_bold, STUDIES),
        percent(equal.covered, equal.intervals),
        percent(equal.mean_covered, STUDIES),
        percent(apart.bold, STUDIES),
        percent(apart.old_bold, STUDIES),
    );
}

fn counts(setting: &Setting, lead: f64) -> Counts {
    let mut counts = Counts::default();
    for study in 0..STUDIES {
        let id = format!("{}-{:?}-{}-{lead}-{study}", setting.videos, setting.seeds, setting.sd);
        let mut draws = Draws::new(1, "verdicts", &id);
        let (sizes, entries) = simulated(setting, lead, &mut draws);
        let settings = PoolSettings { seed: study as u64, sign_flips: FLIPS, margin: None };
        let pool = Pool::of(&sizes, &entries, &settings);
        let verdict = pool.verdict(&[0, 1]).expect("two configurations");
        counts.bold += usize::from(verdict.is_strong());
        counts.old_bold += usize::from(is_bold_by_the_old_rule(&sizes, &entries, study as u64));
        if let Some(at) = pool.contests[0].interval {
            counts.intervals += 1;
            counts.covered += usize::from(at.lo <= lead && lead <= at.hi);
        }
        let mean = pool.configurations[1].interval;
        counts.mean_covered +=
            usize::from(mean.is_some_and(|at| at.lo <= ACCURACY && ACCURACY <= at.hi));
    }
    counts
}

/// Videos of 1 to 5 frames and the hits of both configurations, the first `lead` above the second.
fn simulated(setting: &Setting, lead: f64, draws: &mut Draws) -> (Vec<u64>, Vec<PoolEntry>) {
    let sizes: Vec<u64> = (0..setting.videos).map(|_| 1 + draws.below(5)).collect();
    let shared: Vec<f64> = sizes.iter().map(|_| EFFECTS[0] * draws.normal()).collect();
    let configuration = |(label, accuracy, seeds): (&str, f64, usize)| {
        let own: Vec<f64> = shared.iter().map(|v| v + EFFECTS[1] * draws.normal()).collect();
        let of_seed = |_| of_seed(accuracy, setting.sd, &sizes, &own, draws);
        PoolEntry { label: label.to_owned(), hits: (0..seeds).map(of_seed).collect() }
    };
    let [a, b] = setting.seeds;
    let both = [("first", ACCURACY + lead, a), ("second", ACCURACY, b)];
    let entries = both.map(configuration).to_vec();
    (sizes, entries)
}

fn of_seed(accuracy: f64, sd: f64, sizes: &[u64], videos: &[f64], draws: &mut Draws) -> Vec<i64> {
    // The seed's effect on the latent scale that moves the accuracy by `sd`.
    let rest = 1.0 + EFFECTS.iter().map(|e| e * e).sum::<f64>();
    let point = normal_quantile(accuracy);
    let density = (-0.5 * point * point).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let effect = sd / density * rest.sqrt();
    let level = point * (rest + effect * effect).sqrt() + effect * draws.normal();
    let hits = |(&n, video): (&u64, &f64)| {
        let here = level + video + EFFECTS[2] * draws.normal();
        (0..n).filter(|_| here + draws.normal() > 0.0).count() as i64
    };
    sizes.iter().zip(videos).map(hits).collect()
}

/// What the report did before: the highest mean, when a sign-flip test of the first seeds that both
/// have, paired by number, is below 5 % and all of these seeds are on one side, whichever.
fn is_bold_by_the_old_rule(sizes: &[u64], entries: &[PoolEntry], seed: u64) -> bool {
    let pairs: Vec<(&Vec<i64>, &Vec<i64>)> = entries[0].hits.iter().zip(&entries[1].hits).collect();
    let gap = |c: usize| pairs.iter().map(|(a, b)| a[c] - b[c]).sum();
    let gaps: Vec<i64> = (0..sizes.len()).map(gap).collect();
    let each: Vec<i64> =
        pairs.iter().map(|(a, b)| a.iter().sum::<i64>() - b.iter().sum::<i64>()).collect();
    let one_sided = each.iter().all(|d| *d > 0) || each.iter().all(|d| *d < 0);
    let test = SignFlip::of_differences(&gaps, || {
        let counts: Vec<i32> = gaps.iter().map(|&d| d as i32).collect();
        let sums = ncaers::internals::stats::resample::flip_signs(&counts, 1, FLIPS, seed);
        sums.rows().map(|row| i64::from(row[0])).collect()
    });
    one_sided && test.p.p() < 0.05
}
