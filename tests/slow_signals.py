"""The signals by their definitions, slow and plain: what pipeline/_signals.c must equal."""

from collections import Counter

import regex

from corpus.document import Signals
from pipeline import signals, stopwords, words


def fold(text: str) -> str:
    """Lower case, one code point for one."""
    table = signals.lower()
    return "".join(chr(table[ord(c)]) if ord(c) < len(table) else c for c in text)


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def measure(text: str, label: str = "") -> Signals:
    tokens, lines, visible = words.words(text), words.lines(text), [c for c in text if not regex.match(r"\s", c)]
    folded = [fold(token) for token in tokens]
    inside, along = sum(map(len, tokens)), sum(map(len, lines))
    stops = set(stopwords.words_of(label))
    found = Signals(characters=len(text), words=len(tokens), lines=len(lines))
    found.sentences = len(words.sentence_ends(text))
    found.mean_sentence_length = len(tokens) / max(1, found.sentences)
    found.mean_word_length, found.longest_word = share(inside, len(tokens)), max(map(len, tokens), default=0)
    found.hashes_per_word = share(text.count("#"), len(tokens)) if tokens else float(text.count("#"))
    found.ellipses_per_word = (text.count("...") + text.count("…")) / max(1, len(tokens))
    found.newlines_per_word = text.count("\n") / max(1, len(tokens))
    found.letter_words = share(sum(bool(regex.search(r"\p{L}", t)) for t in tokens), len(tokens))
    found.stop_words = len(stops & set(folded))
    found.stop_word_share = share(sum(t in stops for t in folded), len(tokens))
    found.distinct_words = share(len(set(folded)), len(tokens))
    found.mixed_words = share(sum(len(set(filter(None, map(script, t)))) > 1 for t in tokens), len(tokens))
    scripts = Counter(filter(None, map(script, text)))
    found.other_scripts = 1 - max(scripts.values()) / scripts.total() if scripts else 0.0
    found.upper_letters = share(count(r"\p{Lu}", text), count(r"\p{Lu}|\p{Ll}", text))
    found.digit_characters = share(count(r"\p{Nd}", text), len(visible))
    found.punctuation_characters = share(count(r"\p{P}", text), len(visible))
    found.symbol_characters = share(count(r"\p{S}", text), len(visible))
    found.curly_brackets = text.count("{")
    _lines(found, lines, along)
    _repeated(found, text, lines, along)
    _grams(found, tokens, folded, inside)
    found.compression = compressed(text) / max(1, len(text))
    return found


def count(pattern: str, text: str) -> int:
    return len(regex.findall(pattern, text))


def script(character: str) -> str:
    """The script of a letter; Han, Kana, Hangul and Bopomofo are one."""
    name = words.SCRIPTS[words.scripts()[ord(character)]]
    return {"Zyyy": "", **dict.fromkeys(("Hira", "Kana", "Bopo", "Hang"), "Hani")}.get(name, name)


def _lines(found: Signals, lines: list[str], along: int) -> None:
    def of_lines(test) -> float:
        return share(sum(map(test, lines)), len(lines))

    found.mean_line_length = share(along, len(lines))
    found.bullet_lines = of_lines(
        lambda line: line[0] in signals.BULLETS or (line[0] in signals.DASHES and line[1:2] == " ")
    )
    found.cut_lines = of_lines(lambda line: line.endswith(("...", "…")))
    found.ended_lines = of_lines(is_ended)
    found.short_lines = of_lines(lambda line: len(line) <= 30)
    found.long_lines = sum(len(line) >= 200 for line in lines)
    prose = [line for line in lines if is_prose(line)]
    found.prose_lines = share(len(prose), len(lines))
    found.prose_sentences = sum(len(words.sentence_ends(line)) for line in prose)
    found.policy_characters = share(sum(len(line) for line in lines if holds("policy", line)), along)
    found.placeholder = any(holds("placeholder", line) for line in lines)


def is_ended(line: str) -> bool:
    return words.is_ended(line) and not line.endswith(("...", "…"))


def is_prose(line: str) -> bool:
    tokens = words.words(line)
    return is_ended(line) and len(tokens) >= 5 and max(map(len, tokens)) <= 1000 and not holds("policy", line)


def holds(kind: str, line: str) -> bool:
    tokens = [fold(t) for t in words.words(line)]
    wanted = [[fold(t) for t in words.words(phrase)] for k, phrase in signals.phrases() if k == kind]
    return any(tokens[k : k + len(w)] == w for w in wanted for k in range(len(tokens)))


def _repeated(found: Signals, text: str, lines: list[str], along: int) -> None:
    paragraphs, fresh = [], True
    for raw in text.split("\n"):
        if line := raw.strip():
            if fresh:
                paragraphs.append([])
            paragraphs[-1].append(line)
        fresh = not line
    found.paragraphs = len(paragraphs)
    for kind, units in (("line", [[line] for line in lines]), ("paragraph", paragraphs)):
        seen, again = set(), []
        for unit in units:
            key = tuple(map(fold, unit))
            again += [unit] if key in seen else []
            seen.add(key)
        setattr(found, f"repeated_{kind}s", share(len(again), len(units)))
        setattr(found, f"repeated_{kind}_characters", share(sum(len(line) for unit in again for line in unit), along))


def _grams(found: Signals, tokens: list[str], folded: list[str], inside: int) -> None:
    """Top n-grams as DCLM's most_common, duplicate ones as its all: characters of the words that stand in one."""
    unspaced = [t for t in tokens if words.classes()[ord(t[0])] & words.UNSPACED]
    dense = [t for t in unspaced if regex.match(r"[\p{sc=Hani}\p{sc=Hira}\p{sc=Kana}\p{sc=Bopo}\p{sc=Yiii}ーｰ]", t)]
    signs = 1 if len(unspaced) * 2 <= len(tokens) else 2 if len(dense) * 2 >= len(unspaced) else 4
    for n in range(2, 11):
        size = n * signs
        grams = [tuple(folded[k : k + size]) for k in range(len(folded) - size + 1)]
        counts = Counter(grams)
        most = max(counts.values(), default=0)
        value = 0.0
        if n <= 4 and most > 1:
            lengths = [sum(map(len, tokens[k : k + size])) for k, gram in enumerate(grams) if counts[gram] == most]
            value = min(1.0, max(lengths) * most / inside)
        elif n > 4 and most > 1:
            covered = {k + j for k, gram in enumerate(grams) if counts[gram] > 1 for j in range(size)}
            value = sum(len(tokens[k]) for k in covered) / inside
        setattr(found, f"top_{n}_gram" if n <= 4 else f"repeated_{n}_grams", value)


def compressed(text: str) -> int:
    """Cost of the greedy parse; the table of places has 4,096 slots, chosen by a hash of four code points."""
    places: dict[int, int] = {}
    cost = place = 0
    while place < len(text):
        length, quad = 0, text[place : place + 4]
        if len(quad) == 4:
            packed = 0
            for c in quad:
                packed = packed << 16 | ord(c) & 0xFFFF
            slot = (packed * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) >> 52
            if (earlier := places.get(slot)) is not None:
                while place + length < len(text) and text[earlier + length] == text[place + length]:
                    length += 1
            places[slot] = place
        cost, place = (cost + 3, place + length) if length >= 4 else (cost + 1, place + 1)
    return cost
