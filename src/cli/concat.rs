//! `cubeclean concat`.

use super::{
    args::{ConcatArgs, ConcatModeArg},
    image::thread_pool,
    say,
    watch::Watcher,
};
use crate::{
    cube::{Concat, ConcatMode},
    error::{Error, Result},
    report::Progress,
};

/// Runs `cubeclean concat`.
pub fn run(args: &ConcatArgs, watcher: &Watcher) -> Result<()> {
    let (mode, name) = match args.mode {
        ConcatModeArg::Paged => (ConcatMode::Paged, "paged"),
        ConcatModeArg::Virtual => (ConcatMode::Virtual, "virtual"),
        ConcatModeArg::Movevirtual => (ConcatMode::MoveVirtual, "movevirtual"),
    };
    let inputs: Vec<String> = args.inputs.iter().map(|path| path.display().to_string()).collect();
    let command =
        format!("cubeclean concat --mode {name} {} {}", args.out.display(), inputs.join(" "));
    let stop = || match watcher.stop_requested() {
        None => Ok(()),
        Some(signal) => {
            let remedy = "the images are as they were: run it again".into();
            Err(Error::Stopped { signal, remedy })
        }
    };
    let how = Concat { mode, overwrite: args.overwrite, command: &command, stop: &stop };
    let pool = thread_pool(args.threads)?;
    let path = pool.install(|| how.run(&args.out, &args.inputs))?;
    if watcher.talkative {
        say(&format!("{}", path.display()));
    }
    Ok(())
}
