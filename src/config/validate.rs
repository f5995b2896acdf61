//! From [`Parameters`] to [`Config`]: every check that needs no data.

mod deconvolution;
mod machine;
mod restart;
mod subcubes;

use std::path::PathBuf;

use deconvolution::{
    deconvolver, divergence_retries, mask, psf_fractions, restoringbeam, threshold, unused,
};
use machine::{backend, bytes, devices};

use super::{
    AxisValue, BackendChoice, CommonBeamOutliers, Config, CycleControl, DataColumn, Parameters,
    PhaseCenter, Taper, VelocityType, WeightingScheme,
    parameters::{choice_of, number_of},
};
use crate::{
    cube::{Format, Product},
    error::{Error, Result},
    geometry::Direction,
    gridding::{OperatorOptions, WTermMode},
    ms::Stokes,
    spectral::{FreqFrame, Interpolation},
    units::{self, Dimension, Quantity},
};

/// Longest side of an image: beyond it, pixel indices of a plane leave 32 bits.
const MAX_IMSIZE: usize = 65_535;

impl Config {
    /// Validates parameters, a preset's included.
    ///
    /// # Errors
    /// [`Error::Parameter`] for the first value that cannot be used.
    pub fn new(parameters: &Parameters) -> Result<Self> {
        let p = &parameters.with_preset()?;
        let mut no_effect = p.unsupported()?;
        let imsize = imsize(p)?;
        let deconvolver = deconvolver(p, imsize)?;
        no_effect.extend(unused(p, &deconvolver));
        only_cubes(p)?;
        p.choice("gridder", &[("standard", ()), ("wproject", ())])?;
        let (minpsffraction, maxpsffraction) = psf_fractions(p)?;
        let niter = p.number("niter", |_: usize| true, "a whole number, 0 or more")?;
        let mut products = products(p)?;
        let restart = restart::restart(p, &products)?;
        // As in tclean, what is not cleaned has no mask. Of nothing else than what decides the bits, as whoever resumes
        // a run must have its products.
        if niter == 0 && !restart.continues && p.list("products").is_empty() {
            products.retain(|&product| product != Product::Mask);
        }
        let formats = formats(p)?;
        Ok(Self {
            vis: vis(p)?,
            field: p.text("field").to_owned(),
            spw: p.text("spw").to_owned(),
            datacolumn: datacolumn(p)?,

            imagename: imagename(p)?,
            subcubes: subcubes::subcubes(p, &formats)?,
            formats,
            overwrite: p.flag("overwrite")?,
            resume: p.flag("resume")?,
            channel_range: channel_range(p)?,
            restart,
            products,
            summary: given(p, "summary").map(PathBuf::from),
            report: given(p, "report").map(PathBuf::from),

            imsize,
            cell: cell(p)?,
            phasecenter: phasecenter(p.text("phasecenter"))?,
            stokes: stokes(p)?,

            nchan: limit(p, "nchan", 1)?,
            start: axis_value(p, "start")?,
            width: axis_value(p, "width")?,
            outframe: outframe(p)?,
            veltype: veltype(p)?,
            restfreq: restfreq(p)?,
            interpolation: interpolation(p)?,

            weighting: weighting(p)?,
            perchanweightdensity: p.flag("perchanweightdensity")?,
            uvtaper: uvtaper(p)?,

            operator: operator(p)?,
            pblimit: p.number(
                "pblimit",
                |x: f64| x.abs() < 1.0,
                "a number between -1 and 1 (0.2)",
            )?,

            deconvolver,
            niter,
            gain: p.number("gain", part_of_1, "a number above 0, at most 1 (0.1)")?,
            threshold: threshold(p)?,
            nsigma: p.number("nsigma", not_negative, "a number, 0 or more (0: off)")?,
            cycleniter: limit(p, "cycleniter", 1)?,
            cyclefactor: p.number("cyclefactor", positive, "a number above 0 (1.0)")?,
            minpsffraction,
            maxpsffraction,
            nmajor: limit(p, "nmajor", 0)?,
            cyclecontrol: cyclecontrol(p)?,
            divergence_retries: divergence_retries(p)?,

            mask: mask(p)?,

            restoration: p.flag("restoration")?,
            restoringbeam: restoringbeam(p)?,
            common_beam_outliers: common_beam_outliers(p)?,
            psfcutoff: p.number("psfcutoff", inside_0_1, "a number between 0 and 1 (0.35)")?,

            backend: backend(p)?,
            devices: devices(p)?,
            device_memory: bytes(p, "device-memory")?,
            threads: threads(p)?,
            memory_limit: bytes(p, "memory-limit")?,

            no_effect,
            command: p.command(),
            cube_command: p.command_without(&["overwrite", "resume", "channel-range"]),
            given: p.given().map(|(name, value)| (name, value.to_owned())).collect(),
        })
    }
}

