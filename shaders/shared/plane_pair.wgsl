// The first elements, in their slabs, of two items that one z of a dispatch works on.
struct PlanePair {
  source: u32,
  dest: u32,
}
