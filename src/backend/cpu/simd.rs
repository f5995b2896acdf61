//! Runtime choice of the processor's vector instructions.

/// Runs `work` compiled for AVX2 where the processor has it, otherwise for the build's target.
///
/// `work` and what it calls must be inlined to profit. Only the width of vectors changes, not the
/// rounding: products and sums are not fused, so bits are the same on every processor.
#[inline(always)]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, as was just checked.
            return unsafe { with_avx2(work) };
        }
    }
    work()
}
