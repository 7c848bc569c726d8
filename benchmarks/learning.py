"""python -m benchmarks.learning FOLDER [--steps 500] [--seeds 3]: what tiny models learn, through our own commands.

Corpus: real pages, texts of pages, and openly licensed sentences of 14 languages -> documents -> vocabulary -> shards.
Then, at a fixed budget of tokens: replaced tokens (RTD) against filling in alone (MLM) on SIB-200's development set,
languages that were trained on and others apart; retrieval of translations before and after alignment; a student beside
its teacher; branches of one model on three languages, and their fusion, judged on the half of the development set that
chose nothing; the order of segments on English pages of sites held back. What MLM alone trains is a generator of the
discriminator's shape, so that the encoders that learn the task are of one size and have read the same windows. Steps
that are done are not done again. Prints what came out; intervals are of 95 %.
"""

import argparse
import contextlib
import io
import json
import lzma
import re
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from corpus.settings import Pretrain, build
from pipeline.__main__ import main as pipeline
from tokenizer.__main__ import main as tokenizer
from tokenizer.vocabulary import Vocabulary
from trainer import checkpoint, metrics, objectives, plan, tally
from trainer import run as runs
from trainer.__main__ import main as trainer
from trainer.model import cohesion

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
TRAINED = ("arb_Arab", "cmn_Hans", "deu_Latn", "ell_Grek", "eng_Latn", "fin_Latn", "fra_Latn", "hin_Deva", "hun_Latn",
           "jpn_Jpan", "rus_Cyrl", "spa_Latn", "tur_Latn", "vie_Latn")  # fmt: skip
