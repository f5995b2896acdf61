//! What the command line looks like.

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand, ValueEnum,
};

use crate::config::{PARAMETERS, Parameter, Parameters, Support};

/// Images CASA MeasurementSets into deconvolved spectral cubes, with tclean's parameters.
#[derive(Debug, Parser)]
#[command(name = "cubeclean", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Task,
    /// How much to say.
    #[command(flatten)]
    pub talk: Talk,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Make a cube from a MeasurementSet.
    Image(Box<ImageArgs>),
    /// List what is in a MeasurementSet, and suggest cell and imsize.
    Ms {
        /// The MeasurementSet.
        #[arg(value_name = "MS")]
        path: PathBuf,
    },
    /// Make one cube of CASA images that follow each other in frequency.
    Concat(ConcatArgs),
    /// List the GPUs of this machine and what fits on them.
    Devices {
        /// As JSON, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Image a data set that comes with the source code, and draw a picture of it.
    Demo(DemoArgs),
    /// Time the stages of the backends on a synthetic job.
    Bench(BenchArgs),
}

/// Arguments of `cubeclean concat`.
#[derive(Debug, Args)]
pub struct ConcatArgs {
    /// paged: copies, in one self-contained cube; virtual: references, the images stay; movevirtual: the images are
    /// renamed into the cube.
    #[arg(long, value_enum, default_value_t = ConcatModeArg::Paged, value_name = "MODE")]
    pub mode: ConcatModeArg,
    /// Replace OUT if it is an image; at the end, in one step.
    #[arg(long)]
    pub overwrite: bool,
    /// CPU threads. Default: one per core.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// The cube.
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
    /// The images, ours or CASA's, in any order.
    #[arg(value_name = "IN", required = true)]
    pub inputs: Vec<PathBuf>,
}

/// How images become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ConcatModeArg {
    /// Copied.
    Paged,
    /// Referred to.
    Virtual,
    /// Renamed into it.
    Movevirtual,
}

/// Arguments of `cubeclean bench`. The full job is that of an ALMA cube: 8000 pixels, 449280 rows.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Pixels along each edge of the image.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub pixels: usize,
    /// Image channels, all of them in one batch.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub channels: usize,
    /// Rows: visibilities of each channel.
    #[arg(long, value_name = "N", default_value_t = 78_000)]
    pub rows: usize,
    /// Part of the image that is in the clean mask.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1)]
    pub mask_fraction: f64,
    /// Hogbom iterations of each channel.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub iterations: usize,
    /// Gridding accuracy, as --gridding-accuracy of `cubeclean image`.
    #[arg(long, value_name = "FRACTION", default_value_t = 1e-5)]
    pub accuracy: f64,
    /// Treatment of the w-term: exact or none.
    #[arg(long, value_enum, default_value_t = WTermArg::Exact, value_name = "MODE")]
    pub wterm: WTermArg,
    /// Channels that are gridded and transformed at a time, at most.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub grids: usize,
    /// Backends. Default: cpu, and gpu where there is one or --device names one.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    pub backends: Vec<BackendArg>,
    /// GPU: part of its name, or its number. Software adapters are used only when named.
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Runs of which medians are taken, after one to warm up.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub repeat: usize,
    /// CPU threads. Default: one per core.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Write the job as a MeasurementSet, for other programs, in place of measuring it.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["json", "device", "backends"])]
    pub write_ms: Option<PathBuf>,
    /// With --write-ms: replace a MeasurementSet that is there.
    #[arg(long, requires = "write_ms")]
    pub overwrite: bool,
    /// With --write-ms: channels that a tile of the visibilities holds, at most.
    #[arg(long, value_name = "N", default_value_t = 64, requires = "write_ms")]
    pub tile_channels: usize,
    /// Write the figures as JSON to a file; to standard output, in place of the table, with -.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Treatment of the w-term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WTermArg {
    /// Part of the operator.
    Exact,
    /// Left out.
    None,
}

/// A backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendArg {
    /// The cores of the CPU.
    Cpu,
    /// A GPU.
    Gpu,
}

/// Arguments of `cubeclean demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Which data: the galaxy NGC 5921 seen by the VLA, or a small simulated ALMA set.
    #[arg(value_enum, default_value_t = DemoSet::Ngc5921)]
    pub set: DemoSet,
    /// Directory for the data and the products; made if missing.
    #[arg(long, value_name = "DIR", default_value = "cubeclean-demo")]
    pub outdir: PathBuf,
    /// The repository's directory `assets`, if it is not where the program was built.
    #[arg(long, value_name = "DIR")]
    pub assets: Option<PathBuf>,
    /// Which processor computes: auto (default), gpu or cpu.
    #[arg(long, value_name = "BACKEND")]
    pub backend: Option<String>,
    /// GPU by a part of its name or its index, several separated by commas, or all.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Memory to stay within on each GPU.
    #[arg(long, value_name = "SIZE")]
    pub device_memory: Option<String>,
    /// CPU threads. Default: one per core.
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
}

/// Data sets of `cubeclean demo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DemoSet {
    /// The H I line of a spiral galaxy, 46 channels.
    Ngc5921,
    /// A simulated rotating disk, 32 channels.
    Small,
}

