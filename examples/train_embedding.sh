#!/usr/bin/env bash
# A word is learnt, and nothing else: bash examples/train_embedding.sh
# 只学一个词（文本反演）。Then: fromnoise "dango, noto style, red background"
set -euo pipefail
data=${DATA:-$(dirname "$0")/data}
${FROMNOISE:-fromnoise} train embedding "$data/dango" --name dango --steps "${STEPS:-300}" --batch 4 \
  --learning_rate 3e-2 --vectors 8 --init_word "lollipop" --sample "dango, noto style, red background" "$@"
