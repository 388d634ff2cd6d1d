# For train_controlnet.sh and train_t2i_adapter.sh: the folder of pictures, and that of their edges, made where it is not there.
# 供两个脚本使用：图片文件夹，以及边缘图文件夹（没有时生成）。
pictures=${PICTURES:-${DATA:-$(dirname "$0")/data}/dango}
hints=${HINTS:-runs/canny/hints}
if [ ! -d "$hints" ]; then
  mkdir -p "$hints"
  ${FROMNOISE:-fromnoise} preprocess "$pictures"/*.png --with canny --size 128x128 --out "$hints/" --quiet >/dev/null
  for hint in "$hints"/*-canny.png; do mv "$hint" "${hint%-canny.png}.png"; done
fi
