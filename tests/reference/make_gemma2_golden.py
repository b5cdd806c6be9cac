"""Writes tests/golden/gemma2: small random Gemma-2 checkpoints and what Hugging Face computes for them in float32.

Run from the repository root: python tests/reference/make_gemma2_golden.py  (torch 2.13.0, transformers 5.23.0, safetensors 0.8.0)

Each directory NAME/ is a model as a user would have it; NAME.safetensors holds `tokens` (I32 [contexts, context]) and, for each layer and
site, `layerL.SITE` (F32 [contexts, kept, width]) at the last `kept` positions of each context. `resid_pre` is given for layer 0 only: above,
it is the layer below's `resid_post`. `loss` (F32 [contexts, context - 1]) is the next token's, `logits` (F32 [contexts, 2, vocabulary]) those of
the last two positions. `replacement` (F32 [contexts, context, width]) stands for layer 1's `mlp_out` in `replaced.loss` and
`replaced.logits`. The embedded model has only the latter file. Printed beside it: the distance of float32 and of bfloat16 from float64, the
yardsticks for the tests' bound.

edits.safetensors is of the model "window": `given.WIDTH` (F32 [contexts, context, WIDTH]) replaces a site of layer 1, or is added to it;
`KIND.SITE` (F32 [contexts, 8, width]) is the last layer's `resid_post` then, `KIND.SITE.loss` the loss.
"""
import contextlib
import json
import os
import shutil

import torch
from safetensors.torch import save_file
from transformers import Gemma2Config, Gemma2ForCausalLM

OUT = "tests/golden/gemma2"

SITES = {
    "attn_in": ("input_layernorm", "output"),
    "attn_heads": ("self_attn.o_proj", "input"),
    "attn_out": ("post_attention_layernorm", "output"),
    "resid_mid": ("pre_feedforward_layernorm", "input"),
    "mlp_in": ("pre_feedforward_layernorm", "output"),
    "mlp_neurons": ("mlp.down_proj", "input"),
    "mlp_out": ("post_feedforward_layernorm", "output"),
}
# Of the layer itself; `""` is its own path.
ENDS = {"resid_pre": ("", "input"), "resid_post": ("", "output")}

# Sizes that are no multiple of any tile, and every branch that a configuration can take.
MODELS = {
    # One key/value head; a window shorter than the context; heads x head_dim (30) unequal to the width; bf16; new generation.
    "window": dict(
        config=dict(hidden_size=60, num_attention_heads=3, num_key_value_heads=1, head_dim=10, intermediate_size=76,
                    num_hidden_layers=3, sliding_window=8, query_pre_attn_scalar=12, vocab_size=67),
        dtype=torch.bfloat16, shards=1, generation="new", contexts=2, context=21, kept=21),
    # Several shards; f32; old generation.
    "shards": dict(
        config=dict(hidden_size=36, num_attention_heads=4, num_key_value_heads=2, head_dim=12, intermediate_size=52,
                    num_hidden_layers=2, sliding_window=5, query_pre_attn_scalar=12, vocab_size=53),
        dtype=torch.float32, shards=3, generation="old", contexts=2, context=17, kept=17),
    # No soft cap (the softmax then needs its running maximum), another theta; f16; names without "model.".
    "uncapped": dict(
        config=dict(hidden_size=36, num_attention_heads=3, num_key_value_heads=3, head_dim=6, intermediate_size=32,
                    num_hidden_layers=2, sliding_window=4, query_pre_attn_scalar=3, vocab_size=40,
                    attn_logit_softcapping=None, rope_parameters={"rope_theta": 500.0, "rope_type": "default"}),
        dtype=torch.float16, shards=1, generation="new", contexts=3, context=33, kept=16, prefix=False),
    # Layer types in another order; heads wider than a lane group; contexts over several tiles of keys; several bf16 shards.
    "long": dict(
        config=dict(hidden_size=24, num_attention_heads=2, num_key_value_heads=1, head_dim=68, intermediate_size=20,
                    num_hidden_layers=2, sliding_window=70, query_pre_attn_scalar=68, vocab_size=40,
                    layer_types=["full_attention", "sliding_attention"]),
        dtype=torch.bfloat16, shards=2, generation="new", contexts=1, context=150, kept=40),
    # A head of its own without a cap; a vocabulary of no multiple of 4; f32.
    "untied": dict(
        config=dict(hidden_size=32, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=44,
                    num_hidden_layers=2, sliding_window=6, query_pre_attn_scalar=16, vocab_size=131,
                    tie_word_embeddings=False, final_logit_softcapping=None),
        dtype=torch.float32, shards=1, generation="new", contexts=2, context=11, kept=2),
}


