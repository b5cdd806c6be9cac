"""Fifty training steps of a Matryoshka transcoder in plain PyTorch (dense, autograd, torch.optim.Adam): the golden files of
tests/training/training_test.ts.

usage: python make_training_golden.py DIRECTORY        (torch 2.13.0, CPU; safetensors)

Written from shared/design/method.md: raw activations that are mostly a constant and two massive dimensions, prepared (source centred
and each dimension scaled to variance 1, each target centred and scaled to a mean variance of 1, by which they weigh the same) and
folded into the final weights; nested loss over all prefixes, batch top-k over the whole batch, auxiliary loss on the
detached residual with the aux_k * B strongest activations of dead features, decoder gradient projected, Adam, rows normalised
after the step, inference threshold as a running mean of the smallest kept activation.

fifty_steps.safetensors has one target; two_targets.safetensors cuts it into two of different widths, of which the second is thirty times
as loud, and skip.safetensors has a skip connection from the source to the one target; both keep of the rest only what differs.
"""
import json, math, sys
import torch
from safetensors.torch import save_file

torch.manual_seed(17)
torch.set_default_dtype(torch.float32)
D_IN, D_OUT, GROUPS, K, BATCH, STEPS = 24, 20, [16, 32, 16], 4, 32, 50
AUX_K, AUX_WEIGHT, DEAD_AFTER = 8, 1 / 32, 3 * BATCH
LR, BIAS_RATE, WHOLE_WEIGHT, REVIVAL_RATE, WARMUP, FINAL, BETAS, EPS, RATE = 3e-3, 4, 1.5, 0.5, 5, 0.01, (0.9, 0.99), 1e-8, 0.01
F = sum(GROUPS)
ENDS = [sum(GROUPS[: g + 1]) for g in range(len(GROUPS))]
TWO_TARGETS, LOUDNESS = [12, 8], 30

def learning_rate(step):
    if step <= WARMUP: return LR * step / WARMUP
    return LR * (FINAL + (1 - FINAL) * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))) / 2)

def keep_largest(a, n):
    """a with all but its n largest entries (over the whole batch) set to zero; ties to the lowest flat index."""
    order = torch.sort(a.flatten(), descending=True, stable=True).indices[:n]
    mask = torch.zeros_like(a).flatten()
    mask[order] = 1
    return a * mask.view_as(a)

# Inputs: sparse mixtures of fixed directions, each batch using its own subset, so that some features fall silent for a while.
directions = torch.nn.functional.normalize(torch.randn(40, D_IN), dim=1)
mix = torch.randn(D_IN, D_OUT) / math.sqrt(D_IN)
xs, ys = [], []
for step in range(STEPS):
    active = (torch.rand(BATCH, 40) < 0.1) & (torch.rand(40) < 0.6)
    x = (active * torch.rand(BATCH, 40) * 3) @ directions + 0.05 * torch.randn(BATCH, D_IN)
    xs.append(x)
    ys.append(torch.tanh(x @ mix) + 0.3)
x_all, y_all = torch.stack(xs), torch.stack(ys)
# As a residual stream has it: a constant ten times the spread, and two dimensions a hundred times as large as the others.
spread = torch.ones(D_IN)
spread[[3, 17]] = 100
x_raw = (x_all + 10 * x_all.std() * torch.randn(D_IN)) * spread
y_raw = 50 * (y_all + 10 * y_all.std() * torch.randn(D_OUT))

def prepared(raw, scale_of):
    """Raw activations [STEPS, BATCH, width] centred and scaled; their float32 mean and scale, from float64 statistics."""
    flat = raw.double().flatten(0, 1)
    mean, variance = flat.mean(0), flat.var(0, unbiased=False)
    mean, scale = mean.float(), scale_of(variance).float()
    return (raw - mean) * scale, mean, scale

W_dec = torch.nn.functional.normalize(torch.randn(F, D_OUT), dim=1)
W_enc = torch.nn.functional.normalize(torch.randn(F, D_IN), dim=1)
b_enc, b_dec = 0.01 * torch.randn(F) - 0.1, torch.zeros(D_OUT)
b_enc[40:] -= 3.0  # these start out dead
initial = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec}

