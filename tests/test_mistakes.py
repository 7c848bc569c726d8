"""A user's mistake gets one line that names the place, the fact and the fix, exit code 2, no traceback."""

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import main as pipeline
from tests import crawl
from tokenizer.__main__ import main as tokenizer
from trainer.__main__ import main as trainer

COMMANDS = {"pipeline": pipeline, "tokenizer": tokenizer, "trainer": trainer}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A corpus with everything up to the shards, and what a careless user has lying around it."""
    folder = tmp_path_factory.mktemp("mistakes")
    crawl.write_crawl(folder / "crawl.warc.gz", 40)
    assert pipeline(["run", str(folder / "crawl.warc.gz"), "--output", str(folder / "out"), "--quiet"]) == 0
    assert tokenizer(["train", str(folder / "out"), "--size", "640", "--quiet"]) == 0
    assert pipeline(["tokenize", str(folder / "out"), "--quiet"]) == 0
    assert (
        tokenizer(
            [
                "train",
                str(folder / "out"),
                "--model",
                "bpe",
                "--size",
                "640",
                "--output",
                str(folder / "other"),
                "--quiet",
            ]
        )
        == 0
    )
    assert pipeline(["extract", str(folder / "crawl.warc.gz"), "--output", str(folder / "documents-only"),
                     "--quiet"]) == 0  # fmt: skip
    shutil.copytree(folder / "out", folder / "no-vocabulary")
    shutil.rmtree(folder / "no-vocabulary" / "vocabulary")
    (folder / "photos").mkdir()
    (folder / "photos" / "cat.jpg").write_bytes(b"cat")
    (folder / "empty").mkdir()
    (folder / "file").write_text("a file")
    (folder / "empty.txt").write_text("")
    (folder / "broken.toml").write_text("[extract\n")
    (folder / "key.toml").write_text("[extract]\nitem_byte = 3\n")
    (folder / "section.toml").write_text("[extrakt]\nitem_bytes = 3\n")
    (folder / "type.toml").write_text('[extract]\nitem_bytes = "many"\n')
    (folder / "threshold.toml").write_text("[thresholds]\nmin_word = 3\n")
    (folder / "model.bin").write_bytes(b"no model at all")
    model = Path("pipeline/models/language.bin")
    (folder / "cut.bin").write_bytes(model.read_bytes()[:-100_000])
    shutil.copytree(folder / "out", folder / "older")
    made = folder / "older" / "settings.toml"
    made.write_text(made.read_text().replace("format = 3", "format = 2"))
    damaged = folder / "damaged"
    shutil.copytree(folder / "out", damaged)
    shard = next((damaged / "tokens").rglob("x*.arrow"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    return folder


MISTAKES = [
    # command, what the line must name
    ("pipeline select {d}/older", "documents of format 2"),
    ("pipeline tokenize {d}/older", "documents of format 2"),
    ("pipeline extract {d}/nothing.warc.gz --output {d}/x", "nothing.warc.gz"),
    ("pipeline extract {d}/*.nope --output {d}/x", "no file matches"),
    ("pipeline extract {d}/empty --output {d}/x", "empty folder"),
    ("pipeline extract {d}/empty.txt --output {d}/x", "no input"),
    ("pipeline extrakt {d}/crawl.warc.gz --output {d}/x", "did you mean extract?"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/x --item-byte 3", "did you mean --item-bytes?"),
    ("pipeline extract {d}/crawl.warc.gz", "--output"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/x --config {d}/none.toml", "none.toml"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/x --config {d}/broken.toml", "broken.toml"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/x --config {d}/key.toml", "did you mean item_bytes?"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/x --config {d}/section.toml", "did you mean extract?"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/x --config {d}/type.toml", "not a number"),
    ("pipeline select {d}/out --config {d}/threshold.toml", "did you mean min_words?"),
    ("pipeline select {d}/out --threshold min_wrds=3", "did you mean min_words?"),
    ("pipeline select {d}/out --threshold min_words", "NAME=VALUE"),
    ("pipeline select {d}/out --max-copies x", "--max-copies"),
    ("pipeline select {d}/out --max-copies -1", "negative"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/x --pii hide", "mask, keep"),
    ("pipeline select {d}/out --respect robots,noia", "did you mean noai?"),
    ("pipeline select {d}/out --url-blocklist {d}/none", "none"),
    ("pipeline select {d}/out --url-blocklist {d}/empty.txt", "no domain in it"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/x --workers 0", "--workers 0"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/x --limit 0", "--limit 0"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/x --slice 4/3", "I/N"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/x --language-model {d}/model.bin", "model.bin"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/x --language-model {d}/cut.bin", "cut.bin"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/x --language-model {d}/none.ftz", "none.ftz"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/photos", "something else than a corpus"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/file/x", "file"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/out --max-page-bytes 1000", "max_page_bytes"),
    ("pipeline extract {d}/crawl.warc.gz --output {d}/x -- --runer=DirectRunner", "did you mean --runner?"),
    ("pipeline inspect {d}/out -- --runner=DirectRunner", "no runner options"),
    ("pipeline select {d}/empty", "extract first"),
    ("pipeline tokenize {d}/documents-only", "select first"),
    ("pipeline tokenize {d}/no-vocabulary", "vocabulary"),
    ("pipeline tokenize {d}/out --vocabulary {d}/file", "file"),
    ("pipeline inspect {d}/out --language eng_Ltn", "eng_Latn"),
    ("pipeline inspect {d}/out --reason near_duplikate", "near_duplicate"),
    ("pipeline inspect {d}/nothing", "nothing"),
    ("pipeline why {d}/nothing https://site0.example/", "nothing"),
    ("pipeline report {d}/nothing", "nothing"),
    ("tokenizer train {d}/documents-only", "select"),
    ("tokenizer train {d}/out --size 10", "10"),
    ("tokenizer evaluate {d}/photos", "photos"),
    ("trainer pretrain {d}/nothing --output {d}/m", "nothing"),
    ("trainer pretrain {d}/out/tokens --output {d}/m --size bse", "did you mean base?"),
    ("trainer pretrain {d}/out/tokens --output {d}/m --vocabulary {d}/other --size tiny --steps 2", "vocabulary"),
    ("trainer pretrain {d}/out/tokens --output {d}/photos --size tiny --steps 2", "photos"),
    ("trainer pretrain {d}/damaged/tokens --output {d}/m2 --size tiny --steps 2 --sequence 32 --batch 16", "damaged"),
    ("trainer pretrain {d}/out/tokens --output {d}/m --language-weights xxx_Latn=1 --size tiny --steps 2", "xxx_Latn"),
    ("trainer inspect {d}/photos", "photos"),
    ("trainer pretrain {d}/out/tokens --output {d}/m --objectives mlm=1,rdt=50", "did you mean rtd?"),
    ("trainer pretrain {d}/out/tokens --output {d}/m --objectives order=1", "mlm alone, or mlm and rtd"),
    ("trainer pretrain {d}/out/tokens --output {d}/m --shape rank=500 --size tiny", "saves nothing"),
    ("trainer pretrain {d}/out/tokens --output {d}/m --mask 0.3/10", "--mask"),
    ("trainer pretrain {d}/out/tokens --output {d}/m --loss-weights xxx_Latn=2", "xxx_Latn"),
    ("trainer pretrain {d}/out/tokens --output {d}/m --start {d}/photos --size tiny", "photos"),
    ("trainer pretrain {d}/out/tokens --output {d}/m --parallel {d}/empty.txt --size tiny", "empty.txt"),
    ("trainer finetune {d}/photos --train x --dev x --output {d}/m", "photos"),
    ("trainer evaluate {d}/photos --data {d}/empty.txt", "photos"),
    ("trainer probe {d}/nothing text", "nothing"),
    ("trainer report {d}/photos", "photos"),
    ("trainer export {d}/photos --output {d}/never", "photos"),
    ("trainer export {d}/photos --output {d}/photos", "cat.jpg"),
    ("trainer distill {d}/photos {d}/out/tokens --output {d}/m", "photos"),
    ("trainer align {d}/photos --pairs {d}/empty.txt --output {d}/m", "photos"),
    ("trainer fuse {d}/photos {d}/empty --output {d}/never", "photos"),
    ("trainer finetune {d}/photos --train x --dev x --output {d}/m --device cud", "did you mean cuda?"),
    ("trainer align {d}/photos --pairs x --output {d}/m --device cud", "did you mean cuda?"),
    ("trainer evaluate {d}/photos --data x --device cud", "did you mean cuda?"),
    ("trainer fuse {d}/photos {d}/empty --output {d}/never --device cud", "did you mean cuda?"),
    ("trainer finetun {d}/photos", "did you mean finetune?"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "named"), MISTAKES, ids=[c.replace("{d}/", "") for c, _ in MISTAKES])
def test_one_line_and_exit_code_2(corpus, capsys, command, named):
    package, *arguments = [a.format(d=corpus) for a in command.split()]
    assert COMMANDS[package](arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert named in lines[0]


def test_a_full_disk_is_said_and_the_run_goes_on_later(corpus, tmp_path):
    """A limit on the size of files stands in for the full disk."""
    command = [sys.executable, "-m", "pipeline", "run", str(corpus / "crawl.warc.gz"), "--output", str(tmp_path / "x"),
               "--quiet"]  # fmt: skip
    limit = resource.setrlimit
    full = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False,
                          preexec_fn=lambda: limit(resource.RLIMIT_FSIZE, (8000, 8000)))  # fmt: skip
    assert full.returncode == 2
    assert "Traceback" not in full.stderr
    assert "run the same command again" in full.stderr
    assert len(full.stderr.splitlines()) == 1, full.stderr
    again = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert crawl.digests(tmp_path / "x", "documents")
    assert not list(tmp_path.rglob(".writing-*"))
