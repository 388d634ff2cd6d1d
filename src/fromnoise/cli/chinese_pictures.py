"""The catalogue's part about pictures, boxes and depth as prompts."""

OURS = {
    "Pictures as prompts": "以图为提示",
    'A picture as a prompt: "photo.png, model=ip-adapter_sd15, weight=0.8"; can be repeated.': (
        '用图片作提示（IP-Adapter）： "photo.png, model=ip-adapter_sd15, weight=0.8"； 可重复使用。'
    ),
    'What is to be where, left, top, width and height in pixels: "64,64,128,256: a cat"; needs --gligen; '
    "can be repeated.": (
        '指定位置画什么， 依次为左、上、宽、高（像素）： "64,64,128,256: a cat"； 需要 --gligen； 可重复使用。'
    ),
    'The model that heeds boxes: "NAME", or "NAME, end=0.5".': '处理方框的 GLIGEN 模型： "名字" 或 "名字, end=0.5"。',
    'A depth map for depth models, near is white: "depth.png", or "photo.png, depth_midas".': (
        '深度模型用的深度图， 近处为白： "depth.png" 或 "photo.png, depth_midas"。'
    ),
}
