"""The catalogue: what the command line and the engine say, in Chinese. {names} are filled in."""

from fromnoise.cli import (
    chinese_accounts,
    chinese_answers,
    chinese_datasets,
    chinese_faults,
    chinese_files,
    chinese_lessons,
    chinese_metadata,
    chinese_models,
    chinese_networks,
    chinese_pictures,
    chinese_prompts,
    chinese_serving,
    chinese_shelf,
    chinese_training,
    chinese_upscaling,
    chinese_weights,
)

OURS = {
    **chinese_accounts.OURS,
    **chinese_datasets.OURS,
    **chinese_models.OURS,
    **chinese_networks.OURS,
    **chinese_prompts.OURS,
    **chinese_pictures.OURS,
    **chinese_serving.OURS,
    **chinese_shelf.OURS,
    **chinese_training.OURS,
    **chinese_upscaling.OURS,
    **chinese_weights.OURS,
    # help; rich breaks lines at spaces only and cuts off what is longer than a line
    "Commands": "命令",
    "The picture": "画什么",
    "Start picture and mask": "起始图片和蒙版",
    "Other pictures that steer": "用别的图片来控制",
    "How it is made": "怎么画",
    "Guidance": "引导",
    "Second pass and refiner": "二次放大和精炼模型",
    "Where it goes": "存到哪里",
    "The machine": "机器",
    'Pictures from words. Everything that is not a command is a prompt: fromnoise "a red apple"': (
        '把文字变成图片。 不是命令的内容都是提示词： fromnoise "a red apple"'
    ),
    '"PROMPT" | COMMAND': '"提示词" | 命令',
    "Train models.": "训练模型。",
    'Make a picture; the word "make" can be left out.': "生成图片； make 这个词可以省略。",
    "Say what a model file holds, or how a picture was made.": "查看模型文件的内容， 或图片的生成参数。",
    "Say what this machine can do and how long a picture takes.": "检查这台机器的能力， 以及生成一张图要多久。",
    "List the samplers and what each is good for.": "列出采样器及其用途。",
    "List the schedules and what each is good for.": "列出噪声调度及其用途。",
    "Write the checkpoint of a training from nothing that is still under way.": "把仍在进行的从零训练写成检查点。",
    "Train a small model from nothing: the networks, the data and the steps are in CONFIG.": (
        "从零训练一个小模型： 网络、 数据和步数写在 CONFIG 里。"
    ),
    "Print the version.": "显示版本号。",
    "What to see.": "提示词： 想看到什么。",
    "What not to see.": "反向提示词： 不想看到什么。",
    "Width and height in pixels, multiples of 8; by default the size the model was trained on.": (
        "宽x高， 单位像素， 须为 8 的倍数； 默认为模型训练时的尺寸。"
    ),
    "Chooses the noise the picture comes from; without it, or -1, a random one, which is printed.": (
        "种子， 决定初始噪声； 不给或为 -1 时随机选取并显示出来。"
    ),
    "How many pictures: seed, seed + 1, ...": "生成几张： 种子依次为 seed、 seed + 1……",
    "A picture to start from.": "图生图的起始图片。",
    "How much of the start picture to replace; 0.75 if not given.": "重绘幅度： 替换起始图片的多少； 不给则为 0.75。",
    "White where the start picture may change.": "蒙版： 白色处可以改动起始图片。",
    "Name or path of the checkpoint.": "模型的名字或路径。",
    "Steps from noise to picture.": "从噪声到图片的步数。",
    "How closely to follow the prompt; 1 is not at all; by default what suits the model, mostly 7.": (
        "提示词引导系数（CFG）； 1 为不引导； 默认取适合模型的值， 多为 7。"
    ),
    "How to walk from noise to picture: see fromnoise samplers.": "采样器： 见 fromnoise samplers。",
    "Which noise levels to step on: see fromnoise schedules; by default what suits model and sampler.": (
        "噪声调度： 见 fromnoise schedules； 默认取适合模型和采样器的。"
    ),
    "Take the text encoder's states this far from its end; by default as the model was trained.": (
        "CLIP 跳过层： 取文本编码器倒数第几层； 默认与模型训练时一致。"
    ),
    (
        "A PNG file, which is overwritten, or a folder, which ends in /; "
        "by default outputs/DATE-SEED-PROMPT.png, which never overwrites."
    ): "PNG 文件（会覆盖）， 或以 / 结尾的文件夹； 默认为 outputs/日期-种子-提示词.png， 从不覆盖已有文件。",
    "Also write NAME-watch.png: the picture that was predicted at each step.": (
        "另存 文件名-watch.png： 每一步预测出的图片。"
    ),
    "Print the path and nothing else.": "只输出路径， 不输出其他内容。",
    "Where to compute: cpu, cuda, cuda:1, xpu, mps; by default the best there is.": (
        "在哪里计算： cpu、 cuda、 cuda:1、 xpu、 mps； 默认用最好的设备。"
    ),
    "What to compute in: float32, bfloat16, float16; by default what is fast here.": (
        "计算精度： float32、 bfloat16、 float16； 默认用这台机器上快的。"
    ),
    "A style of styles.csv, put around the prompts; can be repeated.": (
        "styles.csv 里的样式， 加到提示词上； 可重复使用。"
    ),
    "The file of styles, as AUTOMATIC1111 writes it.": "样式文件， 格式同 AUTOMATIC1111。",
    "The folder of lists that __name__ in a prompt takes a line of.": "通配符文件夹： 提示词里的 __名字__ 取其中一行。",
    "Choose nothing in prompts: {a|b} and __name__ are text.": "不做随机选择： {a|b} 和 __名字__ 都当作文字。",
    'How the mask is used: "content=fill, blur=4, only_masked=on".': (
        '蒙版的用法： "content=fill, blur=4, only_masked=on"。'
    ),
    "Soft inpainting, of masks with greys: on, or its settings.": "柔和重绘， 用于带灰度的蒙版： on， 或各项设置。",
    "How a start picture of another size is fitted: crop, stretch, fill or latent.": (
        "尺寸不同的起始图片如何适配： crop 裁剪、 stretch 拉伸、 fill 补边、 latent 缩放潜变量。"
    ),
    "Give the result the colours of the start picture.": "让结果的颜色与起始图片一致。",
    "Take all steps whatever the strength; a1111.": "不论重绘幅度多少都走完全部步数； a1111。",
    "How closely an instruct-pix2pix model follows the start picture.": "instruct-pix2pix 模型贴近起始图片的程度。",
    'Options of the sampler: "eta=0.5, s_noise=1".': '采样器的选项： "eta=0.5, s_noise=1"。',
    'Options of the schedule: "rho=5, sigma_min=0.1".': '噪声调度的选项： "rho=5, sigma_min=0.1"。',
    "Whose numerics to follow: native, a1111, comfyui or diffusers.": (
        "按哪个工具的算法： native、 a1111、 comfyui 或 diffusers。"
    ),
    "How weights in prompts act: native, comfyui, no norm or ignore; by default the profile's.": (
        "提示词权重的算法： native、 comfyui、 no norm 或 ignore； 默认随 --profile。"
    ),
    "Leave out the last noise level but one, as some samplers do anyway.": (
        "去掉倒数第二个噪声水平； 有些采样器本来就这样做。"
    ),
    "Count moments in prompts as before version 1.6 of AUTOMATIC1111.": (
        "提示词编辑的时刻按旧规则计算 （AUTOMATIC1111 的 1.6 版之前）。"
    ),
    'The sizes that SDXL is told: "original=1024x1024, crop=0x0".': (
        '告诉 SDXL 的尺寸： "original=1024x1024, crop=0x0"。'
    ),
    'A second seed and how much of its noise is mixed in: "5, 0.2".': '差异随机种子， 及混入其噪声的强度： "5, 0.2"。',
    'Where noise comes from: "source=nv, seed_delta=31337".': '噪声的来源： "source=nv, seed_delta=31337"。',
    'A second pass on the enlarged picture: "2", or "scale=2, strength=0.5, steps=10".': (
        '高分辨率修复： "2"， 或 "scale=2, strength=0.5, steps=10"。'
    ),
    'Another model for the last steps: "NAME, 0.8".': '最后若干步换用的精炼模型： "名字, 0.8"。',
    "CFG rescale: guided answers keep their contrast: 0.7.": ("CFG 重缩放： 保持对比度， 如 0.7。"),
    'Adaptive projected guidance, against burnt colours: on, or "eta=0, threshold=15".': (
        '自适应投影引导（APG）， 防止过饱和： on， 或 "eta=0, threshold=15"。'
    ),
    'Dynamic thresholding: a high guidance with the values of a lower one: "7, percentile=0.99".': (
        '动态阈值： 高引导系数， 低系数的数值范围： "7, percentile=0.99"。'
    ),
    "CFG-Zero*: the unconditional answer is fitted first: on.": ("CFG-Zero*： 先拟合无条件结果： on。"),
    "Perp-Neg: take away only what the prompt does not ask for: 1.": (
        "Perp-Neg： 反向提示词只去掉 与提示词垂直的部分： 1。"
    ),
    'Leave the negative prompt out at low noise (NGMS) or at the start: "2", or "early=0.1".': (
        '低噪声时（NGMS）或开头 跳过反向提示词： "2"， 或 "early=0.1"。'
    ),
    "Perturbed-attention guidance, for structure: 3.": ("扰动注意力引导（PAG）， 改善结构： 3。"),
    'Self-attention guidance, for details: "0.5, blur=2".': ('自注意力引导（SAG）， 改善细节： "0.5, blur=2"。'),
    'FreeU, b1, b2, s1, s2: on, or "1.3, 1.4, 0.9, 0.2".': (
        'FreeU 的 b1、 b2、 s1、 s2： on， 或 "1.3, 1.4, 0.9, 0.2"。'
    ),
    'Step reuse (DeepCache), for speed: all of the network at every third step alone: on, or "3, blocks=2".': (
        '步间复用（DeepCache）， 加快生成： 每三步 才 完整运行网络： on， 或 "3, blocks=2"。'
    ),
    "Multiply 8-bit integers in the U-Net, for speed on processors.": ("U-Net 用 8 位整数相乘， 在处理器上 加快生成。"),
    "Multiply 8-bit floats in the U-Net, for speed on GPUs.": "U-Net 用 8 位浮点数相乘， 在显卡上 加快生成。",
    "Compile the U-Net's blocks, for speed after the first picture.": "编译 U-Net 的各个块， 第一张图片之后 更快。",
    "Token merging, for speed: the share of tokens done without, 0.5.": (
        "Token 合并， 加快生成： 省去的比例， 如 0.5。"
    ),
    "Pictures that tile: on, or y=off for left and right alone.": ("无缝平铺： on， 或 y=off 只平铺左右。"),
    'A prompt for a part of the picture, as shares of it: "a dog, left=0.5, width=0.5"; can be repeated.': (
        '画面一部分的提示词， 位置按比例： "a dog, left=0.5, width=0.5"； 可重复使用。'
    ),
    'How much the prompt counts beside those of regions: "base=0.5".': ('整图提示词相对分区的权重： "base=0.5"。'),
    'New pixels around the start picture: "left=128, right=128, feather=40".': (
        '向外扩图的像素： "left=128, right=128, feather=40"。'
    ),
    'Begin with the noise that the start picture would come from: "prompt=a cat, steps=50".': (
        '从起始图片反推的噪声开始： "prompt=a cat, steps=50"。'
    ),
    "A model file or folder, or a picture.": "模型文件、 模型文件夹或图片。",
    "Read all weights: is the model whole, and are they all numbers?": "读完全部权重： 模型是否完整， 有无 NaN？",
    "Which device to measure; by default the best there is.": "测试哪个设备； 默认用最好的设备。",
    "A TOML file; docs/training.md explains it.": "TOML 文件， 说明见 docs/training.md。",
    # making pictures
    "loading {model} ...": "正在加载 {model} ……",
    "seed {seed}, {width}x{height}, {steps} steps of {sampler} ({schedule}), on {device} in {dtype}": (
        "种子 {seed}，{width}x{height}，{sampler}（{schedule}）{steps} 步，在 {device} 上以 {dtype} 计算"
    ),
    "step": "步",
    "step {done}/{total}, {rate:.2f} it/s, {left:.0f} s left": (
        "第 {done}/{total} 步，每秒 {rate:.2f} 步，还剩 {left:.0f} 秒"
    ),
    "done in {seconds:.1f} s": "完成，用时 {seconds:.1f} 秒",
    "stopped": "已停止",
    "stopped; nothing was written": "已停止，没有写入任何文件",
    "stopped; {written} of {wanted} pictures are finished": "已停止，{wanted} 张图中完成了 {written} 张",
    # again, verify and sheets
    "A picture with its recipe in it, of any tool.": "带有生成参数的图片，出自哪个工具都可以。",
    "Another model than the picture names.": "改用另一个模型，而不是图片里写的那个。",
    "A font for the labels of the sheet.": "拼图标签所用的字体文件。",
    "Also write every picture of the sheet by itself.": "拼图中的每张图片也单独存一份。",
    "Make a picture again from what is written in it, changed by the options.": (
        "按图片里的生成参数重新生成它，可用选项改动。"
    ),
    "What to see instead.": "改用的提示词。",
    "Check a picture against what its metadata makes: was it changed?": "按元数据重新生成并比对：图片被改动过吗？",
    "Draw a sheet of pictures that differ along one to three axes.": "画一张 X/Y/Z 对比图：沿一到三个轴变化参数。",
    "Draw a sheet of every choice of the parts of a prompt: always|this|that.": (
        "提示词矩阵：画出 always|this|that 各部分的所有组合。"
    ),
    "Make a picture for each line of a file.": "文件里每一行提示词生成一张图。",
    "Make a picture, then another from it, and so on, and draw a sheet of them.": (
        "回送：每张图都以前一张为起点，并拼成一张图。"
    ),
    'What changes along the columns: "steps=10-30 [3]", "sampler=Euler, DPM++ 2M".': (
        '各列变化的参数："steps=10-30 [3]"、"sampler=Euler, DPM++ 2M"。'
    ),
    "What changes along the rows.": "各行变化的参数。",
    "What changes from sheet to sheet, side by side.": "各张并排的子图之间变化的参数。",
    "Take the parts of the negative prompt instead.": "改为组合反向提示词的各部分。",
    "Put the chosen parts before the first one.": "把选中的部分放在第一部分之前。",
    "Each picture has a seed of its own.": "每张图用不同的种子。",
    'A prompt on each line, or options such as --prompt "a cat" --steps 5.': (
        '每行一个提示词，或 --prompt "a cat" --steps 5 这样的选项。'
    ),
    "Each line has the next seed.": "每一行的种子依次加一。",
    "How many pictures.": "生成几张图：循环次数。",
    "The strength of the last picture.": "最后一张图的重绘幅度。",
    "How the strength goes from the first to the last.": "重绘幅度从第一张到最后一张的变化曲线。",
    "note: {warning}": "注意：{warning}",
    "not understood: {fields}": "没有读懂的字段：{fields}",
    "identical: every pixel is what the recipe makes": "完全一致：每个像素都与重新生成的结果相同",
    "equal within rounding: nobody changed it": "在舍入误差内一致：没有被改动",
    "alike: no part differs by more than such a file loses": "相似：没有哪一处的差别超过这种文件的压缩损失",
    "a {kind} file loses something: it is compared with what it would lose, too": (
        "{kind} 是有损格式：已按同样的损失来比对"
    ),
    "PSNR to what the recipe makes: {ratio:.1f} dB": "与重新生成的图相比，峰值信噪比（PSNR）为 {ratio:.1f} dB",
    "edited: parts of it are not what the recipe makes": "被编辑过：有些部分与重新生成的结果不同",
    "different: its recipe makes another picture here": "不同：按它的参数在这里生成的是另一张图",
    "not checked: {reason}": "无法检查：{reason}",
    "largest difference {largest:g} of 255, mean {mean:.3g}": "最大差值 {largest:g}（满值 255），平均 {mean:.3g}",
    "values that rounding turned to the next level: {count}": "因舍入落到相邻级的数值：{count} 个",
    "changed pixels: {count}, between ({left}, {upper}) and ({right}, {lower})": (
        "被改动的像素：{count} 个，位于 ({left}, {upper}) 到 ({right}, {lower}) 之间"
    ),
    "it needs a model with the hash {needed}, which is not here": ("它需要哈希值为 {needed} 的模型，这里没有"),
    "the model it was made with": "生成它所用的模型",
    "not known to be its model": "不能确定是生成它所用的模型",
    "made with {environment}": "制作环境：{environment}",
    "{path}: {reason}; SHA-256 {sha256}": "{path}：{reason}；SHA-256 为 {sha256}",
    "give an axis, such as --x {example}; there are {known}": "请给出一个轴，如 --x {example}；可用的轴有：{known}",
    "axis {text}: write it as NAME=VALUES, such as {example}": "轴 {text}：请写成 名字=取值，如 {example}",
    "{path}: can't be read ({reason})": "{path}：无法读取（{reason}）",
    "{path}: is not text in UTF-8": "{path}：不是 UTF-8 编码的文本",
    "{count} pictures": "共 {count} 张图",
    "no font here has {letters}: they show as boxes; install one, such as Noto Sans CJK, or give --font": (
        "这里没有包含 {letters} 的字体，它们会显示为方框；请安装 Noto Sans CJK 之类的字体，或用 --font 指定"
    ),
    "{flag}: too many values; it has {names}": "{flag}：值太多；它有 {names}",
    "{flag}: write NAME=VALUE, NAME=VALUE": "{flag}：请写成 名字=值, 名字=值",
    "{flag}: {rest} is not understood; write NAME=VALUE, NAME=VALUE": (
        "{flag}：看不懂 {rest}；请写成 名字=值, 名字=值"
    ),
    # upscale
    "What enlarges a start picture that is too small: see fromnoise upscalers.": (
        "起始图片太小时用什么放大： 见 fromnoise upscalers。"
    ),
    'Large pictures in tiles that are averaged: on, or "mixture of diffusers, 96, 96, overlap=48".': (
        '分块扩散画大图， 各块取平均： on， 或 "mixture of diffusers, 96, 96, overlap=48"。'
    ),
    "Enlarge pictures that are finished.": "放大已有的图片。",
    "List the upscalers and what each is good for.": "列出放大算法及其用途。",
    "Pictures, or folders of pictures.": "图片， 或装有图片的文件夹。",
    "What enlarges them: a name from fromnoise upscalers, or a file.": (
        "放大算法： fromnoise upscalers 列出的名字， 或模型文件。"
    ),
    "At most so many pixels on a side; 0 is no limit.": "长边最多这么多像素； 0 为不限。",
    "Width and height in pixels, instead of a scale.": "指定宽x高（像素）， 代替倍数。",
    "With a size: cut what lies beyond it, or make the picture larger instead.": (
        "指定尺寸时： 裁掉超出的部分， 或让图片保持比例而更大。"
    ),
    "A second upscaler, mixed into the first.": "第二个放大算法， 与第一个混合。",
    "How much of the second is seen.": "第二个算法的可见程度。",
    "Pixels on a side computed at once; 0 is all.": "分块边长（像素）； 0 为整张一次计算。",
    "Pixels that tiles share; by default enough to hide the seams.": "相邻分块重叠的像素数； 默认足以看不出接缝。",
    "A PNG file, which is overwritten, or a folder, which ends in /; by default outputs/NAME-upscaled.png.": (
        "PNG 文件（会覆盖）， 或以 / 结尾的文件夹； 默认为 outputs/文件名-upscaled.png。"
    ),
    "{path}: no pictures in this folder": "{path}：这个文件夹里没有图片",
    "upscaler": "放大算法",
    # failures
    "out of memory; try a smaller --size, --memory, --dtype bfloat16 or --device cpu": (
        "内存不足；请减小 --size，或用 --memory、--dtype bfloat16、--device cpu"
    ),
    "unexpected failure: {what}; set FROMNOISE_DEBUG=1 for details": (
        "意外错误：{what}；设置 FROMNOISE_DEBUG=1 可查看详情"
    ),
    "{problem} (see {command} --help)": "用法错误：{problem}（见 {command} --help）",
    "--strength needs a start picture: give one with --init": "--strength 需要起始图片：请用 --init 给出",
    "--size {size}: give width and height in pixels, such as 512x768": (
        "--size {size}：请给出宽和高的像素数，如 512x768"
    ),
    "--out {out}: pictures are written as PNG; use {name}": "--out {out}：图片只能存为 PNG，请用 {name}",
    "{file} is a file": "{file} 是文件",
    "can't write to {place} ({reason}); choose another place with --out": (
        "无法写入 {place}（{reason}）；请用 --out 换个位置"
    ),
    "{path}: no such file": "{path}：没有这个文件",
    # lists and descriptions
    "sampler": "采样器",
    "schedule": "噪声调度",
    "label": "名称",
    "good for": "用途",
    "a picture of {width}x{height} pixels": "{width}x{height} 像素的图片",
    "It carries no recipe.": "图片里没有生成参数。",
    "made by {tool}": "由 {tool} 生成",
    "not understood:": "没有看懂的：",
    "to make it again:": "重新生成它的命令：",
    # doctor
    "measuring ...": "正在测量 ……",
    "Computes on: {device} ({name}) in {dtype}": "计算设备：{device}（{name}），精度 {dtype}",
    "Devices here: {devices}": "可用设备：{devices}",
    "Processor: {name}; cores: {cores}, threads in use: {threads}": (
        "处理器：{name}；核数 {cores}，使用线程 {threads}"
    ),
    "The processor is busy with other programs: without them the times below would be shorter.": (
        "处理器正忙于其他程序：没有它们时，下面的用时会更短。"
    ),
    "It multiplies fast with: {features}": "矩阵加速：{features}",
    "Attention by a kernel built here: {answer}": "注意力用本机编译的内核：{answer}",
    "Memory for pictures: {size:.1f} GB": "可用于生成的内存：{size:.1f} GB",
    "Built-in model, measured: {time} per picture.": "内置模型，实测：每张图 {time}。",
    "Other models, estimated for one picture of {steps} steps from timing parts of them:": (
        "其他模型，按实测其部分网络估算，每张图 {steps} 步："
    ),
    "  {model}, {size}x{size}: about {time}; takes {wanted:.1f} GB of memory, or {least:.1f} GB and more time": (
        "  {model}，{size}x{size}：约 {time}；占用内存 {wanted:.1f} GB，慢一些时 {least:.1f} GB"
    ),
    ": too much here": "：这台机器不够",
    "{seconds:.1f} seconds": "{seconds:.1f} 秒",
    "{seconds:.0f} seconds": "{seconds:.0f} 秒",
    "{minutes:.0f} minutes": "{minutes:.0f} 分钟",
}

