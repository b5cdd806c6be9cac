"""One layer of Hugging Face's Gemma-2 with random weights, embedding and masks included; the vocabulary is small.

    python gemma2_layer.py '{"sizes": {"hidden_size": 2304, ...}, "contexts": 8, "context": 64, "threads": 2}'
"""

import json
import sys

import torch
from protocol import serve, use_threads
from transformers import Gemma2Config, Gemma2Model

VOCABULARY = 1024


options = json.loads(sys.argv[1])
device = use_threads(options["threads"])
ids = torch.randint(VOCABULARY, (options["contexts"], options["context"]), device=device)


def config(attention: str) -> Gemma2Config:
    return Gemma2Config(num_hidden_layers=1, vocab_size=VOCABULARY, attn_implementation=attention, **options["sizes"])


def variant(attention: str, dtype: torch.dtype, precision: str):
    model = Gemma2Model(config(attention)).to(device, dtype).eval()

    def run() -> None:
        torch.set_float32_matmul_precision(precision)
        with torch.inference_mode():
            model(ids, use_cache=False)

    return run


def supported() -> list[str]:
    """Some versions of transformers refuse PyTorch's own attention, which knows no soft cap."""
    found = []
    for attention in ("eager", "sdpa"):
        try:
            with torch.device("meta"):
                Gemma2Model(config(attention))
            found.append(attention)
        except ValueError:
            pass
    return found


kinds = {"f32": (torch.float32, "highest"), "tf32": (torch.float32, "high"), "bf16": (torch.bfloat16, "highest")}
if device.type != "cuda":
    # Only the GPUs that PyTorch calls by that name have it.
    del kinds["tf32"]
serve({f"{kind}, {a}": variant(a, *kinds[kind]) for kind in kinds for a in supported()}, device)
