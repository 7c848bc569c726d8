"""Token shards hold the selected documents, each once, without the lines that are left out, under their addresses."""

import shutil
from pathlib import Path

import corpus_folder
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus import document, settings, shards
from corpus.document import DOCUMENT, SELECTION
from corpus.terminal import StepError
from pipeline import lines, steps, tokenize
from pipeline.folder import documents_of
from pipeline.local import Local
from pipeline.runs import Run
from tokenizer.vocabulary import Vocabulary


@pytest.fixture(scope="session")
def root(tmp_path_factory) -> Path:
    return corpus_folder.build(tmp_path_factory.getbasetemp())


def addressed(folder: Path) -> dict[tuple[str, bool, int], dict[tuple[int, int], list[int]]]:
    """kind -> address -> tokens, of all shards."""
    found: dict = {}
    for info in shards.read_manifest(str(folder)).shards:
        shard = shards.open_shard(str(folder / info.path))
        documents = np.split(shard.tokens, shard.offsets[1:-1])
        places = zip(shard.parts.tolist(), shard.rows.tolist(), strict=True)
        one = {place: tokens.tolist() for place, tokens in zip(places, documents, strict=True)}
        assert len(one) == info.documents
        kind = found.setdefault((info.language, info.validation, info.copies), {})
        assert not one.keys() & kind.keys()
        kind.update(one)
    return found


def test_every_selected_document_is_in_one_shard_with_its_text(root):
    folder = root / "tokens"
    vocabulary = Vocabulary.load(str(folder / "vocabulary"))
    expected: dict = {}
    plan, _ = documents_of(str(folder))
    for part, item in enumerate(plan):
        texts = pq.read_table(folder / "documents" / item.part, columns=["text", "language"]).to_pylist()
        chosen = pq.read_table(folder / "selection" / item.part).to_pylist()
        for row, (text, choice) in enumerate(zip(texts, chosen, strict=True)):
            if choice["copies"]:
                kept = lines.leave_out(text["text"], choice["lines_out"])
                kind = expected.setdefault((text["language"], choice["validation"], choice["copies"]), {})
                kind[part, row] = vocabulary.encode([kept])[0].tolist()
    assert addressed(folder / "tokens") == expected
    assert len(expected) > 5


def test_without_beam_the_bytes_are_the_same(root, tmp_path):
    shutil.copytree(root / "tokens", tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "tokens")
    steps.run_tokenize(settings.Tokenize(), Local(0, quiet=True), steps.Options(str(tmp_path / "out")))
    files = {p.relative_to(tmp_path / "out"): p for p in (tmp_path / "out" / "tokens").rglob("*.*")}
    assert len(files) > 5
    for name, path in files.items():
        assert path.read_bytes() == (root / "tokens" / name).read_bytes(), name


def write(folder: Path, rows: list[dict], aligned: str = "d") -> tokenize.Job:
    """A part of documents and its selection, by hand."""
    for name, plan, facts in (("documents", DOCUMENT, {"fingerprint": "d"}), ("selection", SELECTION, {})):
        facts = facts or {"aligned": aligned}
        columns = [f for f in plan if f.name in rows[0]]
        table = pa.Table.from_pylist(rows, pa.schema(columns, document.metadata(**facts)))
        (folder / name).mkdir(exist_ok=True)
        pq.write_table(table, folder / name / "part-a.parquet")
    return tokenize.Job(str(folder), "", 100, "mark")


ROWS = [
    {"text": "one\ntwo\n\nthree", "language": "eng_Latn", "copies": 2, "validation": False, "lines_out": [1]},
    {"text": "not this one", "language": "eng_Latn", "copies": 0, "validation": False, "lines_out": [0]},
    {"text": "yksi", "language": "fin_Latn", "copies": 1, "validation": True, "lines_out": []},
]


def test_lines_that_are_left_out_are_not_encoded(tmp_path):
    job = write(tmp_path, ROWS)
    assert list(tokenize._kept("part-a.parquet", job)) == [
        (b"one\n\nthree", ("eng_Latn", False, 2), 0),
        (b"yksi", ("fin_Latn", True, 1), 2),
    ]


def test_a_selection_of_other_documents_is_told(tmp_path):
    job = write(tmp_path, ROWS, aligned="e")
    with pytest.raises(StepError, match=r"part-a.parquet was made from other documents"):
        list(tokenize._kept("part-a.parquet", job))


def test_shards_are_planned_between_batches(root, tmp_path):
    """Pure in kind, in the order of the runs, none larger than asked for unless one batch is."""
    vocabulary = str(root / "tokens" / "vocabulary")
    rows = [{**ROWS[0], "text": f"A text of some words, number {k}.", "lines_out": [], "copies": 1} for k in range(300)]
    job = tokenize.Job(write(tmp_path, rows).folder, vocabulary, 1000, "mark")
    receipt = tokenize.encode(Run(0, 0, ("part-a.parquet",)), job)
    plans = tokenize.plan_shards(receipt, job.shard_tokens)
    assert len(plans) > 3
    sizes = [sum(p.tokens for p in plan.pieces) for plan in plans]
    assert max(sizes) <= 1000
    assert min(sizes[:-1]) > 1000 * 3 // 4
    assert [p.batch for plan in plans for p in plan.pieces] == list(range(len(receipt["pieces"]["0"])))
    tokens = []
    for plan in plans:
        facts = tokenize.gather(plan, job)["shards"][plan.path]
        shard = shards.open_shard(str(tmp_path / "tokens" / plan.path))
        assert (len(shard.tokens), len(shard.rows)) == (facts["tokens"][0], facts["documents"][0])
        tokens.append(shard.tokens)
    assert all(len(plan.pieces) > 1 for plan in plans)  # those of one are elsewhere here
    expected, _ = Vocabulary.load(vocabulary).encode([row["text"] for row in rows])
    assert np.array_equal(np.concatenate(tokens), expected)
    assert tokenize.encode(Run(0, 0, ("part-a.parquet",)), job)["skipped"] == 1
