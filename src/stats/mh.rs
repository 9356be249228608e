//! Marginal homogeneity of a square table: do two raters use the classes equally often?
//!
//! Let `t` be the table, `w_ij = t_ij + t_ji` for `i != j` and `d` the differences of the
//! margins. The covariance of `d` is the Laplacian of the graph with weights `w`, so its rank is
//! `k` minus the number of connected components, known from integers alone, and `d` sums to 0
//! inside every component: the statistic `T = d' V+ d` exists for every table.
use serde::{Deserialize, Serialize};

use super::{
    double::Double,
    linear::Form,
    number,
    table::ContingencyTable,
    tail::{self, PValue},
};

/// What a test of marginal homogeneity can say about a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Homogeneity {
    /// The table is empty; p = 1 means nothing.
    NoData,
    /// The raters agree on everything; there is nothing to test.
    Vacuous,
    /// The test says something.
    Tested,
}

/// Stuart's (1955) test as extended to every table; see [`stuart_maxwell`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StuartMaxwell {
    /// `T`, between 0 and `discordant`.
    pub stat: f64,
    /// Classes minus connected components of the discordance graph.
    pub df: u32,
    /// Upper tail of chi-square with `df` degrees of freedom.
    pub p: PValue,
    /// Pairs in the table.
    pub n: u64,
    /// Pairs off the diagonal.
    pub discordant: u64,
    /// Whether the p-value means anything.
    pub outcome: Homogeneity,
}

/// A statistic referred to chi-square.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChiSquare {
    /// The statistic; may be infinite where the definition says so.
    #[serde(with = "number")]
    pub stat: f64,
    /// Degrees of freedom.
    pub df: u32,
    /// Upper tail.
    pub p: PValue,
}

impl ChiSquare {
    pub(super) fn new(stat: f64, df: u32) -> Self {
        ChiSquare { stat, df, p: tail::chi_square(stat, df) }
    }
}

/// Bowker's test of symmetry with both conventions for its degrees of freedom.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bowker {
    /// Sum of `(t_ij - t_ji)^2 / w_ij` over the pairs of classes that occur.
    pub stat: f64,
    /// Pairs of classes with `w_ij > 0`: the degrees of freedom that are used.
    pub df: u32,
    /// Upper tail at `df`.
    pub p: PValue,
    /// `k (k - 1) / 2`, as textbooks and most programs count.
    pub df_full: u32,
    /// Upper tail at `df_full`.
    pub p_full: PValue,
}

/// The class whose frequencies differ most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// The class, from 0.
    pub class: usize,
    /// Share of the rows' rater minus share of the columns' rater, in percentage points.
    pub points: f64,
}

/// The Stuart-Maxwell test of marginal homogeneity.
///
/// Stuart (1955), Biometrika 42:412-416; Maxwell (1970), British Journal of Psychiatry
/// 116:651-655. A class that nobody used, or on which both always agree, adds nothing to the
/// statistic and nothing to the degrees of freedom; for two classes this is McNemar's test.
/// Elimination is by the star-mesh rule, whose weights are sums of positive terms, in
/// double-double arithmetic.
pub fn stuart_maxwell(table: &ContingencyTable) -> StuartMaxwell {
    let (n, discordant) = (table.total(), table.discordant());
    let (stat, df) = (statistic(table).value(), rank(table));
    let outcome = match (n, discordant) {
        (0, _) => Homogeneity::NoData,
        (_, 0) => Homogeneity::Vacuous,
        _ => Homogeneity::Tested,
    };
    StuartMaxwell { stat, df, p: tail::chi_square(stat, df), n, discordant, outcome }
}

