"""A selection as a whole: the same whatever the way, right by brute force, met to a document."""

import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.document import MINHASHES
from corpus.terminal import UserError
from pipeline import clusters, duplicates, mixer
from pipeline.flow import Runner
from pipeline.local import Local
from tests import crawl, key_folder

WORDS = [f"word{k}" for k in range(400)]


def article(seed: int, words: int = 60) -> list[str]:
    return random.Random(seed).choices(WORDS, k=words)


def documents(count: int, seed: int = 0) -> list[dict]:
    """Articles, and copies of them: the same text, the same URL, a word or many changed."""
    order = random.Random(seed)
    found = []
    for k in range(count):
        words, url = article(1000 * seed + k), f"https://s{k % 7}.example/{k}"
        if k > 3 and order.random() < 0.6:
            words = article(1000 * seed + order.randrange(max(1, k // 2)))
            for _ in range(order.choice([0, 0, 1, 3, 20])):
                words[order.randrange(len(words))] = f"new{order.random()}"
        if order.random() < 0.1:
            url = f"https://s.example/{order.randrange(5)}"
        found.append({"text": " ".join(words), "url": url, "name": str(k), "day": order.randrange(3),
                      "language": order.choice(["eng_Latn", "eng_Latn", "fin_Latn", "ell_Grek"])})  # fmt: skip
    return found


def groups(path: Path) -> set[frozenset[bytes]]:
    """The clusters, as sets of ids."""
    found: dict[int, set[bytes]] = {}
    for row in key_folder.rows(path, "id", "cluster", "cluster_size"):
        found.setdefault(row["cluster"], set()).add(row["id"])
    return {frozenset(v) for v in found.values()}


def brute_force(path: Path) -> set[frozenset[bytes]]:
    rows = key_folder.rows(path, "id", "url_hash", "text_hash", "minhash", "words")
    signatures = np.frombuffer(b"".join(r["minhash"] for r in rows), "<u4").reshape(-1, MINHASHES)
    bands = duplicates.band_keys(signatures)
    label = list(range(len(rows)))
    for a, b in itertools.combinations(range(len(rows)), 2):
        same = rows[a]["url_hash"] == rows[b]["url_hash"] or rows[a]["text_hash"] == rows[b]["text_hash"]
        near = (bands[a] == bands[b]).any() and (signatures[a] == signatures[b]).mean() >= duplicates.SAME
        if (same or near) and label[a] != label[b]:
            label = [label[a] if x == label[b] else x for x in label]
    found: dict[int, set[bytes]] = {}
    for place, row in zip(label, rows, strict=True):
        found.setdefault(place, set()).add(row["id"])
    return {frozenset(v) for v in found.values()}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    path = key_folder.write(tmp_path_factory.mktemp("base") / "out", documents(120), 5)
    key_folder.select(path, weights="alpha=0.3", validation=0.1, site_lines=2, corpus_lines=30)
    return path


def test_clusters_are_those_of_brute_force(base):
    found = groups(base)
    assert found == brute_force(base)
    assert sum(len(c) > 1 for c in found) >= 10


@pytest.mark.parametrize("how", [
    {"memory": 3000},
    {"memory": 20_000, "runner": Local(2, quiet=True)},
    {"memory": 50_000, "exchange": "beam", "runner": Runner([], 0, quiet=True)},
], ids=["ranges, rounds", "workers", "beam"])  # fmt: skip
def test_same_bytes_for_any_way(base, tmp_path, how):
    """Ranges, rounds of stars instead of one process, workers, Beam's shuffle."""
    path = key_folder.write(tmp_path / "out", documents(120), 5)
    key_folder.select(path, weights="alpha=0.3", validation=0.1, site_lines=2, corpus_lines=30, **how)
    ours, theirs = (crawl.digests(p, "selection") for p in (path, base))
    assert {k: v for k, v in ours.items() if "books" not in k} == {k: v for k, v in theirs.items() if "books" not in k}
    assert crawl.books(path, "selection") == crawl.books(base, "selection")


def told(path: Path) -> dict[bytes, tuple]:
    """What a selection says of each document, without addresses."""
    names = ("id", "verdict", "reasons", "cluster_size", "copies", "validation")
    return {r["id"]: tuple(r[n] for n in names[1:]) for r in key_folder.rows(path, *names)}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 200))
def test_order_parts_and_runs_change_nothing(base, tmp_path_factory, seed, parts, run_documents):
    shuffled = documents(120)
    random.Random(seed).shuffle(shuffled)
    path = key_folder.write(tmp_path_factory.mktemp("shuffled") / "out", shuffled, parts)
    key_folder.select(
        path, weights="alpha=0.3", validation=0.1, site_lines=2, corpus_lines=30, run_documents=run_documents
    )
    assert groups(path) == groups(base)
    assert told(path) == told(base)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_another_document_changes_nothing_for_unrelated_ones(tmp_path_factory, seed):
    """With fixed thresholds and no resampling."""
    before = documents(40, 1)
    after = [*before, {"text": " ".join(article(seed % 997 + 5000)), "url": "https://new.example/x", "name": "new"}]
    found = []
    for number, given_ in enumerate((before, after)):
        path = key_folder.write(tmp_path_factory.mktemp(f"more{number}") / "out", given_, 2)
        key_folder.select(path, validation=0.2)
        found.append({k: v[:-1] for k, v in told(path).items()})
    assert found[0].items() <= found[1].items()


# --- duplicates of all kinds --------------------------------------------------------------------------------------


def test_an_accident_of_one_band_is_no_duplicate(tmp_path):
    """Two documents that share eight values of 112 meet, and are told apart."""
    a, b = (np.frombuffer(duplicates.signature(duplicates.word_hashes(" ".join(article(k)))), "<u4") for k in (1, 2))
    accident = np.concatenate([a[:8], b[8:]]).astype("<u4").tobytes()
    given_ = [{"text": " ".join(article(1))}, {"text": " ".join(article(2)), "minhash": accident}]
    path = key_folder.write(tmp_path / "out", given_, 1)
    key_folder.select(path)
    assert set(key_folder.verdicts(path).values()) == {""}
    assert '"candidates": 1' in (path / "selection" / "clusters" / "made.json").read_text()


@pytest.mark.parametrize("text", ["one", "one two three", "猫", "น้ำ"])
def test_pages_shorter_than_a_shingle(tmp_path, text):
    given_ = [{"text": text}, {"text": text.upper() + "!"}, {"text": "other"}, {"text": "..."}, {"text": "---"}]
    path = key_folder.write(tmp_path / "out", given_, 2)
    key_folder.select(path, languages=())
    sizes = [r["cluster_size"] for r in key_folder.rows(path, "cluster_size")]
    assert sizes == [2, 2, 1, 1, 1]


def test_a_huge_cluster_costs_no_quadratic_time(tmp_path):
    """200,000 equal keys: pairs with the first and the one before."""
    import time

    packed = np.zeros(200_000, clusters.KEY)
    packed["address"] = np.arange(200_000)
    begun = time.process_time()
    found, bounds = clusters._groups(packed)
    edge = clusters.candidates(found["address"], bounds)
    assert time.process_time() - begun < 5
    assert len(edge) == 2 * 199_999 - 1


def test_a_new_threshold_makes_no_new_clusters(base, monkeypatch):
    def never(*_):
        raise AssertionError("clusters are made again")

    monkeypatch.setattr(clusters, "exact", never)
    before = key_folder.select(base, weights="alpha=0.3", validation=0.1, site_lines=2, corpus_lines=30)
    after = key_folder.select(base, key_folder.LOOSE.changed({"min_words": 59}, "test"), weights="alpha=0.3")
    assert after["kept"] <= before["kept"]
    key_folder.select(base, weights="alpha=0.3", validation=0.1, site_lines=2, corpus_lines=30)


def test_the_winner_is_the_best_that_passes(tmp_path):
    """The longest version fails a rule, so that the next one is kept."""
    long = article(1, 80)
    given_ = [
        {"text": " ".join([*long, "extra"]), "url": "https://a.example/", "language_score": 0.1},
        {"text": " ".join(long), "url": "https://b.example/", "day": 1},
        {"text": " ".join(long), "url": "https://c.example/", "day": 2},
    ]
    path = key_folder.write(tmp_path / "out", given_, 2)
    key_folder.select(path, key_folder.LOOSE.changed({"min_language_score": 0.5}, "test"))
    assert key_folder.verdicts(path) == {
        "https://a.example/": "UNSURE_LANGUAGE",
        "https://b.example/": "SAME_TEXT",
        "https://c.example/": "",
    }


@pytest.mark.parametrize("older", ["wins", "loses"])
def test_against_an_older_corpus(tmp_path, older):
    text = [" ".join(article(k)) for k in range(3)]
    there = [
        {"text": text[0] + " more and longer", "url": "https://old.example/0"},
        {"text": text[1], "url": "https://o.example/"},
    ]
    here = [{"text": text[0], "url": "https://new.example/0"}, {"text": text[2], "url": "https://new.example/2"}]
    old = key_folder.write(tmp_path / "old", there, 2)
    new = key_folder.write(tmp_path / "new", here, 2)
    books = key_folder.select(new, against=(str(old),), older=older)
    assert books["documents"] == 2
    lost = key_folder.verdicts(new)["https://new.example/0"]
    assert lost == ("NEAR_DUPLICATE" if older == "wins" else "")
    assert books["older"] == (older == "loses")
    assert key_folder.verdicts(new)["https://new.example/2"] == ""
    if older == "wins":
        from pipeline import reading

        assert "the winner is https://old.example/0" in "\n".join(reading.why(str(new), "https://new.example/0"))


def test_requests_for_removal(tmp_path):
    given_ = [{"text": " ".join(article(k)), "url": f"https://s{k}.example/page/{k}"} for k in range(5)]
    path = key_folder.write(tmp_path / "out", given_, 2)
    wanted = key_folder.row(3, given_[3])["id"].hex()
    (tmp_path / "list").write_text(
        f"# asked for\nwww.s1.example\nhttp://s2.example/page/2#top\n{wanted}\ns4.example/other\n"
    )
    key_folder.select(path, remove=(str(tmp_path / "list"),))
    found = key_folder.verdicts(path)
    assert [v for _, v in sorted(found.items())] == ["", "REMOVED", "REMOVED", "REMOVED", ""]
    with pytest.raises(UserError, match="name a list that can be read"):
        key_folder.select(path, remove=(str(tmp_path / "none"),))


# --- the mixture --------------------------------------------------------------------------------------------------


def epoch(path: Path, column: str = "characters") -> dict[str, int]:
    found: dict[str, int] = {}
    for r in key_folder.rows(path, "language", column, "copies", "validation"):
        if not r["validation"]:
            found[r["language"]] = found.get(r["language"], 0) + r[column] * r["copies"]
    return found


@pytest.mark.parametrize(
    ("budget", "column"), [("9000", "characters"), ("9000 bytes", "text_bytes"), ("60k", "characters")]
)
@pytest.mark.parametrize("weights", ["alpha=0.5", "unimax", "eng_Latn=1,fin_Latn=3"])
def test_a_budget_is_met_to_a_document(tmp_path, budget, column, weights):
    path = key_folder.write(tmp_path / "out", documents(150, 3), 4)
    key_folder.select(path, budget=budget, weights=weights, max_copies=9)
    wanted = 9000 if budget.startswith("9000") else 60_000
    rows = key_folder.rows(path, "language", column, "verdict")
    longest = max(r[column] for r in rows)
    got = epoch(path, column)
    if sum(got.values()) < wanted - longest:  # all languages at their cap
        copies = {
            (r["language"], r["copies"])
            for r in key_folder.rows(path, "language", "copies", "verdict")
            if not r["verdict"]
        }
        assert all(n == 9 for label, n in copies if not weights.startswith("eng") or label != "ell_Grek")
    assert sum(got.values()) <= wanted


def test_smaller_budgets_are_parts_of_larger_ones(tmp_path):
    path = key_folder.write(tmp_path / "out", documents(150, 3), 4)
    seen = []
    for budget in ("3000", "9000", "15000"):
        key_folder.select(path, budget=budget, weights="alpha=0.5")
        seen.append({r["id"]: r["copies"] for r in key_folder.rows(path, "id", "copies")})
    for less, more in itertools.pairwise(seen):
        assert all(n <= more[k] for k, n in less.items())


def test_tokens_need_a_measured_factor(tmp_path):
    path = key_folder.write(tmp_path / "out", documents(20), 2)
    with pytest.raises(UserError, match="tokenizer train first"):
        key_folder.select(path, budget="1k tokens")
    (path / "vocabulary").mkdir()
    costs = {"eng_Latn": 0.25, "fin_Latn": 0.5}
    (path / "vocabulary" / "audit.json").write_text(json.dumps({"tokens_per_character": costs}))
    key_folder.select(path, budget="500 tokens", weights="alpha=0.0")
    got = epoch(path)
    tokens = {"eng_Latn": 1 / 4, "fin_Latn": 1 / 2, "ell_Grek": 3 / 8}
    assert 350 < sum(n * tokens[k] for k, n in got.items()) <= 500
    costs = {"eng_Latn": 0.5, "fin_Latn": 1.0}
    (path / "vocabulary" / "audit.json").write_text(json.dumps({"tokens_per_character": costs}))
    key_folder.select(path, budget="500 tokens", weights="alpha=0.0")
    assert sum(epoch(path).values()) < 0.7 * sum(got.values()), "another vocabulary, another choice"


def test_a_language_that_was_not_measured_costs_what_its_script_does():
    known = {"eng_Latn": 0.25, "fin_Latn": 0.35, "jpn_Jpan": 0.9}
    found = mixer.factors(known, ("fin_Latn", "deu_Latn", "jpn_Jpan", "ell_Grek"))
    assert found == {"fin_Latn": 0.35, "deu_Latn": 0.3, "jpn_Jpan": 0.9, "ell_Grek": 0.5}


def test_rehydration_multiplies_copies_by_the_size_of_the_cluster(tmp_path):
    given_ = [
        {"text": " ".join(article(k)), "url": f"https://{k}-{j}.example/"}
        for k in range(3)
        for j in range((1, 2, 6)[k])
    ]
    path = key_folder.write(tmp_path / "out", given_, 2)
    key_folder.select(path, rehydrate=True)
    rows = key_folder.rows(path, "cluster_size", "copies")
    assert sorted((r["cluster_size"], r["copies"]) for r in rows if r["copies"]) == [(1, 1), (2, 2), (6, 5)]


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_validation_holds_back_whole_sites_and_not_too_much(tmp_path, share):
    given_ = [{"text": " ".join(article(k)), "url": f"https://site{k % 40 if k < 200 else 99}.example/{k}",
               "language": "eng_Latn" if k < 200 else "fin_Latn"} for k in range(230)]  # fmt: skip
    path = key_folder.write(tmp_path / "out", given_, 4)
    key_folder.select(path, validation=share)
    rows = key_folder.rows(path, "site_hash", "language", "validation", "copies", "characters")
    sites = {r["site_hash"]: {x["validation"] for x in rows if x["site_hash"] == r["site_hash"]} for r in rows}
    assert all(len(v) == 1 for v in sites.values())
    for label in ("eng_Latn", "fin_Latn"):
        mine = [r for r in rows if r["language"] == label]
        held = sum(r["characters"] for r in mine if r["validation"])
        assert held <= 2 * share * sum(r["characters"] for r in mine)
    assert any(r["validation"] for r in rows)


def test_weights_that_are_none(tmp_path):
    path = key_folder.write(tmp_path / "out", documents(20), 2)
    with pytest.raises(UserError, match="--weights xxx_Latn=1: no text in xxx_Latn"):
        key_folder.select(path, weights="xxx_Latn=1")
    with pytest.raises(UserError, match="'words' is not one of"):
        key_folder.select(path, budget="3 words")
