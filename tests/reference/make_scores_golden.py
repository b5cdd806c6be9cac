"""Writes tests/golden/scores.json: what NumPy, SciPy and scikit-learn make of a small dictionary, for the scores of other projects that mtc computes.

Run from the repository root: python tests/reference/make_scores_golden.py  (numpy 2.4.6, scipy 1.17.1, scikit-learn 1.9.1)

`rows` are each token's [feature, activation] pairs, float32; `decoder` has a row per feature of the groups `groups`. `original` are the scores of the
original project: shares of pairs, (1 - frequency + 1 / (1 + entropy)) / 2 of each feature with the entropy of numpy.histogram(density=True) by
scipy.stats.entropy, and mean |cosine| within groups and between neighbouring ones. `saebench` are the formulas of SAEBench's core evaluation (0.6.0) of
targets `y` and reconstructions `y_hat`. `tfidf` are the cosines of all pairs of `texts` by scikit-learn's TfidfVectorizer.
"""
import json

import numpy as np
from scipy.stats import entropy
from sklearn.feature_extraction.text import TfidfVectorizer

TOKENS, WIDTH, GROUPS = 400, 12, [4, 8, 12]
FEATURES = sum(GROUPS)
TEXTS = [
    "The State of the Union is strong.",
    "the union of these States, and the people of them",
    "It is 1862; naïve Größe, ÉTAT état",
    "snake_case and x2 y, a b c",
    "!",
    "The people, the people and the PEOPLE again",
]


def main():
    rng = np.random.default_rng(11)
    density = np.concatenate([[0.8, 0.75, 0, 0.01], rng.uniform(0.02, 0.3, FEATURES - 4)])
    fires = rng.random((FEATURES, TOKENS)) < density[:, None]
    activations = np.where(fires, 0.05 + rng.gamma(1.5, 1, (FEATURES, TOKENS)), 0).astype(np.float32)
    decoder = rng.standard_normal((FEATURES, WIDTH)).astype(np.float32)
    decoder[9] = decoder[1] * 1.5 + 0.1 * decoder[9]
    y = (rng.standard_normal((TOKENS, WIDTH)) * [3, *[1] * (WIDTH - 1)] + np.arange(WIDTH) / 4).astype(np.float32)
    y_hat = (0.8 * y + 0.3 * rng.standard_normal((TOKENS, WIDTH))).astype(np.float32)
    golden = {
        "groups": GROUPS,
        "rows": [[[int(i), float(activations[i, t])] for i in np.flatnonzero(activations[:, t])] for t in range(TOKENS)],
        "decoder": decoder.tolist(),
        "original": original(activations, decoder),
        "y": y.tolist(),
        "y_hat": y_hat.tolist(),
        "saebench": saebench(y.astype(np.float64), y_hat.astype(np.float64), activations),
        "texts": TEXTS,
        "tfidf": tfidf(),
    }
    with open("tests/golden/scores.json", "w") as file:
        json.dump(golden, file)
        file.write("\n")


def original(activations, decoder):
    active = activations > 0
    pairs = np.triu_indices(FEATURES, 1)
    rows = decoder.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = rows @ rows.T
    together = active.astype(np.float64) @ active.T / TOKENS
    scores = []
    for i in range(FEATURES):
        values = activations[i][active[i]].astype(np.float64)
        nats = entropy(np.histogram(values, bins=50, density=True)[0] + 1e-10) if len(values) > 10 else 0
        scores.append((1 - active[i].mean() + 1 / (1 + nats)) / 2)
    ends = np.cumsum([0, *GROUPS])
    absolute = np.abs(cosines - np.eye(FEATURES))
    within = [absolute[a:b, a:b].mean() for a, b in zip(ends, ends[1:])]
    between = [absolute[a:b, b:c].mean() for a, b, c in zip(ends, ends[1:], ends[2:])]
    return {
        "absorption_score": float((cosines[pairs] > 0.9).mean()),
        "splitting_score": float((together[pairs] > 0.5).mean()),
        "monosemanticity": [float(score) for score in scores],
        "median": float(np.sort(scores)[(FEATURES - 1) // 2]),
        "within": [float(value) for value in within],
        "between": [float(value) for value in between],
        "ratio": [float(b / (w + 1e-8)) for b, w in zip(between, within)],
    }


def saebench(y, y_hat, activations):
    norm = lambda x: np.linalg.norm(x, axis=-1)
    squares, density = (y**2).sum(-1).mean(), (activations > 0).mean(axis=1)
    variance = squares - (y**2).mean(0).mean() ** 2
    above = lambda least: float(density[density > least].sum() / density.sum())
    return {
        "reconstruction_quality": {
            "explained_variance": 1 - ((y - y_hat) ** 2).sum(-1).mean() / variance,
            "cossim": ((y / norm(y)[:, None]) * (y_hat / norm(y_hat)[:, None])).sum(-1).mean(),
        },
        "shrinkage": {
            "l2_norm_in": norm(y).mean(),
            "l2_norm_out": norm(y_hat).mean(),
            "l2_ratio": (norm(y_hat) / norm(y)).mean(),
            "relative_reconstruction_bias": (norm(y_hat) ** 2).mean() / (y * y_hat).sum(-1).mean(),
        },
        "sparsity": {"l0": (activations != 0).sum(axis=0).mean()},
        "misc_metrics": {
            "frac_alive": (density > 0).mean(),
            "freq_over_1_percent": (density > 0.01).mean(),
            "freq_over_10_percent": (density > 0.1).mean(),
            "normalized_freq_over_1_percent": above(0.01),
            "normalized_freq_over_10_percent": above(0.1),
        },
    }


def tfidf():
    weights = TfidfVectorizer().fit_transform(TEXTS)
    return (weights @ weights.T).toarray().tolist()


main()
