"""Chinese of the errors of the engine and of what it uses."""

ELSEWHERE = {
    "shortest: larger than longest": "shortest：边长下限大于上限",
    "smallest: larger than largest": "smallest：像素数下限大于上限",
    "edges: nothing is looked for; edges or entropy has to count": (
        "edges：没有可依据的内容；edges 和 entropy 至少有一个大于 0"
    ),
    "{path}: carries no recipe; was it saved again by a program that drops them?": (
        "{path}：没有生成参数；是不是被别的程序另存过，参数丢了？"
    ),
    "carries no recipe; was it saved again by a program that drops them?": (
        "没有生成参数；是不是被别的程序另存过，参数丢了？"
    ),
    "{path}: carries no fromnoise recipe; was it made, or saved again, by another program?": (
        "{path}：没有 fromnoise 的生成参数；是不是由别的程序生成或另存过？"
    ),
    "it was enlarged or retouched after it was made": "它在生成之后又被放大或修饰过",
    "{model} is another model: the picture needs {digest}": "{model} 是另一个模型：这张图需要 {digest}",
    "it has {there} pixels, and {made} when made again": "它有 {there} 像素，重新生成的是 {made}",
    "{path}: {reason}; it was the {field} of {picture}": "{path}：{reason}；它是 {picture} 的 {field}",
    (
        "{path}: made with another model than {model} here: its hash is {digest}, not {other}; choose one with --model"
    ): "{path}：不是用这里的 {model} 生成的：哈希是 {digest}，而不是 {other}；请选用对应的模型",
    "{name} holds no U-Net; LoRAs are put into whole checkpoints": ("{name} 里没有 U-Net；LoRA 只能合并进完整模型"),
    "{name} is no upscaling model, such as x4-upscaler-ema: leave out enlarge": (
        "{name} 不是放大模型（如 x4-upscaler-ema）：请去掉 enlarge"
    ),
    "the recipe is finished by the model {name}: load it, too": "配方由模型 {name} 收尾：请一并加载",
    "{name} can't finish what {other} begins: their latents differ": ("{name} 不能接着 {other} 画：两者的潜空间不同"),
    "the second pass is made by the model {name}: load it, too": "高清修复使用模型 {name}：请一并加载",
    "{name} has other latents than the first pass: choose an upscaler of pictures": (
        "{name} 与第一遍的潜空间不同：请选择图片放大器"
    ),
    "int8 needs a processor with products of 8-bit integers, and the work on it: leave int8 out": (
        "int8 需要支持 8 位整数乘法的处理器：请关闭 int8"
    ),
    "int8 keeps the U-Net's weights a second time, and there is no room: leave it out, or the limit": (
        "int8 要多存一份 U-Net 权重，内存不够：请关闭 int8，或放宽内存限制"
    ),
    "{name}: not the file of the recipe (its SHA-256 begins {digest})": (
        "{name}：不是配方里的那个文件（SHA-256 以 {digest} 开头）"
    ),
    "{side} is not a multiple of {step}, which {name} needs": "{side} 不是 {step} 的倍数，而 {name} 要求如此",
    "{name}: instruct-pix2pix models have guidance of their own; leave it out": (
        "{name}：instruct-pix2pix 模型有自己的引导方式；请去掉"
    ),
    "control {number} needs a picture: give one with --control, or a start picture": (
        "控制 {number} 需要图片：请给它一张，或给出起始图"
    ),
    "step_reuse: {name} has {count} blocks: let at most {most} run at each step": (
        "step_reuse：{name} 有 {count} 层：每步最多运行 {most} 层"
    ),
    "{path} is no table: move it away, then write the notes": "{path} 不是表格：请先移走它，再写备注",
    "{path} cannot be read: move it away, then write the notes": "{path} 无法读取：请先移走它，再写备注",
    "it is too large": "它太大",
    "it is no table": "它不是表格",
    "{name} knows no hints of the type {kind}": "{name} 没有 {kind} 这种控制类型",
    "{name} is a style for the whole picture: leave out its region": "{name} 作用于整张图：请去掉区域",
    "{name} has {count} residuals, so `layers` takes {n} weights": (
        "{name} 有 {count} 层，所以 layers 需要 {n} 个权重"
    ),
    "{name} acts on the whole picture: leave out its region": "{name} 作用于整张图：请去掉区域",
    "a style needs CLIP's picture encoder of width {width}, which is ViT-L/14 for 1024: put it in {folder}": (
        "风格适配器需要宽度 {width} 的 CLIP 图像编码器（1024 为 ViT-L/14）：请放进 {folder}"
    ),
    "{name} is for another kind of model: {reason}": "{name} 用于另一类模型：{reason}",
    "upscaler {name} is the file {file}.pth, which is not here: put it into {folder}": (
        "放大器 {name} 需要文件 {file}.pth，这里没有：请放进 {folder}"
    ),
    "upscaler {name} enlarges {factor} times; at most {limit} times can be used": (
        "放大器 {name} 放大 {factor} 倍；最多可用 {limit} 倍"
    ),
    "{name} is the file {file}, which is not here: put it into {folder}": (
        "{name} 需要文件 {file}，这里没有：请放进 {folder}"
    ),
    "faces are found by {file} (of OpenCV's model zoo, MIT), which is not here: put it into {folder}": (
        "检测人脸需要 {file}（OpenCV 模型库，MIT 许可），这里没有：请放进 {folder}"
    ),
    "{path}: there is no face in it that could be found; give a picture with a clear, larger face": (
        "{path}：没有找到人脸；请给一张人脸清晰、较大的图片"
    ),
    (
        "face adapters need insightface, which is not installed: pip install insightface "
        "onnxruntime; its models {names} (for non-commercial use) belong in {folder}"
    ): (
        "人脸适配器需要 insightface，尚未安装：pip install insightface onnxruntime；模型 "
        "{names}（仅限非商业用途）放在 {folder}"
    ),
    "insightface could not load its models ({reason}); put {names} into {folder}": (
        "insightface 无法加载模型（{reason}）；请把 {names} 放进 {folder}"
    ),
    "this control network takes hints of {count} channels, which no preprocessor makes": (
        "这个 ControlNet 需要 {count} 通道的控制图，没有预处理器能生成"
    ),
    "{repo}: say which file is meant; {there}": "{repo}：请指明是哪个文件；{there}",
    "{repo} has no file {file}; {there}": "{repo} 里没有文件 {file}；{there}",
    (
        "{path}: made for another kind of model, with {count} cross-attentions of tokens {width} "
        "wide; this one has {there} of {other}"
    ): "{path}：用于另一类模型（{count} 个交叉注意力，宽 {width}）；这个模型有 {there} 个，宽 {other}",
    "{path}: made for another kind of model; GLIGEN models are mostly for SD 1.x": (
        "{path}：用于另一类模型；GLIGEN 模型多用于 SD 1.x"
    ),
    "{name} takes no image prompt by itself: name an IP-Adapter with model=": (
        "{name} 本身不支持图片提示：请选择一个 IP-Adapter"
    ),
    "{path}: can't be read ({reason})": "{path}：无法读取（{reason}）",
    "{name} is an upscaling model: give it a picture with --enlarge": "{name} 是放大模型：请给它一张要放大的图",
    "{path}: pictures are written as {known}; choose one of these endings": (
        "{path}：图片可存为 {known}；请用其中一种扩展名"
    ),
    "its ComfyUI graph has no sampler that is known here": "它的 ComfyUI 工作流里没有这里认识的采样器",
    "its ComfyUI graph has {count} nodes; at most {limit} are read": (
        "它的 ComfyUI 工作流有 {count} 个节点；最多读取 {limit} 个"
    ),
    "its ComfyUI graph has no nodes": "它的 ComfyUI 工作流没有节点",
    "its ComfyUI graph is too knotted to be read": "它的 ComfyUI 工作流太复杂，无法读取",
    "its {key} is not a JSON object": "它的 {key} 不是 JSON 对象",
    "its {key} is not readable JSON": "它的 {key} 不是可读的 JSON",
    "its recipe contradicts itself: {reason}": "它的生成参数自相矛盾：{reason}",
    "its text has no line of fields such as Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1": (
        "文本里没有参数行，如 Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1"
    ),
    "its sd-metadata has no image": "它的 sd-metadata 里没有 image",
    "its Dream command has an open quote": "它的 Dream 命令引号没有配对",
    "{path}: put one into {folder}, or give its path with vision=": ("{path}：请放一个到 {folder}，或指定它的路径"),
    "{path}: not the image encoder that goes with it; {what}": "{path}：不是与它配套的图像编码器；{what}",
    "{width}x{height} pixels are too many: at most {limit} on a side; use a smaller scale": (
        "{width}x{height} 像素太大：每边最多 {limit}；请减小倍数"
    ),
    "{name} is a depth model: give it a depth map with --depth": "{name} 是深度模型：请给它一张深度图",
    "a second pass follows pictures made from noise: leave out the start picture or hires": (
        "高清修复只用于文生图：请去掉起始图或高清修复"
    ),
    "a refiner and a second pass by another model exclude each other: leave out one of them": (
        "精修模型和换模型的高清修复不能同时用：请去掉一个"
    ),
    "redraw paints all of the start picture anew: leave out {part}": "放大重绘会重画整张起始图：请去掉 {part}",
    "step_reuse leaves out blocks that controls act on: choose one": ("step_reuse 会跳过控制所作用的层：请只用一个"),
    "step_reuse leaves out the block that self_attention reads: choose one": (
        "step_reuse 会跳过 self_attention 要读的层：请只用一个"
    ),
    "boxes need a GLIGEN model: give one with --gligen": "画框需要 GLIGEN 模型：请选择一个",
    "noise: picture {number} is not in a batch of {count}": "噪声：一批 {count} 张里没有第 {number} 张",
    "unknown type {name}; known: {known}, auto": "没有 {name} 这种类型；可用的有：{known}、auto",
    "it would end at {end} before it starts at {start}": "结束（{end}）早于开始（{start}）",
    "{name} needs no model": "{name} 不需要模型",
    "a control needs a model: a ControlNet, T2I-Adapter or LLLite": (
        "控制需要一个模型：ControlNet、T2I-Adapter 或 LLLite"
    ),
    "{one} and {other} are different rules for the same thing: choose one": (
        "{one} 和 {other} 是同一件事的不同做法：请只选一个"
    ),
    "perp_neg asks for three answers at each step: leave out rescale and skip": (
        "perp_neg 每步要算三次：请去掉 rescale 和 skip"
    ),
    "an embedding is named in a prompt, not listed": "嵌入（embedding）写在提示词里，不写在列表里",
    "{side} is not a multiple of 8; the nearest sizes are {below} and {above}": (
        "{side} 不是 8 的倍数；最接近的尺寸是 {below} 和 {above}"
    ),
    "its start is after its end": "开始晚于结束",
    "nothing can be subtracted from a single picture: give others in more": "只有一张图时无法相减：请再给几张",
    "the precise weight types know no other picture for the layout": "precise 类权重不支持另一张构图参考",
    "{path}: saved latents can't be enlarged by a redraw; give a picture": (
        "{path}：已保存的潜变量不能放大重绘；请给一张图片"
    ),
    "redraw: {width}x{height} pixels are too many: at most {limit} on a side": (
        "放大重绘：{width}x{height} 像素太大：每边最多 {limit}"
    ),
    "axis {name} has no values; give some, such as 1, 2, 3": "轴 {name} 没有取值；请填写，如 1, 2, 3",
    "{text} is neither true nor false": "{text} 既不是 true 也不是 false",
    "{text} is no size; give width and height in pixels, such as 512x768": (
        "{text} 不是尺寸；请写宽和高（像素），如 512x768"
    ),
    "{count} words have too many orders; give {most} at most": "{count} 个词的排列太多；最多 {most} 个",
    "Prompt S/R: {word} is neither in the prompt nor in the negative prompt": (
        "提示词替换（S/R）：{word} 既不在提示词里，也不在反向提示词里"
    ),
    "Prompt order: {word} is not in the prompt": "提示词顺序：{word} 不在提示词里",
    "Prompt order: the words overlap": "提示词顺序：这些词互相重叠",
    "a sheet of {width}x{height} pixels is too large; draw fewer or smaller pictures": (
        "{width}x{height} 像素的大图太大；请减少图的数量或尺寸"
    ),
    "{count} pictures; a sheet has {limit} at most": "{count} 张图；一张大图最多 {limit} 张",
    "the prompt has no parts; write them as always|this|that": "提示词里没有可变的部分；请写成 固定|这个|那个",
    "the negative prompt has no parts; write them as always|this|that": (
        "反向提示词里没有可变的部分；请写成 固定|这个|那个"
    ),
    "{count} parts make {pictures} pictures; give {most} at most": (
        "{count} 个部分会组成 {pictures} 张图；最多 {most} 个部分"
    ),
    "there are no prompts; write one on each line": "没有提示词；请每行写一条",
    "{count} lines; at most {most} are read": "有 {count} 行；最多读取 {most} 行",
    "{count} pictures of one line; at most {most} are made": "一行要 {count} 张图；最多 {most} 张",
    "--{name} {value}: give a number from 1 to {most}": "--{name} {value}：请给 1 到 {most} 的数",
    "{count} loops: choose 1 to {most}": "循环 {count} 次：请选 1 到 {most}",
    "unknown option --{name}; there are {known}": "没有选项 --{name}；可用的有 {known}",
    "--{name} needs a value": "--{name} 后面要有值",
    "line {number}: {reason}": "第 {number} 行：{reason}",
    "{name}: there is no second pass; turn it on, such as with --hires on or enable_hr": (
        "{name}：没有开启高清修复；请先开启"
    ),
    "Refiner switch at: there is no refiner; name its checkpoint": "精修切换点：没有精修模型；请指定",
    "FP8 mode {mode}: write the model with fromnoise convert --dtype fp8, and compare by Checkpoint name": (
        "FP8 模式 {mode}：请先把模型转换成 fp8，再用模型名作轴来比较"
    ),
    "a step of {step} does not lead from {start} to {end}": "步长 {step} 不能从 {start} 走到 {end}",
    "{start}-{end} has {count} values; at most {most} are drawn": ("{start}-{end} 有 {count} 个值；最多 {most} 个"),
    "{count} values; at most {most} are drawn on an axis": "{count} 个值；一条轴最多 {most} 个",
    "{text} is not a whole number": "{text} 不是整数",
    "[{count}]: a range has 1 to {most} values": "[{count}]：一个范围可有 1 到 {most} 个值",
    "{text} is neither a number nor a range such as 1-5, 1-5 (+2) or 1-10 [5]": (
        "{text} 既不是数字，也不是 1-5、1-5 (+2)、1-10 [5] 这样的范围"
    ),
    "{path}: saved latents have no canvas to grow; outpaint a picture": ("{path}：已保存的潜变量不能扩图；请用图片"),
    "{path}: has changed since the recipe was written": "{path}：写下配方之后被改动过",
    "{path}: holds no latents of the recipe's size {size}, but {there}": (
        "{path}：里面不是配方尺寸 {size} 的潜变量，而是 {there}"
    ),
    "{path} is not a regular file; check FROMNOISE_MODELS": "{path} 不是普通文件；请检查 FROMNOISE_MODELS",
    "{path} is too large for a list of folders": "{path} 作为文件夹列表太大",
    "{path} cannot be read ({reason}); check FROMNOISE_MODELS": (
        "{path} 无法读取（{reason}）；请检查 FROMNOISE_MODELS"
    ),
    "{path}: base_path of section {name} is not the name of a folder; see docs/library.md": (
        "{path}：{name} 一节的 base_path 不是文件夹名；见 docs/library.md"
    ),
    "{path} holds a network of the kind {kind}, which restores no faces": ("{path} 是 {kind} 类网络，不能修复人脸"),
    (
        "{path} is a CodeFormer, which needs the package spandrel_extra_arches: pip install "
        "--no-deps spandrel spandrel_extra_arches einops (for non-commercial use); GFPGAN needs "
        "spandrel alone"
    ): (
        "{path} 是 CodeFormer，需要安装 spandrel_extra_arches：pip install --no-deps spandrel "
        "spandrel_extra_arches einops（仅限非商业用途）；GFPGAN 只需 spandrel"
    ),
    "restoring faces needs OpenCV: pip install opencv-python-headless": (
        "修复人脸需要 OpenCV：pip install opencv-python-headless"
    ),
    "{path}: not a face detector that OpenCV can read; put {name} there": (
        "{path}：不是 OpenCV 可读的人脸检测模型；请放入 {name}"
    ),
    "{path} does not make colour pictures of colour pictures, or grey ones of grey ones": (
        "{path} 不能由彩图得到彩图，也不能由灰度图得到灰度图"
    ),
    "{path} cannot be read ({reason}); check the name and its permissions": (
        "{path} 无法读取（{reason}）；请检查名字和权限"
    ),
    (
        "{path} holds neither an ESRGAN nor a Real-ESRGAN compact network; DAT, SwinIR, HAT and "
        "others need the package spandrel: {how}"
    ): "{path} 既不是 ESRGAN 也不是 Real-ESRGAN compact；DAT、SwinIR、HAT 等需要安装 spandrel：{how}",
    "{path} holds a network of the kind {kind}, which fills masks, not enlarges": (
        "{path} 是 {kind} 类网络，用于填补蒙版，不能放大"
    ),
    "{path} holds a network of a kind that is not known here or to spandrel": (
        "{path} 里的网络这里和 spandrel 都不认识"
    ),
    "{path} cannot be used: spandrel fails on it ({kind}: {reason})": (
        "{path} 无法使用：spandrel 出错（{kind}：{reason}）"
    ),
    (
        "{name} needs a model in {folder}: its config.json and model.safetensors as transformers "
        "saves them, such as those of {example}"
    ): ("{name} 需要模型，请把 transformers 格式的 config.json 和 model.safetensors 放进 {folder}，例如 {example}"),
    "{name}: the model in its folder does not label each pixel; take one such as {example}": (
        "{name}：文件夹里的模型不做逐像素分类；请用 {example} 之类的模型"
    ),
    "this preprocessor needs transformers, which is not installed: pip install transformers": (
        "这个预处理器需要 transformers，尚未安装：pip install transformers"
    ),
    "{path}: not a model that can be read here ({reason})": "{path}：不是这里能读取的模型（{reason}）",
    "{name}: {what} can't work with it ({reason})": "{name}：{what} 无法使用它（{reason}）",
    "inpaint_only+lama needs {file} (of Carve/LaMa-ONNX) in {folder}; inpaint_only needs nothing": (
        "inpaint_only+lama 需要把 {file}（Carve/LaMa-ONNX）放进 {folder}；inpaint_only 则不需要"
    ),
    "this preprocessor needs onnxruntime: pip install onnxruntime": (
        "这个预处理器需要 onnxruntime：pip install onnxruntime"
    ),
    "{path}: not a model that onnxruntime can read ({reason})": ("{path}：不是 onnxruntime 能读取的模型（{reason}）"),
    "preprocessors need OpenCV, which is not installed: pip install 'fromnoise[control]'": (
        "预处理器需要 OpenCV，尚未安装：pip install 'fromnoise[control]'"
    ),
    "the resolution of a preprocessor goes from {least} to {most}": "预处理器的分辨率范围是 {least} 到 {most}",
    "parameters {text}: write NAME=VALUE NAME=VALUE, with numbers": "参数 {text}：请写成 名称=数值 名称=数值",
    "preprocessor {name} has no parameter {lacking}; it has: {known}": (
        "预处理器 {name} 没有参数 {lacking}；它有：{known}"
    ),
    "preprocessor {name}: {parameter} goes from {least} to {most}, not {value}": (
        "预处理器 {name}：{parameter} 的范围是 {least} 到 {most}，不能是 {value}"
    ),
    (
        "{folder} has no {file}: put a BLIP model as transformers saves it there, such as "
        "Salesforce/blip-image-captioning-base"
    ): ("{folder} 里没有 {file}：请放入 transformers 格式的 BLIP 模型，例如 Salesforce/blip-image-captioning-base"),
    "BLIP needs transformers: pip install fromnoise[caption]": (
        "BLIP 需要 transformers：pip install fromnoise[caption]"
    ),
    "{path}: not a BLIP model that can be read ({reason})": "{path}：不是可读的 BLIP 模型（{reason}）",
    "the WD14 taggers need ONNX Runtime: pip install fromnoise[caption]": (
        "WD14 打标需要 ONNX Runtime：pip install fromnoise[caption]"
    ),
    "{path}: not a model that ONNX Runtime can read ({reason})": ("{path}：不是 ONNX Runtime 能读取的模型（{reason}）"),
    "{path}: not a table with name and category ({reason})": ("{path}：不是带 name 和 category 的表格（{reason}）"),
    "the model answers {count} numbers for {there} tags: other files": (
        "模型给出 {count} 个数，标签却有 {there} 个：文件不配套"
    ),
    "{folder} has no {file}: put {one} and {other} of a WD14 tagger there, such as SmilingWolf/wd-vit-tagger-v3": (
        "{folder} 里没有 {file}：请放入 WD14 打标模型的 {one} 和 {other}，例如 SmilingWolf/wd-vit-tagger-v3"
    ),
    "DPM adaptive cannot go on: the model answered with numbers that are not finite": (
        "DPM adaptive 无法继续：模型给出了无穷大或 NaN"
    ),
    "these tensors are not a recording of a sampler: start the picture anew": ("这些数据不是采样记录：请重新生成"),
    "this recording belongs to a picture with other settings: start the picture anew": (
        "这份记录属于另一组参数的图片：请重新生成"
    ),
    "{value} of sampler {name} is {given}; choose one of {known}": (
        "采样器 {name} 的 {value} 是 {given}；可选 {known}"
    ),
    "{count} sampling steps: at least 1 is needed": "采样步数 {count}：至少要 1 步",
    "strength {value}: choose a number from 0 (keep the picture) to 1 (pure noise)": (
        "重绘幅度 {value}：请选 0（保持原图）到 1（完全重画）"
    ),
    "{count} steps: the schedule Turbo has at most 10": "{count} 步：Turbo 调度最多 10 步",
    "block weights: {value} is no number{where}": "分层权重：{value} 不是数字{where}",
    "clip skip {value}: this text encoder has {count} layers; take 1 to {most}": (
        "CLIP 跳过层 {value}：这个文本编码器有 {count} 层；可取 1 到 {most}"
    ),
    "the weight type {name} goes by the layers of SD 1.x and SDXL, and this model has {count}; take linear": (
        "权重类型 {name} 按 SD 1.x 和 SDXL 的层数设计，这个模型有 {count} 层；请用 linear"
    ),
    "cannot read the styles in {path}: {reason}; it must be a CSV file in UTF-8": (
        "无法读取样式文件 {path}：{reason}；应为 UTF-8 的 CSV 文件"
    ),
    "this network has no self-attention in {layer}": "这个网络在 {layer} 没有自注意力",
    "no weights: nothing is learnt": "没有权重",
    "models differ: {what}": "模型不同：{what}",
    "the picture came out black or with NaN: {reason}": "画面全黑或出现 NaN：{reason}",
    "{what}: {reason}; choose others with layers=...": "{what}：{reason}；请用 layers=... 选择其他层",
    "its answers differ": "它的结果不同",
    "its aliases unfold to too much": "它的别名展开后太大",
    "the attention kernel {name} disagrees with PyTorch's, which is used instead": (
        "注意力内核 {name} 与 PyTorch 的结果不符，改用 PyTorch 的"
    ),
    "this sampler draws noise, but was started without a noise source": "这个采样器需要噪声源，启动时却没有给",
    "{names} don't go together: choose one": "{names} 不能同时使用：请只选一个",
    "fp8 needs a GPU with products of 8-bit floats, as NVIDIA's have since Ada: leave fp8 out": (
        "fp8 需要支持 8 位浮点乘法的显卡（NVIDIA Ada 及以后）：请关闭 fp8"
    ),
    "{name} keeps the U-Net's weights a second time, and there is no room: leave it out, or the limit": (
        "{name} 要多存一份 U-Net 权重，内存不够：请关闭，或放宽内存限制"
    ),
    "compile is for weights that stay in memory, and there is no room for all: leave it out, or the limit": (
        "compile 要求权重常驻内存，内存不够：请关闭，或放宽内存限制"
    ),
    "the network could not be compiled ({reason}): it goes on without": ("网络无法编译（{reason}）：改为不编译继续"),
    "the network is compiled first, which takes minutes; it is kept for the next time": (
        "先编译网络，需要几分钟；编译结果会保留，供下次使用"
    ),
    "{path} is broken, or others may write to it: it is compiled anew": "{path} 已损坏，或他人可以写入：重新编译",
    "{path} belongs to others": "{path} 属于别人",
    "{path} is not whole": "{path} 不完整",
    "{path} belongs to others, or others may write to it: what is compiled is not kept": (
        "{path} 属于他人，或他人可以写入：编译结果不会保留"
    ),
}
