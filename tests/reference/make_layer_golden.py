"""Writes tests/golden/layer.json: what NumPy makes of a small reading set, for core/analysis/coherence.ts and core/analysis/explained.ts.

Run from the repository root: python tests/reference/make_layer_golden.py  (numpy 2.4.6)

A reading set of DOCUMENTS documents in contexts of CONTEXT - 1 counted tokens; `source` is what the model has at each token, from which `centre` is
taken and which `scale` multiplies. `rows` are each token's [feature, activation] pairs, activations being float32. Of every feature: `examples` (the strongest firing of each
context, of the EXAMPLES contexts with the largest), `cosine` (their mean over pairs), `by_token` (each pair of examples replaced by all pairs of
different tokens with the same two ids, by going through all of them), and R2 of its dense activations predicted by `token`, `previous` and
`position` in five turns (`errors`: their standard errors over the turns). `products` are of the source with `directions`; `random` is the coherence of
their furthest tokens.
"""
import json

import numpy as np

DOCUMENTS, CONTEXT, CONTEXTS, IDS, WIDTH, FEATURES, EXAMPLES, FOLDS, DIRECTIONS = 7, 9, 42, 12, 5, 6, 16, 5, 9


def main():
    rng = np.random.default_rng(11)
    tokens = CONTEXTS * (CONTEXT - 1)
    context = np.arange(tokens) // (CONTEXT - 1)
    column = 1 + np.arange(tokens) % (CONTEXT - 1)
    document = context // 6
    ids = np.minimum(rng.geometric(0.25, tokens) - 1, IDS - 1)
    embedding = rng.standard_normal((IDS, WIDTH))
    topic = rng.random(CONTEXTS) < 0.5
    source = embedding[ids] + 2 * np.outer(topic[context], rng.standard_normal(WIDTH)) + 0.5 * rng.standard_normal((tokens, WIDTH))
    source = np.round(source + 3, 3).astype(np.float32).astype(np.float64)
    centre = np.round(source.mean(0), 3)
    previous = np.where(column == 1, -1, np.roll(ids, 1))
    fires = np.stack([ids == 2, topic[context], previous == 1, column <= 2, rng.random(tokens) < 0.3, ids % 3 == 0])
    fires &= rng.random((FEATURES, tokens)) < 0.9
    activations = np.where(fires, np.round(0.5 + rng.gamma(2, 1, (FEATURES, tokens)), 3), 0).astype(np.float32).astype(np.float64)
    scale = np.round(0.5 + rng.random(WIDTH), 3)
    centred = (source - centre) * scale
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    directions = np.round(rng.standard_normal((WIDTH, DIRECTIONS)), 3)
    products = (source @ directions).astype(np.float32).astype(np.float64)
    position = np.ceil(np.log2(column)).astype(int)
    fold = document % FOLDS
    examples = [strongest(activation, context) for activation in activations]
    coherent = [coherence(unit, ids, one) for one in examples]
    explained = {name: [r2(activation, part, fold) for activation in activations]
                 for name, part in (("token", ids), ("previous", previous), ("position", position))}
    golden = {
        "context": CONTEXT,
        "document": document.tolist(),
        "id": ids.tolist(),
        "source": source.tolist(),
        "centre": centre.tolist(),
        "scale": scale.tolist(),
        "products": products.tolist(),
        "rows": [[[int(i), float(activations[i, t])] for i in np.flatnonzero(activations[:, t])] for t in range(tokens)],
        "examples": [one.tolist() for one in examples],
        "cosine": [one[0] for one in coherent],
        "by_token": [one[1] for one in coherent],
        "random": sorted(a - b for a, b in (coherence(unit, ids, strongest(one, context, -np.inf)) for one in products.T)),
        "explained": {name: [one[0] for one in each] for name, each in explained.items()},
        "errors": {name: [one[1] for one in each] for name, each in explained.items()},
    }
    with open("tests/golden/layer.json", "w") as file:
        json.dump(golden, file)
        file.write("\n")


def strongest(values, context, least=0):
    """The largest value's token of each context that has one above `least`, of the contexts with the largest ones."""
    best = [max(np.flatnonzero(context == c), key=lambda t: values[t]) for c in range(CONTEXTS)]
    best = [t for t in best if values[t] > least]
    return np.array(sorted(best, key=lambda t: -values[t])[:EXAMPLES])


def coherence(unit, ids, examples):
    cosines, expected = [], []
    for a in range(len(examples)):
        for b in range(a):
            i, j = examples[a], examples[b]
            cosines.append(unit[i] @ unit[j])
            pairs = [unit[s] @ unit[t] for s in np.flatnonzero(ids == ids[i]) for t in np.flatnonzero(ids == ids[j]) if s != t]
            expected.append(np.mean(pairs))
    return float(np.mean(cosines)), float(np.mean(expected))


def r2(activation, part, fold):
    error, total, each = 0.0, 0.0, []
    for k in range(FOLDS):
        seen, here = fold != k, fold == k
        mean = activation[seen].mean()
        predicted = np.array([(activation[seen & (part == v)].sum() + mean) / ((seen & (part == v)).sum() + 1) for v in part[here]])
        left, varied = ((activation[here] - predicted) ** 2).sum(), ((activation[here] - mean) ** 2).sum()
        error, total = error + left, total + varied
        each.append(1 - left / varied)
    return float(1 - error / total), float(np.std(each, ddof=1) / np.sqrt(FOLDS))


main()
