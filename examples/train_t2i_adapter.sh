#!/usr/bin/env bash
# A T2I-Adapter learns to follow edges: bash examples/train_t2i_adapter.sh
# 训练一个按边缘作画的 T2I-Adapter。Then: fromnoise "red background" --control "model=canny, image=edges.png"
set -euo pipefail
pictures=${PICTURES:-${DATA:-$(dirname "$0")/data}/dango}
hints=${HINTS:-runs/canny/hints}
if [ ! -d "$hints" ]; then
  mkdir -p "$hints"
  ${FROMNOISE:-fromnoise} preprocess "$pictures"/*.png --with canny --size 128x128 --out "$hints/" --quiet >/dev/null
  for hint in "$hints"/*-canny.png; do mv "$hint" "${hint%-canny.png}.png"; done
fi
${FROMNOISE:-fromnoise} train t2i-adapter "$pictures" --name canny --conditioning_data_dir "$hints" \
  --steps "${STEPS:-600}" --batch 4 --learning_rate 1e-3 --caption_dropout_rate 0.5 --sample "red background" "$@"
