//! Whole runs with `--backend gpu`, on the first device of the machine: a GPU, or a software one where
//! there is none (`CUBECLEAN_TEST_DEVICE` names another). On a machine without any, these tests fail:
//! they are never skipped.

mod common;

use std::path::Path;

use common::{
    golden,
    pipeline::{
        CPU, Processor, bits, check_auto_masks, check_clark, check_dirty_cubes, check_multiscale,
        check_ngc5921, check_user_mask, difference, plane, run,
    },
};
use cubeclean::{
    backend::{Cargo, gpu::adapters},
    report::Summary,
};

/// The device that tests use.
fn device() -> String {
    assert!(!adapters().is_empty(), "this test needs a GPU or a software one (lavapipe)");
    std::env::var("CUBECLEAN_TEST_DEVICE").unwrap_or_else(|_| "0".into())
}

/// Runs a check on the device.
fn on_gpu<T>(check: impl Fn(Processor) -> T) -> T {
    let device = device();
    check(&[("backend", "gpu"), ("device", &device)])
}

#[test]
fn ngc5921_agrees_with_casa() {
    let summary = on_gpu(check_ngc5921);
    assert!(summary.resources.backend.starts_with("gpu, "), "{}", summary.resources.backend);
    assert_eq!(summary.resources.backend_reason, "--backend gpu");
}

#[test]
fn dirty_cubes_agree_with_casa() {
    on_gpu(check_dirty_cubes);
}

#[test]
fn clark_agrees_with_casa() {
    on_gpu(check_clark);
}

#[test]
fn multiscale_cleans_agree_with_casa() {
    on_gpu(check_multiscale);
}

#[test]
fn automatically_masked_cleans_agree_with_casa_round_by_round() {
    on_gpu(check_auto_masks);
}

/// What an automatic mask makes of the last bits in which the backends differ: masks, components and
/// restored images of whole runs. The limits: 99.9 % of the mask, 0.01 of the noise.
#[test]
fn automatically_masked_cleans_are_the_cpus() {
    for name in ["one_10", "fn_10", "mpc_16"] {
        let casa = golden(name);
        let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a temporary directory"));
        let on_cpu = run(&casa, "small", dirs[0].path(), CPU);
        let on_gpu = on_gpu(|processor| run(&casa, "small", dirs[1].path(), processor));
        let [cpu, gpu] = [&on_cpu, &on_gpu].map(|summary| &summary.channels[0]);
        assert_eq!((gpu.minor.len(), gpu.stopcode), (cpu.minor.len(), cpu.stopcode), "{name}");
        let [cpu_mask, gpu_mask] = [0, 1].map(|i| plane(dirs[i].path(), "mask", 0));
        let pixels = |mask: &ndarray::Array2<f32>| mask.iter().filter(|v| **v > 0.0).count();
        let larger = pixels(&cpu_mask).max(pixels(&gpu_mask)) as f64;
        let overlap = pixels(&(&cpu_mask * &gpu_mask)) as f64 / larger;
        let [cpu_image, gpu_image] = [0, 1].map(|i| plane(dirs[i].path(), "image", 0));
        let (max, _) = difference(&gpu_image, &cpu_image);
        println!(
            "{name}: overlap {overlap:.5} of {larger} pixels, image within {:.1e} of the noise; {} and {} \
             components",
            max / cpu.rms,
            on_gpu.iterdone(),
            on_cpu.iterdone()
        );
        assert!(overlap >= 0.999, "{name}: masks overlap by {overlap}");
        assert!(max <= 0.01 * cpu.rms, "{name}: images differ by {} of the noise", max / cpu.rms);
    }
}

