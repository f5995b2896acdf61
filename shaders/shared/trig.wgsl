// Cosine and sine of an angle in turns, to f32 rounding. The built-in functions may err by 2^-11.
fn cos_sin_turns(turns: f32) -> vec2<f32> {
  let t = turns - round(turns);
  let quadrant = i32(round(4.0 * t));
  let x = 6.283185307179586 * (t - 0.25 * f32(quadrant));
  let x2 = x * x;
  // Taylor series; |x| <= pi/4, so the first term left out is below 3e-9.
  let s = x * (1.0 + x2 * (-1.6666667e-1 + x2 * (8.3333333e-3 + x2 * (-1.9841270e-4 + x2 * 2.7557319e-6))));
  let c = 1.0 + x2 * (-0.5 + x2 * (4.1666667e-2 + x2 * (-1.3888889e-3 + x2 * (2.4801587e-5 - x2 * 2.7557319e-7))));
  switch quadrant & 3 {
    case 0: { return vec2(c, s); }
    case 1: { return vec2(-s, c); }
    case 2: { return vec2(-c, -s); }
    default: { return vec2(s, -c); }
  }
}
