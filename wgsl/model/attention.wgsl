// out[q] = sum over keys k of softmax_k(s(q, k)) v[k], s = cap tanh(<q, k> scale / cap) (no cap when SOFT_CAP is 0), keys q - window < k <= q.
// rotated [contexts, blocks, heads + key_value_heads, head_dim, 16], see rotary.wgsl; qkv [contexts, context, (heads + 2 key_value_heads)
// head_dim], for its values; out [contexts, context, heads, head_dim].
// One workgroup per block of 16 queries, head and 4 LANES dimensions; a lane first owns 4 neighbouring keys of a tile of 4 LANES keys, then 4
// dimensions LANES apart, so that each number that all lanes read serves four products. Four matrices hold 4 queries each, a column per query.
// f32; unless the cap bounds the scores, sums are rescaled by the running maximum; out is overwritten.
override LANES: u32 = 8u;
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
@group(0) @binding(1) var<storage, read> qkv: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const LOWEST = -3.0e38;
// exp of a score in [-60, 60], summed over any context, neither overflows nor loses the smallest terms' digits.
override BOUNDED: bool = SOFT_CAP > 0.0 && SOFT_CAP <= 60.0;
// A tile's scores, then its weights: [LANES groups of 4 keys][4 groups of 4 queries], a column per query.
var<workgroup> weights: array<mat4x4f, 4u * LANES>;

// sum[i] + q[i] k
fn outer(sum: mat4x4f, q: vec4f, k: vec4f) -> mat4x4f {
  return mat4x4f(
    fma(vec4f(q.x), k, sum[0]),
    fma(vec4f(q.y), k, sum[1]),
    fma(vec4f(q.z), k, sum[2]),
    fma(vec4f(q.w), k, sum[3]),
  );
}

fn weighted(sum: vec4f, weight: vec4f, value: mat4x4f) -> vec4f {
  let two = fma(vec4f(weight.y), value[1], fma(vec4f(weight.x), value[0], sum));
  return fma(vec4f(weight.w), value[3], fma(vec4f(weight.z), value[2], two));
}

// sum[i] + the values weighted by weight[i]
fn mix_values(sum: mat4x4f, weight: mat4x4f, value: mat4x4f) -> mat4x4f {
  return mat4x4f(
    weighted(sum[0], weight[0], value),
    weighted(sum[1], weight[1], value),
    weighted(sum[2], weight[2], value),
    weighted(sum[3], weight[3], value),
  );
}

// The scores of one query where it sees the keys first_key .. first_key + 3, else LOWEST.
fn score(product: vec4f, first_key: u32, query: u32) -> vec4f {
  let key = vec4u(first_key) + vec4u(0u, 1u, 2u, 3u);
  let seen = (key <= vec4u(query)) & (vec4u(query) < key + params.window);
  var value = product * params.scale;
  if (SOFT_CAP > 0.0) { value = SOFT_CAP * accurate_tanh(value / SOFT_CAP); }
  return select(vec4f(LOWEST), value, seen);
}

fn scores(product: mat4x4f, first_key: u32, query: u32) -> mat4x4f {
  return mat4x4f(
    score(product[0], first_key, query),
    score(product[1], first_key, query + 1u),
    score(product[2], first_key, query + 2u),
    score(product[3], first_key, query + 3u),
  );
}

fn exponential(score: vec4f, maximum: f32) -> vec4f {
  return select(exp(score - maximum), vec4f(), score == vec4f(LOWEST));
}

fn exponentials(score: mat4x4f, maximum: vec4f) -> mat4x4f {
  return mat4x4f(
    exponential(score[0], maximum.x),
    exponential(score[1], maximum.y),
    exponential(score[2], maximum.z),
    exponential(score[3], maximum.w),
  );
}

fn largest(a: vec4f) -> f32 { return max(max(a.x, a.y), max(a.z, a.w)); }

fn largest_of_each(a: mat4x4f) -> vec4f { return vec4f(largest(a[0]), largest(a[1]), largest(a[2]), largest(a[3])); }

