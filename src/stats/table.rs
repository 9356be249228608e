//! Square tables of paired labels.
use serde::{Deserialize, Serialize};

/// A `k` x `k` table of counts: rows are the first rater (a model, or the truth), columns the
/// second. The total never exceeds 2^62, so that every sum of cells is an exact integer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<u64>>", into = "Vec<Vec<u64>>")]
pub struct ContingencyTable {
    k: usize,
    counts: Vec<u64>,
}

/// Why counts are no [`ContingencyTable`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A row has another length than there are rows.
    #[error("row {row} of the table has {found} cells, not {wanted}")]
    NotSquare {
        /// The row, from 0.
        row: usize,
        /// Its cells.
        found: usize,
        /// Number of rows.
        wanted: usize,
    },
    /// The total is beyond 2^62.
    #[error("the table's total exceeds 2^62")]
    TooLarge,
}

impl ContingencyTable {
    /// The table of `rows`; zero rows are allowed and make an empty table.
    ///
    /// # Errors
    /// When it is not square or its total exceeds 2^62.
    pub fn new(rows: &[Vec<u64>]) -> Result<Self, TableError> {
        let k = rows.len();
        for (row, cells) in rows.iter().enumerate() {
            if cells.len() != k {
                return Err(TableError::NotSquare { row, found: cells.len(), wanted: k });
            }
        }
        let counts = rows.concat();
        let total: u128 = counts.iter().map(|&c| u128::from(c)).sum();
        if total > 1 << 62 {
            return Err(TableError::TooLarge);
        }
        Ok(ContingencyTable { k, counts })
    }

    /// Counts pairs of labels below `k`.
    ///
    /// # Panics
    /// When a label is `k` or more; labels of predictions are checked where files are read.
    pub fn of_pairs<T: Into<usize>>(k: usize, pairs: impl IntoIterator<Item = (T, T)>) -> Self {
        let mut counts = vec![0; k * k];
        for (a, b) in pairs {
            counts[a.into() * k + b.into()] += 1;
        }
        ContingencyTable { k, counts }
    }

    /// Number of classes.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Pairs with row label `i` and column label `j`.
    pub fn at(&self, i: usize, j: usize) -> u64 {
        self.counts[i * self.k + j]
    }

    /// All pairs.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Pairs on the diagonal.
    pub fn agreeing(&self) -> u64 {
        (0..self.k).map(|i| self.at(i, i)).sum()
    }

    /// Pairs off the diagonal.
    pub fn discordant(&self) -> u64 {
        self.total() - self.agreeing()
    }

    /// Row sums, `[k]`.
    pub fn row_sums(&self) -> Vec<u64> {
        (0..self.k).map(|i| (0..self.k).map(|j| self.at(i, j)).sum()).collect()
    }

    /// Column sums, `[k]`.
    pub fn column_sums(&self) -> Vec<u64> {
        (0..self.k).map(|j| (0..self.k).map(|i| self.at(i, j)).sum()).collect()
    }

    /// Row sum minus column sum of every class, `[k]`; sums to 0.
    pub fn margin_differences(&self) -> Vec<i64> {
        let pairs = self.row_sums().into_iter().zip(self.column_sums());
        pairs.map(|(row, column)| row as i64 - column as i64).collect()
    }

    /// `t_ij + t_ji` for `i != j`, 0 for `i == j`.
    pub fn weight(&self, i: usize, j: usize) -> u64 {
        if i == j {
            0
        } else {
            self.at(i, j) + self.at(j, i)
        }
    }

    /// The rows as vectors.
    pub fn rows(&self) -> Vec<Vec<u64>> {
        (0..self.k).map(|i| (0..self.k).map(|j| self.at(i, j)).collect()).collect()
    }

    /// Cohen's kappa of the two raters; `None` when chance agreement is certain (0/0) or the
    /// table is empty. Cohen (1960), Educational and Psychological Measurement 20:37-46.
    pub fn kappa(&self) -> Option<f64> {
        let n = i128::from(self.total());
        let margins = self.row_sums().into_iter().zip(self.column_sums());
        let chance: i128 = margins.map(|(r, c)| i128::from(r) * i128::from(c)).sum();
        let agreeing = i128::from(self.agreeing()) * n;
        (n * n != chance).then(|| (agreeing - chance) as f64 / (n * n - chance) as f64)
    }
}

impl TryFrom<Vec<Vec<u64>>> for ContingencyTable {
    type Error = TableError;

    fn try_from(rows: Vec<Vec<u64>>) -> Result<Self, TableError> {
        ContingencyTable::new(&rows)
    }
}

impl From<ContingencyTable> for Vec<Vec<u64>> {
    fn from(table: ContingencyTable) -> Self {
        table.rows()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_table_is_named() {
        let ragged = ContingencyTable::new(&[vec![1, 2], vec![3]]).expect_err("ragged");
        assert_eq!(ragged.to_string(), "row 1 of the table has 1 cells, not 2");
        assert_eq!(ContingencyTable::new(&[vec![u64::MAX]]), Err(TableError::TooLarge));
        assert_eq!(ContingencyTable::new(&[]).expect("empty").total(), 0);
    }

    #[test]
    fn margins_of_a_small_table() {
        let t = ContingencyTable::of_pairs(3, [(0usize, 1), (0, 1), (1, 1), (2, 0)]);
        assert_eq!(t.margin_differences(), [1, -2, 1]);
        assert_eq!((t.total(), t.discordant(), t.weight(1, 0)), (4, 3, 2));
    }

    #[test]
    fn kappa_of_constants_is_undefined() {
        assert_eq!(ContingencyTable::of_pairs(2, [(0usize, 0), (0, 0)]).kappa(), None);
        assert_eq!(ContingencyTable::of_pairs(2, [(0usize, 0), (1, 1)]).kappa(), Some(1.0));
        assert_eq!(ContingencyTable::of_pairs(2, [(0usize, 1), (1, 0)]).kappa(), Some(-1.0));
    }
}
