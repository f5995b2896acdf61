// Stage fft by VkFFT, forward, before the transform along u: padded rows from the image.
//@ include vkfft
//@ storage read_write work f32
//@ storage read images f32

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if id.x >= params.nu {
    return;
  }
  let x = (id.x + params.nx / 2u) % params.nu;
  var value = 0.0;
  if x < params.nx && id.y < params.rows {
    value = images_load(pixel(x, id.y));
  }
  work_store(id.y * (params.nu + 2u) + id.x, value);
}
