#!/usr/bin/env bash
# A LoRA of a new object, on the built-in model: bash examples/train_lora.sh
# 教会内置模型一样新东西。Then: fromnoise "<lora:dango:1> dango, noto style, red background"
set -euo pipefail
data=${DATA:-$(dirname "$0")/data}
${FROMNOISE:-fromnoise} train lora "$data/dango" --name dango --steps "${STEPS:-200}" --batch 4 \
  --learning_rate 1e-3 --rank 16 \
  --sample "dango, noto style, red background" "$@"
