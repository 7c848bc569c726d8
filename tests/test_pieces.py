"""Our cutter gives the ids that SentencePiece gives, whatever the model and the text; other models it leaves alone."""

import io

import numpy as np
import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.settings import Vocabulary as Settings
from tokenizer import _pieces, model_file, pieces, vocabulary
from tokenizer.model_file import BYTE, CONTROL, UNKNOWN, Piece
from tokenizer.vocabulary import SPECIALS, Vocabulary, escape

LINES = [f"All human beings are born free and equal {k}, 人人生而自由，ทุกคน  x" for k in range(40)]
FIRST = [
    *(Piece(text, 0.0, UNKNOWN if text == "[UNK]" else CONTROL) for text in SPECIALS),
    *(Piece(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)),
]


def trained(**options) -> bytes:
    model = io.BytesIO()
    own = vocabulary._options(Settings(model="bpe", coverage=1.0), 600, "") | options
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(LINES), model_writer=model, **own)
    return model.getvalue()


@pytest.fixture(scope="module")
def plain() -> bytes:
    return trained()


@pytest.fixture(scope="module")
def pruned(tmp_path_factory) -> Vocabulary:
    return vocabulary.train(iter(LINES), Settings(size=640, coverage=1.0), str(tmp_path_factory.mktemp("pruned")))


def cutter(model: bytes) -> pieces.Cutter | None:
    return pieces.cutter(sentencepiece.SentencePieceProcessor(model_proto=model))


def theirs(model: bytes, texts: list[str]) -> list[list[int]]:
    spm = sentencepiece.SentencePieceProcessor(model_proto=model)
    return spm.encode([escape(t) for t in texts], num_threads=1)


def ours(cutter: pieces.Cutter, texts: list[str]) -> list[list[int]]:
    found = cutter.encode([t.encode() for t in texts], np.dtype(np.uint32))
    assert found is not None
    return [part.tolist() for part in np.split(found[0], np.cumsum(found[1])[:-1])]


def texts():
    odd = st.sampled_from(
        [*" \n\t\r\0▁▅⁇\U0010fffd01a9\u200c\u0301\ufeff人ทุ", *SPECIALS, "<0x41>", "<unk>", "<s>", "  "]
    )
    words = st.sampled_from(["human", "beings", "are", "born", "free", "equal", "人人生而自由", "ทุกคน"])
    some = odd | words | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    return st.lists(some, max_size=30).map("".join)


@given(texts())
@example("")
@example(" ")
@example("\n")
@example("a \n\n  b \n")
@example("\U0010fffd0\U0010fffd1▁")
@example("".join(map(chr, range(0x300))))
@example("x" * 31 + " " + "y" * 32 + " " + "z" * 33)
@settings(max_examples=1000, deadline=None)
def test_ids_are_sentencepieces(pruned, text):
    given, model = [text, text + text, "equal " + text], pruned._spm.serialized_model_proto()
    assert ours(pruned._cutter, given) == theirs(model, given)


def models():
    """Pieces over few letters and signs, runs of spaces among them, with few scores, so that many ways cost alike."""
    letters = st.text("ab9é人\U0001f600", max_size=5)
    text = st.tuples(st.sampled_from(["", "▁", "▁▁"]), letters).map("".join).filter(bool)
    score = st.sampled_from([-1 / 16, -1.0, -1.5, -2.0, -3.0, -4.0625, -20.0])
    return st.dictionaries(text, score, max_size=40)


@given(models(), st.lists(st.text("ab9é人\U0001f600▁ \nc\U0010fffd", max_size=24), min_size=1, max_size=6))
@settings(max_examples=500, deadline=None)
def test_ids_are_sentencepieces_with_any_pieces(plain, some, texts):
    some = {"▁": -2.0, "\n": -3.0} | some
    model = model_file.write(plain, [*FIRST, *(Piece(text, score) for text, score in some.items())])
    assert ours(cutter(model), texts * 2) == theirs(model, texts * 2)


def test_ids_of_real_text_are_sentencepieces(pruned, real_rows):
    assert ours(pruned._cutter, real_rows) == theirs(pruned._spm.serialized_model_proto(), real_rows)


