//! Runs cubeclean on the data of CASA's golden runs and prints, as Markdown, how its products compare
//! with tclean's: the parity table of README.md.
//!
//! `cargo bench --bench parity -- [--rounds] [--backend gpu --device llvmpipe] [RUN...]`
//!
//! Without names all runs are made. `--rounds` adds a table of every channel of every run, round by
//! round; assets/parity.md is what `--rounds` printed. Nothing is asserted here: tests/ does that.

#[path = "../../tests/common/mod.rs"]
mod common;

mod cleaned;
mod dirty;
mod flux;
mod table;

use std::process::ExitCode;

use cubeclean::report::Summary;

/// A golden run, and what it takes to repeat it.
struct Run {
    name: &'static str,
    set: &'static str,
    changes: &'static [(&'static str, &'static str)],
}

/// One control over all channels, as tclean has it, where the run has several.
const CUBE: &[(&str, &str)] = &[("cyclecontrol", "cube")];

const fn run(
    name: &'static str,
    set: &'static str,
    changes: &'static [(&'static str, &'static str)],
) -> Run {
    Run { name, set, changes }
}

const DIRTY: &[Run] = &[
    run("dirty_nat", "small", &[]),
    run("dirty_briggs_topo", "small", &[]),
    run("dirty_bwt_topo", "small", &[]),
    run("dirty_uniform_topo", "small", &[]),
    run("dirty_nat_lsrk", "small", &[]),
    run("dirty_nat_lsrk_near", "small", &[]),
    run("ws_dirty_nat", "small_ws", &[]),
    run("ws_dirty_briggs", "small_ws", &[]),
];

const CLEANED: &[Run] = &[
    run("one_10", "small", &[]),
    run("one_16", "small", &[]),
    run("one_24", "small", &[]),
    run("fn_10", "small", &[]),
    run("fn_16", "small", &[]),
    run("mpc_16", "small", &[]),
    run("clark_10", "small", &[]),
    run("clark_16", "small", &[]),
    run("ms_10", "small", &[]),
    run("ms_16", "small", &[]),
    run("hog_fixed_usermask", "small", CUBE),
    run("cube_topo_near", "small", CUBE),
    run("cube_lsrk_lin_common", "small", CUBE),
    run("ngc5921", "ngc5921_contsub", &[("datacolumn", "data"), ("cyclecontrol", "cube")]),
];

/// What is asked for on the command line.
#[derive(Default)]
struct Options {
    rounds: bool,
    /// Parameters that name the processor.
    processor: Vec<(String, String)>,
    names: Vec<String>,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.filter(|a| a != "--bench");
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--rounds" => options.rounds = true,
                "--backend" | "--device" => {
                    let value = arguments.next().ok_or(format!("{argument} needs a value"))?;
                    options.processor.push((argument[2..].to_owned(), value));
                }
                name if DIRTY.iter().chain(CLEANED).any(|run| run.name == name) => {
                    options.names.push(argument);
                }
                other => return Err(format!("{other} is neither an option nor a golden run")),
            }
        }
        if options.processor.is_empty() {
            options.processor.push(("backend".into(), "cpu".into()));
        }
        Ok(options)
    }

    fn wants(&self, run: &&Run) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| name == run.name)
    }
}

/// A golden run, made anew.
struct Made {
    name: &'static str,
    casa: common::Golden,
    summary: Summary,
    dir: tempfile::TempDir,
}

impl Made {
    fn new(run: &Run, options: &Options) -> Self {
        eprintln!("{} ...", run.name);
        let casa = common::golden(run.name);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut changes = run.changes.to_vec();
        changes.extend(options.processor.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let summary = common::pipeline::run(&casa, run.set, dir.path(), &changes);
        Self { name: run.name, casa, summary, dir }
    }

    /// A plane of a product of ours.
    fn plane(&self, product: &str, channel: usize) -> ndarray::Array2<f32> {
        common::pipeline::plane(self.dir.path(), product, channel)
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let make = |runs: &[Run]| -> Vec<Made> {
        runs.iter().filter(|r| options.wants(r)).map(|r| Made::new(r, &options)).collect()
    };
    let dirty = make(DIRTY);
    if !dirty.is_empty() {
        dirty::print(&dirty);
    }
    let cleaned = make(CLEANED);
    if !cleaned.is_empty() {
        cleaned::print(&cleaned);
        flux::print(&cleaned);
    }
    if options.rounds {
        dirty::print_channels(&dirty);
        cleaned::print_rounds(&cleaned);
    }
    ExitCode::SUCCESS
}
