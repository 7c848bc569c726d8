import lzma
import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
# The same cases in every run and no limit on the time of one, so that a busy machine fails no test; to look for new
# ones: HYPOTHESIS_PROFILE=search
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.register_profile("search", max_examples=2000, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("no shared/data beside the checkout")
    return SHARED


@pytest.fixture(scope="session", params=["train-text.tsv.xz", "ntrex-dev.tsv.xz", "word-frequencies.tsv.xz"])
def real_rows(request, shared) -> list[str]:
    """Every 40th row of the texts of every script there is; measuring only, nothing is trained on them."""
    with lzma.open(shared / "language" / request.param, "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n") for k, line in enumerate(file) if k % 40 == 0]
    assert len(rows) > 3000
    return rows
