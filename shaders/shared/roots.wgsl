// Roots of unity from a table made in f64: cosine and sine of 2 pi i / N.
//@ storage read roots vec2<f32>

// exp(+-2 pi i / N), with the sign of the transform.
fn root(i: u32) -> vec2<f32> {
  let r = roots_load(i);
  return vec2(r.x, SIGN * r.y);
}
