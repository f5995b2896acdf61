//! Watches the process from a thread of its own: memory, processor and bytes, by the kernel's counters.

use std::{
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::report::Phase;

/// Between two samples: a hundredth of the time so far, within these. Short runs are seen in detail, and long
/// ones cost nothing.
const INTERVAL_S: (f64, f64) = (0.1, 2.0);

/// CPU time that sampling may take, of the wall time. Where samples are dear (many threads, a busy machine) there
/// are fewer of them.
const BUDGET: f64 = 0.0025;

/// Points of the memory's time line, at most; it is thinned out when there are twice as many.
const TIMELINE: usize = 256;

/// The kernel's counters of this process. On other systems than Linux there are none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub rss_bytes: u64,
    pub threads: u64,
    pub cpu_s: f64,
    /// All that was read, and written, by system calls.
    pub read: u64,
    pub written: u64,
    /// What came from, and went to, disks.
    pub disk_read: u64,
    pub disk_written: u64,
}

impl Counters {
    /// As they are now.
    pub fn now() -> Option<Self> {
        let io = fs::read_to_string("/proc/self/io").ok()?;
        let of = |name: &str| {
            io.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok())
        };
        // Behind the name of the command, which may hold anything but ends with the last bracket.
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |i: usize| fields.get(i)?.parse::<u64>().ok();
        Some(Self {
            cpu_s: (field(11)? + field(12)?) as f64 / ticks_per_second(),
            threads: field(17)?,
            rss_bytes: field(21)? * page_bytes(),
            read: of("rchar")?,
            written: of("wchar")?,
            disk_read: of("read_bytes")?,
            disk_written: of("write_bytes")?,
        })
    }
}

#[cfg(unix)]
fn ticks_per_second() -> f64 {
    // SAFETY: asks for a number.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) as f64 }
}

#[cfg(unix)]
fn page_bytes() -> u64 {
    // SAFETY: asks for a number.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 }
}

#[cfg(not(unix))]
fn ticks_per_second() -> f64 {
    1.0
}

#[cfg(not(unix))]
fn page_bytes() -> u64 {
    1
}

/// How long to wait for the next sample, after so many seconds with so many of CPU time spent on samples.
fn interval(elapsed_s: f64, spent_s: f64) -> Duration {
    let wanted = (elapsed_s / 100.0).clamp(INTERVAL_S.0, INTERVAL_S.1);
    Duration::from_secs_f64(wanted.max(spent_s / BUDGET - elapsed_s))
}

/// What was seen of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    pub phases: Vec<Phase>,
    pub timeline: Vec<(f64, u64)>,
    /// CPU time of the watching thread.
    pub own_cpu_s: Option<f64>,
}

/// The thread that watches, and what it has seen.
pub(super) struct Sampler {
    seen: Arc<Mutex<Seen>>,
    thread: Mutex<Option<Thread>>,
}

/// What ends the thread, and the thread, which ends with its CPU time.
type Thread = (Sender<()>, JoinHandle<Option<f64>>);

struct Seen {
    started: Instant,
    phases: Vec<Open>,
    timeline: Vec<(f64, u64)>,
    /// Every so many samples are kept in the time line.
    step: usize,
    samples: usize,
    last: Option<(Instant, Counters)>,
}

/// A phase, and what the counters were when it began.
struct Open {
    phase: Phase,
    began: Instant,
    before: Option<Counters>,
}

impl Sampler {
    /// Begins to watch, in a phase.
    pub fn start(phase: &str) -> Self {
        let seen = Seen {
            started: Instant::now(),
            phases: Vec::new(),
            timeline: Vec::new(),
            step: 1,
            samples: 0,
            last: None,
        };
        let seen = Arc::new(Mutex::new(seen));
        let (stop, stopped) = mpsc::channel();
        let watched = Arc::clone(&seen);
        let watch = move || {
            let began = Instant::now();
            loop {
                let spent = thread_cpu_s().unwrap_or(0.0);
                match stopped.recv_timeout(interval(began.elapsed().as_secs_f64(), spent)) {
                    Err(RecvTimeoutError::Timeout) => lock(&watched).sample(),
                    _ => return thread_cpu_s(),
                }
            }
        };
        // Without a thread there are the samples at the edges of phases.
        let thread = std::thread::Builder::new().name("cubeclean-watch".into()).spawn(watch).ok();
        let sampler = Self { seen, thread: Mutex::new(thread.map(|thread| (stop, thread))) };
        sampler.phase(phase);
        sampler
    }

    /// The next phase begins.
    pub fn phase(&self, name: &str) {
        let mut seen = lock(&self.seen);
        seen.sample();
        seen.close();
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let before = seen.last.map(|(_, counters)| counters);
        let phase = Phase {
            name: name.to_owned(),
            start_unix_s: start.as_secs_f64(),
            max_rss_bytes: before.map(|c| c.rss_bytes),
            threads: before.map(|c| c.threads),
            ..Phase::default()
        };
        seen.phases.push(Open { phase, began: Instant::now(), before });
    }