/// Bhapkar's test, the Wald form of the same hypothesis: `T / (1 - T / n)`, infinite when
/// `T = n`. Bhapkar (1966), Journal of the American Statistical Association 61:228-235; the
/// relation to T is Ireland, Ku and Kullback's (1969), JASA 64:1323-1341.
pub fn bhapkar(table: &ContingencyTable) -> ChiSquare {
    let (t, n, df) = (statistic(table), Double::from(table.total()), rank(table));
    if t.is_zero() {
        return ChiSquare::new(0.0, df);
    }
    let left = n - t;
    // n - T is 0 or at least about 1 / (2 k): double-double errors are far below that.
    if left.value() <= 1e-6 {
        return ChiSquare::new(f64::INFINITY, df);
    }
    ChiSquare::new((t * n / left).value(), df)
}

/// Bowker's test of symmetry: Bowker (1948), Journal of the American Statistical Association
/// 43:572-574. Pairs of classes that never occur carry no information and no degree of freedom.
pub fn bowker(table: &ContingencyTable) -> Bowker {
    let k = table.k();
    let (mut stat, mut df) = (Double::ZERO, 0);
    for (i, j) in pairs(k) {
        let w = table.weight(i, j);
        if w > 0 {
            let d = Double::from(table.at(i, j) as i64 - table.at(j, i) as i64);
            stat += d * d / Double::from(w);
            df += 1;
        }
    }
    let (stat, df_full) = (stat.value(), pairs(k).count() as u32);
    let p = |df| tail::chi_square(stat, df);
    Bowker { stat, df, p: p(df), df_full, p_full: p(df_full) }
}

/// The class with the largest difference of margins (the first of several), `None` for an empty
/// table.
pub fn largest_gap(table: &ContingencyTable) -> Option<Gap> {
    let n = table.total();
    let differences = table.margin_differences();
    let largest = differences.iter().map(|d| d.abs()).max()?;
    let class = differences.iter().position(|d| d.abs() == largest)?;
    (n > 0).then(|| Gap { class, points: 100.0 * differences[class] as f64 / n as f64 })
}

/// Patterns of counts up to which [`exact`] enumerates.
const EXACT_PATTERNS: u64 = 1 << 18;
/// Discordant pairs up to which it does, so that 2^-discordant is an ordinary number.
const EXACT_DISCORDANT: u64 = 1000;

/// The exact permutation p-value of the Stuart-Maxwell statistic: every discordant pair could as
/// well have been seen the other way round, `P(T* >= T)` over all 2^discordant ways (which leave
/// `V` as it is). Enumerated by the counts per pair of classes; `None` when there are more than
/// 262,144 of those or more than 1,000 discordant pairs. The principle is Fisher's (1935), The Design of Experiments, section 21.
pub fn exact(table: &ContingencyTable) -> Option<PValue> {
    if table.discordant() > EXACT_DISCORDANT {
        return None;
    }
    let cells: Vec<(usize, usize)> =
        pairs(table.k()).filter(|&(i, j)| table.weight(i, j) > 0).collect();
    let mut patterns = 1u64;
    for &(i, j) in &cells {
        patterns = patterns.checked_mul(table.weight(i, j).checked_add(1)?)?;
        if patterns > EXACT_PATTERNS {
            return None;
        }
    }
    let form = form(table);
    let observed: Vec<f64> = table.margin_differences().iter().map(|&d| d as f64).collect();
    let mut search = Search { table, cells, form, least: 0.0, d: vec![0.0; table.k()], hits: 0.0 };
    // Ties are exact in rational arithmetic; the margin keeps rounding from breaking them.
    search.least = search.form.at(&observed) * (1.0 - 1e-9);
    search.walk(0, 1.0);
    Some(PValue::new(search.hits))
}

/// The enumeration behind [`exact`].
struct Search<'a> {
    table: &'a ContingencyTable,
    cells: Vec<(usize, usize)>,
    form: Form,
    least: f64,
    d: Vec<f64>,
    hits: f64,
}

