//! `cubeclean demo`: a real data set from the repository, imaged, with a picture.

use std::path::{Path, PathBuf};

use super::{
    args::{DemoArgs, DemoSet},
    image, say, unpack,
    watch::Watcher,
};
use crate::{
    config::{Config, Parameters},
    cube::{CubeReader, Sky},
    error::{Error, Result},
    geometry::ImageGrid,
    report::{Quicklook, Summary, quicklook},
    spectral::ChannelGrid,
};

/// The arguments of CASA's run on NGC 5921 that `assets/goldens/ngc5921` holds the products of.
const NGC5921: &[(&str, &str)] = &[
    ("datacolumn", "data"),
    ("specmode", "cube"),
    ("nchan", "46"),
    ("start", "5"),
    ("width", "1"),
    ("imsize", "256"),
    ("cell", "15arcsec"),
    ("outframe", "LSRK"),
    ("restfreq", "1.420405752GHz"),
    ("interpolation", "linear"),
    ("weighting", "briggs"),
    ("robust", "0.5"),
    ("niter", "6000"),
    ("threshold", "8mJy"),
    // tclean has one control for all channels, and the comparison is with tclean.
    ("cyclecontrol", "cube"),
];

/// The simulated set, cleaned inside a circle.
const SMALL: &[(&str, &str)] = &[
    ("datacolumn", "corrected"),
    ("specmode", "cube"),
    ("imsize", "256"),
    ("cell", "0.1arcsec"),
    ("outframe", "TOPO"),
    ("restfreq", "230.538GHz"),
    ("interpolation", "nearest"),
    ("weighting", "briggs"),
    ("robust", "0.5"),
    ("niter", "2000"),
    ("threshold", "5mJy"),
    ("mask", "circle[[128pix,128pix],50pix]"),
    ("pbcor", "true"),
];

/// Runs `cubeclean demo`.
pub fn run(args: &DemoArgs, watcher: &Watcher) -> Result<()> {
    let (name, archive, title, settings) = match args.set {
        DemoSet::Ngc5921 => ("ngc5921", "ngc5921_contsub", "NGC 5921, H I", NGC5921),
        DemoSet::Small => ("small", "small", "A simulated disk, CO (2-1)", SMALL),
    };
    let archives = assets(args.assets.as_deref())?.join("ms");
    let ms = unpack::measurement_set(&archives, archive, None, &args.outdir)?;
    let product = |suffix: &str| args.outdir.join(format!("{name}{suffix}"));

    let mut parameters = Parameters::default();
    parameters.set("vis", text(&ms)?)?;
    parameters.set("imagename", text(&product(""))?)?;
    for (name, value) in settings {
        parameters.set(name, *value)?;
    }
    parameters.set("format", "casa,fits")?;
    parameters.set("summary", text(&product(".json"))?)?;
    // Only products of an earlier demonstration can have these names.
    parameters.set("overwrite", "true")?;
    for (name, given) in [
        ("backend", &args.backend),
        ("device", &args.device),
        ("device-memory", &args.device_memory),
        ("threads", &args.threads),
    ] {
        if let Some(value) = given {
            parameters.set(name, value)?;
        }
    }
    let config = Config::new(&parameters)?;

    if watcher.talkative {
        say(&format!("{}\n", config.command));
    }
    let summary = image::image(&config, watcher)?;
    let picture = product(".png");
    draw(&config, &summary, title, &product(".image"), &picture)?;
    if watcher.talkative {
        say(&summary.table());
        let peak = summary.channels.iter().map(|c| c.peak).fold(0.0, f64::max);
        say(&format!(
            "\npeak {:.2} mJy/beam, noise {:.3} mJy/beam (median of the channels)\n\
             picture   {}\ncubes     {} (.psf, .residual, .model, ...; FITS: .image.fits, ...)\n\
             summary   {}",
            peak * 1e3,
            median(summary.channels.iter().map(|c| c.rms)) * 1e3,
            picture.display(),
            product(".image").display(),
            product(".json").display(),
        ));
    }
    Ok(())
}

/// Draws the quick-look of the restored cube.
fn draw(
    config: &Config,
    summary: &Summary,
    title: &str,
    image: &Path,
    picture: &Path,
) -> Result<()> {
    let cube = CubeReader::open(image)?;
    let (Sky::Equatorial(sky), Some(axis)) = (&cube.world().sky, cube.world().spectral) else {
        let remedy = "make the demonstration again in an empty directory";
        return Err(Error::data(image, "coordinates", "are missing", remedy));
    };
    let [nx, ny, _, nchan] = cube.shape();
    let [cell_x, cell_y] = config.cell;
    let grid = ImageGrid { nx, ny, cell_x, cell_y, phase_center: sky.reference };
    let channels = ChannelGrid {
        frame: config.outframe,
        start_hz: axis.start_hz,
        width_hz: axis.width_hz,
        nchan,
        restfreq_hz: config.restfreq.unwrap_or(axis.start_hz),
    };
    let beams: Vec<_> = summary.channels.iter().filter_map(|c| c.restoring_beam).collect();
    let beam = beams.get(beams.len() / 2).copied();
    let arcsec = |rad: f64| rad.to_degrees() * 3600.0;
    let subtitle = format!(
        "{nchan} channels of {:.1} kHz, {} components{}. Imaged with cubeclean {}",
        channels.width_hz.abs() / 1e3,
        summary.iterdone(),
        beam.map_or_else(String::new, |b| {
            format!(", beam {:.3}″ × {:.3}″", arcsec(b.major), arcsec(b.minor))
        }),
        env!("CARGO_PKG_VERSION"),
    );
    let what = Quicklook { title, subtitle: &subtitle, grid: &grid, channels: &channels, beam };
    quicklook(picture, &what, &|channel| {
        let plane = cube.read_plane(0, channel)?;
        let mut values = plane.values;
        for (i, value) in values.iter_mut().enumerate() {
            if !plane.valid.get(i % nx, i / nx) {
                *value = f32::NAN;
            }
        }
        Ok(values)
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The directory with `ms/`: as given, of the source tree the program was built in, or here.
fn assets(given: Option<&Path>) -> Result<PathBuf> {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let candidates = match given {
        Some(dir) => vec![dir.to_owned()],
        None => vec![built_in, PathBuf::from("assets")],
    };
    candidates.iter().find(|dir| dir.join("ms").is_dir()).cloned().ok_or_else(|| {
        Error::parameter(
            "assets",
            candidates[0].display().to_string(),
            "has no directory ms",
            "name the directory assets of a clone of cubeclean's repository with --assets",
        )
    })
}

/// A path as a parameter.
fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::parameter(
            "outdir",
            path.display().to_string(),
            "is not valid UTF-8",
            "choose another directory",
        )
    })
}
