//! What all backends must do, and what only chunks of strips can get wrong.

use super::*;
use crate::backend::minor_tests::{
    Random, channels_do_not_touch_each_other, compare, minor_cycle_tests,
    peaks_equal_a_search_of_the_plane, psf,
};

minor_cycle_tests!(CpuBackend);

#[test]
fn channels_of_a_call_are_their_own() {
    channels_do_not_touch_each_other(&CpuBackend, 9);
}

#[test]
fn peaks_equal_a_search() {
    peaks_equal_a_search_of_the_plane(&CpuBackend, (300, 333));
}

#[test]
fn chunks_and_threads_change_no_bit() {
    // More masked pixels than one chunk holds, so that several tasks share the plane.
    let shape @ (ny, nx) = (512, 640);
    let mut random = Random(5);
    let psf = psf(shape, &mut random);
    let residual = random.plane(shape);
    let mask = Mask::new(nx, ny, true);
    assert!(mask.count() > 2 * CHUNK_PIXELS);
    let of = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| compare(&CpuBackend, &residual, &psf, shape, &mask, (0.2, 0.0, 12)))
    };
    let one = of(1);
    assert_eq!(one, of(2));
    assert_eq!(one, of(4));
}
