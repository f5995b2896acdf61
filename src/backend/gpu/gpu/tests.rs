//! Planes on a device, and what happens when the device or its memory fails.

use super::{Gpu, GpuOptions};
use crate::{
    Error,
    backend::{
        PlaneStore,
        gpu::tests::{gpu, gpu_with},
    },
};

fn ramp(n: usize, start: f32) -> Vec<f32> {
    (0..n).map(|i| start + i as f32).collect()
}

#[test]
fn planes_keep_what_is_put_and_refuse_what_does_not_fit() {
    for binding_bytes in [None, Some(1 << 10)] {
        // 13·37 values: whole, or in two parts.
        let gpu = gpu_with(GpuOptions { binding_bytes, ..GpuOptions::default() });
        let (ny, nx) = (13, 37);
        let mut planes = gpu.zeros(3, ny, nx).unwrap();
        gpu.put(&mut planes, 1, &ramp(ny * nx, 1.0)).unwrap();
        gpu.put(&mut planes, 2, &ramp(ny * nx, 2.0)).unwrap();
        gpu.put(&mut planes, 1, &ramp(ny * nx, 5.0)).unwrap();
        assert_eq!(gpu.get(&planes, 0).unwrap(), vec![0.0; ny * nx]);
        assert_eq!(gpu.get(&planes, 1).unwrap(), ramp(ny * nx, 5.0));
        gpu.clear(&mut planes, &[1]).unwrap();
        assert_eq!(gpu.get(&planes, 1).unwrap(), vec![0.0; ny * nx]);
        assert_eq!(gpu.get(&planes, 2).unwrap(), ramp(ny * nx, 2.0));
        assert!(gpu.put(&mut planes, 3, &ramp(ny * nx, 0.0)).is_err());
        assert!(gpu.put(&mut planes, 0, &ramp(7, 0.0)).is_err());
        assert!(gpu.get(&planes, 3).is_err());
    }
}

#[test]
fn planes_larger_than_a_staging_buffer_survive() {
    let gpu = gpu();
    let (ny, nx) = (3000, 3001);
    let mut planes = gpu.zeros(1, ny, nx).unwrap();
    let values = ramp(ny * nx, 0.0);
    gpu.put(&mut planes, 0, &values).unwrap();
    assert!(gpu.get(&planes, 0).unwrap() == values);
}

#[test]
fn too_small_a_memory_budget_is_refused_with_the_numbers_and_recovered_from() {
    let options = GpuOptions { memory_bytes: Some(1 << 20), ..GpuOptions::default() };
    let gpu = gpu_with(options);
    let error = gpu.zeros(100, 100, 100).err().unwrap();
    assert!(matches!(error, Error::Resources { .. }));
    let message = error.to_string();
    assert!(message.contains("4000000 bytes") && message.contains("--device-memory"), "{message}");
    // Dropped planes give their share back.
    for _ in 0..5 {
        let mut planes = gpu.zeros(10, 100, 100).unwrap();
        gpu.put(&mut planes, 9, &ramp(10_000, 0.0)).unwrap();
        assert_eq!(gpu.get(&planes, 9).unwrap(), ramp(10_000, 0.0));
    }
}

#[test]
fn a_plane_beyond_the_devices_limits_is_refused() {
    let options = GpuOptions { binding_bytes: Some(1 << 10), ..GpuOptions::default() };
    let message = gpu_with(options).zeros(1, 100, 100).err().unwrap().to_string();
    assert!(message.contains("40000 bytes") && message.contains("3072"), "{message}");
}

#[test]
fn a_lost_device_is_an_error_of_every_later_call() {
    let gpu = gpu();
    let mut planes = gpu.zeros(1, 10, 10).unwrap();
    gpu.put(&mut planes, 0, &ramp(100, 0.0)).unwrap();
    gpu.device.raw.destroy();
    let check = |result: Result<(), Error>| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Device { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("lost") && message.contains("run again"), "{message}");
    };
    check(gpu.get(&planes, 0).map(|_| ()));
    check(gpu.put(&mut planes, 0, &ramp(100, 0.0)));
    check(gpu.zeros(1, 10, 10).map(|_| ()));
    check(gpu.finish());
}

#[test]
fn an_unknown_device_is_refused_with_a_list() {
    let options = GpuOptions { device: Some("no such GPU".into()), ..GpuOptions::default() };
    let message = Gpu::open(&options).unwrap_err().to_string();
    assert!(message.starts_with("no such GPU") && message.contains("there are"), "{message}");
}
