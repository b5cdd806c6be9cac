"""The training step of a Matryoshka transcoder as a good PyTorch user would write it: dense, autograd, fused Adam.

method.md's mathematics: exact batch top-k over the whole batch, the nested loss of all prefixes, the decoder's gradient
projected and its rows normalised after Adam, the running inference threshold, the count of inactive tokens. No feature is
dead, so the auxiliary loss is skipped, as it is in mtc.

    python transcoder.py '{"width": 2304, "groups": [1152, 2304, 1152], "k": 48, "tokens": 1024, "threads": 2}'
"""

import json
import sys
from itertools import accumulate

import torch
import torch.nn.functional as F
from protocol import serve, use_threads


class Transcoder:
    def __init__(self, device: torch.device, width: int, groups: list[int], k: int, tokens: int) -> None:
        features = sum(groups)
        def parameter(*shape: int) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.randn(*shape, device=device) * width**-0.5)
        self.encoder, self.decoder = parameter(features, width), parameter(features, width)
        self.encoder_bias = torch.nn.Parameter(torch.zeros(features, device=device))
        self.decoder_bias = torch.nn.Parameter(torch.zeros(width, device=device))
        parameters = [self.encoder, self.decoder, self.encoder_bias, self.decoder_bias]
        self.optimizer = torch.optim.Adam(parameters, lr=3e-4, betas=(0.9, 0.99), eps=1e-8, fused=True)
        self.groups, self.k = groups, k
        self.inactive = torch.zeros(features, dtype=torch.int64, device=device)
        self.threshold = torch.zeros((), device=device)
        self.x, self.y = torch.randn(tokens, width, device=device), torch.randn(tokens, width, device=device)

    def encode(self) -> torch.Tensor:
        """[tokens, features]: the k * tokens largest activations of the batch, the rest 0."""
        activations = F.relu(F.linear(self.x, self.encoder, self.encoder_bias)).flatten()
        kept = activations.topk(self.k * len(self.x), sorted=False)
        with torch.no_grad():
            self.threshold.lerp_(kept.values.min(), 0.01)
        return torch.zeros_like(activations).scatter(0, kept.indices, kept.values).view(len(self.x), -1)

    def loss_of_prefixes(self, features: torch.Tensor) -> torch.Tensor:
        """Each prefix decoded on its own, as the formula says."""
        ends = accumulate(self.groups)
        losses = [F.mse_loss(F.linear(features[:, :e], self.decoder[:e].T, self.decoder_bias), self.y) for e in ends]
        return sum(losses) / len(losses)

    def loss_of_groups(self, features: torch.Tensor) -> torch.Tensor:
        """Each group decoded once; a prefix is the sum of its groups."""
        reconstruction, loss = self.decoder_bias, 0.0
        for part, rows in zip(features.split(self.groups, 1), self.decoder.split(self.groups)):
            reconstruction = torch.addmm(reconstruction, part, rows)
            loss = loss + F.mse_loss(reconstruction, self.y)
        return loss / len(self.groups)

    def step(self, loss_of) -> None:
        features = self.encode()
        loss = loss_of(features)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        with torch.no_grad():
            rows, gradient = self.decoder, self.decoder.grad
            gradient -= (gradient * rows).sum(1, keepdim=True) * rows
        self.optimizer.step()
        with torch.no_grad():
            self.decoder /= self.decoder.norm(dim=1, keepdim=True)
            self.inactive += len(self.x)
            self.inactive[features.any(0)] = 0


options = json.loads(sys.argv[1])
device = use_threads(options.pop("threads"))
transcoder = Transcoder(device, **options)
variants = {
    "each prefix decoded": lambda: transcoder.step(transcoder.loss_of_prefixes),
    "each group decoded once": lambda: transcoder.step(transcoder.loss_of_groups),
}
serve(variants, device)
