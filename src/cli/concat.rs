//! `cubeclean concat`.

use super::{
    args::{ConcatArgs, ConcatModeArg},
    image::thread_pool,
    say,
    watch::Watcher,
};
use crate::{
    cube::{ConcatMode, concat},
    error::Result,
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
    let pool = thread_pool(args.threads)?;
    let path = pool.install(|| concat(mode, &args.out, &args.inputs, args.overwrite, &command))?;
    if watcher.talkative {
        say(&format!("{}", path.display()));
    }
    Ok(())
}
