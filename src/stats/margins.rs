//! Marginal homogeneity when rows come in clusters.
//!
//! Let `D_c` be the sum over the rows of cluster c of (unit vector of rater A's class minus that
//! of rater B) and `D` their sum. Under the null hypothesis that A and B are exchangeable within
//! a cluster, `D_c` is symmetric about 0, whatever the correlation inside. The forms for two
//! classes are published; for more classes they are extended here by the same algebra (vectors
//! for numbers, a pseudo-inverse for a division), which no paper has endorsed.
use serde::{Deserialize, Serialize};

use super::{
    clusters::Clusters,
    double::Double,
    linear::{self, Form},
    mh::ChiSquare,
};

/// Differences of the margins, cluster by cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Margins {
    k: usize,
    d: Vec<i64>,
    sizes: Vec<u64>,
    /// Classes on which `V1` has full rank.
    index: Vec<usize>,
}

/// The cluster-robust statistics; `None` with fewer than two clusters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterForms {
    /// `D' V1+ D` with `V1 = sum D_c D_c'`: what the sign-flip test compares.
    pub raw: Option<ChiSquare>,
    /// See [`Margins::obuchowski`].
    pub obuchowski: Option<ChiSquare>,
    /// See [`Margins::yang`].
    pub yang: Option<ChiSquare>,
    /// See [`Margins::durkalski`].
    pub durkalski: Option<ChiSquare>,
}

impl Margins {
    /// The margins' differences of raters `a` and `b`, labels below `k`, one label per row.
    pub fn new<T: Copy + Into<usize>>(k: usize, a: &[T], b: &[T], clusters: &Clusters) -> Self {
        let mut d = vec![0; clusters.len() * k];
        for ((&a, &b), &cluster) in a.iter().zip(b).zip(clusters.of_row()) {
            d[cluster * k + a.into()] += 1;
            d[cluster * k + b.into()] -= 1;
        }
        let index = linear::pivots(d.chunks_exact(k.max(1)), k);
        Margins { k, d, sizes: clusters.sizes().to_vec(), index }
    }

    /// Number of classes.
    pub fn k(&self) -> usize {
        self.k
    }

    /// `D_c` of every cluster, `[k]` each.
    pub fn rows(&self) -> impl Iterator<Item = &[i64]> + Clone {
        self.d.chunks_exact(self.k.max(1))
    }

    /// `D`, `[k]`.
    pub fn total(&self) -> Vec<i64> {
        (0..self.k).map(|j| self.rows().map(|row| row[j]).sum()).collect()
    }

    /// Clusters whose two margins differ: only they carry information.
    pub fn active(&self) -> usize {
        self.rows().filter(|row| row.iter().any(|&x| x != 0)).count()
    }

    /// All statistics.
    pub fn forms(&self) -> ClusterForms {
        ClusterForms {
            raw: self.raw(),
            obuchowski: self.obuchowski(),
            yang: self.yang(),
            durkalski: self.durkalski(),
        }
    }

    /// `D' V1+ D`, at most the number of clusters.
    pub fn raw(&self) -> Option<ChiSquare> {
        self.scaled(Double::from(1u64))
    }

    /// The raw form times (C - 1) / C. Obuchowski (1998), Statistics in Medicine 17:1495-1507,
    /// for two classes.
    pub fn obuchowski(&self) -> Option<ChiSquare> {
        let c = self.sizes.len() as u64;
        self.scaled(Double::from(c.saturating_sub(1)) / Double::from(c.max(1)))
    }

    fn scaled(&self, factor: Double) -> Option<ChiSquare> {
        self.several()?;
        let index = &self.index;
        let u = linear::quadratic(self.second_moments(index), picked(index, &self.total()));
        Some(ChiSquare::new((u * factor).value(), index.len() as u32))
    }

    /// The mean of the null and the centred covariance, C / (C - 1) times. Yang, Sun and Hardin
    /// (2010), Biometrical Journal 52:638-652, for two classes.
    pub fn yang(&self) -> Option<ChiSquare> {
        let correction = self.several()?;
        let index = &self.index;
        let (null, centred) = (self.second_moments(index), self.centred_moments(index));
        let half = Double::from(1u64) / Double::from(2u64);
        let average = |(a, b): (Vec<Double>, Vec<Double>)| -> Vec<Double> {
            a.into_iter().zip(b).map(|(x, y)| (x + y) * half * correction).collect()
        };
        let v = null.into_iter().zip(centred).map(average).collect();
        let stat = linear::quadratic(v, picked(index, &self.total()));
        Some(ChiSquare::new(stat.value(), index.len() as u32))
    }

