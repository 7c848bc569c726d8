import numpy as np

def rank(
    points: np.ndarray,
    spans: np.ndarray,
    fold: np.ndarray,
    classes: np.ndarray,
    scripts: np.ndarray,
    tables: np.ndarray,
    weights: np.ndarray,
    biases: np.ndarray,
    decay: np.ndarray,
    scale: int,
    half: int,
    ground: int,
    most: int,
    /,
) -> bytes: ...
def features(points: np.ndarray, fold: np.ndarray, scripts: int, bits: int, /) -> bytes: ...
def plain(points: np.ndarray, /) -> bytes: ...
