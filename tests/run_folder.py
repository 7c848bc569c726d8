"""What a run leaves: its last checkpoint, its log without what differs from run to run."""

import json
from pathlib import Path

from trainer import checkpoint
from trainer.checkpoint import MODEL, OPTIMIZER, STATE
from trainer.log import FILE as LOG
from trainer.log import SPEED


def last(output) -> Path:
    return checkpoint.listed(str(output))[-1]


def lines(output, split="training") -> list[dict]:
    found = map(json.loads, (Path(output) / LOG).read_text().splitlines())
    return [{k: v for k, v in line.items() if k not in SPEED} for line in found if line["split"] == split]


def same(one, two) -> bool:
    return all((last(one) / n).read_bytes() == (last(two) / n).read_bytes() for n in (MODEL, OPTIMIZER, STATE))
