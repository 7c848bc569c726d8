"""Linear maps as a product of two thin ones, W = U V^T: fewer weights and operations where rank < in*out / (in+out).

(ALBERT factorizes its embeddings only; this is the same idea for the layers.)
"""

import torch
from torch import Tensor, nn

from corpus.terminal import UserError


class LowRank(nn.Module):
    """(..., inputs) -> (..., outputs) through `rank`."""

    def __init__(self, inputs: int, outputs: int, rank: int):
        super().__init__()
        self.down = nn.Linear(inputs, rank, bias=False)  # V^T
        self.up = nn.Linear(rank, outputs)  # U

    def forward(self, states: Tensor) -> Tensor:
        return self.up(self.down(states))

    @torch.no_grad()
    def approach(self, weight: Tensor) -> None:
        """Take the best approximation of `weight` (outputs, inputs) of this rank: its singular value decomposition,
        cut off, half of each singular value on either side. Of a freshly drawn matrix this is spectral
        initialization (arXiv:2105.01029): the product starts with the spectrum of an ordinary layer."""
        rank = self.down.out_features
        u, s, v = torch.linalg.svd(weight.double(), full_matrices=False)
        root = s[:rank].sqrt()
        self.up.weight.copy_(u[:, :rank] * root)
        self.down.weight.copy_(root[:, None] * v[:rank])

    @property
    def weight(self) -> Tensor:
        """The product (outputs, inputs)."""
        return self.up.weight @ self.down.weight

    @property
    def bias(self) -> Tensor:
        return self.up.bias


def linear(inputs: int, outputs: int, rank: int) -> nn.Linear | LowRank:
    """rank: 0 for a full matrix. Errors: UserError if the factors would be no smaller."""
    if not rank:
        return nn.Linear(inputs, outputs)
    if rank * (inputs + outputs) >= inputs * outputs:
        most = (inputs * outputs - 1) // (inputs + outputs)
        raise UserError(f"--shape: rank={rank} saves nothing in a map {inputs} -> {outputs}; give {most} or less")
    return LowRank(inputs, outputs, rank)
