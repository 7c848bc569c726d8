"""Laws of the vocabulary: lossless, deterministic, specials out of reach of any text."""

import numpy as np
import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.settings import Vocabulary as Settings
from corpus.terminal import UserError
from tokenizer import sentences, vocabulary
from tokenizer.vocabulary import SPECIALS, Vocabulary

TEXT = [
    "All human beings are born free and equal in dignity and rights.",
    "They are endowed with reason and conscience; 1948 was the year.",
    "Всі люди народжуються вільними і рівними у своїй гідності та правах.",
    "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan.",
    "人人生而自由，在尊严和权利上一律平等。",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।",
]
LINES = [f"{line} {k * 7919 % 1000}" for k in range(40) for line in TEXT]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("vocabulary"))
    vocabulary.train(iter(LINES), Settings(size=512, coverage=1.0), path)
    return path


@pytest.fixture(scope="module")
def trained(folder):
    return Vocabulary.load(folder)


def texts():
    """Any text without lone surrogates, rich in what is rewritten: spaces, newlines, the stand-ins."""
    odd = st.sampled_from([*" \n\t\r▁▅⁇\U0010fffd01a\u200c\u0301\ufeff", *SPECIALS, "<0x41>", "<unk>", "<s>"])
    return st.lists(odd | st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=20).map("".join)


@given(texts())
@example("\n\n a\n")
@example("\U0010fffd0\U0010fffd1▁")
@example("  two  spaces  ")
@settings(max_examples=400, deadline=None)
def test_decode_gives_back_what_was_encoded(trained, text):
    ids, lengths = trained.encode([text])
    assert trained.decode(ids) == text
    assert lengths.tolist() == [len(ids)]


@given(texts())
@settings(max_examples=200, deadline=None)
def test_escape_is_undone(text):
    escaped = vocabulary.escape(text)
    assert "▁" not in escaped
    assert vocabulary.unescape(escaped) == text
    assert vocabulary._escape_utf8(text.encode()) == escaped.encode()


def test_real_text_comes_back(trained, real_rows):
    ids, lengths = trained.encode(real_rows)
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    wrong = [r for k, r in enumerate(real_rows) if trained.decode(ids[bounds[k] : bounds[k + 1]]) != r]
    assert wrong == []


def test_specials_have_fixed_ids_and_no_text_makes_them(trained):
    assert tuple(trained.piece(i) for i in range(5)) == SPECIALS
    ids, _ = trained.encode([f"{a}{b} {a}" for a in SPECIALS for b in SPECIALS])
    assert not trained.table().special[ids].any()


def test_special_and_spare_ids_decode_to_nothing(trained):
    ids, _ = trained.encode(["human rights"])
    assert trained.decode([vocabulary.CLS, *ids, vocabulary.SEP, trained.size - 1]) == "human rights"


def test_batches_are_encoded_as_single_texts_are(trained):
    some = ["", *TEXT, "a\nb", ""]
    ids, lengths = trained.encode(some)
    assert lengths.tolist() == [len(trained.encode([t])[0]) for t in some]
    assert np.array_equal(ids, np.concatenate([trained.encode([t])[0] for t in some]))
    assert ids.dtype == np.uint16
    assert lengths.dtype == np.int64


def test_no_texts_are_no_tokens(trained):
    ids, lengths = trained.encode([])
    assert (len(ids), ids.dtype, len(lengths)) == (0, np.uint16, 0)


def test_size_is_a_multiple_of_128_with_spare_ids(trained):
    assert trained.size == 512
    assert trained.size % 128 == 0
    assert trained.size - trained.pieces >= vocabulary.SPARE
    table = trained.table()
    assert table.special.sum() == 5 + trained.size - trained.pieces
    assert all(len(a) == trained.size for a in (table.word_start, table.sentence_end, table.byte))


def test_table_tells_bytes_newline_and_word_starts(trained):
    table = trained.table()
    assert table.byte.sum() == 256
    ids, _ = trained.encode(["ab\nab"])
    assert trained.piece(table.newline) == "\n"
    assert (ids == table.newline).sum() == 1
    first, second = np.split(ids, np.flatnonzero(ids == table.newline))
    assert np.array_equal(first, second[1:])  # the word that begins a line is the same piece as elsewhere
    assert table.word_start[first[0]]
    assert not table.word_start[table.newline]


def test_table_tells_where_sentences_end(trained):
    table = trained.table()
    assert table.sentence_end[table.newline]
    for sentence in TEXT[:1] + TEXT[4:]:
        ids, _ = trained.encode([sentence])
        assert table.sentence_end[ids[-1]], sentence
        assert not table.sentence_end[ids[0]]
    assert not table.sentence_end[table.special | table.byte].any()


def test_digits_stand_alone(trained):
    ids, _ = trained.encode(["7919 1948"])
    assert [trained.piece(i).strip("▁") for i in ids if trained.piece(i) != "▁"] == list("79191948")


