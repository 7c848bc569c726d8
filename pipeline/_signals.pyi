import numpy as np

def measure(
    points: np.ndarray,
    classes: np.ndarray,
    traits: np.ndarray,
    lower: np.ndarray,
    stops: np.ndarray,
    firsts: np.ndarray,
    phrases: np.ndarray,
) -> tuple[bytes, bytes, bytes]: ...
