#!/usr/bin/env bash
# The whole model learns an object, and keeps what it knows of others: bash examples/train_dreambooth.sh
# 让整个模型学会一样东西（DreamBooth），同时保住原有的。Then: fromnoise "dango, flat style" --model dango
set -euo pipefail
data=${DATA:-$(dirname "$0")/data}
${FROMNOISE:-fromnoise} train dreambooth "$data/dango" --name dango --steps "${STEPS:-80}" --batch 4 \
  --learning_rate 1e-4 --text \
  --sample "dango, noto style, red background" "$@"
