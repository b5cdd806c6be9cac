
// Whether batch top-k keeps an activation: above the threshold, or equal to it and not after the last tie taken.
fn is_kept(bits: u32, flat: u32, threshold: u32, ties: u32, last_tie: u32) -> bool {
  return is_positive(bits) && (bits > threshold || (bits == threshold && ties > 0u && flat <= last_tie));
}