def train(targets, has_skip):
    """Fifty steps to raw targets [STEPS, BATCH, width]; tensors by name, and what each step logged."""
    x_all, x_mean, x_scale = prepared(x_raw, lambda variance: variance.rsqrt())
    # All dimensions together have mean variance 1, of which each target has the same share, whatever its width.
    share = lambda variance: len(targets) * len(variance) / D_OUT
    each = [prepared(y, lambda v: (v.mean() * share(v)).rsqrt().expand_as(v)) for y in targets]
    y_all, y_mean, y_scale = (torch.cat(parts, dim=-1) for parts in zip(*each))

    W_enc, b_enc, W_dec, b_dec = parameters = [torch.nn.Parameter(p.clone()) for p in initial.values()]
    W_skip = torch.nn.Parameter(torch.zeros(D_IN, D_OUT))
    plain = [W_enc, W_dec, b_dec, *([W_skip] if has_skip else [])]
    optimiser = torch.optim.Adam([{"params": plain, "rate": 1}, {"params": [b_enc], "rate": BIAS_RATE}], lr=LR, betas=BETAS, eps=EPS)
    inactive = torch.zeros(F, dtype=torch.int64)
    threshold = None
    log = []
    for step in range(1, STEPS + 1):
        x, y = x_all[step - 1], y_all[step - 1]
        a = torch.relu(x @ W_enc.T + b_enc)
        f = keep_largest(a, K * BATCH)
        reconstructions = [b_dec + f[:, :end] @ W_dec[:end] + (x @ W_skip if has_skip else 0) for end in ENDS]
        errors = [((r - y) ** 2).mean() for r in reconstructions]
        dead = inactive >= DEAD_AFTER
        f_aux = keep_largest(a * dead, AUX_K * BATCH)
        aux_loss = torch.zeros(())
        if (f_aux > 0).any():
            residual = (y - reconstructions[-1]).detach()
            aux_loss = AUX_WEIGHT * ((f_aux @ W_dec - residual) ** 2).mean()
        loss = (sum(errors[:-1]) + WHOLE_WEIGHT * errors[-1]) / (len(ENDS) - 1 + WHOLE_WEIGHT) + aux_loss
        optimiser.zero_grad()
        loss.backward()
        with torch.no_grad():
            W_dec.grad -= (W_dec.grad * W_dec).sum(1, keepdim=True) * W_dec
        for group in optimiser.param_groups: group["lr"] = group["rate"] * learning_rate(step)
        optimiser.step()
        with torch.no_grad():
            W_dec /= W_dec.norm(dim=1, keepdim=True)
            fired = (f > 0).any(0)
            b_enc += (dead & ~fired & ~(f_aux > 0).any(0)) * REVIVAL_RATE * BIAS_RATE * learning_rate(step)
            inactive = torch.where(fired, 0, inactive + BATCH)
            smallest = f[f > 0].min().item()
            threshold = smallest if threshold is None else threshold + RATE * (smallest - threshold)
            variance = ((y - y.mean(0)) ** 2).mean().item()
        log.append({"loss": loss.item(), "aux_loss": aux_loss.item(), "fvu": [e.item() / variance for e in errors],
                    "l0": (f > 0).sum().item() / BATCH, "dead": int((inactive >= DEAD_AFTER).sum()), "threshold": threshold})
    tensors = {"source.mean": x_mean, "source.scale": x_scale, "target.mean": y_mean, "target.scale": y_scale}
    tensors |= {f"final.{k}": v.detach() for k, v in zip(initial, parameters)}
    with torch.no_grad():
        wide = W_enc.double() * x_scale.double()
        tensors |= {"folded.W_enc": wide.float(), "folded.b_enc": (b_enc.double() - wide @ x_mean.double()).float(),
                    "folded.W_dec": W_dec / y_scale, "folded.b_dec": b_dec / y_scale + y_mean}
        if has_skip:
            skip = W_skip.double() * x_scale.double()[:, None] / y_scale.double()
            b_raw = b_dec.double() / y_scale.double() + y_mean.double() - x_mean.double() @ skip
            tensors |= {"final.W_skip": W_skip.detach(), "folded.W_skip": skip.float(), "folded.b_dec": b_raw.float()}
    return tensors, log

recipe = {"groups": GROUPS, "k": K, "steps": STEPS, "batch_tokens": BATCH, "learning_rate": LR, "encoder_bias_rate": BIAS_RATE,
          "whole_weight": WHOLE_WEIGHT, "revival_rate": REVIVAL_RATE,
          "warmup_steps": WARMUP,
          "final_lr_fraction": FINAL, "beta1": BETAS[0], "beta2": BETAS[1], "epsilon": EPS, "aux_weight": AUX_WEIGHT, "aux_k": AUX_K,
          "dead_after_tokens": DEAD_AFTER, "threshold_rate": RATE, "seed": 0}
first, second = y_raw.split(TWO_TARGETS, dim=-1)
shared = {"x": x_raw, "y": y_raw} | {f"initial.{k}": v for k, v in initial.items()}
for name, targets, has_skip, given, metadata in (
    ("fifty_steps", [y_raw], False, shared, {"recipe": json.dumps(recipe)}),
    ("two_targets", [first, LOUDNESS * second], False, {}, {"widths": json.dumps(TWO_TARGETS), "loudness": json.dumps([1, LOUDNESS])}),
    ("skip", [y_raw], True, {}, {}),
):
    tensors, log = train(targets, has_skip)
    order = {k: v.contiguous() for k, v in (given | tensors).items()}
    save_file(order, f"{sys.argv[1]}/{name}.safetensors", metadata=metadata | {"log": json.dumps(log)})
    print(name, "steps with aux loss:", sum(r["aux_loss"] > 0 for r in log), "first, last loss:", log[0]["loss"], log[-1]["loss"])
