//! The backend itself: one open device with what its stages share.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytemuck::Pod;
use wgpu::BufferUsages;

use super::{
    adapter,
    buffer::MOST_STAGED_BYTES,
    clark,
    device::{Allocation, Device},
    fft::{FftLibrary, FftPlans, Workgroup},
    hogbom, memory, multiscale,
    program::{Program, Programs},
    readback::{READER_BYTES, Ring},
    recorder::Recorder,
    shader::Variant,
};
use crate::{
    Result,
    backend::{Backend, Deconvolver, Gridder, Memory, PlaneStore, Source, Traffic, Transform},
    gridding::OperatorPlan,
    ms::VisBlock,
};

/// What a user chooses of the GPU backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuOptions {
    /// Part of an adapter's name, or its index in [`super::adapters`]; without one the first hardware
    /// adapter. A software adapter (lavapipe) is used only when it is named.
    pub device: Option<String>,
    /// Most bytes of device memory to use at any time; without it a share of what there is.
    pub memory_bytes: Option<u64>,
    /// Largest storage binding to use, bytes; without it the adapter's limit. Smaller values only
    /// serve to test how planes are split.
    pub binding_bytes: Option<u64>,
    /// Most bytes of memory that the threads of one workgroup share; without it the adapter's limit.
    /// Smaller values only serve to test transforms in several passes.
    pub workgroup_bytes: Option<u32>,
    /// Whose Fourier transforms to use.
    pub fft: FftLibrary,
    /// Loop turns after which a dispatch of the minor cycle leaves off, to be dispatched again; without
    /// it what suits the device. Smaller values only serve to test that.
    pub loop_turns: Option<u32>,
}

/// The GPU backend on one device.
///
/// Commands are recorded by the stages and executed in order; several threads may use one `Gpu`, but
/// the order among their commands is theirs to keep.
pub struct Gpu {
    pub(super) device: Device,
    memory: Memory,
    pub(super) recorder: Recorder,
    pub(super) ring: Ring,
    pub(super) workgroup: Workgroup,
    pub(super) loop_turns: u32,
    pub(super) ffts: FftPlans,
    programs: Programs,
}

impl Gpu {
    /// Opens the device that the options name.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if there is none, or if it cannot do the work.
    pub fn open(options: &GpuOptions) -> Result<Self> {
        let name: Vec<String> = options.device.iter().cloned().collect();
        let mut opened = Self::open_all(&name, options)?;
        // Without a list there is one, or an error.
        Ok(opened.swap_remove(0))
    }

    /// Opens the devices that `devices` name, instead of the options' one: each by a part of its name or
    /// its index, or all hardware devices by the one word `all`; the first hardware device if none is
    /// named. An adapter that is named twice is opened twice.
    ///
    /// # Errors
    /// As [`Gpu::open`], for the first that cannot be opened.
    pub fn open_all(devices: &[String], options: &GpuOptions) -> Result<Vec<Self>> {
        adapter::choose(devices)?.iter().map(|adapter| Self::new(adapter, options)).collect()
    }

    fn new(adapter: &wgpu::Adapter, options: &GpuOptions) -> Result<Self> {
        let info = adapter.get_info();
        let heap = memory::heap_bytes(adapter);
        let memory = memory::of_job(&info.name, info.device_type, heap, options.memory_bytes)?;
        let limit = match memory {
            Memory::Device { bytes, .. } => bytes,
            Memory::Host => None,
        };
        let device = Device::open(adapter, limit, options.binding_bytes)?;
        options.fft.check(&device)?;
        let limits = &device.limits;
        let shared = limits.max_compute_workgroup_storage_size;
        let workgroup = Workgroup {
            bytes: options.workgroup_bytes.unwrap_or(shared).min(shared) as usize,
            threads: limits
                .max_compute_invocations_per_workgroup
                .min(limits.max_compute_workgroup_size_x) as usize,
        };
        let loop_turns = match device.info.device_type {
            wgpu::DeviceType::Cpu => hogbom::SOFTWARE_TURNS,
            _ => hogbom::HARDWARE_TURNS,
        };
        let loop_turns = options.loop_turns.unwrap_or(loop_turns).min(loop_turns);
        Ok(Self {
            device,
            memory,
            loop_turns,
            recorder: Recorder::default(),
            ring: Ring::default(),
            workgroup,
            ffts: FftPlans::new(options.fft),
            programs: Programs::default(),
        })
    }

    /// Executes everything recorded so far and waits for it.
    pub fn finish(&self) -> Result<()> {
        let last = self.recorder.flush(&self.device)?;
        self.device.wait(last)
    }

    /// Name and version of the device's driver.
    pub fn driver(&self) -> String {
        let info = &self.device.info;
        format!("{} {}", info.driver, info.driver_info).trim().to_owned()
    }

