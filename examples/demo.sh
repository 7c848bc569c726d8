#!/bin/sh
# The whole way on the sample that ships with the project: crawl files -> documents -> selection -> vocabulary ->
# token shards -> checkpoint. Offline; the folder demo/ is made anew.
set -eu
cd "$(dirname "$0")/.."
rm -rf demo
step() { printf '\n\033[1m$ %s\033[0m\n' "$*" >&2; "$@"; }

step python -m pipeline run examples/sample/sample.warc.gz --output demo/corpus --item-bytes 64KiB
step python -m tokenizer train demo/corpus --size 4096
step python -m pipeline tokenize demo/corpus
step python -m trainer pretrain demo/corpus/tokens --size tiny --sequence 128 --batch 16 --steps 200 --output demo/model
step python -m trainer inspect demo/model

cat >&2 <<END

There it is:
  report      demo/corpus/report.html          open it in a browser
  vocabulary  demo/corpus/vocabulary/spm.model
  shards      demo/corpus/tokens/manifest.json
  checkpoint  demo/model/checkpoints/
What to try next:
  python -m pipeline inspect demo/corpus --verdict rejected
  python -m pipeline why demo/corpus 'https://acik-defter.example.org/handbook/4.2/chapter-1803.html'
  python -m pipeline select demo/corpus --threshold min_words=100     another selection, without reading a page again
  python -m pipeline run YOUR.warc.gz --output out/
END
