"""Writes tests/golden/comparison.json: what NumPy and SciPy make of two small records on the same tokens, for the comparison of transcoders.

Run from the repository root: python tests/reference/make_comparison_golden.py  (numpy 2.4.6, scipy 1.17.1)

Records a and b have FEATURES features each on TOKENS tokens in contexts of CONTEXT - 1 counted ones, token ids among IDS; some of b's features fire where
one of a's does. `rows` are each token's [feature, activation] pairs, activations being float32. `correlation` is numpy.corrcoef of dense activations,
[a's features, b's features]; `assigned` the pairs of scipy's linear_sum_assignment of it. Of each record: `effective_features`, exp of scipy's
entropy of the features' summed activations; `token_entropy` and `main_token_share` of each feature, over the ids of the tokens that it fires on;
`threshold`, numpy's partition: the largest activation that is left out where KEPT are kept. `written`, `read` are matrices whose rows have the
products `responses` in float64; `strength` is their root mean square, rows of both of unit length, times the root of their width.
"""
import json

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import entropy

TOKENS, FEATURES, CONTEXT, IDS, KEPT, WIDTH = 310, (14, 11), 32, 23, 200, 8


def main():
    rng = np.random.default_rng(11)
    fires = [rng.random((count, TOKENS)) < 0.15 for count in FEATURES]
    for j in range(7):
        fires[1][j] = fires[0][13 - j] ^ (rng.random(TOKENS) < 0.01 * j)
    size = 0.1 + rng.gamma(1.5, 1, (2, TOKENS))
    records = [np.where(f, size[0] * (1 + 0.1 * rng.random(f.shape)), 0).astype(np.float32) for f in fires]
    ids = rng.integers(0, IDS, TOKENS) * (rng.random(TOKENS) < 0.7)
    count = FEATURES[0]
    correlation = np.corrcoef(*(record.astype(np.float64) for record in records))[:count, count:]
    pairs = linear_sum_assignment(-np.maximum(correlation, 0))
    written, read = (rng.standard_normal((count, WIDTH)).astype(np.float32) for count in FEATURES)
    unit = [m.astype(np.float64) / np.linalg.norm(m.astype(np.float64), axis=1, keepdims=True) for m in (written, read)]
    golden = {
        "context": CONTEXT,
        "ids": ids.tolist(),
        "kept": KEPT,
        "correlation": correlation.tolist(),
        "assigned": [[int(i), int(j)] for i, j in zip(*pairs)],
        "records": [of_record(record, ids) for record in records],
        "written": written.tolist(),
        "read": read.tolist(),
        "responses": (written.astype(np.float64) @ read.astype(np.float64).T).tolist(),
        "strength": float(np.sqrt(WIDTH * np.mean((unit[0] @ unit[1].T) ** 2))),
    }
    with open("tests/golden/comparison.json", "w") as file:
        json.dump(golden, file)
        file.write("\n")


def of_record(record, ids):
    counts = [np.bincount(ids[row > 0], minlength=IDS) for row in record]
    values = record[record > 0]
    return {
        "rows": [[[int(i), float(record[i, t])] for i in np.flatnonzero(record[:, t])] for t in range(TOKENS)],
        "effective_features": float(np.exp(entropy(record.astype(np.float64).sum(axis=1)))),
        "token_entropy": [float(entropy(each, base=2)) for each in counts],
        "main_token_share": [float(each.max() / each.sum()) for each in counts],
        "threshold": float(np.partition(values, len(values) - KEPT - 1)[len(values) - KEPT - 1]),
    }


if __name__ == "__main__":
    main()
