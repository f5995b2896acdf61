// The winner among a workgroup's 256 threads: the largest magnitude, of equals the smallest key.
// Magnitudes are bits of |f32|, which compare as the numbers do; NONE is the key of no candidate, so
// that magnitude 0 with it loses against everything. `note` is what the caller wants to know of the
// winner.

const NONE: u32 = 0xffffffffu;
const INFINITY: u32 = 0x7f800000u;

var<workgroup> best_magnitude: array<u32, 256>;
var<workgroup> best_key: array<u32, 256>;
var<workgroup> best_note: array<u32, 256>;

// Thread t takes the best of elements t, t + step, t + 2 step, t + 3 step.
fn quarter(t: u32, step: u32) {
  for (var other = t + step; other < t + 4u * step; other += step) {
    let a = best_magnitude[t];
    let b = best_magnitude[other];
    if b > a || (b == a && best_key[other] < best_key[t]) {
      best_magnitude[t] = b;
      best_key[t] = best_key[other];
      best_note[t] = best_note[other];
    }
  }
}

// Loop turns of one call.
const REDUCE_TURNS: u32 = 12u;

// Leaves the winner in element 0 for thread 0 to read. Whoever calls it again must see to a barrier in
// between.
fn reduce(t: u32, magnitude: u32, key: u32, note: u32) {
  best_magnitude[t] = magnitude;
  best_key[t] = key;
  best_note[t] = note;
  workgroupBarrier();
  if t < 64u {
    quarter(t, 64u);
  }
  workgroupBarrier();
  if t < 16u {
    quarter(t, 16u);
  }
  workgroupBarrier();
  if t < 4u {
    quarter(t, 4u);
  }
  workgroupBarrier();
  if t == 0u {
    quarter(t, 1u);
  }
}
