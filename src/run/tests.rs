//! Which processor is taken, how batches fit into memory, and what a lost device leaves behind.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use super::*;
use crate::{
    Error,
    backend::{
        cpu::CpuBackend,
        gpu::{Gpu, GpuOptions, tests::gpu_with},
    },
    config::Parameters,
    report::Silent,
};

fn ms() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let into = root.join("target/test-data");
    crate::cli::unpack::measurement_set(&root.join("assets/ms"), "small", None, &into).unwrap()
}

/// A dirty cube of all 32 channels of `small`, and further settings.
fn config(dir: &Path, settings: &[(&str, &str)]) -> Config {
    let (ms, name) = (ms(), dir.join("im"));
    let least = [
        ("vis", ms.to_str().unwrap()),
        ("imagename", name.to_str().unwrap()),
        ("specmode", "cube"),
        ("imsize", "64"),
        ("cell", "0.4arcsec"),
        ("outframe", "TOPO"),
        ("interpolation", "nearest"),
    ];
    let mut parameters = Parameters::default();
    for (name, value) in least.iter().chain(settings) {
        parameters.set(name, *value).unwrap();
    }
    Config::new(&parameters).unwrap()
}

/// A device for tests with this much memory.
fn gpu(memory_bytes: Option<u64>) -> Gpu {
    gpu_with(GpuOptions { memory_bytes, ..GpuOptions::default() })
}

/// Runs a plan on given devices.
fn run_on(gpus: &[Gpu], config: &Config, plan: &Plan, progress: &dyn Progress) -> Result<Summary> {
    let planned = Planned {
        config,
        plan: Plan::new(config)?,
        earlier: Earlier::open(config, plan)?,
        limits: ROOM,
        processor: Processor::Cpu,
        reason: String::new(),
    };
    run(&planned, gpus, progress, Watch::new())
}

const ROOM: Limits = Limits {
    host: 8 << 30,
    whole_cube: false,
    to_go_back: 0,
    clean_planes: 1,
    restore_planes: 5,
    passes: 1,
    disk: 0,
};

#[test]
fn auto_takes_a_gpu_that_can_do_the_job_and_else_says_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let auto = |settings: &[(&str, &str)], memory: Option<u64>| {
        let config = config(dir.path(), settings);
        let plan = Plan::new(&config).unwrap();
        let open = || {
            let gpu = gpu(memory);
            gpu.check(&plan.operator)?;
            Ok(vec![gpu])
        };
        choice::auto(&config, &plan, &ROOM, &open)
    };
    let (processor, reason) = auto(&[], None).unwrap();
    assert!(matches!(processor, Processor::Gpus(_)), "{reason}");

    let (processor, reason) = auto(&[("gridding-accuracy", "1e-6")], None).unwrap();
    assert!(matches!(processor, Processor::Cpu), "{reason}");
    assert!(reason.contains("gridding-accuracy") && reason.contains("double"), "{reason}");

    let (processor, reason) = auto(&[], Some(1 << 20)).unwrap();
    assert!(matches!(processor, Processor::Cpu), "{reason}");
    assert!(reason.contains("device memory"), "{reason}");

    let asked = auto(&[("device-memory", "1MiB")], Some(1 << 20)).unwrap_err();
    assert!(matches!(asked, Error::Resources { .. }), "{asked}");
}

#[test]
fn batches_fit_the_devices_and_are_shared() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [("backend", "gpu"), ("imsize", "256"), ("cell", "0.1arcsec")];
    let plan = Plan::new(&config(dir.path(), &settings)).unwrap();
    let split = |devices: &[Gpu], limits: &Limits| Batches::new(&plan, devices, limits);
    let ample = split(&[gpu(None)], &ROOM).unwrap();
    assert_eq!(ample.channels, vec![0..32; 1]);
    assert!(ample.device_bytes.is_some() && ample.grid_count == 8);

    let needed = ample.device_bytes.unwrap();
    let tight = split(&[gpu(Some(needed - 1))], &ROOM).unwrap();
    assert!(tight.channels.len() > 1 && tight.device_bytes.unwrap() < needed);

    assert_eq!(split(&[gpu(None), gpu(None)], &ROOM).unwrap().channels, [0..16, 16..32]);
    // The smaller device decides.
    let unequal = split(&[gpu(None), gpu(Some(needed / 3))], &ROOM);
    assert!(unequal.unwrap().channels.len() > 2);

    // Clark's loop works on a copy of the residual.
    let clark = [&settings[..], &[("deconvolver", "clark")]].concat();
    let clark = Plan::new(&config(dir.path(), &clark)).unwrap();
    let extra = Batches::new(&clark, &[gpu(None)], &ROOM).unwrap().device_bytes.unwrap();
    assert_eq!(extra - needed, 32 * 256 * 256 * 4);
    assert!(Batches::new(&clark, &[gpu(Some(needed))], &ROOM).unwrap().channels.len() > 1);

    let whole = Limits { whole_cube: true, ..ROOM };
    assert_eq!(split(&[gpu(None), gpu(None)], &whole).unwrap().channels, vec![0..32; 1]);
    let error = split(&[gpu(Some(needed / 2))], &whole).unwrap_err().to_string();
    assert!(error.contains("device memory for --cyclecontrol cube"), "{error}");
    let error = split(&[gpu(Some(1 << 20))], &ROOM).unwrap_err().to_string();
    assert!(error.contains("device memory for one channel: "), "{error}");
    assert!(error.contains("1.0 MB available") && error.contains("--device-memory"), "{error}");
}

