//! Tests without a device: every shader is valid, every shared struct has one layout.

use naga::{
    TypeInner,
    valid::{Capabilities, ValidationFlags, Validator},
};

use super::{
    batch::PlanePair,
    clark::{AboveChannel, AboveParams},
    correct::{CorrectParams, NormaliseParams, PlaneFactor},
    factor::GridParams,
    fft::{ColumnsParams, HaloParams, RowsParams, Workgroup, transform_text},
    gpu::{Gpu, GpuOptions},
    hogbom::{Channel, MinorParams},
    kernel::KernelText,
    multiscale::{MultiscaleChannel, MultiscaleParams, MultiscaleShape},
    peak::{PeakChannel, PeakParams},
    samples::LayerTarget,
    shader::{SOURCES, Split, Variant, assemble},
    uv_tiles::{Row, Tile},
};
use crate::{
    geometry::{Direction, DirectionFrame, ImageGrid},
    gridding::{OperatorOptions, OperatorPlan, Pointing, WTermMode},
    ms::{Rows, Slot},
};

/// A device for tests: the first of the machine, software if there is no other. A test that needs
/// one fails where there is none; it is never skipped.
pub(crate) fn gpu_with(options: GpuOptions) -> Gpu {
    let device = std::env::var("CUBECLEAN_TEST_DEVICE").unwrap_or_else(|_| "0".into());
    Gpu::open(&GpuOptions { device: Some(device), ..options })
        .unwrap_or_else(|e| panic!("this test needs a GPU or a software one: {e}"))
}

/// The device with its own limits.
pub(super) fn gpu() -> Gpu {
    gpu_with(GpuOptions::default())
}

/// Parses and validates a variant as wgpu would.
fn module(variant: &Variant) -> naga::Module {
    let name = format!("{} {:?}", variant.source, variant.splits);
    let wgsl = assemble(variant).unwrap_or_else(|e| panic!("{name}: {e}")).wgsl;
    let module = naga::front::wgsl::parse_str(&wgsl)
        .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&wgsl)));
    Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&wgsl)));
    module
}

/// How a storage array may be cut.
const SPLITS: [Split; 3] =
    [Split::WHOLE, Split { parts: 2, shift: 25 }, Split { parts: 3, shift: 4 }];

/// Workgroups: as WebGPU guarantees, larger, and so small that values go part by part.
const WORKGROUPS: [Workgroup; 3] = [
    Workgroup { bytes: 16 << 10, threads: 256 },
    Workgroup { bytes: 48 << 10, threads: 1024 },
    Workgroup { bytes: 1 << 10, threads: 64 },
];

/// The stages of gridding, whose text depends on the kernel.
fn gridding_variants() -> Vec<Variant> {
    let mut all = Vec::new();
    let mut supports = Vec::new();
    for accuracy in [1e-2, 1e-3, 1e-4, 1e-5, 5e-6, 1e-6] {
        let image = ImageGrid {
            nx: 100,
            ny: 100,
            cell_x: 1e-5,
            cell_y: 1e-5,
            phase_center: Direction { ra: 0.0, dec: 0.0, frame: DirectionFrame::Icrs },
        };
        let rows = Rows {
            uvw_m: vec![[10.0, 20.0, 3.0]],
            slot: vec![0],
            slots: vec![Slot { time: 0.0, spw: 0, field: 0 }],
            ..Rows::default()
        };
        let pointing = Pointing { direction: image.phase_center };
        let options = OperatorOptions { accuracy, wterm: WTermMode::Exact };
        let plan = OperatorPlan::new(&image, &rows.into(), (1e9, 1e9), &[pointing], options);
        let plan = plan.expect("a plan");
        supports.push(plan.kernel.support());
        let text = KernelText::new(&plan.kernel, &plan.grid);
        for source in GRIDDING {
            for split in SPLITS {
                all.push(
                    Variant::new(source)
                        .split("grids", split)
                        .insert("kernel", text.kernel.clone())
                        .insert("store_taps", text.store_taps.clone())
                        .insert("gather", text.gather.clone()),
                );
            }
        }
    }
    supports.dedup();
    assert!(supports.len() > 2, "too few kernels: {supports:?}");
    all
}

const GRIDDING: [&str; 4] = ["degrid", "grid_partials", "grid_reduce", "grid_tiles"];

