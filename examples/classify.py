"""python examples/classify.py FOLDER TEXT...: labels from an exported model, with onnxruntime and sentencepiece alone.

FOLDER is what `python -m trainer export` wrote for a model of a task: spm.model, config.json, model.onnx,
model-int8.onnx. Prints text, label, and its probability by either file.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import sentencepiece

CLS, SEP = 2, 3


def main(folder: Path, texts: list[str]) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    labels = json.loads((folder / "config.json").read_text())["id2label"]
    sessions = [onnxruntime.InferenceSession(str(folder / n)) for n in ("model.onnx", "model-int8.onnx")]
    for text in texts:
        ids = np.array([[CLS, *pieces.encode(text)[:126], SEP]], np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        found = []
        for session in sessions:
            logits = session.run(None, inputs)[0][0]
            chances = np.exp(logits - logits.max())
            best = int(chances.argmax())
            found.append(f"{labels[str(best)]}\t{chances[best] / chances.sum():.3f}")
        print(text, *found, sep="\t")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
