//! The plan of an operator: everything that does not depend on the visibilities' values.

use crate::{
    error::Result,
    geometry::{Direction, ImageGrid},
    ms::Rows,
};

/// How the w-term is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WTermMode {
    /// Part of the operator, to the accuracy asked for.
    #[default]
    Exact,
    /// Left out, as tclean's 2-D gridding does.
    None,
}

/// What a user chooses of the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OperatorOptions {
    /// Largest error of a dirty image anywhere in it, relative to its peak, against an exact DFT.
    pub accuracy: f64,
    /// Treatment of the w-term.
    pub wterm: WTermMode,
}

/// A direction that antennas pointed at, and the rows that belong to it. One for now; a mosaic has
/// several, each with its own phase gradient and beam.
#[derive(Clone, Debug, PartialEq)]
pub struct Pointing {
    /// Where the antennas pointed.
    pub direction: Direction,
}

/// Kernel, padded grid, bins and w-term passes of one image grid and one set of rows.
///
/// It is made for the whole planned cube (`freq_range`), also where a process images a part of it,
/// so that no result depends on batches.
#[derive(Debug)]
pub struct OperatorPlan {
    /// The image grid.
    pub image: ImageGrid,
}

impl OperatorPlan {
    /// Plans the operator for `rows` observed at `freq_range_hz` (lowest and highest observed
    /// frequency of any sample of the whole cube).
    pub fn new(
        _image: &ImageGrid,
        _rows: &Rows,
        _freq_range_hz: (f64, f64),
        _pointings: &[Pointing],
        _options: OperatorOptions,
    ) -> Result<Self> {
        unimplemented!("operators room")
    }
}
