//! What both backends need of gridding, computed once on the host in f64: the convolution function,
//! padding, uv tiles and bins, and the expansion of the w-term.

mod bins;
mod kernel;
mod plan;
mod samples;
mod uv_grid;
mod wterm;

pub use bins::{Bins, Cell};
pub use kernel::{Kernel, SUPPORTS};
pub use plan::{OperatorOptions, OperatorPlan, Pointing, Precision, WTermMode};
pub use samples::{SortedLayer, batch_channel, of_channel};
pub use uv_grid::{UvGrid, good_size};
pub use wterm::{Pass, Term, WTerm, n_minus_1};
