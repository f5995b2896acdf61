//! The summary of a run: tclean's return dictionary, and what each channel came to.

use std::{fmt::Write as _, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Performance,
    notes::{kept, rollback_json},
};
use crate::{
    backend::{Cargo, Clock, Traffic},
    beam::Beam,
    clean::Rollback,
};

/// What a run did.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The equivalent command.
    pub command: String,
    /// Iteration control as asked for.
    pub control: Control,
    /// Every image channel, in order; of a cube that is not complete, those of this process.
    pub channels: Vec<ChannelSummary>,
    /// Channels of the cube that other processes have still to image; empty if one of them is completing
    /// it. `None`: the cube is complete.
    pub unfinished: Option<Vec<usize>>,
    /// What the run took of the machine.
    pub resources: Resources,
    /// Products written.
    pub products: Vec<PathBuf>,
    /// Where time, memory and bytes went.
    pub performance: Performance,
}

/// Iteration control as asked for; tclean's return dictionary repeats it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Control {
    /// Per channel, or of the cube with `cube`.
    pub niter: usize,
    /// `None`: niter alone.
    pub cycleniter: Option<usize>,
    /// Loop gain.
    pub gain: f64,
    /// Jy/beam.
    pub threshold: f64,
    /// In units of the noise.
    pub nsigma: f64,
    /// Factor of the sidelobe level.
    pub cyclefactor: f64,
    /// Lower limit of the PSF fraction.
    pub minpsffraction: f64,
    /// Upper limit of the PSF fraction.
    pub maxpsffraction: f64,
    /// One control for all channels.
    pub cube: bool,
    /// Attempts from the best model where the peak grows; `None`: tclean's bare stop.
    pub divergence_retries: Option<usize>,
}

/// What a channel came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ChannelSummary {
    /// Index in the cube.
    pub channel: usize,
    /// Centre frequency in the cube's frame, Hz.
    pub freq_hz: f64,
    /// Sum of imaging weights; 0: a channel without data.
    pub sumwt: f64,
    /// The PSF's fitted beam.
    pub beam: Option<Beam>,
    /// Beam of the restored image, if there is one.
    pub restoring_beam: Option<Beam>,
    /// Whether its beam was left out of the common beam, so that its restored image is blank.
    pub common_beam_outlier: bool,
    /// Sidelobe level of the PSF.
    pub sidelobe_level: f64,
    /// Noise of the final residual: 1.4826 × median absolute deviation inside the primary beam, Jy/beam.
    pub rms: f64,
    /// Largest value of the restored image, Jy/beam.
    pub peak: f64,
    /// tclean's stop code: [`stop_description`].
    pub stopcode: u8,
    /// Major cycles, the first residual included.
    pub nmajordone: usize,
    /// What was given up because the peak residual had grown.
    pub rollback: Option<Rollback>,
    /// Minor cycles in order, of what was kept; for a dirty cube one with no iterations.
    pub minor: Vec<MinorCycle>,
}

/// One minor cycle of one channel.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct MinorCycle {
    /// Components of this channel before the cycle.
    pub start_iter_done: usize,
    /// Components under the same control before the cycle began on its first channel.
    pub cycle_start_iter: usize,
    /// Components of the cycle.
    pub iter_done: usize,
    /// Largest |residual| in the mask before, Jy/beam.
    pub start_peak_res: f64,
    /// The same after.
    pub peak_res: f64,
    /// Largest |residual| anywhere before, Jy/beam.
    pub start_peak_res_nm: f64,
    /// The same after.
    pub peak_res_nm: f64,
    /// Flux of the model before, Jy.
    pub start_model_flux: f64,
    /// The same after.
    pub model_flux: f64,
    /// Level the cycle went down to, Jy/beam.
    pub cycle_thresh: f64,
    /// Pixels of the mask.
    pub masksum: usize,
    /// Why the cycle ended: 1 iterations, 2 threshold.
    pub stopcode: u8,
}

/// What a run took of the machine.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// "cpu, 8 threads"
    pub backend: String,
    /// Why it was this one.
    pub backend_reason: String,
    /// What crossed between host and devices; `None` where the planes live in the host's memory.
    pub bus: Option<Bus>,
    /// Wall time, s.
    pub seconds: f64,
    /// Stages by name, s, in the order of the flow. Summed over threads that work at the same time, so
    /// they may add up to more than the wall time.
    pub stages: Vec<(String, f64)>,
    /// What the times of the backend's stages are.
    pub clock: Clock,
    /// Bytes read from the MeasurementSet.
    pub bytes_read: u64,
    /// Bytes of pixels and masks written to products; parts that are zero are not written.
    pub bytes_written: u64,
    /// Bytes that the finished products take on disk.
    pub bytes_on_disk: u64,
    /// Largest resident set size of the process, bytes.
    pub peak_rss: u64,
    /// Most bytes in use on any device; `None` where the planes live in the host's memory.
    pub peak_device: Option<u64>,
}

