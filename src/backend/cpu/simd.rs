//! Runtime choice of the processor's vector instructions.

/// Work that profits from wide vectors. A trait and not a closure: the compiler may leave a closure outside
/// of the function that has the wider instructions, and then compiles it without them.
pub trait Vectorised {
    /// What it gives.
    type Output;
    /// Does it. Implementations, and what they call in their loops, are to be `#[inline(always)]`.
    fn run(self) -> Self::Output;
}

/// Does `work` compiled for AVX2 where the processor has it, otherwise for the build's target.
///
/// Only the width of vectors changes, not the rounding: products and sums are not fused, so bits are the
/// same on every processor.
#[inline(always)]
pub fn vectorised<W: Vectorised>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2<W: Vectorised>(work: W) -> W::Output {
            work.run()
        }
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, as was just checked.
            return unsafe { with_avx2(work) };
        }
    }
    work.run()
}
