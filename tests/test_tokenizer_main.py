"""The commands train and evaluate, from a corpus folder to a table."""

import json
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.document import DOCUMENT, SELECTION
from tokenizer.__main__ import main
from tokenizer.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[1]
SENTENCES = {
    "eng_Latn": "Everyone has the right to freedom of thought, conscience and religion.",
    "fin_Latn": "Jokaisella ihmisellä on ajatuksen, omantunnon ja uskonnon vapaus.",
    "rus_Cyrl": "Каждый человек имеет право на свободу мысли, совести и религии.",
}
FILES = ["audit.json", "settings.toml", "spm.model", "spm.vocab", "tokenizer.json", "tokenizer_config.json"]


def words(text, k):
    """The words of a sentence turned by k places, so that no two texts are alike."""
    parts = text.split()
    return " ".join(parts[k % len(parts) :] + parts[: k % len(parts)]) + f"\n{k}"


@pytest.fixture
def out(tmp_path):
    """A corpus folder of 900 documents in three languages and two parts."""
    rows = [(k, name, words(text, k)) for k in range(300) for name, text in SENTENCES.items()]
    names = ["part-a.parquet", "part-b.parquet"]
    for folder in ("documents", "selection"):
        (tmp_path / "out" / folder).mkdir(parents=True)
    for name, some in zip(names, (rows[:400], rows[400:]), strict=True):
        documents = [
            {"id": f"{k:08}{language}".encode()[:16], "language": language, "text": text, "characters": len(text)}
            for k, language, text in some
        ]
        selection = [{"copies": 1, "validation": False}] * len(some)
        for folder, schema, table in (("documents", DOCUMENT, documents), ("selection", SELECTION, selection)):
            pq.write_table(pa.Table.from_pylist(table, schema=schema), tmp_path / "out" / folder / name)
    (tmp_path / "out" / "documents" / "items.tsv").write_text(
        "\n".join(["part\tpath", *(f"{n}\tx" for n in names), ""])
    )
    return str(tmp_path / "out")


def contents(folder):
    return {name: (Path(folder) / name).read_bytes() for name in FILES}


SMALL = ["--size", "1024", "--coverage", "1"]


def test_train_writes_a_vocabulary_and_says_what_comes_next(out, capsys):
    assert main(["train", out, *SMALL]) == 0
    folder = Path(out) / "vocabulary"
    assert sorted(p.name for p in folder.iterdir()) == FILES
    trained = Vocabulary.load(str(folder))
    stdout, stderr = capsys.readouterr()
    audit = json.loads((folder / "audit.json").read_text())
    assert audit["vocabulary"] == trained.digest
    assert [row["language"] for row in audit["rows"]] == [*SENTENCES, "all"]
    assert list(audit["tokens_per_character"]) == sorted(SENTENCES)
    assert stdout.splitlines()[0].startswith("language")
    assert len(stdout.splitlines()) == 5
    assert stderr.splitlines()[-1] == f"next: python -m pipeline tokenize {out}"
    made = tomllib.loads((folder / "settings.toml").read_text())
    assert made["vocabulary"]["size"] == 1024
    assert (made["made"]["digest"], made["made"]["size"]) == (trained.digest, trained.size)


def test_same_input_gives_the_same_bytes_and_is_skipped(out, tmp_path, capsys):
    for name in "ab":
        assert main(["train", out, *SMALL, "--output", str(tmp_path / name)]) == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "a").iterdir()}
    capsys.readouterr()
    assert main(["train", out, *SMALL, "--output", str(tmp_path / "a")]) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "a").iterdir()}


def change_selection(out):
    path = Path(out) / "selection" / "part-a.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[0]["copies"] = 0
    pq.write_table(pa.Table.from_pylist(rows, schema=SELECTION), path)


@pytest.mark.parametrize("change", ["size", "selection", "damage", "missing"])
def test_what_is_stale_is_done_again(out, capsys, change):
    folder = Path(out) / "vocabulary"
    main(["train", out, *SMALL])
    before = contents(folder)
    if change == "selection":
        change_selection(out)
    elif change == "damage":
        (folder / "spm.model").write_bytes(before["spm.model"][:-1])
    elif change == "missing":
        (folder / "audit.json").unlink()
    capsys.readouterr()
    assert main(["train", out, *SMALL[2:], "--size", "640" if change == "size" else "1024"]) == 0
    assert "nothing to do" not in capsys.readouterr().err
    assert (contents(folder) == before) == (change in ("damage", "missing"))


def test_dry_run_tells_the_sample_and_writes_nothing(out, capsys):
    assert main(["train", out, "--dry-run", "--sample-characters", "9000"]) == 0
    stdout = capsys.readouterr().out
    assert {line.split()[0] for line in stdout.splitlines()[:-1]} == set(SENTENCES)
    assert stdout.splitlines()[-1].endswith("pruned, size 64,000, 9,000 characters")
    assert not (Path(out) / "vocabulary").exists()


def test_print_config_is_read_again_by_config(out, tmp_path, capsys):
    assert main(["train", out, "--size", "2k", "--seed", "5", "--print-config"]) == 0
    shown = capsys.readouterr().out
    (tmp_path / "mill.toml").write_text(shown)
    assert main(["train", out, "--config", str(tmp_path / "mill.toml"), "--print-config"]) == 0
    assert capsys.readouterr().out == shown
    assert tomllib.loads(shown)["vocabulary"]["size"] == 2000
    assert tomllib.loads(shown)["vocabulary"]["seed"] == 5


