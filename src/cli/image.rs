//! `cubeclean image`.

use std::{fs, path::Path};

use super::{args::ImageArgs, say, watch::Watcher};
use crate::{
    config::{Config, Parameters},
    error::{Error, Result},
    report::{Event, Progress, Summary},
};

/// Runs `cubeclean image`.
pub fn run(args: ImageArgs, watcher: &Watcher) -> Result<()> {
    let mut parameters = match &args.config {
        Some(file) => {
            let text = fs::read_to_string(file).map_err(|e| Error::io("read", file, e))?;
            Parameters::from_yaml(&text, file)?
        }
        None => Parameters::default(),
    };
    parameters.overlay(&args.parameters);
    let config = Config::new(&parameters)?;
    for (name, why) in &config.no_effect {
        tracing::warn!("{name} has no effect: {why}");
    }
    if let Some(path) = &config.summary {
        config.check_free(path, "--summary")?;
    }
    if args.dry_run {
        return forecast(&config, watcher);
    }
    let summary = image(&config, watcher)?;
    if watcher.talkative {
        say(&summary.table());
        say(&summary.performance.short());
        for product in &summary.products {
            say(&format!("  {}", product.display()));
        }
    }
    Ok(())
}

/// Says what a job takes, and about how long.
fn forecast(config: &Config, watcher: &Watcher) -> Result<()> {
    say(&config.command);
    let pool = thread_pool(config.threads)?;
    // The plan and the estimate are events, which the watcher says.
    pool.install(|| {
        let admission = crate::run::admit(config, watcher)?;
        let estimate = crate::run::estimate(config, &admission, watcher)?;
        let seconds = estimate.map(|e| e.seconds);
        let message = match estimate {
            Some(estimate) => estimate.to_string(),
            None => "  time: cannot be told for a job that continues, or whose channels have one control".into(),
        };
        watcher.event(Event::Estimated { seconds, message });
        Ok(())
    })
}

/// Images with the threads asked for.
pub fn image(config: &Config, watcher: &Watcher) -> Result<Summary> {
    make_directory(config.summary.as_deref())?;
    let pool = thread_pool(config.threads)?;
    pool.install(|| crate::run::image(config, watcher))
}

/// Threads to work in: so many, or one per core.
pub(super) fn thread_pool(threads: Option<usize>) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(0))
        .thread_name(|i| format!("cubeclean-{i}"))
        .build()
        .map_err(|e| Error::Resources {
            resource: "threads".into(),
            needed: threads.map_or("one per core".into(), |n| n.to_string()),
            available: e.to_string(),
            remedy: "give fewer with --threads".into(),
        })
}

/// Makes the directory that a summary is to be in.
fn make_directory(summary: Option<&Path>) -> Result<()> {
    let parent = summary.and_then(Path::parent).filter(|dir| !dir.as_os_str().is_empty());
    match parent {
        Some(dir) => fs::create_dir_all(dir).map_err(|e| Error::io("create", dir, e)),
        None => Ok(()),
    }
}
