//! `--preset`: the mask parameters of the ALMA pipeline's cube imaging, by array and configuration.
//!
//! The configurations of the 12 m array are told apart by the 75th percentile of their baselines' lengths:
//! below 300 m, 300 to 400 m, above. `growiterations` is set where the pipeline's table has it; otherwise
//! it stays at tclean's default.

use super::parameters::{Parameters, choice_of};
use crate::error::Result;

/// Names and values of a preset.
type Values = [(&'static str, &'static str)];

/// What the pipeline sets in every call for a cube.
const ALWAYS: &Values =
    &[("usemask", "auto-multithresh"), ("minpercentchange", "1.0"), ("dogrowprune", "True")];

/// The presets that there are, with what differs between them.
const PRESETS: [(&str, &Values); 4] = [
    (
        "alma-12m-short",
        &[
            ("sidelobethreshold", "2.0"),
            ("noisethreshold", "4.25"),
            ("lownoisethreshold", "1.5"),
            ("minbeamfrac", "0.3"),
            ("negativethreshold", "15.0"),
            ("growiterations", "50"),
            ("fastnoise", "False"),
        ],
    ),
    (
        "alma-12m-mid",
        &[
            ("sidelobethreshold", "2.0"),
            ("noisethreshold", "5.0"),
            ("lownoisethreshold", "1.5"),
            ("minbeamfrac", "0.3"),
            ("negativethreshold", "7.0"),
            ("fastnoise", "False"),
        ],
    ),
    (
        "alma-12m-long",
        &[
            ("sidelobethreshold", "2.5"),
            ("noisethreshold", "5.0"),
            ("lownoisethreshold", "1.5"),
            ("minbeamfrac", "0.3"),
            ("negativethreshold", "7.0"),
            ("fastnoise", "True"),
        ],
    ),
    (
        "alma-7m",
        &[
            ("sidelobethreshold", "1.25"),
            ("noisethreshold", "5.0"),
            ("lownoisethreshold", "2.0"),
            ("minbeamfrac", "0.1"),
            ("negativethreshold", "0.0"),
            ("growiterations", "75"),
            ("fastnoise", "False"),
        ],
    ),
];

impl Parameters {
    /// What was given, and what its `preset` gives besides: a parameter that was given itself goes before
    /// the preset's.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for a preset that does not exist, naming those that do.
    pub fn with_preset(&self) -> Result<Self> {
        let name = self.text("preset");
        if name.is_empty() {
            return Ok(self.clone());
        }
        let chosen = choice_of("preset", name, &PRESETS)?;
        let mut parameters = Self::default();
        for (name, value) in ALWAYS.iter().chain(chosen) {
            parameters.set(name, *value)?;
        }
        parameters.overlay(self);
        Ok(parameters)
    }
}
