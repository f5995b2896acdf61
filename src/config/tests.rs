//! What each value means, and what is refused.

use super::*;
use crate::{backend::Scales, error::Result, geometry::DirectionFrame};

/// A configuration with the given settings over the least that is needed.
fn config(settings: &[(&str, &str)]) -> Result<Config> {
    let mut p = Parameters::default();
    let least = [("vis", "a.ms"), ("imagename", "im"), ("specmode", "cube"), ("cell", "0.1arcsec")];
    for (name, value) in least.iter().chain(settings) {
        p.set(name, *value)?;
    }
    Config::new(&p)
}

/// The error that a setting is answered with.
fn refused(settings: &[(&str, &str)]) -> String {
    let error = config(settings).expect_err("an error");
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

const ARCSEC: f64 = std::f64::consts::PI / 648_000.0;

#[test]
fn defaults_are_tcleans() {
    let c = config(&[]).unwrap();
    assert_eq!(c.datacolumn, DataColumn::Corrected);
    assert_eq!(c.imsize, [100, 100]);
    assert!((c.cell[0] - 0.1 * ARCSEC).abs() < 1e-20);
    assert_eq!((c.nchan, c.start, c.width), (None, AxisValue::Default, AxisValue::Default));
    assert_eq!((c.outframe, c.interpolation), (FreqFrame::Lsrk, Interpolation::Linear));
    assert_eq!(c.weighting, WeightingScheme::Natural);
    assert_eq!((c.niter, c.gain, c.threshold, c.nsigma), (0, 0.1, 0.0, 0.0));
    assert_eq!((c.cycleniter, c.nmajor, c.cyclefactor), (None, None, 1.0));
    assert_eq!((c.minpsffraction, c.maxpsffraction, c.psfcutoff), (0.05, 0.8, 0.35));
    assert_eq!(c.mask, MaskChoice::Everywhere);
    assert_eq!(c.restoringbeam, RestoringBeam::PerChannel);
    assert_eq!((c.backend, c.threads, c.memory_limit), (BackendChoice::Auto, None, None));
    assert_eq!((c.devices, c.device_memory), (Vec::new(), None));
    assert_eq!(c.formats, [Format::Casa]);
    use Product::*;
    assert_eq!(c.products, [Psf, Residual, Model, Image, Pb, Sumwt]);
}

/// tclean makes `.mask` where it cleans (measured). Whoever resumes or joins a run need not say `overwrite`.
#[test]
fn a_mask_is_made_where_something_is_cleaned_or_continued() {
    let has_mask = |settings: &[(&str, &str)]| {
        let mut all = vec![("niter", "0")];
        all.extend(settings);
        config(&all).unwrap().products.contains(&Product::Mask)
    };
    assert!(!has_mask(&[]) && !has_mask(&[("mask", "circle[[5pix,5pix],2pix]")]));
    assert!(has_mask(&[("niter", "1")]) && has_mask(&[("products", "image,mask")]));
    assert!(!has_mask(&[("overwrite", "true")]) && has_mask(&[("restart", "true")]));
}

#[test]
fn the_units_and_lists_of_tclean_are_read() {
    let c = config(&[
        ("imsize", "256 200"),
        ("cell", "0.1arcsec,0.2"),
        ("start", "-17.26km/s"),
        ("width", "-1"),
        ("nchan", "46"),
        ("restfreq", "1.420405752GHz"),
        ("threshold", "5mJy"),
        ("weighting", "briggsbwtaper"),
        ("robust", "-0.5"),
        ("uvtaper", "2arcsec 1arcsec 30deg"),
        ("restoringbeam", "2arcsec,1arcsec,-100deg"),
        ("format", "fits, casa,fits"),
        ("memory-limit", "1.5GB"),
        ("device-memory", "512MiB"),
        ("device", "NVIDIA H100, 1"),
        ("threads", "2"),
        ("pbcor", "true"),
        ("phasecenter", "ICRS -1deg 5d04m00.0s"),
    ])
    .unwrap();
    assert_eq!(c.imsize, [256, 200]);
    assert!((c.cell[1] - 0.2 * ARCSEC).abs() < 1e-20);
    assert_eq!((c.start, c.width), (AxisValue::Velocity(-17260.0), AxisValue::Channel(-1)));
    assert_eq!(c.nchan, Some(46));
    assert_eq!(c.restfreq, Some(1.420405752e9));
    assert_eq!(c.threshold, 5e-3);
    assert_eq!(c.weighting, WeightingScheme::BriggsBwTaper { robust: -0.5 });
    assert_eq!(c.uvtaper.unwrap().minor.to_string(), "1arcsec");
    let RestoringBeam::Explicit(beam) = c.restoringbeam else { panic!("{:?}", c.restoringbeam) };
    assert!((beam.pa - 80f64.to_radians()).abs() < 1e-12);
    assert_eq!(c.formats, [Format::Fits, Format::Casa]);
    assert_eq!((c.memory_limit, c.threads), (Some(1_500_000_000), Some(2)));
    assert_eq!((c.backend, c.device_memory), (BackendChoice::Auto, Some(512 << 20)));
    assert_eq!(c.devices, ["NVIDIA H100", "1"]);
    assert!(c.products.contains(&Product::ImagePbcor));
    let PhaseCenter::Direction(centre) = c.phasecenter else { panic!("{:?}", c.phasecenter) };
    assert_eq!(centre.frame, DirectionFrame::Icrs);
    assert!((centre.ra.to_degrees() - 359.0).abs() < 1e-12);
    assert!((centre.dec.to_degrees() - (5.0 + 4.0 / 60.0)).abs() < 1e-12);
}

#[test]
fn scales_belong_to_multiscale() {
    let multiscale = |settings: &[(&str, &str)]| {
        let c = config(&[&[("deconvolver", "multiscale")], settings].concat()).unwrap();
        assert!(c.no_effect.is_empty());
        c.deconvolver
    };
    let scales = |pixels: &[f32], smallscalebias| {
        Deconvolver::Multiscale(Scales { pixels: pixels.to_vec(), smallscalebias })
    };
    assert_eq!(multiscale(&[]), scales(&[0.0], 0.0));
    let given = [("scales", "15, 0,5,5"), ("smallscalebias", "-0.5")];
    assert_eq!(multiscale(&given), scales(&[0.0, 5.0, 15.0], -0.5));
    let c = config(&given).unwrap();
    assert_eq!(c.deconvolver, Deconvolver::Hogbom);
    let unused: Vec<_> = c.no_effect.iter().map(|(name, _)| *name).collect();
    assert_eq!(unused, ["scales", "smallscalebias"]);
    assert!(config(&[("scales", ""), ("smallscalebias", "0")]).unwrap().no_effect.is_empty());
}

#[test]
fn every_refusal_names_parameter_value_and_way_out() {
    for (settings, start, remedy) in [
        (&[("specmode", "mfs")][..], "specmode=mfs: only cubes", "--specmode cube"),
        (&[("gridder", "mosaic")], "gridder=mosaic: is not available", "standard or wproject"),
        (&[("deconvolver", "mtmfs")], "deconvolver=mtmfs", "hogbom, clark or multiscale"),
        (&[("deconvolver", "clarkstokes")], "deconvolver=clarkstokes", "hogbom, clark or"),
        (&[("scales", "0,-5")], "scales=-5", "0 (a point) or more"),
        (&[("deconvolver", "multiscale"), ("scales", "0,90")], "scales=0,90: has 90", "a third"),
        (&[("smallscalebias", "1.5")], "smallscalebias=1.5", "from -1 to 1"),
        (&[("usemask", "automask")], "usemask=automask: is not available", "auto-multithresh"),
        (&[("mask", "a.crtf"), ("usemask", "auto-multithresh")], "mask=a.crtf", "--usemask user"),
        (
            &[("preset", "alma-12m")],
            "preset=alma-12m: is not available",
            "alma-12m-short, alma-12m-mid, alma-12m-long or alma-7m",
        ),
        (&[("restart", "F"), ("calcpsf", "F")], "restart=F: leaves nothing", "leave it out"),
        (&[("restart", "T"), ("overwrite", "T")], "overwrite=T: means to start anew", "leave one"),
        (&[("calcres", "F"), ("startmodel", "a")], "startmodel=a: is not in", "leave calcres out"),
        (&[("calcres", "F"), ("products", "psf,model")], "products=psf,model", "name both"),
        (&[("cutthreshold", "1")], "cutthreshold=1", "fraction"),
        (&[("noisethreshold", "-5")], "noisethreshold=-5", "0 or more"),
        (&[("interactive", "true")], "interactive=true: is not supported", "--mask"),
        (&[("stokes", "IV")], "stokes=IV", "I, XX, YY, RR or LL"),
        (&[("imsize", "0")], "imsize=0: is out of range", "from 8"),
        (&[("imsize", "1 2 3")], "imsize=1 2 3", "--imsize 256"),
        (&[("imsize", "-4")], "imsize=-4", "from 8"),
        (&[("cell", "")], "cell=", "cubeclean ms"),
        (&[("cell", "1parsec")], "cell=1parsec", "0.1arcsec"),
        (&[("cell", "-1arcsec")], "cell=-1arcsec: is out of range", "positive"),
        (&[("threshold", "-1mJy")], "threshold=-1mJy: is negative", "5mJy"),
        (&[("gain", "0")], "gain=0", "above 0"),
        (&[("gain", "nan")], "gain=nan", "above 0"),
        (&[("niter", "1e3")], "niter=1e3", "whole number"),
        (&[("robust", "3")], "robust=3", "from -2 to 2"),
        (&[("minpsffraction", "0.9")], "minpsffraction=0.9", "smaller"),
        (
            &[("weighting", "briggsbwtaper"), ("perchanweightdensity", "F")],
            "weighting=briggsbwtaper",
            "briggs",
        ),
        (&[("mask", "a.crtf"), ("usemask", "pb")], "mask=a.crtf", "--usemask user"),
        (&[("usemask", "pb")], "pbmask=0.0", "--pbmask 0.2"),
        (&[("restoringbeam", "1arcsec 2arcsec")], "restoringbeam=", "swap"),
        (&[("uvtaper", "1arcsec 2klambda")], "uvtaper=", "one kind"),
        (&[("start", "-3")], "start=-3: is negative", "channel"),
        (&[("width", "0km/s")], "width=0km/s: is zero", "leave it out"),
        (&[("nchan", "0")], "nchan=0", "-1"),
        (&[("products", "image,imge")], "products=imge", "sumwt"),
        (&[("products", "image"), ("pbcor", "True")], "products=image: lacks", "image.pbcor"),
        (&[("format", "png")], "format=png", "casa or fits"),
        (&[("backend", "cuda")], "backend=cuda", "auto, gpu or cpu"),
        (&[("backend", "cpu"), ("device", "0")], "device=0: is for GPUs", "--backend gpu"),
        (&[("backend", "cpu"), ("device-memory", "1GB")], "device-memory=1GB", "leave out"),
        (&[("device", "0,,1")], "device=0,,1: has an empty element", "cubeclean devices"),
        (&[("device", "0,all")], "device=0,all", "or all"),
        (&[("device-memory", "much")], "device-memory=much", "8GB"),
        (&[("memory-limit", "much")], "memory-limit=much", "8GB"),
        (&[("phasecenter", "B1950 1h 2d")], "phasecenter=B1950", "ICRS"),
        (&[("phasecenter", "J2000 1h 95d")], "phasecenter=", "write it like"),
        (&[("vis", "a.ms,b.ms")], "vis=a.ms,b.ms", "concat"),
        (&[("imagename", "out/")], "imagename=out/", "prefix"),
        (&[("gridding-accuracy", "1e-9")], "gridding-accuracy=1e-9", "1e-6"),
        (&[("pbcor", "perhaps")], "pbcor=perhaps", "--pbcor=false"),
    ] {
        let message = refused(settings);
        assert!(message.starts_with(start), "{message}");
        assert!(message.contains(remedy), "{message}");
    }
}

/// tclean continues from existing products by default; here it has to be said, in one of three ways.
#[test]
fn continuing_is_said_by_restart_calcpsf_or_calcres() {
    for (settings, continues) in [
        (&[][..], false),
        (&[("restart", "true")], true),
        (&[("restart", "false")], false),
        (&[("calcres", "false")], true),
        (&[("calcpsf", "false")], true),
        (&[("calcres", "true"), ("calcpsf", "true")], false),
        (&[("restart", "true"), ("calcres", "false"), ("calcpsf", "false")], true),
    ] {
        let c = config(settings).unwrap();
        assert_eq!((c.restart.continues, c.replaces()), (continues, continues), "{settings:?}");
    }
    assert!(config(&[("overwrite", "true")]).unwrap().replaces());
}

/// The pipeline's table: sidelobe, noise and low noise threshold, minbeamfrac, negativethreshold,
/// growiterations (75: tclean's default, where the table has none) and fastnoise.
#[test]
fn presets_are_the_pipelines_table() {
    for (name, factors, growiterations, fastnoise) in [
        ("alma-12m-short", [2.0, 4.25, 1.5, 0.3, 15.0], 50, false),
        ("alma-12m-mid", [2.0, 5.0, 1.5, 0.3, 7.0], 75, false),
        ("ALMA-12m-long", [2.5, 5.0, 1.5, 0.3, 7.0], 75, true),
        ("alma-7m", [1.25, 5.0, 2.0, 0.1, 0.0], 75, false),
    ] {
        let MaskChoice::Auto(auto) = config(&[("preset", name)]).unwrap().mask else {
            panic!("{name}: no automatic mask");
        };
        let expected = AutoMultithresh {
            sidelobethreshold: factors[0],
            noisethreshold: factors[1],
            lownoisethreshold: factors[2],
            minbeamfrac: factors[3],
            negativethreshold: factors[4],
            growiterations,
            fastnoise,
            minpercentchange: 1.0,
            dogrowprune: true,
            smoothfactor: 1.0,
            cutthreshold: 0.01,
        };
        assert_eq!(auto.parameters, expected, "{name}");
    }
}

#[test]
fn what_is_given_goes_before_a_preset_and_the_command_shows_both() {
    let settings = [
        ("noisethreshold", "4.5"),
        ("preset", "alma-7m"),
        ("fastnoise", "true"),
        ("pbmask", "0.3"),
    ];
    let c = config(&settings).unwrap();
    let MaskChoice::Auto(auto) = &c.mask else { panic!("{:?}", c.mask) };
    assert_eq!(auto.pbmask, 0.3);
    let p = &auto.parameters;
    assert_eq!((p.noisethreshold, p.sidelobethreshold, p.fastnoise), (4.5, 1.25, true));
    for part in [
        "--preset alma-7m --usemask auto-multithresh",
        "--noisethreshold 4.5",
        "--minbeamfrac 0.1",
        "--fastnoise",
    ] {
        assert!(c.command.contains(part), "{}", c.command);
    }
    assert!(!c.command.contains("fastnoise=false"), "{}", c.command);
    // Another kind of mask may be asked for as well: then the rest of a preset is idle.
    let user = config(&[("preset", "alma-7m"), ("usemask", "user")]).unwrap();
    assert_eq!(user.mask, MaskChoice::Everywhere);
}

/// Every parameter that the table calls supported must be read by the validation: a value no parser
/// accepts has to be refused. Free text is all that may pass.
#[test]
fn nothing_supported_is_silently_ignored() {
    let free_text =
        ["vis", "field", "spw", "imagename", "mask", "startmodel", "summary", "report", "device"];
    for p in PARAMETERS {
        let supported = matches!(p.support, Support::Yes | Support::Own);
        if supported && !free_text.contains(&p.name) {
            assert!(config(&[(p.name, "§")]).is_err(), "{} is not read", p.name);
        }
    }
}
