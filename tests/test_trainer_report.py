"""The report of a model is one file that loads nothing, with a curve for each figure of the log."""

import re
from html.parser import HTMLParser

import pytest
from token_folder import Vocabulary, quick, write_folder

from corpus.terminal import UserError
from trainer import plan, pretrain, report


class Strict(HTMLParser):
    """Tags that are opened are closed, but for those that need not be."""

    def __init__(self):
        super().__init__()
        self.open, self.texts = [], []

    def handle_starttag(self, tag, _):
        if tag not in ("meta", "html"):
            self.open.append(tag)

    def handle_startendtag(self, *_):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "<model>"
    tokens = write_folder(tmp_path_factory.mktemp("tokens"))
    pretrain.pretrain(plan.plan(tokens, quick(), Vocabulary()), str(out), quiet=True)
    return out


def test_report(folder, capsys):
    assert report.report(str(folder)) == 0
    page = (folder / "report.html").read_text()
    parser = Strict()
    parser.feed(page)
    told = " ".join(parser.texts)
    assert parser.open == []
    assert "Discriminator: area under the ROC curve" in told
    assert "aaa_Latn" in told
    assert "step-00000012" in told
    assert "&lt;model&gt;" in page
    assert not re.search(r"<script|https?://|src=|@import", page)
    assert page.count("<polyline") >= 12
    assert len(page) < 100_000


def test_a_model_that_only_fills_in(tmp_path):
    """Its languages are told, without the columns of a discriminator that it lacks."""
    tokens, out = write_folder(tmp_path / "tokens"), tmp_path / "model"
    pretrain.pretrain(plan.plan(tokens, quick(objectives="mlm=1"), Vocabulary()), str(out), quiet=True)
    assert report.report(str(out)) == 0
    page = (out / "report.html").read_text()
    assert all(language in page for language in ("aaa_Latn", "bbb_Cyrl", "generator_loss"))
    assert not any(name in page for name in ("discriminator_loss", "recall", "order_accuracy"))


def test_curves_are_thinned_by_means():
    points = [(k, float(k % 2)) for k in range(10_000)]
    found = report.thin(points)
    assert len(found) <= report.POINTS
    assert all(0.4 <= value <= 0.6 for _, value in found[:-1])
    assert report.thin(points[:3]) == points[:3]


def test_a_log_that_breaks_off(folder):
    lines = report.read_log(str(folder / "log.jsonl"))
    path = folder / "log.jsonl"
    path.write_text(path.read_text() + '{"step": 13, "spl')
    assert report.read_log(str(path)) == lines


def test_a_folder_without_a_log(folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(UserError, match="no log yet"):
        report.report(str(tmp_path))
