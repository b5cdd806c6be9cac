"""Peers' trainers on activations that mtc recorded: the same rows in the same order, the same number of steps and features.

    python quality.py '{"directory": "..", "parts": ["test"], "trainer": "sae-lens", "layer": 4, "seed": 0, "learning_rate": 8e-3, ...}' ...

Each request is answered with one line of JSON: by part fvu per prefix, l0 and dead features; seconds. Neither peer trains a Matryoshka transcoder:

sae-lens' MatryoshkaBatchTopKTrainingSAE reconstructs its own input, so that its encoder is given the source here while every loss sees the
target. All else is its own: nested losses summed, decoder of free norm that starts at 0.1 as the encoder's transpose, auxiliary loss, gradient
clipped to 1, Adam with 0.9 and 0.999, running threshold. sparsify's SparseCoder is a transcoder, top-k per token, without prefixes and threshold; its
decoder starts at zero and its bias at the target's mean. Both get activations of mean square 1, as their own trainers make them, and mtc's schedule.
The trainer "pytorch" is mtc's recipe, from ../explore_recipe.py. The directory is record.ts' or ../record_activations.py's; the latter knows no order:
"order" is then a file that has one, U32, or the seed draws it.
"""

import json
import math
import sys
import time
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parent.parent))
import explore_recipe


