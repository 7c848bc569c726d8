"""python -m benchmarks.learning FOLDER [--steps 600] [--seeds 3]: what tiny models learn, through our own commands.

Corpus: the real pages and the openly licensed sentences beside the checkout -> documents -> vocabulary -> shards.
Then, at a fixed budget of tokens: replaced tokens (RTD) against filling in alone (MLM) on SIB-200's development set,
languages that were trained on and others apart; the order of segments on documents held back; a student beside its
teacher; retrieval of translations before and after alignment; branches of one model on three languages, and their
fusion, judged on the half of the development set that chose nothing. Steps that are done are not done again. Prints
what came out.
"""

import argparse
import contextlib
import io
import json
import lzma
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.__main__ import main as pipeline
from tokenizer.__main__ import main as tokenizer
from trainer.__main__ import main as trainer

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
TRAINED = ("arb_Arab", "cmn_Hans", "deu_Latn", "ell_Grek", "eng_Latn", "fin_Latn", "fra_Latn", "hin_Deva", "hun_Latn",
           "jpn_Jpan", "rus_Cyrl", "spa_Latn", "tur_Latn", "vie_Latn")  # fmt: skip
TASK = ("arb_Arab", "deu_Latn", "eng_Latn", "rus_Cyrl")
"""Of the pretrained languages those whose examples SIB-200's models are trained on."""
PAIRS = ("deu-eng", "ell-eng", "fra-eng", "rus-eng", "spa-eng")
BRANCHES = ("eng_Latn", "cmn_Hans", "arb_Arab")
SENTENCES = 12  # of train-text that make a document


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--no-web", action="store_true", help="without the real pages")
    names = parser.parse_args(arguments)
    found: dict = {}
    corpus(names.folder, not names.no_web)
    for seed in range(names.seeds):
        for kind, objectives, shape in (("rtd", "mlm=1,rtd=50,order=1", ""), ("mlm", "mlm=1", "depth=1")):
            model = pretrained(names, f"{kind}-{seed}", objectives, shape, seed)
            found[f"{kind}-{seed}"] = sib(names.folder, model, seed)
    tell_tasks(found, names.seeds)
    found["order"] = [validation(names.folder / f"rtd-{s}")["order_accuracy"] for s in range(names.seeds)]
    print("order of segments, documents held back: " + ", ".join(f"{v:.3f}" for v in found["order"]))
    found["student"] = student(names)
    found["alignment"] = alignment(names.folder)
    found["fusion"] = fusion(names)
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


