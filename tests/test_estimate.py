"""What a crawl would give: near the truth, with an interval that holds it most of the time."""

import numpy as np
import pytest

from corpus import settings
from corpus.terminal import UserError
from pipeline import estimate, extract, items, language
from pipeline.__main__ import main
from pipeline.estimate import Sample, ratio
from tests import crawl


def samples(seed: int, count: int = 12) -> list[Sample]:
    """Ranges with a page in about 1,000 bytes."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(50_000, 150_000, count)
    return [Sample(int(n), {"documents": int(rng.poisson(n / 1000))}, 1.0, 1) for n in lengths]


def test_the_interval_holds_the_truth_nineteen_times_of_twenty():
    found = [ratio(samples(seed), lambda s: s.receipt["documents"], 1e9) for seed in range(300)]
    held = np.mean([abs(f.value - 1e6) <= f.margin for f in found])
    assert 0.91 < held < 0.99
    assert abs(np.mean([f.value for f in found]) - 1e6) < 5e3


def test_proportional_quantities_are_certain_and_one_range_tells_nothing():
    assert ratio(samples(0), lambda s: 2.0 * s.bytes, 100.0).value == pytest.approx(200)
    assert ratio(samples(0), lambda s: 2.0 * s.bytes, 100.0).margin == pytest.approx(0, abs=1e-9)
    assert ratio(samples(0, 1), lambda s: s.bytes, 100.0).margin == 100


def test_ranges_lie_inside_their_files_and_spread_over_them(tmp_path):
    paths = [str(crawl.write_crawl(tmp_path / f"{k}.warc.gz", 4 + k)) for k in range(3)]
    drawn = estimate.draw(paths, 7, 1000, 1)
    assert len(drawn) == len({(i.path, i.start) for i in drawn}) == 7
    assert {i.path for i in drawn} == set(paths)
    assert all(0 <= i.start < i.size and 0 < i.length <= 1000 and i.start + i.length <= i.size for i in drawn)
    assert drawn == estimate.draw(paths, 7, 1000, 1)
    assert drawn != estimate.draw(paths, 7, 1000, 2)
    with pytest.raises(UserError, match="no file tells its size"):
        estimate.draw([str(tmp_path / "none")], 3, 1000, 0)


def test_the_estimate_is_near_the_whole_crawl(tmp_path):
    paths = [str(crawl.write_crawl(tmp_path / f"{k}.warc.gz", 60, 100 * k)) for k in range(4)]
    whole = [extract.run(i, settings.Extract(), str(tmp_path / "out")) for i in items.plan(paths, 1 << 30)]
    measured = estimate.measure(estimate.draw(paths, 12, 20_000, 0), settings.Extract())
    total = sum(r["bytes"] for r in whole)
    for name in ("documents", "records", "characters"):
        found = ratio(measured, lambda s, name=name: s.receipt[name], total)
        assert found.value == pytest.approx(sum(r[name] for r in whole), rel=0.06)


def test_tokens_per_character():
    assert estimate.factor("fin_Latn", {"fin_Latn": 0.2}) == 0.2
    assert estimate.factor("fin_Latn", {}) < estimate.factor("jpn_Jpan", {})
    assert {"Hans", "Thai"} <= {row.script for row in language.languages().values()} & set(estimate._SIGNS)


def test_it_is_told(tmp_path, capsys):
    path = crawl.write_crawl(tmp_path / "a.warc.gz", 30)
    command = ["estimate", str(path), "--sample", "3", "--sample-bytes", "8000", "--cores", "4", "--core-hour", "0.1"]
    assert main(command) == 0
    told = capsys.readouterr().out
    for word in ("documents", "tokens", "core time", "4 cores", "cost", "eng_Latn"):
        assert word in told
    assert main([*command[:2], "--sample", "0"]) == 2
    assert main([*command[:2], "--vocabulary", str(tmp_path)]) == 2
