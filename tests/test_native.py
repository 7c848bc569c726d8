"""The compiled halves under AddressSanitizer and UBSan: no bytes make them read or write where nothing is."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for name in ("pipeline", "tokenizer", "trainer") for path in (ROOT / name).glob("_*.c"))
FLAGS = ["-std=c11", "-g", "-O1", "-fPIC", "-shared", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]


@pytest.mark.slow
def test_hostile_bytes_under_sanitizers(tmp_path):
    asked = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    asan = asked.stdout.strip()
    if not os.path.isabs(asan):
        pytest.skip("gcc has no AddressSanitizer here")
    include = sysconfig.get_paths()["include"]
    for source in SOURCES:
        command = ["gcc", *FLAGS, "-I", include, str(source), "-o", str(tmp_path / f"{source.stem}.abi3.so")]
        subprocess.run(command, check=True)
    environment = {**os.environ, "LD_PRELOAD": asan, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
    environment["PYTHONPATH"] = str(ROOT)
    child = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "hostile_bytes.py"), str(tmp_path), "4000"],
        capture_output=True, text=True, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert child.stdout == "sound\n", child.stderr[-2000:]
