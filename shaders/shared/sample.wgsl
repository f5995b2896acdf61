// A sample's place on the uv grid, and its factor in a pass of the w-term. What is large was divided
// up on the host in f64: whole cells as integers, whole turns taken off.

//@ include trig

const SOURCE_WEIGHTS: u32 = 0u;
const SOURCE_DATA: u32 = 1u;
const SOURCE_RESIDUAL: u32 = 2u;

const FACTOR_FLAT: u32 = 0u;
const FACTOR_CHEBYSHEV: u32 = 1u;
const FACTOR_STACK: u32 = 2u;

const TABLE: u32 = 512u;

struct GridParams {
  nv: u32,
  tile: u32,
  rows: u32,
  source: u32,
  kind: u32,
  // The factor is multiplied by (-i) to this power.
  quarter_turns: u32,
  // Plane j of w-stacking lies at (j + 1/2) plane distances, its mirror image counts with this sign.
  plane: i32,
  mirrored: f32,
  // Turns of the factor's phase per unit of w.
  turns_per_w: f32,
  // Intervals of `table` per unit of its argument.
  table_scale: f32,
  pad_0: u32,
  pad_1: u32,
  // A function of |w| in TABLE intervals, a cubic in each.
  table: array<vec4<f32>, TABLE>,
}

// A row's baseline at the frequency that it is sorted by, in grid cells; w in units that suit the
// pass (plane distances, or radians of the w-term's phase at the edge of the image).
struct Row {
  cell_u: i32,
  cell_v: i32,
  frac_u: f32,
  frac_v: f32,
  cell_w: i32,
  frac_w: f32,
  // The phase of the factor at the middle of the image, less whole turns.
  turns: f32,
  pad: u32,
}

//@ uniform params GridParams
//@ insert kernel

// The first cell that a sample touches along one axis, and the argument of `taps`.
struct Footprint {
  first: i32,
  y: f32,
}

// delta = observed frequency / the row's - 1. cell * (1 + delta) in f32 would err by 3e-4 at cell 6000.
fn footprint(cell: i32, frac: f32, delta: f32) -> Footprint {
  let left = frac + (f32(cell) + frac) * delta - 0.5 * f32(W);
  let first = ceil(left);
  return Footprint(cell + i32(first), 2.0 * (first - left) - 1.0);
}

fn tabulated(x: f32) -> f32 {
  let at = abs(x) * params.table_scale;
  let interval = u32(at);
  if interval >= TABLE {
    return 0.0;
  }
  let t = at - f32(interval);
  let c = params.table[interval];
  return c.x + t * (c.y + t * (c.z + t * c.w));
}

// Factor of a sample in this pass, adjoint direction.
fn sample_factor(row: Row, delta: f32) -> vec2<f32> {
  if params.kind == FACTOR_FLAT {
    return vec2(1.0, 0.0);
  }
  let drift = (f32(row.cell_w) + row.frac_w) * delta;
  var amplitude = 0.0;
  if params.kind == FACTOR_CHEBYSHEV {
    let theta = f32(row.cell_w) + (row.frac_w + drift);
    amplitude = tabulated(theta);
    if theta < 0.0 && (params.quarter_turns & 1u) == 1u {
      amplitude = -amplitude;
    }
  } else {
    let rest = row.frac_w + drift;
    let near = (f32(row.cell_w - params.plane) - 0.5) + rest;
    let far = (f32(row.cell_w + params.plane) + 0.5) + rest;
    amplitude = tabulated(near) + params.mirrored * tabulated(far);
  }
  if amplitude == 0.0 {
    return vec2(0.0);
  }
  let f = amplitude * cos_sin_turns(row.turns + params.turns_per_w * drift);
  switch params.quarter_turns & 3u {
    case 0u: { return f; }
    case 1u: { return vec2(f.y, -f.x); }
    case 2u: { return -f; }
    default: { return vec2(-f.y, f.x); }
  }
}
