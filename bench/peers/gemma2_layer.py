"""One layer of Hugging Face's Gemma-2 with random weights, embedding and masks included; the vocabulary is small.

    python gemma2_layer.py '{"contexts": 8, "context": 64, "threads": 2}'
"""

import json
import sys

import torch
from protocol import serve, use_threads
from transformers import Gemma2Config, Gemma2Model

VOCABULARY = 1024


def layer(attention: str, dtype: torch.dtype, device: torch.device) -> Gemma2Model:
    # Gemma-2-2B's sizes are the defaults of the configuration.
    config = Gemma2Config(num_hidden_layers=1, vocab_size=VOCABULARY, attn_implementation=attention)
    assert (config.hidden_size, config.intermediate_size, config.head_dim) == (2304, 9216, 256)
    return Gemma2Model(config).to(device, dtype).eval()


options = json.loads(sys.argv[1])
device = use_threads(options["threads"])
ids = torch.randint(VOCABULARY, (options["contexts"], options["context"]), device=device)


def variant(attention: str, dtype: torch.dtype):
    model = layer(attention, dtype, device)

    def run() -> None:
        with torch.inference_mode():
            model(ids, use_cache=False)

    return run


def supported() -> list[str]:
    """Some versions of transformers refuse PyTorch's own attention, which knows no soft cap."""
    found = []
    for attention in ("eager", "sdpa"):
        try:
            with torch.device("meta"):
                Gemma2Model(Gemma2Config(num_hidden_layers=1, vocab_size=VOCABULARY, attn_implementation=attention))
            found.append(attention)
        except ValueError:
            pass
    return found


kinds = {"f32": torch.float32, "bf16": torch.bfloat16}
serve({f"{dtype}, {a}": variant(a, kinds[dtype]) for dtype in kinds for a in supported()}, device)