/// What is imaged is what was planned, with short batches at the ends; channels that are done are left out.
#[test]
fn batches_on_the_host_begin_and_end_with_short_ones() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::new(&config(dir.path(), &[])).unwrap();
    let two = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let batches = two.install(|| Batches::new(&plan, &[CpuBackend], &ROOM)).unwrap();
    let planned = [0..2, 2..8, 8..16, 16..24, 24..30, 30..32];
    assert_eq!(batches.channels, planned);
    let all: Vec<usize> = (0..32).collect();
    assert_eq!(batches.of(&all), planned);
    assert_eq!(batches.of(&[1, 2, 3, 7, 31]), [1..4, 7..8, 31..32]);
    // As one of several processes.
    assert_eq!(batches.of(&all[5..15]), [5..7, 7..10, 10..13, 13..15]);
}

/// The planes of scales are planned for, and a device that has just so much memory does the job.
#[test]
fn multiscale_keeps_to_the_memory_planned_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let of = |deconvolver: &str| {
        let settings = [
            ("backend", "gpu"),
            ("nchan", "3"),
            ("start", "9"),
            ("niter", "40"),
            ("deconvolver", deconvolver),
            ("scales", "0,3,8"),
        ];
        config(dir.path(), &settings)
    };
    let needed = |config: &Config| {
        let plan = Plan::new(config).unwrap();
        let batches = Batches::new(&plan, &[gpu(None)], &ROOM).unwrap();
        assert_eq!(batches.channels, vec![0..3; 1]);
        batches.device_bytes.unwrap()
    };
    let config = of("multiscale");
    let needed = [needed(&of("hogbom")), needed(&config)];
    // Three residuals and six PSFs of 64² pixels, four bytes each, for three channels.
    assert!(needed[1] - needed[0] > 3 * 9 * 4 * 64 * 64, "{needed:?}");
    let plan = Plan::new(&config).unwrap();
    let gpus = [gpu(Some(needed[1]))];
    let summary = run_on(&gpus, &config, &plan, &Silent).unwrap();
    assert!(summary.iterdone() > 50, "{}", summary.iterdone());
    let peak = gpus[0].peak_memory().unwrap();
    assert!(peak <= needed[1], "{peak} of {}", needed[1]);
}

/// Loses the device when the job asks for the `count`-th time whether to stop.
struct Saboteur<'a> {
    gpu: &'a Gpu,
    count: AtomicUsize,
    last: usize,
}

impl Progress for Saboteur<'_> {
    fn event(&self, event: Event) {
        Silent.event(event);
    }

    fn stop_requested(&self) -> Option<String> {
        if self.count.fetch_add(1, Ordering::Relaxed) + 1 == self.last {
            self.gpu.lose();
        }
        None
    }
}

/// Files of all products that look finished, with their contents.
fn finished(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let unfinished =
            ["incomplete", "journal"].map(|end| path.extension() == Some(end.as_ref()));
        if path.is_dir() && !unfinished.contains(&true) {
            files.extend(finished(&path));
        } else if path.is_file() {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

/// Before the batch, and between dirty image and clean. (While channels are written their planes have
/// left the device.)
#[test]
fn a_lost_device_ends_the_run_and_harms_nothing() {
    for last in 1..=2 {
        let dir = tempfile::tempdir().unwrap();
        image(&config(dir.path(), &[("backend", "cpu")]), &Silent).unwrap();
        let before = finished(dir.path());
        assert!(before.len() > 10, "{:?}", before.keys());
        let settings = [("backend", "gpu"), ("overwrite", "true"), ("niter", "50")];
        let config = config(dir.path(), &settings);
        let plan = Plan::new(&config).unwrap();
        let gpus = [gpu(None)];
        let progress = Saboteur { gpu: &gpus[0], count: AtomicUsize::new(0), last };
        let error = run_on(&gpus, &config, &plan, &progress).unwrap_err();
        assert!(matches!(error, Error::Device { .. }), "{last}: {error}");
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("lost"), "{last}: {error}");
        assert!(finished(dir.path()) == before, "{last}: a product has changed");
    }
}

/// One block, several, and reading batch by batch: whatever the memory makes of it, the pixels are the same.
#[test]
fn bits_do_not_depend_on_how_visibilities_are_read() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let mut seen: BTreeMap<String, Vec<Vec<u32>>> = BTreeMap::new();
    for megabytes in (60..=90).rev() {
        let limit = format!("{megabytes}MB");
        let settings = [("backend", "cpu"), ("niter", "20"), ("memory-limit", &limit)];
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &settings);
        let Ok(admission) = pool.install(|| admit(&config, &Silent)) else { break };
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is written");
        let reading = admission.reading.to_string();
        if seen.contains_key(&reading) {
            continue;
        }
        pool.install(|| image(&config, &Silent)).unwrap();
        let image = crate::cube::CubeReader::open(dir.path().join("im.image")).unwrap();
        let bits = |channel| -> Vec<u32> {
            let plane = image.read_plane(0, channel).unwrap();
            plane.values.into_iter().map(f32::to_bits).collect()
        };
        seen.insert(reading, (0..32).map(bits).collect());
    }
    let kinds: Vec<&String> = seen.keys().collect();
    assert!(kinds.iter().any(|k| k.contains("read once and kept")), "{kinds:?}");
    assert!(kinds.iter().any(|k| k.contains("2 blocks")), "{kinds:?}");
    assert!(kinds.iter().any(|k| k.contains("copy in the order of channels")), "{kinds:?}");
    let first = seen.values().next().unwrap();
    assert!(seen.values().all(|bits| bits == first), "{kinds:?}");
}
