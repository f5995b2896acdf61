//! Both backends on one tiny job.

use super::{Job, Kind, Options, run};
use crate::backend::Clock;

#[test]
fn backends_do_the_same_job_and_each_stage_is_timed() {
    let job = Job { pixels: 72, channels: 2, rows: 1560, iterations: 30, ..Job::default() };
    let device = std::env::var("CUBECLEAN_TEST_DEVICE").unwrap_or_else(|_| "0".into());
    let options = Options { backends: vec![Kind::Gpu, Kind::Cpu], device: Some(device), repeat: 1 };
    let report = run(&job, &options, &|_| {}).unwrap();
    let table = report.table();
    println!("{table}");

    let [cpu, gpu] = &report.backends[..] else { panic!("{:?}", report.backends) };
    assert_eq!((cpu.kind, cpu.clock, gpu.kind), ("cpu", Clock::Wall, "gpu"));
    assert_eq!((cpu.iterations, gpu.iterations), (60, 60));
    for backend in [cpu, gpu] {
        for (name, stage) in &backend.stages {
            assert!(stage.seconds > 0.0, "{}: {name}", backend.kind);
        }
        // Stages lie within the steps; the device's own clock may be a little off the host's.
        let steps: f64 = backend.steps_s.values().sum();
        let stages: f64 =
            backend.stages.iter().filter(|(n, _)| **n != "samples").map(|(_, s)| s.seconds).sum();
        assert!(stages < 1.05 * steps, "{}: {stages} s of {steps} s", backend.kind);
    }
    assert_eq!(report.ratios.len(), gpu.stages.len());
    let differences = report.differences.as_ref().unwrap();
    assert_eq!(differences.channels, 2);
    assert!(differences.psf < 5e-6 && differences.dirty < 5e-6, "{differences:?}");
    assert!(table.contains("cpu/gpu") && table.contains(gpu.driver.as_deref().unwrap()), "{table}");
}
