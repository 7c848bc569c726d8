"""The whole way in one script: onnxruntime ends with the labels that torch gave."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_from_crawl_to_onnxruntime(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "OUT": str(tmp_path / "out"), "STEPS": "40", "PATH": path}
    told = subprocess.run(
        ["sh", str(ROOT / "examples" / "encoder.sh")], env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr[-3000:]
    assert "onnxruntime gives the labels that torch gave, 12 of 12" in told.stdout
    assert (tmp_path / "out" / "model" / "report.html").exists()
