//! `concat-mode`, `cube-chunksize` and `keep-subcubes`.

use super::Parameters;
use crate::{
    cube::{ConcatMode, Format, Subcubes},
    error::{Error, Result},
};

/// Channels of a subcube where none are given: few files, and few channels to be lost with one.
const AUTOMATIC: usize = 64;

/// How subcubes become one cube; `None`: there are none, planes go to their places in the cube.
pub(super) fn subcubes(p: &Parameters, formats: &[Format]) -> Result<Option<Subcubes>> {
    let choices = [
        ("auto", None),
        ("direct", None),
        ("paged", Some(ConcatMode::Paged)),
        ("virtual", Some(ConcatMode::Virtual)),
        ("movevirtual", Some(ConcatMode::MoveVirtual)),
    ];
    let (word, keep) = (p.text("concat-mode"), p.flag("keep-subcubes")?);
    let mode = match p.choice("concat-mode", &choices)? {
        None if word == "auto" && keep => Some(ConcatMode::Virtual),
        mode => mode,
    };
    let refuse = |name: &str, problem: &str, remedy: &str| {
        Err(Error::parameter(name, p.text(name), problem, remedy))
    };
    let channels = super::limit(p, "cube-chunksize", 1)?;
    let Some(mode) = mode else {
        if keep || channels.is_some() {
            let name = if keep { "keep-subcubes" } else { "cube-chunksize" };
            let problem = "concerns subcubes, and there are none: planes go straight to their places in the cube";
            return refuse(
                name,
                problem,
                "leave it out, or give --concat-mode paged, virtual or movevirtual",
            );
        }
        return Ok(None);
    };
    if formats != [Format::Casa] {
        let problem = "makes CASA images, and --format asks for FITS";
        return refuse("concat-mode", problem, "use --concat-mode direct, or --format casa");
    }
    if keep && mode == ConcatMode::MoveVirtual {
        let problem = "cannot be: movevirtual moves them into the cube";
        return refuse("keep-subcubes", problem, "use --concat-mode virtual, or paged");
    }
    Ok(Some(Subcubes { mode, channels: channels.unwrap_or(AUTOMATIC), keep }))
}
