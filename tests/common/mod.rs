//! What tests share: MeasurementSets unpacked from `assets/`, and CASA's products ("goldens").
#![allow(dead_code)] // each test binary uses a part of it

pub mod dft;
pub mod pipeline;

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
};

use ndarray::{Array2, Array3, Array4, ArrayD, Axis, Ix1, IxDyn, s};
use ndarray_npy::NpzReader;

/// `assets/` of this repository.
pub fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets")
}

/// Path of an unpacked MeasurementSet: `small`, `small_ws`, `ngc5921_contsub`, `alma_b3_mssel`,
/// `alma_b3_2ant`, `vla_l_simple`. Shared by all tests: copy it (into a `tempfile::tempdir()`) before
/// changing anything in it.
pub fn ms(name: &str) -> PathBuf {
    let base = (name == "small_ws").then_some("small");
    let into = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-data");
    cubeclean::cli::unpack::measurement_set(&assets().join("ms"), name, base, &into)
        .unwrap_or_else(|e| panic!("{e}"))
}

/// Products of one CASA tclean run.
pub struct Golden {
    name: String,
    planes: HashMap<String, (Vec<usize>, Array3<f32>)>,
    masks: HashMap<String, (Vec<usize>, Array3<bool>)>,
    /// `.sumwt` of every channel of the run.
    pub sumwt: Vec<f64>,
    /// (major arcsec, minor arcsec, position angle deg) of every channel; one entry for a common beam.
    pub beams: Vec<[f64; 3]>,
    /// tclean's arguments.
    pub args: serde_json::Value,
    /// tclean's return value.
    pub ret: serde_json::Value,
}

/// CASA's products of one run; `assets/README.md` lists the names.
pub fn golden(name: &str) -> Golden {
    let dir = assets().join("goldens");
    let path = dir.join(format!("{name}.npz"));
    let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut npz = NpzReader::new(file).expect("an npz file");
    let json = std::fs::read_to_string(dir.join(format!("{name}.json"))).expect("its arguments");
    let mut json: serde_json::Value = serde_json::from_str(&json).expect("JSON");

    let vector = |npz: &mut NpzReader<File>, key: &str| -> Vec<f64> {
        npz.by_name::<ndarray::OwnedRepr<f64>, Ix1>(key).expect("a vector").to_vec()
    };
    let sumwt = vector(&mut npz, "sumwt");
    let beams = npz
        .by_name::<ndarray::OwnedRepr<f64>, ndarray::Ix2>("beams_arcsec_arcsec_deg")
        .expect("beams")
        .outer_iter()
        .map(|b| [b[0], b[1], b[2]])
        .collect();

    let (mut planes, mut masks) = (HashMap::new(), HashMap::new());
    let keys: Vec<String> = npz.names().expect("names");
    for key in keys.iter().filter_map(|k| k.trim_end_matches(".npy").strip_suffix(".channels")) {
        let channels = integers(&mut npz, &format!("{key}.channels"));
        if key == "mask" {
            let packed: Array3<u8> = npz.by_name("mask").expect("the mask");
            let (n, ny, bytes) = packed.dim();
            let mask = Array3::from_shape_fn((n, ny, bytes * 8), |(c, y, x)| {
                packed[[c, y, x / 8]] >> (7 - x % 8) & 1 == 1
            });
            masks.insert(key.to_owned(), (channels, mask));
        } else if key == "model" {
            planes.insert(key.to_owned(), (channels, sparse(&mut npz)));
        } else {
            let step = vector(&mut npz, &format!("{key}.step"))[0];
            let folded: Array4<u8> = npz.by_name(&format!("{key}.bytes")).expect("the planes");
            planes.insert(key.to_owned(), (channels, unfold(&folded, step)));
        }
    }
    Golden {
        name: name.to_owned(),
        planes,
        masks,
        sumwt,
        beams,
        args: json["args"].take(),
        ret: json["ret"].take(),
    }
}

impl Golden {
    /// Channels for which a product's planes were kept.
    pub fn channels(&self, product: &str) -> &[usize] {
        let kept = self.planes.get(product).map(|p| &p.0);
        kept.or(self.masks.get(product).map(|m| &m.0))
            .unwrap_or_else(|| panic!("golden {} has no {product}", self.name))
    }

    /// Whether planes of a product were kept.
    pub fn has(&self, product: &str) -> bool {
        self.planes.contains_key(product) || self.masks.contains_key(product)
    }