fn not_negative(x: f64) -> bool {
    x >= 0.0 && x.is_finite()
}

fn positive(x: f64) -> bool {
    x > 0.0 && x.is_finite()
}

fn part_of_1(x: f64) -> bool {
    x > 0.0 && x <= 1.0
}

fn inside_0_1(x: f64) -> bool {
    x > 0.0 && x < 1.0
}

fn only_cubes(p: &Parameters) -> Result<()> {
    p.choice("specmode", &[("cube", ())]).map_err(|_| {
        Error::parameter(
            "specmode",
            p.text("specmode"),
            "only cubes are made (mfs is tclean's default)",
            "say --specmode cube",
        )
    })
}

fn datacolumn(p: &Parameters) -> Result<DataColumn> {
    let columns = [("corrected", DataColumn::Corrected), ("data", DataColumn::Data)];
    p.choice("datacolumn", &columns)
}

fn outframe(p: &Parameters) -> Result<FreqFrame> {
    let frames = [
        ("LSRK", FreqFrame::Lsrk),
        ("LSRD", FreqFrame::Lsrd),
        ("BARY", FreqFrame::Bary),
        ("GEO", FreqFrame::Geo),
        ("TOPO", FreqFrame::Topo),
    ];
    p.choice("outframe", &frames)
}

fn veltype(p: &Parameters) -> Result<VelocityType> {
    let types = [("radio", VelocityType::Radio), ("optical", VelocityType::Optical)];
    p.choice("veltype", &types)
}

fn interpolation(p: &Parameters) -> Result<Interpolation> {
    let methods = [("linear", Interpolation::Linear), ("nearest", Interpolation::Nearest)];
    p.choice("interpolation", &methods)
}

fn operator(p: &Parameters) -> Result<OperatorOptions> {
    let accuracies = OperatorOptions::TIGHTEST..=1e-2;
    let allowed = |e: f64| accuracies.contains(&e);
    Ok(OperatorOptions {
        accuracy: p.number("gridding-accuracy", allowed, "a number from 1e-6 to 1e-2")?,
        wterm: p.choice("wterm", &[("exact", WTermMode::Exact), ("none", WTermMode::None)])?,
    })
}

fn cyclecontrol(p: &Parameters) -> Result<CycleControl> {
    let scopes = [("channel", CycleControl::Channel), ("cube", CycleControl::Cube)];
    p.choice("cyclecontrol", &scopes)
}

fn common_beam_outliers(p: &Parameters) -> Result<CommonBeamOutliers> {
    let ways = [("exclude", CommonBeamOutliers::Exclude), ("include", CommonBeamOutliers::Include)];
    p.choice("common-beam-outliers", &ways)
}

fn threads(p: &Parameters) -> Result<Option<usize>> {
    let wanted = "a whole number up to 4096; 0 means one per core";
    let threads = p.number("threads", |n: usize| n <= 4096, wanted)?;
    Ok((threads > 0).then_some(threads))
}

/// The text of a parameter, `None` where it is empty.
fn given<'a>(p: &'a Parameters, name: &str) -> Option<&'a str> {
    Some(p.text(name)).filter(|text| !text.is_empty())
}

fn vis(p: &Parameters) -> Result<PathBuf> {
    let vis = p.text("vis");
    match vis {
        "" => {
            Err(Error::parameter("vis", vis, "is not given", "name a MeasurementSet: --vis my.ms"))
        }
        _ if vis.contains(',') && !std::path::Path::new(vis).exists() => Err(Error::parameter(
            "vis",
            vis,
            "is a list, and only one MeasurementSet can be imaged",
            "concatenate them with CASA's concat",
        )),
        _ => Ok(PathBuf::from(vis)),
    }
}

fn imagename(p: &Parameters) -> Result<PathBuf> {
    let name = p.text("imagename");
    if name.is_empty() || name.ends_with('/') {
        return Err(Error::parameter(
            "imagename",
            name,
            "is not a name",
            "give the prefix of the products' names: --imagename out/cube",
        ));
    }
    Ok(PathBuf::from(name))
}

/// Channels `A~B`, both included, as CASA writes ranges; one number is one channel.
fn channel_range(p: &Parameters) -> Result<Option<std::ops::Range<usize>>> {
    let Some(text) = given(p, "channel-range") else { return Ok(None) };
    let refuse =
        |problem: &str, remedy: &str| Err(Error::parameter("channel-range", text, problem, remedy));
    let (first, last) = text.split_once('~').unwrap_or((text, text));
    let range = match (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last && last < usize::MAX => first..last + 1,
        _ => return refuse("is not a range of channels", "give the first and the last: 0~31"),
    };
    if p.text("cyclecontrol") == "cube" {
        let remedy = "image all in one process, or use --cyclecontrol channel";
        return refuse("is part of a cube, and --cyclecontrol cube needs all channels", remedy);
    }
    Ok(Some(range))
}

