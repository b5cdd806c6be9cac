"""A peer as a child process: it says what it is, then answers one line of JSON with one line of JSON, and sleeps in between.

    in    {"variant": "groups", "count": 3}
    out   {"seconds": 0.42}                     for all three together
"""

import json
import sys
import time
from typing import Callable

import torch


def use_threads(threads: int) -> torch.device:
    """Takes the GPU where PyTorch has one, else so many threads of the CPU."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def serve(variants: dict[str, Callable[[], None]], device: torch.device) -> None:
    """Answers until stdin ends. Each variant is run twice beforehand: allocators, thread pools and autotuners settle."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    for run in variants.values():
        run()
        run()
        wait()
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(json.dumps({"peer": f"PyTorch {torch.__version__}, {name}", "variants": list(variants)}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        run = variants[request["variant"]]
        wait()
        begun = time.perf_counter()
        for _ in range(request["count"]):
            run()
        wait()
        print(json.dumps({"seconds": time.perf_counter() - begun}), flush=True)
