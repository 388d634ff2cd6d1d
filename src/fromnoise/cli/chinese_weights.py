"""The catalogue of the commands on model files; `chinese.py` joins it with the rest."""

OURS = {
    "Print the hashes of files, as every tool computes them.": "显示文件的哈希值， 与各种工具算出的一致。",
    "Model files.": "模型文件。",
    "Write a model in another layout or dtype.": "把模型写成另一种结构或精度。",
    "Mix models, and put LoRAs or a VAE into one.": "混合模型， 或把 LoRA、 VAE 并入模型。",
    "Models of one family; the first is the base.": "同一系列的模型， 第一个为基础。",
    "sum, difference, sigmoid, inverse-sigmoid or slerp.": "sum、 difference、 sigmoid、 inverse-sigmoid 或 slerp。",
    "How much of the second model; of more models one each. By default 0.5.": (
        "第二个模型所占的比例； 多个模型各给一个， 默认 0.5。"
    ),
    "A weight for each block of the U-Net: 25 numbers, or 19 for SDXL.": (
        "U-Net 每个块的比例： 25 个数， SDXL 为 19 个。"
    ),
    "A LoRA that is put in, with its strengths; can be repeated.": "并入的 LoRA 及其强度， 可重复。",
    "original or diffusers; by default what OUT is called.": "original 或 diffusers； 默认由输出名决定。",
    "Write a checkpoint without what no picture needs.": "写出检查点的精简版， 去掉画图用不到的内容。",
    "A model: a file, a folder, or its name.": "模型： 文件、 文件夹或名字。",
    "The file or folder to write.": "要写的文件或文件夹。",
    "As what weights are stored: fp32, fp16, bf16, fp8; GGUF: f16, q8_0, q4_0, ...": (
        "权重的存储精度： fp32、 fp16、 bf16、 fp8； GGUF 为 f16、 q8_0、 q4_0 等。"
    ),
    "Take the averages (EMA) of the U-Net's weights.": "取 U-Net 权重的滑动平均 (EMA)。",
    "Leave out weights that match nothing, instead of stopping.": "对不上的权重略去， 不停止。",
    "Write weights that are no numbers, too.": "含 NaN 的权重也照写。",
    "Replace what is there.": "替换已有的。",
    "original, diffusers, gguf, unet, vae, clip, clip_l or clip_g; by default what OUT is called.": (
        "original、 diffusers、 gguf、 unet、 vae、 clip、 clip_l 或 clip_g； 默认由输出名决定。"
    ),
    "The U-Net of another file.": "用另一文件的 U-Net。",
    "Text encoders of other files.": "用其他文件的文本编码器。",
    "The autoencoder of another file.": "用另一文件的 VAE。",
    "Which of a folder's sets of weights: fp16, ...": "文件夹中的哪一套权重： fp16 等。",
    "left out: {count:,} tensors ({names})": "略去 {count:,} 个张量 ({names})",
    "{before:,.1f} MB became {after:,.1f} MB": "{before:,.1f} MB 变为 {after:,.1f} MB",
}

ELSEWHERE: dict[str, str] = {
    "--lora {text}: give a name and one or two strengths, such as mycat:0.8": (
        "--lora {text}：请给出名字和一两个强度，例如 mycat:0.8"
    ),
    "--blocks {text}: give numbers with commas between them": "--blocks {text}：请用逗号分隔数字",
    "{method} takes one weight, and {count} were given": "{method} 需要一个比例，而给了 {count} 个",
    "{one} and {other} have different networks; only models of one family can be merged": (
        "{one} 与 {other} 的网络不同，只能合并同一系列的模型"
    ),
}
