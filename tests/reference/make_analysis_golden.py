"""Writes tests/golden/analysis.json: what NumPy, SciPy and scikit-learn make of a small record, for the analyses of core/analysis.

Run from the repository root: python tests/reference/make_analysis_golden.py  (numpy 2.4.6, scipy 1.17.1, scikit-learn 1.9.1)

The record has FEATURES features on TOKENS tokens in contexts of CONTEXT - 1 counted ones and in DOCUMENTS documents; three groups of its features fire
on common occasions. `rows` are each token's [feature, activation] pairs, activations being float32. Of all features: `correlation` (numpy.corrcoef of
dense activations), `jaccard` (scipy's, of firing), `linkage` (average linkage of 1 - correlation in float32: height and size of each merge), `labels`
(scipy's fcluster at each of `cuts`), `silhouettes` (scikit-learn's, precomputed, at the same), `skewness` (scipy's, of non-zero activations),
`gini` (of firings over documents, weighted by their tokens, from the Lorenz curve by numpy.trapezoid) and `ari` (scikit-learn's adjusted Rand index of
the cut at three with the groups that were planted). `participation_ratio` is that of numpy.cov of `matrix`.
"""
import json

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import jaccard, squareform
from scipy.stats import skew
from sklearn.metrics import adjusted_rand_score, silhouette_samples

TOKENS, FEATURES, CONTEXT, DOCUMENTS = 310, 18, 32, 5
CUTS = (2, 3, 5, 9)


def main():
    rng = np.random.default_rng(7)
    planted = np.arange(FEATURES) % 3
    occasions = rng.random((3, TOKENS)) < 0.15
    fires = (occasions[planted] & (rng.random((FEATURES, TOKENS)) < 0.7)) | (rng.random((FEATURES, TOKENS)) < 0.02)
    activations = np.where(fires, 0.1 + rng.gamma(1.5, 1, (FEATURES, TOKENS)), 0).astype(np.float32)
    document = np.minimum(np.arange(TOKENS) // (CONTEXT - 1) // 2, DOCUMENTS - 1)
    dense = activations.astype(np.float64)
    correlation = np.corrcoef(dense)
    distances = (1 - correlation).astype(np.float32).astype(np.float64)
    distances = (distances + distances.T) / 2
    np.fill_diagonal(distances, 0)
    merges = linkage(squareform(distances, checks=False), "average")
    labels = [fcluster(merges, count, "maxclust") for count in CUTS]
    matrix = (rng.standard_normal((40, 6)) * [3, 2, 1, 1, 0.5, 0.1] + 2).astype(np.float32)
    covariance = np.cov(matrix.astype(np.float64).T, bias=True)
    golden = {
        "context": CONTEXT,
        "document": document.tolist(),
        "rows": [[[int(i), float(activations[i, t])] for i in np.flatnonzero(activations[:, t])] for t in range(TOKENS)],
        "correlation": correlation.tolist(),
        "jaccard": [[1 - jaccard(fires[i], fires[j]) for j in range(FEATURES)] for i in range(FEATURES)],
        "linkage": [[float(height), int(size)] for _, _, height, size in merges],
        "cuts": CUTS,
        "labels": [[int(label) for label in each] for each in labels],
        "silhouettes": [silhouette_samples(distances, each, metric="precomputed").tolist() for each in labels],
        "ari": adjusted_rand_score(planted, labels[1]),
        "skewness": [float(skew(row[row > 0])) for row in dense],
        "gini": [gini(fires[i], document) for i in range(FEATURES)],
        "matrix": matrix.tolist(),
        "participation_ratio": float(np.trace(covariance) ** 2 / np.trace(covariance @ covariance)),
    }
    with open("tests/golden/analysis.json", "w") as file:
        json.dump(golden, file)
        file.write("\n")


def gini(fires, document):
    tokens, firings = np.bincount(document), np.bincount(document, fires)
    order = np.argsort(firings / tokens)
    share = np.concatenate([[0], np.cumsum(tokens[order]) / tokens.sum()])
    curve = np.concatenate([[0], np.cumsum(firings[order]) / firings.sum()])
    return float(1 - 2 * np.trapezoid(curve, share))


main()
