"""The characters that have pieces: each language's own, and whole alphabets where they are in use."""

import unicodedata

from tokenizer import characters
from tokenizer.characters import ASCII, Characters


def required(coverage=1.0, size=64_000, **texts) -> set[str]:
    found = Characters()
    for language, text in texts.items():
        found.add(language, text)
    return set(found.required(coverage, size))


def test_alphabets_are_whole_and_normal():
    blocks = list(characters.alphabets())
    assert 3500 < sum(map(len, blocks[:-4])) < 4500
    assert [len(block) for block in blocks[-4:]] == [3755, 5401, 2965, 2350]
    assert all(unicodedata.normalize("NFC", c) == c and not c.isspace() for block in blocks for c in block)
    everything = {c for block in blocks for c in block}
    assert set("aßœɛʻ\u0301άщєأپंअকਕકஅతಕമසกລ་ကასአកあンỹ") <= everything
    assert set("的這働가") <= everything
    assert not everything & set("龘뷁\u2581\u200b")


def test_each_language_keeps_its_own_characters():
    """Rare in the whole, but not in its language."""
    assert {"ɓ", "ƙ"} <= required(0.99, eng="a" * 100_000, hau="ɓaƙa" * 100)


def test_what_is_rare_in_every_language_is_left_out():
    found = required(0.99, zho="人" * 999 + "龘", jpn="日" * 500 + "麤" * 3)
    assert {"人", "日"} <= found
    assert not {"龘", "麤"} & found
    assert {"龘", "麤"} <= required(1.0, zho="人" * 999 + "龘", jpn="日" * 500 + "麤" * 3)


def test_an_alphabet_comes_whole_where_it_is_used():
    assert "ғ" in required(rus="а" * 1000)
    assert "ғ" not in required(rus="а" * 999)
    assert "嘯" in required(zho="的" * 1000)


def test_joiners_are_kept_white_space_and_marks_of_sentencepiece_not():
    found = required(fas="می\u200cخواهم \n\t\u2581\u2585\0")
    assert "\u200c" in found
    assert not found & set(" \n\t\u2581\u2585\0")


def test_ascii_is_always_there():
    assert set(ASCII) <= required(zho="人")


def test_characters_take_a_third_at_most_the_commonest_first():
    text = "".join(chr(0x4E00 + k) * (600 - k) for k in range(600))
    kept = Characters()
    kept.add("zho", text)
    found = kept.required(1.0, 1024)
    assert len(found) == 341
    assert found[:94] == "".join(ASCII)
    assert found[94:] == "".join(chr(0x4E00 + k) for k in range(341 - 94))