def corpus(folder: Path, web: bool) -> None:
    """folder/out with tokens."""
    if (folder / "out" / "tokens" / "manifest.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    groups: dict[tuple[str, str], list[str]] = {}
    with lzma.open(SHARED / "language" / "train-text.tsv.xz", "rt", encoding="utf-8") as file:
        for line in file:
            label, source, text = line.rstrip("\n").split("\t")[:3]
            if label in TRAINED:
                groups.setdefault((label, source), []).append(text)
    with open(folder / "sentences.jsonl", "w", encoding="utf-8") as out:
        for (label, source), texts in sorted(groups.items()):
            for at in range(0, len(texts), SENTENCES):
                url = f"https://{source}-{at // SENTENCES % 97}.example/{label}/{at}"
                text = "\n".join(texts[at : at + SENTENCES])
                out.write(json.dumps({"text": text, "url": url, "language": label}, ensure_ascii=False) + "\n")
    inputs = [folder / "sentences.jsonl", *([SHARED / "web" / "realweb.warc.gz"] if web else [])]
    run(pipeline, "run", *inputs, "--output", folder / "out", "--workers", 1, "--threshold", "min_words=20",
        "--validation", 0.05)  # fmt: skip
    run(tokenizer, "train", folder / "out", "--size", 8000)
    run(pipeline, "tokenize", folder / "out", "--workers", 1)


def pretrained(names, name: str, objectives: str, shape: str, seed: int, *more) -> Path:
    model = names.folder / name
    changes = ["--objectives", objectives, "--shape", shape, "--seed", seed]
    every = [
        "--steps",
        names.steps,
        "--save-every",
        names.steps,
        "--size",
        names.size,
        "--sequence",
        128,
        "--batch",
        16,
    ]
    rate = ["--learning-rate", 1e-3, "--keep", 1, "--device", "cpu"]
    run(trainer, "pretrain", names.folder / "out" / "tokens", "--output", model, *changes, *every, *rate, *more)
    return model


def sib(folder: Path, model: Path, seed: int) -> dict:
    """Figures on the development set per language."""
    out, data = folder / f"{model.name}-sib", SHARED / "tasks" / "sib200_dev.jsonl.xz"
    if not (out / "metrics.json").exists():
        shutil.rmtree(out, ignore_errors=True)
        flags = ["--languages", ",".join(TASK), "--epochs", 5, "--length", 96, "--tuning-rate", 1e-3, "--seed", seed]
        run(trainer, "finetune", model, "--train", data, "--dev", data, "--output", out, *flags)
    return json.loads((out / "metrics.json").read_text())["figures"]["dev"]


def validation(model: Path) -> dict:
    lines = [json.loads(line) for line in (model / "log.jsonl").read_text().splitlines()]
    return next(line for line in reversed(lines) if line["split"] == "validation")


def groups(figures: dict) -> dict[str, float]:
    """Mean accuracy: languages of the task, others that were pretrained on, unseen ones; and of always guessing."""
    seen = {"zho_Hans" if n == "cmn_Hans" else n for n in TRAINED}
    sets = {"trained": set(TASK), "zero-shot, seen": seen - set(TASK), "zero-shot, unseen": set(figures) - seen}
    found = {n: float(np.mean([figures[k]["accuracy"] for k in s if k in figures])) for n, s in sets.items()}
    return {**found, "majority": float(np.mean([f["majority"] for f in figures.values()]))}


def tell_tasks(found: dict, seeds: int) -> None:
    print(f"SIB-200 dev, accuracy, {seeds} seeds: mean (least to most)")
    for kind in ("rtd", "mlm"):
        rows = [groups(found[f"{kind}-{s}"]) for s in range(seeds)]
        words = [f"{n} {np.mean(v):.3f} ({min(v):.3f}-{max(v):.3f})" for n in rows[0] if (v := [r[n] for r in rows])]
        print(f"  {kind}: " + ", ".join(words))
    differences = [groups(found[f"rtd-{s}"])["trained"] - groups(found[f"mlm-{s}"])["trained"] for s in range(seeds)]
    print(f"  rtd less mlm, trained languages, by seed: {', '.join(f'{d:+.3f}' for d in differences)}")


def student(names) -> dict:
    """A student of half the layers beside its teacher on the task."""
    out, teacher = names.folder / "student", names.folder / "rtd-0"
    if not out.exists():
        flags = ["--steps", names.steps, "--size", names.size, "--shape", "embedding=32,rank=24", "--sequence", 128,
                 "--batch", 16, "--learning-rate", 1e-3]  # fmt: skip
        print(run(trainer, "distill", teacher, names.folder / "out" / "tokens", "--output", out, *flags))
    found = {"teacher": groups(sib(names.folder, teacher, 0)), "student": groups(sib(names.folder, out, 0))}
    print(f"distillation: trained languages, teacher {found['teacher']['trained']:.3f}, "
          f"student {found['student']['trained']:.3f}")  # fmt: skip
    return found


METHODS = ("procrustes", "least-squares", "adversarial", "contrastive")


def alignment(folder: Path, methods: Sequence[str] = METHODS) -> dict:
    """Retrieval before and after each method, on pairs held back."""
    found: dict = {}
    data = SHARED / "tasks" / "tatoeba_dev.jsonl.xz"
    for method in methods:
        out = folder / f"aligned-{method}"
        told = folder / f"aligned-{method}.txt"
        if not told.exists():
            flags = ["--languages", ",".join(PAIRS), "--method", method, "--epochs", 3, "--tuning-rate", 1e-3]
            told.write_text(run(trainer, "align", folder / "rtd-0", "--pairs", data, "--output", out, *flags))
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
        branches.append(pretrained(names, f"branch-{language}", "mlm=1,rtd=50,order=1", "", 100 + k, *more))
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
