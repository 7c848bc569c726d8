import numpy as np

def permute(index: np.ndarray, counts: np.ndarray, seeds: np.ndarray, /) -> bytes: ...
def fill(
    tokens: np.ndarray, size: int, offsets: np.ndarray, ends: np.ndarray,
    rows: np.ndarray, begins: np.ndarray, lengths: np.ndarray, coins: np.ndarray, order: bool,
    width: int, batch: int,
    out_tokens: np.ndarray, out_sequences: np.ndarray, out_positions: np.ndarray, out_types: np.ndarray, /,
) -> bytes: ...  # fmt: skip
def gather(
    shards: tuple[np.ndarray, ...], size: int, which: np.ndarray, begins: np.ndarray, width: int, out: np.ndarray, /
) -> None: ...
def places(
    inside: np.ndarray, bases: np.ndarray, counts: np.ndarray, seeds: np.ndarray, passes: np.ndarray,
    ends: np.ndarray, order: np.ndarray, sizes: np.ndarray, single: np.ndarray, numbers: np.ndarray,
    slots: np.ndarray, width: int, /,
) -> bytes: ...  # fmt: skip
