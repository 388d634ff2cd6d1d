"""Chinese of what is wrong with model files."""

ELSEWHERE = {
    "{path} holds no decoder of TAESD; give a file such as taesd_decoder.safetensors": (
        "{path} 里没有 TAESD 解码器；请给出 taesd_decoder.safetensors 之类的文件"
    ),
    "previews are made without it: {error}": "预览不使用它：{error}",
    "previews are made without it: {path} is for latents of another kind": "预览不使用它：{path} 适用于另一种潜变量",
    "{path}: {count} of its keys match nothing in this model ({names}); {why}": (
        "{path}：有 {count} 个键在这个模型里找不到（{names}）；{why}"
    ),
    "{path} is no embedding: it has {count} vectors, and at most {most} are read": (
        "{path} 不是嵌入：它有 {count} 个向量，最多读取 {most} 个"
    ),
    "{path} is damaged: its vectors hold NaN or infinity; get the file again": (
        "{path} 已损坏：向量里有 NaN 或无穷大；请重新获取文件"
    ),
    "{path} holds no readable embedding ({reason}); was it saved anew or scaled?": (
        "{path} 里没有可读的嵌入（{reason}）；是不是另存或缩放过？"
    ),
    "{path}: {width}x{height} pixels are too many for an embedding": ("{path}：{width}x{height} 像素作为嵌入图片太大"),
    "{path} is no hypernetwork": "{path} 不是超网络",
    "{path}: its layers have the widths {widths}; they must begin and end with 1": (
        "{path}：各层宽度是 {widths}；必须以 1 开头和结尾"
    ),
    "{path} is no hypernetwork that is known here: its layers are called {names}": (
        "{path} 不是这里认识的超网络：它的层叫 {names}"
    ),
    "{path} is damaged: its weights hold NaN or infinity; get the file again": (
        "{path} 已损坏：权重里有 NaN 或无穷大；请重新获取文件"
    ),
    "{path} holds no LoRA; give a folder with one of {names}, or a file": (
        "{path} 里没有 LoRA；请给出含 {names} 之一的文件夹，或文件"
    ),
    "{path} is a {kind} adapter of peft, which can't be used here": ("{path} 是 peft 的 {kind} 适配器，这里不能用"),
    "{path}: its settings of peft are no JSON; get the file again": ("{path}：它的 peft 设置不是 JSON；请重新获取文件"),
    "{path}: its activation {name} is not known here": "{path}：不认识它的激活函数 {name}",
    "{path}: its weights for width {width} are not those of the structure {structure}": (
        "{path}：宽度 {width} 的权重与结构 {structure} 不符"
    ),
    "{path} holds no table of named weights, so it is no control network": (
        "{path} 里没有带名字的权重，所以不是控制网络"
    ),
    "{path} holds only what differs from a U-Net; load it together with a checkpoint": (
        "{path} 里只有与 U-Net 的差值；请和模型一起加载"
    ),
    "{path} belongs to another kind of model: its {what} is {there}, that of the checkpoint {wanted}": (
        "{path} 属于另一类模型：它的 {what} 是 {there}，而模型的是 {wanted}"
    ),
    "{path} holds two text encoders; say which: --to clip_l or --to clip_g": (
        "{path} 里有两个文本编码器；请指明 clip_l 还是 clip_g"
    ),
    "{path} changed while it was read; wait until it is complete": "{path} 在读取时被改动；请等它写完",
    "{path} is neither a safetensors file nor a torch checkpoint; {what}": (
        "{path} 既不是 safetensors 文件也不是 torch 模型文件；{what}"
    ),
    "{path} is a folder; give the file of a model, such as model.safetensors": (
        "{path} 是文件夹；请给出模型文件，如 model.safetensors"
    ),
    "{path} is not a regular file; give the file of a model": "{path} 不是普通文件；请给出模型文件",
    "{path} is a pickle that torch.save did not write; such files are not read, as they can run code": (
        "{path} 是不由 torch.save 写出的 pickle；这种文件可能执行代码，不会读取"
    ),
    "{path} is empty (0 bytes); {what}": "{path} 是空文件（0 字节）；{what}",
    "{path} cannot be used: {reason}; {what} from a source you trust": (
        "{path} 无法使用：{reason}；请从可信的来源重新下载"
    ),
    "{path} does not exist; check the name and the folder": "{path} 不存在；请检查名字和文件夹",
    "{path} cannot be opened ({reason}); check its permissions": "{path} 无法打开（{reason}）；请检查权限",
    "{path} cannot be opened ({reason}); check the name": "{path} 无法打开（{reason}）；请检查名字",
    "{path} holds a {kind}, not a U-Net, autoencoder or text encoder": (
        "{path} 里是 {kind}，不是 U-Net、VAE 或文本编码器"
    ),
    "{path}: its U-Net has attention heads of several sizes, which is not supported": (
        "{path}：它的 U-Net 注意力头大小不一，不支持"
    ),
    "{path} holds no weights: this part of the model is missing; download it again": (
        "{path} 里没有权重：模型缺了这一部分；请重新下载"
    ),
    "{path} has no variant {name}; there is {known}: choose one": ("{path} 没有变体 {name}；有 {known}：请选一个"),
    "{path} cannot be used: it lists no weights; download it again": ("{path} 无法使用：没有列出权重；请重新下载"),
    "{path} lacks {name} and {count} more of its weights": "{path} 缺少 {name} 等 {count} 个权重",
    "{path} is missing; download it again": "缺少 {path}；请重新下载",
    "{path} is not JSON; download it again": "{path} 不是 JSON；请重新下载",
    "{path} holds no table; download it again": "{path} 里没有表格；请重新下载",
    "{path}: its network predicts {what}, which is not supported": "{path}：它的网络预测 {what}，不支持",
    "GGUF files are not written as {dtype}. Known: {known}": "GGUF 文件不能写成 {dtype}。可用的有：{known}",
    "GGUF files are written by the package gguf; install the extra gguf": ("写 GGUF 文件需要 gguf 包；请安装扩展 gguf"),
    "{path} cannot be read (no regular file of that name); check the name": (
        "{path} 无法读取（没有这个文件）；请检查名字"
    ),
    "--weight: give finite numbers": "权重：请填有限的数",
    "{method} takes {count}, and {there} were given": "{method} 需要 {count}，而给了 {there}",
    "--blocks takes {count} numbers for this family ({first} to {last}), and {there} were given": (
        "这类模型的分层权重要 {count} 个数（{first} 到 {last}），而给了 {there} 个"
    ),
    "{count} models take a weight each, and {there} were given": ("{count} 个模型各要一个权重，而给了 {there} 个"),
    "{path} holds no U-Net; give whole checkpoints": "{path} 里没有 U-Net；请用完整的模型",
    "{path} is shown more channels than {other}; name it first": ("{path} 的输入通道比 {other} 多；请把它放在第一个"),
    "{folder} is no folder; make it, or write {name} elsewhere": (
        "{folder} 不是文件夹；请先建立它，或把 {name} 写到别处"
    ),
    "{folder} cannot be written to; check its permissions, or write {name} elsewhere": (
        "{folder} 不能写入；请检查权限，或把 {name} 写到别处"
    ),
    "{name} would be a {kind} file; give it a name that ends in {suffix}": (
        "{name} 会是 {kind} 文件；请用以 {suffix} 结尾的名字"
    ),
    "{path} exists; give another name, or replace it with --force": "已经有 {path}；请换个名字，或选择替换",
    "{path} holds other things than a model; give another name": "{path} 里有模型以外的东西；请换个名字",
    "{path} is the file that is read; give the new one another name": ("{path} 就是正在读取的文件；请给新文件换个名字"),
    "{path} has numbers that are too large for {dtype}; choose bfloat16 as the dtype": (
        "{path} 里的数超出 {dtype} 的范围；请改用 bfloat16"
    ),
    "{path} needs {size} MB, and {free} MB are free; make room for it": (
        "{path} 需要 {size} MB，只剩 {free} MB；请腾出空间"
    ),
    "{path} cannot be written ({reason}); check the folder and the free space": (
        "{path} 无法写入（{reason}）；请检查文件夹和剩余空间"
    ),
    "{path} holds no table of named weights; give the file of an upscaler, such as 4x.pth": (
        "{path} 里没有带名字的权重；请给出放大模型文件，如 4x.pth"
    ),
    (
        "{path} was not written: {count} of its tensors hold NaN or infinity ({names}); mend or "
        "replace the model, or write it all the same with --allow-nan"
    ): "没有写出 {path}：有 {count} 个张量含 NaN 或无穷大（{names}）；请修复或更换模型",
    "weights of {path} do not match its networks ({names}); {why}": ("{path} 的权重与它的网络不符（{names}）；{why}"),
    "{path} holds no picture encoder of CLIP; give one such as clip_vision_h.safetensors": (
        "{path} 里没有 CLIP 图像编码器；请用 clip_vision_h.safetensors 之类的文件"
    ),
    "{path} holds no {part}, which diffusers needs; give one with {option}": (
        "{path} 里没有 diffusers 需要的 {part}；请用 {option} 给出"
    ),
    "{path} holds no text encoder; give a file that has one": "{path} 里没有文本编码器；请换一个有的文件",
    "{path} holds no OpenCLIP text encoder; --to clip_l is the one it has": (
        "{path} 里没有 OpenCLIP 文本编码器；它有的是 clip_l"
    ),
    "{path} holds no {part}; give a file that has one": "{path} 里没有 {part}；请换一个有的文件",
    "{path} holds no GLIGEN model": "{path} 里没有 GLIGEN 模型",
    "{path} holds no IP-Adapter": "{path} 里没有 IP-Adapter",
    "{path} holds neither an ESRGAN nor a Real-ESRGAN compact network": (
        "{path} 既不是 ESRGAN 也不是 Real-ESRGAN compact 网络"
    ),
    "{path} holds {what}; give a checkpoint, a U-Net, an autoencoder or a text encoder": (
        "{path} 里是 {what}；请给出模型、U-Net、VAE 或文本编码器"
    ),
    "it is no ControlNet, T2I-Adapter or LLLite": "它不是 ControlNet、T2I-Adapter 或 LLLite",
    "it holds no U-Net, so it is not a checkpoint of a diffusion model": "它没有 U-Net，所以不是扩散模型",
    "its U-Net has no cross-attention, so no prompt can steer it": "它的 U-Net 没有交叉注意力，提示词不起作用",
    "its weights are damaged: their checksum is another": "权重已损坏：校验和不符",
    "its reader gave a wrong answer": "读取它的进程出错",
    "its pickle takes too much time or memory, or it changed while it was read": (
        "它的 pickle 占用太多时间或内存，或在读取时被改动"
    ),
    "a storage lies outside the file": "有数据在文件之外",
    "its header claims {size} bytes; at most {limit} are read": "文件头声称有 {size} 字节；最多读取 {limit}",
    "it is truncated within its header": "文件头不完整，文件被截断",
    "it is truncated within its header, or its header is too long": "文件头不完整或太长",
    "it holds no table of named weights, so it is not a checkpoint": "里面没有带名字的权重，所以不是模型",
    "it names {count} tensors; at most {limit} are read": "它列出 {count} 个张量；最多读取 {limit} 个",
    "its tensors are larger than the file": "张量比文件还大",
    "its objects are nested too deeply": "对象嵌套太深",
    "its header is not JSON": "文件头不是 JSON",
    "its header is not a JSON object": "文件头不是 JSON 对象",
    "its header has the same name twice": "文件头里有重复的名字",
    "its tensors overlap": "张量互相重叠",
    "there are gaps between its tensors": "张量之间有空隙",
    "it is truncated: {there} of {size} bytes are there": "文件被截断：{size} 字节只有 {there}",
    "it is truncated: {there} of at least {size} bytes are there": "文件被截断：至少 {size} 字节，只有 {there}",
    "{count} bytes follow its last tensor": "最后一个张量之后还有 {count} 字节",
    "it tries to run {module}.{name}: it is an attack, not a model (nothing was run)": (
        "它企图执行 {module}.{name}：这是攻击，不是模型（没有执行任何代码）"
    ),
    "its pickle is damaged ({reason})": "它的 pickle 已损坏（{reason}）",
    "its pickle is truncated": "它的 pickle 被截断",
    "its pickle is too long or unfolds to too much": "它的 pickle 太长，或展开后太大",
    "its pickle is damaged: its checksum is another": "它的 pickle 已损坏：校验和不符",
    "it is a ZIP archive, but not one that torch.save wrote": "它是 ZIP 文件，但不是 torch.save 写的",
    "its ZIP archive is truncated or damaged ({reason})": "它的 ZIP 被截断或已损坏（{reason}）",
    "it was written by a big-endian machine": "它由大端字节序的机器写出",
    "it holds too many objects": "对象太多",
    "it cannot be read": "无法读取",
    "{path} is {what}; {remedy}": "{path} 是 {what}；{remedy}",
    "two halves of different shapes": "两半的形状不同",
    "factors of different ranks": "因子的秩不同",
    "its data end too early, or never": "数据过早结束，或没有结束",
    "a tensor's storage is not in the file": "有张量的数据不在文件里",
    "a tensor has more strides than sizes, or fewer": "有张量的步长与尺寸数目不同",
    "a tensor reaches outside its storage": "有张量超出它的存储区",
    "a tensor is larger than what is stored of it": "有张量比存下的数据大",
    "its range of noise, {least} to {most}, is none": "它的噪声范围（{least} 到 {most}）无效",
    "edm_mean and edm_std are not of {count} channels": "edm_mean 和 edm_std 不是 {count} 个通道",
    "its metadata sets {name} to {value}": "它的元数据把 {name} 设为 {value}",
    "{name} has the shape {shape}, where {count} sizes belong": "{name} 的形状是 {shape}，应有 {count} 维",
    "the widths {widths} of its levels are no multiples of {step}": "各级宽度 {widths} 不是 {step} 的倍数",
    "its U-Net has {count} input blocks, which do not share out among {levels} levels": (
        "它的 U-Net 有 {count} 个输入块，无法分配到 {levels} 级"
    ),
    "its {count} positions are not one more than a square, as for pictures": (
        "它有 {count} 个位置，不符合图像编码器的规律"
    ),
    "diffusers has no pipeline for {task} models of {family}": ("diffusers 没有适合 {family} 的 {task} 模型的管线"),
    "some blocks of a level of its U-Net have no transformer, which diffusers can't express": (
        "它的 U-Net 某一级有的块没有 transformer，diffusers 无法表达"
    ),
    "the middle of its U-Net is deeper than its last level, which diffusers can't express": (
        "它的 U-Net 中间层比最后一级深，diffusers 无法表达"
    ),
    "{path} cannot be used: {name} is not the name of a file of weights beside it": (
        "{path} 无法使用：{name} 不是同一文件夹里的权重文件"
    ),
    "{path} cannot be used: it lists {count} files": "{path} 无法使用：它列出 {count} 个文件",
    "{path}: the {what} of its {part} is {there}, where only {known} is supported": (
        "{path}：{part} 的 {what} 是 {there}，只支持 {known}"
    ),
    "a name in its header is no text": "文件头里有名字不是文本",
    "its header holds a value of an unknown type": "文件头里有未知类型的值",
    "its header holds lists that are too long": "文件头里的列表太长",
    "it names {count} tensors and {facts} facts, which is too much": ("它列出 {count} 个张量和 {facts} 条信息，太多了"),
    "its tensors are aligned in an impossible way": "张量的对齐方式不可能",
    "{name} has {count} dimensions": "{name} 有 {count} 维",
    "{name}: its shape {shape} and its original shape {other} disagree": (
        "{name}：形状 {shape} 与原始形状 {other} 不符"
    ),
    "{name} is stored in a way that is not known (type {kind})": "{name} 的存储方式未知（类型 {kind}）",
    "{name} is stored as {kind}; install the extra gguf to read that": (
        "{name} 以 {kind} 存储；请安装扩展 gguf 来读取"
    ),
    "{name}: its shape {shape} does not make blocks of {size} for {kind}": (
        "{name}：形状 {shape} 不能按 {kind} 的 {size} 分块"
    ),
    "version {version} of GGUF is not known; 2 and 3 are": "不认识 GGUF 第 {version} 版；只认识 2 和 3",
    "its layers do not agree on the width of what they are told": "各层要求的宽度不一致",
    "it is a GLIGEN model for boxes with pictures; only those with texts are supported": (
        "这是带图片框的 GLIGEN 模型；只支持文字框"
    ),
    "{name} is not a list of at most {count} numbers": "{name} 不是最多 {count} 个数的列表",
    "{name} holds something other than sizes": "{name} 里有不是尺寸的东西",
    "the tensor name {name} is too long or not printable": "张量名 {name} 太长或无法显示",
    "its metadata holds something other than text": "元数据里有不是文本的东西",
    "{name}: the header must give dtype, shape and data_offsets": ("{name}：文件头须给出 dtype、shape 和 data_offsets"),
    "{name}: unknown dtype {dtype}": "{name}：未知的 dtype {dtype}",
    "{name}: its shape {shape} and its place in the file disagree": ("{name}：形状 {shape} 与它在文件里的位置不符"),
    "its layers do not take the tokens of width {width} that its projection makes": (
        "它的层与投影给出的宽度 {width} 不符"
    ),
    "its projection is of no kind that is known": "不认识它的投影层",
    "it has {count} text encoder, where {wanted} belong to a whole model": (
        "它有 {count} 个文本编码器，完整模型应有 {wanted} 个"
    ),
    "{path} and {other} lie in each other; write somewhere else": "{path} 和 {other} 互相包含；请写到别处",
    "it tries to change how it is read": "它企图改变读取它的方式",
    "it has a tensor without a storage": "有张量没有数据",
    "it has a tensor without a storage or a dtype": "有张量没有数据或类型",
    "it refers to something other than a whole storage": "它引用的不是完整的数据",
    "it describes a storage wrongly": "它对数据的描述有误",
    "its pickle uses {what}": "它的 pickle 使用了 {what}",
    "its pickle reserves memory that it does not use": "它的 pickle 占用了不用的内存",
    "members of its ZIP archive are packed or encrypted, which torch.save never does": (
        "ZIP 里的文件被压缩或加密，torch.save 不会这样做"
    ),
    "members of its ZIP archive overlap, appear twice or lie outside the file": (
        "ZIP 里的文件互相重叠、重复或超出文件"
    ),
    "a member of its ZIP archive would lie elsewhere ({name})": "ZIP 里有文件会落在别处（{name}）",
    "members of its ZIP archive have two names": "ZIP 里有文件有两个名字",
    "its list of storages is damaged": "它的数据列表已损坏",
    "its storages have other sizes than its pickle says": "它的数据大小与 pickle 所说不符",
    "it makes {count} channels of {there}, which is no picture of a picture": (
        "它把 {there} 个通道变成 {count} 个，不是图片到图片"
    ),
    "it makes pictures smaller": "它会把图片变小",
    "its last layer makes {count} channels, which is no picture enlarged": (
        "它最后一层给出 {count} 个通道，不是放大的图片"
    ),
    "the numbers of its layers {first}.0, {second}.1, ... have gaps": "各层编号 {first}.0、{second}.1……不连续",
    "{path} cannot be used: {reason}": "{path} 无法使用：{reason}",
    "{name} is missing": "缺少 {name}",
}