class SaeLens:
    """sae-lens' Matryoshka batch top-k, its target patched."""

    def __init__(self, width: int, groups: list[int], k: int, dead_after: int, **_) -> None:
        from sae_lens.saes.matryoshka_batchtopk_sae import (
            MatryoshkaBatchTopKTrainingSAE,
            MatryoshkaBatchTopKTrainingSAEConfig,
        )
        from sae_lens.saes.sae import TrainStepInput

        class Transcoder(MatryoshkaBatchTopKTrainingSAE):
            """What is called its input is the target; only the encoder sees the source."""

            def encode_with_hidden_pre(self, x: torch.Tensor):
                return super().encode_with_hidden_pre(self.source)

        ends = [sum(groups[: n + 1]) for n in range(len(groups))]
        sizes = dict(d_in=width, d_sae=ends[-1], k=k, matryoshka_widths=ends)
        self.sae = Transcoder(MatryoshkaBatchTopKTrainingSAEConfig(**sizes, apply_b_dec_to_input=False, device="cpu"))
        self.optimizer = torch.optim.Adam(self.sae.parameters(), lr=1.0, betas=(0.9, 0.999))
        self.silent, self.dead_after, self.step_input, self.ends = torch.zeros(ends[-1]), dead_after, TrainStepInput, ends

    def step(self, x: torch.Tensor, y: torch.Tensor, n: int) -> None:
        self.sae.source = x
        dead = self.silent >= self.dead_after
        output = self.sae.training_forward_pass(self.step_input(y, {}, dead, n, False))
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(self.sae.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.silent += len(x)
        self.silent[output.feature_acts.bool().any(0)] = 0

    def features(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features above the running threshold, the decoder rows that go with them and the bias."""
        norms = self.sae.W_dec.norm(dim=1)
        a = ((x @ self.sae.W_enc + self.sae.b_enc) * norms).relu()
        return a * (a > self.sae.topk_threshold), self.sae.W_dec / norms[:, None], self.sae.b_dec


class Sparsify:
    """sparsify's transcoder with Adam."""

    def __init__(self, width: int, groups: list[int], k: int, mean: torch.Tensor, **_) -> None:
        from sparsify import SparseCoder, SparseCoderConfig

        self.coder = SparseCoder(width, SparseCoderConfig(num_latents=sum(groups), k=k, transcode=True))
        self.coder.b_dec.data = mean.clone()
        self.optimizer = torch.optim.Adam(self.coder.parameters(), lr=1.0)
        self.ends = [sum(groups)]

    def step(self, x: torch.Tensor, y: torch.Tensor, n: int) -> None:
        self.coder(x, y).fvu.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def features(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        kept = self.coder.encode(x)
        dense = torch.zeros(len(x), self.ends[-1]).scatter(1, kept.top_indices, kept.top_acts)
        return dense, self.coder.W_dec, self.coder.b_dec


def replica(directory: str, parts: list[str], layer: int, seed: int, learning_rate: float, encoder_bias_rate: float, whole_weight: float,
            revival_rate: float, beta1: float, beta2: float, aux_weight: float, aux_k: int, dead_after_tokens: int, threshold_rate: float,
            encoder_norm: float, steps: int, batch_tokens: int, warmup_steps: int, final_lr_fraction: float, passes: int, groups: list[int],
            k: int, order: str | None = None, **_) -> dict:
    """mtc's recipe in PyTorch."""
    began = time.process_time()
    recording = explore_recipe.Recording(directory, layer, seed, parts, order)
    weights = [weight / (len(groups) - 1 + whole_weight) for weight in [1] * (len(groups) - 1) + [whole_weight]]
    trained = explore_recipe.train(
        recording, groups, k, steps, batch_tokens, learning_rate, encoder_bias_rate, warmup=warmup_steps, final=final_lr_fraction,
        betas=(beta1, beta2), aux_weight=aux_weight, aux_k=aux_k, dead_after=dead_after_tokens, threshold_rate=threshold_rate,
        encoder_norm=encoder_norm, passes=passes, weights=weights, raise_dead=revival_rate,
        seed=seed)
    seconds = time.process_time() - began
    return {"parts": {part: explore_recipe.evaluate(trained, recording.held[part]) for part in parts}, "seconds": seconds}


def peer(trainer: str, directory: str, parts: list[str], layer: int, seed: int, learning_rate: float, steps: int, batch_tokens: int,
           warmup_steps: int, final_lr_fraction: float, passes: int, groups: list[int], k: int, dead_after_tokens: int,
           prepared: bool = False, order: str | None = None, **_) -> dict:
    torch.manual_seed(seed)
    recording = explore_recipe.Recording(directory, layer, seed, parts, order)
    x, y, order = recording.x, recording.y, recording.order
    measured = order[: len(order) // passes]
    if prepared:
        # As mtc prepares them, to tell what of the difference that is.
        shifts = [part[measured].mean(0) for part in (x, y)]
        scales = [x[measured].var(0, unbiased=False).rsqrt(), y[measured].var(0, unbiased=False).mean().rsqrt()]
    else:
        shifts, scales = [0, 0], [part[measured].pow(2).mean().rsqrt() for part in (x, y)]
    x, y = ((part - shift) * scale for part, shift, scale in zip((x, y), shifts, scales))
    sizes = dict(width=x.shape[1], groups=groups, k=k, dead_after=dead_after_tokens, mean=y[measured].mean(0))
    trained = {"sae-lens": SaeLens, "sparsify": Sparsify}[trainer](**sizes)
    began = time.process_time()
    for step in range(1, steps + 1):
        progress = (step - warmup_steps) / max(1, steps - warmup_steps)
        cosine = final_lr_fraction + (1 - final_lr_fraction) * (1 + math.cos(math.pi * progress)) / 2
        for group in trained.optimizer.param_groups:
            group["lr"] = learning_rate * (step / warmup_steps if step <= warmup_steps else cosine)
        rows = order[(step - 1) * batch_tokens : step * batch_tokens]
        trained.step(x[rows], y[rows], step)
    seconds = time.process_time() - began
    measured = {}
    for part in parts:
        held = [(each - shift) * scale for each, shift, scale in zip(recording.held[part], shifts, scales)]
        measured[part] = evaluate(trained, *held)
    return {"parts": measured, "seconds": seconds}


@torch.no_grad()
def evaluate(trained: SaeLens | Sparsify, x: torch.Tensor, y: torch.Tensor) -> dict:
    errors, fires = [0.0] * len(trained.ends), 0
    for source, target in zip(x.split(8192), y.split(8192)):
        f, decoder, bias = trained.features(source)
        fires = fires + (f > 0).sum(0)
        for p, end in enumerate(trained.ends):
            errors[p] += (bias + f[:, :end] @ decoder[:end] - target).pow(2).sum().item()
    variance = (y - y.mean(0)).double().pow(2).sum().item()
    return {"fvu": [e / variance for e in errors], "l0": fires.sum().item() / len(x), "dead": int((fires == 0).sum())}


for request in sys.argv[1:]:
    asked = json.loads(request)
    print(json.dumps((replica if asked["trainer"] == "pytorch" else peer)(**asked)), flush=True)
