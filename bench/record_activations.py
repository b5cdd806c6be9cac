"""Activations of a Gemma 3 on the embedded text, for bench/recorded_activations.ts.

usage: python bench/record_activations.py MODEL_DIRECTORY OUT_DIRECTORY LAYER [LAYER ...]     (torch, transformers, safetensors)

Contexts of 127 tokens behind a BOS, spread evenly over each address: 5 of every training document, 12 of every held-out one; of these 20, 60,
100 .. are for validation, by which choices are made, 0, 40, 80 .. are the test; held_out is both. Writes
{train,validation,test,held_out}.LAYER.{resid_mid,mlp_in,mlp_out}.safetensors, each with x [tokens, width] F32, BOS left out.
What Google's model computes is under Google's terms: none of it belongs into the repository.
"""
import gzip, json, os, sys
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

path, out, layers = sys.argv[1], sys.argv[2], [int(layer) for layer in sys.argv[3:]]
packed = os.path.join(os.path.dirname(__file__), "../core/builtin/generated/sotu.json.gz")
documents = [document["text"] for document in json.load(gzip.open(packed))["documents"]]
tokenizer = AutoTokenizer.from_pretrained(path)
model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval().model
# Nothing is wanted of the layers behind the deepest.
model.layers = model.layers[: max(layers) + 1]
model.config.num_hidden_layers = len(model.layers)

def contexts(texts, most):
    rows = []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        count = len(ids) // 127
        places = {n * count // most for n in range(most)} if count > 0 else set()
        rows += [[tokenizer.bos_token_id] + ids[place * 127 : (place + 1) * 127] for place in sorted(places)]
    return torch.tensor(rows)

seen = {}
for layer in layers:
    def keep(site, layer=layer):
        return lambda _, inputs, output=None: seen.__setitem__(f"{layer}.{site}", inputs[0] if output is None else output)
    norms = model.layers[layer].pre_feedforward_layernorm, model.layers[layer].post_feedforward_layernorm
    norms[0].register_forward_pre_hook(keep("resid_mid"))
    norms[0].register_forward_hook(keep("mlp_in"))
    norms[1].register_forward_hook(keep("mlp_out"))

held_out = {}
for split, texts, most in (("validation", documents[20::40], 12), ("test", documents[::40], 12), ("train", [d for i, d in enumerate(documents) if i % 20], 5)):
    taken = {}
    with torch.no_grad():
        for ids in contexts(texts, most).split(16):
            model(ids)
            for tap, x in seen.items(): taken.setdefault(tap, []).append(x[:, 1:].reshape(-1, x.shape[-1]).clone())
    for tap, parts in taken.items():
        save_file({"x": torch.cat(parts)}, os.path.join(out, f"{split}.{tap}.safetensors"))
        if split != "train": held_out.setdefault(tap, []).extend(parts)
for tap, parts in held_out.items(): save_file({"x": torch.cat(parts)}, os.path.join(out, f"held_out.{tap}.safetensors"))
