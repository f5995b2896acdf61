//! Masks against CASA's own, pixel by pixel, on the residuals that CASA saw
//! (`assets/make_automask_goldens.py`).

use std::{fs::File, path::PathBuf};

use ndarray::{Array1, Array2, Array3, Axis};
use ndarray_npy::NpzReader;
use serde_json::Value;

use super::*;

const ARCSEC: f64 = std::f64::consts::PI / 180.0 / 3600.0;

/// One recorded case.
struct Case {
    parameters: AutoMultithresh,
    region: Mask,
    beam: Beam,
    cell: f64,
    sidelobe_level: f64,
    residuals: Vec<Vec<f32>>,
    masks: Vec<Mask>,
    at_clean_threshold: Vec<bool>,
    table: Vec<Value>,
}

fn case(name: &str) -> Case {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("assets/goldens/automask");
    let text = std::fs::read_to_string(dir.join(format!("{name}.json"))).expect("JSON");
    let info: Value = serde_json::from_str(&text).expect("JSON");
    let mut npz =
        NpzReader::new(File::open(dir.join(format!("{name}.npz"))).expect("npz")).unwrap();
    let integers: Array3<i16> = npz.by_name("residual").unwrap();
    let step: Array1<f32> = npz.by_name("step").unwrap();
    let packed: Array3<u8> = npz.by_name("mask").unwrap();
    let (_, ny, nx) = integers.dim();
    let parameters = parameters(&info["parameters"]);
    let number = |key: &str| info[key].as_f64().expect(key);
    let region = match npz.by_name::<ndarray::OwnedRepr<u8>, ndarray::Ix2>("pb") {
        Ok(pb) => {
            let pbmask = info["parameters"]["pbmask"].as_f64().unwrap_or(0.0);
            let pb: Array2<f32> = pb.mapv(|v| f32::from(v) / 250.0);
            region(pb.as_slice().unwrap(), nx, number("pblimit"), pbmask)
        }
        Err(_) => Mask::new(nx, ny, true),
    };
    let beam = &info["beam_arcsec_arcsec_deg"];
    let [major, minor, pa] = [0, 1, 2].map(|i| beam[i].as_f64().unwrap());
    let reached = info["at_clean_threshold"].as_array().unwrap();
    Case {
        parameters,
        region,
        beam: Beam { major: major * ARCSEC, minor: minor * ARCSEC, pa: pa.to_radians() },
        cell: number("cell_arcsec") * ARCSEC,
        sidelobe_level: number("sidelobe_level"),
        residuals: integers
            .axis_iter(Axis(0))
            .map(|plane| plane.iter().map(|&k| f32::from(k) * step[0]).collect())
            .collect(),
        masks: packed
            .axis_iter(Axis(0))
            .map(|m| Mask::from_fn(nx, ny, |x, y| m[[y, x / 8]] >> (7 - x % 8) & 1 == 1))
            .collect(),
        at_clean_threshold: reached.iter().map(|v| v.as_bool().unwrap()).collect(),
        table: info["table"].as_array().unwrap().clone(),
    }
}

fn parameters(json: &Value) -> AutoMultithresh {
    let mut p = AutoMultithresh::default();
    for (key, value) in json.as_object().unwrap() {
        let number = || value.as_f64().unwrap();
        match key.as_str() {
            "sidelobethreshold" => p.sidelobethreshold = number(),
            "noisethreshold" => p.noisethreshold = number(),
            "lownoisethreshold" => p.lownoisethreshold = number(),
            "negativethreshold" => p.negativethreshold = number(),
            "smoothfactor" => p.smoothfactor = number(),
            "minbeamfrac" => p.minbeamfrac = number(),
            "cutthreshold" => p.cutthreshold = number(),
            "growiterations" => p.growiterations = number() as usize,
            "dogrowprune" => p.dogrowprune = value.as_bool().unwrap(),
            "minpercentchange" => p.minpercentchange = number(),
            "fastnoise" => p.fastnoise = value.as_bool().unwrap(),
            "pbmask" => {}
            other => panic!("unknown parameter {other}"),
        }
    }
    p
}

/// Runs a case and compares every round: the mask may differ in at most `loose` pixels (those where
/// CASA's convolution in f32 lands on the other side of the cut), and the numbers of CASA's table,
/// printed with six digits, must be ours.
fn check(name: &str, loose: usize) {
    let case = case(name);
    let mut channel = ChannelState::new(case.region.nx(), case.region.ny());
    let mut reached = false;
    for (round, residual) in case.residuals.iter().enumerate() {
        let around = Surroundings {
            region: &case.region,
            beam: case.beam,
            cell: [case.cell, case.cell],
            sidelobe_level: case.sidelobe_level,
            at_clean_threshold: reached,
        };
        let update = case.parameters.update(residual, &around, &mut channel);
        let mut surplus = channel.mask.clone();
        surplus.subtract(&case.masks[round]);
        let mut missing = case.masks[round].clone();
        missing.subtract(&channel.mask);
        let (want, got) = (case.masks[round].count(), channel.mask.count());
        println!("{name} {round}: {got} pixels, CASA {want}; {update:?}");
        assert!(
            surplus.count() + missing.count() <= loose,
            "{name}, round {round}: {got} pixels, CASA {want}; {} too many, {} missing",
            surplus.count(),
            missing.count()
        );
        compare_with_table(&format!("{name}, round {round}"), update.as_ref(), &case.table[round]);
        let masking = case.table[round]["masking"].as_bool().unwrap();
        assert_eq!(
            channel.stopped.is_none(),
            masking,
            "{name}, round {round}: {:?}",
            channel.stopped
        );
        reached = case.at_clean_threshold[round];
    }
}

fn compare_with_table(what: &str, update: Option<&Update>, row: &Value) {
    let Some(update) = update else {
        assert_eq!(row["masking"], false, "{what}: not updated");
        return;
    };
    let near = |key: &str, ours: f64| {
        if let Some(casa) = row[key].as_f64() {
            assert!((ours - casa).abs() <= 6e-6 * casa.abs(), "{what}: {key} {ours}, CASA {casa}");
        }
    };
    near("median", update.median);
    near("rms", update.sigma);
    near("peak", update.peak);
    near("threshold", update.threshold);
    let kind = if update.kind == Threshold::Noise { "noise" } else { "sidelobe" };
    assert_eq!(row["type"], kind, "{what}");
    let equal = |key: &str, ours: usize| assert_eq!(row[key], ours, "{what}: {key}");
    // CASA counts regions only where it prunes them, and prints zeros where it found nothing.
    if row["regions"] != 0 {
        equal("regions", update.regions);
        equal("pruned", update.pruned);
        equal("grown", update.grown);
        equal("grown_pruned", update.grown_pruned);
    }
    equal("negative", update.negative_pixels);
}

#[test]
fn rules_of_one_round() {
    for name in ["regions", "smoothing", "empty", "only_absorption"] {
        check(name, 0);
    }
}

#[test]
fn growth() {
    for name in ["grow", "grow_steps", "grow_off"] {
        check(name, 0);
    }
}

#[test]
fn thresholds() {
    for name in ["offset", "sidelobes", "outside"] {
        check(name, 0);
    }
}

#[test]
fn end_of_updates() {
    for name in ["minpercentchange", "minpercentchange_not"] {
        check(name, 0);
    }
}

#[test]
fn primary_beam() {
    for name in ["pblimit", "pbmask"] {
        check(name, 0);
    }
}

#[test]
fn residuals_of_real_runs() {
    for name in ["one_10", "fn_10", "fn_16"] {
        check(name, 0);
    }
}
