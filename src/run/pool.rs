//! Threads beside those of the caller's pool: what waits for disks does so in these.
//!
//! A thread of the pool in which batches are made, while it waits for a part of its work, may be lent to any other
//! that is queued there: to another device's batch, which wants what is being read and would wait for it for
//! ever; or to one that writes, while processors have nothing to do.

use crate::error::{Error, Result};

/// As many threads as the caller's pool has.
pub(super) struct Pool(rayon::ThreadPool);

impl Pool {
    /// Starts them, with names for whoever looks at the process.
    ///
    /// # Errors
    /// [`Error::Resources`] if there may be no more threads.
    pub fn new(name: &'static str) -> Result<Self> {
        let threads = rayon::current_num_threads();
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = builder.thread_name(move |k| format!("{name} {k}")).build().map_err(|e| {
            Error::Resources {
                resource: format!("threads ({name})"),
                needed: threads.to_string(),
                available: e.to_string(),
                remedy: "raise the limit of processes (ulimit -u), or give fewer --threads".into(),
            }
        })?;
        Ok(Self(pool))
    }

    /// Does it with these threads; the calling one waits, and does nothing else.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let thread = std::thread::scope(|scope| scope.spawn(|| self.run_here(work)).join());
        thread.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The same for a calling thread that is of no pool.
    pub fn run_here<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.install(work)
    }
}
