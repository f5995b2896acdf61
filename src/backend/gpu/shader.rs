//! Assembles WGSL: the stages' files, what they share, and accessors for split buffers.
//!
//! A stage's file in `shaders/` is WGSL with directives in comments, one on a line:
//!
//! - `//@ include complex` — the text of `shaders/shared/complex.wgsl`;
//! - `//@ uniform params Params` — a uniform binding;
//! - `//@ storage read planes f32` — a storage array reached only by `planes_load(i)`, and with
//!   `read_write` also by `planes_store(i, v)`: a stack that exceeds the device's binding size is
//!   bound in several parts, and the accessors pick the part;
//! - `//@ insert butterflies` — text made by the stage's own generator.
//!
//! Bindings are numbered in the order of their directives.

/// Every file of `shaders/`, by the name that a stage asks for.
pub(super) const SOURCES: &[(&str, &str)] = &[
    ("clark_above", include_str!("../../../shaders/clark_above.wgsl")),
    ("correct_adjoint", include_str!("../../../shaders/correct_adjoint.wgsl")),
    ("correct_forward", include_str!("../../../shaders/correct_forward.wgsl")),
    ("degrid", include_str!("../../../shaders/degrid.wgsl")),
    ("fft_columns", include_str!("../../../shaders/fft_columns.wgsl")),
    ("fft_fill", include_str!("../../../shaders/fft_fill.wgsl")),
    ("fft_fold", include_str!("../../../shaders/fft_fold.wgsl")),
    ("fft_rows_adjoint", include_str!("../../../shaders/fft_rows_adjoint.wgsl")),
    ("fft_rows_forward", include_str!("../../../shaders/fft_rows_forward.wgsl")),
    ("grid_partials", include_str!("../../../shaders/grid_partials.wgsl")),
    ("grid_reduce", include_str!("../../../shaders/grid_reduce.wgsl")),
    ("grid_tiles", include_str!("../../../shaders/grid_tiles.wgsl")),
    ("hogbom", include_str!("../../../shaders/hogbom.wgsl")),
    ("multiscale_pick", include_str!("../../../shaders/multiscale_pick.wgsl")),
    ("multiscale_tiles", include_str!("../../../shaders/multiscale_tiles.wgsl")),
    ("normalise", include_str!("../../../shaders/normalise.wgsl")),
    ("peak_reduce", include_str!("../../../shaders/peak_reduce.wgsl")),
    ("peak_tiles", include_str!("../../../shaders/peak_tiles.wgsl")),
    ("psf_blocks", include_str!("../../../shaders/psf_blocks.wgsl")),
    ("psf_windows", include_str!("../../../shaders/psf_windows.wgsl")),
    ("subtract", include_str!("../../../shaders/subtract.wgsl")),
    #[cfg(feature = "vkfft")]
    ("vkfft_crop", include_str!("../../../shaders/vkfft_crop.wgsl")),
    #[cfg(feature = "vkfft")]
    ("vkfft_pack", include_str!("../../../shaders/vkfft_pack.wgsl")),
    #[cfg(feature = "vkfft")]
    ("vkfft_pad", include_str!("../../../shaders/vkfft_pad.wgsl")),
    #[cfg(feature = "vkfft")]
    ("vkfft_unpack", include_str!("../../../shaders/vkfft_unpack.wgsl")),
];

/// What stages share, by the name that an include asks for.
const SHARED: &[(&str, &str)] = &[
    ("candidate", include_str!("../../../shaders/shared/candidate.wgsl")),
    ("complex", include_str!("../../../shaders/shared/complex.wgsl")),
    ("fft_rows", include_str!("../../../shaders/shared/fft_rows.wgsl")),
    ("grid_cell", include_str!("../../../shaders/shared/grid_cell.wgsl")),
    ("grid_sum", include_str!("../../../shaders/shared/grid_sum.wgsl")),
    ("grid_work", include_str!("../../../shaders/shared/grid_work.wgsl")),
    ("halo", include_str!("../../../shaders/shared/halo.wgsl")),
    ("minor", include_str!("../../../shaders/shared/minor.wgsl")),
    ("multiscale", include_str!("../../../shaders/shared/multiscale.wgsl")),
    ("peak", include_str!("../../../shaders/shared/peak.wgsl")),
    ("plane_pair", include_str!("../../../shaders/shared/plane_pair.wgsl")),
    ("refresh", include_str!("../../../shaders/shared/refresh.wgsl")),
    ("roots", include_str!("../../../shaders/shared/roots.wgsl")),
    ("sample", include_str!("../../../shaders/shared/sample.wgsl")),
    ("screen", include_str!("../../../shaders/shared/screen.wgsl")),
    ("tiles", include_str!("../../../shaders/shared/tiles.wgsl")),
    ("trig", include_str!("../../../shaders/shared/trig.wgsl")),
    ("winner", include_str!("../../../shaders/shared/winner.wgsl")),
    #[cfg(feature = "vkfft")]
    ("vkfft", include_str!("../../../shaders/shared/vkfft.wgsl")),
    #[cfg(feature = "vkfft")]
    ("vkfft_tile", include_str!("../../../shaders/shared/vkfft_tile.wgsl")),
];

/// How the array of one storage binding is cut into parts: all but the last hold `1 << shift`
/// elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Split {
    pub(super) parts: u32,
    pub(super) shift: u32,
}

impl Split {
    /// Not cut at all.
    pub(super) const WHOLE: Self = Self { parts: 1, shift: 0 };
}

