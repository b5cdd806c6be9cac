"""Writes tests/golden/safetensors/python.safetensors with the reference implementation.

Run from the repository root: python tests/reference/make_safetensors_golden.py  (torch 2.13.0, safetensors 0.8.0)
"""
import torch
from safetensors.torch import save_file

values = torch.tensor([[0.0, -0.0, 1.0], [-2.5, 6.103515625e-05, 65504.0]])
subnormal = torch.tensor([5.960464477539063e-08, -3.0517578125e-05])
save_file(
    {
        "bfloat16": values.to(torch.bfloat16),
        "float16": values.to(torch.float16),
        "float32": values,
        "half_subnormals": subnormal.to(torch.float16),
        "int32": torch.tensor([-1, 2147483647], dtype=torch.int32),
        "int64": torch.tensor([7], dtype=torch.int64),
        "scalar": torch.tensor(3.25),
        "empty": torch.zeros(0, 4),
    },
    "tests/golden/safetensors/python.safetensors",
    metadata={"format": "pt", "note": "ä ▁"},
)
