//! The summary of a run, from what its rooms report.

use crate::{
    beam::Beam,
    clean::{ChannelClean, MinorRecord},
    config::{Config, CycleControl},
    error::{Error, Result},
    report::{ChannelSummary, Control, MinorCycle, Summary},
    spectral::Sampling,
};

/// What a channel came to.
pub(super) fn channel(
    result: &ChannelClean,
    sampling: &Sampling,
    sumwt: f64,
    (restoring_beam, common_beam_outlier, rms, peak): (Option<Beam>, bool, f64, f64),
    calcres: bool,
) -> ChannelSummary {
    ChannelSummary {
        channel: result.channel,
        freq_hz: sampling.grid().freq_hz(result.channel),
        sumwt,
        beam: result.beam.as_ref().ok().copied(),
        restoring_beam,
        common_beam_outlier,
        sidelobe_level: result.sidelobe_level,
        rms,
        peak,
        stopcode: result.stop.code(),
        // tclean counts the first residual too, if it was made.
        nmajordone: result.majors + usize::from(calcres),
        rollback: result.rollback,
        minor: result.minor.iter().map(minor_cycle).collect(),
    }
}

fn minor_cycle(record: &MinorRecord) -> MinorCycle {
    MinorCycle {
        start_iter_done: record.start_iter_done,
        cycle_start_iter: record.cycle_start_iter,
        iter_done: record.iter_done,
        start_peak_res: f64::from(record.start_peak_res),
        peak_res: f64::from(record.peak_res),
        start_peak_res_nm: f64::from(record.start_peak_res_nm),
        peak_res_nm: f64::from(record.peak_res_nm),
        start_model_flux: record.start_model_flux,
        model_flux: record.model_flux,
        cycle_thresh: f64::from(record.cycle_thresh),
        masksum: record.masksum,
        stopcode: record.stop.map_or(0, |s| s.code()),
    }
}

/// Writes the summary of a complete cube where it is asked for.
pub(super) fn write(config: &Config, summary: &Summary) -> Result<()> {
    let Some(path) = &config.summary else { return Ok(()) };
    let text = format!("{:#}\n", summary.to_json());
    std::fs::write(path, text).map_err(|e| Error::io("write", path, e))
}

/// Iteration control as asked for.
pub(super) fn control(config: &Config) -> Control {
    Control {
        niter: config.niter,
        cycleniter: config.cycleniter,
        gain: config.gain,
        threshold: config.threshold,
        nsigma: config.nsigma,
        cyclefactor: config.cyclefactor,
        minpsffraction: config.minpsffraction,
        maxpsffraction: config.maxpsffraction,
        cube: config.cyclecontrol == CycleControl::Cube,
        divergence_retries: config.divergence_retries,
    }
}
