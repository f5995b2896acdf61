// Brings one tile of the residual up to date. A tile's state is
// - bound: bits of a number that no |residual| of its masked pixels exceeds (NaN does not count),
// - winner: plane index + 1 of the largest |residual| among them, NONE if all are NaN,
// - value: bits of the residual there,
// - applied: the number of components that its pixels have seen.
// If that is all of them, the tile is exact: winner and value hold, and the bound is |value|.
//@ include winner
//@ include tiles
//@ include candidate
//@ storage read_write residual f32
//@ storage read psf f32

// Subtracts components from..to, in order, from the masked pixels of tile k, each product and each
// difference rounded, and reduces to the tile's winner.
fn refresh(t: u32, k: u32, begin: u32, end: u32) {
  let corner = tiles_load(channel.tiles + 2u * k);
  let x = tile_x(corner, t);
  let y = tile_y(corner, t);
  let inside = tile_mask(tiles_load(channel.tiles + 2u * k + 1u), x, y, t, params.nx, params.ny);
  let pixel = y * params.nx + x;
  let at = select(vec4(channel.residual), pixel + channel.residual, inside);
  var r = vec4(
    residual_load(at.x),
    residual_load(at.y),
    residual_load(at.z),
    residual_load(at.w),
  );
  if any(inside) && begin < end {
    let shift_x = x + params.nx / 2u;
    let shift_y = y + params.ny / 2u;
    for (var i = begin; i < end; i += 1u) {
      let position = work_load(channel.components + 2u * i);
      let flux = bitcast<f32>(work_load(channel.components + 2u * i + 1u));
      // Left of and below the patch these wrap around to large numbers.
      let psf_x = shift_x - (position & 0xffffu);
      let psf_y = shift_y - vec4(position >> 16u);
      let meets = inside & (psf_y - vec4(params.patch_y) < vec4(params.patch_ny))
        & vec4(psf_x - params.patch_x < params.patch_nx);
      let from_psf = select(vec4(channel.psf), psf_y * params.nx + psf_x + channel.psf, meets);
      let products = flux * vec4(
        psf_load(from_psf.x),
        psf_load(from_psf.y),
        psf_load(from_psf.z),
        psf_load(from_psf.w),
      );
      // As `product` has it.
      let rounded = bitcast<vec4<f32>>(bitcast<vec4<u32>>(products) ^ vec4(params.zero));
      r = select(r, r - rounded, meets);
    }
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
  let values = bitcast<vec4<u32>>(r);
  let candidate = candidate_of(values, pixel, inside);
  reduce(t, candidate.x, candidate.y, candidate.z);
}
