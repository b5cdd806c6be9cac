
// One Adam update in PyTorch's arrangement, of four neighbouring elements; the bias corrections are folded into step_size and
// correction by the host: step_size = lr / (1 - beta1^t), correction = 1 / sqrt(1 - beta2^t).
struct Adapted { weight: vec4f, mean: vec4f, square: vec4f }
fn adam(step_size: f32, weight: vec4f, gradient: vec4f, mean: vec4f, square: vec4f) -> Adapted {
  let m = params.beta1 * mean + (1.0 - params.beta1) * gradient;
  let v = params.beta2 * square + (1.0 - params.beta2) * gradient * gradient;
  return Adapted(weight - step_size * m / (sqrt(v) * params.correction + params.epsilon), m, v);
}
