use std::f64::consts::TAU;

use super::*;
use crate::ms::{Rows, Slot};

const ARCSEC: f64 = 4.848_136_811_095_36e-6;

fn j2000(ra: f64, dec: f64) -> Direction {
    Direction::new(ra, dec, DirectionFrame::J2000)
}

#[test]
fn directions_are_read_as_tclean_writes_them() {
    let degrees = |text: &str| {
        let d = Direction::parse("phasecenter", text).unwrap();
        (d.ra.to_degrees(), d.dec.to_degrees(), d.frame)
    };
    for text in [
        "J2000 18h00m00.0s -30d00m00.0s",
        "J2000 18:00:00 -30.00.00",
        "270.0deg -30deg",
        "j2000 -90.0deg, -30deg",
    ] {
        let (ra, dec, frame) = degrees(text);
        assert!((ra - 270.0).abs() < 1e-12 && (dec + 30.0).abs() < 1e-12, "{text}");
        assert_eq!(frame, DirectionFrame::J2000);
    }
    assert_eq!(degrees("ICRS 0h 0d").2, DirectionFrame::Icrs);
    for (text, problem) in [
        ("B1950 18h -30d", "B1950 is not supported"),
        ("GALACTIC 10deg 2deg", "convert the direction to ICRS"),
        ("J2000 18:00:00 -30:00:00", "hours"),
        ("J2000 18h00m00.0s", "right ascension and a declination"),
        ("J2000 18h 95d", "beyond a pole"),
        ("J2000 eighteen -30d", "number"),
        ("J2000 270 -30", "no unit"),
    ] {
        let message = Direction::parse("phasecenter", text).unwrap_err().to_string();
        assert!(message.starts_with("phasecenter=") && message.contains(problem), "{message}");
    }
}

#[test]
fn display_is_read_back_to_a_ten_millionth_of_an_arcsecond() {
    for (ra, dec) in [(0.0, 0.0), (4.3, -0.427), (6.25, 1.5), (1e-9, -1e-9)] {
        let d = Direction::new(ra, dec, DirectionFrame::Icrs);
        let again = Direction::parse("p", &d.to_string()).unwrap();
        assert!(d.separation(&again) < 2e-7 * ARCSEC, "{d}");
        assert_eq!(again.frame, d.frame);
    }
}

/// A point source at the new phase centre has, after the shift, the same phase on all baselines.
#[test]
fn a_source_at_the_new_centre_gets_phase_zero() {
    let old = j2000(4.3, -0.43);
    for new in [
        j2000(4.3001, -0.4302),
        j2000(4.5, 0.2),
        Direction::new(4.3, -0.43, DirectionFrame::Icrs),
        j2000(4.3 + 1e-9, -0.43),
    ] {
        let source = new.to_frame(DirectionFrame::J2000).unit_vector();
        let [l, m, n] = times(&uvw_axes(&old), &source);
        let shift = PhaseCenterShift::new(&old, &new).unwrap();
        for (i, uvw) in [[120.0, -340.0, 77.0], [-9000.0, 15.0, 2000.0], [1.0, 2.0, -16000.0]]
            .iter()
            .enumerate()
        {
            let nu_c = 1000.0 + 13.0 * i as f64; // ν/c, 1/m
            // Measurement equation of the crate's root documentation, one source of 1 Jy.
            let phase = nu_c * (uvw[0] * l + uvw[1] * m + uvw[2] * (n - 1.0));
            let (rotated, path_m) = shift.apply(uvw);
            let after = phase - path_m * nu_c;
            assert!((after * TAU).abs() < 2e-6, "{new}: {after} turns");
            let length = |v: &[f64; 3]| dot(v, v).sqrt();
            assert!((length(uvw) - length(&rotated)).abs() < 1e-11 * length(uvw));
        }
    }
}

