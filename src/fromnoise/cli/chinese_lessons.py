"""Chinese of what is wrong with data sets and settings of training."""

ELSEWHERE = {
    "{path} is a {kind}, and a {wanted} is to be trained; take another": (
        "{path} 是 {kind}，而要训练的是 {wanted}；请换一个"
    ),
    "the data set has only regularisation pictures; add those that show what is to be learnt": (
        "数据集里只有正则化图片；请加入要学习的图片"
    ),
    "none of the pictures can be used: {reason}": "没有一张图片能用：{reason}",
    "bucket_reso_steps {value}: the sides of pictures are multiples of 8": (
        "bucket_reso_steps {value}：图片边长须为 8 的倍数"
    ),
    "min_bucket_reso {value} is above max_bucket_reso {other}": (
        "min_bucket_reso {value} 大于 max_bucket_reso {other}"
    ),
    "min_bucket_reso {value} is above the resolution {other}; lower it": (
        "min_bucket_reso {value} 大于分辨率 {other}；请调低"
    ),
    "max_bucket_reso {value} is below the resolution {other}; raise it": (
        "max_bucket_reso {value} 小于分辨率 {other}；请调高"
    ),
    "a picture of {width}x{height} is smaller than one step of {step}; leave out bucket_no_upscale": (
        "{width}x{height} 的图片小于一个步长 {step}；请关闭 bucket_no_upscale"
    ),
    "unknown resize_interpolation {name}; choose one of {known}": ("没有 resize_interpolation {name}；可选 {known}"),
    "{name} can't be the name of a {what}: letters, digits, spaces, - and _ can": (
        "{name} 不能作 {what} 的名字：只能用字母、数字、空格、- 和 _"
    ),
    "no data set {name}: make it, and put pictures into it": "没有数据集 {name}：请先建立并放入图片",
    "there is a data set {name} already": "已经有数据集 {name}",
    "the data set has no picture {name}": "数据集里没有图片 {name}",
    "{name} is for pictures that are not used": "{name} 是放不用的图片的",
    "{folder}: no pictures and no folders such as 10_mycat in it; put pictures there": (
        "{folder}：里面没有图片，也没有 10_mycat 这样的文件夹；请放入图片"
    ),
    "{folder}: no picture {name} there, which belongs to {other}": "{folder}：没有图片 {name}，它对应 {other}",
    "{folder}: no such folder of pictures": "{folder}：没有这个图片文件夹",
    "{folder}: no pictures in it ({names}, ...)": "{folder}：里面没有图片（{names} 等）",
    "{path}: not a caption in UTF-8 ({reason})": "{path}：不是 UTF-8 的标注（{reason}）",
    "an LCM-LoRA is a plain LoRA of the U-Net: leave kind, dora, use_tucker and text out": (
        "LCM-LoRA 是普通的 U-Net LoRA：请去掉 kind、dora、use_tucker 和 text"
    ),
    "least_guidance is above most_guidance": "least_guidance 大于 most_guidance",
    "a word to learn is missing: give one with --token, or a --name": "缺少要学习的词：请填写",
    "nothing would be trained: leave the U-Net or the text encoders in": ("什么都不会训练：请保留 U-Net 或文本编码器"),
    "the structure begins and ends with 1, such as 1, 2, 1": "结构须以 1 开头和结尾，如 1, 2, 1",
    "the dropout structure has a share for each width, the first and the last 0: 0, 0.1, 0": (
        "丢弃结构应给每个宽度一个比例，首尾为 0，如 0, 0.1, 0"
    ),
    "unknown activation {name}; there are {known}": "没有激活函数 {name}；可用的有 {known}",
    (
        "fused_backward_pass steps after every batch, so it goes with neither accumulation nor "
        "more processes; leave one of them out"
    ): "fused_backward_pass 每批都更新，不能与梯度累积或多进程同用；请去掉一个",
    (
        "{path}: its {what} does not begin what is trained here; give its --kind, --rank, "
        "--conv_rank and --layers, and --no-text where it has no text encoder"
    ): "{path}：它的 {what} 与这里要训练的不符；请设置与它相同的类型、秩和层",
    "min_timestep {value} is not below max_timestep {other}": ("min_timestep {value} 不小于 max_timestep {other}"),
    "noise_offset and multires_noise_iterations both add coarse noise: choose one": (
        "noise_offset 和 multires_noise_iterations 作用相同：请只用一个"
    ),
    "min_snr_gamma and debiased_estimation_loss both weigh noise levels: choose one": (
        "min_snr_gamma 和 debiased_estimation_loss 作用相同：请只用一个"
    ),
    (
        "zero_terminal_snr needs v-prediction: at pure noise an eps model is shown nothing of the "
        "picture, and its loss there is divided by zero; train a v model or leave "
        "zero_terminal_snr out"
    ): "zero_terminal_snr 需要 v 预测模型；请训练 v 模型，或关闭 zero_terminal_snr",
    "scale_v_pred_loss_like_noise_pred is for models that predict v; leave it out": (
        "scale_v_pred_loss_like_noise_pred 只用于 v 预测模型；请关闭"
    ),
    "v_pred_like_loss is for models that predict eps; leave it out": ("v_pred_like_loss 只用于 eps 预测模型；请关闭"),
    "the optimizer {name} refuses its arguments: {reason}": "优化器 {name} 不接受这些参数：{reason}",
    "{text} is no argument; write name=value, such as weight_decay=0.1": (
        "{text} 不是参数；请写成 名称=数值，如 weight_decay=0.1"
    ),
    "the optimizer {name} needs the package {package}: pip install {how} ({reason})": (
        "优化器 {name} 需要安装 {package}：pip install {how}（{reason}）"
    ),
    "sample {number}: unknown --{name}; there are --{known}": ("样图 {number}：没有 --{name}；可用的有 --{known}"),
    (
        "{path} has no picture that steers it: name their folder with --conditioning_data_dir, "
        "where each has its partner's name"
    ): "{path} 没有对应的控制图：请用 conditioning_data_dir 指定文件夹，图片同名",
    "{path}: {name}: {value} lies outside of {least} to {most}": "{path}：{name}：{value} 超出 {least} 到 {most}",
    "{name}: {value} lies outside of {least} to {most}": "{name}：{value} 超出 {least} 到 {most}",
    "{name}: at most {most} texts are taken": "{name}：最多 {most} 条文本",
    "{name}: texts of at most {most} characters are taken": "{name}：每条文本最多 {most} 个字符",
    "the optimizer remembers {name} as {kind}, which can't be saved; take another": (
        "优化器的 {name} 是 {kind}，无法保存；请换一个"
    ),
    (
        "{name} looks at all gradients together, so it can't step in the backward pass; take one "
        "of {known}, or leave fused_backward_pass out"
    ): "{name} 要一次看全部梯度，不能边反传边更新；请用 {known} 之一，或关闭 fused_backward_pass",
    "processes share a step on CPUs of Linux and macOS only; set processes = 1": (
        "只有 Linux 和 macOS 的 CPU 支持多进程；请设 processes = 1"
    ),
    "a training process ended by itself; what it said is above": "有一个训练进程意外结束",
    "{name} at step {step}: {reason}; {remedy}": "{name} 在第 {step} 步：{reason}；{remedy}",
    "base_weights_multiplier: {count} strengths for {files} files of base_weights": (
        "base_weights_multiplier：base_weights 有 {files} 个文件，却给了 {count} 个强度"
    ),
    "dim_from_weights takes sizes from a lora or loha: name it with --start, and its --kind": (
        "dim_from_weights 从 lora 或 loha 取尺寸：请用 start 指定它，并设置 kind"
    ),
    "dim_from_weights takes inner sizes from the file; leave block_dims and block_alphas out": (
        "dim_from_weights 从文件取尺寸；请去掉 block_dims 和 block_alphas"
    ),
    "{name} is for {kinds} alone, not for {kind}; leave it out": "{name} 只用于 {kinds}，不能用于 {kind}；请去掉它",
    "nothing would be trained: leave the U-Net or the text encoders in, and give rates above 0": (
        "什么都不会训练：请保留 U-Net 或文本编码器，并给出大于 0 的学习率"
    ),
    "nothing would be trained: all learning rates are 0": "什么都不会训练：所有学习率都是 0",
    "block_lr gives the U-Net's blocks their rates; leave unet_lr out": (
        "block_lr 已给出 U-Net 各块的学习率；请去掉 unet_lr"
    ),
    "block_lr gives the U-Net's blocks their rates, and the U-Net does not learn; leave it out": (
        "block_lr 给出 U-Net 各块的学习率，而 U-Net 不参与训练；请去掉它"
    ),
    "block_lr has {given} numbers, and there are {count} blocks ({blocks}); give one for each": (
        "block_lr 给了 {given} 个数，而模型有 {count} 个块（{blocks}）；请每块给一个"
    ),
    "lr_scheduler adafactor is for --optimizer AdaFactor alone; take another schedule": (
        "lr_scheduler adafactor 只用于 --optimizer AdaFactor；请换一种调度"
    ),
    (
        "piecewise_constant: {rules} is no list such as 1:500,0.1:800,0.01; give it with --lr_scheduler_args "
        "step_rules="
    ): "piecewise_constant：{rules} 不是 1:500,0.1:800,0.01 这样的列表；请用 --lr_scheduler_args step_rules= 给出",
    "{path} is an embedding for another family of models; take one that was made for this": (
        "{path} 是另一类模型的嵌入；请换一个为本模型制作的"
    ),
    "{path} has {count} vectors, not {wanted}; leave --vectors out": (
        "{path} 有 {count} 个向量，不是 {wanted} 个；请去掉 --vectors"
    ),
    "{name}: {given} rates for {count} text encoders; leave some out": (
        "{name}：给了 {given} 个学习率，而文本编码器有 {count} 个；请去掉多余的"
    ),
    "resolution {sides}: give the sides in a data-set file": "resolution {sides}：长宽不同时请写在数据集文件里",
    "{path}: no list of prompts; a file of lines, or [[prompt.subset]] is wanted": (
        "{path}：不是提示词列表；应为每行一条的文件，或 [[prompt.subset]]"
    ),
    "{path}: unknown field {name}; there are prompt, {known}": "{path}：没有字段 {name}；可用的有 prompt、{known}",
    "{path}: text_encoder_lr should be one number or two, not {given}": (
        "{path}：text_encoder_lr 应为一个或两个数，而不是 {given}"
    ),
    "{path}: no picture that can be read ({reason})": "{path}：不是能读取的图片（{reason}）",
    "{path}: metadata_thumbnail takes PNG, JPEG and WebP": "{path}：metadata_thumbnail 只接受 PNG、JPEG 和 WebP",
    "wd_on_output tells which lengths DoRA learns: give dora_wd as well, or leave it out": (
        "wd_on_output 说的是 DoRA 学习哪种长度：请同时使用 dora_wd，或去掉它"
    ),
    "full_matrix makes no products: leave decompose_both and use_tucker out, or full_matrix": (
        "full_matrix 不做分解：请去掉 decompose_both 和 use_tucker，或去掉 full_matrix"
    ),
    "dylora: {rank} ranks are no multiple of block_size {unit}; choose another of them": (
        "dylora：秩 {rank} 不是 block_size {unit} 的倍数；请改其中一个"
    ),
    "tlora has no form for 3x3 convolutions, in LyCORIS neither; leave conv_dim out": (
        "tlora 没有 3x3 卷积的形式（LyCORIS 也没有）；请去掉 conv_dim"
    ),
    (
        "bypass_mode: LyCORIS leaves DoRA out with it, and with ia3, oft and boft acts on biases too, which no file "
        "tells; full, dylora and tlora can't be computed so: leave it out"
    ): (
        "bypass_mode：LyCORIS 用它时会丢掉 DoRA，ia3、oft、boft 还会作用于偏置而文件里记不下；full、dylora、tlora "
        "不能这样计算；请去掉它"
    ),
    (
        "bypass_mode changes nothing: plain LoRAs add to what layers answer anyway, and other kinds make the weight "
        "that they mean, with the same result."
    ): "bypass_mode 不改变结果：普通 LoRA 本来就加在层的输出上，其他类型先算出权重，结果相同。",
    "oft: {rows} rows can't be shared out among {count} blocks; take fewer": (
        "oft：{rows} 行不能均分成 {count} 块；请减少块数"
    ),
    "boft: {rows} rows have no blocks of an even side; take another kind, or fewer --layers": (
        "boft：{rows} 行分不出边长为偶数的块；请换类型，或减少 layers"
    ),
    "network_args: preset {path}: files of presets are not read; --layers chooses layers": (
        "network_args：preset {path}：不读取 preset 文件；请用 --layers 选择层"
    ),
    "network_args: {name} is for networks.oft alone; leave it out": (
        "network_args：{name} 只用于 networks.oft；请去掉它"
    ),
    "network_args: {name}: Stable Diffusion has no such part; leave it out": (
        "network_args：{name}：Stable Diffusion 没有这个部分；请去掉它"
    ),
    "network_args: {name}={value}: True or False is wanted": "network_args：{name}={value}：应为 True 或 False",
    "network_args: unknown preset {preset}; there are {known}": "network_args：没有 preset {preset}，可选 {known}",
    "block_dims: {kind} has no inner size; take one of {known}": "block_dims：{kind} 没有 rank；请用 {known} 之一",
    "network_args: {field} has {given} numbers, and there are {count} blocks ({blocks}); give one for each": (
        "network_args：{field} 给了 {given} 个数，而模型有 {count} 个块（{blocks}）；请每块给一个"
    ),
    "scale_weight_norms bounds plain LoRAs alone; leave it or --kind and --dora out": (
        "scale_weight_norms 只用于普通 LoRA；请去掉它，或去掉 kind 和 dora"
    ),
    "the scheduler {name} does not go with its arguments: {reason}": ("学习率调度 {name} 与它的参数不符：{reason}"),
    "{path}: no {file} there, so no run of fromnoise to go on from; --resume names its folder": (
        "{path}：没有 {file}，不是 fromnoise 的训练，无法继续；resume 应为它的文件夹"
    ),
    "{folder} holds a run that began with other {parts}: give another --name or --folder, or go on from it under "
    "another name with --resume {again}": (
        "{folder} 里的训练开始时的 {parts} 与现在不同（method 方法、model 模型、pictures 图片与说明）："
        "请换一个 --name 或 --folder，或换名后用 --resume {again} 接着训练"
    ),
    "{folder} holds a run that has done its {steps} steps: nothing is left to learn; for another one give another "
    "--name, or more --steps": (
        "{folder} 里的训练已做完 {steps} 步，没有可学的了；要重新训练请换一个 --name，或增加 --steps"
    ),
    "out of memory at step {step}, when some weights had stepped already: begin with --gradient_checkpointing or "
    "without --fused_backward_pass; what was saved before goes on": (
        "第 {step} 步内存不足，而一部分权重已经更新：请加 --gradient_checkpointing，或去掉 --fused_backward_pass；"
        "已保存的进度可以接着训练"
    ),
    "latents are not kept for the next time: {reason}": "潜变量没有存下供下次使用：{reason}",
    "TensorBoard is not installed, so its events are not written: pip install tensorboard": (
        "没有安装 TensorBoard，因此不写它的记录：pip install tensorboard"
    ),
}
