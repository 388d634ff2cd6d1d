"""The catalogue's part about enlarging, controls and faces."""

OURS = {
    "Painted anew": "重绘",
    'The start picture enlarged and painted anew in tiles: on, or "chess, 4, seams=half".': (
        '起始图片放大后分块重绘： on 或 "chess, 4, seams=half"。'
    ),
    'Paint them anew in tiles with a model: on, or settings such as "chess, overlap=64, seams=half".': (
        '用模型分块重绘： on 或设置， 如 "chess, overlap=64, seams=half"。'
    ),
    "What to see; by default what the picture itself says.": "画面内容； 默认取自图片自身。",
    "Name or path of the checkpoint; by default the picture's own.": "模型的名字或路径； 默认取自图片自身。",
    "How much is replaced; 0.3 if not given.": "重绘幅度； 默认 0.3。",
    "Steps; by default the picture's own.": "步数； 默认取自图片自身。",
    "Of the first tile; by default the picture's own.": "第一块的种子； 默认取自图片自身。",
    "Times their size; 4, or 2 with --redraw.": "放大倍数； 默认 4， 与 --redraw 同用时为 2。",
    "--redraw off: leave the option out instead": "--redraw off： 请直接省略该选项",
    "--{name} goes with --redraw on": "--{name} 要与 --redraw on 同用",
    "--upscaler2 and --max-side do not go with --redraw": "--upscaler2 和 --max-side 不能与 --redraw 同用",
    "{path}: {width}x{height}": "{path}： {width}x{height}",
}
