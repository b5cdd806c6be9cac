
// Four quads of columns: LANES apart, so that neighbouring lanes read neighbouring memory. Those past the edge repeat the first; they are
// summed but not kept.
struct Place { a: u32, b: u32, c: u32, d: u32, count: u32 }
fn place_of(first: u32, quads: u32) -> Place {
  let count = min(4u, (quads - first + LANES - 1u) / LANES);
  return Place(
    first,
    select(first, first + LANES, count > 1u),
    select(first, first + 2u * LANES, count > 2u),
    select(first, first + 3u * LANES, count > 3u),
    count,
  );
}
struct Sums { a: vec4f, b: vec4f, c: vec4f, d: vec4f }
