//! Every parameter: its name and default (tclean's, letter for letter), what it takes, and how far it
//! is supported. The command line and the YAML reader are made from this list; a test holds the README's table against it.

/// How far a parameter of tclean is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// As in tclean, for the values its help names; other values are an error.
    Yes,
    /// A parameter of this program that tclean does not have.
    Own,
    /// Only tclean's default; the text tells a user the way out.
    DefaultOnly(&'static str),
    /// Any value: it changes nothing here, as the text explains.
    NoEffect(&'static str),
}

/// Heading a parameter stands under in the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// What is read.
    Data,
    /// What is written, and how.
    Output,
    /// Pixels and sky.
    Image,
    /// Channels and frames.
    Spectral,
    /// Imaging weights.
    Weighting,
    /// Gridding and primary beam.
    Operator,
    /// Iteration control.
    Clean,
    /// Clean masks.
    Mask,
    /// Restoring.
    Restore,
    /// How the machine is used.
    Machine,
}

impl Group {
    /// The heading in the help.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Data => "Data selection",
            Self::Output => "Output",
            Self::Image => "Image",
            Self::Spectral => "Spectral axis",
            Self::Weighting => "Weighting",
            Self::Operator => "Gridding and primary beam",
            Self::Clean => "Deconvolution",
            Self::Mask => "Mask",
            Self::Restore => "Restoring",
            Self::Machine => "Machine",
        }
    }
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Name, as in tclean; on the command line with two dashes before it.
    pub name: &'static str,
    /// Heading in the help.
    pub group: Group,
    /// Default, as text; empty where tclean's is `''` or `[]`.
    pub default: &'static str,
    /// What stands for the value in the help; empty for a switch.
    pub value: &'static str,
    /// One or two sentences.
    pub help: &'static str,
    /// How far it is supported.
    pub support: Support,
}

impl Parameter {
    /// The parameter of that name. Underscores stand for dashes too, as in tclean's style.
    pub fn find(name: &str) -> Option<&'static Parameter> {
        let dashed = name.replace('_', "-");
        PARAMETERS.iter().find(|p| p.name == dashed)
    }

    /// Whether several words may be given, separated by commas or spaces.
    pub fn is_list(&self) -> bool {
        matches!(
            self.name,
            "imsize"
                | "cell"
                | "uvtaper"
                | "restoringbeam"
                | "restfreq"
                | "format"
                | "products"
                | "scales"
                | "pointingoffsetsigdev"
        )
    }

    /// Whether it is true or false, so that naming it is enough to mean true.
    pub fn is_switch(&self) -> bool {
        matches!(self.default, "True" | "False")
    }
}

use Group::*;
use Support::*;

/// A row of the table.
const fn row(
    name: &'static str,
    group: Group,
    default: &'static str,
    value: &'static str,
    help: &'static str,
    support: Support,
) -> Parameter {
    Parameter { name, group, default, value, help, support }
}

const SPLIT: &str = "select the data beforehand with CASA's split or mstransform";
const OTHER_GRIDDER: &str = "concerns gridders other than standard and wproject";
const OTHER_DECONVOLVER: &str = "concerns deconvolver=mtmfs and others that are not available";

