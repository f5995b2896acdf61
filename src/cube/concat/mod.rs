//! Concatenation of CASA images along their spectral axis, ours or others', as one image.
//!
//! - *paged*: a self-contained cube; planes are copied, in parallel, synced and read back before it gets its
//!   name. Inputs are never touched.
//! - *virtual*: an image that refers to the inputs (CASA's ConcatImage, `imageconcat.json`), which stay where
//!   they are.
//! - *movevirtual*: the same, and the inputs are renamed into it. A run that is interrupted is taken up again by
//!   the same command.
//!
//! Inputs may come in any order. Together they must make one regular spectral axis, on one sky grid, with the
//! same Stokes planes, unit, rest frequency and frame, all or none with masks and with beams.

mod paged;
mod parts;
mod refer;

use std::path::{Path, PathBuf};

use parts::Parts;

use crate::error::{Error, Result};

/// How images become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConcatMode {
    /// Copied.
    Paged,
    /// Referred to.
    Virtual,
    /// Renamed into it.
    MoveVirtual,
}

/// Makes `out` of `inputs`. `command` is for the history of a copied cube.
///
/// # Errors
/// [`Error::Exists`] if `out` is there and is not to be replaced; [`Error::Data`] for an input that is no CASA
/// image or does not fit the others; [`Error::Io`] if the system refuses.
pub fn concat(
    mode: ConcatMode,
    out: &Path,
    inputs: &[PathBuf],
    overwrite: bool,
    command: &str,
) -> Result<PathBuf> {
    if inputs.is_empty() {
        return Err(Error::parameter("IN", "", "names no image", "name the images to be made one"));
    }
    super::checked_name(out)?;
    match mode {
        ConcatMode::Paged => paged::copy(out, &Parts::open(inputs, out)?, overwrite, command),
        ConcatMode::Virtual => refer::refer(out, &Parts::open(inputs, out)?, overwrite),
        ConcatMode::MoveVirtual => refer::take_in(out, inputs, overwrite),
    }
}