def test_limit_reads_the_first_parts_and_is_no_excuse_to_skip(out, capsys):
    main(["train", out, *SMALL, "--limit", "1"])
    assert main(["train", out, *SMALL]) == 0
    assert "nothing to do" not in capsys.readouterr().err


def test_quiet_leaves_only_the_table(out, capsys):
    assert main(["train", out, *SMALL, "--quiet"]) == 0
    stdout, stderr = capsys.readouterr()
    assert stdout.startswith("language")
    assert stderr.replace("\n", "").startswith(f"{out}/vocabulary: the sample gives only") or stderr == ""


def test_text_files_make_a_vocabulary_too(tmp_path, capsys):
    for name, text in SENTENCES.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(words(text, k) for k in range(50)))
    texts = [str(tmp_path / f"{name}.txt") for name in SENTENCES]
    assert main(["train", *texts, *SMALL, "--output", str(tmp_path / "v")]) == 0
    assert Vocabulary.load(str(tmp_path / "v")).size <= 1024
    assert f"--vocabulary {tmp_path / 'v'}" in capsys.readouterr().err.splitlines()[-1]


def test_evaluate_shows_the_audit_of_the_training(out, capsys):
    main(["train", out, *SMALL])
    wanted = capsys.readouterr().out
    for place in ("vocabulary", "vocabulary/", "vocabulary/spm.model"):
        assert main(["evaluate", f"{out}/{place}"]) == 0
        assert capsys.readouterr().out == wanted


def test_evaluate_on_parallel_text_tells_premiums(out, tmp_path, capsys):
    main(["train", out, *SMALL])
    lines = [f"{name}\t{text}" for name, text in SENTENCES.items() for _ in range(3)]
    (tmp_path / "parallel.tsv").write_text("\n".join(["label\ttext", *lines]))
    capsys.readouterr()
    assert main(["evaluate", f"{out}/vocabulary", str(tmp_path / "parallel.tsv")]) == 0
    header, *rows, last = capsys.readouterr().out.splitlines()
    premium = header.split().index("premium")
    told = {row.split()[0]: row.split()[premium] for row in rows}
    assert told["eng_Latn"] == "1.00"
    assert last.startswith("premium: mean")
    assert main(["evaluate", f"{out}/vocabulary", str(tmp_path / "parallel.tsv"), "--reference", "fin_Latn"]) == 0
    told = {row.split()[0]: row.split()[premium] for row in capsys.readouterr().out.splitlines()}
    assert told["fin_Latn"] == "1.00"


def test_evaluate_on_a_corpus_folder(out, capsys):
    """Documents of a corpus are never parallel, not even when there are equally many."""
    main(["train", out, *SMALL])
    capsys.readouterr()
    assert main(["evaluate", f"{out}/vocabulary", out]) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in table[1:]] == [*([name, "300"] for name in SENTENCES), ["all", "900"]]


@pytest.mark.parametrize(
    ("args", "fact"),
    [
        (["train", "OUT", "--sise", "9"], "did you mean --size?"),
        (["train", "OUT", "--size", "big"], "--size"),
        (["train", "OUT", "--limit", "0"], "--limit"),
        (["train", "OUT", "--size", "100"], "give 512 or more"),
        (["train", "nowhere", "--output", "OUT/v"], "no such file or folder"),
        (["train", "OUT/documents"], "--output"),
        (["train", "OUT", "--output", "OUT/documents"], "holds something else"),
        (["evaluate", "nowhere"], "nowhere/audit.json: not there"),
        (["evaluate", "nowhere", "OUT"], "nowhere/spm.model: not there"),
        (["evaluate", "OUT/vocabulary", "OUT", "--reference", "eng_Latn"], "vocabulary/spm.model: not there"),
        (["evaluat"], "did you mean evaluate?"),
        (["evaluate", "OUT", "--", "-x"], "after `--`"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(out, capsys, args, fact):
    assert main([a.replace("OUT", out) for a in args]) == 2
    stderr = capsys.readouterr().err
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert stderr.splitlines()[-1] == errors[0]
    assert fact in errors[0]


@pytest.mark.parametrize("args", [["--help"], ["train", "--help"], ["evaluate", "--help"]])
def test_help_loads_no_library(args):
    """Neither Arrow nor SentencePiece nor NumPy: help is there at once."""
    code = f"import sys; sys.argv[1:] = {args}\nfrom tokenizer.__main__ import main\ntry: main()\n"
    code += "finally: print([m for m in ('pyarrow', 'sentencepiece', 'numpy') if m in sys.modules], file=sys.stderr)"
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert time.monotonic() - begun < 3  # 0.12 s on a machine that is not busy
    assert done.stdout.startswith("usage: python -m tokenizer")
    assert done.stderr.strip() == "[]"


def test_encode_shows_pieces_and_ids(out):
    """Lines in, as many lines out, each of what its text is cut into."""
    assert main(["train", out, *SMALL, "--quiet"]) == 0
    folder = str(Path(out) / "vocabulary")
    vocabulary = Vocabulary.load(folder)
    lines = ["Everyone has the right", "", "Ω \u2581", "и  совести\r"]
    command = [sys.executable, "-m", "tokenizer", "encode", folder]
    for more in ([], ["--ids"]):
        told = subprocess.run([*command, *more], input="\n".join(lines).encode(), capture_output=True, cwd=ROOT)
        found = told.stdout.decode().split("\n")
        assert (told.returncode, found.pop()) == (0, "")
        ids = [vocabulary.encode([line])[0].tolist() for line in lines]
        wanted = ids if more else [[vocabulary.piece(i) for i in some] for some in ids]
        assert found == [" ".join(map(str, some)) for some in wanted]
