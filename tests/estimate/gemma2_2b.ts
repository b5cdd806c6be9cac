/** Gemma-2-2B's shape without its weights: config.json, and a safetensors file of the right size that is all hole. */

import { join } from "node:path";
import type { ModelFiles } from "../../core/model/files.ts";
import { openShards } from "../../core/files/tensor_source.ts";

const CONFIG = {
  ...{ model_type: "gemma2", num_hidden_layers: 26, hidden_size: 2304, intermediate_size: 9216 },
  ...{ num_attention_heads: 8, num_key_value_heads: 4, head_dim: 256, vocab_size: 256000, bos_token_id: 2 },
  ...{ max_position_embeddings: 8192, sliding_window: 4096, query_pre_attn_scalar: 256, rms_norm_eps: 1e-6 },
  ...{ attn_logit_softcapping: 50, rope_theta: 10000, hidden_activation: "gelu_pytorch_tanh" },
};

function shapes(): [name: string, shape: number[]][] {
  const d = 2304, norms = ["input", "post_attention", "pre_feedforward", "post_feedforward"];
  const layers = Array.from({ length: 26 }, (_, l): [string, number[]][] => [
    ...norms.map((norm): [string, number[]] => [`model.layers.${l}.${norm}_layernorm.weight`, [d]]),
    [`model.layers.${l}.self_attn.q_proj.weight`, [2048, d]],
    [`model.layers.${l}.self_attn.k_proj.weight`, [1024, d]],
    [`model.layers.${l}.self_attn.v_proj.weight`, [1024, d]],
    [`model.layers.${l}.self_attn.o_proj.weight`, [d, 2048]],
    [`model.layers.${l}.mlp.gate_proj.weight`, [9216, d]],
    [`model.layers.${l}.mlp.up_proj.weight`, [9216, d]],
    [`model.layers.${l}.mlp.down_proj.weight`, [d, 9216]],
  ]);
  return [["model.embed_tokens.weight", [256000, d]], ["model.norm.weight", [d]], ...layers.flat()];
}

/** Opens the model; nothing but its header takes space in `directory`. */
export async function openHollow2b(directory: string): Promise<ModelFiles> {
  let end = 0;
  const header = Object.fromEntries(
    shapes().map(([name, shape]) => {
      const begin = end;
      end += 2 * shape.reduce((a, b) => a * b);
      return [name, { dtype: "BF16", shape, data_offsets: [begin, end] }];
    }),
  );
  const json = new TextEncoder().encode(JSON.stringify(header));
  const path = join(directory, "model.safetensors");
  const length = new Uint8Array(new BigUint64Array([BigInt(json.length)]).buffer);
  await Deno.writeFile(path, new Uint8Array([...length, ...json]));
  await Deno.truncate(path, 8 + json.length + end);
  const empty = new Uint8Array();
  return {
    ...{
      name: "gemma-2-2b",
      path: directory,
      tokenizerJson: empty,
      tokenizerConfig: empty,
      vocabSize: CONFIG.vocab_size,
    },
    config: new TextEncoder().encode(JSON.stringify(CONFIG)),
    weights: await openShards(directory),
  };
}
