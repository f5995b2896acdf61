//! Tests without a device: every shader is valid, every shared struct has one layout.

use naga::{
    TypeInner,
    valid::{Capabilities, ValidationFlags, Validator},
};

use super::{
    batch::PlanePair,
    correct::{CorrectParams, NormaliseParams, PlaneFactor},
    fft::{ColumnsParams, HaloParams, RowsParams, Workgroup, transform_text},
    gpu::{Gpu, GpuOptions},
    hogbom::{Channel, MinorParams},
    peak::{PeakChannel, PeakParams},
    shader::{SOURCES, Split, Variant, assemble},
};

/// A device for tests: the first of the machine, software if there is no other. A test that needs
/// one fails where there is none; it is never skipped.
pub(super) fn gpu_with(options: GpuOptions) -> Gpu {
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

/// Every source in every way it is used, transforms of some lengths.
fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for &(source, _) in SOURCES {
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
        Channel::LAYOUT,
        MinorParams::LAYOUT,
        PeakChannel::LAYOUT,
        PeakParams::LAYOUT,
    ];
    let mut seen = Vec::new();
    for variant in variants() {
        for (_, ty) in module(&variant).types.iter() {
            let (TypeInner::Struct { members, span }, Some(name)) = (&ty.inner, &ty.name) else {
                continue;
            };
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
