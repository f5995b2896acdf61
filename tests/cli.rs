//! The command as a user meets it.

mod common;

#[test]
fn assets_unpack_and_decode() {
    for name in ["small", "small_ws", "alma_b3_mssel", "alma_b3_2ant", "vla_l_simple"] {
        assert!(common::ms(name).join("table.dat").is_file(), "{name}");
    }
    assert!(common::ms("small_ws").join("table.f24_TSM1").is_file());

    // Facts about the runs that were noted independently of these files.
    let one = common::golden("one_10");
    assert_eq!(one.mask(0).iter().filter(|&&m| m).count(), 4861);
    assert_eq!(one.ret["iterdone"], 190 + 621 + 215);
    let ngc = common::golden("ngc5921");
    let peak = (0..46).flat_map(|c| ngc.plane("image", c)).fold(0f32, f32::max);
    assert!((peak - 54.78e-3).abs() < 0.01e-3, "{peak}");
    let flux: f32 = (0..46).flat_map(|c| ngc.plane("model", c)).sum();
    assert!(flux > 0.0);
    let psf = common::golden("dirty_uniform_topo").plane("psf", 24);
    assert!((psf[[128, 128]] - 1.0).abs() < 2e-6);
    assert!(
        (common::small_truth().cube.iter().fold(0f32, |a, &b| a.max(b)) - 4.5327e-3).abs() < 1e-7
    );
}