impl Search<'_> {
    fn walk(&mut self, depth: usize, weight: f64) {
        let Some(&(i, j)) = self.cells.get(depth) else {
            if self.form.at(&self.d) >= self.least {
                self.hits += weight;
            }
            return;
        };
        let w = self.table.weight(i, j);
        let mut share = 0.5f64.powi(w as i32);
        for there in 0..=w {
            let change = 2.0 * there as f64 - w as f64;
            self.d[i] += change;
            self.d[j] -= change;
            self.walk(depth + 1, weight * share);
            self.d[i] -= change;
            self.d[j] += change;
            share *= (w - there) as f64 / (there + 1) as f64;
        }
    }
}

fn pairs(k: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..k).flat_map(move |i| (i + 1..k).map(move |j| (i, j)))
}

/// Connected components of the discordance graph, each in class order; by union-find.
fn components(table: &ContingencyTable) -> Vec<Vec<usize>> {
    fn root(parent: &mut [usize], mut i: usize) -> usize {
        while parent[i] != i {
            parent[i] = parent[parent[i]];
            i = parent[i];
        }
        i
    }
    let k = table.k();
    let mut parent: Vec<usize> = (0..k).collect();
    for (i, j) in pairs(k) {
        if table.weight(i, j) > 0 {
            let (a, b) = (root(&mut parent, i), root(&mut parent, j));
            parent[a.max(b)] = a.min(b);
        }
    }
    let mut members = vec![Vec::new(); k];
    for i in 0..k {
        members[root(&mut parent, i)].push(i);
    }
    members.retain(|m| !m.is_empty());
    members
}

fn rank(table: &ContingencyTable) -> u32 {
    (table.k() - components(table).len()) as u32
}

/// `d' V+ d`. One vertex after the other leaves its component: what it carries is passed on in
/// proportion to its edges, and its neighbours are joined by the star-mesh rule.
fn statistic(table: &ContingencyTable) -> Double {
    let k = table.k();
    let number = |i, j| Double::from(table.weight(i, j));
    let mut w: Vec<Vec<Double>> = (0..k).map(|i| (0..k).map(|j| number(i, j)).collect()).collect();
    let mut d: Vec<Double> = table.margin_differences().into_iter().map(Double::from).collect();
    let mut total = Double::ZERO;
    for component in components(table) {
        for (at, &v) in component.iter().enumerate() {
            let rest = &component[at + 1..];
            if !rest.is_empty() {
                total += eliminate(&mut w, &mut d, v, rest);
            }
        }
    }
    total
}

fn eliminate(w: &mut [Vec<Double>], d: &mut [Double], v: usize, rest: &[usize]) -> Double {
    let mut degree = Double::ZERO;
    rest.iter().for_each(|&u| degree += w[v][u]);
    for &u in rest {
        let share = w[v][u] / degree;
        if share.is_zero() {
            continue;
        }
        let passed = d[v] * share;
        d[u] += passed;
        for &t in rest.iter().filter(|&&t| t != u) {
            let mesh = share * w[v][t];
            w[u][t] += mesh;
        }
    }
    d[v] * d[v] / degree
}

