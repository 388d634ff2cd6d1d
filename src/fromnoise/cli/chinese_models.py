"""The catalogue of what models are put together of, and of what is wrong with them; `chinese.py` joins it."""

OURS = {
    "The autoencoder of another file. automatic: the one that lies beside the model; none: the model's own.": (
        "VAE： 用另一个文件的。 automatic： 模型旁边的那个； none： 模型自带的。"
    ),
    "The U-Net of another file.": "U-Net： 用另一个文件的。",
    "The text encoder of another file; SDXL has two, give both.": (
        "文本编码器（CLIP）： 用另一个文件的； SDXL 有两个， 都要给。"
    ),
    "Take the running averages of a full training checkpoint.": "用完整训练检查点里的 EMA 权重。",
    "Take its last weights.": "用其中最后的权重。",
    "Which weights of a folder that has several, such as fp16; by default the plain ones.": (
        "文件夹里有几套权重时， 取哪一套， 如 fp16； 默认取普通的。"
    ),
}

ELSEWHERE = {
    "{name} asks for a VAE in its note, which is not used: {reason}": (
        "{name} 的说明文件指定了 VAE，但没有使用：{reason}"
    ),
    "{path} holds no autoencoder; give one with --vae": "{path} 不含 VAE，请用 --vae 给出一个",
    "{path} holds no text encoder; give one with --text-encoder, for SDXL two": (
        "{path} 不含文本编码器，请用 --text-encoder 给出，SDXL 要两个"
    ),
    "{path} holds no EMA weights; leave --ema out": "{path} 不含 EMA 权重，请去掉 --ema",
    "{path} holds an autoencoder alone: give it with --vae, and a checkpoint with --model": (
        "{path} 只含 VAE：请用 --vae 给出它，并用 --model 给出大模型"
    ),
    "{path} holds a text encoder alone: give it with --text-encoder, and a checkpoint with --model": (
        "{path} 只含文本编码器：请用 --text-encoder 给出它，并用 --model 给出大模型"
    ),
    "{path} holds a {kind}: give it with {option}, and a checkpoint with --model": (
        "{path} 是 {kind}：请用 {option} 给出它，并用 --model 给出大模型"
    ),
    "{path} holds an {kind}: give it with {option}, and a checkpoint with --model": (
        "{path} 是 {kind}：请用 {option} 给出它，并用 --model 给出大模型"
    ),
    "{path} holds an embedding: write its name in the prompt, and give a checkpoint with --model": (
        "{path} 是 embedding：请把它的名字写在提示词里，并用 --model 给出大模型"
    ),
    "{path} holds an upscaler: use it with fromnoise upscale or --hires, and give a checkpoint with --model": (
        "{path} 是放大模型：请用于 fromnoise upscale 或 --hires，并用 --model 给出大模型"
    ),
    "{path} holds no U-Net, so it is no checkpoint of a diffusion model; fromnoise info tells what is in it": (
        "{path} 不含 U-Net，不是扩散模型；用 fromnoise info 看看里面是什么"
    ),
    "{path}: its U-Net, of {family}, reads prompts of width {wanted}, and its text encoders make {told}; give the "
    "right ones with --text-encoder: {encoders}": (
        "{path}：它的 U-Net（{family}）读宽度为 {wanted} 的提示词，而文本编码器给出 {told}；"
        "请用 --text-encoder 给出合适的：{encoders}"
    ),
    "{path}: its U-Net, of {family}, draws latents of {wanted} channels, and its autoencoder has {told}; give one of "
    "{same} with --vae": (
        "{path}：它的 U-Net（{family}）的潜空间有 {wanted} 个通道，而 VAE 有 {told} 个；请用 --vae 给出 {same} 的"
    ),
    "{model} was loaded with other networks than the recipe names (unet, text_encoders, vae, ema, variant): load it "
    "with these": "{model} 载入时用的网络与生成参数所写的不同（unet、text_encoders、vae、ema、variant）：请按参数载入",
    "{model}: {count} weights of its {what} hold NaN or infinity ({names}): the file is damaged or was merged wrongly; "
    "get it again, or take another": (
        "{model}：{what} 有 {count} 个权重含 NaN 或无穷大（{names}）：文件已损坏或合并有误；请重新获取，或换一个"
    ),
    "{model}: its {what} makes numbers that are none in {dtype}; choose --dtype float32, or lower the strengths of "
    "LoRAs and controls": (
        "{model}：{what} 在 {dtype} 下算出了无效的数；请用 --dtype float32，或降低 LoRA 和控制的强度"
    ),
    "the VAE of {model} overflows in float16: it works in float32 from now on": (
        "{model} 的 VAE 在 float16 下溢出：之后改用 float32"
    ),
    "{path}: its autoencoder is {theirs}'s, which garbles pictures here; give one of {wanted} with --vae": (
        "{path}：这个 VAE 属于 {theirs}，用在这里画面会花；请用 --vae 给出 {wanted} 的"
    ),
    "{path}: {count} of its keys match nothing ({names}): done without them": (
        "{path}：有 {count} 个键对不上（{names}）：没有使用它们"
    ),
    "{path}: {name} holds no numbers: its rank is 0; get the file again": (
        "{path}：{name} 里没有数：秩为 0；请重新获取文件"
    ),
    "{path}: {name} is no single number; get the file again": "{path}：{name} 不是单个的数；请重新获取文件",
    "{path}: {name} is {number}, which no model stands; get the file again": (
        "{path}：{name} 为 {number}，任何模型都承受不了；请重新获取文件"
    ),
    "{path}: {layer} has a rank of {rank}, more than any layer; get the file again": (
        "{path}：{layer} 的秩为 {rank}，比任何一层都大；请重新获取文件"
    ),
}
