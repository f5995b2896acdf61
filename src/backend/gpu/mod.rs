//! The GPU backend: wgpu and WGSL compute shaders.