    /// What was seen up to now; the watching ends.
    pub fn stop(&self) -> Observed {
        let own_cpu_s = self.end();
        let mut seen = lock(&self.seen);
        seen.sample();
        seen.close();
        Observed {
            phases: seen.phases.drain(..).map(|open| open.phase).collect(),
            timeline: std::mem::take(&mut seen.timeline),
            own_cpu_s,
        }
    }

    fn end(&self) -> Option<f64> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (stop, thread) = thread?;
        drop(stop);
        thread.join().ok().flatten()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    fn sample(&mut self) {
        let Some(now) = Counters::now() else { return };
        let at = Instant::now();
        let before = self.last.replace((at, now));
        if let Some(Open { phase, .. }) = self.phases.last_mut() {
            phase.max_rss_bytes = phase.max_rss_bytes.max(Some(now.rss_bytes));
            phase.threads = phase.threads.max(Some(now.threads));
            let busy = before.and_then(|(then, before)| {
                let seconds = (at - then).as_secs_f64();
                // Ticks are coarse.
                (seconds > 0.08).then(|| (now.cpu_s - before.cpu_s) / seconds)
            });
            if let Some(busy) = busy {
                phase.max_cpu = Some(phase.max_cpu.map_or(busy, |most| most.max(busy)));
            }
        }
        if self.samples.is_multiple_of(self.step) {
            self.timeline.push(((at - self.started).as_secs_f64(), now.rss_bytes));
        }
        self.samples += 1;
        if self.timeline.len() >= 2 * TIMELINE {
            let mut index = 0;
            self.timeline.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.step *= 2;
        }
    }

    /// Ends the phase that is open.
    fn close(&mut self) {
        let last = self.last.map(|(_, counters)| counters);
        let Some(Open { phase, began, before }) = self.phases.last_mut() else { return };
        phase.duration_s = began.elapsed().as_secs_f64();
        if let (Some(before), Some(now)) = (*before, last) {
            phase.mean_cpu =
                (phase.duration_s > 0.0).then(|| (now.cpu_s - before.cpu_s) / phase.duration_s);
            phase.end_rss_bytes = Some(now.rss_bytes);
            phase.read_bytes = Some(now.read - before.read);
            phase.written_bytes = Some(now.written - before.written);
        }
    }
}

/// CPU time of the calling thread.
#[cfg(target_os = "linux")]
fn thread_cpu_s() -> Option<f64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is there for the call to fill.
    let rc = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    (rc == 0).then_some(time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64)
}

#[cfg(not(target_os = "linux"))]
fn thread_cpu_s() -> Option<f64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_each_other_and_count_what_is_done_in_them() {
        let sampler = Sampler::start("idle");
        std::thread::sleep(Duration::from_millis(300));
        sampler.phase("busy");
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), vec![1u8; 3_000_000]).unwrap();
        let held = vec![1u8; 60 << 20];
        let until = Instant::now() + Duration::from_millis(600);
        let mut sum = 0u64;
        while Instant::now() < until {
            sum = sum.wrapping_add(held[(sum % 1000) as usize].into());
        }
        drop(std::hint::black_box((sum, held)));
        let seen = sampler.stop();
        let [idle, busy] = &seen.phases[..] else { panic!("{:?}", seen.phases) };
        assert!((idle.start_unix_s + idle.duration_s - busy.start_unix_s).abs() < 0.05);
        assert!(idle.duration_s > 0.29 && busy.duration_s > 0.59);
        // Other tests of this process may be at work too, so that these are lower bounds.
        assert!(busy.mean_cpu.unwrap() > 0.3, "{busy:?}");
        assert!(busy.written_bytes.unwrap() >= 3_000_000, "{busy:?}");
        assert!(busy.max_rss_bytes.unwrap() >= 60 << 20, "{busy:?}");
        assert!(seen.own_cpu_s.unwrap() < 0.1 && !seen.timeline.is_empty());
    }

    /// A run as the thread goes through it, with samples of so many seconds of CPU time: what has been spent at any
    /// of them was within the budget when it began.
    #[test]
    fn sampling_keeps_to_its_budget_whatever_a_sample_costs() {
        for cost in [0.0, 1e-5, 6e-4, 5e-3, 0.2] {
            let (mut elapsed, mut spent, mut samples) = (0.0, 0.0, 0);
            while elapsed < 3600.0 {
                elapsed += interval(elapsed, spent).as_secs_f64();
                // Durations are whole nanoseconds.
                assert!(spent <= BUDGET * elapsed + 1e-9, "{cost}: {spent} of {elapsed} s");
                spent += cost;
                samples += 1;
            }
            assert!(samples > 40, "{cost}: {samples}");
        }
        assert_eq!(interval(1.0, 0.0), Duration::from_millis(100));
        assert_eq!(interval(1e6, 0.0), Duration::from_secs(2));
    }
}
