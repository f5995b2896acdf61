// Sums the samples of one tile into the cells that they touch: the tile and half a tile around it.
//
// The W*W threads of a workgroup own the cells of equal residue (u mod W, v mod W). Every footprint
// of W*W cells holds each residue once, so that a sample gives each thread one cell to add to, no
// two threads ever meet, and a cell's sum runs in the order of the samples (after Romein 2012, "An
// efficient work-distribution strategy for gridding radio-telescope data on GPUs").

//@ include sample
//@ include grid_work
//@ include complex
//@ storage read rows Row
// Visibility, weight, delta.
//@ storage read samples vec4<f32>
//@ storage read predicted vec2<f32>
//@ storage read tiles Tile
//@ storage read targets LayerTarget

// REGION = 2 * tile cells along each axis. Rows of cells begin 8 apart in the memory's banks.
const STRIDE: u32 = REGION + 8u;
const THREADS: u32 = W * W;
// Samples whose kernels are evaluated at a time: two axes each, one thread an axis.
const BATCH: u32 = THREADS / 2u;

var<workgroup> sums: array<vec2<f32>, REGION * STRIDE>;
var<workgroup> kernels: array<f32, THREADS * W>;
// First cell of the footprint in the region; its residue in the upper half.
var<workgroup> firsts: array<u32, THREADS>;
var<workgroup> values: array<vec2<f32>, BATCH>;
var<workgroup> shared_tile: Tile;

//@ insert store_taps

// Thread t evaluates one axis of sample t / 2 of the batch. Where there is no sample the kernel is that
// of any place, for 0 times what workgroup memory happens to hold need not be 0.
fn prepare(t: u32, i: u32, end: u32, work: Tile, layer: LayerTarget) {
  let along_v = (t & 1u) == 1u;
  var value = vec2(0.0);
  var first = 0u;
  var y = 0.0;
  if i < end {
    let s = samples_load(layer.samples + i);
    if s.z != 0.0 {
      let row = rows_load(i);
      let cell = select(row.cell_u, row.cell_v, along_v);
      let at = footprint(cell, select(row.frac_u, row.frac_v, along_v), s.w);
      let centre = select(0u, params.nv / 2u, along_v);
      let start = select(work.u, work.v, along_v) * params.tile;
      first = u32(at.first + i32(centre + params.tile / 2u) - i32(start));
      y = at.y;
      if !along_v {
        value = weighted_value(s, layer.predicted + i, row);
      }
    }
  }
  store_taps(t * W, y);
  firsts[t] = first | ((first % W) << 16u);
  if !along_v {
    values[t / 2u] = value;
  }
}

// What is gridded of a sample in this pass.
fn weighted_value(s: vec4<f32>, predicted: u32, row: Row) -> vec2<f32> {
  var value = s.xy;
  if params.source == SOURCE_WEIGHTS {
    value = vec2(1.0, 0.0);
  } else if params.source == SOURCE_RESIDUAL {
    value -= predicted_load(predicted);
  }
  return cmul(s.z * value, sample_factor(row, s.w));
}

// Where in the footprint the cell of residue `mine` lies.
fn tap_of(mine: u32, packed: u32) -> u32 {
  let residue = packed >> 16u;
  return mine - residue + select(0u, W, mine < residue);
}

// Sums of all the tile's samples into `sums`, complete for every thread on return.
fn sum_tile(t: u32, work: Tile, layer: LayerTarget) {
  for (var i = t; i < REGION * STRIDE; i += THREADS) {
    sums[i] = vec2(0.0);
  }
  let mine_u = t / W;
  let mine_v = t % W;
  let end = work.first + work.count;
  for (var begin = work.first; begin < end; begin += BATCH) {
    workgroupBarrier();
    prepare(t, begin + t / 2u, end, work, layer);
    workgroupBarrier();
    for (var s = 0u; s < BATCH; s++) {
      let first_u = firsts[2u * s];
      let first_v = firsts[2u * s + 1u];
      let tap_u = tap_of(mine_u, first_u);
      let tap_v = tap_of(mine_v, first_v);
      let kernel = kernels[2u * s * W + tap_u] * kernels[(2u * s + 1u) * W + tap_v];
      let cell = ((first_u & 0xffffu) + tap_u) * STRIDE + (first_v & 0xffffu) + tap_v;
      sums[cell] += kernel * values[s];
    }
  }
  workgroupBarrier();
}