@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_same_lines_give_the_same_bytes(tmp_path, model):
    wanted = Settings(size=640, coverage=1.0, model=model)
    made = [vocabulary.train(iter(LINES), wanted, str(tmp_path / n)).digest for n in "ab"]
    assert made[0] == made[1]
    assert (tmp_path / "a/spm.model").read_bytes() == (tmp_path / "b/spm.model").read_bytes()
    assert (tmp_path / "a/spm.vocab").read_bytes() == (tmp_path / "b/spm.vocab").read_bytes()
    assert Vocabulary.load(str(tmp_path / "a")).digest == made[0]


@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_small_sample_gives_a_smaller_vocabulary_and_says_so(tmp_path, capsys, model):
    small = vocabulary.train(iter(TEXT), Settings(size=8000, coverage=1.0, model=model), str(tmp_path))
    assert small.size % 128 == 0
    assert small.pieces + vocabulary.SPARE <= small.size < 8064
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert small.decode(small.encode(TEXT[:1])[0]) == TEXT[0]


def test_size_below_the_characters_is_a_mistake_that_names_the_fix(tmp_path):
    letters = "".join(chr(0x4E00 + k) for k in range(1500))
    with pytest.raises(UserError, match=r"give 1920 or more, or a lower --coverage"):
        vocabulary.train(iter([letters]), Settings(size=1024, coverage=1.0), str(tmp_path))


@pytest.mark.parametrize(("lines", "wanted"), [([], 1024), (["text"], 128)])
def test_no_text_and_no_room_are_mistakes(tmp_path, lines, wanted):
    with pytest.raises(UserError, match=r"the sample has no text|leaves no room"):
        vocabulary.train(iter(lines), Settings(size=wanted), str(tmp_path))


def test_an_error_of_the_sample_is_not_lost_in_the_trainer(tmp_path):
    def broken():
        yield "a line"
        raise UserError("part 7: damaged; run extract again")

    with pytest.raises(UserError, match="part 7: damaged"):
        vocabulary.train(broken(), Settings(size=1024), str(tmp_path))
    assert not list(tmp_path.iterdir())


NAMES = {f"{n}_piece": p for n, p in zip(("pad", "unk", "bos", "eos"), SPECIALS, strict=False)}
IDS = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3, "control_symbols": SPECIALS[4]}
FOREIGN = {
    "other specials": {},
    "normalizing": {**NAMES, **IDS, "user_defined_symbols": ["\n"], "byte_fallback": True},
    "no bytes": {**NAMES, **IDS, "user_defined_symbols": ["\n"], "normalization_rule_name": "identity"},
}


@pytest.mark.parametrize("content", [None, b"", b"no model at all", *FOREIGN])
def test_what_is_no_vocabulary_of_ours_is_one_line(tmp_path, content):
    if content in FOREIGN:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(LINES),
            model_prefix=str(tmp_path / "spm"),
            vocab_size=450,
            hard_vocab_limit=False,
            minloglevel=2,
            **FOREIGN[content],
        )
    elif content is not None:
        (tmp_path / "spm.model").write_bytes(content)
    with pytest.raises(UserError) as caught:
        Vocabulary.load(str(tmp_path))
    assert str(tmp_path / "spm.model") in str(caught.value)
    assert "python -m tokenizer train" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folder_and_file_name_the_same_vocabulary(folder, trained):
    assert Vocabulary.load(f"{folder}/spm.model").digest == trained.digest


LONG = ("Ein Satz, der recht lang ist. " * 400, "ไม่มีช่องว่าง" * 900, "字。" * 3000, "word " * 2000, "x" * 9000)


@pytest.mark.parametrize("text", LONG, ids=["sentences", "thai", "han", "words", "one word"])
def test_long_lines_are_cut_and_nothing_is_lost(text):
    cut = list(sentences.lines(text))
    assert len(cut) > 1
    assert max(len(line.encode()) for line in cut) <= sentences.LINE_BYTES
    assert "".join("".join(cut).split()) == "".join(text.split())


def test_cuts_are_behind_sentences_when_there_are_any():
    cut = list(sentences.lines("He said “no.” Then 他走了。 " * 300))
    assert all(sentences.ends_sentence(line) for line in cut)


def test_lines_leave_out_what_the_trainer_would_skip():
    """SentencePiece drops lines with U+2585 or NUL without a word."""
    assert list(sentences.lines("a▅b\0c\n\n \nd\u2028e")) == ["a b c", "d", "e"]


@pytest.mark.parametrize("end", [".", "?!", "。", "।", "؟", "។", "།", ".”", "!)", "。」"])
def test_sentence_marks_of_many_scripts(end):
    assert sentences.ends_sentence("x" + end)
    assert not sentences.ends_sentence(end + "x")
    assert not sentences.ends_sentence("x,")


@given(st.lists(st.sampled_from(["\n", " ", "a", "\n\n"]), max_size=12).map("".join))
def test_lines_are_begun_as_the_expression_has_it(text):
    assert vocabulary.escape(text) == vocabulary._LINE_START.sub("\n ", text)
    assert vocabulary._escape_utf8(text.encode()) == vocabulary.escape(text).encode()
