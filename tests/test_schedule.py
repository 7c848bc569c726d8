"""Names, numbers, and numbers that change over the steps."""

import pytest

from corpus.terminal import UserError
from trainer.schedule import OBJECTIVES, objectives, schedule, shape


def test_a_number_stays():
    found = schedule("0.15", "x")
    assert [found.at(s) for s in (0, 10**9)] == [0.15, 0.15]
    assert found.most == 0.15


def test_points_have_lines_between_them():
    """XLM's '0:1,100000:0.1,300000:0' is our '1/100000:0.1/300000:0'."""
    found = schedule("1/100000:0.1/300000:0", "x")
    assert [found.at(s) for s in (0, 50_000, 100_000, 200_000, 300_000, 10**6)] == pytest.approx(
        [1, 0.55, 0.1, 0.05, 0, 0]
    )
    assert found.most == 1


@pytest.mark.parametrize("text", ["", "x", "1/2", "1/a:2", "1/5:2/5:3", "1/9:2/5:3", "-1", "nan", "inf", "1/0:2"])
def test_what_is_no_schedule(text):
    with pytest.raises(UserError, match=r"^--mask: ") as caught:
        schedule(text, "--mask")
    assert "\n" not in str(caught.value)


def test_objectives():
    found = objectives("mlm=1,rtd=0/100:50")
    assert tuple(found) == (*OBJECTIVES, "parallel")
    assert found["rtd"].at(50) == 25
    assert found["order"].most == 0
    with pytest.raises(UserError, match="did you mean order"):
        objectives("mlm=1,oder=1")
    with pytest.raises(UserError, match="write NAME=VALUE"):
        objectives("mlm")


def test_shapes():
    assert shape("") == {}
    assert shape("share=none, rank=64,generator=0.5") == {"share": "none", "rank": 64, "generator": 0.5}
    for text, told in (
        ("share=nome", "did you mean none"),
        ("embedding=x", "is no number"),
        ("depth=2", "out of range"),
    ):
        with pytest.raises(UserError, match=told):
            shape(text)
