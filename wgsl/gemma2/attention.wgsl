// out[q] = sum over keys k of softmax_k(s(q, k)) v[k], s = cap tanh(<q, k> scale / cap) (no cap when SOFT_CAP is 0), keys q - window < k <= q.
// rotated (bound twice, as vec4 and as scalars) [contexts, blocks, heads + key_value_heads, head_dim, 16], see rotary.wgsl; qkv [contexts,
// context, (heads + 2 key_value_heads) head_dim], for its values; out [contexts, context, heads, head_dim].
// One workgroup per block of 16 queries, head and LANES dimensions: in turn, a lane owns one key of a tile of LANES keys (its 16 scores) and one
// dimension of the output (its 16 sums); queries lie in four vec4, keys and dimensions along the lanes.
// f32; unless the cap bounds the scores, sums are rescaled by the running maximum; out is overwritten.
override LANES: u32 = 32u;
override SOFT_CAP: f32 = 50.0;
struct Params {
  contexts: u32,
  context: u32,
  heads: u32,
  key_value_heads: u32,
  head_dim: u32,
  window: u32,
  scale: f32,
}
@group(0) @binding(0) var<storage, read> rotated: array<vec4f>;
@group(0) @binding(1) var<storage, read> rotated_scalars: array<f32>;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

const LOWEST = -3.0e38;
// exp of a score in [-60, 60], summed over any context, neither overflows nor loses the smallest terms' digits.
override BOUNDED: bool = SOFT_CAP > 0.0 && SOFT_CAP <= 60.0;
// A tile's scores, then its weights: [LANES keys][16 queries].
var<workgroup> weights: array<vec4f, 4u * LANES>;

fn score(product: vec4f) -> vec4f {
  let scaled = product * params.scale;
  if (SOFT_CAP == 0.0) { return scaled; }
  return SOFT_CAP * accurate_tanh(scaled / SOFT_CAP);
}

// The score where the query sees the key, else LOWEST.
fn masked(product: vec4f, key: u32, first_query: u32) -> vec4f {
  let query = vec4u(first_query) + vec4u(0u, 1u, 2u, 3u);
  let seen = (vec4u(key) <= query) & (query < vec4u(key + params.window));
  return select(vec4f(LOWEST), score(product), seen);
}

fn exponential(score: vec4f, maximum: vec4f) -> vec4f {
  return select(exp(score - maximum), vec4f(), score == vec4f(LOWEST));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let blocks = (params.context + 15u) / 16u;
  let block = group.x % blocks;
  let context = group.x / blocks;
  let head = group.y;
  let key_value_head = head / (params.heads / params.key_value_heads);
  let rotated_heads = params.heads + params.key_value_heads;
  let width = (params.heads + 2u * params.key_value_heads) * params.head_dim;
  let first_query = block * 16u;
  let end = min(first_query + 16u, params.context);
  let queries = (group.x * rotated_heads + head) * params.head_dim * 4u;
  let dimension = group.z * LANES + local.x;
  let values = context * params.context * width + (rotated_heads + key_value_head) * params.head_dim +
    min(dimension, params.head_dim - 1u);

  var o0 = vec4f(); var o1 = vec4f(); var o2 = vec4f(); var o3 = vec4f();
  var n0 = vec4f(); var n1 = vec4f(); var n2 = vec4f(); var n3 = vec4f();
  var m0 = vec4f(); var m1 = vec4f(); var m2 = vec4f(); var m3 = vec4f();
  if (!BOUNDED) { m0 = vec4f(LOWEST); m1 = m0; m2 = m0; m3 = m0; }

  for (var tile = max(first_query + 1u, params.window) - params.window; tile < end; tile += LANES) {
    let key = tile + local.x;
    var s0 = vec4f(LOWEST); var s1 = s0; var s2 = s0; var s3 = s0;
    if (key < end) {
      let keys = (((context * blocks + key / 16u) * rotated_heads + params.heads + key_value_head) * params.head_dim) * 16u + key % 16u;
      var p0 = vec4f(); var p1 = vec4f(); var p2 = vec4f(); var p3 = vec4f();
      for (var d = 0u; d < params.head_dim; d++) {
        let k = vec4f(rotated_scalars[keys + d * 16u]);
        let q = queries + d * 4u;
        p0 = fma(rotated[q], k, p0);
        p1 = fma(rotated[q + 1u], k, p1);
        p2 = fma(rotated[q + 2u], k, p2);
        p3 = fma(rotated[q + 3u], k, p3);
      }
      s0 = masked(p0, key, first_query);
      s1 = masked(p1, key, first_query + 4u);
      s2 = masked(p2, key, first_query + 8u);
      s3 = masked(p3, key, first_query + 12u);
    }
    let count = min(LANES, end - tile);
    let mine = local.x * 4u;
    if (!BOUNDED) {
      let b0 = m0; let b1 = m1; let b2 = m2; let b3 = m3;
      workgroupBarrier();
      weights[mine] = s0; weights[mine + 1u] = s1; weights[mine + 2u] = s2; weights[mine + 3u] = s3;
      workgroupBarrier();
      for (var k = 0u; k < 4u * count; k += 4u) {
        m0 = max(m0, weights[k]);
        m1 = max(m1, weights[k + 1u]);
        m2 = max(m2, weights[k + 2u]);
        m3 = max(m3, weights[k + 3u]);
      }
      let r0 = exp(b0 - m0); let r1 = exp(b1 - m1); let r2 = exp(b2 - m2); let r3 = exp(b3 - m3);
      o0 *= r0; o1 *= r1; o2 *= r2; o3 *= r3;
      n0 *= r0; n1 *= r1; n2 *= r2; n3 *= r3;
    }
    workgroupBarrier();
    weights[mine] = exponential(s0, m0);
    weights[mine + 1u] = exponential(s1, m1);
    weights[mine + 2u] = exponential(s2, m2);
    weights[mine + 3u] = exponential(s3, m3);
    workgroupBarrier();
    for (var k = 0u; k < count; k++) {
      let v = vec4f(qkv[values + (tile + k) * width]);
      let w0 = weights[k * 4u]; let w1 = weights[k * 4u + 1u]; let w2 = weights[k * 4u + 2u]; let w3 = weights[k * 4u + 3u];
      o0 = fma(w0, v, o0); o1 = fma(w1, v, o1); o2 = fma(w2, v, o2); o3 = fma(w3, v, o3);
      n0 += w0; n1 += w1; n2 += w2; n3 += w3;
    }
  }
  if (dimension >= params.head_dim) { return; }
  let to = (context * params.context * params.heads + head) * params.head_dim + dimension;
  store(to, first_query, o0 / n0);
  store(to, first_query + 4u, o1 / n1);
  store(to, first_query + 8u, o2 / n2);
  store(to, first_query + 12u, o3 / n3);
}

fn store(to: u32, query: u32, value: vec4f) {
  let row = params.heads * params.head_dim;
  if (query < params.context) { out[to + query * row] = value.x; }
  if (query + 1u < params.context) { out[to + (query + 1u) * row] = value.y; }
  if (query + 2u < params.context) { out[to + (query + 2u) * row] = value.z; }
  if (query + 3u < params.context) { out[to + (query + 3u) * row] = value.w; }
}
