#!/usr/bin/env bash
# A ControlNet learns to follow edges: bash examples/train_controlnet.sh
# 训练一个按边缘作画的 ControlNet。Then: fromnoise "red background" --control "model=canny, image=edges.png"
set -euo pipefail
pictures=${PICTURES:-${DATA:-$(dirname "$0")/data}/dango}
hints=${HINTS:-runs/canny/hints}
if [ ! -d "$hints" ]; then
  mkdir -p "$hints"
  ${FROMNOISE:-fromnoise} preprocess "$pictures"/*.png --with canny --size 128x128 --out "$hints/" --quiet >/dev/null
  for hint in "$hints"/*-canny.png; do mv "$hint" "${hint%-canny.png}.png"; done
fi
${FROMNOISE:-fromnoise} train controlnet "$pictures" --name canny --conditioning_data_dir "$hints" \
  --steps "${STEPS:-600}" --batch 4 --learning_rate 5e-4 --caption_dropout_rate 0.5 --sample "red background" "$@"
