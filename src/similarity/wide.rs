//! Loops over plain lists, compiled a second time for registers of 32 bytes.

/// Functions that take the machine's AVX2 where it has it; the numbers are the same, since products and
/// sums are never one instruction.
macro_rules! widened {
    ($($(#[$about:meta])* fn $name:ident $(<const $n:ident: usize>)? ($($word:ident: $type:ty),* $(,)?) $body:block)*) => {$(
        $(#[$about])*
        fn $name $(<const $n: usize>)? ($($word: $type),*) {
            #[inline(always)]
            fn plain $(<const $n: usize>)? ($($word: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn wide $(<const $n: usize>)? ($($word: $type),*) {
                    plain($($word),*);
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the machine has the instructions.
                    return unsafe { wide($($word),*) };
                }
            }
            plain($($word),*);
        }
    )*};
}
pub(super) use widened;
