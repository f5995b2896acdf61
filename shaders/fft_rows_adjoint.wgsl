// Stage fft, adjoint, second step: image[p] = Re sum over u >= 0 of grid[u] exp(2 pi i u p / nu).
//@ include fft_rows
//@ storage read grids vec2<f32>
//@ storage read_write images f32
//@ storage read pairs PlanePair
//@ insert transform

// X[u] of the Hermitian spectrum whose transform is the real row.
fn spectrum(u: u32) -> vec2<f32> {
  if u >= params.columns {
    return vec2(0.0);
  }
  let g = grids_load(grid_row + u * params.nv);
  if u == 0u || 2u * u == params.nu {
    return vec2(g.x, 0.0);
  }
  return 0.5 * g;
}

// Even values of the row are the real, odd values the imaginary part of the transform of
// Z[k] = X[k] + X[k + nu/2] + i exp(2 pi i k / nu) (X[k] - X[k + nu/2]).
fn load_input(k: u32) -> vec2<f32> {
  let a = spectrum(k);
  let b = conj(spectrum(params.nu / 2u - k));
  let odd = cmul(root(k), a - b);
  return a + b + vec2(-odd.y, odd.x);
}

fn put(p: u32, value: f32) {
  let x = image_column(p);
  if x < params.nx {
    images_store(image_row + x, value);
  }
}

fn store_output(n: u32, z: vec2<f32>) {
  put(2u * n, z.x);
  put(2u * n + 1u, z.y);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let pair = pairs_load(group.z);
  start(group.x, pair.source, pair.dest);
  transform(t);
}
