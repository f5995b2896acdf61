//! Messages, progress and signals of a run on the command line.

use std::{
    io::{IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};
use tracing_subscriber::EnvFilter;

use super::args::{ProgressKind, Talk};
use crate::{
    error::{Error, Result},
    report::{Event, Progress},
};

/// Shows what a run tells, and asks it to stop on SIGINT or SIGTERM.
pub struct Watcher {
    /// Whether the summary table and the like are wanted.
    pub talkative: bool,
    json: bool,
    bar: ProgressBar,
    signal: Arc<AtomicUsize>,
}

impl Watcher {
    /// Sets up logging and signal handlers for the process.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a log level that is none.
    pub fn new(talk: &Talk) -> Result<Self> {
        let visible =
            talk.progress == ProgressKind::Auto && !talk.quiet && std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            None,
            match visible {
                true => ProgressDrawTarget::stderr(),
                false => ProgressDrawTarget::hidden(),
            },
        );
        start_log(talk, bar.clone())?;
        let json = talk.progress == ProgressKind::Json;
        Ok(Self {
            talkative: !talk.quiet && !json,
            json,
            bar,
            signal: catch_signals().map_err(|e| Error::io("catch", "SIGINT and SIGTERM", e))?,
        })
    }
}

impl Progress for Watcher {
    fn event(&self, event: Event) {
        if self.json {
            // One write per line, so that lines of several threads do not mix.
            let mut line = serde_json::to_string(&event).unwrap_or_default();
            line.push('\n');
            let _ = std::io::stdout().lock().write_all(line.as_bytes());
        }
        match event {
            Event::Planned { channels, message } => {
                if self.talkative {
                    self.bar.suspend(|| eprintln!("{message}"));
                }
                self.bar.set_length(channels as u64);
                self.bar.set_style(style());
                self.bar.enable_steady_tick(Duration::from_millis(200));
            }
            Event::Estimated { message, .. } => {
                if self.talkative {
                    self.bar.suspend(|| eprintln!("{message}"));
                }
            }
            Event::Backend { name, reason } => {
                // Said without being asked for: which hardware computes must never be a surprise.
                if self.talkative {
                    self.bar.suspend(|| eprintln!("backend: {name} ({reason})"));
                }
            }
            Event::Stage { name } => {
                tracing::info!("{name}");
                self.bar.set_message(name);
            }
            Event::Channel { channel, done, total, iterations, peak_residual, stopcode } => {
                tracing::info!(channel, iterations, peak_residual, stopcode, "channel finished");
                self.bar.set_length(total as u64);
                // Threads may report out of order.
                if done as u64 > self.bar.position() {
                    self.bar.set_position(done as u64);
                }
            }
            Event::Warning { message } => tracing::warn!("{message}"),
            Event::Finished { .. } => self.bar.finish_and_clear(),
        }
    }

    fn stop_requested(&self) -> Option<String> {
        match self.signal.load(Ordering::Relaxed) as i32 {
            0 => None,
            SIGINT => Some("SIGINT".into()),
            SIGTERM => Some("SIGTERM".into()),
            other => Some(format!("signal {other}")),
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(
        "{bar:32} {pos}/{len} channels  {elapsed_precise} (left: {eta})  {msg}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The first signal asks the job to stop, and leaves its number; a second one ends the process at once.
fn catch_signals() -> std::io::Result<Arc<AtomicUsize>> {
    let number = Arc::new(AtomicUsize::new(0));
    let again = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the shutdown is armed by the first signal and fires on the second.
        signal_hook::flag::register_conditional_shutdown(signal, 3, Arc::clone(&again))?;
        signal_hook::flag::register(signal, Arc::clone(&again))?;
        signal_hook::flag::register_usize(signal, Arc::clone(&number), signal as usize)?;
    }
    Ok(number)
}

/// Sends `tracing`'s messages to standard error, around the progress bar.
fn start_log(talk: &Talk, bar: ProgressBar) -> Result<()> {
    let level = if talk.quiet { "error" } else { &talk.log_level };
    let filter = EnvFilter::try_new(level).map_err(|e| {
        let remedy =
            "give error, warn, info, debug or trace, also by module (warn,cubeclean::ms=debug)";
        Error::parameter("log-level", level, e.to_string(), remedy)
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .without_time()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(move || AroundBar(bar.clone()))
        .init();
    Ok(())
}

/// Standard error, with the bar out of the way while a message is written.
struct AroundBar(ProgressBar);

impl Write for AroundBar {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.suspend(|| std::io::stderr().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
