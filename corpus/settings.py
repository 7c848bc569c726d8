"""Settings: one frozen dataclass a step. From it come the TOML section, the flags, the help and the fingerprint.

Precedence: flag, then file, then default. A name nobody knows is answered with the nearest one that exists.
"""

import argparse
import dataclasses
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from corpus.terminal import UserError
from corpus.values import nearest, parse

VERSION = "0.1.0"


def setting(default, help: str, *, choices: tuple = (), operational: bool = False, empty: str = "all"):
    """A field of a settings class. `operational`: changes how the work is done, never a byte of the result. `empty`:
    what an empty list means."""
    values = {"help": help, "choices": choices, "operational": operational, "empty": empty}
    return field(default=default, metadata=values)


@dataclass(frozen=True)
class Extract:
    """crawl files -> documents"""

    item_bytes: int = setting(64 << 20, "bytes of a local crawl file that one work item covers")
    max_page_bytes: int = setting(4 << 20, "a decoded page larger than this is dropped")
    extractor: str = setting(
        "own",
        "what reads HTML pages: text keeps all of it, the others the main text; own-uncommented leaves out what "
        "readers wrote under it (posts of a forum stay)",
        choices=("own", "own-uncommented", "resiliparse", "trafilatura", "text"),
    )
    pii: str = setting(
        "mask", "personal data in the text: e-mail, IP, phone, IBAN, card numbers", choices=("mask", "keep")
    )
    language_model: str = setting("", "fastText model for the language labels; empty: the one that is shipped")


@dataclass(frozen=True)
class Select:
    """documents -> selection"""

    languages: tuple[str, ...] = setting((), "keep only these labels (eng_Latn, ...); empty: all")
    respect: tuple[str, ...] = setting(
        (),
        "reject pages whose owners ask for it, of robots (noindex, none), noai, tdm (tdm-reservation)",
        choices=("robots", "noai", "tdm"),
        empty="none",
    )
    url_blocklist: tuple[str, ...] = setting(
        (), "reject pages on lists of domains and URLs, files or UT1 folders; reads the URLs too", empty="none"
    )
    preset: str = setting(
        "ours",
        "thresholds of the rules to start from; --thresholds and --threshold change them",
        choices=("ours", "gopher", "c4", "mc4", "fineweb", "fineweb2"),
    )
    near_duplicates: bool = setting(True, "look for near-duplicates by MinHash, not only for equal URLs and texts")
    max_copies: float = setting(4.0, "resampling: no document is seen more often than this in an epoch")
    weights: str = setting(
        "alpha=0.5", "resampling: share ~ share ** alpha (1: as it is); unimax; eng_Latn=2,fin_Latn=1"
    )
    budget: str = setting("", "what an epoch has after resampling: 10G (characters), '10G bytes', '2G tokens'")
    rehydrate: bool = setting(False, "see survivors of clusters as often as FineWeb-2 does, by the size of the cluster")
    site_lines: int = setting(10, "leave out lines that stand on more pages of a site; 0: none")
    corpus_lines: int = setting(0, "the same of the whole corpus, which costs more than all else; 0: none")
    against: tuple[str, ...] = setting((), "corpus folders of older crawls to deduplicate against", empty="none")
    older: str = setting("wins", "which page is kept, of one here and one there", choices=("wins", "loses"))
    remove: tuple[str, ...] = setting(
        (), "lists of requests for removal: ids, URLs, sites, one a line; rejected", empty="none"
    )
    validation: float = setting(0.01, "share of the sites held back for validation")
    seed: int = setting(0, "seed of resampling and validation split")
    memory: int = setting(1 << 30, "bytes of memory for keys, per process", operational=True)
    exchange: str = setting(
        "auto",
        "where keys meet: in files (one machine) or in Beam's shuffle (a cluster)",
        choices=("auto", "files", "beam"),
        operational=True,
    )


@dataclass(frozen=True)
class Vocabulary:
    """documents -> vocabulary"""

    size: int = setting(64_000, "pieces, rounded up to a multiple of 128")
    model: str = setting(
        "pruned",
        "SentencePiece model; pruned: unigram, of BPE's pieces those that save the most tokens",
        choices=("pruned", "unigram", "bpe"),
    )
    sample_alpha: float = setting(
        0.0, "share of a language in the sample ~ (its share of the text) ** alpha; 0: alike, as far as text goes"
    )
    sample_characters: int = setting(120_000_000, "characters of text in the sample")
    coverage: float = setting(0.99995, "share of each language's characters that get pieces; the rest become bytes")
    seed: int = setting(0, "seed of the sample")


@dataclass(frozen=True)
class Tokenize:
    """documents, selection, vocabulary -> token shards"""

    vocabulary: str = setting("", "folder or file of the vocabulary; empty: OUTPUT/vocabulary")
    shard_tokens: int = setting(512_000_000, "tokens in a shard, about")
    run_documents: int = setting(100_000, "documents that one work item of select and encode covers")


