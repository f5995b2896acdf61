// Before Hogbom's loop: the largest |psf| of each block of 32 x 32 pixels, within the patch of the PSF
// that is used, NaN left out. One workgroup looks at eight blocks side by side, a thread at a column of one.
//@ include minor
//@ storage read psf f32

var<workgroup> columns: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  channel = channels[params.first_channel + group.z];
  let x = group.x * 256u + t;
  var largest = 0u;
  // Left of the patch this wraps around to a large number.
  if x - params.patch_x < params.patch_nx {
    let end = min(group.y * 32u + 32u, params.patch_y + params.patch_ny);
    for (var y = max(group.y * 32u, params.patch_y); y < end; y += 1u) {
      let magnitude =
        bitcast<u32>(psf_load(channel.psf + y * params.nx + x)) & 0x7fffffffu;
      if magnitude > largest && magnitude <= 0x7f800000u {
        largest = magnitude;
      }
    }
  }
  columns[t] = largest;
  workgroupBarrier();
  let block = group.x * 8u + t;
  if t < 8u && block < params.tiles_x {
    largest = 0u;
    for (var i = 0u; i < 32u; i += 1u) {
      largest = max(largest, columns[t * 32u + i]);
    }
    work_store(channel.blocks + group.y * params.tiles_x + block, largest);
  }
}
