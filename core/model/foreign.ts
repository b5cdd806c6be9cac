/**
 * Models that are none of ours, by the `model_type` of their config.json: who gives one should read what it is.
 * @module
 */

const NAMES: Readonly<Record<string, string>> = {
  gemma: "Gemma 1",
  gemma3n: "Gemma 3n",
  gemma3n_text: "Gemma 3n",
  gemma4: "Gemma 4",
  gemma4_text: "Gemma 4",
  recurrent_gemma: "RecurrentGemma",
  paligemma: "PaliGemma",
  colpali: "ColPali",
  shieldgemma2: "ShieldGemma 2",
  t5gemma: "T5Gemma",
  t5gemma2: "T5Gemma 2",
  vaultgemma: "VaultGemma",
  siglip: "SigLIP, a vision model",
  siglip_vision_model: "SigLIP, a vision model",
  llama: "Llama",
  llama4: "Llama 4",
  llama4_text: "Llama 4",
  mllama: "Llama 3.2 Vision",
  llava: "LLaVA",
  mistral: "Mistral",
  mistral3: "Mistral 3",
  mixtral: "Mixtral",
  qwen2: "Qwen 2",
  qwen2_moe: "Qwen 2 MoE",
  qwen2_vl: "Qwen 2 VL",
  qwen2_5_vl: "Qwen 2.5 VL",
  qwen3: "Qwen 3",
  qwen3_moe: "Qwen 3 MoE",
  phi: "Phi",
  phi3: "Phi 3",
  gpt2: "GPT-2",
  gpt_neo: "GPT-Neo",
  gpt_neox: "GPT-NeoX (Pythia)",
  gpt_oss: "gpt-oss",
  olmo: "OLMo",
  olmo2: "OLMo 2",
  deepseek_v2: "DeepSeek V2",
  deepseek_v3: "DeepSeek V3",
  smollm3: "SmolLM 3",
  granite: "Granite",
  cohere: "Command R",
  falcon: "Falcon",
  opt: "OPT",
  bloom: "BLOOM",
  mamba: "Mamba",
  t5: "T5",
  bert: "BERT",
  roberta: "RoBERTa",
};

/**
 * Says what a model is.
 *
 * @param modelType The `model_type` of its config.json, whatever it is.
 * @returns For example `it is Llama (model_type "llama")`.
 */
export function describeForeign(modelType: unknown): string {
  if (modelType === undefined) return "this config.json has no model_type";
  const type = JSON.stringify(modelType);
  const isNamed = typeof modelType === "string" && Object.hasOwn(NAMES, modelType);
  return isNamed ? `it is ${NAMES[modelType]} (model_type ${type})` : `its model_type is ${type}`;
}
