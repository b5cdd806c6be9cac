
// Whether the bits are those of a positive f32, infinity included: bits - 1 wraps for +0, and is beyond infinity for -0, for
// NaN and for what is negative. An activation is positive where its feature is active and 0 elsewhere: that is all that the
// selection knows of ReLU and JumpReLU.
fn is_positive(bits: u32) -> bool {
  return bits - 1u < 0x7f800000u;
}
