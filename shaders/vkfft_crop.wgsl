// Stage fft by VkFFT, adjoint, after the transform along u: the image's part of the padded rows.
//@ include vkfft
//@ storage read work f32
//@ storage read_write images f32

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if id.x >= params.nx {
    return;
  }
  let p = (id.x + params.nu - params.nx / 2u) % params.nu;
  images_store(pixel(id.x, id.y), work_load(id.y * (params.nu + 2u) + p));
}
