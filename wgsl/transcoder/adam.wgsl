
// One Adam update in PyTorch's arrangement; the bias corrections are folded into step_size and correction by the host:
// step_size = lr / (1 - beta1^t), correction = 1 / sqrt(1 - beta2^t). Returns the new (parameter, mean, square).
fn adam(parameter: f32, gradient: f32, mean: f32, square: f32) -> vec3f {
  let m = params.beta1 * mean + (1.0 - params.beta1) * gradient;
  let v = params.beta2 * square + (1.0 - params.beta2) * gradient * gradient;
  return vec3f(parameter - params.step_size * m / (sqrt(v) * params.correction + params.epsilon), m, v);
}
