"""How fast each part learns, and how often files are written, of what kohya's words say."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from fromnoise.cli.messages import say
from fromnoise.cli.progress import note
from fromnoise.errors import UserError
from fromnoise.train.methods import Method
from fromnoise.train.saving import Saving

Given = dict[str, Any]
RATES = ("unet_lr", "text_encoder_lr", "first_lr", "second_lr")  # words for them
ENCODERS = {"first_lr": ("lora_te1_", "lora_te_", "text0"), "second_lr": ("lora_te2_", "text1")}
UPPER = {"loraplus_unet": "lora_unet_*.lora_up", "loraplus_text": "lora_te*.lora_up"}


def in_epochs(length: int, accumulate: int, epochs: int) -> int:
    """Steps of so many epochs of `length` batches."""
    return -(-length * epochs // accumulate)


def savings_of(words: Given, loop: Given, epoch: Callable[[int], int], steps: int) -> tuple[Saving, ...]:
    """The files of what is learnt so far that were asked for."""
    found = []
    if "save_every" in loop:
        found.append(Saving(loop["save_every"], last=words.get("last_steps")))
    epochs = words.get("save_epochs")
    if "save_ratio" in words:
        epochs = max(1, steps // epoch(1) // words["save_ratio"])
    if epochs:
        found.append(Saving(epoch(epochs), epochs, words.get("last_epochs")))
    return tuple(found)


def rate_of(loop: Given, words: Given, options: BaseModel, own: float) -> float:
    """The learning rate: the first that was given and is not 0. UserError where all are."""
    places = ((loop, "learning_rate"), *((words, key) for key in RATES))
    said = [float(given[key]) for given, key in places if key in given] + [*(getattr(options, "block_lr", None) or ())]
    if said and not any(said):
        raise UserError("nothing would be trained: all learning rates are 0")
    return next((rate for rate in said if rate), own)


def finding_its_rate(optimizer: str, arguments: Given) -> Given:
    """Arguments with which AdaFactor finds its learning rate. UserError for another optimizer."""
    if optimizer != "AdaFactor":
        raise UserError("lr_scheduler adafactor is for --optimizer AdaFactor alone; take another schedule")
    note(say("AdaFactor finds its own learning rate (relative_step): --learning_rate counts nothing"))
    return {"relative_step": True, **arguments}


def factors(words: Mapping[str, Any], rate: float) -> dict[str, float]:
    """How much faster or slower parts learn, by how their names begin."""
    found: dict[str, float] = {}
    if "unet_lr" in words:
        found |= {"lora_unet_": words["unet_lr"] / rate, "unet.": words["unet_lr"] / rate}
    both = words.get("text_encoder_lr")
    if words.keys() & ENCODERS.keys():
        for word, names in ENCODERS.items():
            own = words.get(word, both)
            found |= dict.fromkeys(names, own / rate) if own is not None else {}
    elif both is not None:
        found |= {"lora_te": both / rate, "text": both / rate}
    for word, pattern in UPPER.items():
        if word in words:
            found[pattern] = words[word]
    if "loraplus" in words:  # where its network has no ratio of its own
        for pattern in UPPER.values():
            found.setdefault(pattern, words["loraplus"])
    return found


def at_rest(words: Given, parts: dict[str, Given], method: Method) -> None:
    """A learning rate of 0 leaves a network as it is. UserError where rates contradict each other, or all are 0."""
    options, fields = parts["options"], method.options.model_fields
    if options.get("block_lr") and "unet_lr" in words:
        raise UserError("block_lr gives the U-Net's blocks their rates; leave unet_lr out")
    if parts["loop"].get("learning_rate") == 0:  # that of what has none of its own
        del parts["loop"]["learning_rate"]
        words |= {word: words.get(word, 0.0) for word in ("unet_lr", "text_encoder_lr")}
        if options.get("block_lr"):
            del words["unet_lr"]
    for word, field in (("unet_lr", "unet"), ("text_encoder_lr", "text")):
        if words.get(word) == 0 and not (field == "text" and any(words.get(one) for one in ENCODERS)):
            del words[word]
            options[field] = False
    learning = (options.get(field, field in fields and fields[field].default) for field in ("unet", "text"))
    if options.keys() & {"unet", "text"} and not any(learning):
        raise UserError("nothing would be trained: leave the U-Net or the text encoders in, and give rates above 0")


def share(value: float, steps: int) -> int:
    """Steps: of a number below 1 so much of all."""
    return round(value * steps) if 0 < value < 1 else int(value)
