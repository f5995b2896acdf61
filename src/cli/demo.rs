//! `cubeclean demo`: a real data set from the repository, imaged, with a picture.

use std::path::{Path, PathBuf};

use super::{
    args::{DemoArgs, DemoSet},
    image, say, unpack,
    watch::Watcher,
};
use crate::{
    config::{Config, Parameters},
    error::{Error, Result},
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
    let (name, archive, settings) = match args.set {
        DemoSet::Ngc5921 => ("ngc5921", "ngc5921_contsub", NGC5921),
        DemoSet::Small => ("small", "small", SMALL),
    };
    let archives = assets(args.assets.as_deref())?.join("ms");
    let ms = unpack::measurement_set(&archives, archive, None, &args.outdir)?;
    let imagename = args.outdir.join(name);

    let mut parameters = Parameters::default();
    parameters.set("vis", text(&ms)?)?;
    parameters.set("imagename", text(&imagename)?)?;
    for (name, value) in settings {
        parameters.set(name, *value)?;
    }
    parameters.set("format", "casa,fits")?;
    parameters.set("summary", text(&imagename.with_added_extension("json"))?)?;
    // Only products of an earlier demonstration can have these names.
    parameters.set("overwrite", "true")?;
    parameters.set("backend", &args.backend)?;
    parameters.set("threads", &args.threads)?;
    let config = Config::new(&parameters)?;

    if watcher.talkative {
        say(&format!("{}\n", config.command));
    }
    let summary = image::image(&config, watcher)?;
    if watcher.talkative {
        say(&summary.table());
    }
    Ok(())
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
