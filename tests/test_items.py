"""The plan, receipts, and the local pool, whose workers may die at any moment."""

import gzip
import os
import random
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.terminal import StepError, UserError
from pipeline import items
from pipeline.items import EXAMPLES, Item, Pool, add_receipts, find_inputs, plan, read_plan, slice_of, write_plan
from tests import pool_tasks

# --- inputs and plan ------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress(b"x" * 50) + os.urandom(2400))
    (tmp_path / "b.warc").write_bytes(b"WARC/1.0\r\n" * 300)
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(os.urandom(3000)))
    (tmp_path / "d.warc.gz").write_bytes(b"")
    (tmp_path / "e.warc.zst").write_bytes(b"\x28\xb5\x2f\xfd" + os.urandom(1000))
    return tmp_path


def test_items_cover_each_file_once(folder):
    """Compressed crawl files are cut, uncompressed ones and tables are not, an empty file is an item too."""
    found = plan([str(p) for p in sorted(folder.iterdir())], 1000)
    ranges = {}
    for item in found:
        ranges.setdefault(os.path.basename(item.path), []).append((item.start, item.length))
    size = (folder / "a.warc.gz").stat().st_size
    assert ranges == {
        "a.warc.gz": [(0, 1000), (1000, 1000), (2000, size - 2000)],
        "b.warc": [(0, 3000)],
        "c.jsonl.gz": [(0, (folder / "c.jsonl.gz").stat().st_size)],
        "d.warc.gz": [(0, 0)],
        "e.warc.zst": [(0, 1000), (1000, 4)],
    }
    assert len({i.part for i in found}) == len(found)


def test_what_is_missing_or_remote_is_an_item_that_says_so(folder):
    missing, remote = plan([str(folder / "none.warc.gz"), "https://crawl.example/x.warc.gz"], 1000)
    assert (missing.size, missing.tag) == (-1, "No such file or directory")
    assert (remote.size, remote.start, remote.length) == (-1, 0, -1)


def test_the_name_of_a_part_is_pinned_and_depends_on_path_and_place_alone():
    item = Item("crawl/a.warc.gz", 5, "tag", 10, 20)
    assert item.part == "part-b1aa15293d57bb71.parquet"
    assert Item("crawl/a.warc.gz", 9, "other", 10, 30).part == item.part
    assert Item("crawl/a.warc.gz", 5, "tag", 11, 20).part != item.part


def test_a_plan_is_read_as_it_was_written(tmp_path):
    odd = ["plain.warc.gz", 'quo"te', "ta\tb", "line\nend", "ünï 日本", " space "]
    found = [Item(f"/x/{name}", k, f"tag{k}", k * 7, -1) for k, name in enumerate(odd)]
    write_plan(str(tmp_path), found)
    assert read_plan(str(tmp_path)) == found
    with pytest.raises(UserError, match="extract first"):
        read_plan(str(tmp_path / "none"))


def test_inputs_are_sorted_and_named_once(folder):
    lists = folder / "list.paths.gz"
    lists.write_bytes(gzip.compress(b"# a comment\nsegments/2.warc.gz\n\nsegments/1.warc.gz  \n"))
    found = find_inputs([str(folder / "*.warc*"), str(folder / "b.warc"), str(lists)], "https://data.example/")
    assert found == sorted(found)
    assert [os.path.basename(p) for p in found] == [
        "a.warc.gz", "b.warc", "d.warc.gz", "e.warc.zst", "1.warc.gz", "2.warc.gz",
    ]  # fmt: skip
    assert found[-1] == "https://data.example/segments/2.warc.gz"


