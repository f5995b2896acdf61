// Stages subtract and peak of the multiscale loop: one workgroup a tile of one shape's residual.
//@ include multiscale
//@ include winner
//@ include tiles
//@ include candidate
//@ storage read_write residual f32
//@ storage read psf f32

var<workgroup> running: u32;

// Where the PSF is that a component of shape a is seen by in the residual of shape b.
fn psf_of(channel: MultiscaleChannel, a: u32, b: u32) -> u32 {
  let low = min(a, b);
  let pair = low * (2u * params.shapes - low + 1u) / 2u + max(a, b) - low;
  return channel.psf + pair * params.nx * params.ny;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let channel = channels_load(group.z / params.shapes);
  let own = group.z % params.shapes;
  let shape = shapes_load(group.z);
  let k = group.x + group.y * params.columns;
  if t == 0u {
    running = u32(k < shape.tile_count && work_load(channel.progress + STATUS) == RUNNING);
  }
  if workgroupUniformLoad(&running) == 0u {
    return;
  }
  let corner = tiles_load(shape.tiles + 2u * k);
  let x = tile_x(corner, t);
  let y = tile_y(corner, t);
  let inside = tile_mask(tiles_load(shape.tiles + 2u * k + 1u), x, y, t, params.nx, params.ny);
  let pixel = y * params.nx + x;
  let first = channel.residual + own * params.nx * params.ny;
  let at = select(vec4(first), pixel + first, inside);
  var r = vec4(
    residual_load(at.x),
    residual_load(at.y),
    residual_load(at.z),
    residual_load(at.w),
  );
  if any(inside) && work_load(channel.progress + PENDING) == 1u {
    let component = work_load(channel.progress + PIXEL);
    let flux = bitcast<f32>(work_load(channel.progress + FLUX));
    let plane = psf_of(channel, work_load(channel.progress + SHAPE), own);
    // Left of and below the PSF these wrap around to large numbers.
    let psf_x = x + params.nx / 2u - component % params.nx;
    let psf_y = y + params.ny / 2u - vec4(component / params.nx);
    let meets = inside & (psf_y < vec4(params.ny)) & vec4(psf_x < params.nx);
    let from_psf = select(vec4(plane), psf_y * params.nx + psf_x + plane, meets);
    let products = flux * vec4(
      psf_load(from_psf.x),
      psf_load(from_psf.y),
      psf_load(from_psf.z),
      psf_load(from_psf.w),
    );
    // As `product` has it.
    let rounded = bitcast<vec4<f32>>(bitcast<vec4<u32>>(products) ^ vec4(params.zero));
    r = select(r, r - rounded, meets);
    if inside.x {
      residual_store(at.x, r.x);
    }
    if inside.y {
      residual_store(at.y, r.y);
    }
    if inside.z {
      residual_store(at.z, r.z);
    }
    if inside.w {
      residual_store(at.w, r.w);
    }
  }
  let candidate = candidate_of(bitcast<vec4<u32>>(r), pixel, inside);
  reduce(t, candidate.x, candidate.y, candidate.z);
  if t == 0u {
    let to = shape.winners + 3u * k;
    work_store(to, best_magnitude[0]);
    work_store(to + 1u, best_key[0]);
    work_store(to + 2u, best_note[0]);
  }
}
