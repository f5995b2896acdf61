//! The multiscale minor cycle (Cornwell 2008, IEEE JSTSP 2, 793): what both backends share.
//!
//! With `m_α` the component shape of scale α, `r` the residual and `p` the PSF, a cycle works on the
//! residual of each scale `r_α = r ⊗ m_α` and knows how a component of scale α changes that of scale β:
//! by `p_αβ = p ⊗ m_α ⊗ m_β`. These are made here, on the host, once a cycle ([`Tracked::prepare`]); the
//! iterations run on the backend. Each of them:
//!
//! 1. finds, for each scale, the pixel of largest |r_α| among those where such a component may lie
//!    ([`Tracked::masks`]); its *strength* `s = r_α/p_αα(0)` is the flux that would explain it;
//! 2. takes the scale whose `s·r_α·bias(α)` is largest, `bias(α) = 1 − smallscalebias·α/α_max`: without
//!    bias that is the component that lowers the sum of squares in the uv plane most. (What is compared
//!    is its root, `|r_α|·weight`, so that it cannot underflow.);
//! 3. ends if |s| is not above the threshold, or max_iter is reached;
//! 4. adds `gain·s·m_α` to the model, and subtracts `gain·s·p_αβ`, shifted, from all residuals.
//!
//! All of this was measured on tclean (casatasks 6.7): on equal planes, models equal its own within
//! single precision over hundreds of components. Three things differ. tclean counts the iteration that
//! finds nothing left to do. It ends a cycle when |s| exceeds 1.5 times the first one's, so also
//! when a wider scale is merely chosen for the first time; here a cycle ends when it diverges: when the
//! compared value exceeds 1.5 times its least so far. And it never places points on the outermost
//! frame of pixels.

mod prepare;
mod shape;

pub(crate) use prepare::{Prepared, Response, Tracked, has_room, host_bytes, pair_count};
pub(crate) use shape::Shape;

/// Growth of the compared value, relative to its least, that ends a cycle, as tclean has it.
pub(crate) const DIVERGENCE: f32 = 1.5;

/// The least of the compared values before there is any: finite times [`DIVERGENCE`].
pub(crate) const UNBOUNDED: f32 = f32::MAX / 2.0;