fn scaled(a: mat4x4f, by: vec4f) -> mat4x4f { return mat4x4f(a[0] * by.x, a[1] * by.y, a[2] * by.z, a[3] * by.w); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let blocks = (params.context + 15u) / 16u;
  let block = group.x % blocks;
  let context = group.x / blocks;
  let head = group.y;
  let key_value_head = head / (params.heads / params.key_value_heads);
  let rotated_heads = params.heads + params.key_value_heads;
  let width = (params.heads + 2u * params.key_value_heads) * params.head_dim;
  let query = block * 16u;
  let end = min(query + 16u, params.context);
  let queries = (group.x * rotated_heads + head) * params.head_dim * 4u;
  let dimension = vec4u(group.z * 4u * LANES + local.x) + vec4u(0u, 1u, 2u, 3u) * LANES;
  let value_at = min(dimension, vec4u(params.head_dim - 1u)) + context * params.context * width +
    (rotated_heads + key_value_head) * params.head_dim;

  var o0 = mat4x4f(); var o1 = mat4x4f(); var o2 = mat4x4f(); var o3 = mat4x4f();
  var n0 = vec4f(); var n1 = vec4f(); var n2 = vec4f(); var n3 = vec4f();
  var m0 = vec4f(); var m1 = vec4f(); var m2 = vec4f(); var m3 = vec4f();
  if (!BOUNDED) { m0 = vec4f(LOWEST); m1 = m0; m2 = m0; m3 = m0; }

  // Tiles begin at a multiple of 4, at or below the first key that the block's first query sees.
  for (var tile = (max(query + 1u, params.window) - params.window) & ~3u; tile < end; tile += 4u * LANES) {
    let first_key = tile + 4u * local.x;
    let key = min(first_key, blocks * 16u - 4u);
    let keys = ((context * blocks + key / 16u) * rotated_heads + params.heads + key_value_head) * params.head_dim * 4u +
      key % 16u / 4u;
    var p0 = mat4x4f(); var p1 = mat4x4f(); var p2 = mat4x4f(); var p3 = mat4x4f();
    for (var d = 0u; d < params.head_dim * 4u; d += 4u) {
      let k = rotated[keys + d];
      p0 = outer(p0, rotated[queries + d], k);
      p1 = outer(p1, rotated[queries + d + 1u], k);
      p2 = outer(p2, rotated[queries + d + 2u], k);
      p3 = outer(p3, rotated[queries + d + 3u], k);
    }
    let s0 = scores(p0, first_key, query);
    let s1 = scores(p1, first_key, query + 4u);
    let s2 = scores(p2, first_key, query + 8u);
    let s3 = scores(p3, first_key, query + 12u);
    let groups = (min(4u * LANES, end - tile) + 3u) / 4u;
    let mine = local.x * 4u;
    if (!BOUNDED) {
      let b0 = m0; let b1 = m1; let b2 = m2; let b3 = m3;
      workgroupBarrier();
      weights[mine] = s0; weights[mine + 1u] = s1; weights[mine + 2u] = s2; weights[mine + 3u] = s3;
      workgroupBarrier();
      for (var g = 0u; g < 4u * groups; g += 4u) {
        m0 = max(m0, largest_of_each(weights[g]));
        m1 = max(m1, largest_of_each(weights[g + 1u]));
        m2 = max(m2, largest_of_each(weights[g + 2u]));
        m3 = max(m3, largest_of_each(weights[g + 3u]));
      }
      let r0 = exp(b0 - m0); let r1 = exp(b1 - m1); let r2 = exp(b2 - m2); let r3 = exp(b3 - m3);
      o0 = scaled(o0, r0); o1 = scaled(o1, r1); o2 = scaled(o2, r2); o3 = scaled(o3, r3);
      n0 *= r0; n1 *= r1; n2 *= r2; n3 *= r3;
    }
    workgroupBarrier();
    weights[mine] = exponentials(s0, m0);
    weights[mine + 1u] = exponentials(s1, m1);
    weights[mine + 2u] = exponentials(s2, m2);
    weights[mine + 3u] = exponentials(s3, m3);
    workgroupBarrier();
    for (var g = 0u; g < groups; g++) {
      let v = mat4x4f(
        value(value_at, tile + 4u * g, width),
        value(value_at, tile + 4u * g + 1u, width),
        value(value_at, tile + 4u * g + 2u, width),
        value(value_at, tile + 4u * g + 3u, width),
      );
      let w0 = weights[g * 4u]; let w1 = weights[g * 4u + 1u]; let w2 = weights[g * 4u + 2u]; let w3 = weights[g * 4u + 3u];
      o0 = mix_values(o0, w0, v); o1 = mix_values(o1, w1, v); o2 = mix_values(o2, w2, v); o3 = mix_values(o3, w3, v);
      n0 += vec4f(1.0) * w0; n1 += vec4f(1.0) * w1; n2 += vec4f(1.0) * w2; n3 += vec4f(1.0) * w3;
    }
  }
  let to = dimension + (context * params.context * params.heads + head) * params.head_dim;
  store_four(to, dimension, query, o0, n0);
  store_four(to, dimension, query + 4u, o1, n1);
  store_four(to, dimension, query + 8u, o2, n2);
  store_four(to, dimension, query + 12u, o3, n3);
}

// A key's value at the lane's four dimensions; keys past the context have weight 0 and repeat its last one.
fn value(at: vec4u, key: u32, width: u32) -> vec4f {
  let row = at + min(key, params.context - 1u) * width;
  return vec4f(qkv[row.x], qkv[row.y], qkv[row.z], qkv[row.w]);
}

fn store_four(to: vec4u, dimension: vec4u, query: u32, sum: mat4x4f, total: vec4f) {
  store(to, dimension, query, sum[0] / total.x);
  store(to, dimension, query + 1u, sum[1] / total.y);
  store(to, dimension, query + 2u, sum[2] / total.z);
  store(to, dimension, query + 3u, sum[3] / total.w);
}

fn store(to: vec4u, dimension: vec4u, query: u32, value: vec4f) {
  if (query >= params.context) { return; }
  let row = to + query * params.heads * params.head_dim;
  if (dimension.x < params.head_dim) { out[row.x] = value.x; }
  if (dimension.y < params.head_dim) { out[row.y] = value.y; }
  if (dimension.z < params.head_dim) { out[row.z] = value.z; }
  if (dimension.w < params.head_dim) { out[row.w] = value.w; }
}
