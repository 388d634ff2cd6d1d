#!/usr/bin/env bash
# A ControlNet learns to follow edges: bash examples/train_controlnet.sh
# 训练一个按边缘作画的 ControlNet。Then: fromnoise "red background" --control "model=canny, image=edges.png"
set -euo pipefail
. "$(dirname "$0")/canny_hints.sh" # $pictures, and their edges in $hints
${FROMNOISE:-fromnoise} train controlnet "$pictures" --name canny --conditioning_data_dir "$hints" \
  --steps "${STEPS:-600}" --batch 4 --learning_rate 5e-4 --caption_dropout_rate 0.5 --sample "red background" "$@"
