//! The same loops for two kinds of machines: with what every one has, and with AVX2.
//!
//! A body is written once, as plain Rust over slices, and compiled for both. Rust never contracts a
//! product and a sum nor changes the order of a sum, so both give the same bits.

/// The instructions to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lanes {
    /// What the compiler may take for granted.
    Plain,
    /// 256 bits at once.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
}

/// Proof that this machine has AVX2, and perhaps more.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx2(Option<Vbmi>);

/// Proof that this machine looks bytes up in registers of 64.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vbmi(());

impl Lanes {
    /// The proof of more than AVX2.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn vbmi(self) -> Option<Vbmi> {
        match self {
            Lanes::Plain => None,
            Lanes::Avx2(Avx2(vbmi)) => vbmi,
        }
    }

    /// The widest that this machine has.
    pub(super) fn widest() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") {
            let has_vbmi = std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512vbmi");
            return Lanes::Avx2(Avx2(has_vbmi.then_some(Vbmi(()))));
        }
        Lanes::Plain
    }

    /// All that this machine has.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Lanes::Plain, Lanes::widest()];
        #[cfg(target_arch = "x86_64")]
        if let Lanes::Avx2(_) = Lanes::widest() {
            all.push(Lanes::Avx2(Avx2(None)));
        }
        all
    }
}

/// Defines functions `name(lanes, arguments...)` whose body is compiled once for each kind of
/// [`Lanes`].
macro_rules! for_all_lanes {
    ($($(#[$meta:meta])* fn $name:ident($($argument:tt: $type:ty),* $(,)?) $body:block)*) => {$(
        $(#[$meta])*
        fn $name(lanes: $crate::face::seeta::lanes::Lanes, $($argument: $type),*) {
            #[inline(always)]
            fn body($($argument: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2($($argument: $type),*) {
                body($($argument),*)
            }

            match lanes {
                $crate::face::seeta::lanes::Lanes::Plain => body($($argument),*),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the value proves that the machine has AVX2.
                $crate::face::seeta::lanes::Lanes::Avx2(_) => unsafe { avx2($($argument),*) },
            }
        }
    )*};
}
pub(super) use for_all_lanes;
