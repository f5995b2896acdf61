// A thread's candidate among its four pixels of a tile, whose plane indices ascend: bits of |value|,
// plane index + 1, bits of the value. NaN is none.
fn candidate_of(values: vec4<u32>, pixel: vec4<u32>, inside: vec4<bool>) -> vec3<u32> {
  let magnitudes = values & vec4(0x7fffffffu);
  let valid = inside & (magnitudes <= vec4(INFINITY));
  var best = vec3(0u, NONE, 0u);
  if valid.x {
    best = vec3(magnitudes.x, pixel.x + 1u, values.x);
  }
  if valid.y && (best.y == NONE || magnitudes.y > best.x) {
    best = vec3(magnitudes.y, pixel.y + 1u, values.y);
  }
  if valid.z && (best.y == NONE || magnitudes.z > best.x) {
    best = vec3(magnitudes.z, pixel.z + 1u, values.z);
  }
  if valid.w && (best.y == NONE || magnitudes.w > best.x) {
    best = vec3(magnitudes.w, pixel.w + 1u, values.w);
  }
  return best;
}