    /// The raw form of `D_c / n_c`, every cluster counted alike. Durkalski, Palesch, Lipsitz and
    /// Rust (2003), Statistics in Medicine 22:2417-2428, for two classes.
    pub fn durkalski(&self) -> Option<ChiSquare> {
        self.several()?;
        let index = &self.index;
        let mut d = vec![Double::ZERO; index.len()];
        let mut v = vec![d.clone(); index.len()];
        for (row, &size) in self.rows().zip(&self.sizes) {
            let mean: Vec<Double> =
                index.iter().map(|&i| Double::from(row[i]) / Double::from(size)).collect();
            for (i, &x) in mean.iter().enumerate().filter(|(_, x)| !x.is_zero()) {
                d[i] += x;
                mean.iter().enumerate().for_each(|(j, &y)| v[i][j] += x * y);
            }
        }
        Some(ChiSquare::new(linear::quadratic(v, d).value(), index.len() as u32))
    }

    /// The Wald form: only the centred covariance, C / (C - 1) times; infinite when `D` is
    /// outside its column space (too few clusters). Rejects too often with few clusters; here for
    /// comparison with other programs.
    pub fn wald_centred(&self) -> Option<ChiSquare> {
        let correction = self.several()?;
        let (n, total) = (self.sizes.iter().sum::<u64>() as i64, self.total());
        let centre = |(row, &size): (&[i64], &u64)| -> Vec<i64> {
            row.iter().zip(&total).map(|(x, t)| n * x - size as i64 * t).collect()
        };
        let mut rows: Vec<Vec<i64>> = self.rows().zip(&self.sizes).map(centre).collect();
        let index = linear::pivots(rows.iter().map(Vec::as_slice), self.k);
        rows.push(total.clone());
        if linear::pivots(rows.iter().map(Vec::as_slice), self.k).len() > index.len() {
            return Some(ChiSquare::new(f64::INFINITY, index.len() as u32));
        }
        let scale = |row: Vec<Double>| row.into_iter().map(|x| x * correction).collect();
        let v = self.centred_moments(&index).into_iter().map(scale).collect();
        let stat = linear::quadratic(v, picked(&index, &total));
        Some(ChiSquare::new(stat.value(), index.len() as u32))
    }

    /// The raw statistic as a function of the signed sum of the `D_c`.
    pub(super) fn form(&self) -> Form {
        Form::new(self.index.clone(), &self.second_moments(&self.index))
    }

    /// C / (C - 1); `None` with fewer than two clusters.
    fn several(&self) -> Option<Double> {
        let c = self.sizes.len() as u64;
        (c > 1).then(|| Double::from(c) / Double::from(c - 1))
    }

    /// `V1` on `index`; exact integers.
    fn second_moments(&self, index: &[usize]) -> Vec<Vec<Double>> {
        let entry = |i: usize, j: usize| self.rows().map(|row| row[i] * row[j]).sum::<i64>();
        let row = |&i: &usize| index.iter().map(|&j| Double::from(entry(i, j))).collect();
        index.iter().map(row).collect()
    }

    /// `sum (D_c - n_c D / N)(D_c - n_c D / N)'` on `index`.
    fn centred_moments(&self, index: &[usize]) -> Vec<Vec<Double>> {
        let total = self.total();
        let n = Double::from(self.sizes.iter().sum::<u64>());
        let squares = Double::from(self.sizes.iter().map(|m| m * m).sum::<u64>());
        let weighted = |i: usize| -> Double {
            Double::from(self.rows().zip(&self.sizes).map(|(r, &m)| r[i] * m as i64).sum::<i64>())
        };
        let mut v = self.second_moments(index);
        for (row, &i) in index.iter().enumerate() {
            for (column, &j) in index.iter().enumerate() {
                let (di, dj) = (Double::from(total[i]), Double::from(total[j]));
                let cross = (weighted(i) * dj + weighted(j) * di) / n;
                v[row][column] = v[row][column] - cross + squares * di * dj / (n * n);
            }
        }
        v
    }
}

fn picked(index: &[usize], d: &[i64]) -> Vec<Double> {
    index.iter().map(|&i| Double::from(d[i])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn margins(k: usize, a: &[u8], b: &[u8], clusters: &[&str]) -> Margins {
        Margins::new(k, a, b, &Clusters::by_id(clusters.iter().copied()))
    }

    #[test]
    fn single_rows_give_the_plain_test() {
        let (a, b) = ([0, 1, 2, 0, 1, 2, 2], [1, 1, 0, 1, 2, 2, 0]);
        let m = margins(3, &a, &b, &["a", "b", "c", "d", "e", "f", "g"]);
        let table = super::super::table::ContingencyTable::of_pairs(3, a.into_iter().zip(b));
        let plain = super::super::mh::stuart_maxwell(&table);
        let raw = m.raw().expect("seven clusters");
        assert!((raw.stat - plain.stat).abs() < 1e-14 && raw.df == plain.df);
        assert_eq!(m.active(), 5);
    }

    #[test]
    fn one_cluster_says_nothing() {
        let m = margins(2, &[0, 0], &[1, 1], &["a", "a"]);
        assert_eq!((m.raw(), m.yang(), m.obuchowski()), (None, None, None));
        assert_eq!((m.durkalski(), m.wald_centred()), (None, None));
    }
}
