//! Many tests at once.
use serde::{Deserialize, Serialize};

use super::tail::PValue;

/// A p-value adjusted for all tests of its family.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adjusted {
    /// Holm's: controls the chance of any false rejection.
    pub holm: PValue,
    /// Benjamini and Hochberg's: controls the expected share of false rejections.
    pub bh: PValue,
}

/// Both adjustments, in the order of `p`.
pub fn adjust(p: &[PValue]) -> Vec<Adjusted> {
    let pairs = holm(p).into_iter().zip(benjamini_hochberg(p));
    pairs.map(|(holm, bh)| Adjusted { holm, bh }).collect()
}

/// Holm's step-down adjustment. Holm (1979), Scandinavian Journal of Statistics 6:65-70.
pub fn holm(p: &[PValue]) -> Vec<PValue> {
    let mut adjusted = p.to_vec();
    let mut running: Option<PValue> = None;
    for (rank, &i) in ascending(p).iter().enumerate() {
        let stepped = p[i].times((p.len() - rank) as f64);
        let value = running.filter(|r| r.log10() > stepped.log10()).unwrap_or(stepped);
        running = Some(value);
        adjusted[i] = value;
    }
    adjusted
}

/// The step-up adjustment of Benjamini and Hochberg (1995), Journal of the Royal Statistical
/// Society B 57:289-300; valid under independence and positive dependence.
pub fn benjamini_hochberg(p: &[PValue]) -> Vec<PValue> {
    let mut adjusted = p.to_vec();
    let mut running = PValue::ONE;
    for (rank, &i) in ascending(p).iter().enumerate().rev() {
        let stepped = p[i].times(p.len() as f64 / (rank + 1) as f64);
        if stepped.log10() < running.log10() {
            running = stepped;
        }
        adjusted[i] = running;
    }
    adjusted
}

/// Indices by ascending p-value, by logarithm so that underflowed values keep their order.
fn ascending(p: &[PValue]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].log10().total_cmp(&p[b].log10()));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_six_p_values() {
        // Table 5 of the paper; Holm by hand.
        let p = [3.0e-2, 1.69e-14, 1.38e-53, 1.33e-10, 3.33e-14, 2.81e-38].map(PValue::new);
        let want = [3.0e-2, 6.76e-14, 8.28e-53, 2.66e-10, 9.99e-14, 1.405e-37];
        for (got, want) in holm(&p).iter().zip(want) {
            assert!((got.p() / want - 1.0).abs() < 1e-12, "{got} {want}");
        }
    }

    #[test]
    fn order_survives_underflow() {
        let p = [PValue::from_ln(-3000.0), PValue::from_ln(-2000.0)];
        let holm = holm(&p);
        assert!(holm[0].log10() < holm[1].log10() && holm[0].log10() > p[0].log10());
        assert!(adjust(&[]).is_empty());
    }
}
