//! Cleaned cubes: masks, iterations, peaks, fluxes, restored images.

use ndarray::Array2;
use serde_json::Value;

use super::{
    Made,
    table::{Table, pair, relative, worst},
};

/// tclean's records of a channel, by the names of its `summaryminor`.
struct Records<'a>(&'a Value);

impl<'a> Records<'a> {
    /// `None` where the golden run has no summary.
    fn of(made: &'a Made, channel: usize) -> Option<Self> {
        let minor = made.casa.ret.get("summaryminor")?;
        Some(Self(minor["0"].get(channel.to_string())?.get("0")?))
    }

    fn get(&self, field: &str) -> Vec<f64> {
        let values = self.0[field].as_array().expect("a list");
        values.iter().map(|v| v.as_f64().expect("a number")).collect()
    }

    fn last(&self, field: &str) -> f64 {
        self.get(field).last().copied().unwrap_or(0.0)
    }
}

/// How the restored image and the mask of a channel compare, inside the primary beam's limit.
pub struct Planes {
    /// Difference of the images over the noise: rms, largest.
    pub image: Option<(f64, f64)>,
    /// Pixels of our mask, CASA's, and both.
    pub mask: Option<(usize, usize, usize)>,
}

impl Planes {
    pub fn new(made: &Made, channel: usize) -> Self {
        let kept = |product: &str| {
            made.casa.has(product) && made.casa.channels(product).contains(&channel)
        };
        // tclean loses the residual's mask in some one-channel runs, and cleans outside of it.
        let inside = made.plane("pb", channel).mapv(|pb| pb >= 0.2);
        let noise = made.summary.channels[channel].rms;
        let image = kept("image").then(|| {
            let theirs = made.casa.plane("image", channel);
            let (rms, max) = differ(&made.plane("image", channel), &theirs, &inside);
            (rms / noise, max / noise)
        });
        let mask = kept("mask").then(|| {
            let (ours, theirs) = (made.plane("mask", channel), made.casa.mask(channel));
            let mut counts = (0, 0, 0);
            for ((&ours, &theirs), _) in ours.iter().zip(&theirs).zip(&inside).filter(|p| *p.1) {
                counts.0 += usize::from(ours > 0.0);
                counts.1 += usize::from(theirs);
                counts.2 += usize::from(ours > 0.0 && theirs);
            }
            counts
        });
        Self { image, mask }
    }
}

/// Rms and largest of a − b where `inside`.
fn differ(a: &Array2<f32>, b: &Array2<f32>, inside: &Array2<bool>) -> (f64, f64) {
    let differences: Vec<f64> = a
        .iter()
        .zip(b)
        .zip(inside)
        .filter(|(_, inside)| **inside)
        .map(|((a, b), _)| f64::from(a - b))
        .collect();
    let squares: f64 = differences.iter().map(|d| d * d).sum();
    ((squares / differences.len() as f64).sqrt(), worst(differences))
}

/// Smaller over larger, by pixels in both: 1 for equal masks, empty ones included.
fn overlap((ours, casa, both): (usize, usize, usize)) -> f64 {
    if ours.max(casa) == 0 { 1.0 } else { both as f64 / ours.max(casa) as f64 }
}

/// One row a run.
pub fn print(runs: &[Made]) {
    let mut table = Table::new(
        "Cleaned cubes: ours / CASA",
        &[
            "run",
            "channels",
            "iterations",
            "rounds",
            "stop",
            "mask pixels",
            "overlap, worst",
            "model flux, Jy",
            "image rms/σ",
            "image max/σ",
        ],
    );
    for made in runs {
        table.row(summary_row(made));
    }
    table.print();
}

