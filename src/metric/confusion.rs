//! Which class is taken for which.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::TallyRow;

/// Classes up to which the counts are a full matrix.
pub const MATRIX_CLASSES: usize = 100;

/// Counts of truth against prediction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Confusion {
    /// Rows: truth, columns: prediction, `[C, C]`.
    Matrix(Vec<Vec<u64>>),
    /// Truth, prediction and count of every pair that occurs: with more than
    /// `MATRIX_CLASSES` classes.
    Pairs {
        /// `(truth, prediction, rows)` in label order.
        pairs: Vec<(u16, u16, u64)>,
    },
}

impl Confusion {
    /// The counts of `rows` with labels below `classes`.
    pub fn of(classes: usize, rows: &[TallyRow]) -> Self {
        if classes <= MATRIX_CLASSES {
            let mut matrix = vec![vec![0; classes]; classes];
            rows.iter().for_each(|row| matrix[row.target()][row.predicted()] += 1);
            return Confusion::Matrix(matrix);
        }
        let mut counts: BTreeMap<(u16, u16), u64> = BTreeMap::new();
        for row in rows {
            *counts.entry((row.target() as u16, row.predicted() as u16)).or_default() += 1;
        }
        Confusion::Pairs { pairs: counts.into_iter().map(|((t, p), n)| (t, p, n)).collect() }
    }

    /// `(truth, prediction, rows)` of every pair that occurs.
    pub fn pairs(&self) -> Vec<(u16, u16, u64)> {
        match self {
            Confusion::Pairs { pairs } => pairs.clone(),
            Confusion::Matrix(matrix) => {
                let cells = matrix.iter().enumerate().flat_map(|(t, row)| {
                    row.iter().enumerate().map(move |(p, &n)| (t as u16, p as u16, n))
                });
                cells.filter(|&(_, _, n)| n > 0).collect()
            }
        }
    }
}
