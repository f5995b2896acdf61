//! The command line. Nothing else knows clap.

mod args;
mod bench;
mod concat;
mod demo;
mod devices;
mod image;
pub mod unpack;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    error::Result,
    ms::{self, MeasurementSet},
};

/// Runs the command of this process's arguments. Exit status: 0; 1 failure; 2 usage; 3 stopped by a
/// signal. To be called before any thread is started.
pub fn main() -> ExitCode {
    silence_device_select();
    let arguments = args::attach_values(std::env::args_os());
    // On --help, --version and usage errors clap prints and leaves with 0 or 2.
    let cli = args::Cli::parse_from(arguments);
    let watcher = watch::Watcher::new(&cli.talk);
    let outcome = watcher.and_then(|watcher| dispatch(cli, &watcher));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Keeps a layer of Mesa's from writing "error: XDG_RUNTIME_DIR is invalid" to standard error whenever
/// GPUs are looked for on a machine without a desktop. It would ask the desktop which GPU to list first,
/// which concerns nobody here.
fn silence_device_select() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: nothing has started a thread yet that could read the environment meanwhile.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

fn dispatch(cli: args::Cli, watcher: &watch::Watcher) -> Result<()> {
    match cli.command {
        args::Task::Image(args) => image::run(*args, watcher),
        args::Task::Ms { path } => {
            let ms = MeasurementSet::open(&path)?;
            say(&ms::describe(&ms)?.to_string());
            Ok(())
        }
        args::Task::Concat(args) => concat::run(&args, watcher),
        args::Task::Devices { json } => devices::run(json),
        args::Task::Demo(args) => demo::run(&args, watcher),
        args::Task::Bench(args) => bench::run(&args, watcher),
    }
}

/// Prints to standard output. A closed pipe (`| head`) is no failure of ours.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}
