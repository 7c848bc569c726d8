"""The vocabulary's audit in the report: all languages in the table, the weakest first; nothing without an audit."""

import json

import corpus_folder
import pytest

from pipeline import folder, report_vocabulary
from tokenizer.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return corpus_folder.build(tmp_path_factory.mktemp("report")) / "tokens"


def row(language: str, carried: float) -> dict:
    figures = {"characters_per_token": carried, "tokens_per_word": None, "byte_pieces": 0.01, "renyi": 0.5, "used": 0.1}
    return {"language": language, "bytes_per_token": carried, **figures}


def test_audit_is_shown(tokens):
    path = tokens / "vocabulary" / "audit.json"
    rows = [row("eng_Latn", 4.5), row("lao_Laoo", 2.25), row("all", 3.0)]
    path.write_text(json.dumps({"vocabulary": Vocabulary.load(str(tokens / "vocabulary")).digest, "rows": rows}))
    shown = report_vocabulary.section(folder.read(str(tokens)))
    assert shown.index("lao_Laoo") < shown.index("eng_Latn")
    assert all(word in shown for word in ("2.25", "4.50", "1.00%", "<svg", "English"))
    path.write_text(json.dumps({"vocabulary": "another", "rows": rows}))
    assert report_vocabulary.section(folder.read(str(tokens))) == ""
