"""Kept text for other tools: what is in it, and that others can open it."""

import gzip
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpus.terminal import UserError
from pipeline import export, publication, steps
from pipeline.__main__ import main
from pipeline.local import Local
from tests import crawl, key_folder
from tests.test_choice import article


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """Twelve pages on two sites with a menu, three of them copies, in two languages."""
    given = [
        {
            "text": "Home and menu\n" + " ".join(article(min(k, 9))) + f"\nend {min(k, 9)}",
            "url": f"https://s{k % 2}.example/{k}",
            "language": "fin_Latn" if k % 3 == 0 else "eng_Latn",
        }
        for k in range(12)
    ]
    path = key_folder.write(tmp_path_factory.mktemp("export") / "out", given, 3)
    key_folder.select(path, site_lines=3, validation=0.6, seed=4)
    return path


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_what_is_kept_is_exported_without_left_out_lines(base, tmp_path, form):
    assert main(["export", str(base), "--format", form, "--to", str(tmp_path / "x"), "--workers", "1", "--quiet"]) == 0
    rows = []
    for path in sorted((tmp_path / "x").rglob(f"*.{export.SUFFIX[form]}")):
        split = "validation" if path.name.startswith("validation-") else "train"
        found = pq.read_table(path).to_pylist() if form == "parquet" else read(path)
        rows += [{**r, "split": split, "folder": path.parent.name} for r in found]
    wanted = key_folder.rows(base, "id", "verdict", "language", "validation", "text", "cluster_size")
    kept = {r["id"].hex(): r for r in wanted if r["verdict"] == 0}
    assert {r["id"] for r in rows} == set(kept)
    assert len(rows) == len(kept) == 10
    for row in rows:
        whole = kept[row["id"]]
        assert row["folder"] == row["language"] == whole["language"]
        assert row["split"] == ("validation" if whole["validation"] else "train")
        assert row["text"] == whole["text"].partition("\n")[2], "the menu is left out"
        assert row["duplicates"] == whole["cluster_size"]
    assert {r["split"] for r in rows} == {"train", "validation"}


def read(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_same_bytes_for_any_number_of_workers(base, tmp_path, form):
    found = []
    for workers in (0, 2):
        job = export.Job(str(base), str(tmp_path / str(workers)), form, "")
        publication.run_export(job, Local(workers, quiet=True), steps.Options(str(base)))
        found.append(crawl.digests(tmp_path / str(workers)))
    assert found[0] == found[1]
    assert len(found[0]) > 4


def test_the_card_names_what_lies_there(base, tmp_path):
    job = export.Job(str(base), str(tmp_path / "x"), "parquet", "")
    publication.run_export(job, Local(0, quiet=True), steps.Options(str(base)))
    text = (tmp_path / "x" / "README.md").read_text()
    head = text.split("---\n")[1]
    assert "- config_name: eng_Latn\n  data_files:\n  - split: train\n    path: eng_Latn/train-*.parquet" in head
    assert "license:" in head
    assert "tokens/" not in text
    assert 'load_dataset("PATH/OF/THIS/FOLDER", "eng_Latn", split="train")' in text


def test_another_format_takes_the_place_of_the_first(base, tmp_path):
    for form in ("parquet", "jsonl"):
        job = export.Job(str(base), str(tmp_path / "x"), form, "")
        publication.run_export(job, Local(0, quiet=True), steps.Options(str(base)))
    assert {p.name.partition(".")[2] for p in (tmp_path / "x").rglob("*-*.*")} == {"jsonl.gz"}


def test_a_folder_of_something_else_is_refused(base, tmp_path):
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else"):
        publication.run_export(
            export.Job(str(base), str(tmp_path), "parquet", ""), Local(0, quiet=True), steps.Options(str(base))
        )


def test_others_open_it(base, tmp_path):
    """pandas reads the files, datasets finds languages and splits by the card."""
    pandas, datasets = pytest.importorskip("pandas"), pytest.importorskip("datasets")
    for form in ("parquet", "jsonl"):
        target = tmp_path / form
        publication.run_export(
            export.Job(str(base), str(target), form, ""), Local(0, quiet=True), steps.Options(str(base))
        )
        files = sorted(target.glob("eng_Latn/train-*"))
        frames = [pandas.read_parquet(p) if form == "parquet" else pandas.read_json(p, lines=True) for p in files]
        loaded = datasets.load_dataset(str(target), "eng_Latn", cache_dir=str(tmp_path / "cache"))
        assert loaded["train"].num_rows == sum(map(len, frames)) > 0
        assert set(loaded["train"].column_names) == set(export.EXPORTED.names)
