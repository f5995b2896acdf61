//! The backend itself: one open device with what its stages share.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytemuck::Pod;
use wgpu::BufferUsages;

use super::{
    adapter,
    device::{Allocation, Device},
    fft::{FftPlans, Workgroup},
    hogbom,
    program::{Program, Programs},
    recorder::Recorder,
    shader::Variant,
};
use crate::{Result, backend::Backend};

/// What a user chooses of the GPU backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuOptions {
    /// Part of an adapter's name, or its index in [`super::adapters`]; without one the first hardware
    /// adapter. A software adapter (lavapipe) is used only when it is named.
    pub device: Option<String>,
    /// Most bytes of device memory to use at any time; without it as much as there is.
    pub memory_bytes: Option<u64>,
    /// Largest storage binding to use, bytes; without it the adapter's limit. Smaller values only
    /// serve to test how planes are split.
    pub binding_bytes: Option<u64>,
    /// Most bytes of memory that the threads of one workgroup share; without it the adapter's limit.
    /// Smaller values only serve to test transforms in several passes.
    pub workgroup_bytes: Option<u32>,
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
    pub(super) recorder: Recorder,
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
        let adapter = adapter::choose(options.device.as_deref())?;
        let device = Device::open(&adapter, options.memory_bytes, options.binding_bytes)?;
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
            loop_turns,
            recorder: Recorder::default(),
            workgroup,
            ffts: FftPlans::default(),
            programs: Programs::default(),
        })
    }

    /// Executes everything recorded so far and waits for it.
    pub fn finish(&self) -> Result<()> {
        self.recorder.flush(&self.device)?;
        self.device.wait(None)
    }

    /// Bytes of device memory that the minor cycle takes for one channel of `ny × nx` pixels, besides
    /// the planes, at most: about 4 % of one plane.
    pub fn minor_bytes(ny: usize, nx: usize) -> usize {
        hogbom::bytes_per_channel(ny, nx)
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
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpu").field("device", &self.device.info.name).finish_non_exhaustive()
    }
}
