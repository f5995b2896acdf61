// Stage fft by VkFFT, forward, after the transform along u: the columns from Hermitian rows.
//@ include vkfft
//@ include vkfft_tile
//@ storage read work vec2<f32>
//@ storage read_write grids vec2<f32>

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>) {
  let first_u = group.x * TILE;
  let first_r = group.y * TILE;
  var value = vec2(0.0);
  if first_u + id.x < params.columns && first_r + id.y < params.rows {
    value = work_load((first_r + id.y) * (params.nu / 2u + 1u) + first_u + id.x);
  }
  tile[id.y][id.x] = value;
  workgroupBarrier();
  let u = first_u + id.y;
  let r = first_r + id.x;
  if u < params.columns && r < params.rows {
    grids_store(cell(u, r), tile[id.x][id.y]);
  }
}