@dataclass(frozen=True)
class Pretrain:
    """token shards -> model"""

    size: str = setting("small", "preset of the model", choices=("tiny", "small", "base", "large"))
    shape: str = setting(
        "",
        "changes to the preset: embedding=E, share=all|attention|feed-forward|none, generator=W (share of the width), "
        "depth=D (share of the layers), rank=R (linears as U V^T)",
    )
    sequence: int = setting(512, "tokens in a training window, special tokens included")
    batch: int = setting(32, "windows in a batch, over all processes")
    accumulate: int = setting(1, "parts into which a process cuts its share of a batch, to save memory")
    steps: int = setting(100_000, "optimizer steps")
    learning_rate: float = setting(0.0, "peak learning rate; 0: the size's, 1e-3, 5e-4, 2e-4, 2e-4 from tiny to large")
    optimizer: str = setting("adamw", "muon: for hidden matrices, AdamW for the rest", choices=("adamw", "muon"))
    warmup: float = setting(0.06, "share of the steps in which the learning rate rises")
    cooldown: float = setting(1.0, "share of the steps in which it falls; 1: in a line after warm-up; .1: WSD")
    weight_decay: float = setting(0.01, "decay of matrices")
    mask: str = setting(
        "0.15", "share of the tokens that the generator has to fill in; '0.3/10000:0.15': falls till then"
    )
    ngram: int = setting(1, "most words that are masked as one, shorter ones more often")
    objectives: str = setting(
        "mlm=1,rtd=50,order=1",
        "weights, each a number or a schedule as for --mask: mlm, rtd, order, contrast, language (adversarial)",
    )
    language_weights: str = setting(
        "",
        "shares of the languages: 'eng_Latn=1,fin_Latn=3', 'alpha=0.3', 'unimax', 'alpha=1/5000:alpha=0.3' (annealed); "
        "' epochs=4' behind it: cap; empty: as resampled",
    )
    loss_weights: str = setting("", "weights of languages in the loss, say 'fin_Latn=2'; those not named have 1")
    precision: str = setting("auto", "arithmetic", choices=("auto", "fp32", "bf16"))
    device: str = setting("auto", "cpu, cuda, or auto", operational=True)
    compile: str = setting(
        "auto",
        "compile the layers, and record steps on a GPU; auto: there alone",
        choices=("auto", "on", "off"),
        operational=True,
    )
    save_every: int = setting(1_000, "steps between checkpoints, each with a validation", operational=True)
    keep: int = setting(3, "checkpoints to keep, besides the best", operational=True)
    seed: int = setting(0, "seed of initialization, order and masks")

    @property
    def log_every(self) -> int:
        """Steps between lines of the log: a hundred between two checkpoints."""
        return max(1, self.save_every // 100)


@dataclass(frozen=True)
class Finetune:
    """labelled texts -> model of a task"""

    epochs: float = setting(3.0, "passes over the training examples; the best on the development set is kept")
    tuning_rate: float = setting(1e-4, "peak learning rate of the top layer; tiny models need ten times as much")
    layer_decay: float = setting(0.8, "learning rate of a layer as a share of that of the layer above")
    examples: int = setting(32, "examples in a batch")
    length: int = setting(256, "tokens of an example, special tokens included")
    seeds: int = setting(1, "runs with other seeds; the best on the development set is kept, all are told")


SECTIONS: dict[str, type] = {
    "extract": Extract,
    "select": Select,
    "vocabulary": Vocabulary,
    "tokenize": Tokenize,
    "pretrain": Pretrain,
    "finetune": Finetune,
}


def kinds(section: type) -> dict[str, Any]:
    """Field name -> type of a settings class."""
    return get_type_hints(section)


def build(section: type, values: Mapping[str, Any], place: str) -> Any:
    """A settings object from a table of values; unknown names and wrong types are the user's mistake."""
    known = {f.name: f for f in dataclasses.fields(section)}
    types = kinds(section)
    for name in values:
        if name not in known:
            raise UserError(f"{place}: unknown key {name!r}{nearest(name, known)}")
    return section(
        **{
            name: parse(
                value,
                place if place.startswith("--") else f"{place}.{name}",
                types[name],
                known[name].metadata.get("choices", ()),
            )
            for name, value in values.items()
        }
    )


def read_config(path: str, extra: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """The tables of a TOML file; a table that is no section (nor one of `extra`) is the user's mistake."""
    try:
        with open(path, "rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give --config a TOML file that exists") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}; mend the TOML there") from None
    names = [*SECTIONS, *extra]
    for name, table in tables.items():
        if name not in names:
            raise UserError(f"{path}: unknown key {name!r}{nearest(name, names)}")
        if not isinstance(table, dict):
            raise UserError(f"{path}: {name!r} is no table; write [{name}] and its keys below")
        if name in SECTIONS:
            build(SECTIONS[name], table, f"{path}: {name}")
    return tables


def substance(settings: Any) -> dict[str, Any]:
    """The fields of a settings object that can change a byte of the result."""
    return {
        f.name: getattr(settings, f.name) for f in dataclasses.fields(settings) if not f.metadata.get("operational")
    }


def code(folder: str, *names: str) -> str:
    """A digest of source files that decide bytes, so that what older code has made is known to be stale."""
    import xxhash

    digest = xxhash.xxh3_64()
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def fingerprint(*parts: Any) -> str:
    """32 hexadecimal digits (XXH3, 128 bits) over the canonical JSON of `parts`."""
    import xxhash

    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=list, separators=(",", ":"))
    return xxhash.xxh3_128_hexdigest(text.encode())


