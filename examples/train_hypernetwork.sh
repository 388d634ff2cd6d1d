#!/usr/bin/env bash
# AUTOMATIC1111's hypernetwork: bash examples/train_hypernetwork.sh
# 训练 AUTOMATIC1111 的超网络。Then: fromnoise "<hypernet:dango:1> dango, noto style, red background"
set -euo pipefail
data=${DATA:-$(dirname "$0")/data}
${FROMNOISE:-fromnoise} train hypernetwork "$data/dango" --name dango --steps "${STEPS:-300}" --batch 4 \
  --learning_rate 1e-3 --sample "dango, noto style, red background" "$@"
