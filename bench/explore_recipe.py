"""Tries recipes on recorded activations in plain PyTorch; bench/training.md keeps what they gave.

usage: python bench/explore_recipe.py DIRECTORY [--seeds 0,1,2] [--layers 2,4] [--on validation] 'dict(lr=8e-3)' ['dict(...)' ...]
       (torch 2.13.0 CPU, safetensors; DIRECTORY from bench/peers/record.ts, or from record_activations.py for another model)

Each argument is a set of keyword arguments of `train`, whose defaults are the recipe of `mtc train` before the search. Gradients are
written out, as in method.md. What is chosen is chosen on validation; `--on validation,test` is for the end.
"""
import argparse, math, os, statistics, time
import torch
from safetensors import safe_open

torch.set_num_threads(1)
normalise = torch.nn.functional.normalize
# Times that each recorded token is drawn, at most.
PASSES = 6


class Recording:
    """Activations of one layer: what a run draws, batch by batch, and held-out parts; `order` is a file that has an order of the rows."""

    def __init__(self, directory, layer, seed, parts, order=None, names=("resid_mid", "mlp_out")):
        path = f"{directory}/train.{seed}.safetensors"
        if os.path.exists(path):
            with safe_open(path, "pt") as file: self.x, self.y = (file.get_tensor(f"{layer}.{name}") for name in names)
            order = path
        else: self.x, self.y = taps(directory, "train", layer, names)
        if order:
            with safe_open(order, "pt") as file: self.order = file.get_tensor("order").long()
        else:
            random = torch.Generator().manual_seed(seed)
            self.order = torch.cat([torch.randperm(len(self.x), generator=random) for _ in range(PASSES)])
        self.held = {}
        for part in parts:
            if not os.path.exists(path): self.held[part] = taps(directory, part, layer, names)
            else:
                with safe_open(f"{directory}/{part}.safetensors", "pt") as file:
                    self.held[part] = [file.get_tensor(f"{layer}.{name}") for name in names]


def taps(directory, split, layer, names):
    """What bench/record_activations.py writes: a file for each tap."""
    parts = []
    for name in names:
        with safe_open(f"{directory}/{split}.{layer}.{name}.safetensors", "pt") as file: parts.append(file.get_tensor("x"))
    return parts


def starts(init, x, y, features, norm):
    """Encoder rows of length `norm`, decoder rows of length 1, from prepared activations."""
    directions = normalise(torch.randn(features, x.shape[1]), dim=1)
    if init == "covariance": return directions * norm, normalise(directions @ (x.T @ y), dim=1)
    if init == "regression":
        ridge = 1e-2 * len(x) * torch.eye(x.shape[1])
        return directions * norm, normalise(directions @ torch.linalg.solve(x.T @ x + ridge, x.T @ y), dim=1)
    if init == "tied": return directions * norm, directions.clone()
    if init == "zero": return directions * norm, torch.zeros(features, y.shape[1])
    raise ValueError(init)


def orthogonal(m):
    """Muon's Newton-Schulz iteration: the nearest matrix with orthogonal rows or columns, roughly."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = m.shape[0] > m.shape[1]
    x = (m.T if tall else m) / (m.norm() + 1e-7)
    for _ in range(5):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if tall else x


class Optimiser:
    """Adam, muon or signum on one parameter, with a learning rate that is a multiple of the run's, for each row where it is a tensor."""

    def __init__(self, parameter, rate, betas, eps, how="adam"):
        self.p, self.rate, self.betas, self.eps, self.t, self.how = parameter, rate, betas, eps, 0, how
        self.m, self.v = torch.zeros_like(parameter), torch.zeros_like(parameter)

    def step(self, gradient, lr):
        self.t += 1
        lr *= self.rate
        (b1, b2), t = self.betas, self.t
        self.m.lerp_(gradient, 1 - b1)
        if self.how == "muon":
            ahead = torch.lerp(self.m, gradient, 1 - b1)
            self.p -= lr * math.sqrt(max(self.p.shape)) * 0.2 * orthogonal(ahead)
        elif self.how == "signum":
            self.p -= lr * self.m.sign()
        else:
            self.v.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
            change = self.m / self.v.sqrt().div_(math.sqrt(1 - b2**t)).add_(self.eps)
            self.p -= change.mul_(lr / (1 - b1**t))


