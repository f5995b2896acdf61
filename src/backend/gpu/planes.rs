//! Real image planes in device memory.

use super::{batch, buffer::Stack, gpu::Gpu, timestamps};
use crate::{
    Result,
    backend::{Clock, PlaneStore, Stage, StageTimes},
};

/// A stack of planes on the device.
pub struct GpuPlanes {
    pub(super) ny: usize,
    pub(super) nx: usize,
    pub(super) stack: Stack,
}

impl PlaneStore for Gpu {
    type Planes = GpuPlanes;

    fn zeros(&self, n: usize, ny: usize, nx: usize) -> Result<GpuPlanes> {
        let stack = Stack::new(&self.device, "planes", n, ny * nx, size_of::<f32>())?;
        Ok(GpuPlanes { ny, nx, stack })
    }

    fn put(&self, planes: &mut GpuPlanes, index: usize, values: &[f32]) -> Result<()> {
        planes.stack.check_index(&self.device, index)?;
        if values.len() != planes.ny * planes.nx {
            let (got, want) = (values.len(), planes.ny * planes.nx);
            return Err(self.device.bug(format!("{got} values for a plane of {want}")));
        }
        planes.stack.put(&self.device, &self.recorder, index, bytemuck::cast_slice(values))
    }

    fn get(&self, planes: &GpuPlanes, index: usize) -> Result<Vec<f32>> {
        planes.stack.check_index(&self.device, index)?;
        let mut values = vec![0.0f32; planes.ny * planes.nx];
        let bytes = bytemuck::cast_slice_mut(&mut values);
        planes.stack.get(&self.device, &self.recorder, &self.ring, index, bytes)?;
        Ok(values)
    }

    fn clear(&self, planes: &mut GpuPlanes, indices: &[usize]) -> Result<()> {
        for &index in indices {
            planes.stack.check_index(&self.device, index)?;
            planes.stack.clear(&self.device, &self.recorder, index)?;
        }
        Ok(())
    }

    fn copy(&self, from: &GpuPlanes, to: &mut GpuPlanes, indices: &[usize]) -> Result<()> {
        batch::check_distinct(&self.device, indices)?;
        if (from.ny, from.nx) != (to.ny, to.nx) {
            return Err(self.device.bug(format!(
                "planes of {}×{} do not fit planes of {}×{}",
                from.nx, from.ny, to.nx, to.ny
            )));
        }
        for &index in indices {
            from.stack.check_index(&self.device, index)?;
            to.stack.check_index(&self.device, index)?;
            let bytes = 4 * from.nx * from.ny;
            from.stack.copy_item(&self.device, &self.recorder, index, bytes, (&to.stack, index))?;
        }
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        Self::finish(self)
    }

    fn clock(&self) -> Clock {
        match self.device.raw.features().contains(timestamps::FEATURE) {
            true => Clock::Device,
            false => Clock::Recording,
        }
    }

    fn enter(&self, stage: Option<Stage>) {
        self.recorder.enter(stage);
    }

    fn take_stage_times(&self) -> StageTimes {
        self.recorder.take_times(&self.device)
    }
}
