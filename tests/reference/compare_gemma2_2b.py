"""Holds the activations of `mtc harvest` against Hugging Face's in float32, for a model of any size; exits with 1 when they are further apart than 1e-4.

    deno run -A main.ts harvest --model /tmp/gemma2-2b --layers 8,17 --contexts 4 --context 64 --out /tmp/activations
    python tests/reference/compare_gemma2_2b.py --model /tmp/gemma2-2b --activations /tmp/activations

(torch 2.13.0, transformers 5.23.0, safetensors 0.8.0; Gemma-2-2B to layer 17: 256 tokens in a minute or two, 12 GB with the pages of the checkpoint.)
The tokens are the shards' own. For each layer and site in them it prints the relative L2 distance |ours - theirs| / |theirs| over all tokens, and
beside it that of Hugging Face's own bfloat16, the type that such models are usually run in. Only the layers that are needed are loaded.
"""
import argparse
import glob

import torch
from safetensors import safe_open
from transformers import AutoConfig, Gemma2Model
from transformers.utils import logging

from make_gemma2_golden import ENDS, SITES

LIMIT = 1e-4


def read_shards(directory):
    """The tensors of all shards, contexts after each other."""
    paths = sorted(glob.glob(f"{directory}/activations_*.safetensors"))
    if not paths:
        raise SystemExit(f"Cannot compare: {directory} holds no activations_*.safetensors; run mtc harvest first")
    shards = [safe_open(path, "pt") for path in paths]
    return {name: torch.cat([shard.get_tensor(name) for shard in shards]) for name in shards[0].keys()}


def capture(model, tokens, names):
    """What Hugging Face computes at the named sites, as float32 (contexts, context, width)."""
    found, handles = {}, []

    def keep(name, side):
        def hook(_, inputs, output):
            value = inputs[0] if side == "input" else output
            found[name] = (value[0] if isinstance(value, tuple) else value).detach().float()
        return hook

    for name in names:
        layer, site = name.removeprefix("layer").split(".")
        module = model.layers[int(layer)]
        path, side = {**SITES, **ENDS}[site]
        handles.append(module.get_submodule(path).register_forward_hook(keep(name, side)))
    with torch.no_grad():
        model(tokens, use_cache=False)
    for handle in handles:
        handle.remove()
    return found


def distance(a, b):
    return (torch.linalg.norm(a.double() - b.double()) / torch.linalg.norm(b.double())).item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="a Hugging Face Gemma-2 directory")
    parser.add_argument("--activations", required=True, help="what mtc harvest wrote")
    options = parser.parse_args()
    logging.set_verbosity_error()  # Weights of the layers left out are no mistake.
    logging.disable_progress_bar()

    ours = read_shards(options.activations)
    tokens = ours.pop("tokens").long()
    config = AutoConfig.from_pretrained(options.model)
    config.num_hidden_layers = 1 + max(int(name.removeprefix("layer").split(".")[0]) for name in ours)
    config.layer_types = config.layer_types[: config.num_hidden_layers]
    model = Gemma2Model.from_pretrained(options.model, config=config, dtype=torch.float32, attn_implementation="eager").eval()
    exact = capture(model, tokens, ours)
    rough = capture(model.bfloat16(), tokens, ours)

    print(f"{tokens.numel()} tokens in {tokens.shape[0]} contexts; relative L2 distance from Hugging Face in float32")
    print(f"{'':24}{'mtc':>10}{'bfloat16':>12}{'rms':>10}")
    for name, expected in exact.items():
        print(f"{name:24}{distance(ours[name], expected):>10.1e}{distance(rough[name], expected):>12.1e}{expected.square().mean().sqrt():>10.3f}")
    worst = max(distance(ours[name], expected) for name, expected in exact.items())
    if not worst <= LIMIT:
        raise SystemExit(f"The worst distance is {worst:.1e}, more than {LIMIT:.0e}")


if __name__ == "__main__":
    main()
