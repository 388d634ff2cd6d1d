"""The Chinese of `fromnoise train METHOD`."""

OURS = {
    "Share of the parts of the inner size that a picture leaves out.": "每张图随机丢弃秩的比例（rank_dropout）。",
    "Share of layers that a step leaves out.": "每步随机跳过层的比例（module_dropout）。",
    "Cut 2.0,4.0 times as large as the face whose place a picture's name tells; latents are not cached then.": (
        "围绕人脸裁剪，范围为脸的 2.0,4.0 倍；脸的位置写在文件名里，这时不缓存 latent。"
    ),
    "files are not sent anywhere; give the finished file to huggingface-cli upload": (
        "不会把文件上传到任何地方；完成后可自己用 huggingface-cli upload 上传"
    ),
    "several devices train through accelerate launch or torchrun, without DeepSpeed": (
        "多设备训练用 accelerate launch 或 torchrun，不用 DeepSpeed"
    ),
    "gradients in fp16 vanish; --base bfloat16 or fp8 keeps frozen weights small": (
        "fp16 的梯度会消失；--base bfloat16 或 fp8 可减小冻结权重"
    ),
    "data sets are read by fromnoise alone; a data-set file describes them (docs/datasets.md)": (
        "数据集只由 fromnoise 自己读取；请用数据集文件描述（docs/datasets.md）"
    ),
    "losses are told in files and to TensorBoard (--tensorboard), not to Weights & Biases": (
        "损失写入文件和 TensorBoard（--tensorboard），不发给 Weights & Biases"
    ),
    "A JSON file of the captions and tags of all pictures in DATA, as kohya's fine_tune.py has it.": (
        "记录 DATA 中所有图片描述和标签的 JSON 文件（kohya 的 fine_tune.py 格式）。"
    ),
    "(word:1.2) in captions weighs it.": ("描述里的 (词:1.2) 按权重处理。"),
    "States of captions end where the longest of a batch ends.": ("文本状态只到一批中最长描述的结尾，不补齐。"),
    "Steps between measures on them, besides those with samples.": ("每隔多少步在它们上测一次损失（出样图时也会测）。"),
    "Batches of them that are measured; all.": ("最多测多少批；默认全部。"),
    "Take layers and inner sizes from the LoRA that is gone on from.": ("层和维度取自接着训练的 LoRA。"),
    "The greatest norm of what a layer changes; 1 is usual, 0: any.": ("每层改动的最大范数，常用 1；0 为不限。"),
    "A LoRA that is made part of the model before it learns; can be repeated.": ("训练前先合并进模型的 LoRA，可重复。"),
    "Its strength, 1; can be repeated.": ("它的强度，默认 1，可重复。"),
    "Steps after which inverse_sqrt begins to fall; those of the rise.": (
        "inverse_sqrt 从多少步后开始下降；默认等于预热步数。"
    ),
    "A scheduler in place of --schedule: a class of PyTorch's, or module.Class.": (
        "代替 --schedule 的调度器：PyTorch 的类名，或 模块.类。"
    ),
    "Its name=value, such as T_max=1000; can be repeated.": ("它的参数 名=值，如 T_max=1000，可重复。"),
    "The step from which on text encoders stay as they are; -1: from the first.": (
        "从这一步起文本编码器不再训练；-1 为从头就不训练。"
    ),
    "The step to begin with, with --skip_until_initial_step.": ("从哪一步开始（配合 --skip_until_initial_step）。"),
    "The same as an epoch, from 1.": ("同上，以轮（epoch）计，从 1 起。"),
    "Leave out the steps before it and their pictures.": ("跳过它之前的步和图片。"),
    "A VAE in place of the model's own, by name or path.": ("代替模型自带 VAE 的 VAE，名称或路径。"),
    "Write what is asked for into the file of --config, and end.": ("把这些选项写进 --config 指定的文件，然后结束。"),
    "Write what is asked for into the folder of the run.": ("把这些选项写进运行文件夹。"),
    "Write what each step would be given into the folder of the run, and end.": (
        "把每一步会用到的图片和描述写进运行文件夹，然后结束。"
    ),
    "The folder of another run to go on from; a run goes on from its own by itself.": (
        "从另一次训练的文件夹继续；自己的会自动继续。"
    ),
    "Compile the U-Net by torch.compile.": ("用 torch.compile 编译 U-Net。"),
    "What compiles it: inductor, eager, ...": ("编译后端：inductor、eager 等。"),
    "The file does not tell how it was trained.": ("文件里不写训练信息。"),
    "Samples before the first step, too.": ("第一步之前也出样图。"),
    "kohya's: tensorboard or all is the same as --tensorboard.": (
        "kohya 的写法：tensorboard 或 all 等同 --tensorboard。"
    ),
    "without skip_until_initial_step all steps are done: initial_step and initial_epoch change nothing": (
        "没有 skip_until_initial_step 时仍会做完所有步，initial_step 和 initial_epoch 不起作用"
    ),
    # methods
    "Teach a model something from a folder of pictures; a LoRA of any kind comes out.": (
        "用一个图片文件夹教会模型新东西，得到任意一种 LoRA。"
    ),
    "Train all of a model on; a checkpoint comes out.": "继续训练整个模型（微调），得到完整模型文件。",
    "Teach all of a model one thing, and keep what it knows of its class (--class_prompt).": (
        "DreamBooth：让整个模型学会一样东西，并保住它对同类事物的认识（--class_prompt）。"
    ),
    "Teach a model a word (textual inversion); an embedding comes out.": "教模型一个新词（文本反演），得到 embedding。",
    "Train small networks that change keys and values; AUTOMATIC1111's hypernetwork comes out.": (
        "训练改变键和值的小网络，得到 AUTOMATIC1111 的超网络文件。"
    ),
    "Teach a ControlNet to steer by pictures (--conditioning_data_dir).": (
        "训练 ControlNet，用条件图控制画面（--conditioning_data_dir）。"
    ),
    "Teach a T2I-Adapter to steer by pictures (--conditioning_data_dir).": (
        "训练 T2I-Adapter，用条件图控制画面（--conditioning_data_dir）。"
    ),
    "Custom Diffusion: a word, and what keys and values make of prompts.": (
        "Custom Diffusion：学一个新词，以及交叉注意力的键和值。"
    ),
    "Distil a model into a LoRA that draws in a few steps (LCM).": "蒸馏出几步就能出图的 LoRA（LCM-LoRA）。",
    # panels
    "Pictures and captions": "图片和标注",
    "How long and how fast": "训练多久、多快",
    "What learns": "学什么",
    "What counts": "损失",
    "Noise": "噪声",
    "The run": "运行",
    # pictures and captions
    "A folder of pictures, or a data-set file; docs/datasets.md.": "图片文件夹或数据集文件；见 docs/datasets.md。",
    "The folder of pictures, where DATA is not given.": "图片文件夹（没有给出 DATA 时）。",
    "A data-set file, where DATA is not given.": "数据集文件（没有给出 DATA 时）。",
    "Pictures of the class in general, to keep them.": "同类的一般图片（正则化图片），用来保住模型原有的认识。",
    "What is said of those; without --regular the model draws them first.": (
        "这些图片的提示词；没有 --regular 时先由模型画出来。"
    ),
    "How many it draws; 100.": "画多少张；默认 100。",
    "Said of pictures without a caption.": "没有标注的图片用的提示词。",
    "Pictures of the same names that steer a control network, or are masks with --masked_loss.": (
        "同名的条件图所在的文件夹；用 --masked_loss 时是蒙版。"
    ),
    "Pictures of the same names: black does not count.": "同名的蒙版图：黑色部分不计入损失。",
    "Side in pixels; by default the model's own.": "边长（像素）；默认为模型自己的尺寸。",
    "Pictures in a step.": "每步几张图。",
    "How often an epoch has each picture.": "每轮中每张图重复几次。",
    "Keep about the pictures' own proportions; so it is anyway for folders.": (
        "按图片自身的长宽比分桶；直接给文件夹时本来就是这样。"
    ),
    "Cut every picture to a square.": "不分桶，所有图片裁成正方形。",
    "Shortest side of a bucket.": "桶的最短边。",
    "Longest side of a bucket.": "桶的最长边。",
    "Sides of buckets are multiples of it.": "桶的边长是它的倍数。",
    "Never enlarge a picture.": "不放大图片。",
    "Ending of captions' files: .txt, else .caption.": "标注文件的扩展名：默认 .txt，没有则 .caption。",
    "Put tags into another order each time.": "每次打乱标签的顺序。",
    "So many tags at the front stay.": "最前面这么多个标签不动。",
    "What stands before it stays.": "这个分隔符之前的标签不动。",
    "Parts tags.": "标签之间的分隔符。",
    "Joins tags that stay together.": "连接不能拆开的标签的分隔符。",
    "Choose among {a|b} and the lines of a caption.": "在 {a|b} 和标注的多行之间随机选择。",
    "Said before every caption.": "加在每条标注前面。",
    "Said after every caption.": "加在每条标注后面。",
    "Share of pictures of which nothing is said.": "多大比例的图片不给标注。",
    "Nothing is said in every so manieth epoch.": "每隔多少轮有一轮不给标注。",
    "Share of tags that are left out.": "随机去掉多大比例的标签。",
    "Tags at the first step of a warm-up.": "标签预热开始时的数量。",
    "Steps until all tags are said; below 1 a share of all steps.": "多少步后给出全部标签；小于 1 表示占总步数的比例。",
    "Mirror pictures half of the time.": "一半的时候左右翻转。",
    "Vary hue a little; latents are not cached then.": "稍微改变色相；此时不缓存潜变量。",
    "Cut anywhere; latents are not cached then.": "随机裁剪；此时不缓存潜变量。",
    "What is transparent does not count.": "透明的部分不计入损失。",
    "How pictures are resized: lanczos, area, ...": "缩放方法：lanczos、area 等。",
    "Share of the pictures kept to measure on.": "留作验证的图片比例。",
    "Which ones they are.": "验证图片由哪个种子选出。",
    "Processes that open pictures; 0: none.": "读取图片的进程数；0 表示不另开进程。",
    "A picture that can't be read is an error.": "有读不了的图片就报错。",
    # what learns
    "lora, loha, lokr, ia3, glora, full, oft, boft, dylora or tlora.": (
        "lora、loha、lokr、ia3、glora、full、oft、boft、dylora 或 tlora。"
    ),
    "Inner size.": "内部维度（rank）。",
    "Strength times the rank.": "强度乘以维度（alpha）。",
    "Inner size in convolutions; 0: none.": "卷积层的内部维度；0 表示不训练卷积层。",
    "Strength there, times the rank.": "卷积层的 alpha。",
    "attention, transformer, all; cross, keys_values (of cross-attention); ia3; convolutions.": (
        "attention、transformer、all；只训练交叉注意力：cross（全部）、keys_values（键和值）；ia3；convolutions（卷积块）。"
    ),
    "Give rows a length of their own (DoRA).": "权重分解（DoRA）。",
    "Train the norms as well.": "也训练归一化层。",
    "Share of what comes out of the inner size that is dropped.": "内部维度输出的丢弃比例（dropout）。",
    "LoKr: how sides are split; -1 as square as can be.": "LoKr：边长怎样分解；-1 表示尽量接近正方形。",
    "Give convolutions a core, which makes them small (Tucker's form).": "卷积用 Tucker 形式（中间一个核），体积更小。",
    "LoKr: the smaller matrix is a product, too.": "LoKr：较小的矩阵也分解。",
    "Divide strengths by the root of the inner size, not by it.": "强度除以 rank 的平方根，而不是 rank（rsLoRA）。",
    "OFT and BOFT: rows learn a length of their own as well.": "OFT、BOFT：每行再学一个长度。",
    "OFT, BOFT: sides of the blocks, by default the rank; DyLoRA: ranks that learn together, 1.": (
        "OFT、BOFT：块的边长，默认等于 rank；DyLoRA：一起学习的秩数，默认 1。"
    ),
    "OFT: how many blocks, in place of their size.": "OFT：块的个数，代替边长。",
    "DoRA: columns have lengths of their own, not rows (wd_on_output=False).": (
        "DoRA：长度按列而不是按行（wd_on_output=False）。"
    ),
    "LoKr: neither matrix is a product.": "LoKr：两个矩阵都不分解（full_matrix）。",
    "LoKr: the first matrix has the larger part of the rows.": "LoKr：第一个矩阵取行数较大的一份。",
    "Strengths are learnt, from 0: lora, loha, lokr, glora.": "强度也参与学习，从 0 开始：lora、loha、lokr、glora。",
    "LyCORIS's; it changes nothing here.": "LyCORIS 的选项，在这里不改变结果。",
    "The first factor stays as it began (LoRA-FA).": "第一个因子保持初值不变（LoRA-FA）。",
    "OFT and BOFT: the greatest rotation; 0 for any.": "OFT 和 BOFT：最大旋转；0 表示不限。",
    "kohya's: networks.lora, lycoris.kohya and others.": "kohya 的模块名：networks.lora、lycoris.kohya 等。",
    "kohya's name=value, such as algo=lokr conv_dim=4; can be repeated.": (
        "kohya 的“名=值”，如 algo=lokr conv_dim=4；可以给出多个。"
    ),
    "The text encoders do not learn.": "不训练文本编码器。",
    "The U-Net does not learn.": "不训练 U-Net。",
    "The text encoders learn, too.": "也训练文本编码器。",
    "The new word; by default the name.": "新词；默认用名字。",
    "A word of like meaning to begin with.": "意思相近、用来初始化的词。",
    "How many vectors the word is.": "新词由几个向量组成。",
    "Sentences around the word: auto, object, style or captions.": "新词的句子模板：auto、object、style 或 captions。",
    "The same as --template object.": "同 --template object（物体模板）。",
    "The same as --template style.": "同 --template style（风格模板）。",
    "Widths of the layers in units of the context, such as 1,2,1.": "各层宽度（以上下文宽度为单位），如 1,2,1。",
    "Between layers: linear, relu, swish, ...": "层间激活函数：linear、relu、swish 等。",
    "A norm after each layer.": "每层后加归一化。",
    "Widths of context that are acted on; by default all.": "作用于哪些宽度的上下文；默认全部。",
    "A network of the same kind to go on from.": "从一个已有的同类网络继续。",
    "All of cross-attention learns, not keys and values alone.": "训练整个交叉注意力，而不只是键和值。",
    "The least guidance that is built in.": "蒸馏进去的最小引导强度。",
    "The most guidance that is built in.": "蒸馏进去的最大引导强度。",
    "Steps of the teacher, one of which is learnt.": "教师模型的步数，每次学其中一步。",
    "Where the loss turns from square to straight.": "损失由平方变为直线的位置。",
    "Numbers in the file: float, fp16 or bf16.": "文件里的数值精度：float、fp16 或 bf16。",
    # how long and how fast
    "How long to train.": "训练多少步。",
    "The same in epochs.": "同上，以轮（epoch）计。",
    "How fast to train; by default what suits method and optimizer.": "学习率；默认取适合该方法和优化器的值。",
    "Of the U-Net alone; 0: it does not learn.": "U-Net 的学习率；0 表示不训练它。",
    "Of the text encoders alone; 0: they do not learn.": "文本编码器的学习率；0 表示不训练它们。",
    "Of the first text encoder alone.": "第一个文本编码器的学习率。",
    "Of SDXL's second alone.": "SDXL 第二个文本编码器的学习率。",
    "Of each block of the U-Net, with commas: SDXL has 23; 0: it stays as it is.": (
        "U-Net 各块的学习率，用逗号分开：SDXL 有 23 块；0 表示该块不变。"
    ),
    "LoRA+: how much faster the second factor learns.": "LoRA+：第二个因子的学习率倍数。",
    "What the rate does: constant, linear, cosine, rex, ...": "学习率调度：constant、linear、cosine、rex 等。",
    "Steps of its rise; below 1 a share of all.": "预热步数；小于 1 表示占总步数的比例。",
    "Steps of its fall at the end; below 1 a share of all.": "末尾下降的步数；小于 1 表示占总步数的比例。",
    "Restarts of the schedule.": "调度重启的次数。",
    "Of a polynomial schedule.": "多项式调度的幂。",
    "Share of the rate that is left at the end.": "最后剩下的学习率比例。",
    "AdamW, Lion, Prodigy, AdaFactor, ... or module.Class.": "AdamW、Lion、Prodigy、AdaFactor 等，或“模块.类”。",
    "Its name=value, such as weight_decay=0.1; can be repeated.": (
        "优化器的“名=值”，如 weight_decay=0.1；可以给出多个。"
    ),
    "AdamW's; 0.01.": "AdamW 的权重衰减；默认 0.01。",
    "The largest norm of a gradient; 0: any.": "梯度范数上限；0 表示不限。",
    "Batches that make one step.": "几个批次合成一步（梯度累积）。",
    "Decay of the weights' moving average, such as 0.999; 0: none.": (
        "权重滑动平均（EMA）的衰减，如 0.999；0 表示不用。"
    ),
    "Stop where the loss is so many times its lowest; 0: never.": "损失涨到最低值的多少倍就停止；0 表示从不。",
    # what counts
    "How distance counts: l2, l1, huber or smooth_l1.": "损失类型：l2、l1、huber 或 smooth_l1。",
    "Where huber turns from square to straight.": "huber 由平方变为直线的位置。",
    "How that changes: constant, exponential or snr.": "它怎样随噪声变化：constant、exponential 或 snr。",
    "Times huber_c.": "huber_c 的倍数。",
    "Weigh noise levels by their SNR, up to it; 5 is usual.": "按信噪比加权的上限（min-SNR），常用 5。",
    "Count by 1/sqrt(SNR).": "按 1/sqrt(SNR) 加权。",
    "v: count noise levels as for eps.": "v 预测：像 eps 那样给噪声级别加权。",
    "eps: add the loss that v would have, this much.": "eps 预测：加上这么多 v 预测的损失。",
    "How much pictures of the class count.": "正则化图片的损失权重。",
    "How much it counts that pictures without the trigger stay as they are; 0: nothing.": (
        "不说触发词时画面保持原样有多重要；0 为不管。"
    ),
    "kohya's: pictures of --conditioning_data_dir are masks.": "kohya 的写法：--conditioning_data_dir 里的图片是蒙版。",
    "The last timestep is pure noise; for v-prediction.": "最后一个时间步为纯噪声；用于 v 预测。",
    # noise
    "For very dark or bright pictures.": "用于很暗或很亮的图片。",
    "A random share of it each time.": "每次取其中随机的一部分。",
    "Added to it for each unit of the latents' mean.": "潜变量均值每增加一个单位加多少。",
    "Octaves of coarser noise.": "更粗的噪声叠加几层（金字塔噪声）。",
    "How much each octave counts of the one before.": "每层相对前一层的比例。",
    "Disturb the input by so much noise besides.": "另外给输入加这么多噪声。",
    "The least noise to train on.": "最小时间步。",
    "Above the most noise to train on.": "最大时间步（不含）。",
    # the run
    "What it is called.": "名字。",
    "The model that learns.": "学习的模型。",
    "The file; by default on the shelf of its kind, such as models/loras/NAME.safetensors.": (
        "输出文件；默认放在同类文件夹里，如 models/loras/名字.safetensors。"
    ),
    "The folder of the file, in place of --out.": "输出文件夹，代替 --out。",
    "For what a stopped run goes on from; runs/NAME.": "中断后继续所需的文件放在哪里；默认 runs/名字。",
    "A TOML file with any of these; what is typed wins.": "写有这些选项的 TOML 文件；命令行优先。",
    "What the model predicts where its file does not say: eps or v.": "模型预测什么（文件没有说明时）：eps 或 v。",
    "The same as --prediction v.": "同 --prediction v。",
    "Text states so far from the end.": "取倒数第几层文本状态（clip skip）。",
    "Tokens of a caption that are read: 75, 150, 225; by default all.": (
        "标注最多读多少个词元：75、150、225；默认全部。"
    ),
    "Compute in bf16 or not (no); by default, and for fp16, in bf16 where it is fast.": (
        "是否用 bf16 计算（no 为否）；默认以及写 fp16 时，硬件算 bf16 快就用它。"
    ),
    "Numbers that frozen weights are kept in: float32, bfloat16 or fp8.": (
        "冻结的权重用什么精度存放：float32、bfloat16 或 fp8。"
    ),
    "The same as --base fp8.": "同 --base fp8。",
    "Less memory for more time.": "用更多时间换更少内存（梯度检查点）。",
    "Step each weight as soon as its gradient is known.": "一边反传一边更新权重，更省内存。",
    "A picture to draw on the way; can be repeated.": "训练途中要画的样图，可以给出多个。",
    "A file with a line for each of them; kohya's --n, --w and so on work.": (
        "样图文件，一行一张；可用 kohya 的 --n、--w 等。"
    ),
    "Steps between samples; a fifth of all.": "每隔多少步画样图；默认总步数的五分之一。",
    "Steps between files of what is learnt so far; without it only the state is kept, ten times.": (
        "每隔多少步写出一个中间文件；不设时只保存状态，共十次。"
    ),
    "How many files of epochs, at least.": "按轮写出的文件至少有几个。",
    "How many files of epochs stay; all.": "保留最近几个按轮写出的文件；默认全部。",
    "For how many steps files of steps stay; all.": "按步写出的文件保留多少步；默认全部。",
    "--base bfloat16 --mixed_precision bf16; what learns stays in float32.": (
        "等于 --base bfloat16 --mixed_precision bf16；参与学习的权重仍为 float32。"
    ),
    "full_bf16: frozen weights are kept in bfloat16; what learns stays in float32": (
        "full_bf16：冻结的权重用 bfloat16 保存，参与学习的仍为 float32"
    ),
    "kohya's number of groups; the same as --fused_backward_pass.": "kohya 的分组数；效果同 --fused_backward_pass。",
    "The folder of TensorBoard's events, which are written then.": "TensorBoard 事件的文件夹，设了就会写。",
    "Stands before the name of this run there.": "加在那里本次训练名字之前。",
    "An activation after the last layer, too.": "最后一层之后也加激活函数。",
    "Shares that are dropped after each width, such as 0,0.1,0.": "每个宽度之后丢弃的比例，如 0,0.1,0。",
    "How layers begin: Normal, XavierNormal, XavierUniform, KaimingNormal, KaimingUniform.": (
        "各层的初始化：Normal、XavierNormal、XavierUniform、KaimingNormal、KaimingUniform。"
    ),
    "A hypernetwork to go on from, with its structure.": "接着训练的超网络，结构取自它。",
    "An embedding to go on from.": "接着训练的嵌入。",
    "AdaFactor finds its own learning rate (relative_step): --learning_rate counts nothing": (
        "AdaFactor 自己决定学习率（relative_step）：--learning_rate 不起作用"
    ),
    "runs go on from folders: get the folder first, and name it with --resume": (
        "训练从文件夹接着进行：请先取得文件夹，再用 --resume 指定"
    ),
    "the log of a run is log.jsonl in its folder; 2> FILE keeps what is said besides": (
        "训练日志是其文件夹里的 log.jsonl；其他输出可用 2> 文件 保存"
    ),
    "what blocks are given stays on the device; --base fp8 takes less memory": (
        "各块的输入留在设备上；--base fp8 更省显存"
    ),
    "it is for models of transformers alone; --base fp8 takes less memory": (
        "它只用于纯 transformer 模型；--base fp8 更省显存"
    ),
    "ControlNet-LLLite is used, not trained; fromnoise train controlnet trains a ControlNet": (
        "ControlNet-LLLite 只能使用，不能训练；fromnoise train controlnet 可训练 ControlNet"
    ),
    "Steps between lines of the log.": "每隔多少步记一行日志。",
    "Also write TensorBoard's events, where it is installed.": "另写 TensorBoard 事件（已安装时）。",
    "Told in the file.": "写进文件的说明。",
    "What samples are drawn with; kohya's names work.": "样图用的采样器；kohya 的名字也可以。",
    "A LoRA of the same kind and size to go on from.": "从同类型、同大小的 LoRA 接着训练。",
    "The same as --optimizer AdamW8bit.": "等同 --optimizer AdamW8bit。",
    "The same as --optimizer Lion.": "等同 --optimizer Lion。",
    "mixed_precision fp16: bf16 is taken where it is fast, else float32; fp16's gradients can vanish": (
        "mixed_precision fp16：硬件算 bf16 快就用 bf16，否则用 float32；fp16 的梯度可能下溢"
    ),
    "Decides all that is random.": "决定一切随机量。",
    "Accepted from kohya's scripts: it is so anyway.": "兼容 kohya 脚本的选项：本来就是这样。",
    "say where the pictures are: fromnoise train {method} DATA --name NAME": (
        "请说明图片在哪里：fromnoise train {method} 数据 --name 名字"
    ),
}

