
// A logit behind the soft cap: cap tanh(z / cap); z itself where SOFT_CAP is 0.
fn soft_capped(logit: f32) -> f32 {
  if (SOFT_CAP == 0.0) { return logit; }
  return SOFT_CAP * accurate_tanh(vec4f(logit / SOFT_CAP)).x;
}
