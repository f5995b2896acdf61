//! What both backends need of gridding, computed once on the host in f64: the convolution function,
//! padding, uv tiles and bins, and the expansion of the w-term.

mod plan;

pub use plan::{OperatorOptions, OperatorPlan, Pointing, WTermMode};
