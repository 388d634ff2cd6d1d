"""The catalogue of what models are put together of, and of what is wrong with them; `chinese.py` joins it."""

OURS = {
    "The autoencoder of another file, instead of the model's.": "VAE： 用另一个文件的， 代替模型自带的。",
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
}