def test_ids_of_long_texts_are_sentencepieces(pruned):
    """Longer than single precision can sum up."""
    text = "q9 equal 人人\n􏿽 humans " * 50_000
    assert ours(pruned._cutter, [text]) == theirs(pruned._spm.serialized_model_proto(), [text])


def test_what_was_cut_before_changes_nothing(pruned, monkeypatch):
    """Thousands of words that drive each other out of a small memo, then again."""
    monkeypatch.setattr(pieces, "MEMO_BYTES", 4096)
    small = pieces.cutter(pruned._spm)
    words = [f"{a}{b} equal{b} being{a}" for a in "abcdefgh人" for b in range(300)]
    assert ours(small, words) == ours(small, words[::-1])[::-1] == ours(pruned._cutter, words)


@pytest.mark.parametrize(
    "text",
    ["x" * 70_000, "人" * 70_000, b"free \xff equal", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\xe4\xba"],
    ids=["a long word", "a long word of signs", "no UTF-8", "surrogate", "beyond Unicode", "cut off"],
)
def test_texts_that_are_not_for_us_are_left_to_sentencepiece(pruned, text):
    raw = text if isinstance(text, bytes) else text.encode()
    assert pruned._cutter.encode([b"free", raw], np.dtype(np.uint16)) is None
    ids, lengths = pruned.encode(["free", text])
    spm = pruned._spm.encode(["free", raw])
    assert [part.tolist() for part in np.split(ids, [lengths[0]])] == spm


def one_more(model: bytes, *more: Piece) -> bytes:
    return model_file.write(model, [*FIRST, Piece("▁", -2.0), Piece("\n", -3.0), *more])


def test_only_models_that_are_known_are_cut(plain):
    assert cutter(one_more(plain, Piece("a", -4.0), Piece("▁▁b", -4.0))) is not None
    for piece in (
        Piece("a", -4.03), Piece("a", 0.0), Piece("a", 1.0), Piece("a", -5000.0),
        Piece("a▁b", -4.0), Piece("a\n", -4.0), Piece("\n\n", -4.0), Piece("a", -4.0, kind=4),
        Piece("a", -4.0, kind=5),
    ):  # fmt: skip
        assert cutter(one_more(plain, piece)) is None, piece
    assert cutter(plain) is None  # merges
    for missing in ("▁", "\n"):
        some = [p for p in model_file.read(one_more(plain, Piece("a", -4.0))) if p.text != missing]
        assert cutter(model_file.write(plain, some)) is None


@pytest.mark.parametrize(
    "option",
    [
        {"normalization_rule_name": "nmt_nfkc"}, {"add_dummy_prefix": False}, {"remove_extra_whitespaces": True},
        {"treat_whitespace_as_suffix": True},
    ],
    ids=str,
)  # fmt: skip
def test_models_that_change_texts_otherwise_are_not_cut(option):
    assert cutter(one_more(trained(**option), Piece("a", -4.0))) is None


def test_models_without_bytes_are_not_cut():
    model = one_more(trained(byte_fallback=False), Piece("a", -4.0))
    assert cutter(model_file.write(model, [p for p in model_file.read(model) if p.kind != BYTE])) is None


def test_buffers_that_do_not_fit_are_told(pruned):
    table, memo = pruned._cutter._table, np.zeros(4096, np.uint8)
    with pytest.raises(ValueError, match="no table"):
        _pieces.encode(table[:-16], memo, [b"a"], 4)
    with pytest.raises(ValueError, match="memo"):
        _pieces.encode(table, memo[:100], [b"a"], 4)
    with pytest.raises(ValueError, match="2 or 4"):
        _pieces.encode(table, memo, [b"a"], 3)
    with pytest.raises(TypeError):
        _pieces.encode(table, memo, ["a"], 4)
    for ends in ([1, 1], [0, 1], [1, 3]):
        with pytest.raises(ValueError, match="ends where none can"):
            _pieces.table(
                np.zeros(264, np.int32), np.array([97, 98], np.uint32), np.array(ends), np.zeros(2, np.int32),
                np.zeros(2, np.uint16),
            )  # fmt: skip
