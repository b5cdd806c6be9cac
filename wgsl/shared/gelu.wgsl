
// gelu(g) = g (1 + tanh(u)) / 2 = g / (1 + exp(-2 u)), u = sqrt(2 / pi) (g + 0.044715 g^3). The quotient keeps its relative accuracy
// where 1 + tanh cancels; its exponent is held below overflow.
fn gelu(g: vec4f) -> vec4f {
  let exponent = -1.5957691216057308 * fma(0.044715 * g * g, g, g);
  return g / (1.0 + exp(min(exponent, vec4f(80.0))));
}
