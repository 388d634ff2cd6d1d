"""The catalogue's part about enlarging, controls and faces."""

OURS = {
    'A small picture for upscaling models (x4): "small.png", or "small.png, noise_level=20".': (
        '给放大模型（x4）的小图： "small.png" 或 "small.png, noise_level=20"。'
    ),
    'Faces made clear in the finished picture: on, gfpgan, or "codeformer, weight=0.7".': (
        '在完成的图片上修复人脸： on、 gfpgan 或 "codeformer, weight=0.7"。'
    ),
    "Make faces clear: gfpgan or codeformer; both if given twice.": "修复人脸： gfpgan 或 codeformer； 给两次则都用。",
    "CodeFormer: how true to what was there; 0 invents the most.": ("CodeFormer： 对原貌的忠实程度； 0 改动最大。"),
    "How much of the clear faces is seen.": "修复结果的可见程度。",
    "Make hints for control networks of pictures.": "把图片变成控制网络的控制图（预处理）。",
    "List the preprocessors and what each is good for.": "列出预处理器及各自的用途。",
    "What makes the hint: a name from fromnoise preprocessors; can be repeated.": (
        "预处理器， 名字见 fromnoise preprocessors； 可重复使用。"
    ),
    'Of the preprocessor: "low=80 high=160".': '预处理器的参数： "low=80 high=160"。',
    "Pixels of the shorter side while it works; 512 if not given.": "处理时短边的像素数； 默认 512。",
    "Of the hint in pixels; by default what comes of the resolution.": "控制图的像素尺寸； 默认由分辨率决定。",
    "How a hint of another size becomes as large.": "尺寸不同时如何调整： 裁切、 拉伸或填充。",
    "White where the inpaint preprocessors paint anew.": "局部重绘类预处理器的蒙版， 白色处重绘。",
    "Of what is random.": "随机部分的种子。",
    "A PNG file, which is overwritten, or a folder, which ends in /; by default outputs/NAME-WITH.png.": (
        "PNG 文件（会被覆盖）， 或以 / 结尾的文件夹； 默认 outputs/名字-预处理器.png。"
    ),
    "{name} makes no hint: the model looks at the picture itself": "{name} 不生成控制图： 模型直接参考原图",
    "preprocessor": "预处理器",
    "needs": "需要",
    'A picture that steers, any number of times: "openpose:photo.png, model=NAME, weight=0.8".': (
        '控制图， 可重复使用： "openpose:photo.png, model=名字, weight=0.8"。'
    ),
    "Painted anew": "重绘",
    'The start picture enlarged and painted anew in tiles: on, or "chess, 4, seams=half".': (
        '起始图片放大后分块重绘： on 或 "chess, 4, seams=half"。'
    ),
    'Paint them anew in tiles with a model: on, or settings such as "chess, overlap=64, seams=half".': (
        '用模型分块重绘： on 或设置， 如 "chess, overlap=64, seams=half"。'
    ),
    "What to see; by default what the picture itself says.": "画面内容； 默认取自图片自身。",
    "The checkpoint, by default the picture's own; or, without --redraw, one that upscales (x4).": (
        "模型， 默认取自图片自身； 不用 --redraw 时为放大模型（x4）。"
    ),
    "an upscaling model has its own scale and takes no strength; or add --redraw on": (
        "放大模型有固定倍数， 也没有重绘幅度； 或加上 --redraw on"
    ),
    "How much is replaced; 0.3 if not given.": "重绘幅度； 默认 0.3。",
    "Steps; by default the picture's own.": "步数； 默认取自图片自身。",
    "Of the first tile; by default the picture's own.": "第一块的种子； 默认取自图片自身。",
    "Times their size; 4, or 2 with --redraw.": "放大倍数； 默认 4， 与 --redraw 同用时为 2。",
    "--redraw off: leave the option out instead": "--redraw off： 请直接省略该选项",
    "--{name} goes with --redraw on": "--{name} 要与 --redraw on 同用",
    "--upscaler2 and --max-side do not go with --redraw": "--upscaler2 和 --max-side 不能与 --redraw 同用",
    "{path}: {width}x{height}": "{path}： {width}x{height}",
}