ELSEWHERE = {
    "{value} is no list of numbers such as 4,8,8": "{value} 不是 4,8,8 这样的一列数",
    "{value} is neither numbers such as 0,0.5,1 nor one of {curves}": (
        "{value} 既不是 0,0.5,1 这样的一列数，也不是这些曲线之一：{curves}"
    ),
    "network_dropout acts on plain LoRAs alone; rank_dropout and module_dropout act on all kinds.": (
        "network_dropout 只对普通 LoRA 有效；rank_dropout 和 module_dropout 对所有种类有效。"
    ),
    "{field} has {given} numbers for {count} blocks; those that are missing are 1.": (
        "{field} 有 {given} 个数，块有 {count} 个；缺少的按 1 计。"
    ),
    "{field} has {given} numbers for {count} blocks; the others are left out.": (
        "{field} 有 {given} 个数，块有 {count} 个；多余的不用。"
    ),
    "out of memory: from here on with gradient checkpointing, which takes more time": (
        "内存不足：从这里起使用梯度检查点，会慢一些"
    ),
    "out of memory: from here on each batch is taken in {parts} parts, with the same gradient": (
        "内存不足：从这里起每批拆成 {parts} 份，梯度不变"
    ),
    "out of memory: from here on weights that do not learn are kept in {dtype} ({option})": (
        "内存不足：从这里起冻结的权重改用 {dtype} 存放（{option}）"
    ),
    "out of memory at step {step}, and nothing is left to save: {remedy}": (
        "第 {step} 步内存不足，已经没有办法再省："
        "请减小 --resolution，或换一种方法，例如 --rank 更低、加 --no-text 的 LoRA"
    ),
    "the loss is not finite at step {step}: {kept}; lower the learning rate and start it again": (
        "第 {step} 步的损失不是有限数（{kept}）；请降低学习率后重新开始"
    ),
    "the gradient is not finite at step {step}: {kept}; lower the learning rate and start it again": (
        "第 {step} 步的梯度不是有限数（{kept}）；请降低学习率后重新开始"
    ),
    "the loss has grown {times} times above its lowest at step {step}: {kept}; "
    "lower the learning rate and start it again": (
        "第 {step} 步的损失涨到最低值的 {times} 倍（{kept}）；请降低学习率后重新开始"
    ),
}
