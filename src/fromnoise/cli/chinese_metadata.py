"""Chinese of what is said about recipes of other tools' pictures."""

ELSEWHERE = {
    'made with a picture as a prompt, which is not in the file: give it with --image-prompt "{settings}"': (
        '用图片作了提示，文件里没有这张图：请用 --image-prompt "{settings}" 给出（PICTURE 换成图片路径）'
    ),
    "made from a start picture, which is not in the file: give it with --init": (
        "由一张起始图生成，文件里没有这张图：请用 --init 给出"
    ),
    "made under a mask, which is not in the file: give it with --mask": ("使用了蒙版，文件里没有它：请用 --mask 给出"),
    "made with a control, whose picture is not in the file: give it with --control, or a start picture": (
        "使用了 ControlNet 类控制，文件里没有它的图：请用 --control 给出，或给出起始图"
    ),
    "{unit}: its picture is not in the file; give it with --control, or a start picture": (
        "{unit}：文件里没有它的图；请用 --control 给出，或给出起始图"
    ),
    "{unit} can't be taken over; give it with --control": "{unit} 无法沿用；请用 --control 给出",
    "made with a prompt under a mask of its own, which is not in the file: that prompt is left out": (
        "有一段提示词带自己的蒙版，文件里没有它：这段提示词未沿用"
    ),
    "made in several passes: the recipe is the first of them": "分多次采样生成：配方只含第一次",
    "made in a batch of {count}: taken for its first picture": "同一批生成了 {count} 张：按其中第一张处理",
    "the refiner goes on where the first model stops; ComfyUI begins a new run there, which differs a little": (
        "精修模型会接着第一个模型继续；ComfyUI 在那里重新开始采样，结果略有不同"
    ),
    "the preset {preset} is taken for {name}, by the model's name and the picture's size": (
        "预设 {preset} 按模型名字和图片尺寸当作 {name}"
    ),
    "processed when it was finished, which its recipe does not make: {done}": (
        "生成后又处理过，配方里没有这一步：{done}"
    ),
    "{node}: its prompts are joined by commas, which is not the same": (
        "{node}：它的几段提示词用逗号连接，效果不完全相同"
    ),
    "{node}: its two texts are joined by a comma, which is not the same": (
        "{node}：它的两段文字用逗号连接，效果不完全相同"
    ),
    "sampler {name} is not known here; the recipe has another": "这里没有采样器 {name}；配方改用了别的",
    "schedule {name} is not known here; the recipe has the sampler's own": (
        "这里没有调度 {name}；配方用采样器自己的调度"
    ),
    "model hash {digest} is none that is known; the model can't be checked": (
        "模型哈希 {digest} 的类型未知；无法核对模型"
    ),
    "{size} is not in eights; the recipe has {other}": "{size} 不是 8 的倍数；配方用 {other}",
    "its styles are written out in the prompt": "它的风格已写进提示词",
    "NovelAI's models are not public: choose one of yours with --model": (
        "NovelAI 的模型没有公开：请用 --model 选一个自己的模型"
    ),
    "{name}: not understood; a newer fromnoise may have written it": (
        "{name}：无法识别；可能由更新版本的 fromnoise 写入"
    ),
}