/// A shader's identity: two equal variants are the same program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Variant {
    /// Name in [`SOURCES`].
    pub(super) source: &'static str,
    /// How each storage array is cut; arrays not named are whole.
    pub(super) splits: Vec<(&'static str, Split)>,
    /// Generated text by the name of its `insert`.
    pub(super) inserts: Vec<(&'static str, String)>,
}

impl Variant {
    /// A variant without splits and inserts.
    pub(super) fn new(source: &'static str) -> Self {
        Self { source, splits: Vec::new(), inserts: Vec::new() }
    }

    /// Cuts a storage array.
    pub(super) fn split(mut self, name: &'static str, split: Split) -> Self {
        self.splits.push((name, split));
        self
    }

    /// Gives the text of an `insert`.
    pub(super) fn insert(mut self, name: &'static str, text: String) -> Self {
        self.inserts.push((name, text));
        self
    }
}

/// The kind of one binding, in the order of binding numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Uniform,
    Storage { read_only: bool },
}

/// WGSL ready to compile.
#[derive(Debug)]
pub(super) struct Assembled {
    pub(super) wgsl: String,
    pub(super) slots: Vec<Slot>,
}

/// Expands a variant's source. An `Err` tells what is wrong with the shader: a mistake of ours.
pub(super) fn assemble(variant: &Variant) -> Result<Assembled, String> {
    let mut out = Assembled { wgsl: String::new(), slots: Vec::new() };
    expand(named(SOURCES, variant.source)?, variant, &mut out)?;
    Ok(out)
}

fn named(sources: &[(&str, &'static str)], name: &str) -> Result<&'static str, String> {
    let found = sources.iter().find(|(n, _)| *n == name);
    found.map(|(_, text)| *text).ok_or_else(|| format!("no shader source \"{name}\""))
}

fn expand(text: &str, variant: &Variant, out: &mut Assembled) -> Result<(), String> {
    for line in text.lines() {
        let Some(directive) = line.trim_start().strip_prefix("//@") else {
            out.wgsl.push_str(line);
            out.wgsl.push('\n');
            continue;
        };
        match directive.split_whitespace().collect::<Vec<_>>()[..] {
            ["include", name] => expand(named(SHARED, name)?, variant, out)?,
            ["uniform", name, ty] => {
                let n = out.slots.len();
                out.slots.push(Slot::Uniform);
                out.wgsl += &format!("@group(0) @binding({n}) var<uniform> {name}: {ty};\n");
            }
            ["storage", access @ ("read" | "read_write"), name, ty] => {
                let split = variant.splits.iter().find(|(n, _)| *n == name);
                let split = split.map_or(Split::WHOLE, |(_, s)| *s);
                storage(access == "read", name, ty, split, out);
            }
            ["insert", name] => {
                let insert = variant.inserts.iter().find(|(n, _)| *n == name);
                out.wgsl += &insert.ok_or_else(|| format!("no text for insert \"{name}\""))?.1;
            }
            _ => return Err(format!("unknown directive: {line}")),
        }
    }
    Ok(())
}

/// Declares a storage array and its accessors.
fn storage(read_only: bool, name: &str, ty: &str, split: Split, out: &mut Assembled) {
    let access = if read_only { "read" } else { "read_write" };
    let part = |p: u32| if split.parts == 1 { name.to_owned() } else { format!("{name}_{p}") };
    for p in 0..split.parts {
        let (n, part) = (out.slots.len(), part(p));
        out.slots.push(Slot::Storage { read_only });
        out.wgsl +=
            &format!("@group(0) @binding({n}) var<storage, {access}> {part}: array<{ty}>;\n");
    }
    let accessor = |signature: String, statement: &dyn Fn(String) -> String| {
        if split.parts == 1 {
            return format!("{signature} {{ {} }}\n", statement(format!("{name}[i]")));
        }
        let mut body = String::new();
        for p in 0..split.parts {
            let label = if p + 1 == split.parts { "default".into() } else { format!("case {p}u") };
            let element = format!("{}[i - {}u]", part(p), u64::from(p) << split.shift);
            body += &format!("    {label}: {{ {} }}\n", statement(element));
        }
        format!("{signature} {{\n  switch i >> {}u {{\n{body}  }}\n}}\n", split.shift)
    };
    out.wgsl += &accessor(format!("fn {name}_load(i: u32) -> {ty}"), &|e| format!("return {e};"));
    if !read_only {
        out.wgsl +=
            &accessor(format!("fn {name}_store(i: u32, v: {ty})"), &|e| format!("{e} = v;"));
    }
}

/// Declares a struct that host and shader share, with the description that the layout test needs.
/// The WGSL struct of the same name must have the same members at the same offsets.
macro_rules! shared_struct {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        pub(in $crate::backend::gpu) struct $name {
            $($(#[$field_meta])* pub(in $crate::backend::gpu) $field: $ty,)*
        }

        impl $name {
            #[cfg(test)]
            pub(in $crate::backend::gpu) const LAYOUT: $crate::backend::gpu::shader::StructLayout = (
                stringify!($name),
                size_of::<$name>(),
                &[$((stringify!($field), std::mem::offset_of!($name, $field)),)*],
            );
        }
    };
}
pub(super) use shared_struct;

/// Name and size in bytes; name and offset of the members.
#[cfg(test)]
pub(super) type StructLayout = (&'static str, usize, &'static [(&'static str, usize)]);
