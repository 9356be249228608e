//! Agreement with the truth beyond chance.
use super::{Metric, Spread, Tally, Unit};

/// Cohen (1960), Educational and Psychological Measurement 20:37-46. Undefined (0/0) when truth and
/// prediction are one and the same single class.
pub(super) const METRIC: Metric = Metric {
    name: "kappa",
    unit: Unit::Coefficient,
    higher_is_better: true,
    spread: Spread::Jackknife,
    of: kappa,
};

fn kappa(tally: &Tally) -> Option<f64> {
    let (n, chance) = (i128::from(tally.n()), tally.chance());
    let agreeing = i128::from(tally.hits()) * n;
    (n * n != chance).then(|| (agreeing - chance) as f64 / (n * n - chance) as f64)
}