class Parser(argparse.ArgumentParser):
    """argparse whose mistakes are one line with the nearest right name."""

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("allow_abbrev", False)
        kwargs.setdefault("formatter_class", _Help)
        super().__init__(*args, **kwargs)

    def error(self, message):
        match = re.search(r"argument (?:command|\S+): invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if match:
            names = [n.strip(" '") for n in match[2].split(",")]
            message = f"unknown command {match[1]!r}{nearest(match[1], names)}"
        raise UserError(f"{self.prog}: {message}" + ("" if "did you mean" in message else "; see --help"))

    def parse_all(self, args: list[str]) -> tuple[argparse.Namespace, list[str]]:
        """The parsed arguments and what stands after a lone `--` (options of the runner)."""
        rest = args[args.index("--") + 1 :] if "--" in args else []
        names, unknown = self.parse_known_args(args[: len(args) - len(rest) - 1] if "--" in args else args)
        if unknown:
            parser = self._chosen(names)
            flags = [s for a in parser._actions for s in a.option_strings if s.startswith("--")]
            wrong = next((u for u in unknown if u.startswith("-")), unknown[0])
            raise UserError(
                f"{parser.prog}: unknown flag {wrong}{nearest(wrong.split('=')[0], flags)}"
                if wrong.startswith("-")
                else f"{parser.prog}: unexpected argument {wrong!r}; see --help"
            )
        return names, rest

    def _chosen(self, names: argparse.Namespace) -> argparse.ArgumentParser:
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction) and getattr(names, action.dest, None):
                return action.choices[getattr(names, action.dest)]
        return self


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog):
        super().__init__(prog, max_help_position=30, width=112)


def add_common(parser: argparse.ArgumentParser, runs: bool = True) -> None:
    """The flags that all commands share; `runs`: the command does work that can be limited or rehearsed."""
    group = parser.add_argument_group("common")
    if runs:
        group.add_argument("--config", metavar="FILE", help="settings from a TOML file; flags win over it")
        group.add_argument("--print-config", action="store_true", help="print the settings in effect and stop")
        group.add_argument("--limit", type=int, metavar="N", help="work on the first N only, for a trial")
        group.add_argument("--dry-run", action="store_true", help="say what would be done and stop")
        if not any(a.dest == "seed" for a in parser._actions):
            group.add_argument("--seed", type=int, default=argparse.SUPPRESS, help="seed of everything random")
    group.add_argument("--quiet", action="store_true", help="no progress, only errors and results")


def add_flags(parser: argparse.ArgumentParser, *sections: type, without: tuple[str, ...] = ()) -> None:
    """One flag per setting, grouped by step. Absent flags stay absent, so that a file's value counts. without: settings
    that the command does not take."""
    for section in sections:
        group = parser.add_argument_group(f"settings: {section.__doc__}")
        types = kinds(section)
        for f in (f for f in dataclasses.fields(section) if f.name not in without):
            flag = "--" + f.name.replace("_", "-")
            text = f"{f.metadata['help']} ({_shown(f.default, f.metadata['empty'])})".replace("%", "%%")
            if types[f.name] is bool:
                group.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text)
            else:
                choices = f.metadata["choices"]
                shown = "{" + ",".join(choices) + "}" if choices else f.name.upper()
                group.add_argument(flag, default=argparse.SUPPRESS, metavar=shown, help=text)


def _shown(default: Any, empty: str) -> str:
    if isinstance(default, int) and not isinstance(default, bool) and default >= 1 << 20 and default % (1 << 20) == 0:
        return f"{default >> 20}MiB"
    return ",".join(default) or empty if isinstance(default, tuple) else str(default)


def resolve(section: type, tables: Mapping[str, Mapping[str, Any]], names: argparse.Namespace) -> Any:
    """The settings of one step: defaults, then the file's table, then the flags."""
    title = next(n for n, s in SECTIONS.items() if s is section)
    values = dict(tables.get(title, {}))
    given = {f.name: getattr(names, f.name) for f in dataclasses.fields(section) if hasattr(names, f.name)}
    for name, value in given.items():
        build(section, {name: value}, "--" + name.replace("_", "-"))
        values[name] = value
    return build(section, values, title)
