//! The whole job, from top to bottom.

use crate::{
    config::Config,
    error::{Error, Result},
    report::{Progress, Summary},
};

/// Images a MeasurementSet as `config` says, and writes the products.
///
/// # Errors
/// Whatever stands in the way, before anything is written where possible;
/// [`Error::Stopped`] after a signal.
pub fn image(config: &Config, _progress: &dyn Progress) -> Result<Summary> {
    Err(Error::data(&config.vis, "imaging", "is not built yet", "wait for it"))
}