fn formats(p: &Parameters) -> Result<Vec<Format>> {
    let choices = [("casa", Format::Casa), ("fits", Format::Fits)];
    let mut formats = Vec::new();
    for word in p.list("format") {
        let format = choice_of("format", word, &choices)?;
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    if formats.is_empty() {
        return Err(Error::parameter(
            "format",
            "",
            "names no format",
            "give casa, fits, or casa,fits",
        ));
    }
    Ok(formats)
}

/// Every product, by its suffix without the leading dot.
const PRODUCTS: [(&str, Product); 8] = [
    ("psf", Product::Psf),
    ("residual", Product::Residual),
    ("model", Product::Model),
    ("mask", Product::Mask),
    ("image", Product::Image),
    ("image.pbcor", Product::ImagePbcor),
    ("pb", Product::Pb),
    ("sumwt", Product::Sumwt),
];

fn products(p: &Parameters) -> Result<Vec<Product>> {
    let (pbcor, restoration) = (p.flag("pbcor")?, p.flag("restoration")?);
    let words = p.list("products");
    if words.is_empty() {
        let all = PRODUCTS.iter().map(|(_, product)| *product);
        return Ok(all
            .filter(|product| match product {
                Product::ImagePbcor => pbcor && restoration,
                Product::Image => restoration,
                _ => true,
            })
            .collect());
    }
    let mut products = Vec::new();
    for word in words {
        let product = choice_of("products", word.trim_start_matches('.'), &PRODUCTS)?;
        if !restoration && matches!(product, Product::Image | Product::ImagePbcor) {
            return Err(Error::parameter(
                "products",
                word,
                "is not made with restoration=False",
                "leave one of the two out",
            ));
        }
        if !products.contains(&product) {
            products.push(product);
        }
    }
    if pbcor && !products.contains(&Product::ImagePbcor) {
        return Err(Error::parameter(
            "products",
            p.text("products"),
            "lacks image.pbcor, which --pbcor asks for",
            "add image.pbcor, or leave --pbcor out",
        ));
    }
    Ok(products)
}

fn imsize(p: &Parameters) -> Result<[usize; 2]> {
    let words = p.list("imsize");
    let one = |word: &str| {
        number_of(
            "imsize",
            word,
            |n: usize| (8..=MAX_IMSIZE).contains(&n),
            "pixels, from 8 to 65535",
        )
    };
    match words.as_slice() {
        [n] => Ok([one(n)?; 2]),
        [nx, ny] => Ok([one(nx)?, one(ny)?]),
        _ => Err(Error::parameter(
            "imsize",
            p.text("imsize"),
            "is not one number or two",
            "give --imsize 256, or --imsize 256 200",
        )),
    }
}

fn cell(p: &Parameters) -> Result<[f64; 2]> {
    let text = p.text("cell");
    let one = |word: &str| -> Result<f64> {
        // tclean takes bare numbers as arcsec.
        let arcsec = word.parse::<f64>().is_ok();
        let rad =
            units::angle("cell", &if arcsec { format!("{word}arcsec") } else { word.to_owned() })?;
        // A pixel of a degree is beyond any sensible image; mistaken units land there.
        if rad > 0.0 && rad < 0.02 {
            Ok(rad)
        } else {
            Err(Error::parameter(
                "cell",
                word,
                "is out of range",
                "give a positive angle below 1deg (0.1arcsec)",
            ))
        }
    };
    match p.list("cell").as_slice() {
        [] => Err(Error::parameter(
            "cell",
            text,
            "is not given",
            "give the pixel size, about a fifth of the beam (0.1arcsec); `cubeclean ms` suggests one",
        )),
        [d] => Ok([one(d)?; 2]),
        [dx, dy] => Ok([one(dx)?, one(dy)?]),
        _ => {
            Err(Error::parameter("cell", text, "is not one angle or two", "give --cell 0.1arcsec"))
        }
    }
}

/// A field id, or a direction.
fn phasecenter(text: &str) -> Result<PhaseCenter> {
    if text.is_empty() {
        return Ok(PhaseCenter::FirstField);
    }
    match text.parse() {
        Ok(field) => Ok(PhaseCenter::Field(field)),
        Err(_) => Ok(PhaseCenter::Direction(Direction::parse("phasecenter", text)?)),
    }
}

fn stokes(p: &Parameters) -> Result<Stokes> {
    let choices = [
        ("I", Stokes::I),
        ("XX", Stokes::XX),
        ("YY", Stokes::YY),
        ("RR", Stokes::RR),
        ("LL", Stokes::LL),
    ];
    p.choice("stokes", &choices)
}

/// A count of at least `least`, where -1 means no limit.
fn limit(p: &Parameters, name: &str, least: i64) -> Result<Option<usize>> {
    let wanted = format!("a whole number from {least} on, or -1 for no limit");
    let n = p.number(name, |n: i64| n == -1 || n >= least, &wanted)?;
    Ok(usize::try_from(n).ok())
}

fn axis_value(p: &Parameters, name: &str) -> Result<AxisValue> {
    let text = p.text(name);
    if text.is_empty() {
        return Ok(AxisValue::Default);
    }
    let value = match text.parse() {
        Ok(channel) => AxisValue::Channel(channel),
        Err(_) => {
            let quantity =
                Quantity::parse(name, text, &[Dimension::Frequency, Dimension::Velocity])?;
            match quantity.dimension() {
                Dimension::Velocity => AxisValue::Velocity(quantity.value()),
                _ => AxisValue::Frequency(quantity.value()),
            }
        }
    };
    let zero = match value {
        AxisValue::Channel(n) => n == 0,
        AxisValue::Frequency(x) | AxisValue::Velocity(x) => x == 0.0,
        AxisValue::Default => false,
    };
    let negative = matches!(value, AxisValue::Channel(n) if n < 0)
        || matches!(value, AxisValue::Frequency(x) if x <= 0.0);
    if name == "width" && zero {
        return Err(Error::parameter(
            name,
            text,
            "is zero",
            "give a channel width, or leave it out",
        ));
    }
    if name == "start" && negative {
        return Err(Error::parameter(
            name,
            text,
            "is negative",
            "give a channel from 0 on, a frequency, or a velocity",
        ));
    }
    Ok(value)
}

fn restfreq(p: &Parameters) -> Result<Option<f64>> {
    match p.list("restfreq").as_slice() {
        [] => Ok(None),
        [one] => {
            let hz = units::frequency("restfreq", one)?;
            if hz > 0.0 {
                Ok(Some(hz))
            } else {
                Err(Error::parameter(
                    "restfreq",
                    *one,
                    "is not positive",
                    "give the line's rest frequency (115.271GHz)",
                ))
            }
        }
        _ => Err(Error::parameter(
            "restfreq",
            p.text("restfreq"),
            "is a list",
            "give one rest frequency",
        )),
    }
}

fn weighting(p: &Parameters) -> Result<WeightingScheme> {
    let robust =
        p.number("robust", |r: f64| (-2.0..=2.0).contains(&r), "a number from -2 to 2 (0.5)")?;
    let scheme = p.choice(
        "weighting",
        &[
            ("natural", WeightingScheme::Natural),
            ("uniform", WeightingScheme::Uniform),
            ("briggs", WeightingScheme::Briggs { robust }),
            ("briggsbwtaper", WeightingScheme::BriggsBwTaper { robust }),
        ],
    )?;
    // The taper is defined for densities of single channels.
    if matches!(scheme, WeightingScheme::BriggsBwTaper { .. }) && !p.flag("perchanweightdensity")? {
        return Err(Error::parameter(
            "weighting",
            "briggsbwtaper",
            "needs the density of each channel",
            "leave out --perchanweightdensity=false, or use briggs",
        ));
    }
    Ok(scheme)
}

fn uvtaper(p: &Parameters) -> Result<Option<Taper>> {
    let width = |word: &str| -> Result<Quantity> {
        let q = Quantity::parse("uvtaper", word, &[Dimension::Angle, Dimension::Wavelengths])?;
        if q.number > 0.0 {
            Ok(q)
        } else {
            Err(Error::parameter(
                "uvtaper",
                word,
                "is not positive",
                "give a width such as 2arcsec or 100klambda",
            ))
        }
    };
    let words = p.list("uvtaper");
    let taper = match words.as_slice() {
        [] => return Ok(None),
        [one] => Taper { major: width(one)?, minor: width(one)?, pa: 0.0 },
        [major, minor] => Taper { major: width(major)?, minor: width(minor)?, pa: 0.0 },
        [major, minor, pa] => {
            Taper { major: width(major)?, minor: width(minor)?, pa: units::angle("uvtaper", pa)? }
        }
        _ => {
            return Err(Error::parameter(
                "uvtaper",
                p.text("uvtaper"),
                "has more than three elements",
                "give major, minor, position angle",
            ));
        }
    };
    if taper.major.dimension() != taper.minor.dimension() {
        return Err(Error::parameter(
            "uvtaper",
            p.text("uvtaper"),
            "mixes angles and wavelengths",
            "give both in one kind of unit",
        ));
    }
    Ok(Some(taper))
}