ELSEWHERE = {  # sentences of the engine and of typer, which speak English only; the first that fits is taken
    **chinese_metadata.ELSEWHERE,
    **chinese_models.ELSEWHERE,
    **chinese_networks.ELSEWHERE,
    **chinese_prompts.ELSEWHERE,
    **chinese_shelf.ELSEWHERE,
    **chinese_training.ELSEWHERE,
    **chinese_weights.ELSEWHERE,
    "another file of that name is here": "同名文件的内容不同",
    "yes": "是",
    "nothing is kept on this machine": "本机不保留任何文件",
    "PyTorch's kernel is as fast here": "否，PyTorch 的内核在这里同样快",
    "there is no C++ compiler; on Debian: apt install g++": "否，没有 C++ 编译器；Debian 上：apt install g++",
    "unknown {kind} {name}; did you mean {near}? Known: {known}": (
        "没有 {kind} {name}；是不是 {near}？可用的有：{known}"
    ),
    "unknown {kind} {name}. Known: {known}": "没有 {kind} {name}。可用的有：{known}",
    "{path}: no such picture": "{path}：没有这张图片",
    "{path} is a folder, not a picture": "{path} 是文件夹，不是图片",
    "{path}: not a readable picture ({error}); give a PNG, JPEG or WebP file": (
        "{path}：不是可读的图片（{error}）；请给出 PNG、JPEG 或 WebP 文件"
    ),
    "{path}: {size} pixels are too many; at most {limit} are read": "{path}：{size} 像素太大，最多 {limit} 像素",
    "{side}: {length} is not a multiple of 8; the nearest sizes are {below} and {above}": (
        "{side}：{length} 不是 8 的倍数；最接近的尺寸是 {below} 和 {above}"
    ),
    "{field}: input should be less than or equal to {limit}": "{field}：不能大于 {limit}",
    "{field}: input should be greater than or equal to {limit}": "{field}：不能小于 {limit}",
    "recipe: a mask needs a start picture: give one with --init": "蒙版需要起始图片：请用 --init 给出",
    "{part} needs a start picture: give one with --init": "{part} 需要起始图片：请用 --init 给出",
    "no model {name}: give its path, or one of {there}. Looked in {folders}": (
        "没有模型 {name}：请给出模型文件的路径，或用 {there}。找过的文件夹：{folders}"
    ),
    "no model {name}; did you mean {near}? Looked in {folders}": (
        "没有模型 {name}；是不是 {near}？找过的文件夹：{folders}"
    ),
    "no {what} {name}: give its path, or one of {there}. Looked in {folders}": (
        "没有 {what} {name}：请给出文件的路径，或用 {there}。找过的文件夹：{folders}"
    ),
    "no {what} {name}; did you mean {near}? Looked in {folders}": (
        "没有 {what} {name}；是不是 {near}？找过的文件夹：{folders}"
    ),
    "no {what} {name}: put its file into {folder} or give its path": (
        "没有 {what} {name}：请把文件放进 {folder}，或给出它的路径"
    ),
    "{what} {name} could be {names}: say which": "{what} {name} 可能是 {names}：请说明是哪一个",
    "{file} is not a table of folders; see docs/library.md": "{file} 不是文件夹列表；见 docs/library.md",
    "{file} is not YAML ({error}); see docs/library.md": "{file} 不是 YAML（{error}）；见 docs/library.md",
    "calls of the network could not be recorded ({error}): they go on one kernel at a time": (
        "无法录制网络的调用（{error}）：改为逐个内核执行"
    ),
    "out of memory: the upscaler goes on in smaller tiles, more slowly": "内存不足：放大器改用更小的分块继续，会慢一些",
    "out of memory: the picture goes on with less at once, more slowly": (
        "内存不足：图片改用更少的内存继续生成，会慢一些"
    ),
    "the picture is too large for the device's memory: the processor decodes it, more slowly": (
        "图片对显卡的内存来说太大：改由处理器解码，会慢一些"
    ),
    "this picture needs {least} GB of memory at least, and there are {there} GB: choose a smaller --size": (
        "这张图片至少需要 {least} GB 内存，而只有 {there} GB：请减小 --size"
    ),
    "--memory {size}: give a size such as 4GB or 800MB": "--memory {size}：请给出大小，如 4GB 或 800MB",
    "no device {name} here; this machine has {known}": "没有设备 {name}；这台机器有 {known}",
    "unknown dtype {name}; choose one of {known}": "没有精度 {name}；可用的有 {known}",
    "{path}: can't be written ({reason}); choose another place with --out": (
        "无法写入 {path}（{reason}）；请用 --out 换个位置"
    ),
    "the schedule {name} has no option {lacking}: it has {known}": "噪声调度 {name} 没有选项 {lacking}；它有 {known}",
    "the extension {package} is left out of {group}: {error}": "扩展 {package} 未能加载（{group}）：{error}",
    "No such option: {option} (Possible options: {near})": "没有选项 {option}（是不是 {near}）",
    "No such option: {option}": "没有选项 {option}",
    "Option {option} requires an argument.": "选项 {option} 后面要有值",
    "No such command {name}.": "没有命令 {name}",
    "Missing command.": "缺少命令",
    "Missing argument {name}.": "缺少 {name}",
    "Got unexpected extra argument(s) ({words})": "多余的参数：{words}（提示词有空格时要加引号）",
    "Invalid value for {option}: Input should be greater than or equal to {limit}": "{option} 不能小于 {limit}",
    "Invalid value for {option}: Input should be less than or equal to {limit}": "{option} 不能大于 {limit}",
    "Invalid value for {option}: Input should be a valid integer, {why}": "{option} 应为整数",
    "Invalid value for {option}: Input should be a valid number, {why}": "{option} 应为数字",
    **chinese_answers.ELSEWHERE,
    **chinese_faults.ELSEWHERE,
    **chinese_files.ELSEWHERE,
    **chinese_lessons.ELSEWHERE,
}