@pytest.mark.parametrize("name", ["none.paths", "broken.paths.gz", "cut.paths.gz", "bytes.txt", "empty.txt"])
def test_a_path_list_that_cannot_be_used(tmp_path, name):
    (tmp_path / "broken.paths.gz").write_bytes(b"plain text")
    (tmp_path / "cut.paths.gz").write_bytes(gzip.compress(b"a\n" * 100)[:-12])
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xfa")
    (tmp_path / "empty.txt").write_bytes(b"# nothing\n")
    with pytest.raises(UserError, match=r"path list|no input") as mistake:
        find_inputs([str(tmp_path / name)])
    assert "\n" not in str(mistake.value)


@given(st.integers(0, 40), st.integers(1, 12))
def test_slices_are_a_partition(count, number):
    whole = list(range(count))
    parts = [slice_of(whole, f"{k}/{number}") for k in range(1, number + 1)]
    assert sorted(x for part in parts for x in part) == whole
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert slice_of(whole, None) == slice_of(whole, "") == whole


@pytest.mark.parametrize("spec", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3", "1/2/3", "1.5/2"])
def test_slices_that_are_none(spec):
    with pytest.raises(UserError, match="I/N"):
        slice_of([1, 2, 3], spec)


# --- receipts -------------------------------------------------------------------------------------------------------

RECEIPT = st.fixed_dictionaries({
    "records": st.integers(0, 100),
    "seconds": st.integers(0, 10),
    "digest": st.integers(0, (1 << 128) - 1).map(lambda n: f"{n:032x}"),
    "drops": st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    "languages": st.dictionaries(st.sampled_from("xy"), st.dictionaries(st.sampled_from("pq"), st.integers(0, 9))),
    "examples": st.dictionaries(st.sampled_from("ab"), st.lists(st.lists(st.text(max_size=2), max_size=2), max_size=4)),
    "failures": st.lists(st.dictionaries(st.just("path"), st.text(max_size=3)), max_size=3),
})  # fmt: skip


@given(st.lists(RECEIPT, min_size=1, max_size=6), st.randoms(), st.integers(1, 5))
def test_the_order_of_work_does_not_show_in_a_sum(receipts, order, cut):
    whole = add_receipts(receipts)
    assert add_receipts([add_receipts(receipts[:cut]), add_receipts(receipts[cut:])]) == whole
    order.shuffle(receipts)
    assert add_receipts(receipts) == whole
    assert whole["records"] == sum(r["records"] for r in receipts)
    assert sum(whole["drops"].values()) == sum(sum(r["drops"].values()) for r in receipts)
    assert int(whole["digest"], 16) == sum(int(r["digest"], 16) for r in receipts) % (1 << 128)
    assert len(whole["failures"]) == sum(len(r["failures"]) for r in receipts), "only examples are cut"
    assert all(len(e) <= EXAMPLES for e in whole["examples"].values())


@given(RECEIPT)
def test_adding_changes_no_receipt(receipt):
    import copy

    before = copy.deepcopy(receipt)
    add_receipts([receipt, receipt])
    assert receipt == before
    assert add_receipts([]) == {}


# --- the pool -------------------------------------------------------------------------------------------------------


@pytest.fixture
def pool():
    made: list[Pool] = []

    def make(*args, **kwargs) -> Pool:
        made.append(Pool(*args, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def one():
    """A pool of one worker that all tests share which leave it as it was."""
    made = Pool(1, record_seconds=1)
    yield made
    made.close()


def results(pool: Pool, function, tasks, **context) -> list[dict]:
    found = [r for task in tasks for r in pool.submit(function, task, context)]
    return sorted([*found, *pool.drain()], key=lambda r: r["item"])


def test_every_task_gives_its_result_and_no_more_are_out_than_allowed(pool):
    two = pool(2)
    most, found = 0, []
    for task in range(30):
        found += two.submit(pool_tasks.double, task, {})
        most = max(most, two._in_flight())
    found += two.drain()
    assert sorted(r["double"] for r in found) == list(range(0, 60, 2))
    assert most <= 4
    assert len({r["process"] for r in found}) == 2, "the processes live on"
    assert os.getpid() not in {r["process"] for r in found}
    assert list(two.drain()) == []


def test_workers_import_neither_beam_nor_torch(one):
    (found,) = [*one.submit(pool_tasks.modules, 0, {}), *one.drain()]
    assert found == {"banned": [], "steps": ["pipeline.extract", "pipeline.select", "pipeline.tokenize"]}


def test_a_worker_that_is_killed_is_replaced(pool):
    """At work and at rest; all results come."""
    two = pool(2)
    order = random.Random(0)
    found = results(two, pool_tasks.double, range(4))
    os.kill(found[0]["process"], signal.SIGKILL)
    time.sleep(0.1)
    found = results(two, pool_tasks.double, range(4))
    assert [r["double"] for r in found] == [0, 2, 4, 6]
    found = []
    for task in range(12):
        found += two.submit(pool_tasks.wait, task, {"seconds": 0.05})
        if task in (3, 6, 9):
            os.kill(order.choice([w.process.pid for w in two.workers]), signal.SIGKILL)
    found += two.drain()
    assert sorted(r["item"] for r in found) == list(range(12))


def test_a_record_that_kills_its_process_is_skipped(one):
    """And every such record of a task, each after it was tried twice; other tasks are left alone."""
    assert results(one, pool_tasks.die_at, ["t"], records=[0, 3]) == [{"item": "t", "skip": [0, 3]}]
    assert [r["double"] for r in results(one, pool_tasks.double, range(3))] == [0, 2, 4]


def test_a_death_that_does_not_come_again_costs_no_record(one, tmp_path):
    found = results(one, pool_tasks.die_once, ["t"], mark=str(tmp_path / "mark"))
    assert found == [{"item": "t", "skip": []}]


def test_a_task_that_dies_before_its_first_record_is_given_up(pool):
    with pytest.raises(StepError, match=r"died 4 times \(exit 3\) before the first record of task 7"):
        results(pool(1), pool_tasks.die_before, ["task 7"])


def test_a_record_that_never_ends_is_skipped(one):
    begun = time.monotonic()
    assert results(one, pool_tasks.burn, ["t"]) == [{"item": "t", "skip": [2]}]
    assert time.monotonic() - begun < 30


def test_the_limit_is_one_of_records_not_of_tasks(one):
    """A task that tells of no records has no limit, also after one that did."""
    before = results(one, pool_tasks.double, [1])[0]["process"]
    assert results(one, pool_tasks.burn_untold, ["t"], seconds=2) == [{"item": "t"}]
    assert results(one, pool_tasks.double, [1])[0]["process"] == before


def test_a_record_that_takes_ever_more_memory_is_skipped(pool):
    found = results(pool(1, worker_bytes=200 << 20), pool_tasks.grow, ["t"])
    assert found == [{"item": "t", "skip": [2], "held": 0}]


@pytest.mark.parametrize(("kind", "expected", "words"), [
    ("user", UserError, "t: a mistake; mend it"),
    ("os", OSError, "No space left on device: 'part-1'"),
    ("key", KeyError, "absent"),
    ("unportable", StepError, "Unportable: 1 and 2"),
])  # fmt: skip
def test_exceptions_come_back_as_themselves(one, kind, expected, words):
    with pytest.raises(expected, match=words) as error:
        results(one, pool_tasks.fail, ["t"], kind=kind)
    assert type(error.value) is expected
    if kind != "unportable":
        assert "pool_tasks.py" in error.value.__notes__[0], "where it was raised"
    assert results(one, pool_tasks.double, [4])[0]["double"] == 8, "the worker lives on"


def test_workers_end_with_their_pool(pool):
    two = pool(2)
    processes = {r["process"] for r in results(two, pool_tasks.double, range(8))}
    two.close()
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    assert results(two, pool_tasks.double, [1])[0]["double"] == 2, "and come back when needed"


def test_the_pool_of_a_process_is_one():
    assert items.local_pool(3) is items.local_pool(3)
    items.close_pools()
    assert items._pools == {}