/// Every source in every way it is used, transforms of some lengths.
fn variants() -> Vec<Variant> {
    let mut all = gridding_variants();
    for &(source, _) in SOURCES.iter().filter(|s| !GRIDDING.contains(&s.0)) {
        for a in SPLITS {
            for b in SPLITS {
                let variant = Variant::new(source)
                    .split("planes", a)
                    .split("images", b)
                    .split("grids", a)
                    .split("residual", a)
                    .split("psf", b)
                    .split("model", a);
                if !source.starts_with("fft_rows") && source != "fft_columns" {
                    all.push(variant);
                } else if a == b {
                    // The transform's text does not depend on splits; one length each will do.
                    all.push(
                        variant.insert(
                            "transform",
                            transform_text(source, 60, WORKGROUPS[0]).unwrap(),
                        ),
                    );
                }
            }
        }
    }
    for source in ["fft_columns", "fft_rows_adjoint", "fft_rows_forward"] {
        for length in [1, 2, 3, 4, 5, 7, 8, 9, 16, 35, 49, 128, 210, 256, 1350, 4096, 8192, 12288] {
            for workgroup in WORKGROUPS {
                let Some(text) = transform_text(source, length, workgroup) else {
                    assert!(length > workgroup.longest(), "{length} on {workgroup:?}");
                    continue;
                };
                all.push(Variant::new(source).insert("transform", text));
            }
        }
    }
    all
}

#[test]
fn every_shader_variant_is_valid() {
    let all = variants();
    for &(source, _) in SOURCES {
        assert!(all.iter().any(|v| v.source == source), "{source} has no variant here");
    }
    for variant in &all {
        module(variant);
    }
}

/// Structs that shaders keep to themselves.
const LOCAL_STRUCTS: [&str; 1] = ["Footprint"];

#[test]
fn shared_structs_have_the_layout_of_their_rust_twins() {
    let twins = [
        PlanePair::LAYOUT,
        CorrectParams::LAYOUT,
        NormaliseParams::LAYOUT,
        PlaneFactor::LAYOUT,
        HaloParams::LAYOUT,
        ColumnsParams::LAYOUT,
        RowsParams::LAYOUT,
        GridParams::LAYOUT,
        Row::LAYOUT,
        Tile::LAYOUT,
        LayerTarget::LAYOUT,
        Channel::LAYOUT,
        MinorParams::LAYOUT,
        MultiscaleChannel::LAYOUT,
        MultiscaleParams::LAYOUT,
        MultiscaleShape::LAYOUT,
        PeakChannel::LAYOUT,
        PeakParams::LAYOUT,
        AboveChannel::LAYOUT,
        AboveParams::LAYOUT,
        #[cfg(feature = "vkfft")]
        super::fft::BandParams::LAYOUT,
    ];
    let mut seen = Vec::new();
    for variant in variants() {
        for (_, ty) in module(&variant).types.iter() {
            let (TypeInner::Struct { members, span }, Some(name)) = (&ty.inner, &ty.name) else {
                continue;
            };
            if LOCAL_STRUCTS.contains(&&**name) {
                continue;
            }
            let (_, size, fields) = twins
                .iter()
                .find(|(twin, ..)| twin == name)
                .unwrap_or_else(|| panic!("{}: struct {name} has no Rust twin", variant.source));
            assert_eq!(*span as usize, *size, "size of {name}");
            let found: Vec<_> = members.iter().map(|m| (m.name.as_deref(), m.offset)).collect();
            let expected: Vec<_> = fields.iter().map(|f| (Some(f.0), f.1 as u32)).collect();
            assert_eq!(found, expected, "members of {name}");
            seen.push(name.clone());
        }
    }
    for (name, ..) in twins {
        assert!(seen.iter().any(|s| s == name), "struct {name} is in no shader");
    }
}

#[test]
fn split_accessors_reach_each_part_at_its_own_index() {
    let variant = Variant::new("normalise").split("planes", Split { parts: 3, shift: 4 });
    let wgsl = assemble(&variant).unwrap().wgsl;
    for line in [
        "@group(0) @binding(3) var<storage, read_write> planes_2: array<f32>;",
        "case 1u: { return planes_1[i - 16u]; }",
        "default: { planes_2[i - 32u] = v; }",
        "@group(0) @binding(4) var<storage, read> factors: array<PlaneFactor>;",
    ] {
        assert!(wgsl.contains(line), "{line}\nis not in\n{wgsl}");
    }
}
