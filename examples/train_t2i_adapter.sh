#!/usr/bin/env bash
# A T2I-Adapter learns to follow edges: bash examples/train_t2i_adapter.sh
# 训练一个按边缘作画的 T2I-Adapter。Then: fromnoise "red background" --control "model=canny, image=edges.png"
set -euo pipefail
. "$(dirname "$0")/canny_hints.sh" # $pictures, and their edges in $hints
${FROMNOISE:-fromnoise} train t2i-adapter "$pictures" --name canny --conditioning_data_dir "$hints" \
  --steps "${STEPS:-600}" --batch 4 --learning_rate 1e-3 --caption_dropout_rate 0.5 --sample "red background" "$@"