def train(recording, groups=(128, 256, 128), k=32, steps=480, batch=1024, lr=8e-3, bias_rate=5, encoder_rate=1, decoder_rate=1,
          decoder_bias_rate=1, warmup=30, final=0.01, schedule="cosine", betas=(0.9, 0.99), eps=1e-8, aux_weight=1.0, aux_k=64, aux_relu=True,
          aux_normalised=False, aux_per_token=False, dead_after=20_480, threshold_rate=0.02, encoder_norm=0.1, init="covariance",
          decoder="unit", decoder_norm=1.0, weights=None, clip=None, average=None, source="dimension", target_scale=1.0,
          matrices="adam", remeasure=0, raise_dead=0, group_rates=None, resample=0, under_threshold=0, frequency_power=0.0,
          passes=6, covariance_rows=8192, seed=0):
    """Trains; gives effective weights with unit decoder rows and the threshold, and how activations are prepared."""
    torch.manual_seed(1000 + seed)
    measured = recording.order[: len(recording.order) // passes]
    raw_x, raw_y = recording.x, recording.y
    mean_x, mean_y = raw_x[measured].mean(0), raw_y[measured].mean(0)
    if source == "dimension":
        variance = raw_x[measured].var(0, unbiased=False)
        turn = torch.diag(variance.clamp_min(1e-6 * variance.mean()).rsqrt())
    elif source == "whiten":
        values, vectors = torch.linalg.eigh(torch.cov(raw_x[measured].T))
        turn = vectors @ torch.diag((values + 0.03 * values.mean()).rsqrt()) @ vectors.T
    else:
        turn = torch.eye(raw_x.shape[1]) * raw_x[measured].var(0, unbiased=False).mean().rsqrt()
    scale = raw_y[measured].var(0, unbiased=False).mean().rsqrt() * target_scale
    prepare_x, prepare_y = lambda x: (x - mean_x) @ turn, lambda y: (y - mean_y) * scale
    x_all, y_all = prepare_x(raw_x), prepare_y(raw_y)
    del raw_x

    ends = [sum(groups[: g + 1]) for g in range(len(groups))]
    features, prefixes, width = ends[-1], len(groups), raw_y.shape[1]
    weights = weights or [1 / prefixes] * prefixes
    first = recording.order[:covariance_rows]
    We, Wd = starts(init, x_all[first], y_all[first], features, encoder_norm)
    Wd = Wd * decoder_norm
    be, bd = torch.zeros(features), torch.zeros(width)
    rates = torch.repeat_interleave(torch.tensor(group_rates or [1.0] * prefixes), torch.tensor(groups))
    optimisers = [Optimiser(We, encoder_rate * rates[:, None], betas, eps, matrices), Optimiser(be, bias_rate * rates, betas, eps),
                  Optimiser(Wd, decoder_rate * rates[:, None], betas, eps, matrices), Optimiser(bd, decoder_bias_rate, betas, eps)]
    parameters = [We, be, Wd, bd]
    averaged, averaged_count = None, 0
    frequency, paces = torch.ones(features), [1, 1, 1, 1]
    inactive, threshold, lowest = torch.zeros(features), None, 0.0

    for step in range(1, steps + 1):
        rows = recording.order[(step - 1) * batch : step * batch]
        x, y = x_all[rows], y_all[rows]
        h = torch.addmm(be, x, We.T).relu_()
        norms = Wd.norm(dim=1) if decoder == "rescaled" else None
        score = h * norms if norms is not None else h
        if step > steps - under_threshold: mask = score > threshold
        else:
            smallest = kth_largest(score, k * batch, lowest)
            lowest = 0.7 * smallest
            mask = score >= smallest
        f = h * mask
        residuals, made, at = [], bd.expand(batch, width), 0
        for end in ends:
            made = torch.addmm(made, f[:, at:end], Wd[at:end])
            residuals.append(made - y)
            at = end
        factor = 2 / (batch * width)
        g_sum, g_Wd, g_h = torch.zeros_like(y), torch.empty_like(Wd), torch.empty_like(h)
        for g in reversed(range(prefixes)):
            begin = ends[g] - groups[g]
            g_sum = g_sum + (factor * weights[g]) * residuals[g]
            torch.mm(f[:, begin : ends[g]].T, g_sum, out=g_Wd[begin : ends[g]])
            torch.mm(g_sum, Wd[begin : ends[g]].T, out=g_h[:, begin : ends[g]])
        g_bd = g_sum.sum(0)
        g_h *= mask
        dead = (inactive >= dead_after).nonzero().flatten()
        if len(dead) and aux_weight:
            pre = h[:, dead] if aux_relu else torch.addmm(be[dead], x, We[dead].T)
            if len(dead) > aux_k:
                value = pre if norms is None else pre * norms[dead]
                if aux_per_token: keep = value >= value.topk(aux_k, dim=1).values[:, -1:]
                else: keep = value >= kth_largest(value.clamp_min(0), aux_k * batch, 0.0)
                pre = pre * keep
            e = pre @ Wd[dead] + residuals[-1]
            weight = aux_weight * factor
            if aux_normalised: weight = weight / float(residuals[-1].var(0, unbiased=False).mean())
            e *= weight
            g_Wd[dead] += pre.T @ e
            g_h[:, dead] += (e @ Wd[dead].T) * (pre != 0)
        g_We, g_be = g_h.T @ x, g_h.sum(0)
        if decoder == "unit": g_Wd -= (g_Wd * Wd).sum(1, keepdim=True) * Wd
        gradients = [g_We, g_be, g_Wd, g_bd]
        if clip:
            norm = math.sqrt(sum(float(g.pow(2).sum()) for g in gradients))
            if norm > clip: gradients = [g * (clip / norm) for g in gradients]
        if step <= warmup: now = lr * step / warmup
        else:
            progress = (step - warmup) / (steps - warmup)
            if schedule == "cosine": part = (1 + math.cos(math.pi * progress)) / 2
            elif schedule == "linear": part = 1 - progress
            else: part = min(1, (1 - progress) / schedule)  # constant, then linear over the last `schedule`
            now = lr * (final + (1 - final) * part)
        if frequency_power:
            # Features that fire more often than the mean take longer steps, rare ones shorter ones.
            frequency = torch.lerp(frequency, mask.float().mean(0) * (features / k), 0.05)
            pace = frequency.clamp(1 / 16, 16) ** frequency_power
            paces = [pace[:, None], pace, pace[:, None], 1]
        for optimiser, gradient, pace in zip(optimisers, gradients, paces): optimiser.step(gradient, now * pace)
        # A dead feature that no token of the batch activates gets no gradient at all: its bias alone can bring it back.
        if raise_dead and len(dead): be[dead] += raise_dead * now * bias_rate * (h[:, dead].amax(0) == 0)
        if decoder == "unit": Wd /= Wd.norm(dim=1, keepdim=True)
        fired = mask.any(0)
        inactive = torch.where(fired, 0.0, inactive + batch)
        if step <= steps - under_threshold:
            threshold = smallest if threshold is None else threshold + threshold_rate * (smallest - threshold)
        if resample and step % resample == 0 and step <= steps // 2 and len(dead):
            # They start anew at the tokens worst reconstructed, towards what is missing there, and shorter than the living ones.
            worst = residuals[-1].pow(2).sum(1).topk(min(len(dead), batch)).indices
            anew = dead[: len(worst)]
            We[anew] = normalise(x[worst], dim=1) * (0.2 * We.norm(dim=1).mean())
            Wd[anew], be[anew], inactive[anew] = normalise(-residuals[-1][worst], dim=1), 0.0, 0.0
            for optimiser in optimisers[:3]: optimiser.m[anew], optimiser.v[anew] = 0.0, 0.0
        if average and step > (1 - average) * steps:
            averaged_count += 1
            if averaged is None: averaged = [p.clone() for p in parameters]
            else:
                for a, p in zip(averaged, parameters): a.lerp_(p, 1 / averaged_count)
    We, be, Wd, bd = averaged or parameters
    if remeasure:
        rows = recording.order[(steps - remeasure) * batch : steps * batch]
        h = torch.addmm(be, x_all[rows], We.T).relu_()
        if decoder == "rescaled": h *= Wd.norm(dim=1)
        threshold = kth_largest(h, k * len(rows), 0.0)
    thresholds = torch.full((features,), float(threshold))
    norms = Wd.norm(dim=1).clamp_min(1e-12)
    if decoder == "free": thresholds = thresholds * norms
    if decoder != "unit": We, be, Wd = We * norms[:, None], be * norms, Wd / norms[:, None]
    return {"parts": (We, be, Wd, bd), "thresholds": thresholds, "x": prepare_x, "y": prepare_y, "ends": ends}


def kth_largest(values, count, floor):
    """The count-th largest; those not above floor are left out where enough are."""
    flat = values.flatten()
    above = flat[flat > floor]
    if len(above) < count: above = flat[flat > 0]
    if len(above) <= count: return float(above.min())
    return float(above.kthvalue(len(above) - count + 1).values)


@torch.no_grad()
def evaluate(trained, held):
    """FVU per prefix, L0 per token and dead features with threshold inference."""
    We, be, Wd, bd = trained["parts"]
    errors, fires, total, kept = [0.0] * len(trained["ends"]), torch.zeros(len(We)), 0.0, 0
    y_all = trained["y"](held[1])
    variance = (y_all - y_all.mean(0)).double().pow(2).sum().item()
    for x, y in zip(held[0].split(8192), y_all.split(8192)):
        a = torch.addmm(be, trained["x"](x), We.T).relu_()
        f = a * (a > trained["thresholds"])
        made, at = bd, 0
        for p, end in enumerate(trained["ends"]):
            made = made + f[:, at:end] @ Wd[at:end]
            errors[p] += (made - y).pow(2).sum().item()
            at = end
        fires += (f > 0).sum(0)
    return {"fvu": [e / variance for e in errors], "l0": fires.sum().item() / len(y_all), "dead": int((fires == 0).sum())}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--layers", default="4")
    parser.add_argument("--on", default="validation", help="held-out parts, with commas")
    options = parser.parse_args()
    parts = options.on.split(",")
    for recipe in options.recipes:
        for layer in map(int, options.layers.split(",")):
            results, began = {part: [] for part in parts}, time.process_time()
            for seed in map(int, options.seeds.split(",")):
                recording = Recording(options.directory, layer, seed, parts)
                trained = train(recording, **eval(recipe), seed=seed)
                for part in parts: results[part].append(evaluate(trained, recording.held[part]))
            seconds = time.process_time() - began
            for part in parts: print(f"layer {layer} {recipe} on {part}: {summary(results[part])}, {seconds:.0f} s", flush=True)


def summary(results):
    """Means over seeds, with the standard deviation of each prefix's FVU where there are several."""
    prefixes = list(zip(*(r["fvu"] for r in results)))
    means = " ".join(f"{statistics.mean(values):.4f}" for values in prefixes)
    spread = " +- " + " ".join(f"{statistics.stdev(values):.4f}" for values in prefixes) if len(results) > 1 else ""
    return f"{means}{spread} L0 {statistics.mean(r['l0'] for r in results):.1f} dead {[r['dead'] for r in results]}"


if __name__ == "__main__": main()