/// All parameters, in the order of the help.
#[rustfmt::skip]
pub const PARAMETERS: &[Parameter] = &[
    row("vis", Data, "", "MS", "The MeasurementSet to image (one).", Yes),
    row("field", Data, "", "FIELDS", "Fields: ids (0,2~4), names, or globs (NGC*). Default: all; they must share one direction.", Yes),
    row("spw", Data, "", "SPWS", "Spectral windows: ids or names, with channel ranges after a colon (0:5~50). Default: all.", Yes),
    row("datacolumn", Data, "corrected", "COLUMN", "Column to image: corrected or data.", Yes),
    row("selectdata", Data, "True", "", "tclean's switch for the selections below.", DefaultOnly("leave it out")),
    row("timerange", Data, "", "TIMES", "Selection by time.", DefaultOnly(SPLIT)),
    row("uvrange", Data, "", "UVRANGE", "Selection by baseline length.", DefaultOnly(SPLIT)),
    row("antenna", Data, "", "ANTENNAS", "Selection by antenna.", DefaultOnly(SPLIT)),
    row("scan", Data, "", "SCANS", "Selection by scan.", DefaultOnly(SPLIT)),
    row("observation", Data, "", "IDS", "Selection by observation.", DefaultOnly(SPLIT)),
    row("intent", Data, "", "INTENTS", "Selection by intent.", DefaultOnly(SPLIT)),

    row("imagename", Output, "", "PATH", "Products are PATH.image, PATH.psf and so on.", Yes),
    row("format", Output, "casa", "FORMATS", "File formats: casa, fits, or both (casa,fits). FITS files are PATH.image.fits and so on.", Own),
    row("products", Output, "", "PRODUCTS", "What to write: psf, residual, model, mask, image, image.pbcor, pb, sumwt. Default: all of them, image.pbcor with --pbcor, mask where there is cleaning, or --restart.", Own),
    row("resume", Output, "False", "", "Go on with a run of the same parameters that was killed or stopped, and end with the same cube. Where there is none, start.", Own),
    row("channel-range", Output, "", "A~B", "Image only these channels of the cube (counted from 0), as one of several processes that write it; the last one completes it. The plan is that of the whole cube.", Own),
    row("overwrite", Output, "False", "", "Replace products of that name: start anew.", Own),
    row("concat-mode", Output, "auto", "MODE", "direct: each plane goes to its place in the cube; paged, virtual, movevirtual: subcubes (PATH.subcube.K.image and so on) are copied, referred to, or renamed into it at the end (CASA images only). auto: virtual with --keep-subcubes, else direct.", Own),
    row("cube-chunksize", Output, "-1", "N", "Channels of a subcube (with a --concat-mode that makes them, or --keep-subcubes); -1: 64.", Own),
    row("keep-subcubes", Output, "False", "", "Keep subcubes after they were copied (--concat-mode paged); alone, refer to them (virtual).", Own),
    row("summary", Output, "", "FILE", "Write tclean's return dictionary, with beams, noise and stop code of each channel, as JSON.", Own),
    row("report", Output, "", "DIR", "Write a performance report, report.md and report.json (report.FIRST-LAST.md with --channel-range): phases, stages, memory, bytes, channels, and the distance from what the disk and the processor allow, for which the disk is measured.", Own),
    row("restart", Output, "True", "", "Continue from products of that name, if there are any: their model and mask, and with --calcpsf=false and --calcres=false their PSF and residual. It must be said: where none of the three is given, existing products are an error.", Yes),
    row("savemodel", Output, "none", "WHERE", "Save the model to the MeasurementSet.", DefaultOnly("the MeasurementSet is never written to; use the .model product")),
    row("calcres", Output, "True", "", "Compute the first residual; false: continue from the existing one.", Yes),
    row("calcpsf", Output, "True", "", "Compute the PSF; false: take the existing one.", Yes),
    row("fullsummary", Output, "False", "", "Longer return dictionary.", NoEffect("the summary is always the full one")),

    row("imsize", Image, "100", "NX [NY]", "Pixels along right ascension and declination; one number for a square image.", Yes),
    row("cell", Image, "", "DX [DY]", "Pixel size, in arcsec where no unit is given (0.1arcsec, 15arcsec). `cubeclean ms` suggests one.", Yes),
    row("phasecenter", Image, "", "DIRECTION", "Centre of the image: a field id, or frame and direction ('J2000 15h22m00.0s 5d04m00.0s', 'ICRS 230.5deg 5.07deg'). Default: the first selected field.", Yes),
    row("stokes", Image, "I", "STOKES", "Plane to image: I, XX, YY, RR, or LL.", Yes),
    row("projection", Image, "SIN", "PROJECTION", "Projection of the sky.", DefaultOnly("only SIN is available: regrid the finished image (CASA's imregrid)")),
    row("startmodel", Image, "", "IMAGE", "Model to start from: a CASA image or FITS file in Jy/pixel, on the grid of the cube.", Yes),
    row("outlierfile", Image, "", "FILE", "Outlier fields.", DefaultOnly("make one larger image instead")),
    row("psfphasecenter", Image, "", "DIRECTION", "Centre of the PSF.", DefaultOnly("leave it out: the PSF is computed at the phase centre")),

    row("specmode", Spectral, "mfs", "MODE", "Only cube is available, so it must be given.", Yes),
    row("nchan", Spectral, "-1", "N", "Channels of the cube; -1: all that the selection covers.", Yes),
    row("start", Spectral, "", "VALUE", "First channel: a channel number, a frequency (230.5GHz), or a velocity (-17.26km/s). Default: the first selected.", Yes),
    row("width", Spectral, "", "VALUE", "Width of a channel: a number of data channels, a frequency, or a velocity; negative runs the axis the other way. Default: one data channel.", Yes),
    row("outframe", Spectral, "LSRK", "FRAME", "Frame of the spectral axis: LSRK, LSRD, BARY, GEO, or TOPO.", Yes),
    row("veltype", Spectral, "radio", "TYPE", "Definition of velocity: radio or optical.", Yes),
    row("restfreq", Spectral, "", "FREQ", "Rest frequency of the line (1.420405752GHz). Default: the SOURCE table's, or the middle of the window.", Yes),
    row("interpolation", Spectral, "linear", "METHOD", "From data channels to image channels: nearest or linear.", Yes),
    row("reffreq", Spectral, "", "FREQ", "Reference frequency of Taylor terms.", NoEffect("concerns specmode=mfs")),

    row("weighting", Weighting, "natural", "SCHEME", "natural, uniform, briggs, or briggsbwtaper.", Yes),
    row("robust", Weighting, "0.5", "R", "Robustness of briggs and briggsbwtaper, -2 (uniform) to 2 (natural).", Yes),
    row("perchanweightdensity", Weighting, "True", "", "Compute the density of visibilities channel by channel.", Yes),
    row("uvtaper", Weighting, "", "TAPER", "Gaussian taper: width, or major, minor and position angle, in the image (2arcsec) or the uv plane (100klambda).", Yes),
    row("npixels", Weighting, "0", "N", "Superuniform weighting.", DefaultOnly("leave it out: only the uv cell itself counts")),
    row("noise", Weighting, "1.0Jy", "NOISE", "Noise of briggsabs.", NoEffect("concerns weighting=briggsabs, which is not available")),

    row("gridder", Operator, "standard", "GRIDDER", "standard or wproject: both mean the same operator, exact in w.", Yes),
    row("gridding-accuracy", Operator, "1e-5", "EPS", "Largest error of a dirty image, as a fraction of its peak, against a direct Fourier transform (1e-6 to 1e-2).", Own),
    row("wterm", Operator, "exact", "MODE", "exact, or none: tclean's 2-D gridding, which leaves the w-term out.", Own),
    row("pblimit", Operator, "0.2", "LEVEL", "Level of the primary beam below which images are blank; negative: nothing is blanked.", Yes),
    row("facets", Operator, "1", "N", "Facets.", DefaultOnly("leave it out: the w-term is exact over the whole image")),
    row("wprojplanes", Operator, "1", "N", "Number of w-planes.", NoEffect("the treatment of w follows from --gridding-accuracy")),
    row("vptable", Operator, "", "TABLE", "Voltage patterns.", DefaultOnly("leave it out: the beam follows from the telescope and its dishes")),
    row("mosweight", Operator, "True", "", "Mosaic weighting.", NoEffect(OTHER_GRIDDER)),
    row("aterm", Operator, "True", "", "A-projection.", NoEffect(OTHER_GRIDDER)),
    row("psterm", Operator, "False", "", "A-projection.", NoEffect(OTHER_GRIDDER)),
    row("wbawp", Operator, "True", "", "A-projection.", NoEffect(OTHER_GRIDDER)),
    row("conjbeams", Operator, "False", "", "A-projection.", NoEffect(OTHER_GRIDDER)),
    row("cfcache", Operator, "", "DIR", "A-projection.", NoEffect(OTHER_GRIDDER)),
    row("usepointing", Operator, "False", "", "Use the POINTING table.", NoEffect(OTHER_GRIDDER)),
    row("computepastep", Operator, "360.0", "DEG", "A-projection.", NoEffect(OTHER_GRIDDER)),
    row("rotatepastep", Operator, "360.0", "DEG", "A-projection.", NoEffect(OTHER_GRIDDER)),
    row("pointingoffsetsigdev", Operator, "", "LIST", "A-projection.", NoEffect(OTHER_GRIDDER)),
    row("normtype", Operator, "flatnoise", "TYPE", "Normalisation of mosaics.", NoEffect(OTHER_GRIDDER)),

    row("deconvolver", Clean, "hogbom", "NAME", "hogbom: points, one at a time; clark: points, found with the PSF's centre alone; multiscale: components of the widths in scales.", Yes),
    row("niter", Clean, "0", "N", "Largest number of clean components (per channel, see --cyclecontrol); 0: dirty cube.", Yes),
    row("gain", Clean, "0.1", "GAIN", "Loop gain.", Yes),
    row("threshold", Clean, "0.0", "FLUX", "Stop when no residual in the mask exceeds this (5mJy; Jy where no unit is given).", Yes),
    row("nsigma", Clean, "0.0", "N", "Stop at N times the robust noise of the residual; 0: off.", Yes),
    row("cycleniter", Clean, "-1", "N", "Components of one minor cycle; -1: no limit but niter.", Yes),
    row("cyclefactor", Clean, "1.0", "F", "Multiplies the PSF's sidelobe level in the threshold of a minor cycle.", Yes),
    row("minpsffraction", Clean, "0.05", "F", "A minor cycle stops at no less than this fraction of its first peak.", Yes),
    row("maxpsffraction", Clean, "0.8", "F", "A minor cycle goes down at least to this fraction of its first peak.", Yes),
    row("nmajor", Clean, "-1", "N", "Largest number of major cycles; -1: no limit.", Yes),
    row("cyclecontrol", Clean, "channel", "SCOPE", "channel: niter, threshold and cycles of each channel alone; cube: one control for all, as tclean has it.", Own),
    row("divergence-retries", Clean, "2", "N", "Where the peak residual grows (tclean's stop codes 5 and 6): go back to the model of the lowest peak and try again, N times, each with half the gain and twice the cyclefactor; then keep that model. 0: keep it at once; off: stop as tclean does, with the grown model.", Own),
    row("interactive", Clean, "False", "", "Interactive cleaning.", DefaultOnly("draw the mask beforehand and give it as --mask")),
    row("scales", Clean, "", "LIST", "multiscale: widths of the components in pixels (0,5,15); 0 is a point. Default: points alone.", Yes),
    row("nterms", Clean, "2", "N", "Taylor terms.", NoEffect(OTHER_DECONVOLVER)),
    row("smallscalebias", Clean, "0.0", "F", "multiscale: from -1 to 1; above 0 prefers narrow components, below 0 wide ones.", Yes),
    row("fusedthreshold", Clean, "0.0", "FLUX", "Adaptive-scale pixel clean.", NoEffect(OTHER_DECONVOLVER)),
    row("largestscale", Clean, "-1", "N", "Adaptive-scale pixel clean.", NoEffect(OTHER_DECONVOLVER)),

    row("preset", Mask, "", "PRESET", "Mask parameters of the ALMA pipeline: alma-12m-short, alma-12m-mid, alma-12m-long (75th percentile of the baselines below 300 m, to 400 m, above), or alma-7m. It sets usemask=auto-multithresh and its thresholds; parameters that are given besides override it.", Own),
    row("usemask", Mask, "user", "KIND", "user (with --mask; without one the whole image is cleaned), pb, or auto-multithresh.", Yes),
    row("mask", Mask, "", "REGION", "CRTF region ('circle[[128pix,128pix],50pix]', also box, ellipse, poly, in pixels or on the sky), a region file, a CASA image, or a FITS file.", Yes),
    row("pbmask", Mask, "0.0", "LEVEL", "Level of the primary beam that usemask=pb cleans within, and auto-multithresh where it is not 0.", Yes),
    row("sidelobethreshold", Mask, "3.0", "F", "auto-multithresh: masks what exceeds F times sidelobe level times peak residual, and the noisethreshold.", Yes),
    row("noisethreshold", Mask, "5.0", "F", "auto-multithresh: masks what exceeds F times the noise, and the sidelobethreshold.", Yes),
    row("lownoisethreshold", Mask, "1.5", "F", "auto-multithresh: masks grow down to F times the noise.", Yes),
    row("negativethreshold", Mask, "0.0", "F", "auto-multithresh: masks absorption beyond F times the noise; 0: none.", Yes),
    row("smoothfactor", Mask, "1.0", "F", "auto-multithresh: masks are smoothed by F beams.", Yes),
    row("minbeamfrac", Mask, "0.3", "F", "auto-multithresh: smaller regions are dropped, in beam areas; 0: none are.", Yes),
    row("cutthreshold", Mask, "0.01", "F", "auto-multithresh: smoothed masks are cut at this fraction of their peak.", Yes),
    row("growiterations", Mask, "75", "N", "auto-multithresh: masks grow by at most N pixels a round.", Yes),
    row("dogrowprune", Mask, "True", "", "auto-multithresh: drop small regions after growing, too.", Yes),
    row("minpercentchange", Mask, "-1.0", "F", "auto-multithresh: stop updating a mask that changes by no more per cent at the threshold; -1: never.", Yes),
    row("fastnoise", Mask, "True", "", "auto-multithresh: noise of all pixels; false: of those outside the mask.", Yes),
    row("verbose", Mask, "False", "", "auto-multithresh: report each update of a mask.", Yes),

    row("restoration", Restore, "True", "", "Make the restored image.", Yes),
    row("restoringbeam", Restore, "", "BEAM", "Empty: each channel's own; common: one that all can be convolved to; or major, minor and position angle (2arcsec 1arcsec 30deg).", Yes),
    row("common-beam-outliers", Restore, "exclude", "WHAT", "With --restoringbeam common, channels (of few data) whose beam the median beam would have to be enlarged to enclose by more than 20 %, and by more than ten times what the median channel needs; at most a quarter of all, and none of fewer than three. exclude: they do not count, and their restored images are blank; include: the common beam encloses them too, as tclean's.", Own),
    row("pbcor", Restore, "False", "", "Write PATH.image.pbcor, corrected for the primary beam.", Yes),
    row("psfcutoff", Restore, "0.35", "LEVEL", "Level of the PSF above which its main lobe is fitted.", Yes),

    row("backend", Machine, "auto", "BACKEND", "auto, gpu or cpu. auto: a hardware GPU if there is one that can do the job, else the CPU, and says which; with --device or --device-memory, that GPU or an error.", Own),
    row("device", Machine, "", "DEVICE", "GPU by a part of its name or its index (`cubeclean devices` lists them), several separated by commas, or all. Software devices are used only when named. Default: the first hardware GPU.", Own),
    row("device-memory", Machine, "", "SIZE", "Memory to stay within on each GPU (8GB). Default: 80 % of what it has.", Own),
    row("threads", Machine, "0", "N", "CPU threads; 0: one per core. Results do not depend on it.", Own),
    row("memory-limit", Machine, "", "SIZE", "Host memory to stay within (8GB). Default: what the machine has free.", Own),
    row("parallel", Machine, "False", "", "tclean's MPI mode.", NoEffect("see --threads")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_findable() {
        for (i, p) in PARAMETERS.iter().enumerate() {
            assert_eq!(PARAMETERS.iter().position(|q| q.name == p.name), Some(i), "{}", p.name);
            assert!(Parameter::find(p.name).is_some());
            assert_eq!(p.is_switch(), p.value.is_empty(), "{}", p.name);
        }
        assert_eq!(Parameter::find("gridding_accuracy").map(|p| p.name), Some("gridding-accuracy"));
    }

    /// `inspect.signature(casatasks.tclean)` of casatasks 6.7.0.31; `''`, `[]` and `['']` as empty.
    #[test]
    fn names_and_defaults_are_tcleans() {
        let tclean = "vis= selectdata=True field= spw= timerange= uvrange= antenna= scan= \
            observation= intent= datacolumn=corrected imagename= imsize=100 cell= phasecenter= \
            stokes=I projection=SIN startmodel= specmode=mfs reffreq= nchan=-1 start= width= \
            outframe=LSRK veltype=radio restfreq= interpolation=linear perchanweightdensity=True \
            gridder=standard facets=1 psfphasecenter= wprojplanes=1 vptable= mosweight=True \
            aterm=True psterm=False wbawp=True conjbeams=False cfcache= usepointing=False \
            computepastep=360.0 rotatepastep=360.0 pointingoffsetsigdev= pblimit=0.2 \
            normtype=flatnoise deconvolver=hogbom scales= nterms=2 smallscalebias=0.0 \
            fusedthreshold=0.0 largestscale=-1 restoration=True restoringbeam= pbcor=False \
            outlierfile= weighting=natural robust=0.5 noise=1.0Jy npixels=0 uvtaper= niter=0 \
            gain=0.1 threshold=0.0 nsigma=0.0 cycleniter=-1 cyclefactor=1.0 minpsffraction=0.05 \
            maxpsffraction=0.8 interactive=False nmajor=-1 fullsummary=False usemask=user mask= \
            pbmask=0.0 sidelobethreshold=3.0 noisethreshold=5.0 lownoisethreshold=1.5 \
            negativethreshold=0.0 smoothfactor=1.0 minbeamfrac=0.3 cutthreshold=0.01 \
            growiterations=75 dogrowprune=True minpercentchange=-1.0 verbose=False fastnoise=True \
            restart=True savemodel=none calcres=True calcpsf=True psfcutoff=0.35 parallel=False";
        let mut expected: Vec<(&str, &str)> =
            tclean.split_whitespace().filter_map(|p| p.split_once('=')).collect();
        let mut ours: Vec<(&str, &str)> = PARAMETERS
            .iter()
            .filter(|p| p.support != Support::Own)
            .map(|p| (p.name, p.default))
            .collect();
        expected.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, expected);
    }
}
