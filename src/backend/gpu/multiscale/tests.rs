//! What all backends must do, and that the device's bits are the CPU's, however planes are cut.

use crate::backend::{
    Scales,
    cpu::CpuBackend,
    gpu::{
        GpuOptions,
        tests::{gpu, gpu_with},
    },
    multiscale_tests::{cases, multiscale_tests, planes, run},
};

multiscale_tests!(gpu());

#[test]
fn bits_are_those_of_the_cpu() {
    // Tiles and masks of 7 kB, planes of 18 kB: all in one binding; one channel's PSFs cut in two or three.
    let shape = (66, 70);
    let (planes, masks) = planes(6, shape);
    for (pixels, bias) in [(vec![0.0, 4.0, 9.0], 0.6), (vec![3.0, 8.0], -0.2)] {
        let scales = Scales { pixels, smallscalebias: bias };
        let expected = run(&CpuBackend, 6, shape, &scales, &cases(&planes, &masks));
        assert!(expected.iter().any(|(result, ..)| result.components.len() > 60));
        for binding_bytes in [None, Some(64 << 10), Some(128 << 10)] {
            let gpu = gpu_with(GpuOptions { binding_bytes, ..GpuOptions::default() });
            let ours = run(&gpu, 6, shape, &scales, &cases(&planes, &masks));
            for ((ours, expected), case) in ours.iter().zip(&expected).zip(cases(&planes, &masks)) {
                assert_eq!(ours.0, expected.0, "channel {}", case.channel);
                assert_eq!(ours.2, expected.2);
                let same = |i: usize| ours.1[i].to_bits() == expected.1[i].to_bits();
                assert!(case.mask.pixels().all(same));
            }
        }
    }
}
