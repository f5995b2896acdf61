// The screen of a pass: a real function of n - 1, the same for every channel.

//@ include trig

const SCREEN_FLAT: u32 = 0u;
const SCREEN_CHEBYSHEV: u32 = 1u;
const SCREEN_COSINE: u32 = 2u;
const SCREEN_SINE: u32 = 3u;

struct CorrectParams {
  nx: u32,
  ny: u32,
  kind: u32,
  order: u32,
  centre: f32,
  inverse_half_range: f32,
  plane_w: f32,
  // Number of coefficients of the screen's amplitude, which follow the axes in `axes`.
  amplitude_terms: u32,
}

//@ uniform params CorrectParams
// x of the plane, then y: correction, squared direction cosine, and the cosine and sine of the part
// of the w-plane's phase that depends on this axis alone.
//@ storage read axes vec4<f32>

// n - 1 without the cancellation of sqrt(1 - r2) - 1.
fn n_minus_1(r2: f32) -> f32 {
  return -r2 / (1.0 + sqrt(1.0 - r2));
}

// Sum of coefficients times Chebyshev polynomials of s (Clenshaw).
fn amplitude(s: f32) -> f32 {
  var b1 = 0.0;
  var b2 = 0.0;
  for (var k = params.amplitude_terms; k > 1u; k--) {
    let b = axes_load(params.nx + params.ny + k - 1u).x + 2.0 * s * b1 - b2;
    b2 = b1;
    b1 = b;
  }
  return axes_load(params.nx + params.ny).x + s * b1 - b2;
}

// Correction times screen at pixel (x, y).
fn factor(x: u32, y: u32) -> f32 {
  let ax = axes_load(x);
  let ay = axes_load(params.nx + y);
  let correction = ax.x * ay.x;
  if params.kind == SCREEN_FLAT {
    return correction;
  }
  let r2 = ax.y + ay.y;
  if r2 > 1.0 {
    return 0.0;
  }
  let n1 = n_minus_1(r2);
  let s = (n1 - params.centre) * params.inverse_half_range;
  if params.kind == SCREEN_CHEBYSHEV {
    var before = 1.0;
    var t = s;
    if params.order == 0u {
      return correction;
    }
    for (var k = 1u; k < params.order; k++) {
      let next = 2.0 * s * t - before;
      before = t;
      t = next;
    }
    return correction * t;
  }
  // exp(2 pi i w (n - 1 - c)): exp(-pi i w r2) is a product over the axes, computed in f64 on the
  // host; what is left, n - 1 + r2/2 of order r2^2/8, is small enough for f32.
  let separable = vec2(ax.z * ay.z - ax.w * ay.w, ax.z * ay.w + ax.w * ay.z);
  let h = 1.0 + sqrt(1.0 - r2);
  let rest = -0.5 * r2 * r2 / (h * h);
  let c = cos_sin_turns(params.plane_w * rest);
  let wave = vec2(separable.x * c.x - separable.y * c.y, separable.x * c.y + separable.y * c.x);
  let phase = select(wave.y, wave.x, params.kind == SCREEN_COSINE);
  return correction * amplitude(s) * phase;
}