/// What is said while working.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Messages")]
pub struct Talk {
    /// Say nothing but errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// auto: a bar if standard error is a terminal; json: one object per line on standard output.
    #[arg(long, global = true, value_enum, default_value_t = ProgressKind::Auto, value_name = "KIND")]
    pub progress: ProgressKind,
    /// Messages on standard error: error, warn, info, debug or trace, also by module
    /// (warn,cubeclean::ms=debug).
    #[arg(long, global = true, default_value = "warn", value_name = "LEVEL")]
    pub log_level: String,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressKind {
    /// A bar on a terminal, nothing elsewhere.
    Auto,
    /// For programs.
    Json,
    /// Nothing.
    None,
}

/// The help of `--dry-run`.
const DRY_RUN: &str = "Check parameters and data, print the equivalent command, what the job takes of the machine and \
    about how long, and stop. To tell the time, a few channels are imaged in a temporary directory beside the products, \
    and the disk's rate is measured; not with --restart, --resume or --cyclecontrol cube.";

/// Arguments of `cubeclean image`: one per entry of [`PARAMETERS`], and the file to take others from.
#[derive(Debug)]
pub struct ImageArgs {
    /// YAML or JSON file with parameters; the command line goes before it.
    pub config: Option<PathBuf>,
    /// Only say what the job takes: see [`DRY_RUN`].
    pub dry_run: bool,
    /// What was given on the command line.
    pub parameters: Parameters,
}

impl Args for ImageArgs {
    fn augment_args(command: Command) -> Command {
        let command = command
            .arg(
                Arg::new("config")
                    .long("config")
                    .value_name("FILE")
                    .value_parser(clap::value_parser!(PathBuf))
                    .help("Take parameters from a YAML or JSON file; the command line overrides it"),
            )
            .arg(
                Arg::new("dry-run")
                    .long("dry-run")
                    .action(ArgAction::SetTrue)
                    .help(DRY_RUN),
            )
            .after_help(
                "Units: arcsec, arcmin, deg, rad; Hz, kHz, MHz, GHz; m/s, km/s; Jy, mJy, uJy. Lists are \
                 separated by commas; numbers, formats and products also by spaces.\nSwitches: --pbcor or \
                 --pbcor=false. Values may begin with a minus.\nThe other parameters of tclean are known too: where \
                 they would change something, a value that is not tclean's default is an error that names the way \
                 out; where they would not, a warning says so.",
            );
        PARAMETERS.iter().fold(command, |command, p| command.arg(argument(p)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ImageArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut parameters = Parameters::default();
        for p in PARAMETERS {
            if let Some(value) = matches.get_one::<String>(p.name) {
                parameters
                    .set(p.name, value)
                    .map_err(|e| clap::Error::raw(clap::error::ErrorKind::UnknownArgument, e))?;
            }
        }
        Ok(Self {
            config: matches.get_one::<PathBuf>("config").cloned(),
            dry_run: matches.get_flag("dry-run"),
            parameters,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A parameter as a clap argument. Those that change nothing here are understood but not listed.
fn argument(p: &Parameter) -> Arg {
    let default = match (p.is_switch(), p.default) {
        (true, "True") => " [default: true]".to_owned(),
        (true, _) | (false, "") => String::new(),
        (false, default) => format!(" [default: {default}]"),
    };
    let arg = Arg::new(p.name)
        .long(p.name)
        .help(format!("{}{default}", p.help))
        .help_heading(p.group.heading())
        .hide(matches!(p.support, Support::NoEffect(_) | Support::DefaultOnly(_)))
        .action(ArgAction::Set);
    if p.is_switch() {
        arg.num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("BOOL")
            .hide_possible_values(true)
    } else {
        // Values are attached by `attach_values`, so that they may begin with a minus.
        arg.value_name(p.value).allow_hyphen_values(false)
    }
}

/// Rewrites `--name value ...` to `--name=value ...` for tclean's parameters, so that values may begin
/// with a minus (`--start -17.26km/s`), lists may be separated by spaces (`--imsize 256 256`), and
/// switches may be followed by a word (`--pbcor False`).
pub fn attach_values(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut rest = arguments.into_iter().peekable();
    let mut attached = Vec::new();
    while let Some(argument) = rest.next() {
        let name = argument.to_str().and_then(|a| a.strip_prefix("--"));
        let Some(parameter) = name.and_then(|name| PARAMETERS.iter().find(|p| p.name == name))
        else {
            attached.push(argument);
            continue;
        };
        let most = match (parameter.is_switch(), parameter.is_list()) {
            (false, true) => usize::MAX,
            _ => 1,
        };
        let mut words: Vec<String> = Vec::new();
        while words.len() < most {
            let fits = |word: &OsString| {
                word.to_str().is_some_and(|word| match parameter.is_switch() {
                    true => matches!(word, "true" | "false" | "True" | "False"),
                    false => !is_flag(word),
                })
            };
            let Some(word) = rest.next_if(fits) else { break };
            words.push(word.into_string().unwrap_or_default());
        }
        attached.push(match words.is_empty() {
            true => argument,
            false => format!("--{}={}", parameter.name, words.join(" ")).into(),
        });
    }
    attached
}

/// Whether a word is a flag and not a value: `-1`, `-.5` and `-17.26km/s` are values.
fn is_flag(word: &str) -> bool {
    word.strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(|c: char| c == '-' || c.is_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(line: &str) -> String {
        let words = attach_values(line.split(' ').map(OsString::from));
        words.iter().map(|w| w.to_string_lossy()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn values_may_begin_with_a_minus_and_lists_with_spaces() {
        assert_eq!(
            attached("image --start -17.26km/s --imsize 256 200 --pbcor --robust -0.5 -q"),
            "image|--start=-17.26km/s|--imsize=256 200|--pbcor|--robust=-0.5|-q"
        );
        assert_eq!(
            attached("image --pbcor False --mask --restoringbeam 2arcsec 1arcsec -30deg --niter=5"),
            "image|--pbcor=False|--mask|--restoringbeam=2arcsec 1arcsec -30deg|--niter=5"
        );
        assert_eq!(attached("image --nosuch -3"), "image|--nosuch|-3");
    }

    #[test]
    fn the_definition_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