/// Bytes that crossed between host and devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bus {
    /// In all.
    pub total: Traffic,
    /// Between the dirty images and the end of clean.
    pub clean: Traffic,
}

/// tclean's words for its stop codes.
pub fn stop_description(code: u8) -> &'static str {
    match code {
        0 => "global stopping criterion not reached",
        1 => "iteration limit",
        2 => "threshold",
        3 => "force stop",
        4 => "no change in peak residual across two major cycles",
        5 => "peak residual increased by more than 3 times from the previous major cycle",
        6 => "peak residual increased by more than 3 times from the minimum reached",
        7 => "zero mask",
        8 => "any combination of n-sigma and other valid exit criterion",
        9 => "reached nmajor",
        _ => "unknown",
    }
}

impl Summary {
    /// Clean components of all channels.
    pub fn iterdone(&self) -> usize {
        self.channels.iter().flat_map(|c| &c.minor).map(|m| m.iter_done).sum()
    }

    /// Most major cycles of any channel.
    pub fn nmajordone(&self) -> usize {
        self.channels.iter().map(|c| c.nmajordone).max().unwrap_or(0)
    }

    /// One stop code for the run: the channels' own where all agree, else that which asks most for
    /// attention (divergence first, then limits, then convergence).
    pub fn stopcode(&self) -> u8 {
        const MOST_URGENT_FIRST: [u8; 10] = [5, 6, 4, 1, 9, 8, 2, 7, 3, 0];
        let mut with_data = self.channels.iter().filter(|c| c.sumwt > 0.0);
        MOST_URGENT_FIRST
            .into_iter()
            .find(|code| with_data.clone().any(|c| c.stopcode == *code))
            .unwrap_or_else(|| with_data.next().map_or(0, |c| c.stopcode))
    }

