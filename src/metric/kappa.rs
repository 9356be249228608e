//! Agreement with the truth beyond chance.
use super::{Metric, Tally, Unit};
use crate::stats::table::Table;

/// Cohen (1960), Educational and Psychological Measurement 20:37-46. Undefined (0/0) when truth and
/// prediction are one and the same single class.
pub(super) const METRIC: Metric =
    Metric { name: "kappa", unit: Unit::Coefficient, higher_is_better: true, of: kappa };

fn kappa(tally: &Tally) -> Option<f64> {
    let rows: Vec<Vec<u64>> = tally.confusion().iter().map(|row| row.to_vec()).collect();
    Table::new(&rows).ok()?.kappa()
}
