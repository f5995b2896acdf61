// Stage fft, forward, first step: grid[u] = sum over p of image[p] exp(-2 pi i u p / nu).
//@ include fft_rows
//@ storage read images f32
//@ storage read_write grids vec2<f32>
//@ storage read pairs PlanePair
//@ insert transform

fn pixel(p: u32) -> f32 {
  let x = image_column(p);
  if x >= params.nx {
    return 0.0;
  }
  return images_load(image_row + x);
}

fn load_input(n: u32) -> vec2<f32> {
  return vec2(pixel(2u * n), pixel(2u * n + 1u));
}

// X[u] from Z[u] and Z[nu/2 - u], the transform of even values + i * odd values.
fn unfold(u: u32, z: vec2<f32>, mirrored: vec2<f32>, w: vec2<f32>) {
  if u < params.columns {
    let odd = cmul(w, z - conj(mirrored));
    grids_store(grid_row + u * params.nv, 0.5 * (z + conj(mirrored) + vec2(odd.y, -odd.x)));
  }
}

fn store_pair(k: u32, z: vec2<f32>, mirrored: vec2<f32>) {
  let w = root(k);
  unfold(k, z, mirrored, w);
  unfold(params.nu / 2u - k, mirrored, z, vec2(-w.x, w.y));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let pair = pairs_load(group.z);
  start(group.x, pair.dest, pair.source);
  transform(t);
}
