"""Holds `mtc import` of Gemma Scope's formats against sae-lens' own loaders, on the same activations.

No weights of Gemma Scope are needed: a run of mtc that reads mlp_in is written in exactly its format first.

    python tests/reference/import_loaders.py write 1 runs/in4/layer4 MODEL scope/layer_4/width_1k/average_l0_33
    mtc import scope/layer_4/width_1k/average_l0_33 --like runs/in4 --out runs/scope
    mtc harvest --layers 4 --sites mlp_in --contexts 16 --out activations
    deno run -A tests/reference/encode_harvest.ts activations/activations_00000.safetensors layer4.mlp_in runs/scope/layer4 ours.safetensors
    python tests/reference/import_loaders.py compare 1 scope layer_4/width_1k/average_l0_33 activations/activations_00000.safetensors layer4.mlp_in ours.safetensors MODEL

With 2 in the place of 1 it is Gemma Scope 2 (a model of Gemma 3; the folder is called transcoder/layer_12_width_16k_l0_small). MODEL is the model's
directory; its gain is what lies between the hook of Gemma Scope 1 and mlp_in. Checked with sae-lens 6.54.12.
"""

import glob
import json
import os
import re
import sys

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def gain(model, layer):
    name = f"layers.{layer}.pre_feedforward_layernorm.weight"
    for path in glob.glob(f"{model}/*.safetensors"):
        with safe_open(path, "pt") as file:
            for key in file.keys():
                if key.endswith(name):
                    return 1 + file.get_tensor(key).float()
    raise SystemExit(f"{model} has no {name}")


def write(kind, run, model, folder):
    tensors = load_file(f"{run}/transcoder.safetensors")
    with open(f"{run}/config.json") as file:
        config = json.load(file)
    layer = config["target"]["layer"]
    assert config["source"]["site"] == "mlp_in", "the run must read mlp_in"
    os.makedirs(folder, exist_ok=True)
    rest = {key: tensors[key] for key in ("b_enc", "b_dec", "threshold")}
    if kind == "1":
        before = {"W_enc": tensors["W_enc"] * gain(model, layer)[:, None], "W_dec": tensors["W_dec"], **rest}
        np.savez_compressed(f"{folder}/params.npz", **{key: value.numpy() for key, value in before.items()})
        return
    save_file({"w_enc": tensors["W_enc"], "w_dec": tensors["W_dec"], **rest}, f"{folder}/params.safetensors")
    hooks = {
        "hf_hook_point_in": f"model.layers.{layer}.pre_feedforward_layernorm.output",
        "hf_hook_point_out": f"model.layers.{layer}.post_feedforward_layernorm.output",
    }
    with open(f"{folder}/config.json", "w") as file:
        json.dump({"architecture": "jump_relu", "model_name": "google/gemma-3-270m", **hooks}, file)


def loaded(kind, root, folder, d, features):
    """What sae-lens' loader makes of the files, which are put in the hub's place."""
    import sae_lens.loading.pretrained_sae_loaders as loaders
    from sae_lens.saes.transcoder import JumpReLUTranscoder

    loaders.hf_hub_download = lambda repo_id, filename, subfolder="", **_: os.path.join(root, subfolder, filename)
    shapes = lambda _, path: {key: list(value.shape) for key, value in load_file(os.path.join(root, path)).items()}
    loaders.get_safetensors_tensor_shapes = shapes
    if kind == "1":
        sizes = {"d_in": d, "d_out": d, "d_sae": features}
        config, state, _ = loaders.gemma_2_transcoder_huggingface_loader(
            "google/gemma-scope-2b-pt-transcoders", folder, cfg_overrides=sizes
        )
    else:
        config, state, _ = loaders.gemma_3_sae_huggingface_loader("google/gemma-scope-2-270m-pt", folder)
    metadata = {key: config[key] for key in ("model_name", "hook_name", "hook_name_out")}
    transcoder = JumpReLUTranscoder.from_dict({**config, "device": "cpu", "metadata": metadata})
    transcoder.load_state_dict(state)
    return transcoder.eval()


def compare(kind, root, folder, activations, tap, ours, model):
    ours = load_file(ours)
    tokens, features = ours["features"].shape
    x = load_file(activations)[tap].flatten(0, -2)[:tokens]
    transcoder = loaded(kind, root, folder, x.shape[1], features)
    layer = int(re.search(r"layer(\d+)", tap).group(1))
    source = x / gain(model, layer) if kind == "1" else x
    with torch.no_grad():
        theirs = {"features": transcoder.encode(source), "outputs": transcoder(source)}
    for name, expected in theirs.items():
        error = float((ours[name] - expected).norm() / expected.norm())
        print(f"{name}: relative L2 {error:.2e} on {tokens} tokens")
        assert error < 1e-5
    kept, own = theirs["features"] > 0, ours["features"] > 0
    print(f"L0: sae-lens {kept.sum() / tokens:.4f}, mtc {own.sum() / tokens:.4f}; kept by one alone: {(kept != own).sum()}")


if __name__ == "__main__":
    {"write": write, "compare": compare}[sys.argv[1]](*sys.argv[2:])
