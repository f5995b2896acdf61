//! What is cleaned, how deep, within which masks, and what it is restored with.

use super::not_negative;
use crate::{
    backend::{Deconvolver, Scales},
    beam::Beam,
    config::{AutoMask, MaskChoice, Parameters, RestoringBeam, parameters::number_of},
    error::{Error, Result},
    mask::auto::AutoMultithresh,
    units,
};

pub(super) fn deconvolver(p: &Parameters, [nx, ny]: [usize; 2]) -> Result<Deconvolver> {
    // Looked at whatever the deconvolver, so that no bad value passes unseen.
    let scales = scales(p)?;
    let deconvolver = p.choice(
        "deconvolver",
        &[
            ("hogbom", Deconvolver::Hogbom),
            ("clark", Deconvolver::Clark),
            ("multiscale", Deconvolver::Multiscale(scales)),
        ],
    )?;
    if let Deconvolver::Multiscale(scales) = &deconvolver
        && let Some(&wide) = scales.pixels.iter().find(|&&w| !Scales::has_room(w, nx, ny))
    {
        return Err(Error::parameter(
            "scales",
            p.text("scales"),
            format!("has {wide} pixels, too wide for an image of {nx} x {ny}"),
            "give scales below a third of the image's shorter side, as components keep 1.5 times their \
             width away from its edges",
        ));
    }
    Ok(deconvolver)
}

/// Parameters that are given and change nothing with this deconvolver, and why.
pub(super) fn unused(
    p: &Parameters,
    deconvolver: &Deconvolver,
) -> Vec<(&'static str, &'static str)> {
    if matches!(deconvolver, Deconvolver::Multiscale(_)) {
        return Vec::new();
    }
    let given = ["scales", "smallscalebias"].into_iter().filter(|name| p.differs(name));
    given.map(|name| (name, "concerns deconvolver=multiscale")).collect()
}

fn scales(p: &Parameters) -> Result<Scales> {
    const WANTED: &str = "widths of 0 (a point) or more pixels: 0,5,15";
    let mut pixels = Vec::new();
    for word in p.list("scales") {
        pixels.push(number_of("scales", word, |w: f32| w >= 0.0 && w.is_finite(), WANTED)?);
    }
    if pixels.is_empty() {
        pixels.push(0.0);
    }
    // Which comes first says nothing; twice the same would be the same once.
    pixels.sort_by(f32::total_cmp);
    pixels.dedup();
    if pixels.len() > Scales::MOST {
        return Err(Error::parameter(
            "scales",
            p.text("scales"),
            format!("has {} widths, more than {}", pixels.len(), Scales::MOST),
            "give fewer: a few, each about three times the one before, will do",
        ));
    }
    let bias = |b: f32| (-1.0..=1.0).contains(&b);
    let smallscalebias = p.number("smallscalebias", bias, "a number from -1 to 1 (0.0)")?;
    Ok(Scales { pixels, smallscalebias })
}

pub(super) fn threshold(p: &Parameters) -> Result<f64> {
    let jy = units::flux_density("threshold", p.text("threshold"))?;
    if jy < 0.0 {
        return Err(Error::parameter(
            "threshold",
            p.text("threshold"),
            "is negative",
            "give a flux density such as 5mJy, or 0",
        ));
    }
    Ok(jy)
}

pub(super) fn psf_fractions(p: &Parameters) -> Result<(f64, f64)> {
    let fraction = |x: f64| (0.0..=1.0).contains(&x);
    let min = p.number("minpsffraction", fraction, "a number from 0 to 1 (0.05)")?;
    let max = p.number("maxpsffraction", fraction, "a number from 0 to 1 (0.8)")?;
    if min > max {
        return Err(Error::parameter(
            "minpsffraction",
            p.text("minpsffraction"),
            format!("is larger than maxpsffraction={max}"),
            "give a smaller one",
        ));
    }
    Ok((min, max))
}

pub(super) fn divergence_retries(p: &Parameters) -> Result<Option<usize>> {
    const NAME: &str = "divergence-retries";
    match p.text(NAME) {
        text if text.eq_ignore_ascii_case("off") => Ok(None),
        // Halving a gain oftener than this leaves nothing of it.
        _ => p
            .number(
                NAME,
                |n: usize| n <= 20,
                "a whole number from 0 to 20, or off for tclean's stop",
            )
            .map(Some),
    }
}