/// The planes stay on the device between the dirty image and the restored one: what crosses are the
/// masks, the peaks and components that come back, and parameters of shaders.
#[test]
fn a_user_mask_agrees_with_casa_and_planes_stay_on_the_device() {
    let summary = on_gpu(check_user_mask);
    let bus = summary.resources.bus.expect("a device has a bus");
    for cargo in Cargo::ALL {
        println!(
            "{:12} to the device {:>10}, back {:>10}; in all {:>11}, {:>11}",
            cargo.name(),
            bus.clean.to_device(cargo),
            bus.clean.to_host(cargo),
            bus.total.to_device(cargo),
            bus.total.to_host(cargo),
        );
    }
    for cargo in [Cargo::Planes, Cargo::Visibilities] {
        assert_eq!(bus.clean.to_device(cargo), 0, "{}", cargo.name());
        assert_eq!(bus.clean.to_host(cargo), 0, "{}", cargo.name());
    }
    assert_eq!(bus.clean.to_host(Cargo::Parameters), 0, "uncounted things come back");
    assert_eq!(bus.clean.to_host(Cargo::Masks), 0);
    assert!(bus.clean.to_device(Cargo::Masks) > 0);
    assert!(bus.clean.to_host(Cargo::Components) > 0);
    // Small beside the planes: a quarter of one for each channel.
    let quarter = (summary.channels.len() * 256 * 256) as u64;
    assert!(bus.clean.to_device(Cargo::Parameters) < quarter);
    // Every plane of psf, residual and model comes back once when it is written, and the PSF once for
    // its beam.
    assert_eq!(bus.total.to_host(Cargo::Planes), 4 * 4 * quarter);
    // Visibilities go there once: 16 bytes a row and channel, their places, and tiles.
    assert!(bus.total.to_device(Cargo::Visibilities) > 0);
    assert_eq!(bus.total.to_device(Cargo::Planes), 0);
    assert_eq!(bus.total.to_host(Cargo::Visibilities), 0);
}

/// A short run of four channels in LSRK, with interpolation, a bandwidth taper and a common beam.
fn four_channels(dir: &Path, threads: usize, changes: &[(&str, &str)]) -> Summary {
    let few = [
        ("backend", "gpu"),
        ("nchan", "4"),
        ("start", "9"),
        ("outframe", "LSRK"),
        ("interpolation", "linear"),
        ("weighting", "briggsbwtaper"),
        ("restoringbeam", "common"),
        ("pbcor", "true"),
        ("niter", "100"),
    ];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| run(&golden("hog_fixed_usermask"), "small", dir, &[&few, changes].concat()))
}

/// One device or two, all channels at a time or few, one thread or more: the same bits.
#[test]
fn bits_depend_on_neither_devices_nor_batches() {
    let device = device();
    let twice = format!("{device},{device}");
    let run_with = |device: &str, threads: usize, memory: &str| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let changes = [("device", device), ("device-memory", memory)];
        let summary = four_channels(dir.path(), threads, &changes);
        assert!(summary.iterdone() > 100, "the test means to clean");
        let peak = summary.resources.peak_device.expect("memory of a device");
        println!("{threads} threads, {memory}: at most {peak} bytes on a device");
        let mut configuration = summary.performance.configuration.iter();
        let (_, batches) = configuration.find(|(name, _)| name == "batches").expect("batches");
        let several = !batches.starts_with("1 ");
        (bits(dir.path(), 4), several, summary.resources.bytes_read)
    };
    let (reference, _, read_once) = run_with(&device, 2, "1GB");
    for (device, threads, memory) in
        [(&device, 2, "20MB"), (&twice, 2, "1GB"), (&twice, 1, "1GB"), (&device, 2, "1GB")]
    {
        let (found, several, read) = run_with(device, threads, memory);
        assert_eq!(several, memory == "20MB" || *device == twice, "device {device}, {memory}");
        // However many batches, they draw from what was read once.
        assert_eq!(read, read_once, "device {device}, {memory}");
        for ((product, expected), (_, found)) in reference.iter().zip(&found) {
            assert!(expected == found, "{product}: device {device}, {threads} threads, {memory}");
        }
    }
}

/// A process that images only some of the cube's channels makes the same bits of them.
#[test]
fn bits_do_not_depend_on_the_other_channels() {
    let device = device();
    let run_with = |start: &str, nchan: &str| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let changes = [
            ("device", device.as_str()),
            ("start", start),
            ("nchan", nchan),
            ("outframe", "TOPO"),
            ("interpolation", "nearest"),
            ("weighting", "natural"),
            ("restoringbeam", ""),
        ];
        four_channels(dir.path(), 2, &changes);
        bits(dir.path(), nchan.parse().expect("a number"))
    };
    let (all, some) = (run_with("9", "4"), run_with("10", "2"));
    for ((product, all), (_, some)) in all.iter().zip(&some) {
        let plane = all.len() / 4;
        assert!(all[plane..3 * plane] == some[..], "{product}");
    }
}
