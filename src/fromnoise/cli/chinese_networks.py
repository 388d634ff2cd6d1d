"""The catalogue of LoRAs, hypernetworks and embeddings; `chinese.py` joins it with the rest."""

OURS = {
    "A LoRA: NAME, NAME:0.8, or as in a <lora:...> tag; can be given several times.": (
        "LoRA： 名字、 名字:0.8， 或与 <lora:...> 标签相同的写法； 可多次给出。"
    ),
    "A hypernetwork; can be given several times.": "超网络（hypernetwork）； 可多次给出。",
    "What the program may take of the device's memory, such as 4GB.": "最多占用的内存， 例如 4GB。",
    "Go on without weights in files that match nothing.": "文件里有对不上的权重时也继续， 不用这些权重。",
    "{flag} {text}: {reason}": "{flag} {text}：{reason}",
}

ELSEWHERE = {
    "{path}: {count} of its keys match nothing in this model ({names}); it was made for {theirs}, and this model is "
    "{ours}: take another LoRA or model": (
        "{path}：有 {count} 个键与此模型对不上（{names}）；它适用于 {theirs}，而此模型是 {ours}：请换一个 LoRA 或模型"
    ),
    "{path}: {count} of its keys match nothing in this model ({names}); --allow-unmatched does without them": (
        "{path}：有 {count} 个键与此模型对不上（{names}）；加上 --allow-unmatched 则不用它们，继续生成"
    ),
    "{name}: not the file of the recipe, whose hash is {digest}": "{name}：不是生成参数里的那个文件，其哈希为 {digest}",
    "{tag} is in the negative prompt: a network acts on the whole picture, so write it in the prompt, with a negative "
    "strength if it is to act the other way": (
        "{tag} 写在了反向提示词里：LoRA 等作用于整张图，请写在提示词里；要反着用就把强度写成负数"
    ),
    "{tag} is in a region's prompt: a network acts on the whole picture, so write it in the prompt": (
        "{tag} 写在了分区提示词里：LoRA 等作用于整张图，请写在提示词里"
    ),
    "embedding {name} is for other models: it has {theirs} numbers, {model} takes {ours}": (
        "embedding {name} 适用于别的模型：它每个向量有 {theirs} 个数，{model} 需要 {ours} 个"
    ),
    "block weights: {count} numbers; give {counts}, or a preset's name": (
        "分层权重：给了 {count} 个数；应为 {counts} 个，或写预设的名字"
    ),
    "{path} is damaged: {name} holds NaN or infinity; get the file again": (
        "{path} 已损坏：{name} 含有 NaN 或无穷大；请重新获取文件"
    ),
    "{path} is no embedding that is known here: it has no vectors in place of tokens": (
        "{path} 不是可识别的 embedding：里面没有词向量"
    ),
    "{path} is a picture without an embedding in it": "{path} 是图片，但里面没有 embedding",
    "{path} is no hypernetwork: it has no pairs of networks by width": "{path} 不是超网络：里面没有按宽度成对的网络",
}
