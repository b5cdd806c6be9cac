"""Holds mtc's forward pass against Hugging Face's in float32 on the real Gemma 3 270M, at every site of every layer and in the next token's loss.

    python ../shared/data/make_gemma3_270m.py /tmp/gemma3-270m      # Google's terms apply: nothing of it may be committed
    python tests/reference/compare_gemma3_270m.py /tmp/gemma3-270m  # run `./run setup` once: it brings the embedded text

(torch 2.13.0, transformers 5.23.0, safetensors 0.8.0; 5 GB, two to five minutes.) The contexts are the beginnings of State of the Union addresses, which are in the public
domain; the last one is longer than the window. Exits with 1 when a site is further than 1e-4 in relative L2, or a token's loss further than 1e-4 nats and
1e-4 of itself. Losses are those of Hugging Face's float32 logits, summed in float64: PyTorch's float32 sum over 262,144 tokens is itself off by 5e-4. Beside the first context, the
yardsticks: how far Hugging Face's float32 and bfloat16 are from its float64.
"""
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from make_gemma2_golden import capture

HERE = Path(__file__).parent
EMBEDDED = HERE.parent.parent / "core/builtin/generated/sotu.json.gz"
LIMIT = 1e-4
CONTEXTS = ((0, 64), (80, 64), (150, 128), (230, 640))  # of which document, how many tokens


def ours(directory, text, context):
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as out:
        command = ["deno", "run", "-A", str(HERE / "decode_text.ts"), directory, str(context), out.name]
        subprocess.run(command, input=text.encode(), check=True)
        return load_file(out.name)


def distance(a, b):
    return (torch.linalg.norm(a.double() - b.double()) / torch.linalg.norm(b.double())).item()


def compute(model, tokens):
    """What Hugging Face computes at every site, (context, width), and the loss of each next token, (context - 1)."""
    found = {name: value[0] for name, value in capture(model, tokens).items()}
    logits = found.pop("logits")[:-1].double()
    return found | {"loss": torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="none")}


def worst_site(found, expected):
    """The largest relative L2 distance of any site, and where."""
    return max((distance(found[name], expected[name]), name) for name in expected if name != "loss")


def worst_loss(found, expected):
    """How far the worst token's loss is, in nats, and in units of what is allowed."""
    away, allowed = (found["loss"].double() - expected["loss"]).abs(), LIMIT * (1 + expected["loss"])
    return away.max().item(), (away / allowed).max().item()


def main():
    (directory,) = sys.argv[1:]
    logging.disable_progress_bar()
    documents = json.loads(gzip.open(EMBEDDED).read())["documents"]
    found = [ours(directory, documents[n]["text"], context) for n, context in CONTEXTS]
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    expected = [compute(model, mine["tokens"].long()[None]) for mine in found]

    is_far = False
    for (n, context), mine, theirs in zip(CONTEXTS, found, expected):
        assert theirs.keys() <= mine.keys(), theirs.keys() - mine.keys()
        (away, where), (nats, share) = worst_site(mine, theirs), worst_loss(mine, theirs)
        print(f"{documents[n]['name']}, {context} tokens, {len(theirs) - 1} sites: worst {away:.1e} at {where}; "
              f"loss {theirs['loss'].mean():.4f} nats per token, mtc's {mine['loss'].mean():.4f}, the worst token {nats:.1e} nats away")
        is_far |= not (away <= LIMIT and share <= 1)
    tokens = found[0]["tokens"].long()[None]
    exact, rough = compute(model.double(), tokens), compute(model.bfloat16(), tokens)
    for name, other in (("mtc", found[0]), ("float32", expected[0]), ("bfloat16", rough)):
        print(f"{name} from float64: worst {worst_site(other, exact)[0]:.1e}, loss {worst_loss(other, exact)[0]:.1e} nats")
    sys.exit(1 if is_far else 0)


if __name__ == "__main__":
    main()
