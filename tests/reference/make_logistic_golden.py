"""Writes tests/golden/logistic.json: what scikit-learn's logistic regression makes of small problems, for the probes of `mtc analyze absorption`.

Run from the repository root: python tests/reference/make_logistic_golden.py  (numpy 2.4.6, scikit-learn 1.9.1)

`balanced` is LogisticRegression(class_weight="balanced") as SAEBench fits its k-sparse probes, `sparse` the same with an l1 penalty; both to their
optimum, where SAEBench's stop short of it. `f1` is that of what `balanced` says of its own examples. `x` is float32, a row per example.
"""
import json

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

ROWS, COLUMNS = 240, 9


def main():
    rng = np.random.default_rng(5)
    x = rng.gamma(0.7, 2, (ROWS, COLUMNS)) * (rng.random((ROWS, COLUMNS)) < 0.4)
    x = x.astype(np.float32).astype(np.float64)  # it fits in the precision that it is given
    weights = np.array([2, -1.5, 0.7, 0, 0, 0.4, 0, -0.2, 0])
    y = x @ weights + rng.logistic(0, 1, ROWS) > 3
    c = 0.05
    balanced = LogisticRegression(class_weight="balanced", tol=1e-12, max_iter=100_000).fit(x, y)
    # liblinear penalises its bias, saga does not.
    sparse = LogisticRegression(l1_ratio=1, C=c, class_weight="balanced", solver="saga", tol=1e-13, max_iter=1_000_000).fit(x, y)
    said = balanced.decision_function(x) > 0
    golden = {
        "x": x.tolist(),
        "y": y.tolist(),
        "balanced": {"weights": balanced.coef_[0].tolist(), "bias": float(balanced.intercept_[0])},
        "sparse": {"c": c, "weights": sparse.coef_[0].tolist(), "bias": float(sparse.intercept_[0])},
        "f1": f1_score(y, said),
    }
    with open("tests/golden/logistic.json", "w") as file:
        json.dump(golden, file)
        file.write("\n")


if __name__ == "__main__":
    main()