def layers_of(model):
    """The decoder's layers, which in a multimodal model are those of its language model."""
    return getattr(model.model, "language_model", model.model).layers


def capture(model, tokens):
    """Activations at every site of every layer: name -> (contexts, context, width)."""
    found, handles = {}, []
    for l, layer in enumerate(layers_of(model)):
        for site, (module, side) in SITES.items():
            def hook(_, inputs, output, name=f"layer{l}.{site}", side=side):
                found[name] = (inputs[0] if side == "input" else output).detach().clone()
            handles.append(layer.get_submodule(module).register_forward_hook(hook))
        def layer_hook(_, inputs, output, l=l):
            if l == 0:
                found["layer0.resid_pre"] = inputs[0].detach().clone()
            found[f"layer{l}.resid_post"] = (output[0] if isinstance(output, tuple) else output).detach().clone()
        handles.append(layer.register_forward_hook(layer_hook))
    with torch.no_grad():
        found["logits"] = model(tokens).logits
    for handle in handles:
        handle.remove()
    found["loss"] = torch.nn.functional.cross_entropy(
        found["logits"][:, :-1].transpose(1, 2), tokens[:, 1:].long(), reduction="none")
    return found


@contextlib.contextmanager
def edited(model, layer, site, kind, given):
    """Replaces a site by a tensor, or adds the tensor to it, in place: whoever holds the activations sees the change."""
    path, side = {**SITES, **ENDS}[site]
    module = layers_of(model)[layer].get_submodule(path)

    def change(activations):
        activations.copy_(given) if kind == "replace" else activations.add_(given)

    if side == "input":
        handle = module.register_forward_pre_hook(lambda _, inputs: change(inputs[0]))
    else:
        handle = module.register_forward_hook(lambda _, inputs, output: change(output))
    yield
    handle.remove()


def distance(a, b):
    return max((torch.linalg.norm(a[n].double() - b[n].double()) / torch.linalg.norm(b[n].double())).item() for n in b)


def write_expected(out, name, model, tokens, kept):
    expected = capture(model.float(), tokens)
    replacement = torch.randn(*tokens.shape, model.config.get_text_config().hidden_size)
    with edited(model, 1, "mlp_out", "replace", replacement):
        replaced = capture(model, tokens)
    exact = capture(model.double(), tokens)
    rough = capture(model.bfloat16(), tokens)
    print(f"{name}: worst relative L2 from float64: float32 {distance(expected, exact):.1e}, bfloat16 {distance(rough, exact):.1e}")
    tensors = {n: a[:, -kept:].contiguous() for n, a in sorted(expected.items()) if n not in ("loss", "logits")}
    tensors |= {"loss": expected["loss"], "logits": expected["logits"][:, -2:].contiguous(), "replacement": replacement,
                "replaced.loss": replaced["loss"], "replaced.logits": replaced["logits"][:, -2:].contiguous()}
    save_file({"tokens": tokens.to(torch.int32), **tensors}, f"{out}/{name}.safetensors")