    /// One plane `[y, x]` of `residual`, `psf`, `image`, `image_pbcor`, `model` or `pb`.
    pub fn plane(&self, product: &str, channel: usize) -> Array2<f32> {
        let (channels, cube) = self
            .planes
            .get(product)
            .unwrap_or_else(|| panic!("golden {} has no {product}", self.name));
        let i = channels.iter().position(|&c| c == channel).unwrap_or_else(|| {
            panic!("golden {} has {product} of channels {channels:?} only", self.name)
        });
        cube.index_axis(Axis(0), i).to_owned()
    }

    /// One plane `[y, x]` of the clean mask.
    pub fn mask(&self, channel: usize) -> Array2<bool> {
        let (channels, cube) =
            self.masks.get("mask").unwrap_or_else(|| panic!("golden {} has no mask", self.name));
        let i = channels.iter().position(|&c| c == channel).expect("the channel's mask");
        cube.index_axis(Axis(0), i).to_owned()
    }
}

/// The sky that `small` was simulated with: points (l arcsec, m arcsec, Jy), the channels'
/// frequencies (Hz), and Jy/pixel `[channel, l, m]` of the `channels` that were kept, on a grid of
/// `cell_arcsec` pixels, first axis l growing to the east.
pub struct Truth {
    pub points: Vec<[f64; 3]>,
    pub freq_hz: Vec<f64>,
    pub cell_arcsec: f64,
    pub channels: Vec<usize>,
    pub cube: Array3<f32>,
}

/// The sky that `small` was simulated with.
pub fn small_truth() -> Truth {
    let path = assets().join("goldens/small_truth.npz");
    let mut npz = NpzReader::new(File::open(&path).expect("small_truth.npz")).expect("npz");
    let points: Array2<f64> = npz.by_name("points").expect("points");
    let freq: ndarray::Array1<f64> = npz.by_name("freq_hz").expect("freq_hz");
    let cell: ndarray::Array1<f64> = npz.by_name("cell_arcsec").expect("cell_arcsec");
    let step: ndarray::Array1<f64> = npz.by_name("cube.step").expect("cube.step");
    let folded: Array4<u8> = npz.by_name("cube.bytes").expect("cube.bytes");
    Truth {
        points: points.outer_iter().map(|p| [p[0], p[1], p[2]]).collect(),
        freq_hz: freq.to_vec(),
        cell_arcsec: cell[0],
        channels: integers(&mut npz, "channels"),
        cube: unfold(&folded, step[0]),
    }
}

fn integers(npz: &mut NpzReader<File>, key: &str) -> Vec<usize> {
    let values: ndarray::Array1<i64> = npz.by_name(key).expect("a vector of integers");
    values.iter().map(|&c| usize::try_from(c).expect("not negative")).collect()
}

/// Planes kept as (index, value) of the pixels that are not zero.
fn sparse(npz: &mut NpzReader<File>) -> Array3<f32> {
    let shape = integers(npz, "model.shape");
    let index = integers(npz, "model.index");
    let value: ndarray::Array1<f32> = npz.by_name("model.value").expect("values");
    let mut flat = vec![0f32; shape.iter().product()];
    for (i, v) in index.into_iter().zip(value) {
        flat[i] = v;
    }
    let cube = ArrayD::from_shape_vec(IxDyn(&shape), flat).expect("its shape");
    cube.into_dimensionality().expect("three axes")
}

/// Undoes `fold` of `assets/make_goldens.py`: bytes → zigzag → twice summed along y and x → × step.
fn unfold(folded: &Array4<u8>, step: f64) -> Array3<f32> {
    let (bytes, n, ny, nx) = folded.dim();
    let mut k = Array3::<i64>::zeros((n, ny, nx));
    for b in 0..bytes {
        k.zip_mut_with(&folded.slice(s![b, .., .., ..]), |k, &v| *k |= i64::from(v) << (8 * b));
    }
    k.mapv_inplace(|u| (u >> 1) ^ -(u & 1));
    for axis in [1, 2, 1, 2] {
        k.accumulate_axis_inplace(Axis(axis), |&previous, this| *this += previous);
    }
    k.mapv(|k| (k as f64 * step) as f32)
}

/// The GPU that tests use: the machine's first adapter, lavapipe where there is no hardware. Never
/// skipped: a test that needs one fails where there is none.
pub fn gpu() -> cubeclean::backend::gpu::Gpu {
    gpu_with(Default::default())
}

/// The same with some limits of its own.
pub fn gpu_with(options: cubeclean::backend::gpu::GpuOptions) -> cubeclean::backend::gpu::Gpu {
    let device = std::env::var("CUBECLEAN_TEST_DEVICE").unwrap_or_else(|_| "0".into());
    let options = cubeclean::backend::gpu::GpuOptions { device: Some(device), ..options };
    cubeclean::backend::gpu::Gpu::open(&options)
        .unwrap_or_else(|e| panic!("this test needs a GPU or a software one: {e}"))
}