pub(super) fn mask(p: &Parameters) -> Result<MaskChoice> {
    const AVAILABLE: &str = "give user, pb or auto-multithresh";
    let mask = p.text("mask");
    // Looked at whatever the kind of mask, so that no bad value passes unseen.
    let auto = auto_mask(p)?;
    match p.text("usemask").to_ascii_lowercase().as_str() {
        "user" if mask.is_empty() => Ok(MaskChoice::Everywhere),
        "user" => Ok(MaskChoice::User(mask.to_owned())),
        "pb" if !mask.is_empty() => Err(Error::parameter(
            "mask",
            mask,
            "would not be used with usemask=pb",
            "leave it out, or say --usemask user",
        )),
        "pb" => {
            let level = p.number(
                "pbmask",
                |x: f64| x > 0.0 && x < 1.0,
                "the level to clean within, between 0 and 1: --pbmask 0.2",
            )?;
            Ok(MaskChoice::PrimaryBeam(level))
        }
        "auto-multithresh" if !mask.is_empty() => Err(Error::parameter(
            "mask",
            mask,
            "would not be used with usemask=auto-multithresh",
            "leave it out, or say --usemask user",
        )),
        "auto-multithresh" => Ok(MaskChoice::Auto(auto)),
        other => Err(Error::parameter("usemask", other, "is not available", AVAILABLE)),
    }
}

fn auto_mask(p: &Parameters) -> Result<AutoMask> {
    let factor = |name: &str| p.number(name, not_negative, "a number of 0 or more");
    let parameters = AutoMultithresh {
        sidelobethreshold: factor("sidelobethreshold")?,
        noisethreshold: factor("noisethreshold")?,
        lownoisethreshold: factor("lownoisethreshold")?,
        negativethreshold: factor("negativethreshold")?,
        smoothfactor: factor("smoothfactor")?,
        minbeamfrac: factor("minbeamfrac")?,
        cutthreshold: p.number(
            "cutthreshold",
            |x: f64| x > 0.0 && x < 1.0,
            "a fraction between 0 and 1",
        )?,
        growiterations: p.number("growiterations", |_: usize| true, "a whole number")?,
        dogrowprune: p.flag("dogrowprune")?,
        minpercentchange: p.number("minpercentchange", f64::is_finite, "per cent, -1 for never")?,
        fastnoise: p.flag("fastnoise")?,
    };
    let pbmask =
        p.number("pbmask", |x: f64| (0.0..1.0).contains(&x), "a level from 0 to below 1")?;
    Ok(AutoMask { parameters, pbmask, verbose: p.flag("verbose")? })
}

pub(super) fn restoringbeam(p: &Parameters) -> Result<RestoringBeam> {
    let words = p.list("restoringbeam");
    let width = |word: &str| -> Result<f64> {
        let rad = units::angle("restoringbeam", word)?;
        if rad > 0.0 {
            Ok(rad)
        } else {
            Err(Error::parameter(
                "restoringbeam",
                word,
                "is not positive",
                "give a width such as 2arcsec",
            ))
        }
    };
    let explicit = |major: &str, minor: &str, pa: f64| -> Result<RestoringBeam> {
        let (major, minor) = (width(major)?, width(minor)?);
        if minor > major {
            return Err(Error::parameter(
                "restoringbeam",
                p.text("restoringbeam"),
                "has a minor axis longer than the major",
                "swap the two",
            ));
        }
        Ok(RestoringBeam::Explicit(Beam { major, minor, pa: wrap_pa(pa) }))
    };
    match words.as_slice() {
        [] => Ok(RestoringBeam::PerChannel),
        [word] if word.eq_ignore_ascii_case("common") => Ok(RestoringBeam::Common),
        [one] => explicit(one, one, 0.0),
        [major, minor] => explicit(major, minor, 0.0),
        [major, minor, pa] => explicit(major, minor, units::angle("restoringbeam", pa)?),
        _ => Err(Error::parameter(
            "restoringbeam",
            p.text("restoringbeam"),
            "has more than three elements",
            "give common, or major, minor, position angle: 2arcsec 1arcsec 30deg",
        )),
    }
}

/// A position angle in (−π/2, π/2]: an ellipse does not tell its ends apart.
fn wrap_pa(pa: f64) -> f64 {
    use std::f64::consts::{FRAC_PI_2, PI};
    FRAC_PI_2 - (FRAC_PI_2 - pa).rem_euclid(PI)
}
