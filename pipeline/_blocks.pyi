import numpy as np

TAGS: str
BUCKETS: int

def read(page: bytes, characters: np.ndarray, references: bytes, starts: np.ndarray) -> tuple[bytes, ...]: ...
