//! What all backends must do, and what only the way of the GPU can get wrong: planes cut into parts,
//! dispatches that leave off, groups of channels.

use crate::{
    Error,
    backend::{
        Minor, PlaneStore,
        gpu::{
            GpuOptions,
            tests::{gpu, gpu_with},
        },
        minor_tests::{
            Case, Random, channels_do_not_touch_each_other, compare, compare_channels, masks,
            minor_cycle_tests, peaks_equal_a_search_of_the_plane, psf,
        },
    },
    mask::Mask,
};

minor_cycle_tests!(gpu());

fn with_binding(binding_bytes: u64) -> GpuOptions {
    GpuOptions { binding_bytes: Some(binding_bytes), ..GpuOptions::default() }
}

#[test]
fn channels_of_a_call_are_their_own() {
    channels_do_not_touch_each_other(&gpu(), 90);
    // Planes of 14 kB: slabs of 9, and tables of one channel or of some in a binding.
    channels_do_not_touch_each_other(&gpu_with(with_binding(40 << 10)), 7);
    channels_do_not_touch_each_other(&gpu_with(with_binding(128 << 10)), 20);
}

#[test]
fn peaks_equal_a_search() {
    peaks_equal_a_search_of_the_plane(&gpu(), (300, 333));
    // Two parts; the masks in several tables.
    peaks_equal_a_search_of_the_plane(&gpu_with(with_binding(256 << 10)), (300, 333));
    peaks_equal_a_search_of_the_plane(&gpu_with(with_binding(12 << 10)), (64, 96));
}

#[test]
fn planes_in_parts_change_no_bit() {
    let gpu = gpu_with(with_binding(64 << 10));
    let mut random = Random(31);
    // Two parts and three, of 2¹⁴ pixels each.
    for shape in [(170, 150), (130, 290)] {
        let psf = psf(shape, &mut random);
        let residual = random.plane(shape);
        for mask in &masks(shape)[..5] {
            compare(&gpu, &residual, &psf, shape, mask, (0.2, 0.1, 40));
        }
    }
}

#[test]
fn dispatches_that_leave_off_change_no_bit() {
    let shape = (100, 130);
    let mut random = Random(37);
    let planes: Vec<_> = (0..3).map(|_| (random.plane(shape), psf(shape, &mut random))).collect();
    let masks = masks(shape);
    for loop_turns in [1, 2, 7, 100] {
        let gpu = gpu_with(GpuOptions { loop_turns: Some(loop_turns), ..GpuOptions::default() });
        let cases: Vec<_> = (0..3)
            .map(|channel| Case {
                channel,
                residual: &planes[channel].0,
                psf: &planes[channel].1,
                mask: &masks[channel],
                limits: (0.2, 0.2, 30 + 10 * channel),
            })
            .collect();
        compare_channels(&gpu, 3, shape, &cases);
    }
}

#[test]
fn a_thread_may_have_several_tiles() {
    // 441 tiles for 256 threads.
    let shape @ (ny, nx) = (650, 660);
    let mut random = Random(43);
    let psf = psf(shape, &mut random);
    let residual = random.plane(shape);
    let mask = Mask::from_fn(nx, ny, |x, y| y > 20 && (x * x + y) % 7 != 3);
    let result = compare(&gpu(), &residual, &psf, shape, &mask, (0.3, 0.2, 60));
    assert_eq!(result.components.len(), 60);
}

#[test]
fn more_loop_turns_than_a_software_driver_has_are_made() {
    // Every tile is looked at in every iteration, and the components are many: some 300,000 turns.
    let shape @ (ny, nx) = (200, 260);
    let mut random = Random(41);
    let psf = psf(shape, &mut random);
    let residual = random.plane(shape);
    let mask = Mask::from_fn(nx, ny, |x, y| x % 31 == 5 && y % 17 == 2);
    let result = compare(&gpu(), &residual, &psf, shape, &mask, (0.02, 0.0, 2500));
    assert_eq!(result.components.len(), 2500);
}

#[test]
fn tables_count_in_the_memory_budget() {
    let options =
        GpuOptions { memory_bytes: Some(3 * 64 * 64 * 4 + 20_000), ..GpuOptions::default() };
    let gpu = gpu_with(options);
    let zeros = || gpu.zeros(1, 64, 64).unwrap();
    let (mut residual, psf, mut model) = (zeros(), zeros(), zeros());
    let mask = Mask::new(64, 64, true);
    let control = crate::backend::MinorControl {
        channel: 0,
        mask: &mask,
        gain: 0.1,
        threshold: 0.0,
        max_iter: 1,
        keep_residual: true,
    };
    let error = gpu.hogbom(&mut residual, &psf, &mut model, &[control]).unwrap_err();
    assert!(matches!(error, Error::Resources { .. }), "{error}");
}

#[test]
fn too_few_storage_bindings_are_an_error_that_names_them() {
    let mut gpu = gpu_with(with_binding(1 << 10));
    gpu.device.limits.max_storage_buffers_per_shader_stage = 8;
    // Three planes in three parts each, tiles and work.
    let planes = gpu.zeros(1, 26, 26).unwrap();
    let message = super::hogbom::check(&gpu, &planes).unwrap_err().to_string();
    assert!(message.contains("11 storage bindings") && message.contains("offers 8"), "{message}");
    assert!(message.contains("--backend cpu"), "{message}");
    let planes = gpu.zeros(1, 16, 16).unwrap();
    super::hogbom::check(&gpu, &planes).unwrap();
}
