"""Packages `corpus`, `pipeline`, `tokenizer`, `trainer`. The base install is what a Beam worker needs: no torch."""

from glob import glob

from setuptools import Extension, setup

NATIVE = (
    "words",
    "blocks",
    "block_features",
    "duplicates",
    "hints",
    "language",
    "signals",
    "text",
)
"""Modules with a compiled half, pipeline/_NAME.c: loops over characters that arrays of numpy do not express."""


def extension(name: str, package: str = "pipeline") -> Extension:
    # No contraction of a * b + c: sums of doubles must come out alike on every processor.
    flags = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra"]
    return Extension(
        f"{package}._{name}",
        [f"{package}/_{name}.c"],
        depends=sorted(glob("pipeline/*.h")),
        extra_compile_args=flags,
        py_limited_api=True,
    )


setup(
    name="crawlmill",
    version="0.1.0",
    description="From web crawl to pretrained multilingual encoder",
    license="Apache-2.0 AND CC-BY-SA-4.0",  # the second: pipeline/models/language*.bin
    python_requires=">=3.11,<3.14",
    packages=["corpus", "pipeline", "tokenizer", "trainer"],
    package_data={
        "pipeline": ["*.tsv", "models/*", "*.pyi", "*.c", "*.h"],
        "tokenizer": ["*.pyi", "*.c"],
        "trainer": ["*.pyi", "*.c"],
    },
    ext_modules=[
        *(extension(name) for name in NATIVE),
        extension("pieces", "tokenizer"),
        extension("windows", "trainer"),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
    install_requires=[
        "apache-beam>=2.77,<3",
        "brotli>=1.1",
        "can_ada>=3.0",
        "chardet>=7.7",
        "chardetng-py>=0.3.5",
        "fasttext-community>=0.11.9",
        "ftfy>=6.3.1",
        "google-re2>=1.1",
        "numpy>=2.0",
        "pyarrow>=14.0.1",
        "regex>=2024.11",
        "resiliparse>=2.0.1",
        "sentencepiece>=0.2.3",
        "xxhash>=3.5",
        "zlib-ng>=1.0",
        "zstandard>=0.23",
    ],
    extras_require={
        "train": ["safetensors>=0.5", "torch>=2.10"],
        "gcp": ["apache-beam[gcp]>=2.77,<3"],
        "s3": ["apache-beam[aws]>=2.77,<3"],
        "export": ["onnx>=1.18", "onnxruntime>=1.22", "onnxscript>=0.5", "transformers>=5.0"],
        "trafilatura": ["trafilatura>=2.3"],
        "content": ["lightgbm>=4.6"],
        "dev": [
            *(
                "build",
                "fastwarc>=2.0.1",
                "hypothesis>=6.130",
                "msgpack>=1.1",
                "mypy>=1.15",
                "pytest>=8.3",
                "ruff>=0.11",
            ),
            "uv>=0.5",
        ],
    },
    entry_points={"console_scripts": ["crawlmill=pipeline.__main__:main"]},
)
