"""The rules of the house, kept: who may import whom, what help must not load, how much there may be."""

import ast
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from corpus.settings import SECTIONS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("corpus", "pipeline", "tokenizer", "trainer")
ALLOWED = {
    "corpus": {"corpus"},
    "tokenizer": {"tokenizer", "corpus"},
    "pipeline": {"pipeline", "tokenizer", "corpus"},
    "trainer": {"trainer", "tokenizer", "corpus"},
}
HEAVY = {  # library: where it may be imported
    "apache_beam": {"pipeline/flow.py"},
    "torch": {"trainer/"},
    "sentencepiece": {"tokenizer/vocabulary.py"},
    "argparse": {"corpus/settings.py", "__main__.py"},
}
FILES = sorted(p for name in PACKAGES for p in (ROOT / name).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def at_import(path: Path) -> set[str]:
    """First names of the modules that are loaded when the file is: not those inside functions."""
    tree = ast.parse(path.read_text())
    inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    found = set()
    for node in ast.walk(tree):
        if id(node) not in inside and isinstance(node, ast.Import | ast.ImportFrom):
            found |= {a.name for a in node.names} if isinstance(node, ast.Import) else {str(node.module)}
    return {name.split(".")[0] for name in found}


def test_packages_import_only_downwards():
    wrong = [
        (str(path.relative_to(ROOT)), name)
        for path in FILES
        for name in imported(path)
        if name.split(".")[0] in PACKAGES
        and name.split(".")[0] not in ALLOWED[path.relative_to(ROOT).parts[0]]
    ]  # fmt: skip
    assert wrong == []


@pytest.mark.parametrize("library", HEAVY)
def test_heavy_libraries_stay_where_they_are(library):
    places = {str(p.relative_to(ROOT)) for p in FILES if library in {n.split(".")[0] for n in imported(p)}}
    assert places, "or the rule would be about nothing"
    assert [p for p in places if not any(p.startswith(place) or p.endswith(place) for place in HEAVY[library])] == []


def test_no_module_imports_itself_in_a_circle():
    """At import time, that is; functions may."""
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in FILES}
    graph = {}
    for name, path in names.items():
        tree = ast.parse(path.read_text())
        inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
        found = set()
        for node in ast.walk(tree):
            if id(node) in inside:
                continue
            if isinstance(node, ast.ImportFrom):
                found |= {str(node.module), *(f"{node.module}.{a.name}" for a in node.names)}
            elif isinstance(node, ast.Import):
                found |= {a.name for a in node.names}
        graph[name] = found & set(names)
    while free := [n for n, needs in graph.items() if not needs]:
        graph = {n: needs - set(free) for n, needs in graph.items() if n not in free}
    assert graph == {}


def test_init_files_are_empty():
    assert [p for name in PACKAGES if (p := ROOT / name / "__init__.py").read_text() != ""] == []


def test_no_files_of_odds_and_ends():
    odd = ("util", "helper", "common", "misc", "manager", "handler", "core")
    assert [p.name for p in FILES if any(word in p.stem for word in odd)] == []


def test_files_and_functions_are_short():
    assert [(str(p.relative_to(ROOT)), n) for p in FILES if (n := len(p.read_text().splitlines())) > 400] == []
    long = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                length = node.end_lineno - node.lineno + 1
                long += [(str(path.relative_to(ROOT)), node.name, length)] if length > 60 else []
    assert long == []


def test_there_are_at_most_sixty_settings():
    assert sum(len(dataclasses.fields(section)) for section in SECTIONS.values()) <= 60


def test_the_code_that_decides_bytes_is_in_the_fingerprint():
    """Every module of ours that extract imports, by whatever way, is one whose change makes parts stale."""
    from pipeline import extract

    silent = {"items.py", "cluster.py", "extract.py", "settings.py", "storage.py", "terminal.py"}
    listed = {name.rpartition("/")[2] for name in extract._SOURCES}
    seen, waiting = set(), [ROOT / "pipeline" / "extract.py"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in imported(path):
            head, _, tail = name.partition(".")
            found = ROOT / head / f"{tail.split('.')[0]}.py"
            if head in ("pipeline", "corpus") and found.exists() and found.name not in silent:
                waiting.append(found)
            seen |= {found.with_suffix(".c")} if found.with_suffix(".c").exists() else set()
    assert {p.name for p in seen} - listed == set()


LOADED = """
import sys
from {package}.__main__ import main
try:
    main({arguments})
except SystemExit:
    pass
print("|".join(m for m in sys.modules if "." not in m), file=sys.stderr)
"""


@pytest.mark.parametrize("package", ["pipeline", "tokenizer", "trainer"])
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["COMMAND", "--help"], ["nonsense"]], ids=" ".join)
def test_help_loads_nothing_heavy(package, arguments):
    command = {"pipeline": "extract", "tokenizer": "train", "trainer": "pretrain"}[package]
    arguments = [a.replace("COMMAND", command) for a in arguments]
    child = subprocess.run(
        [sys.executable, "-c", LOADED.format(package=package, arguments=arguments)],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    loaded = set(child.stderr.splitlines()[-1].split("|"))
    assert "argparse" in loaded
    assert loaded.isdisjoint({"apache_beam", "torch", "pyarrow", "numpy", "sentencepiece", "resiliparse", "fasttext"})


@pytest.mark.parametrize("package", ["pipeline", "tokenizer", "trainer"])
def test_help_comes_at_once(package):
    """In under a third of a second of CPU, the best of three: the machine may have other work."""
    times = []
    for _ in range(3):
        begun = sum(os.times()[2:4])
        subprocess.run([sys.executable, "-m", package, "--help"], stdout=subprocess.DEVNULL, check=True, cwd=ROOT)
        times.append(sum(os.times()[2:4]) - begun)
    assert min(times) < 0.3


def test_what_workers_run_loads_no_beam():
    code = "import sys, pipeline.extract, pipeline.select, pipeline.tokenize, pipeline.__main__; print(*sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert {"apache_beam", "torch", "transformers"}.isdisjoint(child.stdout.split())


def test_nothing_names_the_place_it_was_made_in():
    """Paths of one machine have no place in what others clone; tests may make up paths."""
    words = ["/" + "work/main", "/" + "work/shared", "/" + "root/"]
    ours = [*PACKAGES, "tests", "benchmarks", "examples"]
    files = [p for name in ours for p in (ROOT / name).rglob("*") if p.suffix in (".py", ".md", ".sh", ".tsv", ".json")]
    files += [p for p in ROOT.iterdir() if p.suffix in (".py", ".md", ".toml", ".txt") or p.name == "Makefile"]
    assert len(files) > 50
    found = [(str(p.relative_to(ROOT)), w) for p in files for w in words if w in p.read_text(errors="replace")]
    assert found == []
