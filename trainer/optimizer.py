"""AdamW with a linear warm-up and a linear decay, and its state as plain tensors."""

import torch
from torch import Tensor, nn

BETAS, EPSILON = (0.9, 0.999), 1e-6  # ELECTRA's; unlike its code, with Adam's bias correction
CLIP = 1.0  # largest norm of the gradient of all weights together


def rate(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate in step `step`, from 0: rises in the first `warmup` share of the steps, then
    falls in a line to 0 after the last one."""
    rising = max(1, round(steps * warmup))
    if step < rising:
        return (step + 1) / rising
    return max(0.0, (steps - step) / max(1, steps - rising))


def make(model: nn.Module, decay: float) -> torch.optim.AdamW:
    """Matrices decay; biases and LayerNorms do not."""
    weights = list(model.parameters())
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = next(model.parameters()).is_cuda
    return torch.optim.AdamW(groups, lr=0.0, betas=BETAS, eps=EPSILON, fused=fused)


def update(optimizer: torch.optim.AdamW, model: nn.Module, learning_rate: float) -> tuple[float, bool]:
    """Clip and step. Returns the gradient's norm before clipping and whether it was finite; if not, nothing changes."""
    length = float(nn.utils.clip_grad_norm_(model.parameters(), CLIP))
    finite = length < float("inf")  # false for NaN too
    if finite:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return length, finite


def moments(optimizer: torch.optim.AdamW, model: nn.Module) -> dict[str, Tensor]:
    """The optimizer's state under the names of the weights: 'mean.<name>', 'square.<name>', 'updates' (1,)."""
    found = {"updates": torch.zeros(1)}
    for name, weight in model.named_parameters():
        state = optimizer.state.get(weight)
        if state:
            found["updates"] = state["step"].detach().reshape(1).cpu()
            found[f"mean.{name}"], found[f"square.{name}"] = state["exp_avg"], state["exp_avg_sq"]
    return found


def restore(optimizer: torch.optim.AdamW, model: nn.Module, saved: dict[str, Tensor]) -> None:
    """The inverse of `moments`."""
    for name, weight in model.named_parameters():
        if f"mean.{name}" in saved:
            step = saved["updates"].reshape(()).clone()
            optimizer.state[weight] = {
                "step": step.to(weight.device) if weight.is_cuda else step,
                "exp_avg": saved[f"mean.{name}"].to(weight.device),
                "exp_avg_sq": saved[f"square.{name}"].to(weight.device),
            }
