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

use crate::{
    cube::staging::incomplete,
    error::{Error, Result},
};

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

/// What is asked between planes: an error ends the work.
pub type Stop<'a> = dyn Fn() -> Result<()> + Sync + 'a;

/// How images are to be made one.
#[derive(Clone, Copy)]
pub struct Concat<'a> {
    /// Copied, referred to, or renamed.
    pub mode: ConcatMode,
    /// Whether an image that has the result's name may be replaced.
    pub overwrite: bool,
    /// For the history of a copied cube.
    pub command: &'a str,
    /// Whether to go on; asked between planes.
    pub stop: &'a Stop<'a>,
}

impl Concat<'_> {
    /// Makes `out` of `inputs`. However it ends, the planes of all inputs are there, under their own names or
    /// within `out`.
    ///
    /// # Errors
    /// [`Error::Exists`] if `out` is there and is not to be replaced; [`Error::Data`] for an input that is no CASA
    /// image or does not fit the others; [`Error::Io`] if the system refuses; what `stop` gives.
    pub fn run(&self, out: &Path, inputs: &[PathBuf]) -> Result<PathBuf> {
        if inputs.is_empty() {
            let remedy = "name the images to be made one";
            return Err(Error::parameter("IN", "", "names no image", remedy));
        }
        super::checked_name(out)?;
        match self.mode {
            ConcatMode::Paged => paged::copy(out, &Parts::open(inputs, out)?, self),
            ConcatMode::Virtual => refer::refer(out, &Parts::open(inputs, out)?, self.overwrite),
            ConcatMode::MoveVirtual => refer::take_in(out, inputs, self.overwrite),
        }
    }
}

/// Refuses, unless it may be replaced, a result that is there already, or what an interrupted run left of it.
fn check_free(out: &Path, overwrite: bool) -> Result<()> {
    let refuse = |path: PathBuf, remedy: &str| Err(Error::Exists { path, remedy: remedy.into() });
    let temporary = incomplete(out);
    match overwrite {
        true => Ok(()),
        false if out.is_symlink() || out.exists() => {
            refuse(out.to_owned(), "give --overwrite to replace it, or another name for OUT")
        }
        false if temporary.exists() => {
            refuse(temporary, "an interrupted run left it: give --overwrite to start anew")
        }
        false => Ok(()),
    }
}
