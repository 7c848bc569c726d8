"""Token shards -> model."""

import numpy as np

from corpus.terminal import amount, duration
from trainer import loop
from trainer.goal import pretraining
from trainer.log import Log
from trainer.plan import Plan
from trainer.run import Run


def pretrain(
    planned: Plan, output: str, *, limit: int | None = None, quiet: bool = False, vocabulary: str = "",
    tensorboard: bool = False,
) -> int:  # fmt: skip
    """Train, or go on training; see loop.train."""
    return loop.train(
        planned, output, pretraining, _summary, limit=limit, quiet=quiet, vocabulary=vocabulary,
        tensorboard=tensorboard,
    )  # fmt: skip


def _summary(run: Run, log: Log, steps: int, seconds: float) -> list[str]:
    """Five lines: what was done, what to run next."""
    s, f = run.settings, log.latest
    parts = {
        "generator": (("loss", "generator_loss", ".3f"), ("accuracy", "generator_accuracy", ".1%")),
        "discriminator": (
            ("loss", "discriminator_loss", ".4f"),
            ("AUC", "auc", ".3f"),
            ("precision", "precision", ".1%"),
            ("recall", "recall", ".1%"),
            ("order", "order_accuracy", ".1%"),
        ),
    }
    told = {
        part: ", ".join(f"{word} {f[name]:{form}}" for word, name, form in figures if f.get(name) is not None)
        for part, figures in parts.items()
    }
    best = f"best at step {run.state.best_step:,}, loss {run.state.best_loss:.3f}"
    return [
        f"{run.output}: step {run.state.step:,} of {s.steps:,}; {steps:,} steps in {duration(seconds)}"
        + (f", {amount(round(steps * s.batch * s.sequence / seconds))} tokens/s" if steps else ""),
        f"generator: {told['generator']} (a blind guess loses {np.log(run.plan.config.vocabulary):.3f} nats)",
        f"discriminator: {told['discriminator'] or 'none'}",
        f"validation: {best}" if run.state.best_step else "validation: none yet",
        f"next: python -m trainer report {run.output}",
    ]
