"""Writes tests/golden/gemma3: small random Gemma-3 checkpoints and what Hugging Face computes for them in float32.

Run from the repository root: python tests/reference/make_gemma3_golden.py  (torch 2.13.0, transformers 5.23.0, safetensors 0.8.0)

The files are those of make_gemma2_golden.py, which tells what they hold; edits.safetensors is of the model "window" here too.
"""
import os
import shutil

import torch
from transformers import Gemma3Config, Gemma3ForCausalLM, Gemma3ForConditionalGeneration, Gemma3TextConfig

from make_gemma2_golden import make_readable, random_tokens, randomise, write_directory, write_edits, write_expected

OUT = "tests/golden/gemma3"

# Sizes that are no multiple of any tile, and every branch that a configuration can take.
MODELS = {
    # A window shorter than the context; five sliding layers, a global one and a sliding one; several bf16 shards; new generation.
    "window": dict(
        config=dict(hidden_size=20, num_attention_heads=2, num_key_value_heads=2, head_dim=10, intermediate_size=28,
                    num_hidden_layers=7, sliding_window=6, query_pre_attn_scalar=14, vocab_size=67),
        dtype=torch.bfloat16, shards=2, contexts=2, context=21, kept=4),
    # Linear scaling of the global layers; other bases; f32; old generation, with a cap on logits.
    "scaled": dict(
        config=dict(hidden_size=24, num_attention_heads=3, num_key_value_heads=3, head_dim=8, intermediate_size=20,
                    num_hidden_layers=4, sliding_window=20, sliding_window_pattern=2, query_pre_attn_scalar=8, vocab_size=53,
                    final_logit_softcapping=20.0, rope_theta=50_000.0, rope_local_base_freq=500.0,
                    rope_scaling={"rope_type": "linear", "factor": 8.0}),
        dtype=torch.float32, shards=1, contexts=1, context=70, kept=10),
    # One key/value head; heads wider than a lane group; layer types in another order, scaling in both; f16; a head of its own.
    "single": dict(
        config=dict(hidden_size=24, num_attention_heads=3, num_key_value_heads=1, head_dim=68, intermediate_size=20,
                    num_hidden_layers=2, sliding_window=40, query_pre_attn_scalar=68, vocab_size=41, tie_word_embeddings=False,
                    layer_types=["full_attention", "sliding_attention"],
                    rope_parameters={"full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 900.0},
                                     "sliding_attention": {"rope_type": "linear", "factor": 3.0, "rope_theta": 80.0}}),
        dtype=torch.float16, shards=1, contexts=2, context=50, kept=6),
}

# A multimodal model as the hub has them: the text part's configuration names only what is not Hugging Face's default, tensors are called
# language_model.model.*, and there are others beside them.
MULTIMODAL = dict(hidden_size=16, head_dim=6, intermediate_size=20, num_hidden_layers=6, vocab_size=59, sliding_window=7)
VISION = dict(hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=1, image_size=8, patch_size=4)
IDS = dict(bos_token_id=2, eos_token_id=[1, 7], boi_token_index=56, eoi_token_index=57, image_token_index=58)


def write_text_model(name, spec):
    given = spec["config"]
    config = Gemma3TextConfig(max_position_embeddings=160, attn_implementation="eager", pad_token_id=0, eos_token_id=1, bos_token_id=2, **given)
    model = Gemma3ForCausalLM(config).eval()
    randomise(model, spec["dtype"])
    saved = model.config.to_dict() | {"architectures": ["Gemma3ForCausalLM"], "dtype": str(spec["dtype"]).removeprefix("torch.")}
    if "rope_local_base_freq" in given:
        for key in ("rope_parameters", "layer_types", "_sliding_window_pattern"):
            del saved[key]
        saved |= {key: value for key, value in given.items() if key.startswith("rope_") or key == "sliding_window_pattern"}
    state = {n: t.to(spec["dtype"]).contiguous() for n, t in model.state_dict().items()
             if n != "lm_head.weight" or not config.tie_word_embeddings}
    write_directory(f"{OUT}/{name}", saved, state, spec["shards"])
    tokens = random_tokens(config.vocab_size, spec["contexts"], spec["context"])
    if name == "window":
        write_edits(OUT, model.float(), tokens)
    write_expected(OUT, name, model, tokens, spec["kept"])


def write_multimodal():
    config = Gemma3Config(text_config=MULTIMODAL, vision_config=VISION, mm_tokens_per_image=4, **IDS)
    config._attn_implementation = "eager"
    model = Gemma3ForConditionalGeneration(config).eval()
    randomise(model, torch.bfloat16)
    parts = {"model.language_model.": "language_model.model.", "model.": ""}
    state = {}
    for n, t in model.state_dict().items():
        if n != "lm_head.weight":
            prefix = next(prefix for prefix in parts if n.startswith(prefix))
            state[parts[prefix] + n.removeprefix(prefix)] = t.to(torch.bfloat16).contiguous()
    saved = dict(architectures=["Gemma3ForConditionalGeneration"], model_type="gemma3", text_config=MULTIMODAL | {"model_type": "gemma3_text"},
                 vision_config=VISION | {"model_type": "siglip_vision_model"}, mm_tokens_per_image=4, torch_dtype="bfloat16", **IDS)
    write_directory(f"{OUT}/multimodal", saved, state, 1)
    write_expected(OUT, "multimodal", model, random_tokens(56, 2, 19), 4)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    for seed, (name, spec) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        write_text_model(name, spec)
    torch.manual_seed(len(MODELS))
    write_multimodal()
    make_readable(OUT)


if __name__ == "__main__":
    main()
