"""A tiny random BLIP with a vocabulary of few words, as transformers writes it."""

from pathlib import Path

import torch

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[DEC]",
    "[ENC]",
    "a",
    "picture",
    "of",
    "cat",
    "dog",
    "red",
    "mat",
]


def write_blip(folder: Path) -> Path:
    import transformers

    (folder / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    text = {"vocab_size": len(WORDS), "hidden_size": 32, "encoder_hidden_size": 32, "intermediate_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 2, "bos_token_id": 5, "eos_token_id": 3, "sep_token_id": 3,
            "pad_token_id": 0}  # fmt: skip
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": 32, "patch_size": 8}  # fmt: skip
    torch.manual_seed(0)
    config = transformers.BlipConfig(text_config=text, vision_config=vision)
    transformers.BlipForConditionalGeneration(config).save_pretrained(folder, safe_serialization=True)
    return folder
