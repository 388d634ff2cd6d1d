"""The Chinese of `fromnoise train lora`."""

OURS = {
    "Teach a model something from a folder of pictures; a LoRA of any kind comes out.": (
        "用一个图片文件夹教会模型新东西，得到任意一种 LoRA。"
    ),
    "A folder of pictures, or a data-set file; docs/datasets.md.": "图片文件夹或数据集文件；见 docs/datasets.md。",
    "What it is called.": "名字。",
    "The model that learns.": "学习的模型。",
    "lora, loha, lokr, ia3, glora, full, oft or boft.": "lora、loha、lokr、ia3、glora、full、oft 或 boft。",
    "Inner size.": "内部维度（rank）。",
    "Strength times the rank.": "强度乘以维度（alpha）。",
    "Inner size in convolutions; 0: none.": "卷积层的内部维度；0 表示不训练卷积层。",
    "How long to train.": "训练多少步。",
    "How fast to train.": "学习率。",
    "Pictures in a step.": "每步几张图。",
    "Side; by default the model's own.": "边长；默认为模型自己的尺寸。",
    "Pictures of the class in general, to keep them.": "同类的一般图片（正则化图片），用来保住模型原有的认识。",
    "Whether the text encoders learn, too.": "文本编码器是否也训练。",
    "Weigh noise levels by their SNR, up to it; 5 is usual.": "按信噪比加权的上限（min-SNR），常用 5。",
    "For very dark or bright pictures.": "用于很暗或很亮的图片。",
    "A picture to draw on the way; may be given often.": "训练途中要画的样图，可以给出多个。",
    "Decides all that is random.": "决定一切随机量。",
    "A picture that can't be read is an error.": "有读不了的图片就报错。",
    "For what a stopped run goes on from; runs/NAME.": "中断后继续所需的文件放在哪里；默认 runs/名字。",
    "The file; models/loras/NAME.safetensors.": "输出文件；默认 models/loras/名字.safetensors。",
}
