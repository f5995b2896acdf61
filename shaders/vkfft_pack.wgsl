// Stage fft by VkFFT, adjoint, before the transform along u: Hermitian rows from the columns.
//@ include vkfft
//@ include vkfft_tile
//@ storage read_write work vec2<f32>
//@ storage read grids vec2<f32>

// X[u] of the Hermitian spectrum whose transform is the real row.
fn spectrum(u: u32, r: u32) -> vec2<f32> {
  if u >= params.columns || r >= params.rows {
    return vec2(0.0);
  }
  let g = grids_load(cell(u, r));
  if u == 0u || 2u * u == params.nu {
    return vec2(g.x, 0.0);
  }
  return 0.5 * g;
}

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>) {
  let first_u = group.x * TILE;
  let first_r = group.y * TILE;
  tile[id.y][id.x] = spectrum(first_u + id.y, first_r + id.x);
  workgroupBarrier();
  let u = first_u + id.x;
  let r = first_r + id.y;
  if r < params.all_rows && u <= params.nu / 2u {
    work_store(r * (params.nu / 2u + 1u) + u, tile[id.x][id.y]);
  }
}