def write_edits(out, model, tokens):
    layer, deepest = 1, f"layer{len(layers_of(model)) - 1}.resid_post"
    plain, tensors = capture(model, tokens), {}
    for site in [*SITES, *ENDS]:
        width = (plain | {f"layer{layer}.resid_pre": plain["layer0.resid_post"]})[f"layer{layer}.{site}"].shape[-1]
        given = tensors.setdefault(f"given.{width}", torch.randn(*tokens.shape, width))
        for kind in ("replace", "add"):
            with edited(model, layer, site, kind, given):
                changed = capture(model, tokens)
            assert distance({deepest: changed[deepest]}, {deepest: plain[deepest]}) > 0.01, f"{kind} {site} changed nothing"
            tensors[f"{kind}.{site}"] = changed[deepest][:, -8:].contiguous()
            tensors[f"{kind}.{site}.loss"] = changed["loss"]
    save_file(tensors, f"{out}/edits.safetensors")


def randomise(model, dtype):
    """Random weights that a type can hold."""
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            # Norm weights away from 0, and queries and keys large enough for a cap to bend the scores.
            scale = 0.3 if "norm" in parameter_name else 0.4 if "q_proj" in parameter_name or "k_proj" in parameter_name else 0.15
            parameter.copy_((torch.randn_like(parameter) * scale).to(dtype))


def random_tokens(vocab_size, contexts, context):
    tokens = torch.randint(3, vocab_size, (contexts, context))
    tokens[:, 0] = 2
    return tokens


def write_checkpoint(name, model, dtype, shards, generation, prefix):
    config = model.config.to_dict()
    config["architectures"], config["dtype"] = ["Gemma2ForCausalLM"], str(dtype).removeprefix("torch.")
    if generation == "old":
        config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
        config["torch_dtype"] = config.pop("dtype")
        del config["layer_types"]
    state = {n: t.to(dtype).contiguous() for n, t in model.state_dict().items()
             if n != "lm_head.weight" or not model.config.tie_word_embeddings}
    if not prefix:
        state = {n.removeprefix("model."): t for n, t in state.items()}
    write_directory(f"{OUT}/{name}", config, state, shards)


def write_directory(directory, config, state, shards):
    os.makedirs(directory)
    json.dump(config, open(f"{directory}/config.json", "w"), indent=1)
    names = sorted(state)
    if shards == 1:
        save_file(state, f"{directory}/model.safetensors", metadata={"format": "pt"})
    else:
        weight_map = {n: f"model-{i % shards + 1:05d}-of-{shards:05d}.safetensors" for i, n in enumerate(names)}
        for file in set(weight_map.values()):
            save_file({n: state[n] for n in names if weight_map[n] == file}, f"{directory}/{file}", metadata={"format": "pt"})
        json.dump({"metadata": {}, "weight_map": weight_map}, open(f"{directory}/model.safetensors.index.json", "w"), indent=1)
    json.dump({}, open(f"{directory}/tokenizer.json", "w"))


def make_readable(out):
    for directory, _, files in os.walk(out):
        for file in files:
            os.chmod(f"{directory}/{file}", 0o644)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    for seed, (name, spec) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        config = Gemma2Config(max_position_embeddings=160, attn_implementation="eager", pad_token_id=0, eos_token_id=1,
                              bos_token_id=2, **spec["config"])
        model = Gemma2ForCausalLM(config).eval()
        randomise(model, spec["dtype"])
        write_checkpoint(name, model, spec["dtype"], spec["shards"], spec["generation"], spec.get("prefix", True))
        tokens = random_tokens(spec["config"]["vocab_size"], spec["contexts"], spec["context"])
        if name == "window":
            write_edits(OUT, model.float(), tokens)
        write_expected(OUT, name, model, tokens, spec["kept"])
    model = Gemma2ForCausalLM.from_pretrained("core/builtin/tiny-gemma2", dtype=torch.float32, attn_implementation="eager").eval()
    torch.manual_seed(99)
    write_expected(OUT, "builtin", model, random_tokens(4096, 1, 80), 6)
    make_readable(OUT)


if __name__ == "__main__":
    main()