fn summary_row(made: &Made) -> Vec<String> {
    let channels = &made.summary.channels;
    let planes: Vec<Planes> = (0..channels.len()).map(|c| Planes::new(made, c)).collect();
    let masks: Vec<_> = planes.iter().filter_map(|p| p.mask).collect();
    let images: Vec<_> = planes.iter().filter_map(|p| p.image).collect();
    let records: Vec<Records> = (0..channels.len()).filter_map(|c| Records::of(made, c)).collect();
    let number = |field: &str| made.casa.ret[field].as_u64().unwrap_or(0);
    let dash = || "-".to_owned();
    let flux: f64 = channels.iter().map(|c| c.minor.last().map_or(0.0, |m| m.model_flux)).sum();
    let majors = channels.iter().map(|c| c.nmajordone).max().unwrap_or(0);
    let stop = channels.iter().map(|c| c.stopcode).max().unwrap_or(0);
    vec![
        made.name.into(),
        channels.len().to_string(),
        pair(made.summary.iterdone(), number("iterdone")),
        pair(majors, number("nmajordone")),
        pair(stop, number("stopcode")),
        match masks.is_empty() {
            true => dash(),
            false => pair(
                masks.iter().map(|m| m.0).sum::<usize>(),
                masks.iter().map(|m| m.1).sum::<usize>(),
            ),
        },
        match masks.is_empty() {
            true => dash(),
            false => format!("{:.4}", masks.iter().map(|&m| overlap(m)).fold(1.0, f64::min)),
        },
        match records.is_empty() {
            true => format!("{flux:.4} / -"),
            false => {
                let casa: f64 = records.iter().map(|r| r.last("modelFlux")).sum();
                pair(format!("{flux:.4}"), format!("{casa:.4}"))
            }
        },
        format!("{:.3}", worst(images.iter().map(|i| i.0))),
        format!("{:.2}", worst(images.iter().map(|i| i.1))),
    ]
}

/// One row a channel and round.
pub fn print_rounds(runs: &[Made]) {
    for made in runs.iter().filter(|m| m.casa.ret.get("summaryminor").is_some()) {
        let mut table = Table::new(
            &format!("{}: every round, ours / CASA", made.name),
            &[
                "channel",
                "round",
                "mask pixels",
                "iterations",
                "peak before, mJy",
                "peak after, mJy",
                "cycle threshold, mJy",
                "model flux, mJy",
            ],
        );
        for channel in 0..made.summary.channels.len() {
            if let Some(records) = Records::of(made, channel) {
                round_rows(made, channel, &records, &mut table);
            }
        }
        table.print();
        print_planes(made);
    }
}

fn round_rows(made: &Made, channel: usize, records: &Records, table: &mut Table) {
    let ours = &made.summary.channels[channel].minor;
    let theirs: Vec<Vec<f64>> =
        ["masksum", "iterDone", "startPeakRes", "peakRes", "cycleThresh", "modelFlux"]
            .iter()
            .map(|field| records.get(field))
            .collect();
    for round in 0..ours.len().max(theirs[0].len()) {
        let own = ours.get(round);
        let casa = |field: usize| theirs[field].get(round).copied();
        let count = |own: Option<usize>, casa: Option<f64>| {
            let text = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.0}"));
            pair(text(own.map(|v| v as f64)), text(casa))
        };
        let milli = |own: Option<f64>, casa: Option<f64>| {
            let text = |v: Option<f64>| v.map_or("-".into(), |v| format!("{:.3}", v * 1e3));
            pair(text(own), text(casa))
        };
        table.row(vec![
            channel.to_string(),
            (round + 1).to_string(),
            count(own.map(|m| m.masksum), casa(0)),
            count(own.map(|m| m.iter_done), casa(1)),
            milli(own.map(|m| m.start_peak_res), casa(2)),
            milli(own.map(|m| m.peak_res), casa(3)),
            milli(own.map(|m| m.cycle_thresh), casa(4)),
            milli(own.map(|m| m.model_flux), casa(5)),
        ]);
    }
}

/// Sums of weights, beams, masks and images of every channel.
fn print_planes(made: &Made) {
    let mut table = Table::new(
        &format!("{}: products by channel", made.name),
        &["channel", "sumwt", "beam axes", "mask overlap", "image rms/σ", "image max/σ"],
    );
    for (channel, ours) in made.summary.channels.iter().enumerate() {
        let planes = Planes::new(made, channel);
        let beam = ours.beam.zip(made.casa.beams.get(channel)).map(|(beam, casa)| {
            let arcsec = |rad: f64| rad.to_degrees() * 3600.0;
            worst([relative(arcsec(beam.major), casa[0]), relative(arcsec(beam.minor), casa[1])])
        });
        // A common beam stands for all channels.
        let beam = beam.filter(|_| made.casa.beams.len() == made.summary.channels.len());
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        table.row(vec![
            channel.to_string(),
            format!("{:.1e}", relative(ours.sumwt, made.casa.sumwt[channel])),
            or_dash(beam.map(|b| format!("{b:.1e}"))),
            or_dash(planes.mask.map(|m| format!("{:.4}", overlap(m)))),
            or_dash(planes.image.map(|i| format!("{:.3}", i.0))),
            or_dash(planes.image.map(|i| format!("{:.2}", i.1))),
        ]);
    }
    table.print();
}