/// The statistic as a function of `d`: the inverse of the Laplacian without the last vertex of
/// every component.
fn form(table: &ContingencyTable) -> Form {
    let keep: Vec<usize> = components(table)
        .into_iter()
        .flat_map(|component| component[..component.len() - 1].to_vec())
        .collect();
    let degree = |i: usize| (0..table.k()).map(|j| table.weight(i, j)).sum::<u64>() as i64;
    let entry = |i, j| if i == j { degree(i) } else { -(table.weight(i, j) as i64) };
    let v: Vec<Vec<Double>> =
        keep.iter().map(|&i| keep.iter().map(|&j| Double::from(entry(i, j))).collect()).collect();
    Form::new(keep, &v)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[&[u64]]) -> ContingencyTable {
        ContingencyTable::new(&rows.iter().map(|r| r.to_vec()).collect::<Vec<_>>()).expect("square")
    }

    #[test]
    fn exact_enumeration_ends_where_the_patterns_are_too_many() {
        // 64^3 patterns are the most, 64^2 * 65 one step more.
        assert!(exact(&table(&[&[0, 63, 63], &[0, 0, 63], &[0, 0, 0]])).is_some());
        assert!(exact(&table(&[&[0, 63, 63], &[0, 0, 64], &[0, 0, 0]])).is_none());
    }

    #[test]
    fn unaided_distance_vision_of_7477_women() {
        // Stuart (1955), section 6: 11.96 on 3 degrees of freedom.
        let t = table(&[
            &[1520, 266, 124, 66],
            &[234, 1512, 432, 78],
            &[117, 362, 1772, 205],
            &[36, 82, 179, 492],
        ]);
        let test = stuart_maxwell(&t);
        assert!((test.stat - 1725596627.0 / 144322049.0).abs() < 1e-13);
        assert_eq!((test.df, test.outcome), (3, Homogeneity::Tested));
        assert!((bhapkar(&t).stat - 11.98).abs() < 0.005);
    }

    #[test]
    fn a_bridge_of_one_frame_between_heavy_blocks_is_not_lost() {
        // Classes 0, 1 and 2, 3 exchange 2^31 pairs in balance, one pair crosses: T is that of
        // the crossing pair alone, 1 up to the inner imbalance 1 / 2^31.
        let heavy = 1 << 31;
        let t =
            table(&[&[0, heavy, 0, 0], &[heavy, 0, 1, 0], &[0, 0, 0, heavy], &[0, 0, heavy, 0]]);
        assert_eq!(stuart_maxwell(&t).df, 3);
        assert!((stuart_maxwell(&t).stat - 1.0).abs() < 1e-15, "{}", stuart_maxwell(&t).stat);
    }

    #[test]
    fn nothing_to_test_is_said() {
        let outcome = |t: &ContingencyTable| stuart_maxwell(t).outcome;
        assert_eq!(outcome(&table(&[])), Homogeneity::NoData);
        assert_eq!(outcome(&table(&[&[0, 0], &[0, 0]])), Homogeneity::NoData);
        let agree = table(&[&[3, 0], &[0, 4]]);
        assert_eq!(outcome(&agree), Homogeneity::Vacuous);
        assert_eq!((stuart_maxwell(&agree).df, stuart_maxwell(&agree).p), (0, PValue::ONE));
        assert_eq!(exact(&agree), Some(PValue::ONE));
    }

    #[test]
    fn exact_p_of_two_classes_is_mcnemars() {
        // b = 6, c = 0: 2 / 2^6.
        let p = exact(&table(&[&[5, 6], &[0, 9]])).expect("7 patterns");
        assert!((p.p() - 0.03125).abs() < 1e-15);
        let log10 = |b| exact(&table(&[&[0, b], &[0, 0]])).map(PValue::log10);
        assert!((log10(1000).expect("1001 patterns") + 999.0 * 2f64.log10()).abs() < 1e-9);
        assert_eq!(log10(1001), None);
    }

    #[test]
    fn bhapkar_is_infinite_when_every_pair_moves_one_way() {
        assert_eq!(bhapkar(&table(&[&[0, 5], &[0, 0]])).stat, f64::INFINITY);
        let chain = table(&[&[0, 3, 0], &[0, 0, 1], &[0, 0, 0]]);
        assert_eq!((stuart_maxwell(&chain).stat, bhapkar(&chain).p), (4.0, PValue::ZERO));
    }

    #[test]
    fn the_gap_has_a_sign_and_a_class() {
        let gap = largest_gap(&table(&[&[1, 0, 4], &[0, 5, 0], &[0, 0, 0]])).expect("not empty");
        assert_eq!((gap.class, gap.points), (0, 40.0));
        assert_eq!(largest_gap(&table(&[&[0]])), None);
    }
}
