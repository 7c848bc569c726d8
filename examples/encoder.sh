#!/bin/sh
# From a crawl file to labels from onnxruntime: corpus, vocabulary, shards, pretraining, fine-tuning, export.
# sh examples/encoder.sh [CRAWL [TRAIN DEV]]: by default the sample, and a few sentences on three topics in the columns
# of SIB-200; with SIB-200's own files give its train.tsv and dev.tsv. Needs the extra [export]. The folder
# demo-encoder/ is made anew; about three minutes on 2 cores. A model this small, trained this short, is a trial.
set -eu
cd "$(dirname "$0")/.."
CRAWL=${1:-examples/sample/sample.warc.gz}
TRAIN=${2:-examples/sample/topics-train.tsv}
DEV=${3:-examples/sample/topics-dev.tsv}
OUT=${OUT:-demo-encoder}
rm -rf "$OUT"
step() { printf '\n$ %s\n' "$*" >&2; "$@"; }

step python -m pipeline run "$CRAWL" --output "$OUT/corpus"
step python -m tokenizer train "$OUT/corpus" --size 4096
step python -m pipeline tokenize "$OUT/corpus"
step python -m trainer pretrain "$OUT/corpus/tokens" --output "$OUT/model" --size tiny --sequence 128 --batch 16 \
    --steps "${STEPS:-300}"
step python -m trainer report "$OUT/model"
step python -m trainer finetune "$OUT/model" --train "$TRAIN" --dev "$DEV" --output "$OUT/topics" \
    --epochs 20 --examples 8 --length 64 --tuning-rate 1e-3
step python -m trainer export "$OUT/topics" --output "$OUT/exported"
step python -m trainer evaluate "$OUT/topics" "$OUT/exported" "$OUT/exported/model.onnx" --data "$DEV"
# The labels that torch gave on DEV, and those that onnxruntime gives without torch.
python - "$OUT/topics/dev-predictions.jsonl" "$DEV" > "$OUT/labels.tsv" <<'END'
import csv, json, sys
labels = [json.loads(line)["predicted"] for line in open(sys.argv[1], encoding="utf-8")]
texts = [row["text"] for row in csv.DictReader(open(sys.argv[2], encoding="utf-8"), delimiter="\t", quoting=3)]
print(*(f"{text}\t{label}" for text, label in zip(texts, labels, strict=True)), sep="\n")
END
cut -f 1 "$OUT/labels.tsv" | tr '\n' '\0' | xargs -0 python examples/classify.py "$OUT/exported" > "$OUT/served.tsv"
cut -f 1,2 "$OUT/served.tsv" | diff - "$OUT/labels.tsv"
echo "onnxruntime gives the labels that torch gave, $(wc -l < "$OUT/labels.tsv") of $(wc -l < "$OUT/labels.tsv")"