    /// Loses the device, as a driver that resets does.
    #[cfg(test)]
    pub(crate) fn lose(&self) {
        self.device.raw.destroy();
    }

    pub(super) fn program(&self, variant: &Variant) -> Result<Arc<Program>> {
        self.programs.get(&self.device, variant)
    }

    /// A buffer of uniform parameters. It need not outlive the recording of the dispatch that binds
    /// it: wgpu keeps what recorded commands use.
    pub(super) fn uniform<T: Pod>(&self, params: &T) -> Result<Allocation> {
        self.device.upload("params", BufferUsages::UNIFORM, bytemuck::bytes_of(params))
    }

    /// A buffer of values for shaders to read; as with [`Gpu::uniform`] it may be dropped once
    /// dispatches are recorded.
    pub(super) fn table<T: Pod>(&self, label: &str, values: &[T]) -> Result<Allocation> {
        self.device.upload(label, BufferUsages::STORAGE, bytemuck::cast_slice(values))
    }

    /// Runs everything recorded so far, and reads the words that it left at the beginning of a staging
    /// buffer; `label` says what they are.
    pub(super) fn read(&self, label: &str, staging: &Allocation, words: &mut [u32]) -> Result<()> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
        let submission = self.recorder.flush(&self.device)?;
        let mapping = self.device.map(staging, bytes.len(), submission);
        self.device.read(label, staging, mapping, bytes)
    }

    /// Records a dispatch of a program on buffers, given in the order of its bindings.
    pub(super) fn dispatch(
        &self,
        program: &Program,
        buffers: &[&wgpu::Buffer],
        workgroups: [u32; 3],
        traffic: u64,
    ) -> Result<()> {
        let group = program.bind(&self.device, buffers);
        self.recorder.record(&self.device, traffic, Vec::new(), |encoder| {
            program.dispatch(encoder, &group, workgroups);
        })
    }
}

impl Backend for Gpu {
    fn name(&self) -> String {
        format!("gpu, {}", self.device.info.name)
    }

    fn check(&self, plan: &OperatorPlan) -> Result<()> {
        // Every stage that may refuse a plan, on no channel at all: nothing is computed, but what the
        // stages need is laid out and compiled.
        let mut grids = self.grids(plan, 0)?;
        let mut planes = self.zeros(0, plan.image.ny, plan.image.nx)?;
        let rows = Arc::clone(plan.rows());
        let mut samples =
            self.samples(plan, &VisBlock { rows, channels: 0..0, layers: Vec::new() })?;
        self.grid(plan, 0, &samples, Source::Weights, &[], &mut grids)?;
        self.degrid(plan, 0, &grids, &[], &mut samples)?;
        hogbom::check(self, &planes)?;
        clark::check(self, &planes)?;
        self.fft_adjoint(plan, &mut grids, 0)?;
        (0..plan.passes.len())
            .try_for_each(|pass| self.correct_adjoint(plan, pass, &grids, &[], &mut planes))
    }

    fn memory(&self) -> Memory {
        self.memory
    }

    fn overhead(&self, plan: &OperatorPlan, channels: usize, layers: usize) -> usize {
        let (npix, rows) = (plan.image.npix(), plan.rows().uvw_m.len());
        // Every thread may be reading a plane; visibilities are written at the beginning.
        let reading = rayon::current_num_threads() * READER_BYTES.min(4 * npix);
        let writing = MOST_STAGED_BYTES.min(channels * layers * rows * size_of::<[f32; 4]>());
        // Most batches need one or two sorts of the rows.
        let places = 4.min(channels * layers) * rows * 40;
        let minor = channels * hogbom::bytes_per_channel(plan.image.ny, plan.image.nx);
        reading + writing + places + minor + self.ffts.overhead() + memory::TABLES_BYTES
    }

    fn check_minor(&self, plan: &OperatorPlan, deconvolver: &Deconvolver) -> Result<()> {
        match deconvolver {
            Deconvolver::Multiscale(scales) => {
                multiscale::check(self, scales, plan.image.nx, plan.image.ny)
            }
            Deconvolver::Hogbom | Deconvolver::Clark => Ok(()),
        }
    }

    fn minor_bytes(&self, plan: &OperatorPlan, deconvolver: &Deconvolver, n: usize) -> usize {
        match deconvolver {
            Deconvolver::Multiscale(scales) => {
                multiscale::bytes(scales, plan.image.nx, plan.image.ny, n)
            }
            Deconvolver::Hogbom | Deconvolver::Clark => 0,
        }
    }

    fn peak_memory(&self) -> Option<u64> {
        Some(self.device.peak_memory())
    }

    fn traffic(&self) -> Option<Traffic> {
        Some(self.device.traffic())
    }
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpu").field("device", &self.device.info.name).finish_non_exhaustive()
    }
}
