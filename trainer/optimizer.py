"""AdamW, and Muon for hidden matrices if wanted; the schedule of the learning rate; state as plain tensors.

Among several processes each keeps the moments of its share of the weights, updates these and sends them to the others
(the first stage of ZeRO), so that an optimizer's memory is shared out and every process ends with the same weights.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, distributed, nn

BETAS, EPSILON = (0.9, 0.999), 1e-6  # ELECTRA's; unlike its code, with Adam's bias correction
CLIP = 1.0  # largest norm of the gradient of all weights together
MOMENTUM = 0.95  # Muon's


def rate(step: int, steps: int, warmup: float, cooldown: float = 1.0) -> float:
    """Share of the peak learning rate in step `step`, from 0. It rises in the first `warmup` share of the steps and
    falls in the last `cooldown` share; in between it is constant. A fall right behind the rise is a line to 0 after
    the last step, a shorter one goes by 1 - sqrt (as with WSD, arXiv:2405.18392)."""
    rising = max(1, round(steps * warmup))
    if step < rising:
        return (step + 1) / rising
    falling = min(steps - rising, round(steps * cooldown))
    left = max(0.0, (steps - step) / max(1, falling))
    if left >= 1.0:
        return 1.0
    return left if falling == steps - rising else 1.0 - (1.0 - left) ** 0.5


def decays(weight: Tensor) -> bool:
    """Matrices decay; biases and LayerNorms do not."""
    return weight.ndim > 1


def is_hidden(name: str, weight: Tensor) -> bool:
    """Matrices inside the layers, which Muon is for; not embeddings, their projections, heads."""
    return weight.ndim == 2 and (".attentions." in name or ".feed_forwards." in name)


class Optimizer:
    """Updates of a model's weights. scale: share of the learning rate that each weight gets, by its name."""

    def __init__(
        self, model: nn.Module, decay: float, kind: str = "adamw", *, rank: int = 0, size: int = 1,
        scale: Callable[[str], float] = lambda _: 1.0,
    ):  # fmt: skip
        self.rank, self.size, self.muon = rank, size, kind == "muon"
        self.names = {n: w for n, w in model.named_parameters() if w.requires_grad}
        self.owner = shared_out({n: w.numel() for n, w in self.names.items()}, size)
        mine = {n: w for n, w in self.names.items() if self.owner[n] == rank}
        muon = [n for n, w in mine.items() if kind == "muon" and is_hidden(n, w)]
        self.parts: list[torch.optim.Optimizer] = []
        if muon:
            groups = _groups(mine, muon, decay, scale)
            self.parts.append(torch.optim.Muon(groups, lr=0.0, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw"))
        if others := [n for n in mine if n not in muon]:
            groups = _groups(mine, others, decay, scale)
            self.parts.append(torch.optim.AdamW(groups, lr=0.0, betas=BETAS, eps=EPSILON, fused=True))

    def update(self, learning_rate: float) -> tuple[Tensor, Tensor]:
        """Clip and step. Returns the gradient's norm before clipping and whether it was finite (no dimensions); if not,
        nothing changes. AdamW finds that out on the device, so that nobody waits for it."""
        length = nn.utils.clip_grad_norm_(self.names.values(), CLIP)
        finite = length < float("inf")  # false for NaN too
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = learning_rate * group["scale"]
            if isinstance(part, torch.optim.AdamW):
                vars(part)["found_inf"] = (~finite).float()  # what GradScaler hands to fused kernels
                part.step()
            elif finite:
                part.step()
        self._spread(self.names)
        self.clear()
        return length, finite

    def gather(self, total: Callable[[Tensor], Tensor]) -> None:
        """Every process gets the sum of all gradients. total: of a tensor, in place."""
        if self.size > 1:
            found = [w.grad for w in self.names.values() if w.grad is not None]
            whole = total(torch.cat([g.flatten() for g in found]))
            for gradient, part in zip(found, whole.split([g.numel() for g in found]), strict=True):
                gradient.copy_(part.view_as(gradient))

    def clear(self) -> None:
        """Forget the gradient."""
        for weight in self.names.values():
            weight.grad = None

    @torch.no_grad()
    def _spread(self, tensors: Mapping[str, Tensor]) -> None:
        """Every process takes each tensor as its owner has it."""
        if self.size > 1:
            for name, tensor in tensors.items():
                distributed.broadcast(tensor.detach(), self.owner[name])

    def moments(self) -> dict[str, Tensor]:
        """The state under the names of the weights: 'mean.<name>' and 'square.<name>', or 'momentum.<name>', and
        'updates' (1,). All processes must call it; the first one gets it."""
        own: dict[str, dict] = {n: {} for n in self.names}
        for part in self.parts:
            own |= {n: part.state[w] for n, w in self.names.items() if part.state.get(w)}
        steps = max([float(s["step"]) for s in own.values() if "step" in s], default=0.0)
        updates = torch.tensor([steps], device=next(iter(self.names.values())).device)
        if self.size > 1:
            distributed.all_reduce(updates, distributed.ReduceOp.MAX)
        found = {"updates": updates.cpu()}
        for name, weight in self.names.items():
            for kind, key in self._kinds(name, weight):
                moment = own[name].get(key, torch.zeros_like(weight))
                if self.size > 1:
                    moment = moment.clone()
                    distributed.broadcast(moment, self.owner[name])
                if self.rank == 0:
                    found[f"{kind}.{name}"] = moment
        return found

    def _kinds(self, name: str, weight: Tensor) -> tuple[tuple[str, str], ...]:
        if self.muon and is_hidden(name, weight):
            return (("momentum", "momentum_buffer"),)
        return (("mean", "exp_avg"), ("square", "exp_avg_sq"))

    def restore(self, saved: dict[str, Tensor]) -> None:
        """The inverse of `moments`, for this process's share."""
        for part in self.parts:
            for group in part.param_groups:
                for weight in group["params"]:
                    self._restore(part, weight, saved)

    def _restore(self, part: torch.optim.Optimizer, weight: Tensor, saved: dict[str, Tensor]) -> None:
        name = next(n for n, w in self.names.items() if w is weight)
        state = {
            key: saved[f"{kind}.{name}"].to(weight.device)
            for kind, key in self._kinds(name, weight)
            if f"{kind}.{name}" in saved
        }
        if state and "exp_avg" in state:
            state["step"] = saved["updates"].reshape(()).clone().to(weight.device)
        if state:
            part.state[weight] = state


def _groups(weights: Mapping[str, Tensor], names: Iterable[str], decay: float, scale: Callable[[str], float]) -> list:
    """Weights of the same decay and the same share of the rate together, in the order of their names."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name in names:
        groups.setdefault((decay if decays(weights[name]) else 0.0, scale(name)), []).append(weights[name])
    return [{"params": g, "weight_decay": d, "scale": s} for (d, s), g in groups.items()]


def shared_out(sizes: dict[str, int], count: int) -> dict[str, int]:
    """Name -> process: the largest first, each to the one that has least so far."""
    load, owner = [0] * count, {}
    for name in sorted(sizes, key=lambda n: (-sizes[n], n)):
        owner[name] = load.index(min(load))
        load[owner[name]] += sizes[name]
    return owner
