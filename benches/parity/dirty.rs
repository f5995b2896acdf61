//! Dirty cubes: sums of weights, beams, and planes.

use super::{
    Made,
    common::pipeline::{difference, max_abs},
    table::{Table, relative, worst},
};

/// What one channel of a dirty cube differs by.
struct Difference {
    channel: usize,
    sumwt: f64,
    major: f64,
    minor: f64,
    /// Degrees.
    pa: f64,
    /// (largest, rms within the border) of the PSF and the dirty image, relative to the peak; where
    /// CASA's plane was kept.
    psf: Option<(f64, f64)>,
    residual: Option<(f64, f64)>,
}

impl Difference {
    /// `None` for a channel that is blank in CASA.
    fn new(made: &Made, channel: usize) -> Option<Self> {
        let (casa, ours) = (&made.casa, &made.summary.channels[channel]);
        if casa.sumwt[channel] == 0.0 {
            return None;
        }
        let beam = ours.beam?;
        let [major, minor, pa] = casa.beams[channel];
        let arcsec = |rad: f64| rad.to_degrees() * 3600.0;
        let turn = beam.pa.to_degrees() - pa;
        let plane = |product: &str| {
            casa.channels(product).contains(&channel).then(|| {
                let theirs = casa.plane(product, channel);
                let (max, rms) = difference(&made.plane(product, channel), &theirs);
                let peak = max_abs(&theirs);
                (max / peak, rms / peak)
            })
        };
        Some(Self {
            channel,
            sumwt: relative(ours.sumwt, casa.sumwt[channel]),
            major: relative(arcsec(beam.major), major),
            minor: relative(arcsec(beam.minor), minor),
            pa: (turn + 90.0).rem_euclid(180.0) - 90.0,
            psf: plane("psf"),
            residual: plane("residual"),
        })
    }
}

fn differences(made: &Made) -> Vec<Difference> {
    (0..made.summary.channels.len()).filter_map(|c| Difference::new(made, c)).collect()
}

fn planes(values: Option<(f64, f64)>) -> String {
    values.map_or_else(|| "-".into(), |(max, rms)| format!("{max:.1e} ({rms:.1e})"))
}

/// The worst channel of each run.
pub fn print(runs: &[Made]) {
    let mut table = Table::new(
        "Dirty cubes: largest difference from CASA over all channels",
        &[
            "run",
            "channels",
            "sumwt",
            "beam axes",
            "beam angle",
            "PSF max (rms)",
            "dirty max (rms)",
        ],
    );
    for made in runs {
        let all = differences(made);
        let both = |of: fn(&Difference) -> Option<(f64, f64)>| {
            let kept: Vec<_> = all.iter().filter_map(of).collect();
            let max = worst(kept.iter().map(|k| k.0));
            (!kept.is_empty()).then(|| (max, worst(kept.iter().map(|k| k.1))))
        };
        table.row(vec![
            made.name.into(),
            all.len().to_string(),
            format!("{:.1e}", worst(all.iter().map(|d| d.sumwt))),
            format!("{:.1e}", worst(all.iter().flat_map(|d| [d.major, d.minor]))),
            format!("{:.2}°", worst(all.iter().map(|d| d.pa))),
            planes(both(|d| d.psf)),
            planes(both(|d| d.residual)),
        ]);
    }
    table.print();
}

/// Every channel of each run.
pub fn print_channels(runs: &[Made]) {
    for made in runs {
        let mut table = Table::new(
            &format!("{}: difference from CASA by channel", made.name),
            &["channel", "sumwt", "major", "minor", "angle", "PSF max (rms)", "dirty max (rms)"],
        );
        for d in differences(made) {
            table.row(vec![
                d.channel.to_string(),
                format!("{:.1e}", d.sumwt),
                format!("{:.1e}", d.major),
                format!("{:.1e}", d.minor),
                format!("{:.2}°", d.pa),
                planes(d.psf),
                planes(d.residual),
            ]);
        }
        table.print();
    }
}
