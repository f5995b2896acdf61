//! Compiled shaders, and the dispatch of one on bound buffers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use wgpu::{
    BindGroupDescriptor, BindGroupEntry, BindGroupLayoutDescriptor, BindGroupLayoutEntry,
    BindingType, BufferBindingType, ErrorFilter, ShaderStages,
};

use super::{
    device::Device,
    shader::{Assembled, Slot, Variant, assemble},
};
use crate::{Error, Result};

/// A compute pipeline and the layout of its one bind group.
pub(super) struct Program {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

impl Program {
    fn compile(device: &Device, variant: &Variant) -> Result<Self> {
        let bug = |why: String| device.bug(format!("shader {}: {why}", variant.source));
        let Assembled { wgsl, slots } = assemble(variant).map_err(bug)?;
        check_bindings(device, variant.source, &slots)?;
        let scope = device.raw.push_error_scope(ErrorFilter::Validation);

        let entries: Vec<_> = (0..).zip(&slots).map(|(n, slot)| layout_entry(n, *slot)).collect();
        let layout = device.raw.create_bind_group_layout(&BindGroupLayoutDescriptor {
            label: Some(variant.source),
            entries: &entries,
        });
        let pipeline_layout = device.raw.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(variant.source),
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let module = device.raw.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(variant.source),
            source: wgpu::ShaderSource::Wgsl(wgsl.into()),
        });
        let pipeline = device.raw.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(variant.source),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Every element of workgroup memory is written before it is read.
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        if let Some(e) = pollster::block_on(scope.pop()) {
            return Err(bug(e.to_string()));
        }
        device.check()?;
        Ok(Self { pipeline, layout })
    }

    /// A bind group of whole buffers, in the order of the shader's bindings.
    pub(super) fn bind(&self, device: &Device, buffers: &[&wgpu::Buffer]) -> wgpu::BindGroup {
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, b)| BindGroupEntry { binding, resource: b.as_entire_binding() })
            .collect();
        device.raw.create_bind_group(&BindGroupDescriptor {
            label: None,
            layout: &self.layout,
            entries: &entries,
        })
    }

    /// Records one dispatch.
    pub(super) fn dispatch(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        group: &wgpu::BindGroup,
        workgroups: [u32; 3],
    ) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, group, &[]);
        pass.dispatch_workgroups(workgroups[0], workgroups[1], workgroups[2]);
    }
}

/// Fails if a shader binds more storage than the device allows: large arrays are bound in parts.
fn check_bindings(device: &Device, source: &str, slots: &[Slot]) -> Result<()> {
    let needed = slots.iter().filter(|s| matches!(s, Slot::Storage { .. })).count();
    let available = device.limits.max_storage_buffers_per_shader_stage as usize;
    if needed <= available {
        return Ok(());
    }
    Err(Error::Device {
        device: device.info.name.clone(),
        problem: format!(
            "a job of this size needs {needed} storage bindings in stage {source}, and it offers \
             {available}"
        ),
        remedy: "image fewer pixels, choose another with --device, or use --backend cpu".into(),
    })
}

fn layout_entry(binding: u32, slot: Slot) -> BindGroupLayoutEntry {
    let ty = match slot {
        Slot::Uniform => BufferBindingType::Uniform,
        Slot::Storage { read_only } => BufferBindingType::Storage { read_only },
    };
    BindGroupLayoutEntry {
        binding,
        visibility: ShaderStages::COMPUTE,
        ty: BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    }
}

/// Programs compiled so far.
#[derive(Default)]
pub(super) struct Programs(Mutex<HashMap<Variant, Arc<Program>>>);

impl Programs {
    /// The program of a variant, compiled on its first use.
    pub(super) fn get(&self, device: &Device, variant: &Variant) -> Result<Arc<Program>> {
        let mut compiled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = compiled.get(variant) {
            return Ok(Arc::clone(program));
        }
        let program = Arc::new(Program::compile(device, variant)?);
        compiled.insert(variant.clone(), Arc::clone(&program));
        Ok(program)
    }
}