    /// tclean's return dictionary, with the members `channels`, `resources`, `products` and
    /// `command`, and lists of the channels to look at, beside tclean's own.
    ///
    /// `summaryminor[field][channel][stokes]` holds one list entry per minor cycle. Where each
    /// channel is controlled alone, `summarymajor[k]` is the number of components of all channels
    /// after their k-th major cycle.
    pub fn to_json(&self) -> Value {
        let c = &self.control;
        let last = |f: fn(&MinorCycle) -> f64| {
            let of_channels = self.channels.iter().filter_map(|c| c.minor.last());
            of_channels.map(f).fold(0.0, f64::max)
        };
        let sidelobe = self.channels.iter().map(|c| c.sidelobe_level).fold(0.0, f64::max);
        let description = match self.control.niter {
            0 => "Zero iterations performed",
            _ => stop_description(self.stopcode()),
        };
        json!({
            "cleanstate": "running",
            "cyclefactor": c.cyclefactor,
            "cycleiterdone": 0,
            "cycleniter": c.cycleniter.unwrap_or(c.niter),
            "cyclethreshold": last(|m| m.cycle_thresh),
            "interactiveiterdone": 0,
            "interactivemode": false,
            "interactiveniter": 0,
            "interactivethreshold": 0.0,
            "iterdone": self.iterdone(),
            "loopgain": c.gain,
            "maxpsffraction": c.maxpsffraction,
            "maxpsfsidelobe": sidelobe,
            "minpsffraction": c.minpsffraction,
            "niter": c.niter,
            "nmajordone": self.nmajordone(),
            "nsigma": c.nsigma,
            "stopcode": self.stopcode(),
            "stopDescription": description,
            "summarymajor": self.summarymajor(),
            "summaryminor": { "0": self.summaryminor() },
            "threshold": c.threshold,
            "cyclecontrol": if c.cube { "cube" } else { "channel" },
            "divergence_retries": c.divergence_retries,
            "channels_without_data": self.channels_without_data(),
            "channels_rolled_back": self.channels_rolled_back(),
            "common_beam_outliers": self.common_beam_outliers(),
            "channels": self.channels.iter().map(ChannelSummary::to_json).collect::<Vec<_>>(),
            "resources": self.resources.to_json(),
            "products": self.products,
            "command": self.command,
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    fn summarymajor(&self) -> Vec<usize> {
        let after = |k: usize| -> usize {
            self.channels.iter().flat_map(|c| c.minor.iter().take(k)).map(|m| m.iter_done).sum()
        };
        (0..self.nmajordone()).map(after).collect()
    }

    fn summaryminor(&self) -> Value {
        let of_channel = |c: &ChannelSummary| {
            let list =
                |f: &dyn Fn(&MinorCycle) -> f64| -> Vec<f64> { c.minor.iter().map(f).collect() };
            json!({ "0": {
                "startIterDone": list(&|m| m.start_iter_done as f64),
                "iterDone": list(&|m| m.iter_done as f64),
                "startPeakRes": list(&|m| m.start_peak_res),
                "peakRes": list(&|m| m.peak_res),
                "startPeakResNM": list(&|m| m.start_peak_res_nm),
                "peakResNM": list(&|m| m.peak_res_nm),
                "startModelFlux": list(&|m| m.start_model_flux),
                "modelFlux": list(&|m| m.model_flux),
                "cycleThresh": list(&|m| m.cycle_thresh),
                "cycleStartIters": list(&|m| m.cycle_start_iter as f64),
                "masksum": list(&|m| m.masksum as f64),
                "stopCode": list(&|m| f64::from(m.stopcode)),
            }})
        };
        let map: Map<String, Value> =
            self.channels.iter().map(|c| (c.channel.to_string(), of_channel(c))).collect();
        Value::Object(map)
    }

    /// A short table for the end of a run: one line a channel, or the extremes of many.
    pub fn table(&self) -> String {
        const MOST_LINES: usize = 48;
        let mut text = format!(
            "{:>7} {:>14} {:>19} {:>10} {:>10} {:>7} {:>6}  {}\n",
            "channel",
            "frequency/GHz",
            "beam/arcsec, deg",
            "peak/mJy",
            "rms/mJy",
            "iter",
            "cycles",
            "stopped by"
        );
        for c in self.channels.iter().take(MOST_LINES) {
            if c.sumwt > 0.0 {
                let beam = c.restoring_beam.or(c.beam).map_or_else(String::new, beam_text);
                let iterations: usize = c.minor.iter().map(|m| m.iter_done).sum();
                let stop =
                    if self.control.niter == 0 { "niter=0" } else { stop_description(c.stopcode) };
                let back = c.rollback.as_ref().map(|r| format!("; rolled back: {}", kept(r)));
                let back = back.unwrap_or_default();
                let _ = writeln!(
                    text,
                    "{:>7} {:>14.6} {:>19} {:>10.3} {:>10.4} {:>7} {:>6}  {stop}{back}",
                    c.channel,
                    c.freq_hz / 1e9,
                    beam,
                    c.peak * 1e3,
                    c.rms * 1e3,
                    iterations,
                    c.nmajordone,
                );
            } else {
                let _ = writeln!(text, "{:>7} {:>14.6} no data", c.channel, c.freq_hz / 1e9);
            }
        }
        if self.channels.len() > MOST_LINES {
            let _ = writeln!(
                text,
                "    ... {} more; --summary FILE has all",
                self.channels.len() - MOST_LINES
            );
        }
        let r = &self.resources;
        let _ = write!(
            text,
            "{} components, {:.1} s on {}, {} read, {} written, at most {} of memory",
            self.iterdone(),
            r.seconds,
            r.backend,
            size_text(r.bytes_read),
            size_text(r.bytes_written),
            size_text(r.peak_rss),
        );
        if let Some(bytes) = r.peak_device {
            let _ = write!(text, " and {} of a device's", size_text(bytes));
        }
        if let Some(bus) = &r.bus {
            let both = |traffic: &Traffic| {
                let (to_device, to_host) = traffic.totals();
                format!("{} to the device, {} back", size_text(to_device), size_text(to_host))
            };
            let _ = write!(
                text,
                "\nbus: {}; between dirty image and end of clean {}",
                both(&bus.total),
                both(&bus.clean)
            );
        }
        text
    }
}

impl ChannelSummary {
    fn to_json(&self) -> Value {
        let iterdone: usize = self.minor.iter().map(|m| m.iter_done).sum();
        json!({
            "channel": self.channel,
            "freq_hz": self.freq_hz,
            "sumwt": self.sumwt,
            "beam": self.beam.map(beam_json),
            "restoring_beam": self.restoring_beam.map(beam_json),
            "common_beam_outlier": self.common_beam_outlier,
            "sidelobe_level": self.sidelobe_level,
            "rms_jy_per_beam": self.rms,
            "peak_jy_per_beam": self.peak,
            "iterdone": iterdone,
            "nmajordone": self.nmajordone,
            "stopcode": self.stopcode,
            "stopDescription": stop_description(self.stopcode),
            "rollback": self.rollback.as_ref().map(rollback_json),
        })
    }
}

impl Resources {
    fn to_json(&self) -> Value {
        let stages: Map<String, Value> =
            self.stages.iter().map(|(name, s)| (name.clone(), json!(s))).collect();
        json!({
            "backend": self.backend,
            "backend_reason": self.backend_reason,
            "bus": self.bus.map(|bus| json!({
                "total": traffic_json(&bus.total),
                "dirty_to_clean": traffic_json(&bus.clean),
            })),
            "wall_s": self.seconds,
            "stages_s": stages,
            "stages_clock": self.clock,
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "peak_rss_bytes": self.peak_rss,
            "peak_device_bytes": self.peak_device,
        })
    }
}

fn traffic_json(traffic: &Traffic) -> Value {
    let by_cargo = |bytes: &dyn Fn(Cargo) -> u64| -> Value {
        Cargo::ALL.iter().map(|&c| (c.name().to_owned(), json!(bytes(c)))).collect()
    };
    json!({
        "to_device_bytes": by_cargo(&|c| traffic.to_device(c)),
        "to_host_bytes": by_cargo(&|c| traffic.to_host(c)),
    })
}

/// As casa's `imhead` lists a beam, in the units people read.
fn beam_json(beam: Beam) -> Value {
    json!({
        "major_arcsec": beam.major.to_degrees() * 3600.0,
        "minor_arcsec": beam.minor.to_degrees() * 3600.0,
        "pa_deg": beam.pa.to_degrees(),
    })
}

pub(super) fn beam_text(beam: Beam) -> String {
    let arcsec = |rad: f64| rad.to_degrees() * 3600.0;
    format!("{:.3} x {:.3}, {:.1}", arcsec(beam.major), arcsec(beam.minor), beam.pa.to_degrees())
}

/// Bytes for a reader.
pub(crate) fn size_text(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.3} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The minor cycles of `one_10`, as its `ret` has them.
    fn one_channel() -> Summary {
        let cycle = |start, iter, thresh, masksum| MinorCycle {
            start_iter_done: start,
            cycle_start_iter: start,
            iter_done: iter,
            cycle_thresh: thresh,
            masksum,
            stopcode: 2,
            ..MinorCycle::default()
        };
        Summary {
            unfinished: None,
            performance: Performance::default(),
            command: "cubeclean image".into(),
            control: Control {
                niter: 20000,
                gain: 0.1,
                cyclefactor: 1.0,
                threshold: 5e-3,
                ..Control::default()
            },
            channels: vec![ChannelSummary {
                sumwt: 1.0,
                stopcode: 2,
                nmajordone: 4,
                minor: vec![
                    cycle(0, 190, 0.0548, 1158),
                    cycle(190, 621, 0.00764, 3623),
                    cycle(811, 215, 0.005, 4861),
                ],
                ..ChannelSummary::default()
            }],
            resources: Resources { backend: "cpu, 2 threads".into(), ..Resources::default() },
            products: vec![],
        }
    }

    #[test]
    fn the_dictionary_has_tcleans_members_and_meaning() {
        let ours = one_channel().to_json();
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/goldens/one_10.json");
        let golden: Value =
            serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
        let theirs = golden["ret"].as_object().unwrap();
        for key in theirs.keys() {
            assert!(ours.get(key).is_some(), "{key} is missing");
        }
        for key in
            ["iterdone", "nmajordone", "stopcode", "stopDescription", "summarymajor", "niter"]
        {
            assert_eq!(ours[key], theirs[key], "{key}");
        }
        let (our_minor, their_minor) =
            (&ours["summaryminor"]["0"]["0"]["0"], &theirs["summaryminor"]["0"]["0"]["0"]);
        for key in their_minor.as_object().unwrap().keys().filter(|k| *k != "mpiServer") {
            assert_eq!(our_minor[key].as_array().map(Vec::len), Some(3), "{key}");
        }
        for key in ["startIterDone", "iterDone", "masksum", "stopCode"] {
            assert_eq!(our_minor[key], their_minor[key], "{key}");
        }
    }

    #[test]
    fn the_run_is_as_good_as_its_worst_channel() {
        let mut summary = one_channel();
        let channel = summary.channels[0].clone();
        summary.channels.push(ChannelSummary { channel: 1, stopcode: 1, ..channel.clone() });
        assert_eq!(summary.stopcode(), 1);
        // A channel without data has no say.
        summary.channels[1].sumwt = 0.0;
        assert_eq!(summary.stopcode(), 2);
        assert!(summary.table().contains("no data"));
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(size_text(999), "999 B");
        assert_eq!(size_text(58_600_000_000), "58.600 GB");
    }
}
