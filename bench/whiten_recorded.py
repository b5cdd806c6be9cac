"""What linear algebra alone makes of recorded activations: the best linear map's FVU, and a whitened source to train on.

usage: python bench/whiten_recorded.py DIRECTORY SOURCE TARGET     (numpy, safetensors; DIRECTORY from record_activations.py)

Fits on train.*, measures on validation.*. Prints FVU and unit-variance FVU of y ~ x A + b (ridge 1e-6 of the mean variance) and the shares of the target's
variance in its top 1, 5 and 20 dimensions; writes {train,validation}.SOURCE_whitened.safetensors, x W with W = (C + 3 % of the mean eigenvalue)^-1/2.
"""
import sys
import numpy as np
from safetensors.numpy import load_file, save_file

directory, source, target = sys.argv[1:]
read = lambda split, tap: load_file(f"{directory}/{split}.{tap}.safetensors")["x"]
x, y = read("train", source).astype(np.float64), read("train", target).astype(np.float64)
x_mean, y_mean = x.mean(0), y.mean(0)
spread = np.where(x.std(0) > 0, x.std(0), 1)  # a gain of 0 leaves a dimension constant
gram = ((x - x_mean) / spread).T @ ((x - x_mean) / spread) / len(x)
cross = ((x - x_mean) / spread).T @ (y - y_mean) / len(x)
matrix = np.linalg.solve(gram + 1e-6 * np.eye(len(gram)), cross)
held_x, held_y = read("validation", source), read("validation", target).astype(np.float64)
residual = ((held_x - x_mean) / spread) @ matrix + y_mean - held_y
lost, variance = (residual**2).sum(0), ((held_y - held_y.mean(0)) ** 2).sum(0)
shares = np.cumsum(np.sort(variance)[::-1]) / variance.sum()
print(f"{source} -> {target}: linear map FVU {lost.sum() / variance.sum():.4f}, unit variance {(lost / variance).mean():.4f}; "
      f"top 1, 5, 20 dimensions hold {shares[0]:.3f}, {shares[4]:.3f}, {shares[19]:.3f} of the target's variance")

eigenvalues, vectors = np.linalg.eigh(np.cov(x.T))
whiten = vectors @ np.diag((eigenvalues + 0.03 * eigenvalues.mean()) ** -0.5) @ vectors.T
for split in ("train", "validation"):
    save_file({"x": ((read(split, source) - x_mean) @ whiten).astype(np.float32)}, f"{directory}/{split}.{source}_whitened.safetensors")
