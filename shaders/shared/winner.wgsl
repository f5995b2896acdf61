// The winner among a workgroup's 256 threads: the largest magnitude, of equals the smallest key.
// Magnitudes are bits of |f32|, which compare as the numbers do; NONE is the key of no candidate, so
// that magnitude 0 with it loses against everything. `note` is what the caller wants to know of the
// winner.

const NONE: u32 = 0xffffffffu;
const INFINITY: u32 = 0x7f800000u;

var<workgroup> best_magnitude: array<u32, 256>;
var<workgroup> best_key: array<u32, 256>;
var<workgroup> best_note: array<u32, 256>;

fn halve(t: u32, step: u32) {
  if t < step {
    let other = t + step;
    let a = best_magnitude[t];
    let b = best_magnitude[other];
    if b > a || (b == a && best_key[other] < best_key[t]) {
      best_magnitude[t] = b;
      best_key[t] = best_key[other];
      best_note[t] = best_note[other];
    }
  }
  workgroupBarrier();
}

// Leaves the winner in element 0. Unrolled, because these turns need not count (hogbom.wgsl).
fn reduce(t: u32, magnitude: u32, key: u32, note: u32) {
  best_magnitude[t] = magnitude;
  best_key[t] = key;
  best_note[t] = note;
  workgroupBarrier();
  halve(t, 128u);
  halve(t, 64u);
  halve(t, 32u);
  halve(t, 16u);
  halve(t, 8u);
  halve(t, 4u);
  halve(t, 2u);
  halve(t, 1u);
}
