//! `cubeclean bench`.

use std::{fs, path::Path};

use super::{
    args::{BackendArg, BenchArgs, WTermArg},
    image::thread_pool,
    say,
    watch::Watcher,
};
use crate::{
    bench::{self, Job, Kind, Options},
    error::{Error, Result},
    gridding::WTermMode,
};

/// Runs `cubeclean bench`.
pub fn run(args: &BenchArgs, watcher: &Watcher) -> Result<()> {
    let job = Job {
        pixels: args.pixels,
        channels: args.channels,
        rows: args.rows,
        mask_fraction: args.mask_fraction,
        iterations: args.iterations,
        accuracy: args.accuracy,
        wterm: match args.wterm {
            WTermArg::Exact => WTermMode::Exact,
            WTermArg::None => WTermMode::None,
        },
        grids: args.grids,
    };
    if let Some(path) = &args.write_ms {
        let layout =
            bench::MsLayout { overwrite: args.overwrite, tile_channels: args.tile_channels };
        return thread_pool(args.threads)?.install(|| bench::write_ms(&job, path, layout));
    }
    let backend = |backend: &BackendArg| match backend {
        BackendArg::Cpu => Kind::Cpu,
        BackendArg::Gpu => Kind::Gpu,
    };
    let backends = args.backends.iter().map(backend).collect();
    let options = Options { backends, device: args.device.clone(), repeat: args.repeat };
    if let Some(file) = args.json.as_deref().filter(|file| *file != Path::new("-")) {
        // Finds out now, and not after the measurement, that it cannot be written.
        fs::write(file, "").map_err(|e| Error::io("write", file, e))?;
    }
    let talkative = watcher.talkative;
    let report = thread_pool(args.threads)?.install(|| {
        bench::run(&job, &options, &|doing| {
            if talkative {
                eprintln!("{doing}");
            }
        })
    })?;
    let json = || {
        serde_json::to_string_pretty(&report).map_err(|e| {
            Error::io("write", args.json.as_deref().unwrap_or(Path::new("-")), e.into())
        })
    };
    match args.json.as_deref() {
        Some(file) if file == Path::new("-") => say(&json()?),
        Some(file) => {
            fs::write(file, json()? + "\n").map_err(|e| Error::io("write", file, e))?;
            say(&report.table());
        }
        None => say(&report.table()),
    }
    Ok(())
}
