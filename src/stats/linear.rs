//! The few pieces of linear algebra behind the tests: exact ranks and accurate quadratic forms.
use super::double::Double;

/// Primes near 2^61..2^63. The rank modulo a prime is at most the true one and equal unless the
/// prime divides a minor; a minor below 2^186 cannot be divisible by all three.
const PRIMES: [u64; 3] = [(1 << 61) - 1, (1 << 62) - 57, (1 << 63) - 25];

/// Columns on which integer `rows` (each `width` wide, each with sum 0) have full rank: as many
/// as the rank, such that the rows restricted to them are independent. Ranks come from integers,
/// never from a numeric tolerance.
pub(super) fn pivots<'a>(
    rows: impl Iterator<Item = &'a [i64]> + Clone,
    width: usize,
) -> Vec<usize> {
    let used = |column: &usize| rows.clone().any(|row| row[*column] != 0);
    // Sums of 0 take one dimension; a sum over fewer columns may take more.
    let most = (0..width).filter(used).count().saturating_sub(1);
    let mut best = Vec::new();
    for prime in PRIMES {
        let found = pivots_modulo(rows.clone(), most, prime);
        if found.len() > best.len() {
            best = found;
        }
    }
    best
}

fn pivots_modulo<'a>(rows: impl Iterator<Item = &'a [i64]>, most: usize, prime: u64) -> Vec<usize> {
    let residue = |&x: &i64| match x.unsigned_abs() % prime {
        size if x < 0 && size > 0 => prime - size,
        size => size,
    };
    let mut basis: Vec<(usize, Vec<u64>)> = Vec::new();
    for row in rows {
        if basis.len() == most {
            break;
        }
        let mut row: Vec<u64> = row.iter().map(residue).collect();
        for (pivot, known) in &basis {
            subtract(&mut row, known, *pivot, prime);
        }
        if let Some(pivot) = row.iter().position(|&x| x != 0) {
            let scale = inverse_modulo(row[pivot], prime);
            row.iter_mut().for_each(|x| *x = times(*x, scale, prime));
            basis.push((pivot, row));
        }
    }
    let mut columns: Vec<usize> = basis.into_iter().map(|(pivot, _)| pivot).collect();
    columns.sort_unstable();
    columns
}

/// Removes column `pivot` of `row` with the help of `known`, which is 1 there.
fn subtract(row: &mut [u64], known: &[u64], pivot: usize, prime: u64) {
    let factor = prime - row[pivot];
    if factor == prime {
        return;
    }
    for (x, &y) in row.iter_mut().zip(known) {
        *x = ((u128::from(*x) + u128::from(factor) * u128::from(y)) % u128::from(prime)) as u64;
    }
}

fn times(a: u64, b: u64, prime: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(prime)) as u64
}

/// Fermat: `a^(prime - 2)`.
fn inverse_modulo(a: u64, prime: u64) -> u64 {
    let (mut result, mut base, mut exponent) = (1, a, prime - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, base, prime);
        }
        base = times(base, base, prime);
        exponent >>= 1;
    }
    result
}

/// `d' V^-1 d` for a positive definite `V` `[r, r]`, by symmetric elimination.
pub(super) fn quadratic(mut v: Vec<Vec<Double>>, mut d: Vec<Double>) -> Double {
    let mut total = Double::ZERO;
    for step in 0..d.len() {
        let known = v[step].clone();
        let pivot = known[step];
        total += d[step] * d[step] / pivot;
        for row in step + 1..d.len() {
            let factor = v[row][step] / pivot;
            d[row] = d[row] - factor * d[step];
            v[row].iter_mut().zip(&known).for_each(|(x, &y)| *x = *x - factor * y);
        }
    }
    total
}

/// `d' V^-1 d` as a function of `d`, in `f64` for many evaluations: the indices of `d` that count
/// and the inverse on them, `[r, r]`.
#[derive(Clone, Debug)]
pub(super) struct Form {
    index: Vec<usize>,
    inverse: Vec<f64>,
}

impl Form {
    /// The form of a positive definite `v`, whose rows belong to the entries `index` of `d`.
    pub(super) fn new(index: Vec<usize>, v: &[Vec<Double>]) -> Self {
        let r = index.len();
        let unit = |i: usize| (0..r).map(move |j| Double::from(i64::from(i == j)));
        let mut rows: Vec<Vec<Double>> = v
            .iter()
            .enumerate()
            .map(|(i, row)| row.iter().copied().chain(unit(i)).collect())
            .collect();
        for step in 0..r {
            let pivot = rows[step][step];
            rows[step].iter_mut().for_each(|x| *x = *x / pivot);
            let known = rows[step].clone();
            for row in (0..r).filter(|&row| row != step) {
                let factor = rows[row][step];
                for (x, &y) in rows[row].iter_mut().zip(&known) {
                    *x = *x - factor * y;
                }
            }
        }
        let inverse = rows.iter().flat_map(|row| row[r..].iter().map(|x| x.value())).collect();
        Form { index, inverse }
    }

    /// The form's value at `d`, which is given in full length.
    pub(super) fn at(&self, d: &[f64]) -> f64 {
        let r = self.index.len();
        let mut total = 0.0;
        for (row, &i) in self.inverse.chunks_exact(r.max(1)).zip(&self.index) {
            let inner: f64 = row.iter().zip(&self.index).map(|(m, &j)| m * d[j]).sum();
            total += inner * d[i];
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_exact() {
        let rows = [vec![1i64, -1, 0], vec![2, -2, 0], vec![0, 1, -1], vec![1, 0, -1]];
        let rank = |rows: &[Vec<i64>]| pivots(rows.iter().map(Vec::as_slice), rows[0].len()).len();
        assert_eq!((rank(&rows), rank(&rows[..2]), rank(&[vec![0, 0]])), (2, 1, 0));
        // Linearly dependent but for one unit in 10^12, which a numeric tolerance would miss.
        let large = 1_000_000_000_000;
        assert_eq!(rank(&[vec![large, large + 1, -2 * large - 1], vec![1, 1, -2]]), 2);
        assert!(pivots(std::iter::empty(), 5).is_empty());
        // A multiple of one prime is not 0, nor is a row whose first entry is one.
        let prime = PRIMES[0] as i64;
        assert_eq!(rank(&[vec![prime, -prime, 0], vec![0, prime, -prime]]), 2);
    }

    #[test]
    fn forms_agree() {
        let number = |x: i64| Double::from(x);
        let v = vec![vec![number(4), number(1)], vec![number(1), number(3)]];
        let direct = quadratic(v.clone(), vec![number(2), number(-1)]).value();
        assert!((direct - (12.0 + 4.0 + 4.0) / 11.0).abs() < 1e-15);
        let form = Form::new(vec![0, 2], &v);
        assert!((form.at(&[2.0, 99.0, -1.0]) - direct).abs() < 1e-15);
        assert_eq!(Form::new(vec![], &[]).at(&[1.0]), 0.0);
    }
}
