"""What the books say at the end of a step."""

from corpus.shards import ShardInfo
from pipeline import books


def shard(language: str, copies: int, tokens: int, validation: bool = False) -> ShardInfo:
    return ShardInfo(f"{language}/x{copies}-00000.arrow", language, copies, validation, 1, tokens, 0, "")


def test_a_budget_in_tokens_is_told_with_what_came_out():
    languages = {"eng_Latn": {"epoch_characters": 4000}, "fin_Latn": {"epoch_characters": 1000},
                 "deu_Latn": {"epoch_characters": 10}}  # fmt: skip
    factors = {"eng_Latn": 0.25, "fin_Latn": 0.5, "deu_Latn": 0.5}
    selection = {"tokens_per_character": factors, "languages": languages}
    made = [shard("eng_Latn", 1, 1010), shard("fin_Latn", 2, 240), shard("fin_Latn", 1, 99, True),
            shard("deu_Latn", 1, 9)]  # fmt: skip
    assert books.budget_met(made, selection, "1500 tokens") == [
        "budget of 1500 tokens: 1,505 were expected of the chosen text, 1,499 came out, -0.4%; "
        "furthest is fin_Latn, -4.0%"
    ]
    assert books.budget_met(made, {"languages": languages}, "9k") == []
