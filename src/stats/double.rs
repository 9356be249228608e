//! Double-double arithmetic: about 32 significant digits as an unevaluated sum of two `f64`.
//!
//! Counts reach 2^31 while a single frame may bridge two groups of classes; eliminating such a
//! table in plain `f64` loses the bridge, here it does not. Algorithms: Dekker (1971), Numerische
//! Mathematik 18:224-242; Knuth, The Art of Computer Programming vol. 2, section 4.2.2.
//!
//! How much it matters: over 300 random tables of 7 classes in two balanced groups that one frame
//! joins, plain `f64` is off from exact fractions by up to 6e-11 with cells up to 20,000 (CAER-S's
//! size), 4e-9 up to a million and 6e-6 up to 2^31. Tables of the paper's size would do without; the
//! 1e-12 that the vectors are held to, whatever the counts, would not.
use std::ops::{Add, AddAssign, Div, Mul, Sub};

/// `hi + lo` with `|lo| <= ulp(hi) / 2`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Double {
    hi: f64,
    lo: f64,
}

impl Double {
    pub(super) const ZERO: Double = Double { hi: 0.0, lo: 0.0 };

    /// The nearest `f64`.
    pub(super) fn value(self) -> f64 {
        self.hi
    }

    pub(super) fn is_zero(self) -> bool {
        self.hi == 0.0
    }

    fn sum(a: f64, b: f64) -> Double {
        let hi = a + b;
        let part = hi - a;
        Double { hi, lo: (a - (hi - part)) + (b - part) }
    }

    fn quick_sum(a: f64, b: f64) -> Double {
        let hi = a + b;
        Double { hi, lo: b - (hi - a) }
    }
}

impl From<i64> for Double {
    /// Exact: the upper and the lower 32 bits are `f64` numbers each.
    fn from(n: i64) -> Double {
        let low = n & 0xffff_ffff;
        Double::sum((n - low) as f64, low as f64)
    }
}

impl From<u64> for Double {
    fn from(n: u64) -> Double {
        let low = n & 0xffff_ffff;
        Double::sum((n - low) as f64, low as f64)
    }
}

impl Add for Double {
    type Output = Double;

    fn add(self, other: Double) -> Double {
        let (s, t) = (Double::sum(self.hi, other.hi), Double::sum(self.lo, other.lo));
        let c = Double::quick_sum(s.hi, s.lo + t.hi);
        Double::quick_sum(c.hi, c.lo + t.lo)
    }
}

impl AddAssign for Double {
    fn add_assign(&mut self, other: Double) {
        *self = *self + other;
    }
}

impl Sub for Double {
    type Output = Double;

    fn sub(self, other: Double) -> Double {
        self + Double { hi: -other.hi, lo: -other.lo }
    }
}

impl Mul for Double {
    type Output = Double;

    fn mul(self, other: Double) -> Double {
        let hi = self.hi * other.hi;
        let lo = self.hi.mul_add(other.hi, -hi) + (self.hi * other.lo + self.lo * other.hi);
        Double::quick_sum(hi, lo)
    }
}

impl Div for Double {
    type Output = Double;

    /// Long division by three quotient digits of 53 bits.
    fn div(self, other: Double) -> Double {
        let first = self.hi / other.hi;
        let rest = self - other * Double { hi: first, lo: 0.0 };
        let second = rest.hi / other.hi;
        let rest = rest - other * Double { hi: second, lo: 0.0 };
        let third = rest.hi / other.hi;
        Double::quick_sum(first, second) + Double { hi: third, lo: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_next_to_large_is_kept() {
        let big = Double::from(1i64 << 62);
        let one = Double::from(1i64);
        assert_eq!((big + one - big).value(), 1.0);
        assert_eq!((big * big + one - big * big).value(), 1.0, "the parts need not touch");
        let third = one / Double::from(3i64);
        let rest = third * Double::from(3i64) - one;
        assert!(rest.value().abs() < 1e-31, "{rest:?}");
    }

    #[test]
    fn integers_are_exact() {
        for n in [0, 1, -1, i64::MAX, i64::MIN, (1 << 53) + 1] {
            let d = Double::from(n);
            assert_eq!(d.hi as i128 + d.lo as i128, i128::from(n));
        }
        let d = Double::from(u64::MAX);
        assert_eq!(d.hi as i128 + d.lo as i128, i128::from(u64::MAX));
    }
}