TASK = ("arb_Arab", "deu_Latn", "eng_Latn", "rus_Cyrl")
"""Of the pretrained languages those whose examples SIB-200's models are trained on."""
PAIRS = ("deu-eng", "ell-eng", "fra-eng", "rus-eng", "spa-eng")
BRANCHES = ("eng_Latn", "cmn_Hans", "arb_Arab")
SENTENCES = 12  # of train-text that make a document
KINDS = {"rtd": ("mlm=1,rtd=50", "", 1e-3), "mlm": ("mlm=1", "depth=1", 2e-3)}
"""Objectives, shape, and the learning rate that did best by its own loss in trials of tiny (300 steps; 1, 2, 4e-3)."""
ORDER = "mlm=1,rtd=1,order=50"  # most of what is learned: RTD in the way keeps tokens from being like themselves
ORDERED = 512  # tokens in a window, at least, for the order of segments: in short ones there is little to know
PARTS = ("tasks", "alignment", "student", "fusion", "order", "drawn")


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--sequence", type=int, default=128)
    parser.add_argument("--device", default="cpu", help="where the models are pretrained and distilled")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    names = parser.parse_args(arguments)
    found: dict = {}
    corpus(names.folder)
    for part in names.only:
        found[part] = globals()[part](names)
    (names.folder / "learning.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def run(main_, *command) -> str:
    """What a command prints. Errors: RuntimeError."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        code = main_([*map(str, command), "--quiet"])
    if code:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit code {code}")
    return told.getvalue()


def corpus(folder: Path, web: bool = True) -> None:
    """folder/out with tokens. web: with the pages."""
    if (folder / "out" / "tokens" / "manifest.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "texts.jsonl", "w", encoding="utf-8") as out:
        for row in [*sentences(), *(gold() if web else [])]:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    inputs = [folder / "texts.jsonl", *([SHARED / "web" / "realweb.warc.gz"] if web else [])]
    run(pipeline, "run", *inputs, "--output", folder / "out", "--workers", 1, "--threshold", "min_words=20",
        "--validation", 0.05)  # fmt: skip
    run(tokenizer, "train", folder / "out", "--size", 8000)
    run(pipeline, "tokenize", folder / "out", "--workers", 1)


def sentences() -> Iterator[dict]:
    """Documents of sentences that have nothing to do with each other."""
    groups: dict[tuple[str, str], list[str]] = {}
    with lzma.open(SHARED / "language" / "train-text.tsv.xz", "rt", encoding="utf-8") as file:
        for line in file:
            label, source, text = line.rstrip("\n").split("\t")[:3]
            if label in TRAINED:
                groups.setdefault((label, source), []).append(text)
    for (label, source), texts in sorted(groups.items()):
        for at in range(0, len(texts), SENTENCES):
            url = f"https://{source}-{at // SENTENCES % 97}.example/{label}/{at}"
            yield {"text": "\n".join(texts[at : at + SENTENCES]), "url": url, "language": label}


def gold() -> Iterator[dict]:
    """Texts of pages, as people marked them."""
    with tarfile.open(SHARED / "web" / "gold-dev.tar.gz") as files:
        texts = {m.name.rpartition("/")[2]: files.extractfile(m) for m in files.getmembers() if m.isfile()}
        read = {name: file.read().decode() for name, file in texts.items() if file and not name.endswith(".html")}
    for meta in map(json.loads, read["meta.jsonl"].splitlines()):
        if text := read[f"{meta['id']}.txt"].strip():
            yield {"text": text, "url": meta["url"]}


def pretrained(names, name: str, wanted: str, seed: int, *more, steps: int = 0, text: str = "out") -> Path:
    """steps: those of the budget if 0. text: the corpus, in the folder."""
    model, steps = names.folder / name, steps or names.steps
    if (model / "checkpoints" / f"step-{steps:08d}").exists():
        return model
    every = ["--steps", steps, "--save-every", steps, "--size", names.size, "--sequence", names.sequence,
             "--batch", names.batch]  # fmt: skip
    fixed = ["--objectives", wanted, "--seed", seed, "--keep", 1, "--device", names.device]
    run(trainer, "pretrain", names.folder / text / "tokens", "--output", model, *every, *fixed, *more)
    return model


def sib(folder: Path, model: Path, seed: int) -> dict:
    """Figures on the development set per language."""
    out, data = folder / f"{model.name}-sib", SHARED / "tasks" / "sib200_dev.jsonl.xz"
    if not (out / "metrics.json").exists():
        shutil.rmtree(out, ignore_errors=True)
        flags = ["--languages", ",".join(TASK), "--epochs", 10, "--length", 64, "--tuning-rate", 1e-3, "--seed", seed]
        run(trainer, "finetune", model, "--train", data, "--dev", data, "--output", out, *flags)
    return json.loads((out / "metrics.json").read_text())["figures"]["dev"]


def tasks(names) -> dict:
    """Both kinds on the task, each with all seeds."""
    found = {}
    for seed in range(names.seeds):
        for kind, (wanted, shape, rate) in KINDS.items():
            model = pretrained(names, f"{kind}-{seed}", wanted, seed, "--shape", shape, "--learning-rate", rate)
            found[model.name] = {**validation(model), "sib": sib(names.folder, model, seed)}
    tell_tasks(names, found)
    return found


def validation(model: Path) -> dict:
    lines = [json.loads(line) for line in (model / "log.jsonl").read_text().splitlines()]
    last = next(line for line in reversed(lines) if line["split"] == "validation")
    return {name: last[name] for name in ("generator_loss", "auc")}


def groups(languages: set[str]) -> dict[str, set[str]]:
    """Languages of the task, others that were pretrained on, unseen ones."""
    seen = {"zho_Hans" if n == "cmn_Hans" else n for n in TRAINED}
    return {"trained": set(TASK), "zero-shot, seen": seen - set(TASK), "zero-shot, unseen": languages - seen}


def hits(folder: Path, name: str) -> tuple[dict[str, np.ndarray], float]:
    """Share of the languages of each group in which each sentence of the development set was told right, (99,), and of
    the commonest label. The same sentences in all languages, so that they are what an interval draws from."""
    rows = [json.loads(r) for r in (folder / f"{name}-sib" / "dev-predictions.jsonl").read_text().splitlines()]
    ids = sorted({r["id"] for r in rows})
    found = {}
    for group, members in groups({r["language"] for r in rows}).items():
        table = {(r["id"], r["language"]): r["predicted"] == r["label"] for r in rows if r["language"] in members}
        told = {k for _, k in table}
        found[group] = np.array([np.mean([table[i, k] for k in told]) for i in ids])
    labels = [r["label"] for r in rows]
    return found, max(map(labels.count, labels)) / len(labels)


def mean(rows: np.ndarray) -> str:
    low, high = metrics.interval(rows, np.mean)
    return f"{rows.mean():.3f} ({low:.3f} to {high:.3f})"


def tell_tasks(names, found: dict) -> None:
    every = {f"{k}-{s}": hits(names.folder, f"{k}-{s}") for k in KINDS for s in range(names.seeds)}
    print(f"SIB-200 dev, accuracy, mean of {names.seeds} seeds; always the commonest label {every['rtd-0'][1]:.3f}")
    for group in every["rtd-0"][0]:
        kinds = {k: np.array([every[f"{k}-{s}"][0][group] for s in range(names.seeds)]) for k in KINDS}
        for kind, rows in kinds.items():
            print(f"  {group}: {kind} {mean(rows.mean(0))}; by seed {', '.join(f'{v:.3f}' for v in rows.mean(1))}")
        less = kinds["rtd"] - kinds["mlm"]
        print(f"  {group}: rtd less mlm {mean(less.mean(0))}; by seed {', '.join(f'{v:+.3f}' for v in less.mean(1))}")
    for name in every:
        print(f"  {name}: generator {found[name]['generator_loss']:.3f} nats, AUC {found[name]['auc']}")


def student(names) -> dict:
    """A student with factorized maps beside its teacher, and beside the same shape without a teacher, on the task."""
    teacher, shape = names.folder / "rtd-0", "embedding=32,rank=24"
    out = names.folder / "student"
    if not (names.folder / "student.txt").exists():
        flags = ["--steps", names.steps, "--size", names.size, "--shape", shape, "--sequence", names.sequence,
                 "--batch", names.batch, "--device", names.device]  # fmt: skip
        told = run(trainer, "distill", teacher, names.folder / "out" / "tokens", "--output", out, *flags)
        (names.folder / "student.txt").write_text(told)
    print((names.folder / "student.txt").read_text())
    for model in (teacher, out):
        sib(names.folder, model, 0)
    rows = {name: hits(names.folder, name)[0]["trained"] for name in ("rtd-0", "student")}
    print("distillation, trained languages: " + ", ".join(f"{name} {mean(r)}" for name, r in rows.items())
          + f", student less teacher {mean(rows['student'] - rows['rtd-0'])}")  # fmt: skip
    return {name: float(r.mean()) for name, r in rows.items()}


def drawn(names) -> dict:
    """The task learned from weights as they were drawn, beside those that were pretrained."""
    for seed in range(names.seeds):
        wanted, shape, _ = KINDS["rtd"]
        more = ["--shape", shape, "--learning-rate", 1e-9]
        sib(names.folder, pretrained(names, f"drawn-{seed}", wanted, seed, *more, steps=1), seed)
    rows = {k: [hits(names.folder, f"{k}-{s}")[0]["trained"] for s in range(names.seeds)] for k in ("drawn", *KINDS)}
    print(f"trained languages from drawn weights: {mean(np.mean(rows['drawn'], 0))}")
    for kind in KINDS:
        print(f"  {kind} less drawn: {mean(np.mean(rows[kind], 0) - np.mean(rows['drawn'], 0))}")
    return {"accuracy": [float(r.mean()) for r in rows["drawn"]]}


def order(names) -> list[dict]:
    """A quarter of the sites is held back: a twentieth has too few pairs to tell."""
    text = names.folder / "order"
    if not (text / "tokens" / "manifest.json").exists():
        shutil.copytree(names.folder / "out", text, ignore=shutil.ignore_patterns("tokens"), dirs_exist_ok=True)
        run(pipeline, "select", text, "--workers", 1, "--threshold", "min_words=20", "--validation", 0.25)
        run(pipeline, "tokenize", text, "--workers", 1)
    return [order_of(names, seed) for seed in range(names.seeds)]


def order_of(names, seed: int) -> dict:
    """Share of the pairs of segments of English pages held back whose order is told, by the model and by a rule that
    has learned nothing: swapped if what meets is less alike than start and start, end and end; tokens are alike if they
    are the same."""
    more = ["--sequence", max(names.sequence, ORDERED), "--learning-rate", 3e-4, "--shape", "embedding=128"]
    name = f"order-{seed}"
    model = str(pretrained(names, name, ORDER, seed, "--language-weights", "eng_Latn=1", *more, text="order"))
    made, config = checkpoint.open_model(model)
    settings = build(Pretrain, {**config["settings"], "device": "cpu"}, model)
    planned = plan.plan(str(names.folder / "order" / "tokens"), settings, Vocabulary.load(checkpoint.vocabulary(model)))
    allowed = torch.from_numpy(~planned.pieces.special)
    objective = objectives.Pretraining(made, allowed, planned.active, len(planned.languages))
    english = planned.languages.index("eng_Latn")
    vectors = torch.randn(len(allowed), 512, generator=torch.Generator().manual_seed(seed))
    sums, ruled = tally.empty(torch.device("cpu"), len(planned.languages)), 0
    with torch.no_grad():
        for batch in runs.held_out(planned, 1 << 30, 16, torch.device("cpu")):
            sums += objective(batch, batch.counts(), planned.weights(names.steps))[1]
            alike = cohesion(vectors[batch.tokens].flatten(0, 1), *batch.segments())
            hits = (alike[:, 0] + alike[:, 3] > 2 * alike[:, 2]) == (batch.swapped > 0)
            ruled += int(hits[(batch.pairs >= 0) & (batch.language[batch.window(batch.pairs)] == english)].sum())
    pairs, right = (int(sums[english, tally.SUMS.index(n)]) for n in ("pairs", "order_hits"))
    told = {"model": mean(np.arange(pairs) < right), "rule": mean(np.arange(pairs) < ruled)}
    print(f"order of segments, seed {seed}, {pairs} pairs held back: {told}")
    return {"pairs": pairs, "right": right, "rule": ruled}


METHODS = ("procrustes", "least-squares", "adversarial", "contrastive")


def alignment(names, methods: Sequence[str] = METHODS) -> dict:
    """Retrieval before and after each method, on pairs held back."""
    found: dict = {}
    folder = names.folder
    data = SHARED / "tasks" / "tatoeba_dev.jsonl.xz"
    for method in methods:
        out = folder / f"aligned-{method}"
        told = folder / f"aligned-{method}.txt"
        if not told.exists():
            flags = ["--languages", ",".join(PAIRS), "--method", method, "--epochs", 3, "--tuning-rate", 1e-3]
            told.write_text(run(trainer, "align", folder / "rtd-0", "--pairs", data, "--output", out, *flags))
        print(told.read_text())
        values = [float(v) for v in re.findall(r"^mean of \d+ +([\d.]+)", told.read_text(), re.M)]
        found[method] = values
        print(f"alignment, {method}: retrieval of {len(PAIRS)} pairs {values[0]:.3f} -> {values[1]:.3f}")
    return found


def fusion(names) -> dict:
    """Less the loss of each branch and of the fusions, on windows held back that chose nothing."""
    folder, base, found = names.folder, names.folder / "rtd-0", {}
    branches = []
    for k, language in enumerate(BRANCHES):
        more = ["--start", base, "--language-weights", f"{language}=1"]
        branches.append(
            pretrained(names, f"branch-{language}", KINDS["rtd"][0], 100 + k, *more, steps=names.steps // 5)
        )
    for method in ("average", "ties", "soup"):
        out, told = folder / f"fused-{method}", folder / f"fused-{method}.txt"
        if not told.exists():
            extra = ["--base", base] if method == "ties" else []
            dev = ["--dev", folder / "out" / "tokens"]
            told.write_text(run(trainer, "fuse", *branches, "--method", method, *extra, *dev, "--output", out))
        found[method] = told.read_text()
        print(f"fusion, {method}:\n{found[method]}")
    return found


if __name__ == "__main__":
    main()