/// Shifted baselines and phases predict an off-centre source just as the original ones do.
#[test]
fn shifted_rows_obey_the_measurement_equation() {
    let fields = [j2000(2.0, 0.6), j2000(2.001, 0.6005)];
    let centre = j2000(2.0004, 0.6001);
    let source = j2000(2.0009, 0.5999).unit_vector();
    let rows = Rows {
        uvw_m: vec![[800.0, -1200.0, 300.0], [-55.0, 2000.0, -900.0]],
        shift_m: vec![],
        slot: vec![0, 1],
        slots: vec![Slot { time: 0.0, spw: 0, field: 0 }, Slot { time: 0.0, spw: 0, field: 1 }],
    };
    let shifted = rows.to_phase_center(&fields, &centre);
    let phase = |uvw: &[f64; 3], about: &Direction| {
        let [l, m, n] = times(&uvw_axes(about), &source);
        uvw[0] * l + uvw[1] * m + uvw[2] * (n - 1.0)
    };
    for (row, field) in fields.iter().enumerate() {
        let before = phase(&rows.uvw_m[row], field) - shifted.shift_m[row];
        let after = phase(&shifted.uvw_m[row], &centre);
        assert!((before - after).abs() < 1e-9, "{before} {after} m");
    }
    let same = rows.to_phase_center(&[fields[0], fields[0]], &fields[0]);
    assert!(same.shift_m.is_empty());
    assert_eq!(same.uvw_m, rows.uvw_m);
}

#[test]
fn frame_bias_agrees_with_casacore() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../assets/spectral/frames.json")).unwrap();
    for pair in golden["frame_bias"].as_array().unwrap() {
        let at = |key: &str, i: usize| pair[key][i].as_f64().unwrap();
        let icrs = Direction::new(at("icrs", 0), at("icrs", 1), DirectionFrame::Icrs);
        let casacore = j2000(at("j2000", 0), at("j2000", 1));
        // The bias itself is 23 mas; casacore's matrix agrees to the last digits.
        let error = icrs.to_frame(DirectionFrame::J2000).separation(&casacore);
        assert!(error < 1e-6 * ARCSEC, "{error} rad");
        let back = casacore.to_frame(DirectionFrame::Icrs);
        assert!(back.separation(&icrs) < 1e-6 * ARCSEC);
    }
}

#[test]
fn pixels_and_directions_agree_both_ways() {
    let grid = ImageGrid {
        nx: 301,
        ny: 200,
        cell_x: 20.0 * ARCSEC,
        cell_y: 25.0 * ARCSEC,
        phase_center: j2000(0.001, 1.2),
    };
    let centre = grid.pixel_to_sky(150.0, 100.0).unwrap();
    assert!(centre.separation(&grid.phase_center) < 1e-14);
    for (x, y) in [(0.0, 0.0), (300.0, 199.0), (12.25, 180.5), (-7.0, 250.0)] {
        let (again_x, again_y) = grid.sky_to_pixel(&grid.pixel_to_sky(x, y).unwrap()).unwrap();
        assert!((again_x - x).abs() < 1e-7 && (again_y - y).abs() < 1e-7);
    }
    // From astropy's WCS with RA---SIN/DEC--SIN, CRPIX 151/101 and these CRVAL and CDELT,
    // all_pix2world(x, y, 0).
    for (x, y, ra, dec) in [
        (12.25, 180.5, 0.038_796_466_694_941_495, 1.209_521_729_189_242_6),
        (0.0, 0.0, 0.039_911_884_129_124_91, 1.187_615_564_162_344_3),
        (300.0, 199.0, 6.242_784_853_045_949, 1.211_718_755_309_867_8),
    ] {
        let here = grid.pixel_to_sky(x, y).unwrap();
        assert!(here.separation(&j2000(ra, dec)) < 1e-13, "{here:?}");
    }
    let east = grid.pixel_to_sky(0.0, 100.0).unwrap();
    assert!(east.ra > grid.phase_center.ra && east.ra < 1.0, "x runs to the west");
    assert_eq!(grid.sky_to_pixel(&j2000(0.001 + std::f64::consts::PI, -1.2)), None);
}
