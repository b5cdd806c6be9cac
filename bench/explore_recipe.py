"""Tries recipes for the embedded default in plain, dense PyTorch; bench/training.md keeps what they gave.

usage: python bench/explore_recipe.py 'dict(init="covariance", encoder_norm=0.3, lr=5e-3)' ['dict(...)' ...]
       (torch 2.13.0 CPU, transformers; from the repository's root, after ./run setup)

Each argument is a set of keyword arguments of `run`. Activations are harvested once, from the training text's first 45 or so
documents in one random order, and kept in memory. FVU is held-out, with threshold inference, per prefix.
"""
import gzip, json, math, sys, time
import torch
from tokenizers import Tokenizer
from transformers import Gemma2ForCausalLM

MODEL, TEXT = "core/builtin/tiny-gemma2", "core/builtin/generated/sotu.json.gz"
CONTEXT, WIDTH, EOS, BOS = 64, 128, 1, 2
normalise = torch.nn.functional.normalize


def pack(tokenizer, texts, most):
    ids = []
    for text in texts:
        ids += tokenizer.encode(text, add_special_tokens=False).ids + [EOS]
        if len(ids) > most: break
    rows = min(len(ids), most) // (CONTEXT - 1)
    body = torch.tensor(ids[: rows * (CONTEXT - 1)]).view(rows, CONTEXT - 1)
    return torch.cat([torch.full((rows, 1), BOS), body], 1)


def harvest(model, ids, layer):
    """Source (resid_mid) and target (mlp_out) of a layer, without BOS: [tokens, WIDTH] each."""
    seen, kept = {}, {"x": [], "y": []}
    block = model.model.layers[layer]
    hooks = [block.pre_feedforward_layernorm.register_forward_hook(lambda m, i, o: seen.update(x=i[0])),
             block.post_feedforward_layernorm.register_forward_hook(lambda m, i, o: seen.update(y=o))]
    with torch.no_grad():
        for batch in ids.split(32):
            model.model(input_ids=batch)
            for name in kept: kept[name].append(seen[name][:, 1:].reshape(-1, WIDTH).clone())
    for hook in hooks: hook.remove()
    return torch.cat(kept["x"]), torch.cat(kept["y"])


def initial(init, x, y, features, norm):
    """Encoder rows of length `norm`, unit decoder rows."""
    if init == "tied":
        decoder = normalise(torch.randn(features, WIDTH), dim=1)
        return decoder * norm, decoder
    if init == "data":
        rows = torch.randperm(len(x))[:features]
        return normalise(x[rows] - x.mean(0), dim=1) * norm, normalise(y[rows] - y.mean(0), dim=1)
    encoder = normalise(torch.randn(features, WIDTH), dim=1)
    xc, yc = x[:50000] - x.mean(0), y[:50000] - y.mean(0)
    if init == "covariance": return encoder * norm, normalise(encoder @ (xc.T @ yc), dim=1)
    if init == "regression":
        ridge = 1e-3 * len(xc) * torch.eye(WIDTH)
        return encoder * norm, normalise(encoder @ torch.linalg.solve(xc.T @ xc + ridge, xc.T @ yc), dim=1)
    raise ValueError(init)


def run(layer=4, features=512, k=32, steps=600, batch=1024, tokens=200_000, lr=5e-3, warmup=30, init="covariance", encoder_norm=0.3,
        dead_after=20_480, aux_k=64, aux_weight=1 / 32, seed=0):
    torch.manual_seed(seed)
    x, y = (part[:tokens] for part in TRAIN[layer])
    scales = [math.sqrt(WIDTH / part.pow(2).sum(1).mean()) for part in (x, y)]
    x, y = x * scales[0], y * scales[1]
    ends = [features // 4, 3 * features // 4, features]
    encoder, decoder = initial(init, x, y, features, encoder_norm)
    parameters = [torch.nn.Parameter(p.clone()) for p in (encoder, torch.zeros(features), decoder, y.mean(0))]
    encoder, b_enc, decoder, b_dec = parameters
    adam = torch.optim.Adam(parameters, lr=lr, betas=(0.9, 0.99))
    inactive, threshold, order, at, began = torch.zeros(features), None, torch.randperm(len(x)), 0, time.time()
    for step in range(1, steps + 1):
        if at + batch > len(x): order, at = torch.randperm(len(x)), 0
        rows = order[at : at + batch]; at += batch
        a = torch.relu(x[rows] @ encoder.T + b_enc)
        smallest = torch.topk(a.flatten(), k * batch).values[-1]
        f, made, first, loss = a * (a >= smallest), b_dec, 0, 0
        for end in ends:
            made = made + f[:, first:end] @ decoder[first:end]
            first, loss = end, loss + ((made - y[rows]) ** 2).mean() / len(ends)
        of_dead = a * (inactive >= dead_after)
        wanted = min(aux_k * batch, int((of_dead > 0).sum()))
        if wanted:
            f_aux = of_dead * (of_dead >= torch.topk(of_dead.flatten(), wanted).values[-1])
            loss = loss + aux_weight * ((f_aux @ decoder - (y[rows] - made).detach()) ** 2).mean()
        adam.zero_grad(); loss.backward()
        with torch.no_grad(): decoder.grad -= (decoder.grad * decoder).sum(1, keepdim=True) * decoder
        decay = 0.01 + 0.99 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
        for group in adam.param_groups: group["lr"] = lr * (step / warmup if step <= warmup else decay)
        adam.step()
        with torch.no_grad():
            decoder /= decoder.norm(dim=1, keepdim=True)
            inactive = torch.where((f > 0).any(0), 0.0, inactive + batch)
            threshold = float(smallest) if threshold is None else threshold + 0.01 * (float(smallest) - threshold)
    with torch.no_grad():
        x, y = (part * scale for part, scale in zip(HELD[layer], scales))
        a = torch.relu(x @ encoder.T + b_enc)
        f, variance = a * (a > threshold), ((y - y.mean(0)) ** 2).sum()
        fvu = [round(float(((b_dec + f[:, :end] @ decoder[:end] - y) ** 2).sum() / variance), 3) for end in ends]
        return f"FVU {fvu}  L0 {float((f > 0).sum(1).float().mean()):.1f}  dead {float((~(f > 0).any(0)).float().mean()):.3f}  {time.time() - began:.0f} s"


documents = sorted((d["name"], d["text"]) for d in json.loads(gzip.open(TEXT).read())["documents"])
held = [text for n, (_, text) in enumerate(documents) if n % 20 == 0]
train = [text for n, (_, text) in enumerate(documents) if n % 20]
shuffled = [train[n] for n in torch.randperm(len(train), generator=torch.Generator().manual_seed(1)).tolist()]
tokenizer = Tokenizer.from_file(f"{MODEL}/tokenizer.json")
model = Gemma2ForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()
TRAIN = {layer: harvest(model, pack(tokenizer, shuffled, 500_000), layer) for layer in (2, 4)}
HELD = {layer: harvest(model, pack(tokenizer, held, 20_000), layer) for layer in (2, 4)}
for argument in sys.argv[1:]: print(argument, run(**eval(argument)), flush=True)
